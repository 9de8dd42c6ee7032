//! The label policy: rules as data.

use super::LabelKind;
use crate::event::{EventKind, PlaybackEvent, Reason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// A versioned list of rules with the confidence that each kind of positive label carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelPolicy {
    /// The policy's version; grows with each change.
    pub version: u32,
    /// Confidence by label; a positive label without one counts 1.
    pub confidence: BTreeMap<LabelKind, f32>,
    /// The rules, the first that speaks deciding.
    pub rules: Vec<Rule>,
}

/// One rule: conditions that must all hold, and the label given then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For people.
    pub name: String,
    /// The event's kind is one of these; any kind where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<EventKind>,
    /// The end's reason is one of these; any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reason_end: Vec<Reason>,
    /// Listened for fewer seconds than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_under: Option<f32>,
    /// Listened for more seconds than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_over: Option<f32>,
    /// Played less than this fraction of the track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction_under: Option<f32>,
    /// Played at least this fraction of the track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction_at_least: Option<f32>,
    /// What the event then says.
    pub label: LabelKind,
}

/// Why a policy cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Not TOML, or not of the policy's form.
    #[error("the label policy cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// Nothing to learn from.
    #[error("the label policy needs at least one rule with a positive label")]
    NoPositive,
    /// A confidence that is not a positive number.
    #[error("the confidence of {} must be a positive number, not {confidence}", kind.name())]
    Confidence {
        /// The label.
        kind: LabelKind,
        /// What was given.
        confidence: f32,
    },
}

impl LabelPolicy {
    /// Reads and checks a policy.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let policy: Self = toml::from_str(text)?;
        if !policy.rules.iter().any(|rule| rule.label.is_positive()) {
            return Err(Error::NoPositive);
        }
        match policy.confidence.iter().find(|(_, c)| !(**c > 0.0 && c.is_finite())) {
            Some((&kind, &confidence)) => Err(Error::Confidence { kind, confidence }),
            None => Ok(policy),
        }
    }

    /// The place of the first rule that speaks of this event.
    pub fn first_rule(&self, event: &PlaybackEvent) -> Option<usize> {
        self.rules.iter().position(|rule| rule.speaks_of(event))
    }

    /// The confidence of a label; 0 for what is not positive.
    pub fn confidence_of(&self, kind: LabelKind) -> f32 {
        if kind.is_positive() { self.confidence.get(&kind).copied().unwrap_or(1.0) } else { 0.0 }
    }
}

impl Default for LabelPolicy {
    fn default() -> Self {
        Self::from_toml(include_str!("default.toml")).expect("the default policy is checked by a test")
    }
}

impl Rule {
    fn speaks_of(&self, event: &PlaybackEvent) -> bool {
        let listed = self.kind.is_empty() || self.kind.contains(&event.kind);
        let ended = self.reason_end.is_empty() || self.reason_end.contains(&event.reason_end);
        let holds = |value: Option<f32>, limit: Option<f32>, test: fn(f32, f32) -> bool| match (value, limit) {
            (_, None) => true,
            (Some(value), Some(limit)) => test(value, limit),
            (None, Some(_)) => false,
        };
        let (seconds, fraction) = (event.seconds_listened, event.played_fraction());
        listed
            && ended
            && holds(seconds, self.seconds_under, |v, limit| v < limit)
            && holds(seconds, self.seconds_over, |v, limit| v > limit)
            && holds(fraction, self.fraction_under, |v, limit| v < limit)
            && holds(fraction, self.fraction_at_least, |v, limit| v >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use sordino_shared::ids::TrackId;

    fn label(kind: EventKind, seconds: Option<f32>, length: Option<f32>) -> LabelKind {
        let mut event = PlaybackEvent::new(TrackId(0), Timestamp(0), kind);
        event.seconds_listened = seconds;
        event.track_seconds = length;
        let policy = LabelPolicy::default();
        policy.first_rule(&event).map_or(LabelKind::Neutral, |rule| policy.rules[rule].label)
    }

    #[test]
    fn the_seed_rules_are_exact() {
        use EventKind::{AddToPlaylist, Replay, Skip};
        assert_eq!(label(Skip, Some(9.99), Some(200.0)), LabelKind::Negative);
        assert_ne!(label(Skip, Some(10.0), Some(200.0)), LabelKind::Negative);
        assert_eq!(label(Replay, Some(60.01), Some(200.0)), LabelKind::Positive);
        assert_ne!(label(Replay, Some(60.0), Some(200.0)), LabelKind::Positive);
        assert_eq!(label(AddToPlaylist, None, None), LabelKind::StrongPositive);
    }

    #[test]
    fn plays_are_graded() {
        use EventKind::{Dislike, Like, Play, Seek, Skip};
        assert_eq!(label(Like, None, None), LabelKind::StrongPositive);
        assert_eq!(label(Dislike, None, None), LabelKind::StrongNegative);
        assert_eq!(label(Play, Some(190.0), Some(200.0)), LabelKind::WeakPositive);
        assert_eq!(label(Play, Some(30.0), Some(200.0)), LabelKind::Neutral);
        assert_eq!(label(Play, None, None), LabelKind::WeakPositive);
        assert_eq!(label(Skip, Some(30.0), Some(200.0)), LabelKind::WeakNegative);
        assert_eq!(label(Skip, Some(170.0), Some(200.0)), LabelKind::WeakPositive);
        assert_eq!(label(Seek, Some(5.0), Some(200.0)), LabelKind::Neutral);
    }

    #[test]
    fn bad_policies_are_refused() {
        assert!(matches!(LabelPolicy::from_toml("version = 'x'"), Err(Error::Toml(_))));
        assert!(matches!(LabelPolicy::from_toml("version = 1\nrules = []\n[confidence]"), Err(Error::NoPositive)));
        let text = include_str!("default.toml").replace("weak_positive = 1.0", "weak_positive = -1.0");
        assert!(matches!(LabelPolicy::from_toml(&text), Err(Error::Confidence { kind: LabelKind::WeakPositive, .. })));
        let text = include_str!("default.toml").replace("seconds_over = 60.0", "seconds_ovr = 60.0");
        assert!(matches!(LabelPolicy::from_toml(&text), Err(Error::Toml(_))));
    }
}
