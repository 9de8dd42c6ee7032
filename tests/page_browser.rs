//! Promise: whatever the operator's page offers can be done from it, by typing and pressing as a person does, and does what it says; what cannot
//! be done is said in a sentence. An error in the page fails the test.

use sordino_coordinator::rollout::Policy;
use sordino_coordinator::rollout::Stage;
use sordino_coordinator::rollout::book::{self, Course};
use sordino_coordinator::rollout::people::Right;
use sordino_coordinator::rollout::rehearsal::{self, Fleet, chance};
use sordino_coordinator::server::now;
use sordino_coordinator::store::{Aggregate, Phase, RoundRow, Store, verify};
use sordino_shared::model::Model;
use sordino_shared::registry::{Mode, Serving};
use sordino_shared::rollout::{CellSums, Share};
use sordino_shared::secagg::digest;
use sordino_tests::browser::{Browser, Scheme};
use sordino_tests::page::{act, buttons, everywhere, has, knock, no_errors, open, people, refused, shows};
use sordino_tests::trial::{Trial, run_within};
use std::time::Duration;

const DEVICES: usize = 1_000_000;

fn model(first: f32) -> Model {
    Model::Popularity(vec![first, 2.0, 1.0])
}

/// What serves, by the store.
fn serving(trial: &Trial) -> Serving {
    book::serving(&trial.store()).expect("a store").1
}

fn told(trial: &Trial, words: &str) -> usize {
    let log = trial.store().audit().expect("a log");
    verify(&log).expect("an unbroken log");
    log.iter().filter(|row| row.what.contains(words)).count()
}

/// Two stages of two looks, each of which somebody has to promote.
fn policy(name: &str) -> Policy {
    let stage = |parts| Stage {
        share: Share::parts_per_million(parts).expect("a share"),
        looks: 2,
        dwell_hours: 0,
        manual: true,
        shadow: false,
    };
    Policy { stages: vec![stage(50_000), stage(250_000)], ..Policy::named(name) }
}

/// One look at a candidate, from sums that are drawn, in a round of its own.
fn look(trial: &Trial, name: &str, candidate: usize) {
    let mut store = trial.store();
    let course = Course::load(&store, name).expect("a rollout");
    let stage = course.controller.stage().expect("a stage");
    let seen = course.events.len();
    let fleet = Fleet::new(&course.order.policy, DEVICES);
    let candidate = &rehearsal::candidates()[candidate];
    let sums = fleet.release(stage, candidate, 1, &mut chance(1, stage, seen));
    let (context, number) = (digest(&[stage as u8, seen as u8]), 1000 + seen as u64);
    let row = RoundRow {
        context,
        task: course.order.task(),
        number,
        step: number,
        setting: Vec::new(),
        phase: Phase::Unmasking,
        state: Vec::new(),
        opened: now(),
        changed: now(),
        note: String::new(),
    };
    store.open_round(&row).expect("a round");
    let of_cell = |cell: &CellSums| [[cell.count].as_slice(), &cell.values, &cell.squares].concat();
    let sum = vec![sums.iter().flatten().flat_map(of_cell).collect()];
    let aggregate = Aggregate { step: number, devices: 1, sum, deviations: vec![10.0], rho: 0.045 };
    assert!(book::look(&mut store, name, (&context, stage), &aggregate, "drawn", now()).expect("a look"));
}

/// Everything that the page offers, in the order in which it comes.
fn everything(width: u32, scheme: Scheme) {
    let Some(mut browser) = Browser::find() else { return };
    let browser = &mut browser;
    browser.view(width, 900);
    browser.scheme(scheme);
    let trial = Trial::new(|config| config.registry.automatic = false);
    let tokens = people(
        trial.path(),
        &[("anna", &[Right::Promote, Right::Skip]), ("ben", &[Right::Abort]), ("cleo", &[Right::Abort, Right::Skip])],
    );
    let [anna, ben, cleo] = [&tokens[0], &tokens[1], &tokens[2]];
    let first = trial.sign(&model(1.0));
    run_within(Duration::from_secs(900), async {
        let server = trial.serve().await;
        open(browser, server.admin());
        shows(browser, "Nothing yet: devices have what the application has built in.");

        // Who is nobody may nothing, and is told so.
        knock(browser, "no token of anybody's");
        shows(browser, "this token is nobody's");
        assert!(buttons(browser).is_empty());
        refused(browser);
        everywhere(browser, "a wrong token");

        // Who has another right is told of it, and is not offered the act.
        knock(browser, ben);
        shows(browser, "ben may abort. ben has no right to promote and skip gates");
        assert!(buttons(browser).is_empty());
        knock(browser, anna);
        shows(browser, "anna may promote and skip gates.");
        assert_eq!(buttons(browser), ["Serve to all", "Pin a group"]);

        // Without a reason nothing is asked for.
        assert!(act(browser, "Serve to all", None).contains("Say why first"));
        assert_eq!(browser.run("return document.activeElement.id"), "why");
        assert_eq!(serving(&trial), Serving::default());
        everywhere(browser, "a missing reason");
        let done = act(browser, "Serve to all", Some("the first version"));
        assert!(done.starts_with("Done at") && done.contains("by anna: the first version"), "{done}");
        assert_eq!(serving(&trial).good, Some(first));
        shows(browser, &format!("All devices have version {first}"));
        no_errors(browser);

        // A rollout, from its start to its end.
        let second = trial.sign(&model(3.0));
        trial.office().sign_rollout(&policy("spring"), second, &trial.people(), now()).expect("signed");
        shows(browser, "Start the rollout");
        assert!(act(browser, "Start the rollout", None).contains("Start the rollout: "), "how many devices?");
        browser.fill("#field-devices", "1000");
        assert!(act(browser, "Start the rollout", None).starts_with("Not done: "), "too few to judge");
        refused(browser);
        everywhere(browser, "a rollout to be started");
        browser.fill("#field-devices", &DEVICES.to_string());
        let done = act(browser, "Start the rollout", None);
        assert!(done.contains(&format!("rollout spring of version {second} is under way")), "{done}");
        assert_eq!(serving(&trial).candidate.map(|of| (of.counter, of.stage)), Some((second, 0)));
        shows(browser, "No look in this stage yet");

        let done = act(browser, "Hold spring", Some("a holiday"));
        assert!(done.contains("held in stage 1"), "{done}");
        assert_eq!(told(&trial, "held by anna: a holiday"), 1);
        shows(browser, "Resume spring");
        everywhere(browser, "a held rollout");
        let done = act(browser, "Resume spring", None);
        assert!(done.contains("stage 1, looking"), "{done}");

        look(&trial, "spring", 0);
        look(&trial, "spring", 0);
        shows(browser, "Promote spring");
        everywhere(browser, "a rollout that waits");
        let done = act(browser, "Promote spring", None);
        assert!(done.contains("stage 2, looking"), "{done}");
        assert_eq!(serving(&trial).candidate.map(|of| (of.counter, of.stage)), Some((second, 1)));

        // A gate is skipped by two, and those who have no right to are none of them.
        let skip = "Skip the gate of spring";
        shows(browser, skip);
        browser.fill("#why", "we know this model");
        assert!(act(browser, skip, None).contains("This takes two persons"));
        browser.fill("#second", anna);
        assert!(act(browser, skip, None).contains("anna cannot be both"));
        browser.fill("#second", ben);
        assert!(act(browser, skip, None).contains("ben has no right to do that"));
        assert_eq!(serving(&trial).good, Some(first));
        refused(browser);
        browser.fill("#second", cleo);
        let done = act(browser, skip, None);
        assert!(done.contains("all devices have it"), "{done}");
        assert_eq!(told(&trial, "by anna and cleo, past the gate: we know this model"), 1);
        let after = serving(&trial);
        assert_eq!((after.good, after.before, after.candidate), (Some(second), Some(first), None));
        assert_eq!(browser.run("return document.querySelector('#second')?.value ?? ''"), "", "it is not kept");
        shows(browser, &format!("All devices have version {second}"));
        shows(browser, &format!("5 % are kept back on version {first}"));
        everywhere(browser, "a rollout at its end");
        let done = act(browser, "End the holdback", None);
        assert!(done.contains("nobody is kept back any more, by anna"), "{done}");
        assert_eq!(serving(&trial).holdback, None);

        // Groups.
        shows(browser, "Pin a group");
        assert!(act(browser, "Pin a group", None).contains("Pin a group: "), "which?");
        browser.fill("#field-group", "reviewers");
        browser.fill("#field-days", "31");
        assert!(act(browser, "Pin a group", None).contains("Pin a group: "), "30 days at most");
        browser.fill("#field-days", "7");
        let done = act(browser, "Pin a group", None);
        assert!(done.contains("'reviewers' stays with version"), "{done}");
        assert_eq!(serving(&trial).pins.len(), 1);
        shows(browser, "The group reviewers stays with version");
        everywhere(browser, "a pinned group");
        let done = act(browser, "Unpin a group", None);
        assert!(done.contains("'reviewers' goes with all others"), "{done}");
        assert!(serving(&trial).pins.is_empty());
        no_errors(browser);

        // A rollout that is taken back.
        let third = trial.sign(&model(5.0));
        trial.office().sign_rollout(&policy("summer"), third, &trial.people(), now()).expect("signed");
        shows(browser, "Start the rollout");
        browser.fill("#field-devices", &DEVICES.to_string());
        act(browser, "Start the rollout", None);
        assert_eq!(serving(&trial).candidate.map(|of| of.counter), Some(third));
        knock(browser, ben);
        shows(browser, "Abort summer");
        assert!(!buttons(browser).contains(&"Roll back".to_owned()), "a rollout is aborted instead");
        assert!(act(browser, "Abort summer", None).contains("Say why first"));
        let done = act(browser, "Abort summer", Some("complaints"));
        assert!(done.contains("taken back"), "{done}");
        assert_eq!(told(&trial, "taken back by ben: complaints"), 1);
        let after = serving(&trial);
        assert_eq!((after.good, after.candidate), (Some(second), None));

        // Everybody back, and models off and on. Twice is once.
        shows(browser, "Roll back");
        let done = act(browser, "Roll back", Some("it skips"));
        assert!(done.contains("back to the version before, by ben: it skips"), "{done}");
        assert_eq!(serving(&trial).mode, Mode::Before);
        shows(browser, &format!("All devices are back on version {first}"));
        everywhere(browser, "rolled back");
        browser.fill("#why", "an emergency");
        browser.run(
            "const off = [...document.querySelectorAll('[data-act]')].find((one) => one.innerText === 'Switch models off');
             off.click(); off.click(); off.click();",
        );
        shows(browser, "learnt models are switched off, by ben: an emergency");
        shows(browser, "Learnt models are switched off: all devices have what the application has built in.");
        assert_eq!(serving(&trial).mode, Mode::Baseline);
        assert_eq!(told(&trial, "by ben: an emergency"), 1);
        everywhere(browser, "models switched off");
        let done = act(browser, "Switch models on", Some("it is over"));
        assert!(done.contains("learnt models are switched on, by ben"), "{done}");
        assert_eq!(serving(&trial).mode, Mode::Good);
        no_errors(browser);

        // Old weights, signed anew, come back without a gate; new ones past every gate by two alone.
        let old = trial.sign(&model(1.0));
        shows(browser, "Bring old weights back");
        assert_eq!(browser.run("return document.querySelector('#field-old').value"), old.to_string());
        let done = act(browser, "Bring old weights back", Some("they were better"));
        assert!(done.contains("brings old weights back to all, by ben"), "{done}");
        assert_eq!(serving(&trial).good, Some(old));
        let new = trial.sign(&model(7.0));
        knock(browser, anna);
        shows(browser, "Goes to all devices at once, past every gate.");
        browser.fill("#second", cleo);
        let done = act(browser, "Serve to all", Some("no time"));
        assert!(done.contains("by anna and cleo: no time"), "{done}");
        assert_eq!(serving(&trial).good, Some(new));
        no_errors(browser);

        // A right that was taken away meanwhile is missed at the press, in a sentence.
        let file = trial.path().join("people.toml");
        let text = std::fs::read_to_string(&file).expect("people");
        std::fs::write(&file, text.replacen("\"promote\"", "\"abort\"", 1)).expect("written");
        browser.fill("#field-group", "testers");
        browser.fill("#field-days", "3");
        let answer = act(browser, "Pin a group", None);
        assert_eq!(answer, "Not done: anna has no right to do that");
        assert!(serving(&trial).pins.is_empty());
        refused(browser);
        everywhere(browser, "a right that is gone");

        // A token that is forgotten opens nothing any more.
        browser.press("Forget the token");
        assert!(buttons(browser).is_empty() && has(browser, "Your token"));
        assert!(!browser.text_of("return document.documentElement.outerHTML").contains(anna.as_str()));
        no_errors(browser);
        server.stop().await;
    });
}

#[test]
fn everything_can_be_done_at_a_desk() {
    everything(1280, Scheme::Light);
}

#[test]
fn everything_can_be_done_on_a_phone_in_the_dark() {
    everything(390, Scheme::Dark);
}
