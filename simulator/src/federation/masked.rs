//! A round under masks, as devices and coordinator run it: every message goes through a frame and back.

use crate::error::{Error, Result};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::{Noised, Sum};
use sordino_shared::random::{below, mix, unit_f64};
use sordino_shared::secagg::coordinator::{Abandoned, Advertising, Agreeing, Sharing, Unmasking, Uploading};
use sordino_shared::secagg::device::{self, Advertised, Agreed, Joining, Member, Policy, Ready, Unsaved, Uploaded};
use sordino_shared::secagg::messages::{
    Advertisement, Agreement, Answer, Delivery, Offer, Quorum, ReceivedUpload, Roster, Shares, Survivors,
};
use sordino_shared::secagg::{Assumptions, Authority, Certificate, Degree, Identity, MaskedSum, Terms};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, RwLock};

/// What a masked round assumes of its devices, and what they do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskSettings {
    /// sigma: bits of security of the graph of neighbours.
    pub security_bits: u32,
    /// gamma: the share of a cohort that may collude.
    pub colluding: f64,
    /// delta: the share of a cohort that may drop out.
    pub dropping: f64,
    /// The share that does drop out, each at a step drawn at random.
    pub drop_out: f64,
}

impl Default for MaskSettings {
    fn default() -> Self {
        let Assumptions { security_bits, colluding, dropping } = Assumptions::default();
        Self { security_bits, colluding, dropping, drop_out: 0.0 }
    }
}

impl MaskSettings {
    /// The share of a cohort that is sure to be honest and to survive.
    pub fn honest_fraction(&self) -> f64 {
        1.0 - self.colluding - self.dropping
    }

    /// Neighbours and threshold in a cohort of so many devices, where there can be such a cohort.
    pub fn degree(&self, devices: usize) -> Option<Degree> {
        self.assumptions().degree(u32::try_from(devices).ok()?).ok()
    }

    fn assumptions(&self) -> Assumptions {
        Assumptions { security_bits: self.security_bits, colluding: self.colluding, dropping: self.dropping }
    }

    /// Checks what can be checked without a cohort.
    pub(crate) fn check(&self) -> Result<()> {
        self.assumptions().check().map_err(|error| Error::input(format!("masks: {error}")))?;
        if !(self.drop_out >= 0.0 && self.drop_out < 1.0) {
            return Err(Error::input(format!("masks.drop_out must be at least 0 and below 1, not {}", self.drop_out)));
        }
        Ok(())
    }
}

/// A round whose devices have dealt their shares. Device numbers are places in the list of the round's devices.
pub(super) struct MaskedRound {
    terms: Terms,
    // By device: its key pair, its position in the roster, and the step that it does not take, if any.
    members: Vec<Identity>,
    positions: Vec<u32>,
    gone: Vec<Option<Step>>,
    ready: Vec<Mutex<Option<Ready>>>,
    uploaded: Vec<Mutex<Option<Uploaded>>>,
    coordinator: RwLock<Uploading>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Share,
    Upload,
    Agree,
    Unmask,
}

impl MaskedRound {
    /// Steps 0 and 1.
    pub(super) fn begin(
        plan: &RoundPlan,
        settings: MaskSettings,
        devices: &[usize],
        round: usize,
        seed: u64,
    ) -> Result<Self> {
        let model = [0; 32]; // Simulated devices have their model in common by sharing its memory.
        let terms = Terms::new("simulation", round as u64, plan, model, settings.assumptions())
            .map_err(|error| Error::input(format!("the round cannot be masked: {error}")))?;
        let enrolled = Enrolled::new(devices, seed);
        let gone: Vec<_> = devices.iter().map(|&device| drop_out(settings.drop_out, seed, device)).collect();
        let there =
            |step: Step| (0..devices.len()).filter(|&at| gone[at].is_none_or(|gone| gone > step)).collect::<Vec<_>>();

        let offer = terms.offer(&enrolled.operator).to_frame();
        let policy = Policy {
            least_survivors: 2,
            least_security_bits: settings.security_bits,
            least_colluding: settings.colluding,
            ..Policy::new(enrolled.authority.public(), enrolled.operator.public())
        };
        let advertised: Vec<(Advertised, Vec<u8>)> = (0..devices.len())
            .into_par_iter()
            .map(|at| {
                let offer = received(Offer::from_frame(&offer));
                let member = Member { identity: &enrolled.members[at], certificate: &enrolled.certificates[at] };
                let rng = &mut generator(seed, ADVERTISE_STREAM, devices[at]);
                let (state, keys) =
                    kept(device::advertise(Joining { offer: &offer, plan, model, policy: &policy, member }, 0, rng));
                let frame = keys.to_frame(&state.context());
                (state, frame)
            })
            .collect();
        let mut coordinator = Advertising::new(&terms, &policy.authority);
        for (_, frame) in &advertised {
            let (context, keys) = received(Advertisement::from_frame(frame));
            let checked = taken(coordinator.check(&context, keys, 0));
            taken(coordinator.record(checked));
        }
        let Enrolled { mut authority, members, .. } = enrolled;
        let drawing = coordinator.close().map_err(given_up)?;
        let draw = drawing.wanted().map(|wanted| authority.draw(&wanted).expect("a round has one roster"));
        let sharing: Sharing = drawing.open(draw).map_err(given_up)?;
        let cohort = sharing.cohort();
        let neighbours = cohort.graph().degree().neighbours;
        let place = |member: &Identity| cohort.position(&member.public().bytes()).expect("everybody advertised");
        let positions: Vec<u32> = members.iter().map(place).collect();

        let states: Vec<_> = advertised.into_iter().map(|(state, _)| Mutex::new(Some(state))).collect();
        let mut next = sharing.clone();
        let mut shared = BTreeMap::new();
        for piece in there(Step::Share).chunks(PIECE) {
            let dealt: Vec<_> = piece
                .par_iter()
                .map(|&at| {
                    let roster = cohort.roster_for(positions[at]).to_frame();
                    let roster = received(Roster::from_frame(&roster, terms.cohort()));
                    let rng = &mut generator(seed, SHARE_STREAM, devices[at]);
                    let (state, shares) = kept(take(&states[at]).share(&roster, &members[at], 0, rng));
                    (at, state, taken(sharing.check(received(Shares::from_frame(&shares.to_frame(), neighbours)))))
                })
                .collect();
            for (at, state, checked) in dealt {
                taken(next.record(checked));
                shared.insert(at, Mutex::new(Some(state)));
            }
        }
        let uploading: Uploading = next.close().map_err(given_up)?;
        let ready = (0..devices.len())
            .into_par_iter()
            .map(|at| {
                let delivery = uploading.delivery_for(positions[at]).filter(|_| shared.contains_key(&at))?;
                let delivery = received(Delivery::from_frame(&delivery.to_frame(), neighbours));
                Some(kept(take(&shared[&at]).receive(&delivery)))
            })
            .map(Mutex::new)
            .collect();
        let uploaded = devices.iter().map(|_| Mutex::new(None)).collect();
        Ok(Self { terms, members, positions, gone, ready, uploaded, coordinator: RwLock::new(uploading) })
    }

    /// An empty part of the sum.
    pub(super) fn part(&self) -> MaskedSum {
        MaskedSum::new(self.terms.shape())
    }

    /// Whether the device comes as far as to send its vector.
    pub(super) fn uploads(&self, at: usize) -> bool {
        self.gone[at].is_none_or(|gone| gone > Step::Upload) && self.ready[at].lock().expect("no panic").is_some()
    }

    /// Step 2 for one device.
    pub(super) fn upload(&self, at: usize, vector: &Noised, part: &mut MaskedSum) {
        let (state, upload) = saved(kept(take(&self.ready[at]).mask(vector, &self.members[at])));
        let frame = upload.to_frame();
        let checked = taken(
            self.coordinator
                .read()
                .expect("no panic")
                .check(received(ReceivedUpload::from_frame(frame, self.terms.shape()))),
        );
        if taken(self.coordinator.write().expect("no panic").record(&checked)) {
            part.add(&checked);
        }
        *self.uploaded[at].lock().expect("no panic") = Some(state);
    }

    /// Steps 3 and 4.
    pub(super) fn finish(self, sum: MaskedSum, plan: &RoundPlan) -> Result<Sum> {
        let mut agreeing: Agreeing = self.coordinator.into_inner().expect("no panic").close().map_err(given_up)?;
        let neighbours = agreeing.cohort().graph().degree().neighbours;
        let survivors = agreeing.survivors().to_frame();
        let there = |step: Step, at: usize| self.gone[at].is_none_or(|gone| gone > step);
        let agreed: Vec<(usize, Agreed, Vec<u8>)> = (0..self.members.len())
            .into_par_iter()
            .filter(|&at| there(Step::Agree, at))
            .filter_map(|at| {
                let state = self.uploaded[at].lock().expect("no panic").take()?;
                let survivors = received(Survivors::from_frame(&survivors, self.terms.cohort()));
                let (state, agreement) = saved(kept(state.agree(&survivors, &self.members[at])));
                Some((at, state, agreement.to_frame()))
            })
            .collect();
        for (_, _, frame) in &agreed {
            let checked = taken(agreeing.check(&received(Agreement::from_frame(frame))));
            agreeing.record(&checked);
        }
        let mut unmasking: Unmasking = agreeing.close().map_err(given_up)?;
        let answers: Vec<Vec<u8>> = agreed
            .into_par_iter()
            .filter(|(at, ..)| there(Step::Unmask, *at))
            .filter_map(|(at, state, _)| {
                let quorum = unmasking.quorum_for(self.positions[at])?;
                let quorum = received(Quorum::from_frame(&quorum.to_frame(), neighbours));
                Some(saved(kept(state.unmask(&quorum, &self.members[at]))).1.to_frame())
            })
            .collect();
        for piece in answers.chunks(PIECE) {
            let check = |frame: &Vec<u8>| taken(unmasking.check(received(Answer::from_frame(frame, neighbours))));
            let checked: Vec<_> = piece.par_iter().map(check).collect();
            checked.into_iter().for_each(|checked| unmasking.record(checked));
        }
        Ok(unmasking.open(sum, plan).map_err(given_up)?.sum)
    }
}

/// The devices and those that they trust.
struct Enrolled {
    authority: Authority,
    operator: Identity,
    members: Vec<Identity>,
    certificates: Vec<Certificate>,
}

impl Enrolled {
    fn new(devices: &[usize], seed: u64) -> Self {
        let authority = Authority::new(Identity::generate(&mut generator(seed, ENROL_STREAM, 0)), BTreeMap::new());
        let operator = Identity::generate(&mut generator(seed, ENROL_STREAM, 1));
        let make = |&device: &usize| Identity::generate(&mut generator(seed, IDENTITY_STREAM, device));
        let members: Vec<Identity> = devices.par_iter().map(make).collect();
        let certificates = members.iter().map(|member| authority.certify(&member.public(), 0)).collect();
        Self { authority, operator, members, certificates }
    }
}

fn drop_out(share: f64, seed: u64, device: usize) -> Option<Step> {
    let rng = &mut generator(seed, DROP_STREAM, device);
    let steps = [Step::Share, Step::Upload, Step::Agree, Step::Unmask];
    (unit_f64(rng) < share).then(|| steps[below(rng, 4) as usize])
}

fn generator(seed: u64, stream: u64, device: usize) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(mix(seed, stream, device as u64))
}

fn take<T>(state: &Mutex<Option<T>>) -> T {
    state.lock().expect("no panic").take().expect("each device takes each step once")
}

fn saved<S, M>(unsaved: Unsaved<S, M>) -> (S, M) {
    unsaved.save(|_| Ok::<(), Infallible>(())).expect("a simulated device is not restarted")
}

fn received<T>(message: std::result::Result<T, sordino_shared::wire::Error>) -> T {
    message.expect("a simulated network does not spoil frames")
}

fn kept<T>(step: std::result::Result<T, device::Refusal>) -> T {
    step.expect("a simulated coordinator is honest")
}

fn taken<T>(message: std::result::Result<T, sordino_shared::secagg::coordinator::Error>) -> T {
    message.expect("simulated devices are honest")
}

fn given_up(error: Abandoned) -> Error {
    Error::input(format!("the round was given up: {error}; raise masks.dropping or lower masks.drop_out"))
}

const ENROL_STREAM: u64 = 311;
const IDENTITY_STREAM: u64 = 312;
const ADVERTISE_STREAM: u64 = 313;
const SHARE_STREAM: u64 = 314;
const DROP_STREAM: u64 = 315;
// Messages held at once between the devices and the coordinator.
const PIECE: usize = 512;
