//! A rollout's course: a state machine without I/O.
//!
//! [`Controller::decide`] says what an input comes to, as events; [`Controller::apply`] is the only place where the state changes. Whoever
//! drives it stores an event, with its row of the audit log, before it is applied. A look is decided once: its event holds the sums it was made
//! from, so that [`verify`] can make every verdict again.
//!
//! ```text
//! Draft -> Observing(stage) -> Passed(stage) -> Waiting(stage) -> Observing(stage + 1) ... -> Full
//!            any of these -> Held, and back by resume;  any -> Aborted, for good
//! ```

#[cfg(test)]
mod tests;
mod words;

pub use words::{Actor, Broken, Event, Input, Phase, Refused, Release};

use super::gate::{Decision, Reason, Verdict};
use super::observed::Observed;
use super::policy::Policy;
use sordino_shared::rollout::{CellSums, Share};

/// A rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    policy: Policy,
    devices: usize,
    phase: Phase,
    // When the stage began, what it has seen, and the shares of its looks.
    since: i64,
    observed: Observed,
    shares: Vec<f64>,
}

impl Controller {
    /// Of a policy that was planned for so many devices.
    pub fn new(policy: Policy, devices: usize) -> Self {
        Self { policy, devices, phase: Phase::Draft, since: 0, observed: Observed::default(), shares: Vec::new() }
    }

    /// Where it stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// When its stage began, in milliseconds since 1970.
    pub fn since(&self) -> i64 {
        self.since
    }

    /// What the stage has seen.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The stage whose next look is due, how many it had, and from when on; `None` where there is nothing to look at.
    pub fn next_look(&self) -> Option<(usize, usize, i64)> {
        let (Phase::Observing(stage) | Phase::Passed(stage) | Phase::Waiting(stage)) = self.phase else { return None };
        let (of, looks) = (&self.policy.stages[stage], self.observed.releases as usize);
        if looks >= of.looks {
            return None;
        }
        let even = i64::from(of.dwell_hours) * HOUR_MS / of.looks as i64;
        let apart = even.max(i64::from(self.policy.schedule.pause_seconds) * 1000);
        // The first report covers the stage's first hours, for both arms the same.
        let first = self.since + i64::from(self.policy.report_hours) * HOUR_MS;
        Some((stage, looks, first + apart * looks as i64))
    }

    /// The share of devices that have the candidate; `None` where all have it. Held rollouts keep theirs; those taken back, and shadows, have none.
    pub fn share(&self) -> Option<Share> {
        let none = Share::parts_per_million(0);
        let of = |phase: &Phase| match phase {
            Phase::Observing(stage) | Phase::Passed(stage) | Phase::Waiting(stage) => {
                Some(self.policy.stages[*stage]).filter(|stage| !stage.shadow).map_or(none, |stage| Some(stage.share))
            }
            Phase::Full => None,
            Phase::Draft | Phase::Aborted | Phase::Held(_) => none,
        };
        match &self.phase {
            Phase::Held(before) => of(before),
            phase => of(phase),
        }
    }

    /// What an input comes to. The events are to be stored, then applied in their order.
    ///
    /// # Errors
    /// [`Refused`]; nothing has happened then.
    pub fn decide(&self, now: i64, input: Input) -> Result<Vec<Event>, Refused> {
        match input {
            Input::Start(who) => {
                who.promotes()?;
                self.only(self.phase == Phase::Draft)?;
                Ok(vec![Event::Started { at: now, who: who.name }])
            }
            Input::Release(release) => self.look(now, release),
            Input::Tick => Ok(self.due(now)),
            Input::Promote(who, why) => {
                who.promotes()?;
                let Phase::Waiting(stage) = self.phase else { return Err(self.refused()) };
                Ok(vec![Event::Advanced { at: now, to: stage + 1, who: vec![who.name], why }])
            }
            Input::Skip(one, other, why) => {
                for who in [&one, &other] {
                    who.allowed(who.may_skip)?;
                }
                if one.name == other.name {
                    return Err(Refused::SamePerson(one.name));
                }
                let stage = self.stage().ok_or_else(|| self.refused())?;
                Ok(vec![Event::Advanced { at: now, to: stage + 1, who: vec![one.name, other.name], why: Some(why) }])
            }
            Input::Hold(who, why) => {
                who.promotes()?;
                self.only(self.stage().is_some() && !matches!(self.phase, Phase::Held(_)))?;
                Ok(vec![Event::Held { at: now, who: Some(who.name), why }])
            }
            Input::Resume(who) => {
                who.promotes()?;
                self.only(matches!(self.phase, Phase::Held(_)))?;
                Ok(vec![Event::Resumed { at: now, who: who.name }])
            }
            Input::Abort(who, why) => {
                who.allowed(who.may_abort)?;
                self.only(!matches!(self.phase, Phase::Aborted | Phase::Draft))?;
                Ok(vec![Event::Aborted { at: now, who: Some(who.name), why }])
            }
        }
    }

    /// Takes an event that was decided here.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Started { at, .. } => self.enter(0, *at),
            Event::Looked { stage, release, decision, .. } => {
                self.observed = self.observed.and(&release.sums, release.noise_variance);
                self.shares.clone_from(&decision.shares);
                if decision.verdict == Verdict::Pass && self.phase == Phase::Observing(*stage) {
                    self.phase = Phase::Passed(*stage);
                }
            }
            Event::Waits { stage, .. } => self.phase = Phase::Waiting(*stage),
            Event::Advanced { at, to, .. } => self.enter(*to, *at),
            Event::Held { .. } => self.phase = Phase::Held(Box::new(self.phase.clone())),
            Event::Resumed { .. } => {
                if let Phase::Held(before) = &self.phase {
                    self.phase = (**before).clone();
                }
            }
            Event::Aborted { .. } => self.phase = Phase::Aborted,
        }
    }

    fn enter(&mut self, stage: usize, at: i64) {
        self.phase = if stage < self.policy.stages.len() { Phase::Observing(stage) } else { Phase::Full };
        (self.since, self.observed, self.shares) = (at, Observed::default(), Vec::new());
    }

    // One more look; a breach takes the candidate back, also where the stage has passed already.
    fn look(&self, now: i64, release: Box<Release>) -> Result<Vec<Event>, Refused> {
        let (Phase::Observing(stage) | Phase::Passed(stage) | Phase::Waiting(stage)) = self.phase else {
            return Err(self.refused());
        };
        let finite = |cell: &CellSums| {
            let mut values = cell.values.iter().chain(&cell.squares).chain([&cell.count]);
            values.all(|value| value.is_finite())
        };
        let noise_variance = release.noise_variance;
        if !(release.sums.iter().flatten().all(finite) && noise_variance >= 0.0 && noise_variance.is_finite()) {
            return Err(Refused::NotFinite);
        }
        let decision = self.judge(stage, &release);
        let (verdict, reason) = (decision.verdict, decision.reason);
        let looked = Event::Looked { at: now, stage, release, decision: Box::new(decision) };
        let mut events = vec![looked];
        match (verdict, reason) {
            (Verdict::Breach, Reason::Harm { guardrail }) => {
                let why = format!("{} is worse than without the candidate, whenever one had looked", guardrail.name());
                events.push(Event::Aborted { at: now, who: None, why });
            }
            (_, Reason::LooksAreOver { guardrail }) if matches!(self.phase, Phase::Observing(_)) => {
                let why = format!(
                    "the planned looks are over and {} has not passed: somebody has to decide",
                    guardrail.name()
                );
                events.push(Event::Held { at: now, who: None, why });
            }
            _ => {}
        }
        Ok(events)
    }

    fn judge(&self, stage: usize, release: &Release) -> Decision {
        let observed = self.observed.and(&release.sums, release.noise_variance);
        self.policy.gate(stage, self.devices).decide(&self.shares, &observed)
    }

    // What time alone brings.
    fn due(&self, now: i64) -> Vec<Event> {
        let Phase::Passed(stage) = self.phase else { return Vec::new() };
        let of = &self.policy.stages[stage];
        if now.saturating_sub(self.since) < i64::from(of.dwell_hours) * HOUR_MS {
            return Vec::new();
        }
        match of.manual {
            true => vec![Event::Waits { at: now, stage }],
            false => vec![Event::Advanced { at: now, to: stage + 1, who: Vec::new(), why: None }],
        }
    }

    /// The stage it is in, held or not.
    pub fn stage(&self) -> Option<usize> {
        let of = |phase: &Phase| match phase {
            Phase::Observing(stage) | Phase::Passed(stage) | Phase::Waiting(stage) => Some(*stage),
            _ => None,
        };
        match &self.phase {
            Phase::Held(before) => of(before),
            phase => of(phase),
        }
    }

    fn only(&self, fits: bool) -> Result<(), Refused> {
        if fits { Ok(()) } else { Err(self.refused()) }
    }

    fn refused(&self) -> Refused {
        Refused::Phase(match &self.phase {
            Phase::Draft => "not begun".to_owned(),
            Phase::Observing(stage) => format!("watching stage {}", stage + 1),
            Phase::Passed(stage) => format!("past the gate of stage {}, whose time is not over", stage + 1),
            Phase::Waiting(stage) => format!("waiting for somebody at stage {}", stage + 1),
            Phase::Full => "complete".to_owned(),
            Phase::Held(_) => "held".to_owned(),
            Phase::Aborted => "taken back".to_owned(),
        })
    }
}

/// Makes every verdict of a stored course again from its sums, and checks that each event could follow where it stands.
///
/// # Errors
/// [`Broken`] at the first event that does not.
pub fn verify(policy: &Policy, devices: usize, events: &[Event]) -> Result<Controller, Broken> {
    let mut controller = Controller::new(policy.clone(), devices);
    for (number, event) in events.iter().enumerate() {
        let broken = Broken(number + 1);
        let follows = match event {
            Event::Started { .. } => controller.phase == Phase::Draft,
            Event::Looked { stage, release, decision, .. } => {
                let again = match controller.phase {
                    Phase::Observing(at) | Phase::Passed(at) | Phase::Waiting(at) if at == *stage => {
                        Some(controller.judge(*stage, release))
                    }
                    _ => None,
                };
                again.is_some_and(|again| (again.verdict, again.reason) == (decision.verdict, decision.reason))
            }
            Event::Waits { stage, .. } => controller.phase == Phase::Passed(*stage),
            Event::Advanced { at, to, who, why } => match (who.is_empty(), why) {
                (true, _) => controller.due(*at) == [event.clone()],
                // Past a gate go two, with a reason; on from one that has passed goes one.
                (false, Some(_)) if who.len() == 2 => controller.stage() == to.checked_sub(1),
                (false, _) => who.len() == 1 && controller.phase == Phase::Waiting(to.wrapping_sub(1)),
            },
            Event::Held { .. } => controller.stage().is_some() && !matches!(controller.phase, Phase::Held(_)),
            Event::Resumed { .. } => matches!(controller.phase, Phase::Held(_)),
            Event::Aborted { .. } => !matches!(controller.phase, Phase::Aborted | Phase::Draft),
        };
        if !follows {
            return Err(broken);
        }
        controller.apply(event);
    }
    Ok(controller)
}

const HOUR_MS: i64 = 3_600_000;
