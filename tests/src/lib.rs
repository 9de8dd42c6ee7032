//! What the promises' tests share: reference data, seeded generators and small scenarios.

use sordino_simulator::scenario::{Auto, Epsilon, Scenario};
use sordino_simulator::world::WorldSettings;
use std::io::Write;
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
    println!("skipped: there is no {}; SORDINO_REFERENCE_DIR names the folder of references", path.display());
    None
}

/// Tells a person that a test did not run: on the standard error as it is, which the test harness does not swallow, and as a line
/// of `target/skipped-tests.txt`.
pub fn skipped(test: &str, why: &str) {
    let line = format!("skipped: {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    let program = std::env::current_exe().unwrap_or_default();
    // target/PROFILE/deps/PROGRAM
    let Some(target) = program.ancestors().nth(3) else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(target.join("skipped-tests.txt"));
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// The test that runs on this thread, with its program's name.
fn test_name() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let stem = program.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    // Cargo adds a hash.
    let stem = stem.rsplit_once('-').map_or(stem.as_str(), |(stem, _)| stem);
    match std::thread::current().name() {
        Some(test) => format!("{stem}::{test}"),
        None => stem.to_owned(),
    }
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

pub mod browser;
pub mod page;
pub mod phone;
pub mod trial;
