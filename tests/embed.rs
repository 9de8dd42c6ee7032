//! The example of an application, against a coordinator: it enrols once, takes part, starts again
//! as it was left, and recommends.

use sordino_device::swarm::run;
use sordino_shared::control::hexadecimal;
use sordino_tests::trial::{self, Oracle, Trial, one_round};
use std::path::Path;
use std::process::Command;
use tokio::sync::watch;

const DEVICES: usize = 12;

fn embed(folder: &Path, token: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embed-under-test"));
    let output =
        command.args(["federation.toml", "phone"]).args(token).current_dir(folder).output().expect("it starts");
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{out}{err}");
    out
}

#[test]
fn an_application_enrols_once_and_starts_as_often_as_it_likes() {
    let trial = Trial::new(|_| ());
    trial.task(&one_round(DEVICES));
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_owned();
    trial::run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        std::fs::write(at.join("federation.toml"), toml::to_string(&federation).expect("plain data")).expect("a file");
        let token = hexadecimal(&trial.tokens(1)[0]);
        let mut others = Oracle::new(DEVICES).vectors();
        others.truncate(DEVICES - 1);
        let (swarm, others) = trial.devices(&federation, others).await;
        let (seen, _) = watch::channel(None);
        let place = at.clone();
        let first = tokio::task::spawn_blocking(move || embed(&place, Some(&token)));
        let (first, _) = tokio::join!(first, run(&swarm, &federation, others, &seen));
        let first = first.expect("no panic");
        assert!(first.contains("4 events kept, 0 known already\nenrolled\ntook part in round 1 of"), "{first}");
        // Without a token: it has its certificate. And it has the model now, without what was
        // heard.
        for _ in 0..2 {
            let place = at.clone();
            let again = tokio::task::spawn_blocking(move || embed(&place, None)).await.expect("no panic");
            assert!(again.contains("4 known already\nnothing to do: it has trained lately; again in"), "{again}");
            assert!(!again.contains("enrolled") && again.contains("1 contribution was sent so far"), "{again}");
            assert_eq!(again.matches("play track").count(), 5, "{again}");
        }
        server.stop().await;
    });
    #[cfg(unix)]
    {
        let key = std::fs::metadata(at.join("phone.key")).expect("its key").permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key) & 0o777, 0o600);
    }
}
