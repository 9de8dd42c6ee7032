//! What the promises' tests share: reference data, seeded generators and small scenarios.

use sordino_simulator::scenario::{Auto, Epsilon, Scenario};
use sordino_simulator::world::WorldSettings;
use std::path::{Path, PathBuf};

/// The folder of reference values and real sets: `SORDINO_REFERENCE_DIR`, else `../shared/data` beside the repository.
/// `None`, with a printed reason, where it is not there.
pub fn reference(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = match std::env::var_os("SORDINO_REFERENCE_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("../shared/data"),
    };
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    let why = "SORDINO_REFERENCE_DIR names the folder of real sets and reference values";
    skipped(&test_name(), &format!("there is no {}; {why}", path.display()));
    None
}

/// A world that a test can afford.
pub fn small() -> Scenario {
    Scenario {
        baselines: Vec::new(),
        curve: Vec::new(),
        dim: Auto::Given(8),
        rounds: Auto::Given(2),
        epsilon: Epsilon(Some(8.0)),
        world: WorldSettings { listeners: 150, tracks: 120, artists: 30, ..WorldSettings::default() },
        ..Scenario::default()
    }
}

/// A seeded generator.
pub fn rng(seed: u64) -> rand_chacha::ChaCha8Rng {
    rand_core::SeedableRng::seed_from_u64(seed)
}

mod skipping;

pub use skipping::{not_run, skipped, test_name};

pub mod browser;
pub mod page;
pub mod phone;
pub mod remedies;
pub mod trial;
