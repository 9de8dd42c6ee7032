//! The list as docs/scenarios.md, and as files to begin with.

use super::{FILES, File, Key, Section};
use std::fmt::Write;

/// docs/scenarios.md.
pub fn page() -> String {
    let mut out = String::from(
        "# Files that the simulator reads\n\n\
         Made from the program's own list of keys: `sordino-simulator settings` prints the same. A key that is not named here is refused;\n\
         one that is left out has the default.\n\n",
    );
    for file in &FILES {
        let _ =
            writeln!(out, "- [{}](#{}): `sordino-simulator settings {}`", file.title, anchor(file.title), file.name);
    }
    for file in &FILES {
        let _ = write!(out, "\n## {}\n\n{}\n\n    {}\n", file.title, file.about, file.used);
        let defaults = defaults(file);
        for section in file.sections {
            if !section.name.is_empty() {
                let _ = write!(out, "\n### [{}]\n\n{}\n", section.name, section.about);
            }
            let _ = write!(out, "\n| key | value | default | meaning |\n|---|---|---|---|\n");
            for key in section.keys {
                let default = defaults.as_ref().and_then(|all| find(all, section, key));
                let default = default.map_or("-".to_owned(), |value| format!("`{value}`"));
                let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, key.kind, key.meaning);
            }
        }
        let _ = write!(out, "\nAn example:\n\n```toml\n{}```\n", file.example);
    }
    out
}

/// A file with every key, its meaning before it: as it is where nothing is said, or an example where some must be given.
pub fn file(file: &File) -> String {
    let Some(defaults) = defaults(file) else {
        return format!("# {}\n# {}\n\n{}", file.about, file.used, file.example);
    };
    let mut out = format!("# {}\n# {}\n", file.about, file.used);
    for section in file.sections {
        let known = section.keys.iter().any(|key| find(&defaults, section, key).is_some());
        // What is left out as a whole stays in comments as a whole.
        let mark = if known { "" } else { "# " };
        if !section.name.is_empty() {
            let _ = write!(out, "\n# {}\n{mark}[{}]\n", section.about, section.name);
        }
        for key in section.keys {
            let _ = writeln!(out, "# {} ({})", key.meaning, key.kind);
            let _ = match find(&defaults, section, key) {
                Some(value) => writeln!(out, "{} = {value}", key.name),
                None => writeln!(out, "# {} = {}", key.name, key.example),
            };
        }
    }
    out
}

fn defaults(file: &File) -> Option<toml::Table> {
    let text = file.defaults?();
    Some(text.parse().expect("settings have a form in TOML"))
}

// The default of a key, as TOML.
fn find(all: &toml::Table, section: &Section, key: &Key) -> Option<String> {
    let parts = section.name.split('.').filter(|part| !part.is_empty());
    let table = parts.into_iter().try_fold(all, |table, part| table.get(part)?.as_table())?;
    Some(inline(table.get(key.name)?))
}

// A value on one line.
fn inline(value: &toml::Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        toml::Value::Table(table) if table.is_empty() => "{}".to_owned(),
        toml::Value::Table(table) => {
            format!(
                "{{ {} }}",
                joined(table.iter().map(|(name, value)| format!("{name} = {}", inline(value))).collect())
            )
        }
        toml::Value::Array(values) => format!("[{}]", joined(values.iter().map(inline).collect())),
        // A float of one half of the width is shown in its own digits.
        toml::Value::Float(value) if f64::from(*value as f32) == *value => format!("{:?}", *value as f32),
        value => value.to_string(),
    }
}

fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}
