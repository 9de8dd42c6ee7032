//! What a round is about: everything public, bound into one hash (docs/protocol.md, section 1).

use super::finder::{self, Assumptions};
use super::identity::{Identity, PublicIdentity, SignatureBytes};
use super::lanes::Shape;
use super::messages::Offer;
use super::transcript::{Hash, Transcript};
use crate::plain::is_name;
use crate::plan::RoundPlan;
use crate::privacy::Mode;
use thiserror::Error;

/// The terms of one masked round. Both sides compute them from the plan and the model that they hold themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    task: String,
    round: u64,
    plan: Hash,
    model: Hash,
    cohort: u32,
    min_survivors: u32,
    shape: Shape,
    assumptions: Assumptions,
}

/// Why a plan cannot be run under masks.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TermsError {
    /// Masks hide from the coordinator; other modes do not ask for that.
    #[error("masks are for plans of mode secure, not of mode {}", .0.name())]
    Mode(Mode),
    /// A sum without noise tells what it tells, masks or not.
    #[error("a plan without noise gives no privacy, whatever is masked: give it a budget")]
    NoNoise,
    /// Lanes are 32 bits wide.
    #[error("sums of {0} bits do not fit the masks' 32: use a smaller cohort or a coarser grid")]
    Width(u32),
    /// Longer than a frame may announce.
    #[error("a vector of {0} values is longer than a frame")]
    Length(usize),
    /// A name that is none: too long for a header, or with characters that could pass for something else where it is shown.
    #[error("a task's name has 1 to {MOST_TASK} letters, digits, dots, dashes or underscores, and this one has not")]
    Task,
    /// The round could not end even if everything went as assumed.
    #[error(
        "the plan counts on {honest} honest devices, which with {colluders} colluding ones is more than the {staying} of \
         {cohort} that are assumed to stay: lower the plan's honest share"
    )]
    Survivors {
        /// Devices whose noise the plan counts on.
        honest: usize,
        /// Devices that may collude.
        colluders: u32,
        /// Devices that are assumed to stay.
        staying: u32,
        /// Devices in a full cohort.
        cohort: u32,
    },
    /// No graph for a full cohort.
    #[error(transparent)]
    Graph(#[from] finder::Error),
}

impl Terms {
    /// Computes the terms. The least number of survivors follows from the plan: as many as its noise counts on, and the
    /// colluding ones, who know their own noise.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn new(
        task: &str,
        round: u64,
        plan: &RoundPlan,
        model: Hash,
        assumptions: Assumptions,
    ) -> Result<Self, TermsError> {
        if plan.mode() != Mode::Secure {
            return Err(TermsError::Mode(plan.mode()));
        }
        if plan.blocks().iter().any(|block| block.local_variance == 0) || plan.blocks().is_empty() {
            return Err(TermsError::NoNoise);
        }
        if !is_name(task, MOST_TASK) {
            return Err(TermsError::Task);
        }
        if plan.bits() > 32 {
            return Err(TermsError::Width(plan.bits()));
        }
        let values = u32::try_from(plan.values()).ok().filter(|values| *values <= MOST_VALUES);
        let values = values.ok_or(TermsError::Length(plan.values()))?;
        let cohort = u32::try_from(plan.cohort()).unwrap_or(u32::MAX);
        assumptions.degree(cohort)?;
        let (colluders, staying) = (assumptions.colluders(cohort), assumptions.staying(cohort));
        let min_survivors = plan.honest() as u64 + u64::from(colluders);
        if min_survivors > u64::from(staying) {
            return Err(TermsError::Survivors { honest: plan.honest(), colluders, staying, cohort });
        }
        Ok(Self {
            task: task.to_owned(),
            round,
            plan: plan_digest(plan),
            model,
            cohort,
            min_survivors: min_survivors as u32,
            shape: Shape { values, bits: plan.bits() },
            assumptions,
        })
    }

    /// Signs the terms, by the key whose plans devices accept.
    pub fn offer(&self, operator: &Identity) -> Offer {
        Offer {
            task: self.task.clone(),
            round: self.round,
            plan: self.plan,
            model: self.model,
            security_bits: self.assumptions.security_bits,
            colluding: self.assumptions.colluding,
            dropping: self.assumptions.dropping,
            signature: operator.sign(&self.statement()),
        }
    }

    /// Whether `operator` signed these terms.
    pub fn signed(&self, operator: &PublicIdentity, signature: &SignatureBytes) -> bool {
        operator.signed(&self.statement(), signature)
    }

    /// ctx: what everything signed, derived or encrypted in the round takes in.
    pub fn context(&self) -> Hash {
        let parameters = Transcript::new("terms")
            .add(&self.plan)
            .number(self.cohort)
            .number(self.min_survivors)
            .number(self.shape.values)
            .number(self.shape.bits)
            .number(self.assumptions.security_bits)
            .add(&self.assumptions.colluding.to_bits().to_le_bytes())
            .add(&self.assumptions.dropping.to_bits().to_le_bytes())
            .hash();
        Transcript::new("context")
            .add(self.task.as_bytes())
            .add(&self.round.to_le_bytes())
            .add(&parameters)
            .add(&self.model)
            .hash()
    }

    /// Which round of which task it is, whatever else the terms say: a round has one graph.
    pub fn round_id(&self) -> Hash {
        Transcript::new("round").add(self.task.as_bytes()).add(&self.round.to_le_bytes()).hash()
    }

    /// The task.
    pub fn task(&self) -> &str {
        &self.task
    }

    /// The round within the task.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Hash of the plan.
    pub fn plan(&self) -> Hash {
        self.plan
    }

    /// Hash of the model that devices start from.
    pub fn model(&self) -> Hash {
        self.model
    }

    /// The most devices in the sum.
    pub fn cohort(&self) -> u32 {
        self.cohort
    }

    /// The fewest devices whose sum may be opened.
    pub fn min_survivors(&self) -> u32 {
        self.min_survivors
    }

    /// d and b.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What is assumed about the devices.
    pub fn assumptions(&self) -> Assumptions {
        self.assumptions
    }

    fn statement(&self) -> Transcript {
        Transcript::new("offer").add(&self.context())
    }
}

/// A hash of everything that a plan fixes.
pub fn plan_digest(plan: &RoundPlan) -> Hash {
    let start = Transcript::new("plan")
        .add(plan.mode().name().as_bytes())
        .add(plan.mechanism().name().as_bytes())
        .add(&(plan.cohort() as u64).to_le_bytes())
        .add(&(plan.honest() as u64).to_le_bytes())
        .number(plan.bits());
    plan.blocks()
        .iter()
        .fold(start, |transcript, block| {
            transcript
                .add(block.layout.name.as_bytes())
                .add(&(block.layout.rows as u64).to_le_bytes())
                .add(&(block.layout.width as u64).to_le_bytes())
                .add(&block.layout.clip.to_bits().to_le_bytes())
                .add(&block.layout.row_clip.to_bits().to_le_bytes())
                .add(&[block.layout.rotation as u8])
                .add(&(block.length as u64).to_le_bytes())
                .add(&block.rotation_seed.to_le_bytes())
                .add(&block.grid.to_bits().to_le_bytes())
                .add(&block.bound_squared.to_le_bytes())
                .add(&block.local_variance.to_le_bytes())
        })
        .hash()
}

const MOST_TASK: usize = 128;
// 2^28 values of 32 bits are a gibibyte.
const MOST_VALUES: u32 = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BlockLayout, PlanRequest};

    fn plan(change: impl FnOnce(&mut PlanRequest)) -> RoundPlan {
        let mut request = PlanRequest {
            rho: Some(0.1),
            honest_fraction: 0.7,
            ..PlanRequest::new(100, vec![BlockLayout::new("rows", 40, 2, 1.0)])
        };
        change(&mut request);
        RoundPlan::new(request).expect("a valid plan")
    }

    fn terms(plan: &RoundPlan) -> Result<Terms, TermsError> {
        Terms::new("task", 1, plan, [1; 32], Assumptions::default())
    }

    #[test]
    fn survivors_are_the_honest_and_the_colluding() {
        let terms = terms(&plan(|_| ())).expect("terms");
        assert_eq!(terms.min_survivors(), 80);
        assert_eq!(terms.shape().values, 80);
        // Whatever the cohort: the whole number of devices that may collude comes on top of the whole number that is honest.
        for (cohort, colluding, colluders) in
            [(60, 0.1, 6), (100, 0.1, 10), (110, 0.1, 11), (999, 0.1, 99), (2000, 0.15, 300)]
        {
            let plan = plan(|p| p.cohort = cohort);
            let assumptions = Assumptions { colluding, ..Assumptions::default() };
            let terms = Terms::new("task", 1, &plan, [1; 32], assumptions).expect("terms");
            let honest = (cohort * 7 / 10) as u32;
            assert_eq!((plan.honest() as u32, terms.min_survivors()), (honest, honest + colluders), "{cohort}");
        }
    }

    #[test]
    fn what_masks_cannot_help_is_refused() {
        assert_eq!(terms(&plan(|p| p.rho = None)), Err(TermsError::NoNoise));
        assert_eq!(terms(&plan(|p| p.mode = Mode::Local)), Err(TermsError::Mode(Mode::Local)));
        assert!(matches!(terms(&plan(|p| p.honest_fraction = 0.85)), Err(TermsError::Survivors { staying: 90, .. })));
        assert!(matches!(terms(&plan(|p| p.cohort = 2)), Err(TermsError::Graph(_))));
        let long = "x".repeat(200);
        let line = "a', round 1: paid\n2026-01-01 00:00 UTC  rule: nothing is sent (";
        for name in ["", &long, line, "a\u{1b}[2J", "a b", "ä"] {
            let named = Terms::new(name, 1, &plan(|_| ()), [1; 32], Assumptions::default());
            assert_eq!(named, Err(TermsError::Task), "{name:?}");
        }
    }

    // Each of them changes the context, and with it every key and signature of the round.
    #[test]
    fn everything_public_is_in_the_context() {
        let base = plan(|_| ());
        let other_plans = [
            plan(|p| p.rho = Some(0.11)),
            plan(|p| p.cohort = 101),
            plan(|p| p.honest_fraction = 0.6),
            plan(|p| p.blocks[0].clip = 1.1),
            plan(|p| p.blocks[0].name = "other"),
            plan(|p| p.rotation_seed = 9),
            plan(|p| p.blocks[0].rows = 41),
        ];
        let make = |task, round, plan, model, colluding| {
            let assumptions = Assumptions { colluding, ..Assumptions::default() };
            Terms::new(task, round, plan, [model; 32], assumptions).expect("terms").context()
        };
        let named = |dropping| {
            let assumptions = Assumptions { dropping, ..Assumptions::default() };
            Terms::new("task", 1, &base, [1; 32], assumptions).expect("terms")
        };
        let (one, other) = (named(0.1), named(0.1 + 1e-9));
        assert_ne!(one.context(), other.context());
        assert_eq!(one.round_id(), other.round_id(), "the same round, whatever its terms");
        let mut contexts: std::collections::BTreeSet<Hash> =
            other_plans.iter().map(|plan| make("task", 1, plan, 1, 0.1)).collect();
        contexts.extend([
            make("task", 1, &base, 1, 0.1),
            make("tusk", 1, &base, 1, 0.1),
            make("task", 2, &base, 1, 0.1),
            make("task", 1, &base, 2, 0.1),
            make("task", 1, &base, 1, 0.15),
        ]);
        assert_eq!(contexts.len(), other_plans.len() + 5);
    }
}
