//! `rollout plan|verify`.

use super::{print, time};
use crate::rollout::controller::verify;
use crate::rollout::{Event, Policy};
use anyhow::Context;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Says what each stage of a fleet can see, and refuses a policy whose last stage cannot see its margins.
    Plan {
        /// The policy's file; the built-in policy without it.
        policy: Option<PathBuf>,
        /// Devices of the fleet.
        #[arg(long)]
        devices: usize,
    },
    /// Makes every verdict of a stored course again from its sums, one event in JSON a line.
    Verify {
        /// The policy's file.
        policy: PathBuf,
        /// The course.
        events: PathBuf,
        /// Devices of the fleet that it was planned for.
        #[arg(long)]
        devices: usize,
    },
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Plan { policy, devices } => {
                let policy = policy.as_deref().map_or_else(|| Ok(Policy::named("default")), read)?;
                print(&table(&policy, devices));
                policy.plan(devices)?;
                Ok(())
            }
            Self::Verify { policy, events, devices } => {
                let policy = read(&policy)?;
                let text = std::fs::read_to_string(&events).with_context(|| events.display().to_string())?;
                let parse = |(number, line): (usize, &str)| {
                    serde_json::from_str::<Event>(line)
                        .with_context(|| format!("{}, line {}", events.display(), number + 1))
                };
                let course = text.lines().enumerate().map(parse).collect::<anyhow::Result<Vec<Event>>>()?;
                let controller = verify(&policy, devices, &course)?;
                let looks = course.iter().filter(|event| matches!(event, Event::Looked { .. })).count();
                print(&format!(
                    "{} events, {looks} verdicts made again; it stands at {:?}\n",
                    course.len(),
                    controller.phase()
                ));
                if let Some(Event::Aborted { at, who, why }) = course.last() {
                    print(&format!("taken back at {} by {}: {why}\n", time(*at), who.as_deref().unwrap_or("itself")));
                }
                Ok(())
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let policy: Policy = toml::from_str(&text).with_context(|| format!("{} is no rollout policy", path.display()))?;
    policy.check()?;
    Ok(policy)
}

// What the stages see, in points.
fn table(policy: &Policy, devices: usize) -> String {
    let mut out = format!(
        "{devices} devices; the smallest harm, in points, that a stage finds in four of five cases\n{:>10}",
        ""
    );
    let sight = policy.sight(devices);
    for seen in sight.first().into_iter().flatten() {
        let _ = write!(out, "  {:>28}", seen.guardrail.name());
    }
    for (stage, seen) in policy.stages.iter().zip(&sight) {
        let _ = write!(out, "\n{:>8} %", f64::from(u32::from(stage.share)) / 1e4);
        for of in seen {
            let left = if of.decides { "" } else { ", watched" };
            let _ = write!(out, "  {:>28}", format!("{:.3} of {:.3}{left}", 100.0 * of.smallest, 100.0 * of.margin));
        }
    }
    out.push('\n');
    out
}
