//! The audit holds on the pipeline as it is, with power, and catches every planted bug.
//!
//! The whole audit, with ten times the canaries and attacks on models:
//! `cargo run --release -p sordino-simulator -- privacy audit`.

use sordino_simulator::privacy::audit::{Effort, attack, controls, honest};

#[test]
fn claims_hold_in_every_mode_and_the_attacks_have_power() {
    for (name, setup) in honest() {
        let finding = attack(name, &setup, Effort::QUICK, 7).expect("an attack");
        assert!(!finding.contradicts(), "{finding:?}");
        assert!(finding.has_power(), "{finding:?}");
    }
}

#[test]
fn planted_bugs_are_caught() {
    let controls = controls();
    assert_eq!(controls.len(), 9);
    for (name, setup) in controls {
        let finding = attack(name, &setup, Effort::QUICK, 7).expect("an attack");
        assert!(finding.contradicts(), "not caught: {finding:?}");
    }
}
