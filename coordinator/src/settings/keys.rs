//! The keys, in the order of the files.

/// A key of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Key {
    /// Its place: `section.key`, or `list[].key`.
    pub(super) path: &'static str,
    /// Its type.
    pub(super) kind: &'static str,
    /// Its unit, if it has one.
    pub(super) unit: &'static str,
    /// What happens where it is left out, if no default can say so.
    pub(super) left_out: Option<&'static str>,
    /// A value to write, where there is no default.
    pub(super) example: &'static str,
    /// What it means.
    pub(super) text: &'static str,
}

impl Key {
    pub(super) fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }
}

const fn key(path: &'static str, kind: &'static str, unit: &'static str, text: &'static str) -> Key {
    Key { path, kind, unit, left_out: None, example: "", text }
}

const fn optional(
    path: &'static str,
    kind: &'static str,
    left_out: &'static str,
    example: &'static str,
    text: &'static str,
) -> Key {
    Key { path, kind, unit: "", left_out: Some(left_out), example, text }
}

const WHOLE: &str = "whole number";
const NUMBER: &str = "number";
const FLAG: &str = "true or false";
const TEXT: &str = "text";

pub(super) const COORDINATOR: &[Key] = &[
    key("listen.address", TEXT, "IP:PORT", "Where devices reach it, over UDP."),
    key(
        "listen.admin",
        TEXT,
        "IP:PORT",
        "The operator's page and metrics, over TCP; a loopback address. Reach it by a tunnel.",
    ),
    key(
        "listen.population",
        TEXT,
        "",
        "The name of the devices that it serves, 1 to 64 bytes. They have one budget, in the ledger of this name.",
    ),
    key(
        "enrolment.certificate_days",
        WHOLE,
        "days",
        "How long a device's certificate holds; 1 to 7. Devices renew them.",
    ),
    key(
        "enrolment.least_age_hours",
        WHOLE,
        "hours",
        "From a device's enrolment to its first contribution. It makes it dear to enrol many at once; 0 for trials.",
    ),
    optional(
        "enrolment.attestation",
        TEXT,
        "nothing is asked of the platform",
        "\"/usr/local/bin/judge\"",
        "A program that judges a device's attestation: it gets that on its standard input and the device's key as its argument, and says \
         by its exit status whether it is to be believed.",
    ),
    key(
        "enrolment.refresh_seconds",
        WHOLE,
        "seconds",
        "How long it takes at most until a revocation is known; 1 to 60.",
    ),
    key(
        "privacy.epsilon",
        NUMBER,
        "",
        "What a device may spend over all tasks, at most about 37. `sordino-coordinator budget set` changes it, here and in the ledger.",
    ),
    key("privacy.delta", NUMBER, "", "The delta of that epsilon; above 0, less than one over the number of devices."),
    key("flush.entries", WHOLE, "contributions", "The most that one transaction of the store takes."),
    key("flush.linger_ms", WHOLE, "milliseconds", "How long a contribution waits for others to be written with."),
    key(
        "flush.pending_mb",
        WHOLE,
        "MiB",
        "Memory for contributions that are being received; whoever comes beyond that waits.",
    ),
    key("limits.connections", WHOLE, "connections", "Connections at once, in all."),
    key(
        "limits.connections_per_address",
        WHOLE,
        "connections",
        "Connections at once from one address; an office or a carrier may stand behind one.",
    ),
    key(
        "limits.handshakes",
        WHOLE,
        "handshakes",
        "Handshakes under way from which on an address must prove itself first.",
    ),
    key("limits.handshake_seconds", WHOLE, "seconds", "How long a handshake may take; 1 to 3600."),
    key(
        "limits.grace_seconds",
        WHOLE,
        "seconds",
        "After so long a request must come at `least_rate` or faster; at most 3600.",
    ),
    key("limits.least_rate", WHOLE, "bytes a second", "How fast a request must come."),
    key(
        "limits.hold_seconds",
        WHOLE,
        "seconds",
        "How long a request waits for a step's outcome before the device is told to ask again; 1 to 25.",
    ),
    key("limits.idle_seconds", WHOLE, "seconds", "How long a connection may give no sign of life; 1 to 3600."),
    key(
        "registry.automatic",
        FLAG,
        "",
        "Whether every version serves all devices as soon as it is made, signed by keys in the folder. For trials: whoever has this \
         machine can then make every device run anything.",
    ),
];

pub(super) const TASK: &[Key] = &[
    key(
        "name",
        TEXT,
        "",
        "The task's name, for good: 1 to 64 letters, digits, dots, dashes or underscores; not beginning with rollout-.",
    ),
    key(
        "workload",
        TEXT,
        "",
        "What is learnt: \"embedding\" (popularity, then track embeddings, then whether those are better).",
    ),
    key("catalogue.tracks", WHOLE, "tracks", "How many there are, 1 to 10,000,000."),
    optional(
        "catalogue.content",
        TEXT,
        "nothing is known of tracks beforehand",
        "\"content.json\"",
        "Public features of the tracks: a JSON file beside this one, with `names` (a list of text) and `rows` (for each track a list of \
         [number of the name, value]).",
    ),
    key(
        "privacy.epsilon",
        NUMBER,
        "",
        "What a device spends on the whole task; it must fit into what is left of the population's budget.",
    ),
    key("privacy.delta", NUMBER, "", "The delta of that epsilon."),
    key("privacy.mechanism", TEXT, "", "The noise's law: \"discrete-gaussian\" or \"skellam\"."),
    key(
        "cohort.devices",
        WHOLE,
        "devices",
        "Devices in one sum: a round waits until so many take part. More of them hide one better.",
    ),
    key(
        "cohort.colluding",
        NUMBER,
        "share",
        "The largest share of devices that is assumed to collude with the coordinator.",
    ),
    key(
        "cohort.dropping",
        NUMBER,
        "share",
        "The largest share of devices that may drop out; above it a round is given up.",
    ),
    key(
        "cohort.security_bits",
        WHOLE,
        "bits",
        "Security of the graph of neighbours that devices share their masks with.",
    ),
    key(
        "cohort.over_selection",
        NUMBER,
        "",
        "How many devices a round is offered to, for each one that it takes; 1 to 10.",
    ),
    optional("training.dimensions", WHOLE, "planned from the budget", "16", "Dimensions of the embeddings."),
    optional("training.rounds", WHOLE, "planned from the budget", "3", "Rounds of embeddings; 0 for popularity alone."),
    key(
        "training.least_rotated",
        WHOLE,
        "values",
        "Blocks of at least so many are rotated before they are rounded; none where it is 0.",
    ),
    optional(
        "training.seed",
        WHOLE,
        "drawn when the task is added",
        "7",
        "Seed of the task's public chance; no noise comes from it.",
    ),
    key(
        "schedule.pause_seconds",
        WHOLE,
        "seconds",
        "How long it is from the end of one round to the opening of the next.",
    ),
    key(
        "schedule.advertise_seconds",
        WHOLE,
        "seconds",
        "How long devices have to join with their keys; at least 1, as the next four.",
    ),
    key("schedule.share_seconds", WHOLE, "seconds", "How long they have for the shares of their masks."),
    key("schedule.upload_seconds", WHOLE, "seconds", "How long they have for their vectors."),
    key("schedule.agree_seconds", WHOLE, "seconds", "How long they have for their signatures over who is in the sum."),
    key("schedule.unmask_seconds", WHOLE, "seconds", "How long they have for the shares that open the sum."),
];

pub(super) const ROLLOUT: &[Key] = &[
    key("name", TEXT, "", "The rollout's name, part of how devices are drawn: another attempt has another name."),
    key(
        "watched",
        "list of text",
        "",
        "Guardrails that are no condition to go on, also in the last stage; they still take the candidate back.",
    ),
    key("contributing", NUMBER, "share", "The share of an arm's devices that contribute to a stage, once each."),
    key("noise", NUMBER, "", "Deviation of the noise in each value of a round's sum."),
    key(
        "promote_error",
        NUMBER,
        "chance",
        "The chance, in each stage, to promote a candidate that is worse by a margin; at most 0.5.",
    ),
    key(
        "abort_error",
        NUMBER,
        "chance",
        "The chance, over all stages and looks, to take a candidate back that does no harm; at most 0.5.",
    ),
    key(
        "least_devices",
        NUMBER,
        "devices",
        "The fewest devices of an arm that anything is claimed of, and of a round whose sum is opened.",
    ),
    key(
        "report_hours",
        WHOLE,
        "hours",
        "The hours that a device's report covers, and that it must have been in its stage before; at most 168.",
    ),
    key(
        "worst_percent",
        WHOLE,
        "percent",
        "The share of tracks skipped in the four weeks before, above which a listener counts among the worst served. Take what makes that a tenth \
         of the fleet.",
    ),
    key("delta", NUMBER, "", "The delta of what devices spend; at most 1e-3."),
    key(
        "stages[].share",
        WHOLE,
        "parts of a million",
        "Devices that have the candidate; as many are the control, so at most 500000. Each stage that serves is larger than the one before.",
    ),
    key("stages[].looks", WHOLE, "looks", "Rounds of the stage, each of them a look; at least 1."),
    key("stages[].dwell_hours", WHOLE, "hours", "How long the stage lasts at least."),
    key("stages[].manual", FLAG, "", "Whether somebody has to say yes before the next (`rollout promote`)."),
    key(
        "stages[].shadow",
        FLAG,
        "",
        "Whether it serves nobody: devices try the candidate on what their listeners play. The first stage alone may be one.",
    ),
    key("margins.skip_rate", NUMBER, "share", "How much worse the share of skipped tracks may be."),
    key("margins.ndcg", NUMBER, "", "How much worse NDCG@10 of what is played in the served list may be."),
    key("margins.return", NUMBER, "share", "How many fewer may come back within a day."),
    key("margins.crash", NUMBER, "share", "How many more days may have a crash."),
    key("margins.slow", NUMBER, "share", "How many more inferences may take over 50 ms."),
    key("margins.load_failure", NUMBER, "share", "How many more loads of the model may fail."),
    key("margins.worst_skip_rate", NUMBER, "share", "How much more the listeners who are served worst may skip."),
    key(
        "holdback.share",
        WHOLE,
        "parts of a million",
        "Devices that are kept back once all others have the candidate; 0 for none.",
    ),
    key("holdback.days", WHOLE, "days", "How long they are kept back; at most 366."),
    key("cohort.colluding", NUMBER, "share", "As in a task."),
    key("cohort.dropping", NUMBER, "share", "As in a task."),
    key("cohort.security_bits", WHOLE, "bits", "As in a task."),
    key("cohort.over_selection", NUMBER, "", "As in a task."),
    key("schedule.pause_seconds", WHOLE, "seconds", "As in a task."),
    key("schedule.advertise_seconds", WHOLE, "seconds", "As in a task."),
    key("schedule.share_seconds", WHOLE, "seconds", "As in a task."),
    key("schedule.upload_seconds", WHOLE, "seconds", "As in a task."),
    key("schedule.agree_seconds", WHOLE, "seconds", "As in a task."),
    key("schedule.unmask_seconds", WHOLE, "seconds", "As in a task."),
];
