//! Settings, tasks and policies of rollouts as an operator writes them: every key with its meaning, as a commented file and as the page
//! `docs/settings.md`. Defaults are those of the code, never written down twice.

mod keys;

use crate::config::Config;
use crate::rollout::{Guardrail, Policy, Stage};
use crate::task::TaskFile;
use keys::{COORDINATOR, Key, ROLLOUT, TASK};
use std::fmt::Write;
use toml::{Table, Value};

/// A file that an operator writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// `coordinator.toml`, in the coordinator's folder.
    Coordinator,
    /// A task.
    Task,
    /// A rollout's policy.
    Rollout,
}

impl File {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Coordinator, Self::Task, Self::Rollout];

    fn keys(self) -> &'static [Key] {
        match self {
            Self::Coordinator => COORDINATOR,
            Self::Task => TASK,
            Self::Rollout => ROLLOUT,
        }
    }

    // What the file says: the defaults, and an example of what has none.
    fn values(self) -> Table {
        let table = |value: Result<Table, toml::ser::Error>| value.expect("settings have a form in TOML");
        match self {
            Self::Coordinator => table(Table::try_from(Config::default())),
            Self::Task => table(Table::try_from(TaskFile::parse(BARE_TASK).expect("checked by a test"))),
            Self::Rollout => {
                let margins = Guardrail::ALL.map(|guardrail| (guardrail, guardrail.margin())).into();
                table(Table::try_from(Policy { margins, ..Policy::named("spring") }))
            }
        }
    }

    fn is_required(self, key: &Key) -> bool {
        match self {
            Self::Coordinator => false,
            Self::Task => {
                BARE_TASK.lines().any(|line| line.starts_with(&format!("{} = ", key.name()))) && key.left_out.is_none()
            }
            Self::Rollout => key.path == "name" || key.path == "stages[].share",
        }
    }

    /// The file with every key explained; it is read as it stands.
    pub fn commented(self) -> String {
        let mut text = match self {
            Self::Coordinator => {
                "# coordinator.toml: every key with its default. What is left out is as it is here.\n".to_owned()
            }
            Self::Task => "# A task. Keys that are marked as needed have no default.\n".to_owned(),
            Self::Rollout => "# A rollout's policy: every key with its default; only the name is needed.\n".to_owned(),
        };
        let values = self.values();
        let mut section = "";
        for key in self.keys() {
            if key.section() != section {
                section = key.section();
                let brackets = if section == STAGES { ("[[", "]]") } else { ("[", "]") };
                let _ = write!(text, "\n{}{}{}", brackets.0, section.trim_end_matches("[]"), brackets.1);
                text.push('\n');
            }
            wrapped(&mut text, &format!("{}{}", key.text, self.needed(key)), "# ");
            let _ = match lookup(&values, key.path) {
                Some(value) => writeln!(text, "{} = {}", key.name(), in_toml(value)),
                None => writeln!(text, "# {} = {}", key.name(), key.example),
            };
            if section == STAGES && self.keys().iter().rfind(|of| of.section() == STAGES) == Some(key) {
                more_stages(&mut text, &values);
            }
        }
        text
    }

    fn needed(self, key: &Key) -> String {
        let unit = if key.unit.is_empty() { String::new() } else { format!(" Unit: {}.", key.unit) };
        let needed = if self.is_required(key) { " Needed." } else { "" };
        let of_stage = (key.section() == STAGES && !self.is_required(key))
            .then(|| self.default_of(key, &Table::new()))
            .flatten()
            .map(|value| in_toml(&value));
        let left_out = key.left_out.map(str::to_owned).or(of_stage);
        let left_out = left_out.map(|text| format!(" Left out: {text}.")).unwrap_or_default();
        format!("{unit}{needed}{left_out}")
    }

    // What a key is where it is left out. The stages that are written are not what a stage is by default.
    fn default_of(self, key: &Key, values: &Table) -> Option<Value> {
        if key.section() != STAGES {
            return lookup(values, key.path).cloned();
        }
        let bare: Stage = toml::from_str("share = 10000").expect("a stage needs a share alone");
        Table::try_from(bare).expect("a stage has a form in TOML").remove(key.name())
    }

    fn section(self, page: &mut String) {
        let values = self.values();
        for key in self.keys() {
            let default = match (self.is_required(key), key.left_out, self.default_of(key, &values)) {
                (true, ..) => "needed".to_owned(),
                (_, Some(text), _) => format!("left out: {text}"),
                (_, None, Some(value)) => format!("default {}", in_toml(&value)),
                (_, None, None) => "none by default".to_owned(),
            };
            let unit = if key.unit.is_empty() { String::new() } else { format!(", {}", key.unit) };
            let mut entry = String::new();
            wrapped(&mut entry, &format!("`{}`: {}{unit}; {default}. {}", key.path, key.kind, key.text), "  ");
            let _ = write!(page, "- {}", entry.trim_start());
        }
        let _ = write!(page, "\n```toml\n{}```\n", self.commented());
    }
}

/// The page `docs/settings.md`.
pub fn page() -> String {
    let mut page = PAGE.to_owned();
    for (file, head) in File::ALL.into_iter().zip(HEADS) {
        let _ = write!(page, "\n{head}\n\n");
        file.section(&mut page);
    }
    page
}

fn more_stages(text: &mut String, values: &Table) {
    let Some(Value::Array(stages)) = values.get("stages") else { return };
    for stage in stages.iter().skip(1).filter_map(Value::as_table) {
        text.push_str("\n[[stages]]\n");
        for (key, value) in stage {
            let _ = writeln!(text, "{key} = {}", in_toml(value));
        }
    }
}

// `a.b`, and `a[].b` in the first of a list.
fn lookup<'a>(values: &'a Table, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = values.get(first.trim_end_matches("[]"))?;
    let value = if first.ends_with("[]") { value.as_array()?.first()? } else { value };
    match rest {
        None => Some(value),
        Some(rest) => lookup(value.as_table()?, rest),
    }
}

fn in_toml(value: &Value) -> String {
    match value {
        // As people write it: the library would print 1e-6 as 0.000001.
        Value::Float(number) => format!("{number:?}"),
        value => value.to_string(),
    }
}

// At most a hundred columns.
fn wrapped(text: &mut String, words: &str, indent: &str) {
    let mut line = indent.to_owned();
    for word in words.split_whitespace() {
        if line.chars().count() + word.chars().count() > WIDTH && line.trim() != indent.trim() {
            text.push_str(line.trim_end());
            text.push('\n');
            line = indent.to_owned();
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

const WIDTH: usize = 98;
const STAGES: &str = "stages[]";
const PAGE: &str = "\
# Settings

Three files of a coordinator are written by people, all of them TOML. Unknown keys are refused, and so
is a value that cannot be, in a sentence that says what can. `sordino-coordinator settings` prints the
first with every default, `settings task` and `settings rollout` the others; this page is made from
the same words (`sordino-coordinator settings --page`), and a test holds it against the code.
";
const HEADS: [&str; 3] = [
    "## coordinator.toml\n\nIn the coordinator's folder; read when `serve` starts. The budget (`privacy`) is in a ledger as well:\n\
     `sordino-coordinator budget set` changes both.",
    "## Task files\n\nFor `sordino-coordinator task add FILE`. A task stays as it was added.",
    "## Policies of rollouts\n\nFor `sordino-coordinator rollout plan FILE`, `rollout simulate FILE` and `rollout sign rollout FILE`.",
];
// What a task needs, and nothing else.
const BARE_TASK: &str = "\
name = \"my-task\"
workload = \"embedding\"
[catalogue]
tracks = 1000
[privacy]
epsilon = 4.0
delta = 1e-6
[cohort]
devices = 2000
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Enrolment, Privacy};
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_page_is_made_from_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == page(),
            "write it anew: cargo run -p sordino-coordinator -- settings --page > docs/settings.md"
        );
    }

    #[test]
    fn commented_files_are_read_as_they_stand_and_say_the_defaults() {
        let config = Config::parse(&File::Coordinator.commented(), Path::new("x")).expect("valid");
        assert_eq!(config, Config::default());
        let task = TaskFile::parse(&File::Task.commented()).expect("valid");
        assert_eq!(task, TaskFile::parse(BARE_TASK).expect("valid"));
        let policy: Policy = toml::from_str(&File::Rollout.commented()).expect("valid");
        assert!(policy.check().is_ok() && policy.margins.len() == Guardrail::ALL.len());
        assert_eq!(Policy { margins: Default::default(), ..policy }, Policy::named("spring"));
        let bare: Policy = toml::from_str("name = \"spring\"").expect("valid");
        assert_eq!(bare, Policy::named("spring"), "what is left out is what is shown");
        assert!(page().contains("`stages[].dwell_hours`: whole number, hours; default 48."), "a stage's own default");
    }

    // Every key that a file may have: one value of each, also where nothing is written by default.
    fn every(file: File) -> Table {
        let mut values = file.values();
        match file {
            File::Coordinator => {
                // Without `..`: a new section does not compile before it is here.
                let Config { listen, enrolment, privacy, flush, limits, registry } = Config::default();
                let Privacy { epsilon, delta } = privacy;
                let enrolment = Enrolment { attestation: Some(PathBuf::from("judge")), ..enrolment };
                let privacy = Privacy { epsilon, delta };
                let whole = Config { listen, enrolment, privacy, flush, limits, registry };
                values = Table::try_from(whole).expect("settings have a form in TOML");
            }
            File::Task => {
                let mut task = TaskFile::parse(BARE_TASK).expect("valid");
                task.catalogue.content = Some("content.json".into());
                let crate::task::TrainingSettings { dimensions, rounds, least_rotated: _, seed } = &mut task.training;
                (*dimensions, *rounds, *seed) = (Some(16), Some(3), Some(7));
                values = Table::try_from(task).expect("settings have a form in TOML");
            }
            File::Rollout => {}
        }
        values
    }

    fn paths(table: &Table, before: &str, all: &mut BTreeSet<String>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) => paths(inner, &format!("{before}{key}."), all),
                Value::Array(list) if list.iter().any(Value::is_table) => {
                    list.iter().filter_map(Value::as_table).for_each(|of| paths(of, &format!("{before}{key}[]."), all));
                }
                _ => {
                    all.insert(format!("{before}{key}"));
                }
            }
        }
    }

    #[test]
    fn each_key_of_the_code_is_described_and_each_that_is_described_is_there() {
        for file in File::ALL {
            let values = every(file);
            let mut there = BTreeSet::new();
            paths(&values, "", &mut there);
            let described: BTreeSet<String> = file.keys().iter().map(|key| key.path.to_owned()).collect();
            assert_eq!(described, there, "{file:?}");
            assert_eq!(described.len(), file.keys().len(), "{file:?}: a key is described twice");
            for key in file.keys() {
                let value = lookup(&values, key.path).expect("it is there");
                let fits = match value {
                    Value::Integer(_) => key.kind.contains("whole number"),
                    Value::Float(_) => key.kind == "number",
                    Value::Boolean(_) => key.kind == "true or false",
                    Value::Array(_) => key.kind.contains("list"),
                    _ => key.kind.contains("text"),
                };
                assert!(fits, "{}: {} is no {}", key.path, value, key.kind);
                let example: Table = toml::from_str(&format!("x = {}", key.example)).unwrap_or_default();
                let has = lookup(&file.values(), key.path).is_some() || example.contains_key("x");
                assert!(has, "{}: no default, and no example that is TOML", key.path);
            }
        }
    }
}
