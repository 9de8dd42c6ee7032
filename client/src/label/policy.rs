//! The label policy: rules as data.

pub use toml::de::Error as TomlError;

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
    /// The confidence of what it says, where it is yes and the rule has one of its own; its label's otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
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
        let kinds = policy.confidence.iter().map(|(&kind, &confidence)| (kind, confidence));
        let rules = policy.rules.iter().filter_map(|rule| Some((rule.label, rule.confidence?)));
        match kinds.chain(rules).find(|(_, c)| !(*c > 0.0 && c.is_finite())) {
            Some((kind, confidence)) => Err(Error::Confidence { kind, confidence }),
            None => Ok(policy),
        }
    }

    /// The policy as TOML, as [`Self::from_toml`] reads it.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every field of a policy has a form in TOML")
    }

    /// The place of the first rule that speaks of this event.
    pub fn first_rule(&self, event: &PlaybackEvent) -> Option<usize> {
        self.rules.iter().position(|rule| rule.speaks_of(event))
    }

    /// The confidence of what a rule says, by the rule's place; 0 for what is not positive.
    pub fn confidence_of(&self, kind: LabelKind, rule: Option<usize>) -> f32 {
        if !kind.is_positive() {
            return 0.0;
        }
        let own = rule.and_then(|place| self.rules.get(place)).and_then(|rule| rule.confidence);
        own.or_else(|| self.confidence.get(&kind).copied()).unwrap_or(1.0)
    }

    /// The policy with the confidence of each rule about plays that says yes set from what came of it: its likelihood ratio for a
    /// yes over the mean one of such rules, so that their plays count 1 on average, kept between a third and 3. `seen` holds, by
    /// rule, how many plays it decided and the share of them that an explicit yes came after; rules that decided none keep theirs.
    pub fn calibrated(&self, seen: &[(f64, f64)]) -> Self {
        let says_yes = |rule: &Rule| rule.label.is_positive() && rule.is_about_plays();
        let counted = || self.rules.iter().zip(seen).filter(|(rule, (plays, _))| says_yes(rule) && *plays >= 1.0);
        let plays: f64 = counted().map(|(_, (plays, _))| plays).sum();
        // P(rule | yes) / P(rule) = P(yes | rule) / P(yes).
        let mean = counted().map(|(_, (plays, yes))| plays * yes).sum::<f64>() / plays;
        let mut policy = self.clone();
        for (rule, &(plays, yes)) in policy.rules.iter_mut().zip(seen) {
            if says_yes(rule) && plays >= 1.0 && mean > 0.0 {
                let confidence = (yes / mean).clamp(CONFIDENCES.0, CONFIDENCES.1);
                // Two places are more than the counts can tell.
                rule.confidence = Some((100.0 * confidence).round() as f32 / 100.0);
            }
        }
        policy.version += 1;
        policy
    }
}

impl Default for LabelPolicy {
    fn default() -> Self {
        Self::from_toml(include_str!("default.toml")).expect("the default policy is checked by a test")
    }
}

impl Rule {
    /// Whether it can decide about plays, and not about explicit actions alone.
    pub fn is_about_plays(&self) -> bool {
        self.kind.is_empty() || self.kind.iter().any(|kind| kind.is_listening())
    }

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

// What a calibrated confidence may be: from a third to that of an explicit yes.
const CONFIDENCES: (f64, f64) = (1.0 / 3.0, 3.0);

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
    fn rules_are_worth_what_came_of_them() {
        let policy = LabelPolicy::default();
        let place = |name: &str| policy.rules.iter().position(|rule| rule.name == name).expect("a rule of this name");
        let (full, half, like, skip) =
            (place("full play"), place("half play"), place("like"), place("skip under 10 s"));
        let mut seen = vec![(0.0, 0.0); policy.rules.len()];
        // A yes after one in ten full plays and one in fifty half ones; as many of each.
        seen[full] = (1000.0, 0.1);
        seen[half] = (1000.0, 0.02);
        seen[skip] = (5000.0, 0.001);
        let calibrated = policy.calibrated(&seen);
        let confidence = |rule: usize| calibrated.confidence_of(calibrated.rules[rule].label, Some(rule));
        assert_eq!((confidence(full), confidence(half)), (1.67, 0.33));
        assert_eq!((confidence(like), confidence(skip)), (3.0, 0.0));
        assert_eq!(calibrated.rules[place("listened")].confidence, None, "what nobody did keeps its label's");
        assert_eq!(calibrated.version, policy.version + 1);
        let text = calibrated.to_toml();
        assert_eq!(LabelPolicy::from_toml(&text).expect("its own text"), calibrated);
        assert!(LabelPolicy::from_toml(&text.replace("confidence = 1.67", "confidence = -1.67")).is_err());
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
