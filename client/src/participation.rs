//! Taking part as a device does it: pay first, durably; then make the vector; nothing else comes out.
//!
//! A crash after the payment sends nothing and gives nothing back. A retry sends the bytes that were made, never new ones:
//! a second vector for the same round would let its reader average the noise away, so the ledger refuses it.
//!
//! In a masked round the vector does not even come out: [`Invitation::accept_masked`] gives the upload, whose record the
//! host writes before it sends.

use crate::train::{Participation, Randomness, take_part};
use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::ledger::{self, History, Ledger, Refusal, Spend};
use sordino_shared::privacy::{NoiseError, Samplers};
use sordino_shared::secagg::device::{Ready, Refusal as RoundRefusal, Unsaved, Uploaded};
use sordino_shared::secagg::messages::Upload;
use sordino_shared::secagg::{Identity, plan_digest};
use sordino_shared::workload::{Device, DeviceHalf};
use thiserror::Error;

/// Why a device does not take part.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The ledger refused, or could not write.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// No noise could be drawn.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The masked round is not the one of the invitation.
    #[error(transparent)]
    Round(#[from] RoundRefusal),
}

/// A round that a device is asked to take part in.
#[derive(Clone, Copy, Debug)]
pub struct Invitation<'a> {
    /// The task.
    pub task: &'a str,
    /// The round within it.
    pub round: u64,
    /// The number under which the ledger has it, once: [`Broadcast::paid_as`](sordino_shared::workload::Broadcast::paid_as).
    pub paid_as: u64,
    /// The plan.
    pub plan: &'a RoundPlan,
}

impl Invitation<'_> {
    fn spend(&self, samplers: &Samplers, at: i64) -> Spend {
        Spend::of_plan(self.plan, samplers, self.task, self.paid_as, at)
    }

    /// Whether the ledger would pay for it; for telling the listener before anything happens.
    ///
    /// # Errors
    /// The reason why not.
    pub fn check(&self, ledger: &History) -> Result<(), Refusal> {
        match Samplers::new(self.plan) {
            Ok(samplers) => ledger.check(&self.spend(&samplers, 0)),
            Err(_) => Err(Refusal::NoNoise { task: self.task.to_owned(), round: self.round }),
        }
    }

    /// Takes part: randomness and samplers first, so that nothing is paid for a round that cannot be noised; then the
    /// ledger; then the vector.
    ///
    /// # Errors
    /// [`enum@Error`]; then there is no vector.
    pub fn accept(
        &self,
        workload: &impl DeviceHalf,
        device: Device<'_>,
        ledger: &mut Ledger,
        at: i64,
    ) -> Result<Participation, Error> {
        let samplers = Samplers::new(self.plan)?;
        let mut randomness = Randomness::from_operating_system()?;
        ledger.spend(self.spend(&samplers, at))?;
        Ok(take_part(workload, self.plan, &samplers, device, &mut randomness))
    }

    /// Takes part in a masked round: as [`Self::accept`], and the vector is masked before it is given out.
    ///
    /// # Errors
    /// [`enum@Error`]; then there is no upload, and the device's part in the round is over.
    pub fn accept_masked(
        &self,
        workload: &impl DeviceHalf,
        device: Device<'_>,
        ledger: &mut Ledger,
        at: i64,
        ready: Ready,
        identity: &Identity,
    ) -> Result<Unsaved<Uploaded, Upload>, Error> {
        let terms = ready.terms();
        // Before the payment: the masks are for this plan, with its noise, and for no other.
        if terms.plan() != plan_digest(self.plan) {
            return Err(RoundRefusal::OtherPlan.into());
        }
        if (terms.task(), terms.round()) != (self.task, self.round) {
            return Err(RoundRefusal::OtherRound.into());
        }
        let participation = self.accept(workload, device, ledger, at)?;
        Ok(ready.mask(&participation.noised, identity)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masks;
    use sordino_shared::ids::TrackId;
    use sordino_shared::model::{Example, Hyperparameters};
    use sordino_shared::plan::PlanRequest;
    use sordino_shared::privacy::Mode;
    use sordino_shared::privacy::accountant::correlated::Strategy;
    use sordino_shared::secagg::coordinator::Advertising;
    use sordino_shared::secagg::device::{Joining, Member, Policy};
    use sordino_shared::secagg::{Assumptions, Authority, Hash, Terms};
    use sordino_shared::workload::{Popularity, Workspace};

    fn request(workload: &Popularity) -> PlanRequest {
        PlanRequest { honest_fraction: 0.6, ..PlanRequest::new(100, workload.layout()) }
    }

    fn plan(workload: &Popularity, rho: Option<f64>, mode: Mode) -> RoundPlan {
        RoundPlan::new(PlanRequest { mode, rho, ..request(workload) }).expect("a valid plan")
    }

    #[test]
    fn it_pays_once_and_refuses_what_it_cannot_pay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        let policy = ledger::Policy::new(1.0, 1e-6);
        let mut ledger = Ledger::create(&path, policy.clone(), 0).expect("a ledger");
        let workload = Popularity::new(50, Hyperparameters::default());
        let examples = [Example { track: TrackId(3), confidence: 1.0 }];
        let accept = |plan: &RoundPlan, round: u64, ledger: &mut Ledger| {
            let mut workspace = Workspace::default();
            let device = Device { examples: &examples, ..workspace.device() };
            Invitation { task: "popularity", round, paid_as: round, plan }.accept(&workload, device, ledger, 0)
        };
        let cheap = plan(&workload, Some(0.01), Mode::Secure);
        accept(&cheap, 1, &mut ledger).expect("it fits");
        let spent = ledger.balance().rho;
        assert!(spent <= 0.01 && spent > 0.0099, "the plan's own integers decide: {spent}");
        // As after a crash before the upload: the round cannot be had again, the payment stays.
        drop(ledger);
        let mut ledger = Ledger::open(&path, &policy).expect("the same ledger");
        assert!(matches!(
            accept(&cheap, 1, &mut ledger),
            Err(Error::Ledger(ledger::Error::Refused(Refusal::Twice { .. })))
        ));
        let dear = plan(&workload, Some(0.02), Mode::Secure);
        let invitation = Invitation { task: "popularity", round: 2, paid_as: 2, plan: &dear };
        assert!(matches!(invitation.check(ledger.history()), Err(Refusal::Overspent { .. })));
        assert!(accept(&dear, 2, &mut ledger).is_err());
        assert!(accept(&plan(&workload, None, Mode::Secure), 3, &mut ledger).is_err(), "no noise");
        assert!(accept(&plan(&workload, Some(0.001), Mode::Central), 4, &mut ledger).is_err(), "not this mode");
        assert_eq!(ledger.balance().rho, spent);
    }

    // The plan carries its strategy: the device reckons the sensitivity itself, pays once, and keeps the limits.
    #[test]
    fn correlated_rounds_are_paid_once_and_kept_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut policy = ledger::Policy::new(2.0, 1e-6);
        policy.modes.push(Mode::CentralMf);
        let mut ledger = Ledger::create(&folder.path().join("ledger"), policy, 0).expect("a ledger");
        let workload = Popularity::new(50, Hyperparameters::default());
        let plan = RoundPlan::new(PlanRequest {
            mode: Mode::CentralMf,
            strategy: Some(Strategy::new(9, 3)),
            rho: Some(0.02),
            ..request(&workload)
        })
        .expect("a valid plan");
        let mut accept = |round| {
            let mut workspace = Workspace::default();
            let device = workspace.device();
            Invitation { task: "ranker", round, paid_as: round, plan: &plan }.accept(&workload, device, &mut ledger, 0)
        };
        assert!(accept(1).is_ok() && accept(2).is_err() && accept(4).is_ok() && accept(7).is_ok());
        assert!(accept(10).is_err(), "after the task's last round");
        let spent = ledger.balance().rho;
        assert!(spent <= 0.02 && spent > 0.0195, "{spent}");
    }

    /// Four devices up to the point where they mask; the first is the one under test.
    fn ready(plan: &RoundPlan, round: u64) -> (Ready, Identity) {
        let randomness = &mut Randomness::from_operating_system().expect("randomness");
        let mut authority = Authority::new(masks::identity(randomness), Default::default());
        let operator = masks::identity(randomness);
        let assumptions = Assumptions { dropping: 0.0, ..Assumptions::default() };
        let terms = Terms::new("popularity", round, plan, [1; 32], assumptions).expect("good terms");
        let offer = terms.offer(&operator);
        let policy = Policy { least_survivors: 2, ..Policy::new(authority.public(), operator.public()) };
        let mut identities: Vec<Identity> = (0..4).map(|_| masks::identity(randomness)).collect();
        identities.sort_by_key(|identity| identity.public().bytes());
        let mut keys = Advertising::new(&terms, &authority.public());
        let mut devices = Vec::new();
        for identity in &identities {
            let certificate = authority.certify(&identity.public(), 1);
            let member = Member { identity, certificate: &certificate };
            let (state, advertisement) = masks::advertise(
                Joining { offer: &offer, plan, model: [1; 32], policy: &policy, member },
                0,
                randomness,
            )
            .expect("good terms");
            keys.record(keys.check(&state.context(), advertisement, 0).expect("good keys")).expect("a place");
            devices.push(state);
        }
        let drawing = keys.close().expect("enough");
        let draw = drawing.wanted().map(|wanted| authority.draw(&wanted).expect("one roster"));
        let mut sharing = drawing.open(draw).expect("a graph");
        let mut shared = Vec::new();
        for (position, state) in devices.into_iter().enumerate() {
            let roster = sharing.cohort().roster_for(position as u32);
            let (state, shares) =
                masks::share(state, &roster, &identities[position], 0, randomness).expect("a good roster");
            sharing.record(sharing.check(shares).expect("good shares")).expect("the first");
            shared.push(state);
        }
        let delivery = sharing.close().expect("enough").delivery_for(0).expect("alive");
        (shared.swap_remove(0).receive(&delivery).expect("good shares"), identities.swap_remove(0))
    }

    // A round that is replayed, with keys however fresh, meets the ledger; another plan does not get as far.
    #[test]
    fn a_masked_vector_is_paid_for_and_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger =
            Ledger::create(&folder.path().join("ledger"), ledger::Policy::new(1.0, 1e-6), 0).expect("a ledger");
        let workload = Popularity::new(50, Hyperparameters::default());
        let masked = |rho| {
            let request = PlanRequest { rho: Some(rho), ..PlanRequest::new(4, workload.layout()) };
            RoundPlan::new(PlanRequest { honest_fraction: 0.75, ..request }).expect("a valid plan")
        };
        let (plan, other) = (masked(0.01), masked(0.001));
        let mut accept = |plan: &RoundPlan, ready: Ready, identity: &Identity| {
            let mut workspace = Workspace::default();
            let device = workspace.device();
            let invitation = Invitation { task: "popularity", round: 1, paid_as: 1, plan };
            let made = invitation.accept_masked(&workload, device, &mut ledger, 0, ready, identity);
            (made.map(|unsaved| unsaved.save(|_| Ok::<(), ()>(())).expect("written").1), ledger.balance().rho)
        };
        let (state, identity) = ready(&other, 1);
        let (refused, spent) = accept(&plan, state, &identity);
        assert!(matches!(refused, Err(Error::Round(RoundRefusal::OtherPlan))) && spent == 0.0);
        let (state, identity) = ready(&plan, 2);
        let (refused, spent) = accept(&plan, state, &identity);
        assert!(matches!(refused, Err(Error::Round(RoundRefusal::OtherRound))) && spent == 0.0);
        let (state, identity) = ready(&plan, 1);
        let (upload, spent) = accept(&plan, state, &identity);
        assert!(upload.expect("paid for").to_frame().len() > plan.values() && spent > 0.0099);
        let (state, identity) = ready(&plan, 1);
        let (refused, _) = accept(&plan, state, &identity);
        assert!(matches!(refused, Err(Error::Ledger(ledger::Error::Refused(Refusal::Twice { .. })))));
    }

    /// A workload that looks into the ledger's file when it is asked for a device's vector.
    struct Looks(Popularity, std::path::PathBuf, std::sync::atomic::AtomicUsize);

    impl DeviceHalf for Looks {
        fn layout(&self) -> Vec<sordino_shared::plan::BlockLayout> {
            self.0.layout()
        }

        fn contribute(
            &self,
            device: Device<'_>,
            rng: &mut impl rand_core::Rng,
        ) -> sordino_shared::workload::Statistics {
            let paid = History::read(&self.1).expect("a ledger").balance().releases;
            self.2.store(paid, std::sync::atomic::Ordering::Relaxed);
            self.0.contribute(device, rng)
        }
    }

    // Not only paid for, but durably, before there is anything that could be sent.
    #[test]
    fn the_payment_is_in_the_file_before_the_vector_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        let mut ledger = Ledger::create(&path, ledger::Policy::new(1.0, 1e-6), 0).expect("a ledger");
        let workload = Looks(Popularity::new(50, Hyperparameters::default()), path, Default::default());
        let plan = plan(&workload.0, Some(0.01), Mode::Secure);
        let mut workspace = Workspace::default();
        let invitation = Invitation { task: "popularity", round: 1, paid_as: 1, plan: &plan };
        invitation.accept(&workload, workspace.device(), &mut ledger, 0).expect("it fits");
        assert_eq!(workload.2.into_inner(), 1);
    }

    /// A device that keeps its records in memory and gets no further than its upload.
    struct Stays<'a>(&'a Identity, Policy, Option<Vec<u8>>);

    impl crate::part::Participant for Stays<'_> {
        fn member(&self) -> Member<'_> {
            unreachable!("it is asked for nothing signed: {:?}", self.0)
        }

        fn policy(&self) -> &Policy {
            &self.1
        }

        fn now(&self) -> i64 {
            0
        }

        fn upload(
            &mut self,
            _: &crate::part::Round,
            _: Ready,
        ) -> Result<Unsaved<Uploaded, Upload>, crate::part::Error> {
            unreachable!("it has uploaded")
        }

        fn save(&mut self, _: &Hash, record: &[u8]) -> Result<(), crate::part::Error> {
            self.2 = Some(record.to_vec());
            Ok(())
        }

        fn forget(&mut self, _: &Hash) -> Result<(), crate::part::Error> {
            self.2 = None;
            Ok(())
        }
    }

    // A receipt is for the vector that was sent, or the device's part is over.
    #[test]
    fn a_receipt_for_another_vector_ends_the_part() {
        use crate::part::{Part, Progress};
        use sordino_shared::control::Receipt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        let mut ledger = Ledger::create(&path, ledger::Policy::new(1.0, 1e-6), 0).expect("a ledger");
        let workload = Popularity::new(50, Hyperparameters::default());
        let blocks = PlanRequest { rho: Some(0.01), ..PlanRequest::new(4, workload.layout()) };
        let plan = RoundPlan::new(PlanRequest { honest_fraction: 0.75, ..blocks }).expect("a valid plan");
        let (ready, identity) = ready(&plan, 1);
        let context = ready.terms().context();
        let mut workspace = Workspace::default();
        let invitation = Invitation { task: "popularity", round: 1, paid_as: 1, plan: &plan };
        let unsaved =
            invitation.accept_masked(&workload, workspace.device(), &mut ledger, 0, ready, &identity).expect("it fits");
        let mut record = Vec::new();
        let (_, upload) = unsaved
            .save(|bytes| {
                record = bytes.to_vec();
                Ok::<(), ()>(())
            })
            .expect("kept");
        let digest = sordino_shared::secagg::messages::upload_digest(&upload.to_frame()).expect("its own");
        let authority = masks::identity(&mut Randomness::from_operating_system().expect("randomness")).public();
        for (receipt, is_right) in [(digest, true), ([0; 32], false), ([7; 32], false)] {
            let mut device = Stays(&identity, Policy::new(authority.clone(), authority.clone()), Some(record.clone()));
            let mut part = Part::resume(context, &record).expect("its own record");
            let took = part.take(&Receipt { context, digest: receipt }.to_frame(), &mut device);
            match is_right {
                true => assert!(matches!(took, Ok(Progress::Send)) && device.2.is_some()),
                false => assert!(matches!(took, Err(crate::part::Error::OtherReceipt)) && device.2.is_none()),
            }
        }
    }

    // A simulation's plan with less noise says so by its price: it cannot pass for an honest one.
    #[test]
    fn less_noise_costs_more() {
        let workload = Popularity::new(50, Hyperparameters::default());
        let cost = |scale| {
            let request = PlanRequest { rho: Some(0.01), simulated_noise_scale: scale, ..request(&workload) };
            let plan = RoundPlan::new(request).expect("a plan");
            Spend::of_plan(&plan, &Samplers::new(&plan).expect("samplers"), "t", 1, 0).rho
        };
        assert!(cost(0.5) > 3.9 * cost(1.0), "{} {}", cost(0.5), cost(1.0));
    }
}
