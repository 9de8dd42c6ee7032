//! Stage: label. In: [`ValidEvent`]. Out: [`WeakLabel`].
//!
//! Rules are data, not code: a [`LabelPolicy`] is read from TOML, versioned, and its default is `default.toml` beside
//! this file.

mod policy;
mod said;

pub use policy::{Error, LabelPolicy, Rule, TomlError};
pub use said::{Said, said};

use crate::quality::ValidEvent;
use serde::{Deserialize, Serialize};
use sordino_shared::ids::TrackId;

/// What an event says about its track, from the strongest no to the strongest yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// An explicit no.
    StrongNegative,
    /// A quick skip.
    Negative,
    /// Some sign of a no.
    WeakNegative,
    /// Says nothing.
    Neutral,
    /// Some sign of a yes.
    WeakPositive,
    /// A clear yes.
    Positive,
    /// An explicit yes.
    StrongPositive,
}

impl LabelKind {
    /// All kinds, from no to yes.
    pub const ALL: [Self; 7] = [
        Self::StrongNegative,
        Self::Negative,
        Self::WeakNegative,
        Self::Neutral,
        Self::WeakPositive,
        Self::Positive,
        Self::StrongPositive,
    ];

    /// Whether the label is a yes.
    pub fn is_positive(self) -> bool {
        self > Self::Neutral
    }

    /// The kind's name in policies and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::StrongNegative => "strong_negative",
            Self::Negative => "negative",
            Self::WeakNegative => "weak_negative",
            Self::Neutral => "neutral",
            Self::WeakPositive => "weak_positive",
            Self::Positive => "positive",
            Self::StrongPositive => "strong_positive",
        }
    }
}

/// A label, the event's track and time, and the rule that gave it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeakLabel {
    /// The track.
    pub track: TrackId,
    /// When.
    pub time: crate::event::Timestamp,
    /// What the event says.
    pub kind: LabelKind,
    /// The rule's place in the policy; `None` where none spoke and the label is neutral.
    pub rule: Option<usize>,
}

/// Labels each event by the first rule that speaks.
pub fn label(events: &[ValidEvent], policy: &LabelPolicy) -> Vec<WeakLabel> {
    events
        .iter()
        .map(|valid| {
            let event = valid.event();
            let rule = policy.first_rule(event);
            let kind = rule.map_or(LabelKind::Neutral, |r| policy.rules[r].label);
            WeakLabel { track: event.track, time: event.time, kind, rule }
        })
        .collect()
}
