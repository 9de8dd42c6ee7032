//! Every pattern of drop-out at every step, held against the plain sum of those that uploaded.

use super::*;
use crate::secagg::coordinator::Abandoned;
use crate::secagg::messages::{Opened, Secret};
use rayon::prelude::*;

#[derive(Default, Debug, PartialEq)]
struct Count {
    sums: u32,
    abandoned: u32,
}

/// Goes through all subsets that respond in each step, for as long as the round goes on.
fn explore(n: usize, honest: usize, degree: Option<Degree>) -> Count {
    let mut world = World::new(n, honest, 3, degree);
    let (sharing, shared) = world.shared();
    let world = &world;
    let counts: Vec<Count> = (0u32..1 << n)
        .into_par_iter()
        .map(|dealing| {
            FORCED.set(degree);
            let mut count = Count::default();
            let mut coordinator = sharing.clone();
            for device in members(dealing) {
                let checked = coordinator.check(shared[device].1.clone()).expect("good shares");
                coordinator.record(checked).expect("the first");
            }
            match coordinator.close() {
                Err(error) => count.abandon(error),
                Ok(coordinator) => {
                    let alive: u32 = coordinator.alive().iter().map(|at| 1 << at).sum();
                    assert_eq!(alive & !dealing, 0);
                    let ready: BTreeMap<usize, Ready> = members(alive)
                        .map(|device| {
                            let delivery = coordinator.delivery_for(device as u32).expect("alive");
                            (device, shared[device].0.clone().receive(&delivery).expect("good shares"))
                        })
                        .collect();
                    explore_uploads(world, &coordinator, &ready, alive, &mut count);
                }
            }
            count
        })
        .collect();
    FORCED.set(None);
    counts.into_iter().fold(Count::default(), |sum, count| Count {
        sums: sum.sums + count.sums,
        abandoned: sum.abandoned + count.abandoned,
    })
}

fn explore_uploads(
    world: &World,
    coordinator: &Uploading,
    ready: &BTreeMap<usize, Ready>,
    alive: u32,
    count: &mut Count,
) {
    for uploading in subsets(alive) {
        let mut coordinator = coordinator.clone();
        let mut sum = MaskedSum::new(world.terms.shape());
        let states: BTreeMap<usize, Uploaded> = members(uploading)
            .map(|device| (device, world.upload(device, ready[&device].clone(), &mut coordinator, &mut sum).0))
            .collect();
        match coordinator.close() {
            Err(error) => count.abandon(error),
            Ok(coordinator) => explore_agreements(world, &coordinator, &states, uploading, &sum, count),
        }
    }
}

fn explore_agreements(
    world: &World,
    coordinator: &Agreeing,
    states: &BTreeMap<usize, Uploaded>,
    uploading: u32,
    sum: &MaskedSum,
    count: &mut Count,
) {
    let survivors = coordinator.survivors();
    let agreed: BTreeMap<usize, (Agreed, Agreement)> = members(uploading)
        .map(|device| {
            let unsaved = states[&device].clone().agree(&survivors, &world.identities[device]);
            (device, saved(unsaved.expect("good survivors")))
        })
        .collect();
    for agreeing in subsets(uploading) {
        let mut coordinator = coordinator.clone();
        for device in members(agreeing) {
            coordinator.record(&coordinator.check(&agreed[&device].1).expect("a good signature"));
        }
        match coordinator.close() {
            Err(error) => count.abandon(error),
            Ok(coordinator) => explore_answers(world, &coordinator, &agreed, (uploading, agreeing), sum, count),
        }
    }
}

fn explore_answers(
    world: &World,
    coordinator: &Unmasking,
    agreed: &BTreeMap<usize, (Agreed, Agreement)>,
    (uploading, agreeing): (u32, u32),
    sum: &MaskedSum,
    count: &mut Count,
) {
    // One that signed but has too few neighbours that did gets no quorum and stays silent.
    let answers: BTreeMap<usize, Answer> = members(agreeing)
        .filter(|&device| coordinator.quorum_for(device as u32).is_some())
        .map(|device| {
            let answer = world.answer(device, agreed[&device].0.clone(), coordinator).expect("a quorum");
            let neighbours = coordinator.cohort().graph().neighbours(device as u32);
            for (neighbour, opened) in neighbours.zip(&answer.opened) {
                let survived = uploading >> neighbour & 1 == 1;
                match opened {
                    Opened::Share(Secret::Own, _) => assert!(survived),
                    Opened::Share(Secret::Masking, _) => assert!(!survived),
                    Opened::Nothing => assert!(!survived),
                    Opened::Complaint => panic!("nobody lied"),
                }
            }
            (device, answer)
        })
        .collect();
    let able: u32 = answers.keys().map(|device| 1 << device).sum();
    for answering in subsets(able) {
        let mut coordinator = coordinator.clone();
        for device in members(answering) {
            let checked = coordinator.check(answers[&device].clone()).expect("a good answer");
            coordinator.record(checked);
        }
        let ready = coordinator.ready();
        match coordinator.open(sum.clone(), &world.plan) {
            Err(error) => {
                assert!(!ready);
                count.abandon(error);
            }
            Ok(outcome) => {
                assert!(ready);
                let survivors = members(uploading).map(|device| device as u32);
                assert_eq!(world.residues(&outcome.sum), world.plain_sum(survivors));
                assert_eq!(outcome.sum.devices(), uploading.count_ones() as usize);
                assert!(outcome.disputes.is_empty());
                count.sums += 1;
            }
        }
    }
}

impl Count {
    fn abandon(&mut self, error: Abandoned) {
        assert!(matches!(error, Abandoned::TooFew { .. } | Abandoned::Closed { .. } | Abandoned::Cut), "{error}");
        self.abandoned += 1;
    }
}

fn members(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |at| set >> at & 1 == 1)
}

fn subsets(set: u32) -> impl Iterator<Item = u32> {
    (0..=set).filter(move |subset| subset & !set == 0)
}

#[test]
fn every_pattern_on_complete_graphs() {
    for n in 3..=8 {
        let count = explore(n, 2, None);
        let Degree { threshold, .. } = Assumptions::default().degree(n as u32).expect("a graph");
        // The round ends well exactly if threshold + 1 devices answer in the end: each has its others. A device that has
        // not answered has gone in one of four steps; one that has not dealt may be missing altogether.
        let most_gone = n - threshold as usize - 1;
        let patterns: u32 = (0..=most_gone).map(|gone| choose(n, gone) * 4u32.pow(gone as u32)).sum();
        assert!(count.sums >= patterns, "{n}: {count:?}, at least {patterns}");
        assert!(count.abandoned > 0);
    }
}

#[test]
fn every_pattern_on_sparse_graphs() {
    for (n, neighbours, threshold) in [(6, 4, 3), (7, 4, 2), (8, 6, 5), (8, 4, 2)] {
        let count = explore(n, 2, Some(Degree { neighbours, threshold }));
        assert!(count.sums > 1 && count.abandoned > 1, "{n}: {count:?}");
    }
}

fn choose(n: usize, k: usize) -> u32 {
    (0..k).fold(1, |product, i| product * (n - i) as u32 / (i + 1) as u32)
}
