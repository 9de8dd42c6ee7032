//! Before a rollout: what its stages can see, and how often its gates would be wrong.

use super::super::{print, time};
use crate::rollout::controller::verify;
use crate::rollout::rehearsal::{self, Fleet};
use crate::rollout::{Event, Guardrail, Policy};
use anyhow::Context;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Plan {
    /// The policy's file; the built-in policy without it.
    policy: Option<PathBuf>,
    /// Devices of the fleet.
    #[arg(long)]
    devices: usize,
}

impl Plan {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let policy = self.policy.as_deref().map_or_else(|| Ok(Policy::named("default")), read)?;
        print(&table(&policy, self.devices));
        policy.plan(self.devices)?;
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Verify {
    /// The policy's file.
    policy: PathBuf,
    /// The course.
    events: PathBuf,
    /// Devices of the fleet that it was planned for.
    #[arg(long)]
    devices: usize,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let policy = read(&self.policy)?;
        let text = std::fs::read_to_string(&self.events).with_context(|| self.events.display().to_string())?;
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str::<Event>(line)
                .with_context(|| format!("{}, line {}", self.events.display(), number + 1))
        };
        let course = text.lines().enumerate().map(parse).collect::<anyhow::Result<Vec<Event>>>()?;
        let controller = verify(&policy, self.devices, &course)?;
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

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Simulate {
    /// The policy's file; the built-in policy without it.
    policy: Option<PathBuf>,
    /// Devices of the fleet.
    #[arg(long)]
    devices: usize,
    /// Rollouts of each candidate.
    #[arg(long, default_value_t = 1000)]
    runs: usize,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Simulate {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let policy = self.policy.as_deref().map_or_else(|| Ok(Policy::named("default")), read)?;
        anyhow::ensure!(self.runs > 0, "--runs must be at least 1");
        let mut out = format!(
            "{} devices, {} rollouts of each candidate, seed {}; shares in percent\n{:<28}{:>10}{:>10}{:>10}\n",
            self.devices, self.runs, self.seed, "candidate", "taken back", "promoted", "held"
        );
        let fleet = Fleet::new(&policy, self.devices);
        for (number, candidate) in rehearsal::candidates().iter().enumerate() {
            let (mut back, mut through) = (0usize, 0usize);
            let mut known = Default::default();
            for run in 0..self.runs {
                let end = fleet.roll(candidate, &mut known, false, &mut rehearsal::chance(self.seed, number, run));
                back += usize::from(end.verdict == crate::rollout::Verdict::Breach);
                through += usize::from(end.verdict == crate::rollout::Verdict::Pass);
            }
            let share = |count: usize| 100.0 * count as f64 / self.runs as f64;
            let held = share(self.runs - back - through);
            let _ = writeln!(out, "{:<28}{:>10.1}{:>10.1}{held:>10.1}", candidate.name, share(back), share(through));
        }
        print(&out);
        Ok(())
    }
}

/// Reads a policy and checks it.
pub(super) fn read(path: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let policy: Policy = toml::from_str(&text).with_context(|| format!("{} is no rollout policy", path.display()))?;
    policy.check()?;
    Ok(policy)
}

// What the stages see, in points, a row each guardrail.
fn table(policy: &Policy, devices: usize) -> String {
    let mut out = format!(
        "{devices} devices; the smallest harm, in points, that a stage finds in four of five cases\n{:<30}",
        ""
    );
    let sight = policy.sight(devices);
    for stage in &policy.stages {
        let kind = if stage.shadow { " shadow" } else { "" };
        let _ = write!(out, "{:>24}", format!("{} %{kind}", f64::from(u32::from(stage.share)) / 1e4));
    }
    for (row, guardrail) in Guardrail::ALL.into_iter().enumerate() {
        let _ = write!(out, "\n{:<30}", guardrail.name());
        for of in sight.iter().filter_map(|seen| seen.get(row)) {
            let left = if of.decides { "" } else { ", watched" };
            let _ = write!(out, "{:>24}", format!("{:.2} of {:.2}{left}", 100.0 * of.smallest, 100.0 * of.margin));
        }
    }
    out.push('\n');
    for (number, stage) in policy.stages.iter().enumerate() {
        let (cohort, kind) =
            (policy.cohort_devices(number, devices), if stage.shadow { ", in the shadow" } else { "" });
        let _ = writeln!(out, "stage {}{kind}: {} rounds of {cohort} devices", number + 1, stage.looks);
    }
    let _ = writeln!(
        out,
        "a device spends epsilon {:.2} at delta {:e} on all {} stages, one contribution each",
        policy.claim().epsilon,
        policy.delta,
        policy.stages.len()
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_says_the_defaults() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rollouts");
        let example = read(&folder.join("example.toml")).expect("the example");
        let built_in = Policy { margins: example.margins.clone(), ..Policy::named("spring") };
        assert_eq!(example, built_in);
        assert!(example.margins.iter().all(|(guardrail, margin)| *margin == guardrail.margin()));
        example.plan(1_000_000).expect("a fleet that it can judge");
    }
}
