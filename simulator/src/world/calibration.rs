//! What the world takes from real listening, and a comparison that anybody can run again.
//!
//! The figures are of the standard log of KuaiRand-Pure, 25 to 30 April 2022 (Gao et al. 2022, CC BY-SA 4.0; 94,784 plays
//! by 21,184 people). `sordino-simulator world --against kuairand:DIR` prints both distributions side by side;
//! docs/world.md holds its output.

use crate::dataset::Dataset;
use sordino_client::event::EventKind;

/// Quantiles of play time over duration: (share of plays, ratio).
pub const RATIO_QUANTILES: [(f64, f64); 9] = [
    (0.0, 0.0),
    (0.10, 0.001),
    (0.25, 0.018),
    (0.50, 0.096),
    (0.75, 0.575),
    (0.85, 0.97),
    (0.90, 1.03),
    (0.95, 1.21),
    (1.0, 3.0),
];
/// Share of plays that are skips.
pub const SKIPS: f64 = 0.485;
/// Share of plays that go on past 1.2 of the track.
pub const REPLAYS: f64 = 0.051;
/// Share of plays with a like, a dislike, and a follow or a forward.
pub const LIKES: f64 = 0.0171;
/// See [`LIKES`].
pub const DISLIKES: f64 = 0.0007;
/// See [`LIKES`].
pub const PLAYLISTS: f64 = 0.0021;

/// The played ratio at a rank in [0, 1], by straight lines between the quantiles.
pub fn ratio(rank: f64) -> f64 {
    let upper = RATIO_QUANTILES.partition_point(|&(share, _)| share < rank).clamp(1, RATIO_QUANTILES.len() - 1);
    let ((s0, r0), (s1, r1)) = (RATIO_QUANTILES[upper - 1], RATIO_QUANTILES[upper]);
    r0 + (r1 - r0) * ((rank - s0) / (s1 - s0)).clamp(0.0, 1.0)
}

/// What is compared between the world and a real set.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    ratios: Vec<f64>,
    plays_by_listener: Vec<f64>,
    kinds: [u64; 7],
}

impl Profile {
    /// Measures a data set, all of its devices.
    pub fn of(dataset: &Dataset) -> Self {
        let mut profile = Self::default();
        for device in 0..dataset.devices() {
            let mut plays = 0u32;
            let events = dataset.events(device);
            // Explicit events count where the play is known that they are about: histories have others.
            let known: std::collections::BTreeSet<_> =
                events.iter().filter(|e| e.played_fraction().is_some()).map(|e| (e.track, e.time)).collect();
            for event in events.iter() {
                let kind = EventKind::ALL.iter().position(|k| *k == event.kind).unwrap_or(0);
                plays += u32::from(event.kind.is_listening());
                // Plays without a known length (the histories of KuaiRand) say nothing about ratios.
                if let (true, Some(fraction)) = (event.kind.is_listening(), event.played_fraction()) {
                    profile.kinds[kind] += 1;
                    profile.ratios.push(f64::from(fraction));
                } else if !event.kind.is_listening() && known.contains(&(event.track, event.time)) {
                    profile.kinds[kind] += 1;
                }
            }
            profile.plays_by_listener.push(f64::from(plays));
        }
        profile.ratios.sort_by(f64::total_cmp);
        profile.plays_by_listener.sort_by(f64::total_cmp);
        profile
    }

    /// Rows of (what, value).
    pub fn rows(&self) -> Vec<(String, f64)> {
        let quantile = |sorted: &[f64], share: f64| {
            sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last()).copied().unwrap_or(0.0)
        };
        let mut rows: Vec<(String, f64)> = [0.10, 0.25, 0.50, 0.75, 0.90, 0.95]
            .iter()
            .map(|&share| (format!("played ratio, {:.0} % quantile", share * 100.0), quantile(&self.ratios, share)))
            .collect();
        let plays = self.ratios.len().max(1) as f64;
        for (kind, count) in EventKind::ALL.iter().zip(self.kinds) {
            rows.push((format!("{} per 100 plays", kind.name()), 100.0 * count as f64 / plays));
        }
        for share in [0.25, 0.50, 0.75, 0.95] {
            let value = quantile(&self.plays_by_listener, share);
            rows.push((format!("plays of a listener, {:.0} % quantile", share * 100.0), value));
        }
        rows
    }
}

/// The comparison as a Markdown table.
pub fn table(world: &Profile, real: &Profile, real_name: &str) -> String {
    let mut out = format!("| measure | world | {real_name} |\n|---|---:|---:|\n");
    for ((what, ours), (_, theirs)) in world.rows().iter().zip(real.rows()) {
        out.push_str(&format!("| {what} | {ours:.3} | {theirs:.3} |\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_function_passes_its_points_and_grows() {
        for (share, expected) in RATIO_QUANTILES {
            assert!((ratio(share) - expected).abs() < 1e-12);
        }
        assert!((0..1000).all(|i| ratio(f64::from(i) / 1000.0) <= ratio(f64::from(i + 1) / 1000.0)));
    }
}
