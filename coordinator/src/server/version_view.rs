//! Versions as people see them: where they come from, how good devices have told that they are, and under which numbers they are signed.

use crate::store::VersionRow;
use serde::{Deserialize, Serialize};
use sordino_shared::control::hexadecimal;
use sordino_shared::registry::{Serving, Targets};
use std::collections::BTreeSet;

/// What people see of a version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VersionView {
    /// Its number at this coordinator.
    pub number: u64,
    /// The release counters that its weights are signed under.
    pub counters: Vec<u64>,
    /// The task that learnt it, or where it came from.
    pub task: String,
    /// What kind of round it came from.
    pub after: Option<String>,
    /// Devices in that round's sum.
    pub devices: Option<u64>,
    /// Whether it ranks by popularity alone; `false` where that is not known.
    pub is_popularity: bool,
    /// How much better than popularity it is, once devices were asked.
    pub advantage: Option<Advantage>,
    /// Where it is popularity since what was learnt beyond was not better: how that fared.
    pub turned_down: Option<Advantage>,
    /// When it was made, in milliseconds since 1970.
    pub made: i64,
}

/// What a round of comparison has told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Advantage {
    /// The difference in NDCG over the whole catalogue, on tracks that devices held out; above 0 where the model is ahead of popularity.
    pub better: f64,
    /// The deviation of the noise in it.
    pub deviation: f64,
    /// Devices that told.
    pub devices: u64,
}

/// What people have signed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SignedView {
    /// Versions, the newest first.
    pub versions: Vec<SignedVersion>,
    /// Rollouts.
    pub rollouts: Vec<SignedRollout>,
}

/// A signed version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedVersion {
    /// Its release counter.
    pub counter: u64,
    /// Its number at the coordinator.
    pub number: u64,
    /// Whether its weights were signed before, under a lower counter.
    pub is_old: bool,
    /// SHA-256 of the weights, in hexadecimal.
    #[serde(skip)]
    pub digest: String,
}

/// A signed rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedRollout {
    /// Its name.
    pub name: String,
    /// The release counter of its candidate.
    pub candidate: u64,
}

/// What is looked at of a version's description; an import's may hold other things.
#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    after: Option<String>,
    devices: Option<u64>,
    dimensions: Option<u64>,
    verdict: Option<(f64, f64)>,
}

impl About {
    fn of(row: &VersionRow) -> Self {
        serde_json::from_str(&row.about).unwrap_or_default()
    }

    fn told(&self) -> Option<Advantage> {
        let (better, deviation) = self.verdict?;
        Some(Advantage { better, deviation, devices: self.devices? })
    }
}

impl VersionView {
    /// The last versions, and those that serve somebody, the newest first.
    pub(super) fn all(rows: &[VersionRow], signed: &SignedView, serving: &Serving) -> Vec<Self> {
        let candidate = serving.candidate.as_ref().map(|of| of.counter);
        let kept = serving.holdback.as_ref().map(|of| of.counter);
        let counters = [serving.good, serving.before, candidate, kept];
        let used: BTreeSet<u64> =
            counters.into_iter().flatten().chain(serving.pins.iter().map(|pin| pin.counter)).collect();
        let serving: BTreeSet<u64> =
            signed.versions.iter().filter(|of| used.contains(&of.counter)).map(|of| of.number).collect();
        let first = rows.len().saturating_sub(MOST_VERSIONS);
        let shown = |at: &usize| *at >= first || serving.contains(&rows[*at].number);
        (0..rows.len()).rev().filter(shown).map(|at| Self::of(rows, at, signed)).collect()
    }

    fn of(rows: &[VersionRow], at: usize, signed: &SignedView) -> Self {
        let (row, about) = (&rows[at], About::of(&rows[at]));
        let is_popularity = about.dimensions == Some(0);
        // A comparison is of the model that its task had made last.
        let next = rows[at + 1..].iter().find(|next| next.task == row.task && row.round.is_some());
        let asked = next.map(About::of).and_then(|next| next.told());
        let told = about.told();
        let mut counters: Vec<u64> =
            signed.versions.iter().filter(|of| of.digest == row.digest).map(|of| of.counter).collect();
        counters.sort_unstable();
        Self {
            number: row.number,
            counters,
            task: row.task.clone(),
            devices: about.devices,
            is_popularity,
            advantage: told.or(asked).filter(|_| !is_popularity),
            turned_down: told.filter(|_| is_popularity),
            after: about.after,
            made: row.made,
        }
    }
}

impl SignedView {
    /// Of everything that is signed.
    pub(crate) fn of(targets: &Targets) -> Self {
        let mut weights = BTreeSet::new();
        let version = |counter| {
            let (file, info) = targets.version_of(counter)?;
            let (number, is_old) = (info.version, !weights.insert(file.digest));
            Some(SignedVersion { counter, number, is_old, digest: hexadecimal(&file.digest) })
        };
        let mut versions: Vec<SignedVersion> = targets.versions().into_iter().filter_map(version).collect();
        versions.reverse();
        let rollout = |name: String| {
            let (_, terms) = targets.rollout(&name)?;
            Some(SignedRollout { name, candidate: terms.candidate })
        };
        Self { versions, rollouts: targets.rollouts().into_iter().filter_map(rollout).collect() }
    }

    /// What is left to be begun, and of versions the last ones.
    pub(super) fn without(&self, begun: &[&str]) -> Self {
        let rollouts = self.rollouts.iter().filter(|rollout| !begun.contains(&rollout.name.as_str())).cloned();
        Self { versions: self.versions.iter().take(MOST_SIGNED).cloned().collect(), rollouts: rollouts.collect() }
    }
}

const MOST_VERSIONS: usize = 8;
const MOST_SIGNED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64, task: &str, about: &str) -> VersionRow {
        VersionRow {
            number,
            digest: format!("weights {number}"),
            length: 1,
            task: task.into(),
            round: Some(number),
            parent: None,
            about: about.into(),
            made: 0,
        }
    }

    fn signed(numbers: &[(u64, u64)]) -> SignedView {
        let version = |(counter, number): &(u64, u64)| SignedVersion {
            counter: *counter,
            number: *number,
            is_old: false,
            digest: format!("weights {number}"),
        };
        SignedView { versions: numbers.iter().map(version).collect(), rollouts: Vec::new() }
    }

    const POPULARITY: &str = r#"{"after":"popularity","devices":200,"dimensions":0,"verdict":null}"#;
    const FACTORS: &str = r#"{"after":"factors","devices":199,"dimensions":4,"verdict":null}"#;

    #[test]
    fn a_comparison_tells_of_the_model_that_was_compared() {
        for (dimensions, ships) in [(4, true), (0, false)] {
            let compared =
                format!(r#"{{"after":"comparison","devices":198,"dimensions":{dimensions},"verdict":[0.04,0.01]}}"#);
            // Another task makes a version in between.
            let rows = [row(1, "a", POPULARITY), row(2, "a", FACTORS), row(3, "b", FACTORS), row(4, "a", &compared)];
            let views = VersionView::all(&rows, &signed(&[(9, 4)]), &Serving::default());
            let numbers: Vec<u64> = views.iter().map(|view| view.number).collect();
            assert_eq!(numbers, [4, 3, 2, 1]);
            let told = Some(Advantage { better: 0.04, deviation: 0.01, devices: 198 });
            assert_eq!((views[0].advantage, views[0].turned_down), if ships { (told, None) } else { (None, told) });
            assert_eq!((views[0].counters.as_slice(), views[0].is_popularity), (&[9][..], !ships));
            assert_eq!((views[1].advantage, views[2].advantage), (None, told), "asked of the task's own alone");
            assert_eq!((views[3].advantage, views[3].is_popularity), (None, true));
        }
    }

    #[test]
    fn old_versions_are_shown_as_long_as_they_serve() {
        let rows: Vec<VersionRow> = (1..=50).map(|number| row(number, "a", FACTORS)).collect();
        let serving = Serving { good: Some(70), before: Some(60), ..Serving::default() };
        let views = VersionView::all(&rows, &signed(&[(60, 3), (70, 50), (65, 20)]), &serving);
        let numbers: Vec<u64> = views.iter().map(|view| view.number).collect();
        assert_eq!(numbers, [50, 49, 48, 47, 46, 45, 44, 43, 3]);
        // What an import says of itself is not ours.
        assert_eq!(VersionView::of(&[row(1, "elsewhere", "[]")], 0, &signed(&[])).devices, None);
    }
}
