//! The catalogue as a model sees it: kinds of music with their names, and a plane on which tracks lie.

use crate::dataset::Dataset;
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
    let names = clusters.names(&dataset.content, heard, WORDS);
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
            (group, Kind { name: name.join(", "), tracks: members.len(), share, examples })
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

const MAP_STREAM: u64 = 901;
const GROUPS: usize = 10;
const WORDS: usize = 3;
const EXAMPLES: usize = 4;
const POINTS: usize = 500;
