//! Experiments beside `run`: the ranker, labels, cold starts.

use super::{RunArgs, parse_list};
use crate::cold_start::{self, ColdSettings};
use crate::error::{Error, Result};
use crate::labels::{self, LabelSettings};
use crate::output;
use crate::ranking::{self, RankSettings};
use crate::scenario::{Auto, Scenario};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

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

pub(super) fn rank(args: &RankArgs) -> Result<()> {
    let scenario = prepare(&args.run, "rank", "splits by days")?;
    let mut settings = args.ranker.as_deref().map_or_else(|| Ok(RankSettings::default()), RankSettings::read)?;
    settings.test_days = args.test_days.unwrap_or(settings.test_days);
    settings.left_out_days = args.left_out_days.unwrap_or(settings.left_out_days);
    settings.rounds = args.ranker_rounds.unwrap_or(settings.rounds);
    if let Some(widths) = &args.hidden {
        settings.ranking.hidden = parse_list(widths, |text| {
            text.parse().map_err(|_| format!("'{text}' in --hidden is no width: give numbers from 1 to 512, or none"))
        })?;
    }
    let (results, ranker) = ranking::run(&scenario, &settings)?;
    let files = [
        ("ranker.toml", settings.to_toml().into_bytes()),
        ("ranking.txt", ranking::text(&results).into_bytes()),
        ("ranker.bin", ranker.to_bytes()),
    ];
    leave(&args.run, &scenario, (output::RANKING, &results), files.into())?;
    output::say(&ranking::text(&results));
    Ok(())
}

pub(super) fn labels(args: &LabelArgs) -> Result<()> {
    let scenario = prepare(&args.run, "labels", "deals devices into parts")?;
    let settings = args.settings.as_deref().map_or_else(|| Ok(LabelSettings::default()), LabelSettings::read)?;
    let results = labels::run(&scenario, &settings)?;
    let files = [("labels.toml", settings.to_toml().into_bytes()), ("labels.txt", labels::text(&results).into_bytes())];
    leave(&args.run, &scenario, (output::LABELS, &results), files.into())?;
    output::say(&labels::text(&results));
    Ok(())
}

pub(super) fn cold_start(args: &ColdArgs) -> Result<()> {
    let scenario = prepare(&args.run, "cold-start", "holds tracks out whole")?;
    let mut settings = args.settings.as_deref().map_or_else(|| Ok(ColdSettings::default()), ColdSettings::read)?;
    settings.held_out = args.held_out.unwrap_or(settings.held_out);
    settings.buckets = args.buckets.unwrap_or(settings.buckets);
    settings.rounds = args.tower_rounds.unwrap_or(settings.rounds);
    settings.dimensions = scenario.dim.given().unwrap_or(settings.dimensions);
    let (results, tower) = cold_start::run(&scenario, &settings)?;
    let files = [
        ("cold-start.toml", settings.to_toml().into_bytes()),
        ("cold-start.txt", cold_start::text(&results).into_bytes()),
        ("tower.bin", tower.to_bytes()),
    ];
    leave(&args.run, &scenario, (output::COLD_START, &results), files.into())?;
    output::say(&cold_start::text(&results));
    Ok(())
}

// The scenario, once its flags make sense for a command that splits the data in its own way and has a folder to write to.
fn prepare(run: &RunArgs, command: &str, does: &str) -> Result<Scenario> {
    let flags = [
        ("--protocol", run.protocol.is_some()),
        ("--method", run.method.is_some()),
        ("--baselines", run.baselines.is_some()),
        ("--curve", run.curve.is_some()),
    ];
    if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
        return Err(Error::input(format!("{flag} means nothing to `{command}`, which {does}: leave it out")));
    }
    let scenario = run.scenario()?;
    output::check_folder(&run.out)?;
    Ok(scenario)
}

// Writes what an experiment leaves: its results as JSON, the scenario, and more files beside them.
fn leave(
    run: &RunArgs,
    scenario: &Scenario,
    (name, results): (&'static str, &impl Serialize),
    mut files: Vec<(&str, Vec<u8>)>,
) -> Result<()> {
    let json = serde_json::to_vec_pretty(results).expect("results have a form in JSON");
    if let Some(path) = &run.json {
        output::write_whole(path, &json)?;
    }
    files.push(("config.toml", scenario.to_toml().into_bytes()));
    files.push((name, json));
    output::write_folder(&run.out, &files)
}
