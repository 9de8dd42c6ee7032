//! Courses of rollouts.

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
    Input::Release(Box::new(Release { sums: [arm(treatment), arm(BASE)], noise_variance: 100.0 }))
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
    assert_eq!(course.controller.share(), Share::parts_per_million(0), "a shadow serves nobody");
    course.stage(0, BASE);
    assert_eq!(course.controller.share(), Share::parts_per_million(10_000));
    for stage in 1..4 {
        course.stage(stage, BASE);
    }
    assert_eq!(course.controller.phase, Phase::Waiting(3), "the last gate asks somebody");
    // One alone cannot make of a reason a way past a gate.
    let by_one = |to| Event::Advanced { at: i64::MAX, to, who: vec!["bo".into()], why: Some("it is fine".into()) };
    for (kept, to) in [(course.events.len() - 1, 4), (course.events.len(), 5), (3, 1)] {
        let mut forged = course.events[..kept].to_vec();
        forged.push(by_one(to));
        assert!(verify(&Policy::named("spring"), DEVICES, &forged).is_err(), "{kept} events, to {to}");
    }
    course.take(Input::Promote(everybody("bo"), Some("quiet".into()))).expect("a yes");
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
        release.sums[0][1].values[0] *= 1.2;
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
    assert_eq!((&course.controller.phase, course.controller.share()), (&Phase::Aborted, Share::parts_per_million(0)));
    assert!(matches!(course.events.last(), Some(Event::Aborted { who: None, .. })));
    for input in
        [Input::Promote(everybody("ada"), None), Input::Resume(everybody("ada")), Input::Start(everybody("ada"))]
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
    course.stage(0, BASE);
    // Half a point more skips: too little to abort, and too much to be sure of the margin.
    course.stage(1, [0.357, 0.2935, 0.395, 0.002, 0.01, 0.001]);
    assert_eq!(course.controller.phase, Phase::Held(Box::new(Phase::Observing(1))));
    assert_eq!(course.controller.share(), Share::parts_per_million(10_000), "devices keep what they have");
    let skip = |one: &Actor, other: &Actor| Input::Skip(one.clone(), other.clone(), "known to be fine".into());
    assert_eq!(course.take(skip(&promoter, &everybody("bo"))), Err(Refused::Right("ada".into())));
    assert_eq!(course.take(skip(&everybody("bo"), &everybody("bo"))), Err(Refused::SamePerson("bo".into())));
    assert_eq!(course.take(Input::Abort(promoter, "no".into())), Err(Refused::Right("ada".into())));
    course.take(skip(&everybody("bo"), &everybody("cy"))).expect("two persons");
    assert_eq!(course.controller.phase, Phase::Observing(2));
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
