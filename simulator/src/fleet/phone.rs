//! One phone and its listener.

use super::{Effect, FleetSettings};
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use sordino_coordinator::rollout::Stage;
use sordino_shared::math;
use sordino_shared::random::{mix, unit_f64};
use sordino_shared::rollout::{Arm, Bucket};

/// What an hour is like for every phone.
pub(super) struct Hour<'a> {
    pub(super) hour: u32,
    pub(super) stage: Option<(usize, Stage)>,
    pub(super) is_full: bool,
    pub(super) report_hours: u32,
    pub(super) effect: Effect,
    pub(super) settings: &'a FleetSettings,
}

pub(super) struct Phone {
    rng: Xoshiro256PlusPlus,
    // Its places in the rollout and in its shadow.
    bucket: Bucket,
    shadow: Bucket,
    // The listener's own skip rate, sessions a day, hours ahead of the others, and when the phone joins.
    skips: f64,
    sessions: f64,
    ahead: u32,
    joins: u32,
    is_served_worst: bool,
    satisfaction: f64,
    gone: bool,
    loads: bool,
    fell_back: bool,
    // The stage it is in, since when, its arm, and whether it has had its say.
    place: Option<(usize, u32, Option<Arm>)>,
    contributed: bool,
    // Since when the candidate serves here.
    served_since: Option<u32>,
    ever_served: bool,
    // Since the last report's beginning.
    played: u32,
    skipped: u32,
    crashed: bool,
    // Days with the candidate and in control, and whether the listener left in them.
    days: [f64; 2],
    left: [f64; 2],
}

impl Phone {
    pub(super) fn new(settings: &FleetSettings, seed: u64, number: usize) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(mix(seed, PHONE_STREAM, number as u64));
        let mut unit = || unit_f64(&mut rng);
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&mix(seed, SECRET_STREAM, number as u64).to_le_bytes());
        // A triangle of mean .35 between 0 and .95, near enough to a listener's skip rate; the top tenth is served worst.
        let skips = (0.1 + 0.5 * (unit() + unit()) * 0.5 + 0.35 * math::powi(unit(), 4)).min(0.95);
        let joins = if unit() < settings.late { (unit() * 58.0 * 24.0) as u32 } else { 0 };
        let (sessions, ahead) = (0.3 + 2.4 * unit(), (unit() * 24.0) as u32);
        let bucket = Bucket::new(&secret, "fleet", &[1; 16]);
        let shadow = Bucket::new(&secret, "fleet shadow", &[1; 16]);
        Self {
            bucket,
            shadow,
            skips,
            sessions,
            ahead,
            joins,
            is_served_worst: skips > WORST,
            satisfaction: 1.0 - skips,
            gone: false,
            loads: true,
            fell_back: false,
            place: None,
            contributed: false,
            served_since: None,
            ever_served: false,
            played: 0,
            skipped: 0,
            crashed: false,
            days: [0.0; 2],
            left: [0.0; 2],
            rng,
        }
    }

    /// An hour of it; whether the phone asks the coordinator in it.
    pub(super) fn lives(&mut self, hour: &Hour<'_>) -> bool {
        if self.gone || self.joins > hour.hour {
            return false;
        }
        let local = (hour.hour + self.ahead) % 24;
        // Evenings are three times as likely as the average hour, nights hardly at all.
        let evening = 1.0 + 0.9 * math::cos(std::f64::consts::TAU * (f64::from(local) - 20.0) / 24.0);
        if unit_f64(&mut self.rng) < self.sessions / 24.0 * evening {
            self.listens(hour);
        }
        if local == 0 {
            self.midnight(hour);
        }
        let asks = (2..6).contains(&local) && unit_f64(&mut self.rng) < hour.settings.asks / 4.0;
        if asks {
            self.asks(hour);
        }
        asks
    }

    fn listens(&mut self, hour: &Hour<'_>) {
        let effect = &hour.effect;
        let skips = match self.served_since {
            Some(since) => {
                let days = f64::from(hour.hour - since) / 24.0;
                let worst = if self.is_served_worst { effect.worst_skips } else { 0.0 };
                self.skips + effect.skips + worst + effect.decay * days
            }
            None => self.skips,
        };
        let tracks = 4 + (unit_f64(&mut self.rng) * 12.0) as u32;
        let skipped = (0..tracks).filter(|_| unit_f64(&mut self.rng) < skips).count() as u32;
        (self.played, self.skipped) = (self.played + tracks, self.skipped + skipped);
        let heard = 1.0 - f64::from(skipped) / f64::from(tracks);
        self.satisfaction += REMEMBERS * (heard - self.satisfaction);
    }

    // Once a day: a crash, perhaps, and whether the listener stays.
    fn midnight(&mut self, hour: &Hour<'_>) {
        let beyond = if self.served_since.is_some() { hour.effect.crashes } else { 0.0 };
        self.crashed |= unit_f64(&mut self.rng) < USUAL_CRASHES + beyond;
        // Against what the listener is used to.
        let missing = ((1.0 - self.skips) - self.satisfaction) / 0.1;
        let chance = (hour.settings.leaving * math::powf(hour.settings.leaving_factor, missing)).min(1.0);
        self.gone = unit_f64(&mut self.rng) < chance;
        let counted = match (self.served_since, self.place) {
            (Some(_), Some(_)) => Some(0),
            (None, Some((_, _, Some(Arm::Control)))) => Some(1),
            _ => None,
        };
        if let Some(at) = counted {
            self.days[at] += 1.0;
            self.left[at] += f64::from(u8::from(self.gone));
        }
    }

    // Learns where the rollout stands, and does what its own bucket says.
    fn asks(&mut self, hour: &Hour<'_>) {
        let Some((number, stage)) = hour.stage else {
            if !hour.is_full {
                self.served_since = None;
            }
            return;
        };
        if self.place.is_some_and(|(of, ..)| of == number) {
            return;
        }
        let bucket = if stage.shadow { self.shadow } else { self.bucket };
        let arm = bucket.arm(stage.share);
        (self.place, self.contributed) = (Some((number, hour.hour, arm)), false);
        (self.played, self.skipped, self.crashed) = (0, 0, false);
        if arm == Some(Arm::Treatment) && !stage.shadow && self.served_since.is_none() {
            self.loads = unit_f64(&mut self.rng) >= hour.effect.not_loading;
            // Three failures, and the version before serves again, asking nobody.
            self.fell_back |= !self.loads;
            if self.loads {
                (self.served_since, self.ever_served) = (Some(hour.hour), true);
            }
        }
    }

    /// What it says in a round of this stage: its arm, its group, six values; nothing where it has not been there for long enough or has had its
    /// say.
    pub(super) fn contributes(&mut self, hour: &Hour<'_>, stage: usize) -> Option<(Option<Arm>, usize, [f64; 6])> {
        let (of, since, arm) = self.place?;
        if of != stage || self.contributed || hour.hour - since < hour.report_hours {
            return None;
        }
        self.contributed = true;
        let is_shadow = hour.stage.is_some_and(|(_, stage)| stage.shadow);
        let is_tried = arm == Some(Arm::Treatment) && (is_shadow || self.served_since.is_some());
        let effect = if is_tried { hour.effect } else { Effect::default() };
        let skips = if self.played > 0 { f64::from(self.skipped) / f64::from(self.played) } else { 0.0 };
        // The list is worse where more of it is skipped.
        let extra = effect.skips + if self.is_served_worst { effect.worst_skips } else { 0.0 };
        let ndcg = (0.3 - extra + 0.25 * (2.0 * unit_f64(&mut self.rng) - 1.0)).clamp(0.0, 1.0);
        let slow = f64::from(u8::from(unit_f64(&mut self.rng) < 0.01 + effect.slow));
        let not_loaded = if is_shadow { unit_f64(&mut self.rng) < effect.not_loading } else { !self.loads };
        let flag = |is: bool| f64::from(u8::from(is));
        let values = [skips, ndcg, flag(self.played > 0), flag(self.crashed), slow, flag(not_loaded)];
        Some((arm, usize::from(!self.is_served_worst), values))
    }

    pub(super) fn ever_served(&self) -> bool {
        self.ever_served
    }

    pub(super) fn has_fallen_back(&self) -> bool {
        self.fell_back
    }

    pub(super) fn stage(&self) -> Option<usize> {
        self.place.map(|(stage, ..)| stage)
    }

    /// Whether the listener left, and days, with the candidate and in the control arm.
    pub(super) fn left(&self) -> [(f64, f64); 2] {
        std::array::from_fn(|at| (self.left[at], self.days[at]))
    }
}

const PHONE_STREAM: u64 = 973;
const SECRET_STREAM: u64 = 974;
// A tenth of the listeners skips more.
const WORST: f64 = 0.575;
const REMEMBERS: f64 = 0.1;
const USUAL_CRASHES: f64 = 0.002;
