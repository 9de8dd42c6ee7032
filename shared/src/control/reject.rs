//! Why a request is refused, in a form that a program can act on and a person can read.

use crate::plain;
use crate::wire::{self, Decode, Encode, Kind};

/// What kind of refusal it is. The number on the wire is the place in this list; new codes go to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Code {
    /// The frame cannot be read, or has no place here: a fault of the sender's program.
    Malformed,
    /// The frame is of a version that the receiver does not speak.
    Version,
    /// The sender needs a certificate, or a new one.
    NotEnrolled,
    /// The token is unknown, used or over.
    Token,
    /// The platform's attestation was refused.
    Attestation,
    /// The sender's certificate was revoked.
    Revoked,
    /// No such round here: it is over, or never was.
    UnknownRound,
    /// The step's time is over.
    TooLate,
    /// The round has all the devices that it takes.
    Full,
    /// The sender has said something else before, in this step.
    Contradiction,
    /// The message does not hold: its signature, its parts.
    Invalid,
    /// The round was given up; nothing of it was opened.
    Abandoned,
    /// No such model here.
    UnknownModel,
    /// The receiver has not heard the step's message: send it (again).
    SendAgain,
    /// Too much at once: come again later.
    Busy,
    /// The sender asks for more than it may.
    Limit,
}

impl Code {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::Version,
        Self::NotEnrolled,
        Self::Token,
        Self::Attestation,
        Self::Revoked,
        Self::UnknownRound,
        Self::TooLate,
        Self::Full,
        Self::Contradiction,
        Self::Invalid,
        Self::Abandoned,
        Self::UnknownModel,
        Self::SendAgain,
        Self::Busy,
        Self::Limit,
    ];

    /// Its name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::NotEnrolled => "not_enrolled",
            Self::Token => "token",
            Self::Attestation => "attestation",
            Self::Revoked => "revoked",
            Self::UnknownRound => "unknown_round",
            Self::TooLate => "too_late",
            Self::Full => "full",
            Self::Contradiction => "contradiction",
            Self::Invalid => "invalid",
            Self::Abandoned => "abandoned",
            Self::UnknownModel => "unknown_model",
            Self::SendAgain => "send_again",
            Self::Busy => "busy",
            Self::Limit => "limit",
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reject {
    /// What kind.
    pub code: Code,
    /// One sentence for a person, as it came: [`crate::plain::shown`] fits it into a line.
    pub reason: String,
}

impl Reject {
    /// A refusal; a long reason is cut.
    pub fn new(code: Code, reason: impl std::fmt::Display) -> Self {
        let mut reason = reason.to_string();
        let end = (0..=reason.len().min(MOST_REASON)).rev().find(|&end| reason.is_char_boundary(end));
        reason.truncate(end.unwrap_or(0));
        Self { code, reason }
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        wire::encode(Kind::Reject, self, &[])
    }

    /// From a frame.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
        Ok(wire::decode(frame, Kind::Reject, 0)?.0)
    }
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The other side's words: they stay one line wherever they are shown.
        write!(f, "{} ({})", plain::shown(&self.reason), self.code.name())
    }
}

const MOST_REASON: usize = 500;
