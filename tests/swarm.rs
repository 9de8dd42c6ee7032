//! `sordino-device swarm` as the README has it: it works, and works again.

use sordino_shared::control::hexadecimal;
use sordino_tests::trial::{self, Trial, one_round};
use std::path::Path;
use std::process::Command;

const DEVICES: usize = 24;

fn swarm(folder: &Path) -> (bool, String, String) {
    let devices = DEVICES.to_string();
    let arguments = ["swarm", "--federation", "federation.toml", "--tokens", "tokens.txt", "--devices", &devices];
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-under-test"));
    let output = command.args(arguments).current_dir(folder).output().expect("it starts");
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(!err.contains("panicked") && !err.contains('\u{1b}'), "no colour where nobody looks: {err}");
    (output.status.success(), out, err)
}

#[test]
fn a_swarm_runs_again() {
    let trial = Trial::new(|_| ());
    trial.task(&one_round(DEVICES).replace(&format!("tracks = {DEVICES}"), "tracks = 60"));
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_owned();
    let tokens =
        |count: usize| -> String { trial.tokens(count).iter().map(|token| hexadecimal(token) + "\n").collect() };
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        std::fs::write(at.join("federation.toml"), toml::to_string(&federation).expect("plain data")).expect("a file");
        std::fs::write(at.join("tokens.txt"), tokens(DEVICES)).expect("a file");
        let again = async || {
            let at = at.clone();
            tokio::task::spawn_blocking(move || swarm(&at)).await.expect("no panic")
        };
        let (done, out, err) = again().await;
        assert!(done && out.contains("24 devices enrolled in"), "{out}{err}");
        assert!(out.contains("24 parts in rounds done, 0 left early") && !out.contains("nothing to do"), "{out}{err}");
        // The same devices, who have learnt all there is.
        let (done, out, err) = again().await;
        assert!(done && out.contains("24 devices enrolled in"), "{out}{err}");
        assert!(out.contains("0 parts in rounds done") && out.contains("`sordino-coordinator task add"), "{out}{err}");
        assert_eq!(trial.authority().devices().expect("devices").len(), DEVICES);
        // Without their keys the tokens are others'.
        std::fs::remove_file(at.join("tokens.txt.keys")).expect("their keys");
        let (done, _, err) = again().await;
        assert!(!done && err.contains("`sordino-coordinator enrol token --count N FOLDER` makes new ones"), "{err}");
        assert_eq!(err.matches("this token has been used").count(), 1, "{err}");
        std::fs::write(at.join("tokens.txt"), tokens(DEVICES - 1)).expect("a file");
        let (done, _, err) = again().await;
        assert!(!done && err.contains("holds 23 tokens for 24 devices"), "{err}");
        server.stop().await;
    });
}
