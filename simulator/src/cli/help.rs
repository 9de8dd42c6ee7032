//! What `--help` says beyond the flags themselves: the real defaults, and examples that can be pasted.

use crate::cold_start::ColdSettings;
use crate::fleet::FleetSettings;
use crate::large::LargeSettings;
use crate::poisoning::PoisonSettings;
use crate::ranking::RankSettings;
use crate::rollout::RolloutSettings;
use crate::scenario::Scenario;
use clap::Command;

/// A tree of commands whose help is complete.
pub(super) fn told(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|of| of.get_name().to_owned()).collect();
    let told = names.iter().fold(command, |command, name| command.mut_subcommand(name, |of| one(name, of)));
    told.after_help(
        "Begin with:\n  sordino-simulator run\n\nEach command has examples: sordino-simulator COMMAND --help",
    )
}

fn one(name: &str, command: Command) -> Command {
    let refused = HIDDEN.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, flags)| flags);
    let told = command.mut_args(|arg| {
        let id = arg.get_id().as_str().to_owned();
        let has_one = arg.is_required_set() || !arg.get_default_values().is_empty();
        match default(name, &id).filter(|_| !has_one) {
            _ if refused.contains(&id.as_str()) => arg.hide(true),
            Some(value) => {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                arg.help(format!("{help} [default: {value}]"))
            }
            None => arg,
        }
    });
    match EXAMPLES.iter().find(|(of, _)| *of == name) {
        Some((_, examples)) => told.after_help(format!("Examples:\n{}", examples.trim_end())),
        None => told,
    }
}

// What a flag is where it is not given.
fn default(command: &str, id: &str) -> Option<String> {
    let table = |text: String| text.parse::<toml::Table>().expect("settings have a form in TOML");
    let rollout = |key: &str| {
        let of = |text: String| table(text).get(key).map(ToString::to_string);
        let (sums, fleet) = (of(RolloutSettings::default().to_toml())?, of(FleetSettings::default().to_toml())?);
        Some(if sums == fleet { sums } else { format!("{sums}, or {fleet} with --fleet") })
    };
    let of = |text: String, key: &str| table(text).get(key).map(shown);
    match (command, id) {
        (_, "delta") => Some("1e-6, or a tenth of one over the population where that is smaller".to_owned()),
        (_, "population") => Some("as many as are simulated".to_owned()),
        (_, "policy") => Some("the built-in policy".to_owned()),
        ("rollout", key) => rollout(key),
        ("rank", "test_days" | "left_out_days") => of(RankSettings::default().to_toml(), id),
        ("rank", "ranker_rounds") => of(RankSettings::default().to_toml(), "rounds"),
        ("rank", "hidden") => RankSettings::default().ranking.hidden.first().map(ToString::to_string),
        ("cold-start", "held_out" | "buckets") => of(ColdSettings::default().to_toml(), id),
        ("cold-start", "tower_rounds") => of(ColdSettings::default().to_toml(), "rounds"),
        ("cold-start", "dim") => of(ColdSettings::default().to_toml(), "dimensions"),
        ("large", "rows") => of(LargeSettings::default().to_toml(), id),
        ("large", "dim") => of(LargeSettings::default().to_toml(), "dimensions"),
        ("large", "tracks") => Some(Scenario::default().world.tracks.to_string()),
        ("poison", "shares") => of(PoisonSettings::default().to_toml(), id),
        ("run" | "evaluate" | "rank" | "labels" | "cold-start" | "large" | "poison", key) => {
            of(Scenario::default().to_toml(), key).filter(|_| key != "labels")
        }
        _ => None,
    }
}

// As it is typed after a flag.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

// Flags of `run` that mean nothing to other commands, which say so where they are given.
const HIDDEN: [(&str, &[&str]); 6] = [
    ("evaluate", &["curve"]),
    ("rank", &["protocol", "method", "baselines", "curve"]),
    ("labels", &["protocol", "method", "baselines", "curve"]),
    ("cold-start", &["protocol", "method", "baselines", "curve"]),
    ("large", &["method", "baselines", "curve", "rounds"]),
    ("poison", &["baselines", "curve"]),
];

const EXAMPLES: [(&str, &str); 14] = [
    (
        "run",
        "  sordino-simulator run\n\
         \x20 sordino-simulator run --epsilon inf --baselines none --curve none\n\
         \x20 sordino-simulator run --data movielens:ml-latest-small --protocol loo99 --epsilon 2 --population 100000\n\
         \x20 sordino-simulator run --data 'csv:my plays.csv' --out 'my run' --json figures.json\n\
         \x20 sordino-simulator run --scenario sordino-out/config.toml --seed 2\n\
         \x20 sordino-simulator run --json - 2>/dev/null | jq .methods.sordino\n\
         \x20 sordino-simulator run --stream --epsilon 4\n\
         A folder is used again: what the run before wrote there is replaced, and nothing else.\n",
    ),
    ("compare", "  sordino-simulator compare simulator/scenarios/epsilon-1.toml simulator/scenarios/no-noise.toml\n"),
    ("report", "  sordino-simulator report sordino-out\n"),
    ("plan", "  sordino-simulator plan --population 500000 --epsilon 1,2,4\n"),
    (
        "privacy",
        "  sordino-simulator privacy epsilon --mechanism gaussian --noise 4 --steps 10\n\
         \x20 sordino-simulator privacy calibrate --mechanism poisson-gaussian --rate 0.01 --steps 1000 --epsilon 2\n\
         \x20 sordino-simulator privacy explain simulator/plans/secure.toml\n\
         \x20 sordino-simulator privacy audit --quick\n",
    ),
    (
        "evaluate",
        "  sordino-simulator evaluate --epsilon 4\n\
         \x20 sordino-simulator evaluate --models sordino-out/model.bin --out evaluated\n",
    ),
    (
        "rank",
        "  sordino-simulator rank --epsilon 4 --population 100000\n  sordino-simulator rank --hidden none --test-days 3\n",
    ),
    (
        "labels",
        "  sordino-simulator labels --epsilon 4 --population 100000 --out labels\n  sordino-simulator run --policy labels/policy.toml\n",
    ),
    ("cold-start", "  sordino-simulator cold-start --data lastfm:hetrec --epsilon 4 --population 100000\n"),
    ("large", "  sordino-simulator large --tracks 100000 --population 1000000\n"),
    ("poison", "  sordino-simulator poison --shares 0.01,0.1\n"),
    ("rollout", "  sordino-simulator rollout --runs 1000\n  sordino-simulator rollout --fleet --devices 50000\n"),
    ("world", "  sordino-simulator world --against kuairand:KuaiRand-Pure\n"),
    (
        "settings",
        "  sordino-simulator settings\n  sordino-simulator settings scenario > mine.toml\n  sordino-simulator run --scenario mine.toml\n",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::command;

    fn help(name: &str) -> String {
        let mut all = command();
        all.find_subcommand_mut(name).expect("a command").render_long_help().to_string()
    }

    #[test]
    fn help_tells_the_real_defaults() {
        let run = help("run").split_whitespace().collect::<Vec<_>>().join(" ");
        for default in [
            "synthetic",
            "loo",
            "auto",
            "4.0",
            "10000",
            "secure",
            "discrete-gaussian",
            "popularity,ials",
            "1.0,2.0,4.0,8.0",
        ] {
            assert!(run.contains(&format!("[default: {default}]")), "{default}: {run}");
        }
        assert!(help("rank").contains("[default: 100]") && help("rollout").contains("with --fleet]"));
    }

    #[test]
    fn every_command_has_examples_that_it_takes() {
        let all = command();
        for of in all.get_subcommands() {
            let name = of.get_name();
            let text = help(name);
            let examples = text.split("Examples:").nth(1).unwrap_or_else(|| panic!("{name} has no examples"));
            for line in examples.lines().filter_map(|line| line.trim().strip_prefix("sordino-simulator ")) {
                let line = line.split(" 2>").next().and_then(|line| line.split(" > ").next()).unwrap_or_default();
                // Words as a shell makes them, so far as the examples go.
                let mut words = vec!["sordino-simulator".to_owned()];
                for (place, part) in line.split('\'').enumerate() {
                    match place % 2 {
                        0 => words.extend(part.split_whitespace().map(str::to_owned)),
                        _ => match words.last_mut().filter(|_| line.contains(&format!(":'{part}"))) {
                            Some(last) => last.push_str(part),
                            None => words.push(part.to_owned()),
                        },
                    }
                }
                command().try_get_matches_from(&words).unwrap_or_else(|fault| panic!("{line}: {fault}"));
            }
        }
    }

    #[test]
    fn what_a_command_refuses_is_not_in_its_help() {
        for (name, flags) in super::HIDDEN {
            let text = help(name);
            for flag in flags {
                assert!(!text.contains(&format!("--{flag} ")), "{name} --{flag}: {text}");
            }
        }
    }

    #[test]
    fn every_flag_is_explained() {
        fn each(of: &clap::Command) {
            for arg in of.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())) {
                assert!(arg.get_help().is_some(), "{} --{}", of.get_name(), arg.get_id());
            }
            of.get_subcommands().for_each(each);
        }
        each(&command());
    }
}
