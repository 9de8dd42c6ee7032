//! Time of what a device does for one list: retrieval from a catalogue, and ranking of candidates.
//!
//! `cargo run --release -p sordino-client --example retrieval_speed -- [TRACKS] [DIMENSIONS] [CANDIDATES]`; medians and best of
//! many repetitions on one core, the scan in single precision with a sort of all scores and with a selection beside it.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use sordino_client::ranking::{Knowledge, Outcome, State, TrackFacts, WIDTH};
use sordino_client::retrieval::{Candidate, Index, QueueRules, Recommender, queue};
use sordino_shared::ids::TrackId;
use sordino_shared::linalg::dot_f32;
use sordino_shared::model::{EmbeddingModel, Example, Hyperparameters, Model, Pass, Ranker, Solver};
use sordino_shared::random::{below, unit_f64};
use sordino_shared::workload::{Counted, Shrinkage};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().expect("a whole number")).collect();
    let of = |at: usize, default: usize| numbers.get(at).copied().unwrap_or(default);
    let (tracks, d, candidates) = (of(0, 100_000), of(1, 32), of(2, 500));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // A sum of four is close to normal.
    let value = |rng: &mut ChaCha8Rng| ((0..4).map(|_| unit_f64(rng)).sum::<f64>() - 2.0) as f32;
    let table = ndarray::Array2::from_shape_fn((tracks, d), |_| value(&mut rng));
    let model = EmbeddingModel::new(table, vec![1.0; tracks], Hyperparameters::default());
    let index = Index::new(&model);
    let history: Vec<Example> =
        (0..50).map(|_| Example { track: TrackId(below(&mut rng, tracks as u64) as u32), confidence: 1.0 }).collect();
    let mut solver = Solver::default();
    let place = solver.solve(&model, &history).to_vec();
    println!("{tracks} tracks of {d} dimensions, the best {candidates}; milliseconds, median (best)");
    report("listener solved", || {
        black_box(Solver::default().solve(&model, &history).len());
    });
    report("two bytes a dimension, scan of one", || {
        black_box(index.top(&place, candidates, |_| true));
    });
    report("single precision, selection", || {
        let mut all: Vec<(f32, u32)> =
            (0..tracks as u32).map(|t| (dot_f32(model.row(t as usize), &place), t)).collect();
        all.select_nth_unstable_by(candidates, |a, b| b.0.total_cmp(&a.0));
        all.truncate(candidates);
        all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        black_box(all);
    });
    report("single precision, sort", || {
        let mut all: Vec<(f32, u32)> =
            (0..tracks as u32).map(|t| (dot_f32(model.row(t as usize), &place), t)).collect();
        all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        black_box(all);
    });
    let facts: Vec<TrackFacts> = (0..tracks)
        .map(|track| TrackFacts {
            artist: 1 + (track / 10) as u32,
            seconds: 200.0,
            counted: Counted { shown: 10.0, surplus: 1.0, variance: 0.1 },
        })
        .collect();
    let artists = vec![Counted { shown: 100.0, surplus: 5.0, variance: 1.0 }; tracks / 10 + 2];
    let knowledge = Knowledge {
        tracks: &facts,
        artists: &artists,
        shrinkage: Shrinkage { mean: 0.3, spread: 0.02 },
        counted: Outcome::Heard { seconds: 18.0 },
        counted_until: Timestamp(0),
        embeddings: Some(&model),
    };
    let mut state = State::default();
    for (at, example) in history.iter().enumerate() {
        let time = Timestamp::from_seconds(1_600_000_000 + 200 * at as i64);
        state.take(&PlaybackEvent::new(example.track, time, EventKind::Play), knowledge.counted, &knowledge);
    }
    state.solve(&knowledge, &mut solver);
    let ranker = Ranker::new(WIDTH, &[16], &mut rng);
    let found = index.top(&place, candidates, |_| true);
    let now = Timestamp::from_seconds(1_600_020_000);
    let rank = |pass: &mut Pass| {
        let score = |track: TrackId, pass: &mut Pass| {
            let event = PlaybackEvent::new(track, now, EventKind::Play);
            ranker.score(&state.features(&event, now, &knowledge), pass)
        };
        let mut ranked: Vec<(TrackId, f32)> = found.iter().map(|&(track, _)| (track, score(track, pass))).collect();
        ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked
    };
    let mut pass = Pass::default();
    report("candidates ranked, features and network", || {
        black_box(rank(&mut pass));
    });
    let ranked: Vec<Candidate> = rank(&mut pass)
        .into_iter()
        .map(|(track, _)| Candidate { track, artist: facts[track.row()].artist, tail: track.0.is_multiple_of(3) })
        .collect();
    let rules = QueueRules { length: 50, artist_gap: 3, tail_share: 0.2 };
    report("a queue of 50 laid", || {
        black_box(queue(&ranked, &rules));
    });
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    let recommender = Recommender::new(Model::Embedding(model), &history);
    println!("memory of the recommender: {:.1} MB", megabytes(recommender.bytes()));
}

fn report(name: &str, mut once: impl FnMut()) {
    let mut times: Vec<f64> = (0..REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            once();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name:42} {:8.3} ({:.3})", times[REPETITIONS / 2], times[0]);
}

const REPETITIONS: usize = 101;
