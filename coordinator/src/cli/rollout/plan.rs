//! Before a rollout: what its stages can see, and how often its gates would be wrong.

use super::super::words::{Table, quoted, shown};
use super::super::{print, time};
use crate::rollout::controller::verify;
use crate::rollout::rehearsal::{self, Fleet};
use crate::rollout::{Event, Guardrail, Policy};
use anyhow::Context;
use sordino_shared::privacy::rounded;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Plan {
    /// The policy's file; without it a policy is proposed. A fleet of under 333,334 devices begins with 5 % instead of 1 %,
    /// one of under 66,667 with 25 %.
    policy: Option<PathBuf>,
    /// Devices of the fleet.
    #[arg(long)]
    devices: usize,
    /// Writes what is proposed to a file, whose name becomes the rollout's, to be changed and signed.
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    write: Option<PathBuf>,
}

impl Plan {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let name = self.write.as_deref().and_then(Path::file_stem).map(|name| name.to_string_lossy().into_owned());
        let policy = match &self.policy {
            Some(path) => read(path)?,
            None => Policy::for_fleet(name.as_deref().unwrap_or("default"), self.devices),
        };
        print(&table(&policy, self.devices));
        policy.plan(self.devices)?;
        if let Some(path) = &self.write {
            let text = toml::to_string(&policy).expect("a policy has a form in TOML");
            // A policy that somebody has changed since is theirs.
            let made = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
            let written = made.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
            match written {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    anyhow::bail!(
                        "{} exists already and stays as it is: name another file with --write",
                        path.display()
                    )
                }
                written => written.with_context(|| path.display().to_string())?,
            }
            print(&format!("written to {}\n", quoted(path)));
        }
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
            print(&format!("taken back at {} by {}: {}\n", time(*at), who.as_deref().unwrap_or("itself"), shown(why)));
        }
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Simulate {
    /// The policy's file; what `rollout plan` proposes without it.
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
        let proposed = || Ok(Policy::for_fleet("default", self.devices));
        let policy = self.policy.as_deref().map_or_else(proposed, read)?;
        anyhow::ensure!(self.runs > 0, "--runs must be at least 1");
        let mut table = Table::new(&["candidate", ">taken back %", ">promoted %", ">held %"]);
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
            let figures = [share(back), share(through), held].map(|share| format!("{share:.1}"));
            table.row(std::iter::once(candidate.name.to_string()).chain(figures).collect());
        }
        let (devices, runs, seed) = (self.devices, self.runs, self.seed);
        print(&format!("{devices} devices, {runs} rollouts of each candidate, seed {seed}\n{table}"));
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
    let sight = policy.sight(devices);
    let mut headings = vec!["guardrail".to_owned(), ">margin".to_owned()];
    for stage in &policy.stages {
        let kind = if stage.shadow { " shadow" } else { "" };
        headings.push(format!(">{} %{kind}", f64::from(u32::from(stage.share)) / 1e4));
    }
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    for (row, guardrail) in Guardrail::ALL.into_iter().enumerate() {
        let of: Vec<_> = sight.iter().filter_map(|seen| seen.get(row)).collect();
        let margin = of.first().map_or(0.0, |seen| seen.margin);
        let mut cells = vec![guardrail.name().to_owned(), format!("{:.2}", 100.0 * margin)];
        cells.extend(of.iter().map(|seen| {
            let left = if seen.decides { "" } else { " *" };
            // A share cannot be worse by more than all of it: then the stage sees nothing.
            if seen.smallest >= 1.0 { format!("nothing{left}") } else { format!("{:.2}{left}", 100.0 * seen.smallest) }
        }));
        table.row(cells);
    }
    let mut out = format!(
        "{devices} devices. The smallest harm that a stage finds in four of five cases, in points (hundredths);\n\
         *: only watched there, no condition to go on\n\n{table}\n"
    );
    for (number, stage) in policy.stages.iter().enumerate() {
        let (cohort, kind) =
            (policy.cohort_devices(number, devices), if stage.shadow { ", in the shadow" } else { "" });
        let _ = writeln!(out, "stage {}{kind}: {} rounds of {cohort} devices", number + 1, stage.looks);
    }
    let _ = writeln!(
        out,
        "a device spends epsilon {} at delta {:e} on all {} stages, one contribution each",
        rounded::up(policy.claim().epsilon, 2),
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
