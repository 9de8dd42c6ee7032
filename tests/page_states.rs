//! Promise: the operator's page shows how things stand so that it is understood, also where there is nothing yet, where the budget is spent,
//! where a task waits, and where nobody answers.

use sordino_client::label::LabelPolicy;
use sordino_coordinator::budget;
use sordino_coordinator::rollout::people::Right;
use sordino_coordinator::server::{Error, Server};
use sordino_coordinator::store::Store;
use sordino_device::swarm;
use sordino_shared::model::Model;
use sordino_simulator::experiment::dataset;
use sordino_simulator::population::{Population, Protocol};
use sordino_tests::browser::Browser;
use sordino_tests::page::{act, everywhere, has, knock, no_errors, open, people, shows};
use sordino_tests::small;
use sordino_tests::trial::{Trial, one_round, seeded_vectors, when_let_go};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

const SEED: u64 = 11;

/// A server that can go away as a process does: with its sockets.
fn start(trial: &Trial) -> (Runtime, Server) {
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let started = || match runtime.block_on(Server::start(trial.path(), trial.config.clone(), Box::new(trial.store())))
    {
        Err(Error::Budget(budget::Error::Running(_))) => None,
        started => Some(started.expect("it starts")),
    };
    let server = when_let_go(started);
    (runtime, server)
}

fn stop(runtime: Runtime, server: Server) {
    runtime.block_on(server.stop());
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn task(name: &str, devices: usize) -> String {
    format!(
        "name = \"{name}\"\nworkload = \"embedding\"\n[catalogue]\ntracks = 60\n[privacy]\nepsilon = 30.0\ndelta = 1e-6\n\
         [cohort]\ndevices = {devices}\n[training]\ndimensions = 4\nrounds = 3\nseed = {SEED}\nleast_rotated = 256\n\
         [schedule]\npause_seconds = 0\nadvertise_seconds = 60\nshare_seconds = 60\nupload_seconds = 60\nagree_seconds = 60\n\
         unmask_seconds = 60\n"
    )
}

fn population(listeners: usize) -> Arc<Population> {
    let mut scenario = small();
    scenario.seed = SEED;
    (scenario.world.listeners, scenario.world.tracks) = (listeners, 60);
    let dataset = dataset(&scenario).expect("a world");
    Arc::new(Population::build(&dataset, &LabelPolicy::default(), Protocol::Loo, SEED).expect("a population"))
}

#[test]
fn a_coordinator_with_nothing_yet_says_what_comes_next() {
    let Some(mut browser) = Browser::find() else { return };
    let browser = &mut browser;
    let trial = Trial::new(|config| config.registry.automatic = false);
    let (runtime, server) = start(&trial);
    open(browser, server.admin());
    let folder = trial.path().display().to_string();
    for text in [
        "No task yet".to_owned(),
        format!("sordino-coordinator task add task.toml {folder}"),
        format!("sordino-coordinator enrol token --count 100 {folder}"),
        format!("sordino-coordinator model import model.bin {folder}"),
        "None has checked in yet.".to_owned(),
        "epsilon 0.000 of 30 spent, at delta 1e−6".to_owned(),
        "Counts of the whole, never of a device.".to_owned(),
    ] {
        assert!(has(browser, &text), "{text}: {}", browser.seen("body"));
    }
    everywhere(browser, "nothing yet");
    // Somebody who may act, and has nothing to act upon.
    let tokens = people(trial.path(), &[("anna", &[Right::Promote])]);
    knock(browser, &tokens[0]);
    shows(browser, "As things stand there is nothing that anna could do.");
    // A task, and nobody who takes part.
    trial.task(&one_round(8));
    shows(browser, "Round 1, popularity");
    assert!(has(browser, "0 of 8"), "{}", browser.seen("#tasks"));
    everywhere(browser, "a round that waits for devices");
    no_errors(browser);
    stop(runtime, server);
}

#[test]
fn a_training_is_shown_to_its_end_and_beyond() {
    let Some(mut browser) = Browser::find() else { return };
    let browser = &mut browser;
    let population = population(40);
    let devices = population.devices();
    let mut trial = Trial::new(|_| ());
    let tokens = people(trial.path(), &[("anna", &[Right::Promote, Right::Abort])]);
    trial.task(&task("evening", devices));
    let (runtime, server) = start(&trial);
    open(browser, server.admin());
    let federation = trial.federation(server.address().expect("a port"));
    runtime.block_on(async {
        let (endpoint, devices) = trial.devices(&federation, seeded_vectors(&population, SEED)).await;
        let (seen, _) = watch::channel(None);
        swarm::run(&endpoint, &federation, devices, &seen).await.expect("it ends");
    });
    // How good the model is, as the devices told.
    let versions = trial.store().versions().expect("versions");
    let about: serde_json::Value = serde_json::from_str(&versions.last().expect("one").about).expect("JSON");
    let told = (about["verdict"][0].as_f64().expect("a figure"), about["verdict"][1].as_f64().expect("its noise"));
    let sign = if told.0 < 0.0 { "−" } else { "+" };
    shows(browser, &format!("{sign}{:.4} ± {:.4}", told.0.abs(), 2.0 * told.1));
    shows(browser, "finished");
    // A budget that is gone looks like it, and what is to be done can be pasted.
    let folder = trial.path().display().to_string();
    shows(browser, "Privacy budget spent");
    let spent = browser.text_of("return getComputedStyle(document.querySelector('#budget .part')).fill");
    let calm = browser.text_of("return getComputedStyle(document.documentElement).getPropertyValue('--mark')");
    assert_ne!(spent, calm);
    assert_eq!(browser.seen("#budget .state"), "spent");
    shows(browser, &format!("sordino-coordinator budget set --epsilon EPSILON --why REASON {folder}"));
    // Check-ins are called so, and answers that were not waited for are no loss.
    shows(browser, "so this is no count of devices");
    let lost = browser
        .run("return [...document.querySelectorAll('.rounds td[data-name=lost]')].map((cell) => cell.innerText)");
    assert_eq!(lost, serde_json::json!(vec!["none"; 5]));
    browser.click(".rounds + details summary");
    assert!(has(browser, "no device is lost by that"));
    everywhere(browser, "a spent budget");
    // No figure belongs to a device: nothing in the view is long enough to name one.
    let view = browser.text_of("return fetch('status.json').then((answer) => answer.text())");
    let mut runs = view.split(|letter: char| !letter.is_ascii_hexdigit());
    assert!(runs.all(|run| run.len() < 32), "{view}");

    // The next task cannot be paid for.
    trial.task(&task("morning", devices));
    shows(browser, "paused");
    shows(browser, &format!("sordino-coordinator task resume morning {folder}"));
    everywhere(browser, "a paused task");
    no_errors(browser);

    // Nobody answers any more: said, also to whoever acts.
    knock(browser, &tokens[0]);
    shows(browser, "anna may promote and abort.");
    let admin = server.admin();
    stop(runtime, server);
    shows(browser, "The coordinator does not answer. Below is how things stood at ");
    assert!(act(browser, "Switch models off", Some("a complaint")).contains("it is not known whether this was done"));
    everywhere(browser, "the server is gone");
    let errors = browser.errors();
    assert!(errors.iter().all(|error| error.contains("net::ERR_")), "nothing but that nobody answers: {errors:?}");

    // It comes back, and the page with it; rounds of before are known still.
    trial.config.listen.admin = admin;
    let (runtime, server) = start(&trial);
    shows(browser, "live");
    assert!(!has(browser, "does not answer"));
    let devices = format!("{devices} devices, comparison");
    shows(browser, &devices);
    everywhere(browser, "after a restart");
    browser.open(&format!("http://{admin}/"));
    shows(browser, &devices);
    drop(browser.errors());
    stop(runtime, server);
}

#[test]
fn what_a_person_does_to_the_page_stays() {
    let Some(mut browser) = Browser::find() else { return };
    let browser = &mut browser;
    let trial = Trial::new(|config| config.registry.automatic = false);
    let tokens = people(trial.path(), &[("anna", &[Right::Promote])]);
    trial.sign(&Model::Popularity(vec![1.0, 2.0]));
    let (runtime, server) = start(&trial);
    open(browser, server.admin());
    knock(browser, &tokens[0]);
    shows(browser, "Pin a group");
    browser.fill("#why", "half a sen");
    browser.fill("#field-days", "7");
    browser.type_into("#why", "tence");
    browser.run("getSelection().selectAllChildren(document.querySelector('.command'))");
    let marked = browser.text_of("return getSelection().toString()");
    assert!(marked.starts_with("sordino-coordinator "), "{marked}");
    // Something changes, and views go by.
    trial.sign(&Model::Popularity(vec![3.0, 2.0]));
    browser.wait("the second version is there", "return document.querySelectorAll('#field-pin option').length === 2");
    browser.run(
        "return new Promise((done) => {
             const events = new EventSource('events');
             let seen = 0;
             events.onmessage = () => { seen += 1; if (seen === 3) { events.close(); done(true); } };
         })",
    );
    assert_eq!(browser.text_of("return getSelection().toString()"), marked);
    let fields = "return ['#why', '#field-days'].map((name) => document.querySelector(name).value).join()";
    assert_eq!(browser.run(fields), "half a sentence,7");
    no_errors(browser);
    stop(runtime, server);
}

#[test]
fn who_cannot_watch_is_told_why() {
    let Some(mut browser) = Browser::find() else { return };
    let browser = &mut browser;
    let trial = Trial::new(|_| ());
    let (runtime, server) = start(&trial);
    let admin = server.admin();
    // So many look already that there is no seat.
    let watch = |_| {
        let mut stream = TcpStream::connect(admin).expect("a connection");
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        let mut first = [0; 15];
        stream.read_exact(&mut first).expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        stream
    };
    let seats: Vec<TcpStream> = (0..64).map(watch).collect();
    browser.open(&format!("http://{admin}/"));
    shows(browser, "Too many pages look at this coordinator: close another one.");
    assert!(has(browser, "epsilon 0.000 of 30 spent"), "how things stand is shown all the same");
    everywhere(browser, "no seat");
    drop(seats);
    browser.wait("the page is live", "return document.querySelector('#link').innerText === 'live'");
    assert!(!has(browser, "Too many pages"));
    let errors = browser.errors();
    assert!(errors.iter().all(|error| error.contains("status of 503")), "{errors:?}");
    stop(runtime, server);
}

/// What a part of the page says for a view that is made up.
fn said(browser: &Browser, part: &str, call: &str) -> String {
    browser.text_of(&format!(
        "return import('/{part}').then((m) => {{ const place = document.createElement('main'); place.id = 'made'; const title = document.createElement('h1'); title.textContent = 'made up';
         document.body.replaceChildren(title, place); place.append(...[{call}].flat()); return place.innerText; }})"
    ))
}

#[test]
fn what_is_rare_is_said_too() {
    let Some(mut browser) = Browser::find() else { return };
    let browser = &mut browser;
    let trial = Trial::new(|config| config.registry.automatic = false);
    let (runtime, server) = start(&trial);
    open(browser, server.admin());
    let told = "{ better: BETTER, deviation: 0.01, devices: 1200 }";
    let quality = |part: &str, better: &str| {
        said(
            browser,
            "serving.js",
            &format!("m.quality({{ {part} }})").replace("TOLD", &told.replace("BETTER", better)),
        )
    };
    assert!(
        quality("advantage: TOLD", "0.0412").contains("better than popularity: +0.0412 ± 0.0200 in NDCG, as 1,200")
    );
    assert!(quality("advantage: TOLD", "-0.0412").contains("worse than popularity: −0.0412"));
    assert!(quality("advantage: TOLD", "0.0112").contains("not to be told from popularity"));
    assert!(quality("is_popularity: true, turned_down: TOLD", "0.0012").contains("so it was not kept"));
    assert!(quality("after: 'factors'", "").contains("has not been compared with popularity yet"));
    assert!(quality("after: null", "").contains("was not learnt here"));

    let task = |fields: &str| {
        let view = format!(
            "{{ name: \"it's mine\", state: 'running', steps: 0, epsilon: 0, epsilon_limit: 4, past: [], {fields} }}"
        );
        said(browser, "tasks.js", &format!("m.task({view}, {{ now: 0, folder: '/a folder' }})"))
    };
    let paused = task("state: 'paused', why: 'somebody wanted it'");
    assert!(paused.contains("Paused: somebody wanted it"), "{paused}");
    assert!(paused.contains(r"sordino-coordinator task resume 'it'\''s mine' '/a folder'"), "{paused}");
    assert!(task("state: 'cannot go on', why: 'its file is gone'").contains("cannot go on: its file is gone"));
    assert!(task("trouble: 'the disk is full'").contains("The task waits and tries again: the disk is full"));
    let round = "{ number: 7, note: 'NOTE', phase: 'abandoned', opened: 0, changed: 4000, funnel: [200, 180, 150] }";
    let note = "too few of the survivors gave out the shares that open the sum";
    let given_up = task(&format!("past: [{}]", round.replace("NOTE", note)));
    assert!(given_up.contains(&format!("given up: {note}")) && given_up.contains("50 (25.0 %)"), "{given_up}");
    everywhere(browser, "a round that was given up");

    let budget = |epsilon: &str| {
        said(
            browser,
            "budget.js",
            &format!("m.budget({{ epsilon: {epsilon}, epsilon_limit: 8, delta: 1e-6, tasks: [], folder: 'f' }})"),
        )
    };
    // What is spent is never shown as less than it is.
    assert!(budget("1.00001").contains("epsilon 1.001 of 8") && !budget("1.00001").contains("budget set"));
    assert!(budget("6.9").contains("little is left") && budget("7.99").contains("budget set --epsilon"));
    no_errors(browser);
    stop(runtime, server);
}
