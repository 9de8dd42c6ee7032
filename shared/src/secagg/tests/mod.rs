//! The protocol between a coordinator and a handful of devices, in the clear for the test.

mod devices;
mod dropout;
mod hostile;
mod restart;
mod vectors;

use super::coordinator::{Advertising, Agreeing, Sharing, Unmasking, Uploading};
use super::device::{self, Advertised, Agreed, Joining, Member, Policy, Ready, Refusal, Shared, Uploaded};
use super::finder::Assumptions;
use super::finder::tests::FORCED;
use super::identity::{Authority, Certificate, Identity};
use super::messages::{Advertisement, Agreement, Answer, Offer, ReceivedUpload, Shares};
use super::transcript::Hash;
use super::{Degree, MaskedSum, Terms};
use crate::plan::{BlockLayout, PlanRequest, RoundPlan};
use crate::privacy::{Noised, Sum};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::convert::Infallible;

const NOW: i64 = 1_000;
const MODEL: Hash = [7; 32];

/// Everybody, before the round. Devices are in the order of their identities, which is that of the roster.
struct World {
    rng: ChaCha20Rng,
    authority: Authority,
    operator: Identity,
    identities: Vec<Identity>,
    certificates: Vec<Certificate>,
    plan: RoundPlan,
    terms: Terms,
    offer: Offer,
}

impl World {
    /// `n` devices with `values` values, of which `honest` are counted on.
    fn new(n: usize, honest: usize, values: usize, degree: Option<Degree>) -> Self {
        FORCED.set(degree);
        let mut rng = ChaCha20Rng::seed_from_u64(n as u64);
        let authority = Authority::new(Identity::generate(&mut rng), BTreeMap::new());
        let operator = Identity::generate(&mut rng);
        let mut identities: Vec<Identity> = (0..n).map(|_| Identity::generate(&mut rng)).collect();
        identities.sort_by_key(|identity| identity.public().bytes());
        let certificates = identities.iter().map(|identity| authority.certify(&identity.public(), NOW)).collect();
        let plan = plan(n, honest, values);
        let terms = terms(&plan, 1, MODEL);
        let offer = terms.offer(&operator);
        Self { rng, authority, operator, identities, certificates, plan, terms, offer }
    }

    fn policy(&self) -> Policy {
        let base = Policy::new(self.authority.public(), self.operator.public());
        Policy { least_survivors: 2, least_colluding: 0.0, ..base }
    }

    fn member(&self, device: usize) -> Member<'_> {
        Member { identity: &self.identities[device], certificate: &self.certificates[device] }
    }

    fn advertise(&mut self, device: usize) -> (Advertised, Advertisement) {
        let mut rng = self.device_rng();
        let (policy, member) = (self.policy(), self.member(device));
        device::advertise(
            Joining { offer: &self.offer, plan: &self.plan, model: MODEL, policy: &policy, member },
            NOW,
            &mut rng,
        )
        .expect("good terms")
    }

    fn device_rng(&mut self) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(self.rng.next_u64())
    }

    /// Everybody advertises; the graph is drawn.
    fn advertised(&mut self) -> (Sharing, Vec<Advertised>) {
        let mut coordinator = Advertising::new(&self.terms, &self.authority.public());
        let mut devices = Vec::new();
        for device in 0..self.identities.len() {
            let (state, advertisement) = self.advertise(device);
            let frame = advertisement.to_frame(&state.context());
            let (context, advertisement) = Advertisement::from_frame(&frame).expect("its own form");
            let checked = coordinator.check(&context, advertisement, NOW).expect("good keys");
            coordinator.record(checked).expect("a free place");
            devices.push(state);
        }
        let drawing = coordinator.close().expect("devices enough");
        let draw = drawing.wanted().map(|wanted| self.authority.draw(&wanted).expect("the first roster"));
        (drawing.open(draw).expect("the authority's graph"), devices)
    }

    /// Everybody deals.
    fn shared(&mut self) -> (Sharing, Vec<(Shared, Shares)>) {
        let (coordinator, devices) = self.advertised();
        let shared = devices.into_iter().enumerate().map(|(device, state)| {
            let mut rng = self.device_rng();
            let roster = coordinator.cohort().roster_for(device as u32);
            state.share(&roster, &self.identities[device], NOW, &mut rng).expect("a good roster")
        });
        let shared = shared.collect();
        (coordinator, shared)
    }

    /// Everybody has dealt and received.
    fn ready(&mut self) -> (Uploading, Vec<Ready>) {
        let (mut coordinator, shared) = self.shared();
        let mut states = Vec::new();
        for (state, shares) in shared {
            coordinator.record(coordinator.check(shares).expect("good shares")).expect("the first");
            states.push(state);
        }
        let coordinator = coordinator.close().expect("shares enough");
        let ready = states.into_iter().enumerate().map(|(device, state)| {
            state.receive(&coordinator.delivery_for(device as u32).expect("alive")).expect("good shares")
        });
        let ready = ready.collect();
        (coordinator, ready)
    }

    /// Everybody has uploaded.
    fn uploaded(&mut self) -> (Agreeing, Vec<Uploaded>, MaskedSum, Vec<Vec<u8>>) {
        let (mut coordinator, ready) = self.ready();
        let (mut sum, mut states, mut frames) = (MaskedSum::new(self.terms.shape()), Vec::new(), Vec::new());
        for (device, state) in ready.into_iter().enumerate() {
            let (state, frame) = self.upload(device, state, &mut coordinator, &mut sum);
            states.push(state);
            frames.push(frame);
        }
        (coordinator.close().expect("vectors enough"), states, sum, frames)
    }

    fn upload(
        &self,
        device: usize,
        state: Ready,
        coordinator: &mut Uploading,
        sum: &mut MaskedSum,
    ) -> (Uploaded, Vec<u8>) {
        let (state, upload) =
            saved(state.mask(&self.vector(device), &self.identities[device]).expect("a vector of the plan"));
        let frame = upload.to_frame();
        let received = ReceivedUpload::from_frame(frame.as_slice(), self.terms.shape()).expect("its own form");
        let checked = coordinator.check(received).expect("a good upload");
        assert!(coordinator.record(&checked).expect("the first"));
        sum.add(&checked);
        (state, frame)
    }

    /// Everybody has signed the survivors.
    fn agreed(&mut self) -> (Unmasking, Vec<Agreed>, MaskedSum, Vec<Vec<u8>>) {
        let (mut coordinator, states, sum, frames) = self.uploaded();
        let survivors = coordinator.survivors();
        let mut agreed = Vec::new();
        for (device, state) in states.into_iter().enumerate() {
            let (state, agreement) = saved(state.agree(&survivors, &self.identities[device]).expect("good survivors"));
            let agreement = Agreement::from_frame(&agreement.to_frame()).expect("its own form");
            coordinator.record(&coordinator.check(&agreement).expect("a good signature"));
            agreed.push(state);
        }
        (coordinator.close().expect("signatures enough"), agreed, sum, frames)
    }

    fn answer(&self, device: usize, state: Agreed, coordinator: &Unmasking) -> Result<Answer, Refusal> {
        let quorum = coordinator.quorum_for(device as u32).expect("neighbours enough");
        let (_, answer) = saved(state.unmask(&quorum, &self.identities[device])?);
        Ok(Answer::from_frame(&answer.to_frame(), quorum.signatures.len() as u32 * 2 + 8).expect("its own form"))
    }

    /// What the device sends, in the clear. Wide enough to wrap.
    fn vector(&self, device: usize) -> Noised {
        let values = self.plan.values() as i64;
        Noised::of_blocks(vec![(0..values).map(|i| (device as i64 - 2) * 30_011 + 7 * i).collect()])
    }

    fn plain_sum(&self, devices: impl Iterator<Item = u32>) -> Vec<i64> {
        let mut sum = Sum::new(&self.plan);
        devices.for_each(|device| sum.add(&self.vector(device as usize)));
        self.residues(&sum)
    }

    fn residues(&self, sum: &Sum) -> Vec<i64> {
        let modulus = 1i64 << self.plan.bits();
        sum.blocks().iter().flatten().map(|value| value.rem_euclid(modulus)).collect()
    }
}

fn plan(n: usize, honest: usize, values: usize) -> RoundPlan {
    RoundPlan::new(PlanRequest {
        rho: Some(0.1),
        honest_fraction: (honest as f64 + 0.5) / n as f64,
        ..PlanRequest::new(n, vec![BlockLayout::new("values", values, 1, 1.0)])
    })
    .expect("a valid plan")
}

fn terms(plan: &RoundPlan, round: u64, model: Hash) -> Terms {
    let assumptions = Assumptions { security_bits: 40, colluding: 0.0, dropping: 0.0 };
    Terms::new("test", round, plan, model, assumptions).expect("good terms")
}

fn saved<S, M>(unsaved: device::Unsaved<S, M>) -> (S, M) {
    unsaved.save(|_| Ok::<(), Infallible>(())).expect("nothing fails")
}
