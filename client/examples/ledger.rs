//! A device that takes part until its ledger refuses, and what its listener can read about it.
//!
//! `cargo run --release -p sordino-client --example ledger -- FILE` keeps the ledger in FILE, which must not exist yet.

use sordino_client::participation::Invitation;
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Example, Hyperparameters};
use sordino_shared::plan::{PlanRequest, RoundPlan};
use sordino_shared::privacy::ledger::{Ledger, Policy};
use sordino_shared::workload::{Device, DeviceHalf, Popularity, Workspace};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("give the ledger's file")?;
    let mut ledger = Ledger::create(Path::new(&file), Policy::new(1.0, 1e-6), 1_795_000_000_000)?;
    let workload = Popularity::new(4000, Hyperparameters::default());
    let plan = RoundPlan::new(PlanRequest {
        honest_fraction: 0.6,
        rho: Some(0.007),
        ..PlanRequest::new(1000, workload.layout())
    })?;
    let examples = [Example { track: TrackId(17), confidence: 1.0 }];
    for round in 1.. {
        let mut workspace = Workspace::default();
        let device = Device { examples: &examples, ..workspace.device() };
        let invitation = Invitation { task: "popularity", round, paid_as: round, plan: &plan };
        let day = 1_795_000_000_000 + 86_400_000 * round as i64;
        match invitation.accept(&workload, device, &mut ledger, day) {
            Ok(part) => println!("round {round}: a vector of {} noisy numbers", part.noised.blocks()[0].len()),
            Err(refusal) => {
                println!("round {round}: {refusal}");
                break;
            }
        }
    }
    println!("\n{}", ledger.in_words());
    Ok(())
}
