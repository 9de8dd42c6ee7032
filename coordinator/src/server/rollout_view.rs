//! A rollout as people see it: where it stands, both arms, intervals over time, margins, and what each stage can see.

use crate::rollout::book::Course;
use crate::rollout::explain::{explain, sentence, standing};
use crate::rollout::policy::Seen;
use crate::rollout::{Event, Judged, Phase, Verdict};
use serde::Serialize;
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::privacy::{Mechanism, Mode};

/// What people see of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolloutView {
    /// Its name.
    pub name: String,
    /// The candidate's release counter.
    pub candidate: u64,
    /// Devices that it was planned for.
    pub devices: usize,
    /// Where it stands, in words.
    pub standing: String,
    /// The same in a word: draft, observing, passed, waiting, held, full or aborted.
    pub phase: &'static str,
    /// When the next look may come; `None` where none will.
    pub next_look: Option<i64>,
    /// The stage, from 0; `None` before the first and after the last.
    pub stage: Option<usize>,
    /// Whether somebody may do something to it.
    pub under_way: bool,
    /// Its stages.
    pub stages: Vec<StageView>,
    /// Every look, the oldest first.
    pub looks: Vec<LookView>,
    /// What has happened, the oldest first: when, and in one sentence.
    pub history: Vec<(i64, String)>,
    /// Epsilon that a device has spent on it at most.
    pub epsilon: f64,
    /// Epsilon of the whole rollout.
    pub epsilon_limit: f64,
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageView {
    /// The share of devices, in parts of a million.
    pub share: u32,
    /// Whether it serves nobody.
    pub shadow: bool,
    /// Whether somebody must say yes before the next.
    pub manual: bool,
    /// Looks that are planned.
    pub looks: usize,
    /// Hours that it lasts at least.
    pub dwell_hours: u32,
    /// What it can see.
    pub sees: Vec<Seen>,
}

/// A look.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LookView {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The stage, from 0.
    pub stage: usize,
    /// The look within it, from 1.
    pub look: usize,
    /// What was decided.
    pub verdict: Verdict,
    /// Devices in both arms so far in the stage, by noised counts.
    pub devices: [f64; 2],
    /// Guardrail by guardrail.
    pub judged: Vec<Judged>,
    /// In words and characters.
    pub explained: String,
}

impl RolloutView {
    /// Of a rollout as it stands.
    pub fn of(course: &Course) -> Self {
        let policy = &course.order.policy;
        let sight = policy.sight(course.order.devices);
        let stages = policy.stages.iter().zip(sight).map(|(stage, sees)| StageView {
            share: stage.share.into(),
            shadow: stage.shadow,
            manual: stage.manual,
            looks: stage.looks,
            dwell_hours: stage.dwell_hours,
            sees,
        });
        let mut counts = [0.0; 2];
        let mut looks = Vec::new();
        for event in &course.events {
            match event {
                Event::Started { .. } | Event::Advanced { .. } => counts = [0.0; 2],
                Event::Looked { at, stage, release, decision } => {
                    for (count, arm) in counts.iter_mut().zip(&release.sums) {
                        *count += arm.iter().map(|cell| cell.count).sum::<f64>();
                    }
                    looks.push(LookView {
                        at: *at,
                        stage: *stage,
                        look: decision.look,
                        verdict: decision.verdict,
                        devices: counts,
                        judged: decision.judged.clone(),
                        explained: explain(decision),
                    });
                }
                _ => {}
            }
        }
        // One contribution in each stage that had a look.
        let mut seen: Vec<usize> = looks.iter().map(|look| look.stage).collect();
        seen.dedup();
        let claim = |stages: usize| {
            Claim::new(policy.rho() * stages as f64, policy.delta, Mode::Secure, Mechanism::default()).epsilon
        };
        Self {
            name: course.order.name.clone(),
            candidate: course.order.candidate,
            devices: course.order.devices,
            standing: standing(&course.controller),
            phase: phase(course.controller.phase()),
            next_look: course.controller.next_look().map(|(_, _, due)| due),
            stage: course.controller.stage(),
            under_way: course.is_under_way(),
            stages: stages.collect(),
            looks,
            history: course.events.iter().map(|event| (event.at(), sentence(event))).collect(),
            epsilon: if seen.is_empty() { 0.0 } else { claim(seen.len()) },
            epsilon_limit: claim(policy.stages.len()),
        }
    }
}

fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Draft => "draft",
        Phase::Observing(_) => "observing",
        Phase::Passed(_) => "passed",
        Phase::Waiting(_) => "waiting",
        Phase::Held(_) => "held",
        Phase::Full => "full",
        Phase::Aborted => "aborted",
    }
}
