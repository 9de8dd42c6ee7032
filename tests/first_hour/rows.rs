//! One row a command: by which words it is known, and how it is tried. The first row that fits counts.

use crate::runs::Plan::{self, Not, Once, Runs, Served, Serves};

pub(crate) const ROWS: &[(&str, Plan)] = &[
    // README.md, the two commands.
    ("-p sordino-simulator -- run", Runs),
    ("cargo test --workspace", Not("this is a part of it")),
    ("cargo install --path", Not("it would write outside of the stranger's folder; the programs are the same")),
    // A federation.
    ("-- init sordino-federation --example --again", Runs),
    ("-- init sordino-federation --example", Once("--again")),
    ("-- serve sordino-federation", Serves),
    ("-p sordino-device -- swarm", Served),
    ("init my-federation --example", Once("--again")),
    ("serve my-federation", Serves),
    ("swarm --federation my-federation/federation.toml", Served),
    // Running a coordinator.
    ("init FOLDER --public", Once("already")),
    ("sordino-coordinator serve FOLDER", Serves),
    ("budget show FOLDER", Runs),
    ("budget set --epsilon", Runs),
    ("task add task.toml", Once("there is already")),
    ("task list", Runs),
    ("task pause NAME", Runs),
    ("task resume NAME", Runs),
    ("task cancel NAME", Runs),
    ("task remove NAME", Once("there is no task")),
    ("enrol token", Runs),
    ("enrol list", Runs),
    ("enrol revoke KEY", Not("it wants the key of a device that enrolled")),
    ("sordino-device ledger", Runs),
    ("sordino-device export", Runs),
    ("sordino-device erase", Runs),
    ("sordino-device enrol", Served),
    ("sordino-device record events.jsonl", Runs),
    ("sordino-device run --daemon", Not("it goes on until it is stopped")),
    ("sordino-device run", Served),
    ("sordino-device recommend", Not("before a model serves it says so and fails")),
    ("sordino-device version", Runs),
    ("sordino-device budget", Runs),
    ("model list", Runs),
    // Rollouts.
    ("rollout sign", Not("it wants the keys of people and a version")),
    ("rollout keys rotate", Not("it wants the keys of people")),
    ("rollout people add", Once("there is already somebody")),
    ("rollout plan --devices 1000000 --write spring.toml", Once("exists already")),
    ("rollout plan", Runs),
    ("rollout simulate", Runs),
    ("rollout serve 1", Not("it wants a signed version")),
    ("rollout start spring", Not("it wants a signed rollout")),
    ("rollout status", Not("it goes on until it is stopped")),
    ("rollout explain", Not("it wants a rollout")),
    // The simulator.
    ("--data kuairand:KuaiRand-Pure", Not("the publisher's folder is nobody's to give")),
    ("sordino-simulator run", Runs),
    ("sordino-simulator compare a.toml b.toml", Runs),
    ("sordino-simulator evaluate", Runs),
    ("sordino-simulator rank", Runs),
    ("sordino-simulator labels", Runs),
    ("sordino-simulator cold-start", Runs),
    ("sordino-simulator large", Runs),
    ("sordino-simulator poison", Runs),
    ("sordino-simulator rollout", Runs),
    ("sordino-simulator plan", Runs),
    ("sordino-simulator privacy", Runs),
];

/// Sets that a command reads, by how it names them.
pub(crate) const SETS: &[(&str, &str)] = &[
    ("movielens:PATH", "movielens-latest-small"),
    ("kuairand:PATH", "kuairand-pure"),
    ("lastfm:PATH", "lastfm-hetrec"),
];

/// Files that commands name and a stranger brings along, or has from a page.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("a.toml", "epsilon = 4\n[world]\nlisteners = 2000\n"),
    ("b.toml", "epsilon = \"inf\"\n[world]\nlisteners = 2000\n"),
    ("plays.csv", PLAYS),
    ("task.toml", TASK),
    (
        "events.jsonl",
        "{\"track\":3,\"time\":1764201600000,\"kind\":\"play\",\"seconds_listened\":200,\"track_seconds\":210}\n",
    ),
];

// Plays of forty listeners, eight each, of a third of thirty tracks.
const PLAYS: &str = include_str!("plays.csv");
// A task that the budget of a plain coordinator pays for.
const TASK: &str = include_str!("task.toml");

/// The name of that task.
pub(crate) const TASK_NAME: &str = "evening";
