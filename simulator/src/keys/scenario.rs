//! The scenario's keys.

use super::{CLIP_KEYS, File, Section, key, parse};
use crate::scenario::Scenario;

pub(super) const SCENARIO: File = File {
    name: "scenario",
    title: "A scenario",
    about: "Everything that decides what a run does. A run leaves its own as `config.toml`. Flags of the same name win over the file.",
    used: "sordino-simulator run --scenario FILE",
    sections: &[TOP, MODEL, FEDMF, FEDMF_CLIP, MASKS, WORLD],
    defaults: Some(|| Scenario::default().to_toml()),
    example: "# Listening of one's own at a small epsilon, for a fleet of a hundred thousand.\n\
              data = \"csv:plays.csv\"\nprotocol = \"loo\"\nepsilon = 2.0\ndelta = 1e-6\npopulation = 100000\n\
              baselines = [\"popularity\"]\ncurve = [1.0, 2.0]\n",
    check: parse::<Scenario>,
};

const TOP: Section = Section {
    name: "",
    about: "",
    keys: &[
        key(
            "data",
            "text",
            "\"csv:plays.csv\"",
            "`synthetic` for the built-in world, or KIND:PATH (docs/data.md has the kinds)",
        ),
        key(
            "protocol",
            "`loo`, `loo99`, `time`, `hash`",
            "\"time\"",
            "how test tracks are chosen and ranked: the latest track among the whole catalogue, among 99, by a split in time, or a tenth by hash",
        ),
        key(
            "method",
            "`sordino`, `fedmf`, `fedrecon`, `ials`, `popularity`",
            "\"sordino\"",
            "the method that the run is about",
        ),
        key("baselines", "list of methods", "[\"popularity\"]", "methods to compare with; `[]` for none"),
        key("dim", "whole number or `auto`", "16", "dimensions of the embeddings; `auto`: the planner chooses"),
        key(
            "rounds",
            "whole number or `auto`",
            "3",
            "embedding rounds; `auto`: the planner chooses, and 100 for fedmf",
        ),
        key("epsilon", "number or `inf`", "2.0", "the whole training's epsilon for one device; `inf` for no noise"),
        key(
            "delta",
            "0 to 1",
            "1e-6",
            "its delta; without it 1e-6, or a tenth of one over the population where that is smaller",
        ),
        key(
            "population",
            "whole number",
            "100000",
            "how many devices the simulated ones stand for; without it as many as there are",
        ),
        key("cohort", "whole number", "1000", "devices in one secure sum"),
        key(
            "mode",
            "`secure`, `central`, `central-mf`, `local`",
            "\"central\"",
            "who adds the noise, and so against whom epsilon holds",
        ),
        key(
            "fidelity",
            "`learning`, `device`, `protocol`",
            "\"device\"",
            "what is done for real: the noise of the sum, of each device, or masks and messages too",
        ),
        key(
            "noise_from",
            "`seed`, `device`",
            "\"device\"",
            "where single devices draw from in device and protocol fidelity: the seed, or the operating system",
        ),
        key("mechanism", "`discrete-gaussian`, `skellam`", "\"skellam\"", "the distribution of the devices' noise"),
        key(
            "rotation",
            "`none`, `hadamard`",
            "\"hadamard\"",
            "whether large blocks are rotated: fewer bits for more arithmetic",
        ),
        key("honest_fraction", "0 to 1", "0.8", "share of a cohort that is sure to be honest and to survive"),
        key("devices_per_round", "whole number", "100", "devices drawn for each round; without it all"),
        key("seed", "whole number", "7", "seed of everything"),
        key("threads", "whole number", "2", "threads; 0 for all cores. Figures do not depend on them"),
        key(
            "curve",
            "list of numbers",
            "[1.0, 2.0]",
            "epsilons of the curve of privacy against quality; `[]` for none",
        ),
        key("evaluate_listeners", "whole number", "2000", "listeners evaluated at most, drawn by the seed"),
        key("measure_rounds", "true or false", "false", "whether validation quality is measured after each round"),
        key(
            "strict",
            "true or false",
            "true",
            "whether a row of a file of one's own that cannot be read refuses the file; else up to a tenth are left out and counted",
        ),
        key("labels", "text", "\"policy.toml\"", "a label policy's file; without it the built-in policy"),
    ],
};

const MODEL: Section = Section {
    name: "model",
    about: "Weights of the embeddings' loss.",
    keys: &[
        key("background", "number", "0.2", "how much a track that was never heard counts against one that was"),
        key(
            "listener_ridge",
            "number",
            "0.004",
            "the listener's ridge, relative to a table whose rows have length 1 in the mean",
        ),
        key(
            "track_ridge",
            "number",
            "0.04",
            "the tracks' ridge, relative to the mean square length of the listeners' vectors",
        ),
        key(
            "full_weight_tracks",
            "number",
            "16.0",
            "a device with fewer confident tracks than this does not fill its part of the sum",
        ),
    ],
};

const FEDMF: Section = Section {
    name: "fedmf",
    about: "Settings of the methods fedmf and fedrecon.",
    keys: &[
        key("listener_rate", "number", "0.1", "step of the device on its own vector"),
        key("table_rate", "number", "0.05", "step of the coordinator on the table"),
        key("negatives", "whole number", "4", "negatives drawn for each positive"),
        key("clip", "number", "1.0", "L2 norm to which a device's gradient is clipped"),
        key(
            "reconstruction_passes",
            "whole number",
            "10",
            "0: a device keeps its vector from round to round (FedMF); else it finds it anew by so many passes (FedRecon; 10 there where this is 0)",
        ),
        key(
            "leaky_negatives",
            "true or false",
            "true",
            "whether negatives avoid the tracks that are held out, as published federated tables do: to reproduce those, and for nothing else",
        ),
    ],
};

const FEDMF_CLIP: Section = Section {
    name: "fedmf.adaptive_clip",
    about: "Where this section is, the clip follows a quantile of the devices' norms instead.",
    keys: CLIP_KEYS,
};

const MASKS: Section = Section {
    name: "masks",
    about: "What masked rounds assume of their devices, in protocol fidelity.",
    keys: &[
        key("security_bits", "whole number", "64", "bits of security of the graph of neighbours"),
        key("colluding", "0 to 1", "0.1", "the share of a cohort that may collude"),
        key("dropping", "0 to 1", "0.1", "the share of a cohort that may drop out"),
        key("drop_out", "0 to 1", "0.05", "the share that does drop out, each at a step drawn at random"),
    ],
};

const WORLD: Section = Section {
    name: "world",
    about: "The built-in world (docs/world.md), where `data` is `synthetic`.",
    keys: &[
        key("listeners", "whole number", "1000", "listeners, one device each"),
        key("tracks", "whole number", "500", "tracks"),
        key("artists", "whole number", "100", "artists"),
        key("genres", "whole number", "12", "genres"),
        key("days", "whole number", "28", "days of listening"),
        key("median_plays", "number", "45.0", "median number of plays that a listener would come to without leaving"),
        key("plays_spread", "number", "0.7", "spread of that number: the deviation of its logarithm"),
        key("choosiness", "number", "2.5", "how strongly the fit decides which of the tracks met is played"),
        key("fit_share", "0 to 1", "0.4", "share of the variance of the played share's rank that the fit explains"),
        key("joining_days", "number", "3.0", "days in which listeners begin: they come evenly"),
        key(
            "new_tracks",
            "0 to 0.9",
            "0.2",
            "share of the tracks that come out while the world goes on; nobody meets them before",
        ),
        key("fashion_day", "whole number", "14", "the day on which fashion changes; without it never"),
        key("fashion_share", "0 to 1", "0.5", "share of the tracks that change places in the charts on that day"),
        key("bots", "0 to 1", "0.005", "share of listeners that are bots"),
        key("broken_clocks", "0 to 1", "0.005", "share of listeners whose clock is broken"),
    ],
};
