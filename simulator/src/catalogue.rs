//! The catalogue as a model sees it: kinds of music with their names, and a plane on which tracks lie.

use crate::dataset::Dataset;
use crate::world::names::spoken;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sordino_shared::model::{Clusters, EmbeddingModel};
use sordino_shared::random::mix;

/// Groups of tracks and the places of the best known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogueMap {
    /// The groups, the most heard first.
    pub groups: Vec<Kind>,
    /// The most heard tracks.
    pub points: Vec<Point>,
}

/// A group of tracks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// Its most telling tags; empty where nothing is public of its tracks.
    pub name: String,
    /// Tracks in it.
    pub tracks: usize,
    /// Its share of all that was heard.
    pub share: f64,
    /// Its most heard tracks.
    pub examples: Vec<String>,
}

/// A track on the plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its title, or its name in the data where it has none.
    pub title: String,
    /// Its group's place in the list.
    pub group: usize,
    /// Where it lies.
    pub x: f32,
    /// Where it lies.
    pub y: f32,
    /// Listeners who heard it.
    pub heard: f64,
}

/// Groups the tracks of a model. `heard` are listeners by track.
pub fn map(model: &EmbeddingModel, dataset: &Dataset, heard: &[f64], seed: u64) -> CatalogueMap {
    let table = model.table().view();
    let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, MAP_STREAM, 0));
    let clusters = Clusters::new(table, heard, GROUPS, &mut rng);
    let mut tags = clusters.names(&dataset.content, heard, MOST_WORDS);
    if dataset.world().is_some() {
        tags.iter_mut().flatten().for_each(|tag| *tag = spoken(tag));
    }
    let names = apart(&tags);
    let plane = clusters.plane(table);
    let title = |track: usize| match dataset.titles[track].as_str() {
        "" => dataset.track_names[track].clone(),
        title => title.to_owned(),
    };
    let mut order: Vec<usize> = (0..heard.len()).filter(|&track| clusters.of[track].is_some()).collect();
    order.sort_by(|&a, &b| heard[b].total_cmp(&heard[a]).then(a.cmp(&b)));
    let all: f64 = order.iter().map(|&track| heard[track]).sum();
    let group_of = |track: usize| clusters.of[track].unwrap_or_default() as usize;
    let mut groups: Vec<(usize, Kind)> = names
        .into_iter()
        .enumerate()
        .map(|(group, name)| {
            let members: Vec<usize> = order.iter().copied().filter(|&track| group_of(track) == group).collect();
            let share = members.iter().map(|&track| heard[track]).sum::<f64>() / all.max(1.0);
            let examples = members.iter().take(EXAMPLES).map(|&track| title(track)).collect();
            (group, Kind { name, tracks: members.len(), share, examples })
        })
        .collect();
    groups.sort_by(|a, b| b.1.share.total_cmp(&a.1.share).then(a.0.cmp(&b.0)));
    let place = |group: usize| groups.iter().position(|(old, _)| *old == group).unwrap_or_default();
    let points = order
        .iter()
        .take(POINTS)
        .map(|&track| Point {
            title: title(track),
            group: place(group_of(track)),
            x: plane[(track, 0)],
            y: plane[(track, 1)],
            heard: heard[track],
        })
        .collect();
    CatalogueMap { points, groups: groups.into_iter().map(|(_, kind)| kind).collect() }
}

// Names that tell the groups apart: their first tags, and so many more as it takes.
fn apart(tags: &[Vec<String>]) -> Vec<String> {
    // The same tags in another order are the same kind to whoever reads it.
    let first = |of: &[String], words: usize| {
        let mut first = of[..words.min(of.len())].to_vec();
        first.sort();
        first
    };
    let mut names: Vec<String> = Vec::new();
    for (group, of) in tags.iter().enumerate() {
        let others = || tags.iter().enumerate().filter(|(other, _)| *other != group).map(|(_, of)| of);
        let words = (WORDS..MOST_WORDS).find(|&w| others().all(|other| first(of, w) != first(other, w)));
        let name = of[..words.unwrap_or(MOST_WORDS).min(of.len())].join(", ");
        let again =
            names.iter().filter(|known| !name.is_empty() && known.split(" (").next() == Some(name.as_str())).count();
        names.push(if again == 0 { name } else { format!("{name} ({})", again + 1) });
    }
    names
}

const MAP_STREAM: u64 = 901;
const GROUPS: usize = 10;
const WORDS: usize = 3;
const MOST_WORDS: usize = 6;
const EXAMPLES: usize = 4;
const POINTS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let tags = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let names = apart(&[
            tags(&["jazz", "1970s", "1980s", "live"]),
            tags(&["1980s", "jazz", "1970s", "studio"]),
            tags(&["folk", "2000s"]),
            tags(&["folk", "2000s"]),
            tags(&["rock", "1990s", "loud", "fast"]),
            tags(&[]),
            tags(&[]),
        ]);
        let expected = [
            "jazz, 1970s, 1980s, live",
            "1980s, jazz, 1970s, studio",
            "folk, 2000s",
            "folk, 2000s (2)",
            "rock, 1990s, loud",
            "",
            "",
        ];
        assert_eq!(names, expected);
    }
}
