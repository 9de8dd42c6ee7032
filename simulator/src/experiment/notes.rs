//! What a run has to say of itself in words.

use super::Experiment;
use crate::federation::Fidelity;
use crate::methods::Method;
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::privacy::{Mode, rounded};

impl Experiment<'_> {
    // What has to be said before any figure.
    pub(crate) fn notes(&self, claim: Option<&Claim>, fallback: Option<String>) -> Vec<String> {
        let mut notes = Vec::new();
        let (n, population) = (self.population.devices(), self.federation.population);
        if population > n {
            notes.push(format!(
                "What if {population} devices took part: {n} are simulated, and the noise of the sum is scaled to them."
            ));
        }
        let cohorts = self.federation.participants().div_ceil(self.federation.cohort);
        notes.push(match (claim, self.scenario.mode) {
            (None, _) if matches!(self.scenario.method, Method::Ials | Method::Popularity) => {
                "A central method: it sees everybody's data and promises no privacy.".to_owned()
            }
            (None, _) => "No noise was added: this run promises no privacy.".to_owned(),
            (Some(c), Mode::Secure) => format!(
                "Each device spends epsilon {} at delta {} (user level, zero-out), against the coordinator and \
                 whoever reads the model, in {cohorts} secure cohort{} of {}; this assumes that masks hide all but \
                 each cohort's sum and that {:.0} % of it is honest and survives.",
                rounded::up(c.epsilon, 3),
                rounded::up_small(c.delta),
                if cohorts == 1 { "" } else { "s" },
                self.federation.cohort,
                100.0 * self.scenario.honest_share(),
            ),
            (Some(c), Mode::Central) => format!(
                "Each device spends epsilon {} at delta {} (user level, zero-out), against readers of the model \
                 only: the coordinator is trusted with the exact sum.",
                rounded::up(c.epsilon, 3),
                rounded::up_small(c.delta)
            ),
            (Some(c), Mode::CentralMf) => format!(
                "Each device spends epsilon {} at delta {} (user level, zero-out) over all rounds together, \
                 against readers of the models only: the coordinator is trusted with the exact sums and adds correlated \
                 noise; devices must keep to their turns.",
                rounded::up(c.epsilon, 3),
                rounded::up_small(c.delta)
            ),
            (Some(c), Mode::Local) => format!(
                "Each device spends epsilon {} at delta {} (user level, replace-one), against anybody: it adds \
                 all the noise itself.",
                rounded::up(c.epsilon, 3),
                rounded::up_small(c.delta)
            ),
        });
        if claim.is_some() {
            notes.push(self.noise_note());
        }
        if self.scenario.fedmf.leaky_negatives {
            notes.push(
                "LEAKY NEGATIVES: fedmf and fedrecon draw their training negatives around the tracks they are tested on, as \
                 published federated tables do. Their figures here are no measure of a recommender."
                    .to_owned(),
            );
        }
        if let Some(reason) = fallback {
            notes.push(format!("The model is private popularity alone: {reason}."));
        }
        notes.extend(self.dataset.notes.iter().map(|note| crate::error::shown(note).into_owned()));
        notes
    }

    fn noise_note(&self) -> String {
        let note = match (self.scenario.mode, self.scenario.fidelity) {
            (Mode::CentralMf, _) => "Noise: correlated over the rounds (banded square root), added by the coordinator.",
            (Mode::Central, _) => "Noise: one draw for each sum, as a trusted coordinator would add it.",
            (_, Fidelity::Learning) => {
                "Noise: one draw for each simulated sum (learning fidelity); the claim is that of devices which draw \
                 discrete noise of the same variance."
            }
            (_, Fidelity::Device) => "Noise: every device drew its own discrete share (device fidelity).",
            (_, Fidelity::Protocol) => return self.masks_note(),
        };
        note.to_owned()
    }

    fn masks_note(&self) -> String {
        let (masks, devices) = (&self.scenario.masks, self.population.devices());
        let drawn = self.scenario.devices_per_round.unwrap_or(devices).min(devices);
        let size = drawn.div_ceil(drawn.div_ceil(self.scenario.cohort).max(1));
        let graph = masks.degree(size).map_or(String::new(), |degree| {
            format!(" Each talked to {} neighbours, of which {} open a secret.", degree.neighbours, degree.threshold)
        });
        format!(
            "Noise and masks: every device drew its own discrete share and masked its vector; each sum was opened by the \
             whole protocol (protocol fidelity).{graph} The graph withstands {} % colluding and {} % dropping out at \
             2^-{}; {} % did drop out, each at a step drawn at random.",
            100.0 * masks.colluding,
            100.0 * masks.dropping,
            masks.security_bits,
            100.0 * masks.drop_out
        )
    }
}
