//! Keys of label policies and privacy plans, whose files are written whole.

use super::{File, Section, key};
use crate::privacy::explain::PlanFile;
use sordino_client::label::LabelPolicy;

pub(super) const POLICY: File = File {
    name: "policy",
    title: "A label policy",
    about: "What an event says about its track: the first rule decides whose conditions all hold. `labels` writes one.",
    used: "sordino-simulator run --policy FILE, or the key `labels` of a scenario",
    sections: &[
        Section { name: "", about: "", keys: &[key("version", "whole number", "2", "grows with each change")] },
        Section {
            name: "confidence",
            about: "Confidence by label: `weak_positive`, `positive`, `strong_positive`. One that is not named counts 1.",
            keys: &[
                key("strong_positive", "number", "4.0", "the confidence of an explicit yes"),
                key("positive", "number", "2.0", "the confidence of a clear yes"),
                key("weak_positive", "number", "0.5", "the confidence of some sign of a yes"),
            ],
        },
        Section {
            name: "[rules]",
            about: "The rules, in their order; each begins with `[[rules]]`. A condition that is not named holds.",
            keys: &[
                key("name", "text", "\"like\"", "for people"),
                key(
                    "kind",
                    "list of `play`, `skip`, `replay`, `add_to_playlist`, `like`, `dislike`, `seek`",
                    "[\"like\"]",
                    "the event is one of these",
                ),
                key(
                    "reason_end",
                    "list of `unknown`, `track_done`, `listener`, `application`, `fault`",
                    "[\"listener\"]",
                    "it ended for one of these reasons",
                ),
                key("seconds_under", "number", "30.0", "listened for fewer seconds than this"),
                key("seconds_over", "number", "30.0", "listened for more seconds than this"),
                key("fraction_under", "number", "0.5", "played less than this share of the track"),
                key("fraction_at_least", "number", "0.8", "played at least this share of the track"),
                key(
                    "label",
                    "`strong_negative`, `negative`, `weak_negative`, `neutral`, `weak_positive`, `positive`, `strong_positive`",
                    "\"positive\"",
                    "what the event then says",
                ),
                key(
                    "confidence",
                    "number",
                    "1.5",
                    "the confidence of what it says, where it is a yes and the rule has one of its own",
                ),
            ],
        },
    ],
    defaults: None,
    example: "# A like, a track that was heard to its end, and nothing else.\nversion = 1\n\n[confidence]\nstrong_positive = 4.0\npositive = 1.0\n\n\
              [[rules]]\nname = \"like\"\nkind = [\"like\"]\nlabel = \"strong_positive\"\n\n\
              [[rules]]\nname = \"heard\"\nkind = [\"play\", \"replay\"]\nfraction_at_least = 0.8\nlabel = \"positive\"\n\n\
              [[rules]]\nname = \"anything else\"\nlabel = \"neutral\"\n",
    check: |text| LabelPolicy::from_toml(text).map(drop).map_err(|fault| fault.to_string()),
};

pub(super) const PLAN: File = File {
    name: "plan",
    title: "A privacy plan",
    about: "What one training asks of a device; simulator/plans has an example.",
    used: "sordino-simulator privacy explain FILE",
    sections: &[
        Section {
            name: "",
            about: "",
            keys: &[
                key(
                    "mode",
                    "`secure`, `central`, `central-mf`, `local`",
                    "\"central\"",
                    "who adds the noise; must be given",
                ),
                key(
                    "mechanism",
                    "`discrete-gaussian`, `skellam`",
                    "\"skellam\"",
                    "the distribution of the devices' noise; without it discrete-gaussian",
                ),
                key("cohort", "whole number", "1000", "devices in one sum; must be given"),
                key(
                    "honest_fraction",
                    "0 to 1",
                    "0.6",
                    "share of a cohort that is sure to be honest and to survive; without it 1",
                ),
                key("epsilon", "number", "2.0", "for one device over all rounds; must be given"),
                key("delta", "0 to 1", "1e-6", "its delta; must be given"),
                key("rounds", "whole number", "10", "rounds of the training; must be given"),
                key(
                    "separation",
                    "whole number",
                    "2",
                    "rounds from one participation of a device to the next, for central-mf; without it 1",
                ),
                key(
                    "check_in",
                    "0 to 1",
                    "0.02",
                    "the probability with which a device takes part in a round, drawn by itself and in secret; without it always",
                ),
            ],
        },
        Section {
            name: "[blocks]",
            about: "The blocks of a device's vector; each begins with `[[blocks]]`.",
            keys: &[
                key("name", "text", "\"rows\"", "for people; must be given"),
                key("rows", "whole number", "4000", "rows; must be given"),
                key("width", "whole number", "32", "values in a row; without it 1"),
                key("clip", "number", "1.0", "the L2 norm that the block may have; must be given"),
                key("share", "0 to 1", "0.98", "its share of a round's rho; without it 1"),
                key(
                    "rotation",
                    "`none`, `hadamard`",
                    "\"hadamard\"",
                    "whether it is rotated before rounding; without it none",
                ),
            ],
        },
    ],
    defaults: None,
    example: include_str!("../../plans/secure.toml"),
    check: |text| toml::from_str::<PlanFile>(text).map(drop).map_err(|fault| fault.to_string()),
};
