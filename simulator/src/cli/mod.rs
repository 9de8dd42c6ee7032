//! The command line.

mod again;
mod experiments;
mod help;
mod privacy;
mod shell;

use crate::assess;
use crate::error::{Error, Result};
use crate::experiment;
use crate::federation::Fidelity;
use crate::keys;
use crate::methods::{self, Method};
use crate::output::{self, Results};
use crate::population::Protocol;
use crate::progress;
use crate::report;
use crate::scenario::{Auto, Epsilon, Scenario};
use crate::world::calibration::{Profile, table};
use clap::{Args, FromArgMatches, Parser, Subcommand};
use sordino_shared::model::Model;
use sordino_shared::privacy::accountant::Target;
use sordino_shared::privacy::{Mechanism, Mode};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "sordino-simulator",
    version,
    about = "Federated music recommendation under differential privacy, simulated on one machine.",
    long_about = "Federated music recommendation under differential privacy, simulated on one machine.\n\nListening, from a data set or from a built-in world, becomes a population of devices; they and a coordinator run the code that real ones run. Each command leaves a folder with a report page, its figures as JSON, and the settings that make them again."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one experiment: data in, federated model and report out.
    Run(Box<RunCommand>),
    /// Run several scenarios and show them side by side.
    Compare(CompareArgs),
    /// Write the report of a finished run or experiment again, from its figures.
    Report {
        /// The run's folder.
        folder: PathBuf,
    },
    /// Say what a fleet can hope to learn, before it spends anything.
    Plan(PlanArgs),
    /// Privacy accounting: the epsilon of a mechanism, the noise for an epsilon, what a plan promises, and the audit.
    Privacy {
        #[command(subcommand)]
        command: privacy::Command,
    },
    /// Measure methods or finished models in every way there is, and write the model's card.
    Evaluate(Box<experiments::EvaluateArgs>),
    /// Train the ranker on earlier days and measure it on later ones: what was shown, and the next skip.
    Rank(Box<experiments::RankArgs>),
    /// Hold weak labels against what listeners said, by private counts.
    Labels(Box<experiments::LabelArgs>),
    /// Hold tracks out whole, place them by what is public of them, and measure how well they are recommended.
    ColdStart(Box<experiments::ColdArgs>),
    /// Learn a catalogue that is larger than a vector, in blocks and by a tower.
    Large(Box<experiments::LargeArgs>),
    /// Let devices lie in all the ways that there are, and measure what it does to everybody else.
    Poison(Box<experiments::PoisonArgs>),
    /// Roll candidates out to simulated fleets, thousands of times, and count how often the gates err.
    Rollout(experiments::RolloutArgs),
    /// Print a file of settings with every key explained; without a name, which files there are.
    Settings {
        /// Which file.
        name: Option<String>,
    },
    /// Compare the synthetic world with real listening.
    World {
        /// The real set, as KIND:PATH.
        #[arg(long)]
        against: String,
        /// Seed of the world.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[derive(Args)]
struct RunCommand {
    #[command(flatten)]
    run: RunArgs,
    /// Train on a stream of days instead: what keeps up with listeners and music that change, and what does not.
    #[arg(long)]
    stream: bool,
    /// A file of the stream's settings.
    #[arg(long, requires = "stream")]
    stream_settings: Option<PathBuf>,
}

#[derive(Args, Default)]
struct RunArgs {
    /// The data set, as KIND:PATH with KIND kuairand, movielens, lastfm, ncf or csv; the synthetic world without it.
    #[arg(long)]
    data: Option<String>,
    /// Refuse a file with a row that cannot be read; without it up to a tenth are left out and counted.
    #[arg(long)]
    strict: bool,
    /// How test tracks are chosen and ranked.
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// The method.
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// Dimensions: a number or `auto`.
    #[arg(long)]
    dim: Option<Auto>,
    /// Embedding rounds: a number or `auto`.
    #[arg(long)]
    rounds: Option<Auto>,
    /// Epsilon of the whole training for one device, or `inf`.
    #[arg(long, allow_negative_numbers = true)]
    epsilon: Option<Epsilon>,
    /// Delta: the probability with which the promise of epsilon may fail.
    #[arg(long, allow_negative_numbers = true)]
    delta: Option<f64>,
    /// How many devices the simulated ones stand for.
    #[arg(long)]
    population: Option<usize>,
    /// Devices in one secure cohort.
    #[arg(long)]
    cohort: Option<usize>,
    /// Who adds the noise: secure (devices, under masks), central or central-mf (a trusted coordinator), local (each device alone).
    #[arg(long, value_parser = parse_mode)]
    mode: Option<Mode>,
    /// The distribution of the devices' noise: discrete-gaussian or skellam.
    #[arg(long, value_parser = parse_mechanism)]
    mechanism: Option<Mechanism>,
    /// How much is done for real: one draw of noise for each sum, one for each device, or the whole masked protocol.
    #[arg(long, value_enum)]
    fidelity: Option<Fidelity>,
    /// A label policy's file, such as `labels` writes; the built-in policy without it.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Seed of everything.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; all cores where 0.
    #[arg(long)]
    threads: Option<usize>,
    /// A scenario's file; flags win over it.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Folder for config, metrics, model and report; of a run before, only its own files are replaced.
    #[arg(long, default_value = "sordino-out")]
    out: PathBuf,
    /// Methods to compare with, or `none`.
    #[arg(long)]
    baselines: Option<String>,
    /// A file for the figures as JSON; `-` for standard output, with the text on standard error.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Let fedmf and fedrecon draw training negatives around the tracks they are tested on, to reproduce published tables.
    #[arg(long)]
    leaky_negatives: bool,
    /// Epsilons for the curve of privacy against quality, or `none`.
    #[arg(long)]
    curve: Option<String>,
}

#[derive(Args)]
struct CompareArgs {
    /// Scenario files.
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
    /// Folder for the reports.
    #[arg(long, default_value = "sordino-compare")]
    out: PathBuf,
    /// A file for the figures as JSON, an object with one entry a scenario; `-` for standard output, with the text on standard error.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct PlanArgs {
    /// Devices that take part.
    #[arg(long, default_value_t = 100_000)]
    population: usize,
    /// Devices in one secure cohort.
    #[arg(long, default_value_t = 10_000)]
    cohort: usize,
    /// Tracks in the catalogue.
    #[arg(long, default_value_t = 4000)]
    tracks: usize,
    /// Epsilons to look at.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8")]
    epsilon: Vec<f64>,
    /// Delta.
    #[arg(long, default_value_t = 1e-6)]
    delta: f64,
    /// Whether tracks have content features.
    #[arg(long)]
    content: bool,
}

/// The whole tree of commands.
pub fn command() -> clap::Command {
    help::told(<Cli as clap::CommandFactory>::command())
}

/// Parses the arguments, does what they say, and turns errors into one sentence and an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|fault| fault.exit());
    let done = match cli.command {
        Command::Run(args) => run(&args),
        Command::Compare(args) => compare(&args),
        Command::Report { folder } => again::report(&folder),
        Command::Plan(args) => plan(&args),
        Command::Privacy { command } => privacy::run(&command),
        Command::Evaluate(args) => experiments::evaluate(&args),
        Command::Rank(args) => experiments::rank(&args),
        Command::Labels(args) => experiments::labels(&args),
        Command::ColdStart(args) => experiments::cold_start(&args),
        Command::Large(args) => experiments::large(&args),
        Command::Poison(args) => experiments::poison(&args),
        Command::Rollout(args) => experiments::rollout(&args),
        Command::Settings { name } => settings(name.as_deref()),
        Command::World { against, seed } => world(&against, seed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: &RunCommand) -> Result<()> {
    let args = &command.run;
    if command.stream {
        return experiments::stream(args, command.stream_settings.as_deref());
    }
    let scenario = args.scenario()?;
    output::check_places(&args.out, args.json.as_deref())?;
    let early = report::Early::default();
    let tell = |measured: experiment::Measured<'_>| early.hear(measured).iter().for_each(|line| progress::say(line));
    let (results, model) = experiment::run_and_tell(&scenario, &tell)?;
    write(&args.out, &results, model.as_ref())?;
    if let Some(path) = &args.json {
        output::write_to(path, format!("{:#}\n", results.to_json()).as_bytes())?;
    }
    let json = args.json.as_deref();
    output::tell_people(json, &report::text(&results));
    output::tell_people(json, &format!("\nreport: {}\n", args.out.join("report.html").display()));
    Ok(())
}

fn write(folder: &Path, results: &Results, model: Option<&Model>) -> Result<()> {
    let made = shell::made();
    let mut lines = String::new();
    for (name, method) in &results.methods {
        for round in &method.rounds {
            lines.push_str(&format!("{}\n", serde_json::json!({ "method": name, "round": round })));
        }
        lines.push_str(&format!("{}\n", serde_json::json!({ "method": name, "measured": method.measured })));
    }
    let results_json = serde_json::to_vec_pretty(results).expect("results have a form in JSON");
    let mut files = vec![
        ("config.toml", results.scenario.to_toml().into_bytes()),
        ("metrics.jsonl", lines.into_bytes()),
        (output::RESULTS, results_json),
        ("report.html", report::page(results, &made).into_bytes()),
    ];
    if let Some(model) = model {
        files.push(("model.bin", model.to_bytes()));
    }
    if let Some(card) = assess::of_run(results)? {
        files.extend(experiments::card_files(&card));
    }
    output::write_folder(folder, &made, &files)
}

fn compare(args: &CompareArgs) -> Result<()> {
    output::check_places(&args.out, args.json.as_deref())?;
    // All are read before the first is run.
    let scenarios: Vec<(String, Scenario)> = named(&args.scenarios)?
        .into_iter()
        .map(|(name, path)| Ok((name, Scenario::read(path)?)))
        .collect::<Result<_>>()?;
    let mut all = Vec::new();
    let bar = progress::steps(scenarios.len() as u64, "comparing scenarios");
    for (name, scenario) in scenarios {
        progress::say(&format!("{name} ..."));
        all.push((name, experiment::run(&scenario)?.0));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let results = serde_json::to_vec_pretty(&all).expect("results have a form in JSON");
    let made = shell::made();
    let files = [(output::RESULTS, results), ("report.html", report::comparison_page(&all, &made).into_bytes())];
    output::write_folder(&args.out, &made, &files)?;
    if let Some(path) = &args.json {
        let entries: serde_json::Map<_, _> = all.iter().map(|(name, r)| (name.clone(), r.to_json())).collect();
        output::write_to(path, format!("{:#}\n", serde_json::Value::Object(entries)).as_bytes())?;
    }
    let json = args.json.as_deref();
    output::tell_people(json, &report::comparison_text(&all));
    output::tell_people(json, &format!("\nreport: {}\n", args.out.join("report.html").display()));
    Ok(())
}

// Scenarios by the names of their files, or by their paths where two files have one name.
fn named(paths: &[PathBuf]) -> Result<Vec<(String, &Path)>> {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let is_alone = |path: &Path| paths.iter().filter(|other| stem(other) == stem(path)).count() == 1;
    let name = |path: &Path| if is_alone(path) { stem(path) } else { path.display().to_string() };
    let named: Vec<(String, &Path)> = paths.iter().map(|path| (name(path), path.as_path())).collect();
    match named.iter().enumerate().find(|(at, (name, _))| named[..*at].iter().any(|(other, _)| other == name)) {
        Some((_, (name, _))) => Err(Error::input(format!("{name} is given twice: name each scenario once"))),
        None => Ok(named),
    }
}

fn settings(name: Option<&str>) -> Result<()> {
    let Some(name) = name else {
        let each = |file: &keys::File| format!("{:12} {}\n{:12}   {}\n", file.name, file.about, "", file.used);
        output::say(&keys::FILES.iter().map(each).collect::<String>());
        return Ok(());
    };
    let names = || keys::FILES.iter().map(|file| file.name).collect::<Vec<_>>().join(", ");
    let file = keys::FILES.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| Error::input(format!("there is no file '{name}': choose one of {}", names())))?;
    output::say(&keys::file(file));
    Ok(())
}

fn plan(args: &PlanArgs) -> Result<()> {
    if args.population == 0 || args.cohort == 0 || args.tracks == 0 {
        return Err(Error::input("--population, --cohort and --tracks must be at least 1"));
    }
    output::say(&format!(
        "{} devices in cohorts of {}, {} tracks{}, delta {:e}\n",
        args.population,
        args.cohort,
        args.tracks,
        if args.content { " with content" } else { "" },
        args.delta
    ));
    let scenario = Scenario { population: Some(args.population), cohort: args.cohort, ..Scenario::default() };
    for &epsilon in &args.epsilon {
        let target = Target::new(epsilon, args.delta).map_err(|e| Error::input(e.to_string()))?;
        let federation = scenario.federation(args.population, args.population);
        let schedule =
            methods::schedule(&federation, args.tracks, args.content, Some(target.rho(scenario.mechanism)), None, None);
        output::say(&format!("epsilon {epsilon}:\n"));
        schedule.reasons.iter().for_each(|reason| output::say(&format!("  {reason}\n")));
    }
    Ok(())
}

fn world(against: &str, seed: u64) -> Result<()> {
    let real = crate::loaders::load(against)?;
    let ours = experiment::dataset(&Scenario { seed, ..Scenario::default() })?;
    let name = against.split(':').next().unwrap_or(against);
    output::say(&table(&Profile::of(&ours), &Profile::of(&real), name));
    Ok(())
}

impl RunArgs {
    fn scenario(&self) -> Result<Scenario> {
        let mut scenario = match &self.scenario {
            Some(path) => Scenario::read(path)?,
            None => Scenario::default(),
        };
        fn set<T: Clone>(field: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                *field = value.clone();
            }
        }
        set(&mut scenario.data, &self.data);
        set(&mut scenario.protocol, &self.protocol);
        set(&mut scenario.method, &self.method);
        set(&mut scenario.dim, &self.dim);
        set(&mut scenario.rounds, &self.rounds);
        set(&mut scenario.epsilon, &self.epsilon);
        set(&mut scenario.cohort, &self.cohort);
        set(&mut scenario.mode, &self.mode);
        set(&mut scenario.mechanism, &self.mechanism);
        set(&mut scenario.fidelity, &self.fidelity);
        set(&mut scenario.seed, &self.seed);
        set(&mut scenario.threads, &self.threads);
        scenario.strict |= self.strict;
        scenario.fedmf.leaky_negatives |= self.leaky_negatives;
        scenario.labels = self.policy.clone().or(scenario.labels);
        scenario.delta = self.delta.or(scenario.delta);
        scenario.population = self.population.or(scenario.population);
        if let Some(names) = &self.baselines {
            scenario.baselines = parse_list(names, |name| {
                <Method as clap::ValueEnum>::from_str(name, false).map_err(|_| {
                    format!("there is no baseline '{name}': choose from popularity, ials, fedmf, fedrecon, or none")
                })
            })?;
        }
        if let Some(epsilons) = &self.curve {
            scenario.curve = parse_list(epsilons, |text| {
                text.parse().map_err(|_| format!("'{text}' in --curve is not a number: give epsilons, or none"))
            })?;
        }
        scenario.check()?;
        Ok(scenario)
    }
}

fn parse_list<T>(text: &str, parse: impl Fn(&str) -> std::result::Result<T, String>) -> Result<Vec<T>> {
    if text == "none" {
        return Ok(Vec::new());
    }
    text.split(',').map(|part| parse(part.trim()).map_err(Error::input)).collect()
}

fn parse_mechanism(text: &str) -> std::result::Result<Mechanism, String> {
    parse_name(text, &Mechanism::ALL, Mechanism::name)
}

fn parse_mode(text: &str) -> std::result::Result<Mode, String> {
    parse_name(text, &Mode::ALL, Mode::name)
}

fn parse_name<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> std::result::Result<T, String> {
    let names = || all.iter().map(|&one| name(one)).collect::<Vec<_>>().join(", ");
    all.iter().copied().find(|&one| name(one) == text).ok_or_else(|| format!("choose one of {}", names()))
}
