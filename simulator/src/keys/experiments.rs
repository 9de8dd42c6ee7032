//! Keys of the experiments beside `run`.

use super::{CLIP_KEYS, File, Section, TOWER_KEYS, key, parse};
use crate::cold_start::ColdSettings;
use crate::fleet::FleetSettings;
use crate::labels::LabelSettings;
use crate::large::LargeSettings;
use crate::poisoning::PoisonSettings;
use crate::ranking::RankSettings;
use crate::rollout::RolloutSettings;
use crate::stream::StreamSettings;

pub(super) const STREAM: File = File {
    name: "stream",
    title: "A stream",
    about: "How listening is cut into steps, for training that goes on.",
    used: "sordino-simulator run --stream --stream-settings FILE",
    sections: &[Section {
        name: "",
        about: "",
        keys: &[
            key("step_days", "whole number or `auto`", "7", "days in a step; `auto`: a fourteenth of what there is"),
            key(
                "steps",
                "whole number",
                "8",
                "steps, counted back from the end; what comes before the first is there when the stream begins",
            ),
            key("window_days", "whole number", "30", "days that devices remember; without it all"),
            key(
                "first_share",
                "0 to 1",
                "0.4",
                "the first training's share of the budget where others follow, which share the rest alike",
            ),
            key("central", "true or false", "false", "whether a central factorisation is refitted on every step"),
        ],
    }],
    defaults: Some(|| StreamSettings::default().to_toml()),
    example: "# A step a week, and devices that remember a month.\nstep_days = 7\nsteps = 6\nwindow_days = 30\n",
    check: parse::<StreamSettings>,
};

pub(super) const RANKER: File = File {
    name: "ranker",
    title: "The ranker",
    about: "How the ranker is trained and measured.",
    used: "sordino-simulator rank --ranker FILE",
    sections: &[
        Section {
            name: "",
            about: "",
            keys: &[
                key(
                    "test_days",
                    "whole number or `auto`",
                    "3",
                    "days at the end that are tested on; `auto`: the fewest that hold a tenth of all outcomes",
                ),
                key(
                    "left_out_days",
                    "whole number",
                    "3",
                    "days after those that are left out, so that settings are chosen by days that no figure is reported on",
                ),
                key(
                    "outcome",
                    "`kept`, or `{ heard = { seconds = 18.0 } }`",
                    "\"kept\"",
                    "what is asked of a track that was shown: that it was not skipped, or heard for so long",
                ),
                key("rounds", "whole number", "50", "rounds of the ranker"),
                key(
                    "central_rounds",
                    "whole number",
                    "100",
                    "steps of the rankers that are trained centrally for comparison",
                ),
                key("rates_clip", "number", "4.0", "L2 norm of a device's counts"),
                key("centre", "0 to 1", "0.3", "a public guess of how often tracks please"),
            ],
        },
        Section {
            name: "ranking",
            about: "The training itself.",
            keys: &[
                key(
                    "hidden",
                    "list of whole numbers",
                    "[16]",
                    "widths of the hidden layers; `[]` for logistic regression",
                ),
                key("passes", "whole number", "2", "passes of a device over its lists"),
                key("device_rate", "number", "0.05", "the device's step, from the second pass on"),
                key("rate", "number", "0.05", "the coordinator's step"),
                key("pairwise", "number", "0.2", "how much the pairwise loss counts beside the log-loss"),
                key(
                    "averaged",
                    "0 to 1",
                    "0.3",
                    "the share of the last rounds whose rankers are averaged for the result",
                ),
            ],
        },
        Section { name: "ranking.clip", about: "The clip of a device's gradient, and how it moves.", keys: CLIP_KEYS },
    ],
    defaults: Some(|| RankSettings::default().to_toml()),
    example: "# Logistic regression, tested on the last three days.\ntest_days = 3\n\n[ranking]\nhidden = []\n",
    check: parse::<RankSettings>,
};

pub(super) const LABELS: File = File {
    name: "labels",
    title: "Counting of labels",
    about: "How what listeners said is counted.",
    used: "sordino-simulator labels --settings FILE",
    sections: &[
        Section {
            name: "",
            about: "",
            keys: &[
                key("said_clip", "number", "1.0", "L2 norm of a device's counts of what it said"),
                key("played_clip", "number", "2.0", "L2 norm of a device's counts of all that it played"),
                key(
                    "folds",
                    "whole number",
                    "5",
                    "parts that devices are dealt into; each is measured with what the others gave",
                ),
            ],
        },
        Section {
            name: "bands",
            about: "Bands of what was played, by their inner edges, ascending.",
            keys: &[
                key(
                    "fractions",
                    "list of numbers",
                    "[0.2, 0.5, 0.9]",
                    "edges of the played share; 1 is the whole track once",
                ),
                key("seconds", "list of numbers", "[30.0]", "edges of the track's length, in seconds"),
            ],
        },
    ],
    defaults: Some(|| LabelSettings::default().to_toml()),
    example: "# Fewer cells, for a small fleet.\nfolds = 5\n\n[bands]\nfractions = [0.2, 0.5, 0.9]\nseconds = [30.0]\n",
    check: parse::<LabelSettings>,
};

pub(super) const COLD_START: File = File {
    name: "cold-start",
    title: "Tracks that nobody has heard",
    about: "How many tracks are held out whole, and how the tower that places them is trained.",
    used: "sordino-simulator cold-start --settings FILE",
    sections: &[
        Section {
            name: "",
            about: "",
            keys: &[
                key("held_out", "0 to 1", "0.1", "the share of the catalogue that is held out"),
                key("cut", "whole number", "100", "how many recommendations recall counts"),
                key("buckets", "whole number", "8192", "buckets that features are hashed into"),
                key("dimensions", "whole number", "32", "dimensions of the tower"),
                key("spread", "number", "3.0", "how far apart the first places lie"),
                key("rounds", "whole number", "30", "rounds of the tower"),
                key(
                    "central_rounds",
                    "whole number",
                    "60",
                    "most steps of the tower that is trained centrally; the best is kept",
                ),
            ],
        },
        Section { name: "tower", about: "The tower's training.", keys: TOWER_KEYS },
        Section { name: "tower.clip", about: "The clip of a device's gradient, and how it moves.", keys: CLIP_KEYS },
    ],
    defaults: Some(|| ColdSettings::default().to_toml()),
    example: "# A fifth of the catalogue is new.\nheld_out = 0.2\nrounds = 40\n\n[tower]\nrate = 0.03\n",
    check: parse::<ColdSettings>,
};

pub(super) const LARGE: File = File {
    name: "large",
    title: "A catalogue larger than a vector",
    about: "How a catalogue is learnt of which a device's vector holds a part.",
    used: "sordino-simulator large --settings FILE",
    sections: &[
        Section {
            name: "",
            about: "",
            keys: &[
                key("rows", "whole number", "4096", "tracks that one vector holds"),
                key("buckets", "whole number", "4096", "buckets of the tower"),
                key("dimensions", "whole number", "16", "dimensions of tower and table"),
                key("tower_rounds", "whole number", "20", "rounds of the tower"),
                key(
                    "shares",
                    "four numbers",
                    "[0.3, 0.2, 0.48, 0.02]",
                    "what is spent on the tower, on popularity, on the table's rows, and on asking whether they are better than popularity",
                ),
                key(
                    "whole_up_to",
                    "whole number",
                    "50000",
                    "the table is also learnt whole, in one block, where the catalogue has no more tracks than this",
                ),
            ],
        },
        Section { name: "tower", about: "The tower's training.", keys: TOWER_KEYS },
        Section { name: "tower.clip", about: "The clip of a device's gradient, and how it moves.", keys: CLIP_KEYS },
    ],
    defaults: Some(|| LargeSettings::default().to_toml()),
    example: "# Smaller vectors.\nrows = 4096\ndimensions = 16\n",
    check: parse::<LargeSettings>,
};

pub(super) const POISON: File = File {
    name: "poison",
    title: "Devices that lie",
    about: "How many devices lie, and how.",
    used: "sordino-simulator poison --settings FILE",
    sections: &[Section {
        name: "",
        about: "",
        keys: &[
            key("shares", "list of numbers", "[0.01, 0.1]", "shares of devices that lie, each above 0 and at most 0.5"),
            key(
                "times",
                "whole number",
                "10",
                "how many times too long the vectors of devices are whose code nothing holds to its bound",
            ),
            key(
                "charts",
                "whole number",
                "15",
                "tracks of the charts in a made-up history, beside the one that is pushed",
            ),
        ],
    }],
    defaults: Some(|| PoisonSettings::default().to_toml()),
    example: "# One liar in a hundred, and one in ten.\nshares = [0.01, 0.1]\ntimes = 20\n",
    check: parse::<PoisonSettings>,
};

pub(super) const ROLLOUT: File = File {
    name: "rollout",
    title: "Rollouts by their sums",
    about: "A fleet, and the way of candidates through it, thousands of times.",
    used: "sordino-simulator rollout --settings FILE",
    sections: &[Section {
        name: "",
        about: "",
        keys: &[
            key("devices", "whole number", "1000000", "devices of the fleet"),
            key("contributing", "0 to 1", "0.3", "the share of an arm's devices that contribute to a stage, once each"),
            key(
                "stages",
                "list of numbers",
                "[0.01, 0.05, 0.25]",
                "shares of the devices that have the candidate, stage by stage",
            ),
            key("looks", "whole number", "5", "releases of a stage, which are its looks"),
            key("noise", "number", "10.0", "deviation of the noise in each value of a release"),
            key(
                "abort_error",
                "0 to 1",
                "0.05",
                "chance to abort a candidate that does no harm, over all guardrails, looks and stages",
            ),
            key("promote_error", "0 to 1", "0.05", "chance to promote one that is worse by a margin, in each stage"),
            key(
                "margins",
                "section of numbers by guardrail",
                "{ skip_rate = 0.02 }",
                "how much worse each guardrail may be, where not as by default: `skip_rate`, `ndcg`, `return`, `crash`, `slow`, `load_failure`, `worst_skip_rate`",
            ),
            key(
                "watched",
                "list of guardrails",
                "[\"crash\"]",
                "guardrails that may be left to the abort rule in the last stage too, where that cannot see their margins",
            ),
            key("runs", "whole number", "1000", "rollouts of each candidate"),
            key("seed", "whole number", "7", "seed of everything"),
        ],
    }],
    defaults: Some(|| RolloutSettings::default().to_toml()),
    example: "# A smaller fleet, in larger stages.\ndevices = 1000000\nstages = [0.05, 0.25]\nruns = 1000\n\n[margins]\nskip_rate = 0.02\n",
    check: parse::<RolloutSettings>,
};

pub(super) const FLEET: File = File {
    name: "fleet",
    title: "Rollouts device by device",
    about: "A fleet of listeners, hour by hour.",
    used: "sordino-simulator rollout --fleet --settings FILE",
    sections: &[Section {
        name: "",
        about: "",
        keys: &[
            key("devices", "whole number", "20000", "devices, those that join later with them"),
            key("late", "0 to 1", "0.2", "the share that joins later, within thirty days"),
            key("asks", "0 to 1", "0.8", "chance that a phone asks in a night"),
            key("leaving", "0 to 1", "0.003", "chance in a day that a listener who is served as usual leaves for good"),
            key("leaving_factor", "number", "2.0", "how much more likely that is where satisfaction is a tenth lower"),
            key(
                "stages",
                "list of numbers",
                "[0.05, 0.25]",
                "shares of the devices that have the candidate, stage by stage",
            ),
            key("shadow", "true or false", "true", "whether the first stage serves nobody"),
            key("looks", "whole number", "5", "looks of a stage"),
            key("dwell_hours", "whole number", "48", "hours that a stage lasts at least"),
            key("contributing", "0 to 1", "0.3", "the share of devices that contribute to a stage"),
            key("noise", "number", "10.0", "deviation of the noise in each value of a release"),
            key(
                "margins",
                "section of numbers by guardrail",
                "{ skip_rate = 0.02 }",
                "how much worse each guardrail may be, as for rollouts by their sums",
            ),
            key("watched", "list of guardrails", "[\"crash\"]", "guardrails that are left to the abort rule"),
            key("days", "whole number", "60", "days after which a rollout that has not ended is given up"),
            key("runs", "whole number", "1", "fleets for each candidate"),
            key("seed", "whole number", "7", "seed of everything"),
        ],
    }],
    defaults: Some(|| FleetSettings::default().to_toml()),
    example: "# A small fleet without a shadow stage.\ndevices = 50000\nstages = [0.1, 0.5]\nshadow = false\n",
    check: parse::<FleetSettings>,
};
