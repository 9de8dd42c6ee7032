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

use super::gate::{Decision, Reason, Verdict};
use super::observed::Observed;
use super::policy::Policy;
use serde::{Deserialize, Serialize};
use sordino_shared::rollout::{CellSums, Share};
use thiserror::Error;

/// Where a rollout stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not begun.
    Draft,
    /// Sums of a stage are coming in.
    Observing(usize),
    /// The stage has passed, and lasts until its time is over.
    Passed(usize),
    /// The stage has passed and its time is over: somebody has to say yes.
    Waiting(usize),
    /// All devices have the candidate.
    Full,
    /// Nothing goes on until somebody says so.
    Held(Box<Phase>),
    /// Taken back, for good.
    Aborted,
}

/// Somebody, and what they may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// Who.
    pub name: String,
    /// May let a candidate go on, hold it and resume.
    pub may_promote: bool,
    /// May take it back.
    pub may_abort: bool,
    /// May, together with somebody else who may, go on past a gate that has not passed.
    pub may_skip: bool,
}

/// What comes from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Begin.
    Start(Actor),
    /// A release of a stage's sums, with the variance of the noise in each value.
    Release([[CellSums; 2]; 2], f64),
    /// Time has passed.
    Tick,
    /// Go on to the next stage, where that waits for somebody.
    Promote(Actor),
    /// Go on although the gate has not passed: takes two persons.
    Skip(Actor, Actor, String),
    /// Stay where one is.
    Hold(Actor, String),
    /// Go on from where it was held.
    Resume(Actor),
    /// Take it back.
    Abort(Actor, String),
}

/// What has happened: what the audit log holds. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// It began.
    Started {
        /// When.
        at: i64,
        /// By whom.
        who: String,
    },
    /// A look was decided, from these sums of one more release.
    Looked {
        /// When.
        at: i64,
        /// The stage.
        stage: usize,
        /// The release.
        release: [[CellSums; 2]; 2],
        /// The variance of its noise.
        noise_variance: f64,
        /// What was decided.
        decision: Box<Decision>,
    },
    /// The stage's time is over, and it waits for somebody.
    Waits {
        /// When.
        at: i64,
        /// The stage.
        stage: usize,
    },
    /// It went on; by itself where nobody is named.
    Advanced {
        /// When.
        at: i64,
        /// To this stage; all devices where it is beyond the last.
        to: usize,
        /// By whom.
        who: Vec<String>,
        /// Why, where a gate was skipped.
        why: Option<String>,
    },
    /// It was held; by itself where nobody is named.
    Held {
        /// When.
        at: i64,
        /// By whom.
        who: Option<String>,
        /// Why.
        why: String,
    },
    /// It goes on from where it was held.
    Resumed {
        /// When.
        at: i64,
        /// By whom.
        who: String,
    },
    /// It was taken back; by itself where nobody is named.
    Aborted {
        /// When.
        at: i64,
        /// By whom.
        who: Option<String>,
        /// Why.
        why: String,
    },
}

/// Why an input comes to nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Not from here.
    #[error("a rollout that is {0} cannot do that")]
    Phase(String),
    /// Not by them.
    #[error("{0} has no right to do that")]
    Right(String),
    /// Two are needed.
    #[error("a gate is skipped by two persons: {0} cannot be both")]
    SamePerson(String),
    /// Sums that are no numbers.
    #[error("the sums of the release are no finite numbers")]
    NotFinite,
}

/// A stored course that does not follow from itself.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("event {0} does not follow from those before it: it was changed, or some are missing")]
pub struct Broken(pub usize);

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

    /// The share of devices that have the candidate; `None` where all have it. Held rollouts keep theirs, those taken back have none.
    pub fn share(&self) -> Option<Share> {
        let none = Share::parts_per_million(0);
        let of = |phase: &Phase| match phase {
            Phase::Observing(stage) | Phase::Passed(stage) | Phase::Waiting(stage) => {
                Some(self.policy.stages[*stage].share)
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
            Input::Release(release, noise_variance) => self.look(now, release, noise_variance),
            Input::Tick => Ok(self.due(now)),
            Input::Promote(who) => {
                who.promotes()?;
                let Phase::Waiting(stage) = self.phase else { return Err(self.refused()) };
                Ok(vec![Event::Advanced { at: now, to: stage + 1, who: vec![who.name], why: None }])
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
            Event::Looked { stage, release, noise_variance, decision, .. } => {
                self.observed = self.observed.and(release, *noise_variance);
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
    fn look(&self, now: i64, release: [[CellSums; 2]; 2], noise_variance: f64) -> Result<Vec<Event>, Refused> {
        let (Phase::Observing(stage) | Phase::Passed(stage) | Phase::Waiting(stage)) = self.phase else {
            return Err(self.refused());
        };
        let finite = |cell: &CellSums| {
            let mut values = cell.values.iter().chain(&cell.squares).chain([&cell.count]);
            values.all(|value| value.is_finite())
        };
        if !(release.iter().flatten().all(finite) && noise_variance >= 0.0 && noise_variance.is_finite()) {
            return Err(Refused::NotFinite);
        }
        let decision = self.judge(stage, &release, noise_variance);
        let (verdict, reason) = (decision.verdict, decision.reason);
        let looked = Event::Looked { at: now, stage, release, noise_variance, decision: Box::new(decision) };
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

    fn judge(&self, stage: usize, release: &[[CellSums; 2]; 2], noise_variance: f64) -> Decision {
        let observed = self.observed.and(release, noise_variance);
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

    // The stage it is in, held or not.
    fn stage(&self) -> Option<usize> {
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

impl Actor {
    fn promotes(&self) -> Result<(), Refused> {
        self.allowed(self.may_promote)
    }

    fn allowed(&self, right: bool) -> Result<(), Refused> {
        if right { Ok(()) } else { Err(Refused::Right(self.name.clone())) }
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
            Event::Looked { stage, release, noise_variance, decision, .. } => {
                let again = match controller.phase {
                    Phase::Observing(at) | Phase::Passed(at) | Phase::Waiting(at) if at == *stage => {
                        Some(controller.judge(*stage, release, *noise_variance))
                    }
                    _ => None,
                };
                again.is_some_and(|again| (again.verdict, again.reason) == (decision.verdict, decision.reason))
            }
            Event::Waits { stage, .. } => controller.phase == Phase::Passed(*stage),
            Event::Advanced { at, to, who, why } => match (who.is_empty(), why) {
                (true, _) => controller.due(*at) == [event.clone()],
                (false, None) => controller.phase == Phase::Waiting(to.wrapping_sub(1)),
                (false, Some(_)) => who.len() == 2 && controller.stage() == to.checked_sub(1),
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

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICES: usize = 10_000_000;
    const BASE: [f64; 6] = [0.35, 0.3, 0.4, 0.002, 0.01, 0.001];

    fn everybody(name: &str) -> Actor {
        Actor { name: name.into(), may_promote: true, may_abort: true, may_skip: true }
    }

    // One look of a stage: arms of the planned size at these rates.
    fn release(controller: &Controller, stage: usize, treatment: [f64; 6]) -> Input {
        let gate = controller.policy.gate(stage, DEVICES);
        let arm = |rates: [f64; 6]| {
            [0.1, 0.9].map(|share| {
                let count = gate.planned_devices / gate.looks as f64 * share;
                let squares = [0, 1].map(|at| count * (rates[at] * rates[at] + 0.0625));
                CellSums { count, values: rates.map(|rate| rate * count), squares }
            })
        };
        Input::Release([arm(treatment), arm(BASE)], 100.0)
    }

    struct Course {
        controller: Controller,
        events: Vec<Event>,
        hour: i64,
    }

    impl Course {
        fn new() -> Self {
            Self { controller: Controller::new(Policy::named("spring"), DEVICES), events: Vec::new(), hour: 0 }
        }

        fn take(&mut self, input: Input) -> Result<(), Refused> {
            for event in self.controller.decide(self.hour * HOUR_MS, input)? {
                self.controller.apply(&event);
                self.events.push(event);
            }
            Ok(())
        }

        // Looks until the stage is over, ten hours apart, then ticks for a week.
        fn stage(&mut self, stage: usize, treatment: [f64; 6]) {
            for _ in 0..5 {
                self.hour += 10;
                if self.controller.phase == Phase::Observing(stage) {
                    self.take(release(&self.controller, stage, treatment)).expect("a look");
                }
            }
            self.hour += 168;
            self.take(Input::Tick).expect("a tick");
        }
    }

    #[test]
    fn a_good_candidate_goes_all_the_way_and_the_course_can_be_verified() {
        let mut course = Course::new();
        course.take(Input::Start(everybody("ada"))).expect("a start");
        assert_eq!(course.controller.share(), Share::parts_per_million(10_000));
        for stage in 0..3 {
            course.stage(stage, BASE);
        }
        assert_eq!(course.controller.phase, Phase::Waiting(2), "the last gate asks somebody");
        course.take(Input::Promote(everybody("bo"))).expect("a yes");
        assert_eq!((&course.controller.phase, course.controller.share()), (&Phase::Full, None));
        let verified = verify(&Policy::named("spring"), DEVICES, &course.events).expect("its own course");
        assert_eq!(verified, course.controller);
        // Through JSON, as it is stored.
        let stored = serde_json::to_string(&course.events).expect("a form in JSON");
        let read: Vec<Event> = serde_json::from_str(&stored).expect("its own form");
        assert!(verify(&Policy::named("spring"), DEVICES, &read).is_ok());
    }

    #[test]
    fn changed_courses_are_found() {
        let mut course = Course::new();
        course.take(Input::Start(everybody("ada"))).expect("a start");
        course.stage(0, BASE);
        let policy = Policy::named("spring");
        assert!(verify(&policy, DEVICES, &course.events).is_ok());
        let mut cut = course.events.clone();
        cut.remove(1);
        assert!(verify(&policy, DEVICES, &cut).is_err(), "a look is missing");
        let mut worse = course.events.clone();
        let last_look = worse.iter().rposition(|e| matches!(e, Event::Looked { .. })).expect("a look");
        if let Event::Looked { release, .. } = &mut worse[last_look] {
            release[0][1].values[0] *= 1.2;
        }
        assert_eq!(
            verify(&policy, DEVICES, &worse),
            Err(Broken(last_look + 1)),
            "the verdict does not follow from the sums"
        );
        let mut early = course.events.clone();
        if let Some(Event::Advanced { at, .. }) = early.last_mut() {
            *at = 1;
        }
        assert!(verify(&policy, DEVICES, &early).is_err(), "before the stage's time was over");
    }

    #[test]
    fn a_broken_candidate_is_taken_back_by_itself_and_for_good() {
        let mut course = Course::new();
        course.take(Input::Start(everybody("ada"))).expect("a start");
        course.hour = 1;
        let broken = [0.5, 0.1, 0.2, 0.05, 0.2, 0.02];
        course.take(release(&course.controller, 0, broken)).expect("a look");
        assert_eq!(
            (&course.controller.phase, course.controller.share()),
            (&Phase::Aborted, Share::parts_per_million(0))
        );
        assert!(matches!(course.events.last(), Some(Event::Aborted { who: None, .. })));
        for input in [Input::Promote(everybody("ada")), Input::Resume(everybody("ada")), Input::Start(everybody("ada"))]
        {
            assert!(matches!(course.take(input), Err(Refused::Phase(_))));
        }
        assert!(course.take(release(&course.controller, 0, BASE)).is_err());
    }

    #[test]
    fn nobody_knows_is_held_and_rights_are_kept_apart() {
        let mut course = Course::new();
        let promoter = Actor { may_abort: false, may_skip: false, ..everybody("ada") };
        course.take(Input::Start(promoter.clone())).expect("a start");
        // Half a point more skips: too little to abort, and too much to be sure of the margin.
        course.stage(0, [0.357, 0.2935, 0.395, 0.002, 0.01, 0.001]);
        assert_eq!(course.controller.phase, Phase::Held(Box::new(Phase::Observing(0))));
        assert_eq!(course.controller.share(), Share::parts_per_million(10_000), "devices keep what they have");
        let skip = |one: &Actor, other: &Actor| Input::Skip(one.clone(), other.clone(), "known to be fine".into());
        assert_eq!(course.take(skip(&promoter, &everybody("bo"))), Err(Refused::Right("ada".into())));
        assert_eq!(course.take(skip(&everybody("bo"), &everybody("bo"))), Err(Refused::SamePerson("bo".into())));
        assert_eq!(course.take(Input::Abort(promoter, "no".into())), Err(Refused::Right("ada".into())));
        course.take(skip(&everybody("bo"), &everybody("cy"))).expect("two persons");
        assert_eq!(course.controller.phase, Phase::Observing(1));
        assert!(verify(&Policy::named("spring"), DEVICES, &course.events).is_ok());
        course.take(Input::Hold(everybody("bo"), "a holiday".into())).expect("a hold");
        assert!(course.take(release(&course.controller, 1, BASE)).is_err(), "held");
        course.take(Input::Resume(everybody("bo"))).expect("on again");
        course.take(Input::Abort(everybody("cy"), "changed our mind".into())).expect("no confirmation");
        assert_eq!(course.controller.phase, Phase::Aborted);
    }

    #[test]
    fn harm_after_the_gate_still_takes_it_back() {
        let mut course = Course::new();
        course.take(Input::Start(everybody("ada"))).expect("a start");
        while course.controller.phase == Phase::Observing(0) {
            course.hour += 1;
            course.take(release(&course.controller, 0, BASE)).expect("a look");
        }
        assert_eq!(course.controller.phase, Phase::Passed(0), "its time is not over");
        course.take(Input::Tick).expect("a tick");
        assert_eq!(course.controller.phase, Phase::Passed(0));
        let mut looks = 0;
        while course.controller.phase == Phase::Passed(0) && looks < 20 {
            looks += 1;
            course.take(release(&course.controller, 0, [0.5, 0.3, 0.4, 0.002, 0.01, 0.001])).expect("a look");
        }
        assert_eq!(course.controller.phase, Phase::Aborted);
    }
}
