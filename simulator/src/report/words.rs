//! Names that people understand for what the code calls otherwise.

use crate::methods::Method;
use crate::population::Protocol;
use sordino_client::quality::BotRule;
use sordino_shared::privacy::{Adjacency, Mode};

/// What a method is.
pub(crate) fn method(name: &str) -> &'static str {
    match name {
        _ if name == Method::Sordino.name() => "federated, under the private sum",
        _ if name == Method::Fedmf.name() => "plain federated descent",
        _ if name == Method::Fedrecon.name() => "plain federated descent, without vectors that are kept",
        _ if name == Method::Ials.name() => "a central factorisation that sees everybody's data",
        _ if name == Method::Popularity.name() => "the same list for everybody, from everybody's data",
        "truth" => "knows every listener's true taste: an upper bound",
        _ => "",
    }
}

/// The neighbouring relation.
pub(crate) fn adjacency(of: Adjacency) -> &'static str {
    match of {
        Adjacency::ZeroOut => "zero-out: one device's vector becomes zeros",
        Adjacency::ReplaceOne => "replace-one: one device's vector becomes any other",
    }
}

/// Against whom.
pub(crate) fn mode(of: Mode) -> &'static str {
    match of {
        Mode::Secure => "secure: against the coordinator and readers of the model; devices add the noise, under masks",
        Mode::Central => "central: against readers of the model; the coordinator adds the noise and is trusted",
        Mode::CentralMf => {
            "central-mf: against readers of all models; the coordinator adds correlated noise and is trusted"
        }
        Mode::Local => "local: against anybody; each device adds all the noise itself",
    }
}

/// Why a device's vectors were withheld.
pub(crate) fn rule(of: BotRule) -> &'static str {
    match of {
        BotRule::MoreThanADay => "more than 24 hours of music in a day",
        BotRule::SkipStorm => "more than 300 skips in an hour",
        BotRule::Loop => "one track more than 50 times in a day",
        BotRule::Metronome => "plays that begin as regularly as a clock",
        BotRule::NeverPauses => "twenty hours without a pause of half an hour",
    }
}

/// How test tracks are chosen and ranked.
pub(crate) fn protocol(of: Protocol) -> &'static str {
    match of {
        Protocol::Loo => "leave one out, ranked over the whole catalogue",
        Protocol::Loo99 => "leave one out, ranked among 99 tracks drawn at random",
        Protocol::Time => "a split in time, ranked over the whole catalogue",
        Protocol::Hash => "a tenth of each listener's tracks, ranked over the whole catalogue",
    }
}

/// Who has no held-out track, by a protocol.
pub(crate) fn untested(of: Protocol) -> &'static str {
    match of {
        Protocol::Loo | Protocol::Loo99 => "they have fewer than three tracks to learn from, all of which train",
        Protocol::Time => "they liked nothing new in the days that are tested on",
        Protocol::Hash => "none of their tracks fell into the tenth that is held out",
    }
}

/// A whole number with its thousands apart, as in `12 345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap_or_default()).collect();
    parts.join("\u{202f}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, words) in [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(count(number), words);
        }
    }
}
