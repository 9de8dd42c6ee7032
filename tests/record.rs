//! `sordino-device` as an application team and a listener meet it: events are kept whole and once,
//! budgets are what the ledger says, and nothing is silent.

use sordino_client::device::{Desk, Device, Settings, pretend_federation};
use sordino_shared::control::Enrolled;
use sordino_shared::secagg::Certificate;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A device that was never enrolled, in a folder `d`.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(bench.folder()).expect("a folder");
        let federation = toml::to_string(&pretend_federation()).expect("plain data");
        std::fs::write(bench.folder().join("federation.toml"), federation).expect("a file");
        drop(bench.open(Settings::default()));
        bench
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("d")
    }

    fn open(&self, settings: Settings) -> Device<Desk> {
        let desk = Desk::new(self.folder().join("secret.key"));
        Device::open(&self.folder(), pretend_federation(), settings, desk).expect("a device")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_device-under-test"));
        command.args(arguments).args(["--folder", "d"]).current_dir(self.0.path());
        command
    }

    /// The exit status, what was printed, what was said beside it.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        told(&self.command(arguments).output().expect("the program starts"))
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.0.path().join(name), bytes).expect("a file");
        name.to_owned()
    }

    fn kept(&self) -> usize {
        let desk = Desk::new(self.folder().join("secret.key"));
        let device = Device::open_beside(&self.folder(), pretend_federation(), Settings::default(), desk);
        device.expect("a device").export().expect("events").len()
    }
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!err.contains("panicked") && !out.contains('\u{1b}') && !err.contains('\u{1b}'), "{out}{err}");
    (output.status.code().expect("it was not killed"), out, err)
}

/// So many events, a minute apart, with ids of the application's or without.
fn lines(count: usize, named: bool) -> Vec<String> {
    let now = sordino_coordinator::server::now();
    (0..count)
        .map(|n| {
            let id = if named { format!(r#", "event_id": "7f6c1e1a-{n}""#) } else { String::new() };
            let (track, time) = (n % 50, now - 60_000 * (n as i64 + 1));
            format!(r#"{{"track": {track}, "time": {time}, "kind": "play"{id}}}"#)
        })
        .collect()
}

#[test]
fn a_bad_line_costs_no_other_and_a_file_may_come_twice() {
    let bench = Bench::new();
    let mut good = lines(10_500, true);
    good.insert(7, "{\"kind\": \"hum\", \"time\": null}".to_owned());
    let file = bench.file("events.jsonl", good.join("\n"));
    let (status, out, err) = bench.run(&["record", &file]);
    assert_eq!((status, out.as_str()), (3, "10500 events kept, 0 known already, 1 refused\n"), "{err}");
    assert!(
        err.contains("events.jsonl, line 8: 'track' and 'time' are missing; 'kind' is \"hum\", and should be"),
        "{err}"
    );
    good.remove(7);
    // Again, in another order, with a byte order mark, CRLF and empty lines.
    good.reverse();
    let file = bench.file("again.jsonl", format!("\u{feff}{}\r\n\r\n", good.join("\r\n\r\n")));
    let (status, out, err) = bench.run(&["record", &file]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "0 events kept, 10500 known already, 0 refused\n", ""));
    assert_eq!(bench.kept(), 10_500);
    // What was exported is known.
    let (_, exported, _) = bench.run(&["export"]);
    let file = bench.file("exported.jsonl", exported);
    assert_eq!(bench.run(&["record", &file]).1, "0 events kept, 10500 known already, 0 refused\n");
}

#[test]
fn strict_keeps_all_or_nothing() {
    let bench = Bench::new();
    let mut all = lines(12_000, false);
    all.push(r#"{"track": 1, "time": 1795000000, "kind": "play"}"#.to_owned());
    let file = bench.file("events.jsonl", all.join("\n"));
    let (status, out, err) = bench.run(&["record", "--strict", &file]);
    assert_eq!((status, out.as_str()), (1, "0 events kept, 0 known already, 1 refused\n"));
    assert!(
        err.contains("line 12001: its time is before 1990: times are in milliseconds")
            && err.contains("nothing was kept")
    );
    let bad = bench.file("bad.jsonl", "hum\n".repeat(9));
    let (status, _, err) = bench.run(&["record", "--strict", &bad]);
    assert!(status == 1 && err.contains("bad.jsonl, line 5: this is no JSON") && !err.contains("line 6"), "{err}");
    assert!(err.contains("and 4 refused lines more"), "{err}");
    // What cannot be read and what cannot be kept are named together.
    let both = [&lines(2, false)[..], &["hum".to_owned()], &all[12_000..]].concat().join("\n");
    let both = bench.file("both.jsonl", both);
    for arguments in [&["record", "--strict", &both][..], &["record", &both]] {
        assert_eq!(bench.kept(), 0);
        let (_, out, err) = bench.run(arguments);
        assert!(err.contains("line 3: this is no JSON") && err.contains("line 4: its time is before 1990"), "{err}");
        assert!(out.contains("2 refused"), "{out}");
    }
    bench.run(&["erase"]);
    assert_eq!(bench.kept(), 0);
    all.pop();
    let file = bench.file("events.jsonl", all.join("\n"));
    assert_eq!(bench.run(&["record", "--strict", &file]).0, 0);
    assert_eq!(bench.kept(), 12_000);
}

// Killed after its first transaction and run again: each event once, with ids and without.
#[test]
fn a_run_that_was_killed_is_run_again() {
    for named in [true, false] {
        let bench = Bench::new();
        let all = lines(15_000, named);
        let mut child =
            bench.command(&["record"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let mut input = child.stdin.take().expect("its input");
        input.write_all((all[..14_000].join("\n") + "\n").as_bytes()).expect("written");
        input.flush().expect("written");
        while bench.kept() == 0 {
            assert!(child.try_wait().expect("a process").is_none(), "it waits for more");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().and_then(|()| child.wait()).expect("killed");
        assert_eq!(bench.kept(), 10_000, "one transaction of two");
        let file = bench.file("events.jsonl", all.join("\n"));
        assert_eq!(bench.run(&["record", &file]).1, "5000 events kept, 10000 known already, 0 refused\n");
        assert_eq!(bench.kept(), 15_000);
    }
}

#[test]
fn the_budget_is_what_the_ledger_says() {
    let bench = Bench::new();
    let show = |bench: &Bench| bench.run(&["budget", "show"]).1;
    assert!(show(&bench).starts_with("this device may spend at most epsilon 4 at delta 1e-6"), "{}", show(&bench));
    // Asking for more on another command changes nothing and says so.
    let (status, _, err) = bench.run(&["export", "--epsilon", "8"]);
    assert!(
        status == 0 && err.contains("`sordino-device budget set --epsilon 8 --delta 1e-6 --why REASON --folder d`"),
        "{err}"
    );
    assert!(show(&bench).contains("epsilon 4 "));
    assert_eq!(bench.run(&["budget", "set", "--epsilon", "8"]).0, 2, "a reason is asked for");
    assert_eq!(bench.run(&["budget", "set", "--epsilon", "8", "--why", "  "]).0, 1);
    assert_eq!(bench.run(&["budget", "set", "--why", "because"]).0, 1);
    let (status, out, err) = bench.run(&["budget", "set", "--epsilon", "8", "--why", "the listener agreed"]);
    assert!(status == 0 && out.contains("epsilon 8 ") && err.is_empty(), "{out}{err}");
    assert!(bench.run(&["ledger"]).1.contains("the listener agreed"));
    assert!(
        bench.run(&["erase"]).2.is_empty() && show(&bench).contains("epsilon 8 "),
        "what is not said is as the ledger has it"
    );
    // Less is in force at once, where the device is opened alone.
    let (status, _, err) = bench.run(&["erase", "--epsilon", "2"]);
    assert!(status == 0 && err.contains("from now on this device may spend epsilon 2"), "{err}");
    assert!(show(&bench).contains("epsilon 2 "));
    for wrong in ["nan", "0", "-1", "1000"] {
        let epsilon = format!("--epsilon={wrong}");
        let (status, _, err) = bench.run(&["budget", "set", &epsilon, "--why", "a test"]);
        assert!(status == 1 && err.starts_with("error: "), "{wrong}: {err}");
    }
    assert!(show(&bench).contains("epsilon 2 "));
    // What a command beside it asks for is answered: it changes nothing, and says what will.
    let said = |epsilon: &str| bench.run(&["budget", "show", &format!("--epsilon={epsilon}")]).2;
    assert!(said("2").is_empty() && said("1").contains("makes it epsilon 1 at delta 1e-6"), "{}", said("1"));
    for wrong in ["-1", "nan", "inf", "60"] {
        let err = said(wrong);
        assert!(
            err.contains("takes part in nothing") && !err.contains("budget set") && !err.contains("`inf`"),
            "{err}"
        );
    }
    let (_, _, err) = bench.run(&["erase", "--epsilon", "1", "--delta", "1e-5"]);
    assert!(err.contains("from now on") && err.contains("not all of the epsilon 1 at delta 1e-5"), "{err}");
    let (status, _, err) = bench.run(&["budget", "set", "--delta", "1e-7", "--why", "less"]);
    assert!(status == 0 && show(&bench).contains("epsilon 1 at delta 1e-7"), "{err}");
}

// An update of the operator's file reaches a device that is not enrolled yet.
#[test]
fn another_federation_is_taken_or_refused_and_never_ignored() {
    let bench = Bench::new();
    let token = "7".repeat(64);
    let kept = bench.folder().join("federation.toml");
    let mut other = pretend_federation();
    other.name = "elsewhere".to_owned();
    let text = toml::to_string(&other).expect("plain data");
    let file = bench.file("other.toml", &text);
    let enrol = |bench: &Bench| bench.run(&["enrol", "--federation", &file, "--token", &token]);
    // Nobody answers there, which is asked after the file was taken.
    assert_eq!(enrol(&bench).0, 1);
    assert_eq!(std::fs::read_to_string(&kept).expect("a file"), text);
    let mut device = bench.open(Settings::default());
    let certificate = Certificate { key: device.identity().public().bytes(), not_after: i64::MAX, signature: [0; 64] };
    device.set_enrolled(Enrolled { certificate, x509: Vec::new() }).expect("enrolled");
    drop(device);
    std::fs::write(&kept, toml::to_string(&pretend_federation()).expect("plain data")).expect("a file");
    let (status, _, err) = enrol(&bench);
    assert!(
        status == 1 && err.contains("is enrolled in the federation of d/federation.toml, and other.toml is"),
        "{err}"
    );
    assert_ne!(std::fs::read_to_string(&kept).expect("a file"), text);
    // Where the copy is gone its certificate says that it is another's.
    std::fs::remove_file(&kept).expect("removed");
    assert!(enrol(&bench).2.contains("is enrolled in the federation of d/federation.toml") && !kept.exists());
}

// The remedy that is named works.
#[test]
fn a_device_that_lost_its_ledger_or_key_is_made_anew() {
    for lost in ["ledger", "secret.key"] {
        let bench = Bench::new();
        let file = bench.file("events.jsonl", lines(3, false).join("\n"));
        assert_eq!(bench.run(&["record", &file]).0, 0);
        std::fs::remove_file(bench.folder().join(lost)).expect("removed");
        let command = "`sordino-device enrol --anew --federation FILE --token TOKEN --folder d`";
        for refused in [&["run"][..], &["ledger"], &["record", &file]] {
            let (status, _, err) = bench.run(refused);
            assert!(status == 1 && err.contains("is gone") && err.contains(command), "{err}");
        }
        let token = "7".repeat(64);
        let again = ["enrol", "--anew", "--federation", "d/federation.toml", "--token", &token];
        // Nobody answers there: the device is made before anybody is asked.
        let (status, _, err) = bench.run(&again);
        assert!(status == 1 && !err.contains("is gone"), "{err}");
        assert!(bench.run(&["ledger"]).1.starts_with("Nothing has been sent so far."));
        assert_eq!(bench.kept(), 0);
    }
}

#[test]
fn others_work_beside_the_process_that_visits() {
    let bench = Bench::new();
    let held = bench.open(Settings::default());
    let file = bench.file("events.jsonl", lines(40, false).join("\n"));
    assert_eq!(bench.run(&["record", &file]).1, "40 events kept, 0 known already, 0 refused\n");
    for command in [&["ledger"][..], &["export"], &["version"], &["budget", "show"]] {
        assert_eq!(bench.run(command).0, 0, "{command:?}");
    }
    for command in [&["erase"][..], &["run"], &["budget", "set", "--epsilon", "1", "--why", "less"]] {
        let (status, _, err) = bench.run(command);
        assert!(
            status == 1 && err.contains("another process has the device in d: stop it first"),
            "{command:?}: {err}"
        );
    }
    drop(held);
    assert_eq!(bench.run(&["erase"]).1, "erased 40 events and 0 versions of the model; what was spent stays spent\n");
}

#[test]
fn nothing_is_silent_and_each_error_is_said_once() {
    let bench = Bench::new();
    let (status, out, err) = bench.run(&["export"]);
    assert!(status == 0 && out.is_empty() && err.contains("no events are kept"), "{err}");
    let (status, _, err) = bench.run(&["recommend"]);
    assert!(
        status == 1 && err.contains("`sordino-device enrol --folder d` first, then `sordino-device run --folder d`"),
        "{err}"
    );
    assert!(bench.run(&["run"]).2.contains("`sordino-device enrol --folder d`"));
    assert_eq!(bench.run(&["recommend", "--most", "0"]).0, 2);
    let (status, _, err) = bench.run(&["record", "nowhere.jsonl"]);
    assert!(status == 1 && err.matches("No such file").count() == 1 && err.contains("nowhere.jsonl"), "{err}");
    let (_, _, err) = bench.run(&["run", "--log", "hum=loud"]);
    assert!(err.contains("--log hum=loud"), "{err}");
    let elsewhere = Command::new(env!("CARGO_BIN_EXE_device-under-test"))
        .args(["recommend", "--folder", "nowhere"])
        .current_dir(bench.0.path())
        .output();
    let (_, _, err) = told(&elsewhere.expect("the program starts"));
    assert!(err.contains("there is no device in nowhere: `sordino-device enrol --folder nowhere` makes one"), "{err}");
    assert!(!Path::new(&bench.0.path().join("nowhere")).exists());
    let (status, _, err) = bench.run(&["enrol", "--federation", "d/federation.toml", "--token", "12"]);
    assert!(status == 1 && err.contains("a token has 64 hexadecimal digits"), "{err}");
}
