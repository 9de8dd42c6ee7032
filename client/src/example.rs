//! Stage: examples. In: [`WeakLabel`]. Out: [`Labelled`], one a track.

use crate::event::Timestamp;
use crate::label::{LabelKind, LabelPolicy, WeakLabel};
use sordino_shared::ids::TrackId;
use sordino_shared::model::Example;

/// A track that the listener gave a positive label, once, with its strongest label and when it was first liked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labelled {
    /// Track and confidence.
    pub example: Example,
    /// The first positive label's time: the moment a recommender would have had to foresee.
    pub time: Timestamp,
}

/// Gathers labels by track, in ascending order of tracks.
///
/// The strongest positive label sets the confidence, however often the track was played: a track on repeat should not
/// drown the others. A later explicit no takes the track out.
pub fn examples(labels: &[WeakLabel], policy: &LabelPolicy) -> Vec<Labelled> {
    let mut by_track: Vec<&WeakLabel> = labels.iter().filter(|l| l.kind != LabelKind::Neutral).collect();
    by_track.sort_by_key(|l| (l.track, l.time));
    by_track.chunk_by(|a, b| a.track == b.track).filter_map(|track| gather(track, policy)).collect()
}

fn gather(labels: &[&WeakLabel], policy: &LabelPolicy) -> Option<Labelled> {
    let last_no = labels.iter().rposition(|l| l.kind == LabelKind::StrongNegative);
    let since = &labels[last_no.map_or(0, |i| i + 1)..];
    let positive = || since.iter().filter(|l| l.kind.is_positive());
    let confidence = positive().map(|l| policy.confidence_of(l.kind, l.rule)).fold(0.0, f32::max);
    let first = positive().next()?;
    Some(Labelled { example: Example { track: TrackId(first.track.0), confidence }, time: first.time })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weak(track: u32, time: i64, kind: LabelKind) -> WeakLabel {
        WeakLabel { track: TrackId(track), time: Timestamp(time), kind, rule: None }
    }

    #[test]
    fn each_track_once_with_its_strongest_yes() {
        use LabelKind::{Negative, Neutral, Positive, StrongNegative, StrongPositive, WeakPositive};
        let labels = [
            weak(5, 30, StrongPositive),
            weak(5, 10, WeakPositive),
            weak(1, 5, Negative),
            weak(2, 7, Neutral),
            weak(3, 1, StrongPositive),
            weak(3, 2, StrongNegative),
            weak(4, 1, StrongNegative),
            weak(4, 2, Positive),
        ];
        let got: Vec<(u32, f32, i64)> = examples(&labels, &LabelPolicy::default())
            .iter()
            .map(|l| (l.example.track.0, l.example.confidence, l.time.0))
            .collect();
        assert_eq!(got, vec![(4, 1.5, 2), (5, 3.0, 10)]);
    }
}
