//! Experiments beside `run`: the ranker, labels, cold starts.

use super::{RunArgs, parse_list, shell};
use crate::assess::{self, AssessSettings};
use crate::cold_start::{self, ColdSettings};
use crate::error::{Error, Result};
use crate::fleet::{self, FleetSettings};
use crate::labels::{self, LabelSettings};
use crate::large::{self, LargeSettings};
use crate::output::{self, Provenance};
use crate::poisoning::{self, PoisonSettings};
use crate::ranking::{self, RankSettings};
use crate::rollout::{self, RolloutSettings};
use crate::scenario::{Auto, Epsilon, Scenario};
use crate::stream::{self, StreamSettings};
use clap::Args;
use serde::Serialize;
use sordino_shared::model::ModelCard;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(super) struct RankArgs {
    #[command(flatten)]
    run: RunArgs,
    /// A file of the ranker's settings; flags win over it.
    #[arg(long)]
    ranker: Option<PathBuf>,
    /// Days at the end that are tested on: a number, or `auto` for the fewest that hold a tenth of the outcomes.
    #[arg(long)]
    test_days: Option<Auto>,
    /// Days after those that are left out: to choose settings by days that no figure is reported on.
    #[arg(long)]
    left_out_days: Option<usize>,
    /// Rounds of the ranker.
    #[arg(long)]
    ranker_rounds: Option<usize>,
    /// Widths of the ranker's hidden layers, or `none` for logistic regression.
    #[arg(long)]
    hidden: Option<String>,
}

#[derive(Args)]
pub(super) struct EvaluateArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Files of models to evaluate, the one in question first; without, the scenario's methods are trained.
    #[arg(long, value_delimiter = ',')]
    models: Vec<PathBuf>,
    /// Epsilon of measuring by private sums, on top of the training's, or `inf`.
    #[arg(long, default_value = "1", allow_negative_numbers = true)]
    metrics_epsilon: Epsilon,
}

#[derive(Args)]
pub(super) struct LabelArgs {
    #[command(flatten)]
    run: RunArgs,
    /// A file of the counting's settings.
    #[arg(long)]
    settings: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ColdArgs {
    #[command(flatten)]
    run: RunArgs,
    /// A file of the experiment's settings; flags win over it.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// The share of the catalogue that is held out.
    #[arg(long)]
    held_out: Option<f64>,
    /// Buckets that features are hashed into.
    #[arg(long)]
    buckets: Option<usize>,
    /// Rounds of the tower.
    #[arg(long)]
    tower_rounds: Option<usize>,
}

#[derive(Args)]
pub(super) struct LargeArgs {
    #[command(flatten)]
    run: RunArgs,
    /// A file of the experiment's settings; flags win over it.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Tracks of the synthetic world.
    #[arg(long)]
    tracks: Option<usize>,
    /// Tracks that one vector holds.
    #[arg(long)]
    rows: Option<usize>,
}

#[derive(Args)]
pub(super) struct RolloutArgs {
    /// A file of the fleet's settings; flags win over it.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Devices of the fleet.
    #[arg(long)]
    devices: Option<usize>,
    /// Rollouts of each candidate.
    #[arg(long)]
    runs: Option<usize>,
    /// A fleet of listeners, device by device and hour by hour, instead of thousands of fleets by their sums.
    #[arg(long)]
    fleet: bool,
    /// Seed of everything.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for figures and report.
    #[arg(long, default_value = "sordino-out")]
    out: PathBuf,
    /// A file for the figures as JSON; `-` for standard output, with the text on standard error.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct PoisonArgs {
    #[command(flatten)]
    run: RunArgs,
    /// A file of the trials' settings; flags win over it.
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Shares of devices that lie.
    #[arg(long, value_delimiter = ',')]
    shares: Option<Vec<f64>>,
}

pub(super) fn rank(args: &RankArgs) -> Result<()> {
    let scenario = prepare(&args.run, "rank", "splits by days")?;
    let mut settings = settings(args.ranker.as_deref(), RankSettings::read)?;
    settings.test_days = args.test_days.unwrap_or(settings.test_days);
    settings.left_out_days = args.left_out_days.unwrap_or(settings.left_out_days);
    settings.rounds = args.ranker_rounds.unwrap_or(settings.rounds);
    if let Some(widths) = &args.hidden {
        settings.ranking.hidden = parse_list(widths, |text| {
            text.parse().map_err(|_| format!("'{text}' in --hidden is no width: give numbers from 1 to 512, or none"))
        })?;
    }
    let (results, ranker) = ranking::run(&scenario, &settings)?;
    let made = shell::made();
    let files = [
        ("ranker.toml", settings.to_toml().into_bytes()),
        ("ranking.txt", ranking::text(&results).into_bytes()),
        ("report.html", ranking::page(&results, &made).into_bytes()),
        ("ranker.bin", ranker.to_bytes()),
    ];
    leave(&args.run, &made, &scenario, (output::RANKING, &results), files.into())?;
    tell(args.run.json.as_deref(), &args.run.out, &ranking::text(&results));
    Ok(())
}

pub(super) fn evaluate(args: &EvaluateArgs) -> Result<()> {
    if !args.models.is_empty() {
        let flags = [("--method", args.run.method.is_some()), ("--baselines", args.run.baselines.is_some())];
        refuse(&flags, "`evaluate --models`, whose models are trained already")?;
    }
    refuse(&[("--curve", args.run.curve.is_some())], "`evaluate`")?;
    let scenario = args.run.scenario()?;
    output::check_places(&args.run.out, args.run.json.as_deref())?;
    let settings = AssessSettings { models: args.models.clone(), metrics_epsilon: args.metrics_epsilon.0 };
    let (results, model) = assess::run(&scenario, &settings)?;
    let made = shell::made();
    let mut files = vec![
        ("assessment.txt", assess::text(&results).into_bytes()),
        ("report.html", assess::page(&results, &made).into_bytes()),
    ];
    if let Some(card) = assess::of_assessment(&results) {
        files.extend(card_files(&card));
    }
    files.extend(model.map(|model| ("model.bin", model.to_bytes())));
    leave(&args.run, &made, &scenario, (output::ASSESSMENT, &results), files)?;
    tell(args.run.json.as_deref(), &args.run.out, &assess::text(&results));
    Ok(())
}

pub(super) fn large(args: &LargeArgs) -> Result<()> {
    let flags = [
        ("--method", args.run.method.is_some()),
        ("--baselines", args.run.baselines.is_some()),
        ("--curve", args.run.curve.is_some()),
        ("--rounds", args.run.rounds.is_some()),
    ];
    refuse(&flags, "`large`, which learns by tower and blocks")?;
    let mut scenario = args.run.scenario()?;
    if let Some(tracks) = args.tracks {
        if scenario.data != "synthetic" {
            return Err(Error::input("--tracks is for the synthetic world: real catalogues have the tracks they have"));
        }
        // As many tracks by an artist as there were.
        scenario.world.artists = (tracks.saturating_mul(scenario.world.artists) / scenario.world.tracks.max(1)).max(1);
        scenario.world.tracks = tracks;
        scenario.check()?;
    }
    output::check_places(&args.run.out, args.run.json.as_deref())?;
    let mut settings = settings(args.settings.as_deref(), LargeSettings::read)?;
    settings.rows = args.rows.unwrap_or(settings.rows);
    settings.dimensions = scenario.dim.given().unwrap_or(settings.dimensions);
    let (results, model) = large::run(&scenario, &settings)?;
    let made = shell::made();
    let files = [
        ("large.toml", settings.to_toml().into_bytes()),
        ("large.txt", large::text(&results).into_bytes()),
        ("report.html", large::page(&results, &made).into_bytes()),
        ("model.bin", model.to_bytes()),
    ];
    leave(&args.run, &made, &scenario, (output::LARGE, &results), files.into())?;
    tell(args.run.json.as_deref(), &args.run.out, &large::text(&results));
    Ok(())
}

pub(super) fn rollout(args: &RolloutArgs) -> Result<()> {
    output::check_places(&args.out, args.json.as_deref())?;
    if args.fleet {
        return fleet(args);
    }
    let mut settings = settings(args.settings.as_deref(), RolloutSettings::read)?;
    settings.devices = args.devices.unwrap_or(settings.devices);
    settings.runs = args.runs.unwrap_or(settings.runs);
    settings.seed = args.seed.unwrap_or(settings.seed);
    let results = rollout::run(&settings)?;
    let made = shell::made();
    let files = [
        ("rollout.toml", settings.to_toml().into_bytes()),
        ("rollout.txt", rollout::text(&results).into_bytes()),
        ("report.html", rollout::page(&results, &made).into_bytes()),
    ];
    write((&args.out, args.json.as_deref()), &made, (output::ROLLOUT, &results), files.into())?;
    tell(args.json.as_deref(), &args.out, &rollout::text(&results));
    Ok(())
}

fn fleet(args: &RolloutArgs) -> Result<()> {
    let mut settings = settings(args.settings.as_deref(), FleetSettings::read)?;
    settings.devices = args.devices.unwrap_or(settings.devices);
    settings.runs = args.runs.unwrap_or(settings.runs);
    settings.seed = args.seed.unwrap_or(settings.seed);
    let results = fleet::run(&settings)?;
    let made = shell::made();
    let files = [
        ("fleet.toml", settings.to_toml().into_bytes()),
        ("fleet.txt", fleet::text(&results).into_bytes()),
        ("report.html", fleet::page(&results, &made).into_bytes()),
    ];
    write((&args.out, args.json.as_deref()), &made, (output::FLEET, &results), files.into())?;
    tell(args.json.as_deref(), &args.out, &fleet::text(&results));
    Ok(())
}

pub(super) fn stream(run: &RunArgs, settings: Option<&Path>) -> Result<()> {
    let scenario = prepare(run, "run --stream", "trains by Sordino's own method and tests on what comes next")?;
    let settings = self::settings(settings, StreamSettings::read)?;
    let (results, model) = stream::run(&scenario, &settings)?;
    let made = shell::made();
    let files = [
        ("stream.toml", settings.to_toml().into_bytes()),
        ("stream.txt", stream::text(&results).into_bytes()),
        ("report.html", stream::page(&results, &made).into_bytes()),
        ("model.bin", model.to_bytes()),
    ];
    leave(run, &made, &scenario, (output::STREAM, &results), files.into())?;
    tell(run.json.as_deref(), &run.out, &stream::text(&results));
    Ok(())
}

pub(super) fn poison(args: &PoisonArgs) -> Result<()> {
    let flags = [("--baselines", args.run.baselines.is_some()), ("--curve", args.run.curve.is_some())];
    refuse(&flags, "`poison`")?;
    let scenario = args.run.scenario()?;
    output::check_places(&args.run.out, args.run.json.as_deref())?;
    let mut settings = settings(args.settings.as_deref(), PoisonSettings::read)?;
    if let Some(shares) = &args.shares {
        settings.shares.clone_from(shares);
    }
    let results = poisoning::run(&scenario, &settings)?;
    let made = shell::made();
    let files = [
        ("poisoning.toml", settings.to_toml().into_bytes()),
        ("poisoning.txt", poisoning::text(&results).into_bytes()),
        ("report.html", poisoning::page(&results, &made).into_bytes()),
    ];
    leave(&args.run, &made, &scenario, (output::POISONING, &results), files.into())?;
    tell(args.run.json.as_deref(), &args.run.out, &poisoning::text(&results));
    Ok(())
}

/// A model's card for people and for scripts.
pub(super) fn card_files(card: &ModelCard) -> [(&'static str, Vec<u8>); 2] {
    let json = serde_json::to_vec_pretty(card).expect("a card has a form in JSON");
    [("model-card.md", card.to_markdown().into_bytes()), ("model-card.json", json)]
}

pub(super) fn labels(args: &LabelArgs) -> Result<()> {
    let scenario = prepare(&args.run, "labels", "deals devices into parts")?;
    let settings = settings(args.settings.as_deref(), LabelSettings::read)?;
    let results = labels::run(&scenario, &settings)?;
    let made = shell::made();
    let files = [
        ("labels.toml", settings.to_toml().into_bytes()),
        ("policy.toml", results.policy.to_toml().into_bytes()),
        ("labels.txt", labels::text(&results).into_bytes()),
        ("report.html", labels::page(&results, &made).into_bytes()),
    ];
    leave(&args.run, &made, &scenario, (output::LABELS, &results), files.into())?;
    tell(args.run.json.as_deref(), &args.run.out, &labels::text(&results));
    Ok(())
}

pub(super) fn cold_start(args: &ColdArgs) -> Result<()> {
    let scenario = prepare(&args.run, "cold-start", "holds tracks out whole")?;
    let mut settings = settings(args.settings.as_deref(), ColdSettings::read)?;
    settings.held_out = args.held_out.unwrap_or(settings.held_out);
    settings.buckets = args.buckets.unwrap_or(settings.buckets);
    settings.rounds = args.tower_rounds.unwrap_or(settings.rounds);
    settings.dimensions = scenario.dim.given().unwrap_or(settings.dimensions);
    let (results, tower) = cold_start::run(&scenario, &settings)?;
    let made = shell::made();
    let files = [
        ("cold-start.toml", settings.to_toml().into_bytes()),
        ("cold-start.txt", cold_start::text(&results).into_bytes()),
        ("report.html", cold_start::page(&results, &made).into_bytes()),
        ("tower.bin", tower.to_bytes()),
    ];
    leave(&args.run, &made, &scenario, (output::COLD_START, &results), files.into())?;
    tell(args.run.json.as_deref(), &args.run.out, &cold_start::text(&results));
    Ok(())
}

// Flags of `run` that another command has no use for.
fn refuse(flags: &[(&str, bool)], command: &str) -> Result<()> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Error::input(format!("{flag} means nothing to {command}: leave it out"))),
        None => Ok(()),
    }
}

// A file of settings, or the built-in ones without it.
fn settings<T: Default>(path: Option<&Path>, read: fn(&Path) -> Result<T>) -> Result<T> {
    path.map_or_else(|| Ok(T::default()), read)
}

// The scenario, once its flags make sense for a command that splits the data in its own way and has a folder to write to.
fn prepare(run: &RunArgs, command: &str, does: &str) -> Result<Scenario> {
    let flags = [
        ("--protocol", run.protocol.is_some()),
        ("--method", run.method.is_some()),
        ("--baselines", run.baselines.is_some()),
        ("--curve", run.curve.is_some()),
    ];
    refuse(&flags, &format!("`{command}`, which {does}"))?;
    let scenario = run.scenario()?;
    output::check_places(&run.out, run.json.as_deref())?;
    Ok(scenario)
}

// Writes what an experiment leaves: its results as JSON, the scenario, and more files beside them.
fn leave(
    run: &RunArgs,
    made: &Provenance,
    scenario: &Scenario,
    results: (&'static str, &impl Serialize),
    mut files: Vec<(&str, Vec<u8>)>,
) -> Result<()> {
    files.push(("config.toml", scenario.to_toml().into_bytes()));
    write((&run.out, run.json.as_deref()), made, results, files)
}

fn write(
    (out, json): (&Path, Option<&Path>),
    made: &Provenance,
    (name, results): (&'static str, &impl Serialize),
    mut files: Vec<(&str, Vec<u8>)>,
) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(results).expect("results have a form in JSON");
    files.push((name, bytes.clone()));
    output::write_folder(out, made, &files)?;
    json.map_or(Ok(()), |path| output::write_to(path, &bytes))
}

// The tables, and where the page is.
fn tell(json: Option<&Path>, out: &Path, text: &str) {
    output::tell_people(json, &format!("{text}\nreport: {}\n", out.join("report.html").display()));
}
