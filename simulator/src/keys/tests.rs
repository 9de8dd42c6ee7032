//! The list is whole, its values are read, its defaults are real, and the page is made of it.

use super::{FILES, File, Section, file, page};
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;
use std::collections::BTreeSet;

// Asks a type for the names of its fields, and gives it nothing.
struct Asked<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields.to_vec();
        Err(Self::Error::custom("only asked"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<T: DeserializeOwned>() -> BTreeSet<&'static str> {
    let mut names = Vec::new();
    let _ = T::deserialize(Asked(&mut names));
    assert!(!names.is_empty(), "{} has no fields", std::any::type_name::<T>());
    names.into_iter().collect()
}

// The fields that the code has for a section.
fn real(file: &str, section: &str) -> BTreeSet<&'static str> {
    use sordino_shared::privacy::AdaptiveClip;
    use sordino_shared::workload::TowerSettings;
    match (file, section) {
        ("scenario", "") => fields::<crate::scenario::Scenario>(),
        ("scenario", "model") => fields::<sordino_shared::model::Hyperparameters>(),
        ("scenario", "fedmf") => fields::<sordino_shared::workload::GradientSettings>(),
        ("scenario", "masks") => fields::<crate::federation::MaskSettings>(),
        ("scenario", "world") => fields::<crate::world::WorldSettings>(),
        ("stream", "") => fields::<crate::stream::StreamSettings>(),
        ("ranker", "") => fields::<crate::ranking::RankSettings>(),
        ("ranker", "ranking") => fields::<sordino_shared::workload::RankingSettings>(),
        ("labels", "") => fields::<crate::labels::LabelSettings>(),
        ("labels", "bands") => fields::<sordino_shared::model::PlayBands>(),
        ("cold-start", "") => fields::<crate::cold_start::ColdSettings>(),
        ("large", "") => fields::<crate::large::LargeSettings>(),
        (_, "tower") => fields::<TowerSettings>(),
        ("poison", "") => fields::<crate::poisoning::PoisonSettings>(),
        ("rollout", "") => fields::<crate::rollout::RolloutSettings>(),
        ("fleet", "") => fields::<crate::fleet::FleetSettings>(),
        ("plan", "") => fields::<crate::privacy::explain::PlanFile>(),
        ("plan", "[blocks]") => fields::<crate::privacy::explain::PlanBlock>(),
        ("policy", "") => fields::<sordino_client::label::LabelPolicy>(),
        ("policy", "[rules]") => fields::<sordino_client::label::Rule>(),
        ("policy", "confidence") => ["strong_positive", "positive", "weak_positive"].into(),
        (_, clip) if clip.ends_with("clip") => fields::<AdaptiveClip>(),
        other => panic!("{other:?}: which type is it?"),
    }
}

#[test]
fn each_key_is_in_the_list_and_each_of_the_list_exists() {
    for file in &FILES {
        for section in file.sections {
            // What is a section of its own is listed there.
            let inner = |name: &str| match section.name {
                "" => file.sections.iter().any(|s| s.name.trim_matches(['[', ']']) == name),
                of => file.sections.iter().any(|s| s.name == format!("{of}.{name}")),
            };
            let expected: BTreeSet<&str> =
                real(file.name, section.name).into_iter().filter(|name| !inner(name)).collect();
            let listed: BTreeSet<&str> = section.keys.iter().map(|key| key.name).collect();
            assert_eq!(listed, expected, "{} [{}]", file.name, section.name);
        }
    }
}

// The example with one key of a section set.
fn with(file: &File, section: &Section, name: &str, value: &str) -> String {
    let mut table: toml::Table = file.example.parse().expect("an example is TOML");
    let value = format!("v = {value}").parse::<toml::Table>().expect("a value is TOML")["v"].clone();
    let place = match section.name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(list) => table[list].as_array_mut().expect("a list")[0].as_table_mut().expect("a table"),
        None => section.name.split('.').filter(|part| !part.is_empty()).fold(&mut table, |table, part| {
            let inner = table.entry(part).or_insert_with(|| toml::Table::new().into());
            inner.as_table_mut().expect("a section")
        }),
    };
    place.insert(name.to_owned(), value);
    toml::to_string(&table).expect("TOML")
}

#[test]
fn examples_are_read_and_unknown_keys_refused() {
    for file in &FILES {
        (file.check)(file.example).unwrap_or_else(|fault| panic!("{}: {fault}\n{}", file.name, file.example));
        for section in file.sections {
            for key in section.keys {
                let text = with(file, section, key.name, key.example);
                (file.check)(&text).unwrap_or_else(|fault| panic!("{} {}: {fault}\n{text}", file.name, key.name));
                assert!(!key.meaning.is_empty() && !key.kind.is_empty() && !key.meaning.contains('|'));
            }
            let text = with(file, section, "nobody_knows_this", "1");
            assert!((file.check)(&text).is_err(), "{} [{}]: {text}", file.name, section.name);
        }
    }
}

#[test]
fn files_to_begin_with_say_what_is_so_anyway() {
    for of in &FILES {
        let text = file(of);
        (of.check)(&text).unwrap_or_else(|fault| panic!("{}: {fault}\n{text}", of.name));
        if let Some(defaults) = of.defaults {
            let [written, real] =
                [text, defaults()].map(|text| toml::from_str::<toml::Table>(&text).expect("TOML").to_string());
            assert_eq!(rounded(&written), rounded(&real), "{}", of.name);
        }
        // And every key is in it, if only in a comment.
        let keys = of.sections.iter().flat_map(|section| section.keys);
        let text = file(of);
        assert!(of.defaults.is_none() || keys.clone().all(|key| text.contains(&format!("{} = ", key.name))), "{text}");
    }
}

// Single precision has a long tail when it is written in double.
fn rounded(text: &str) -> String {
    let short = |word: &str| match word.trim_end_matches([',', ']']).parse::<f64>() {
        Ok(number) if word.contains('.') => format!("{number:.6}{}", &word[word.trim_end_matches([',', ']']).len()..]),
        _ => word.to_owned(),
    };
    let lines = text.lines().map(|line| line.replace('[', "[ ").split(' ').map(short).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_page_is_made_of_the_list() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scenarios.md");
    if std::env::var_os("SORDINO_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page(), "docs/scenarios.md is not as the list has it: run the tests with SORDINO_WRITE_DOCS=1");
}
