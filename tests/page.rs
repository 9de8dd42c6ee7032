//! The operator's page acts for those who have the right, and for nobody else.

use sordino_coordinator::rollout::book;
use sordino_coordinator::rollout::people::{People, Right};
use sordino_coordinator::store::Store;
use sordino_shared::model::Model;
use sordino_shared::registry::Mode;
use sordino_tests::trial::{self, Trial};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// What the page's port answers to a request: its status and its body.
async fn post(admin: SocketAddr, path: &str, kind: &str, host: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let exchange = move || {
        let mut stream = TcpStream::connect(admin).expect("a connection");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let answer = tokio::task::spawn_blocking(exchange).await.expect("an answer");
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

#[test]
fn the_page_acts_by_rights() {
    let trial = Trial::new(|config| config.registry.automatic = false);
    let version = trial.sign(&Model::Popularity(vec![1.0, 2.0, 3.0]));
    let mut people = People::load(trial.path()).expect("nobody yet");
    let tokens = [("anna", Right::Promote), ("ben", Right::Abort)]
        .map(|(name, right)| people.add(name, &[right]).expect("a token"));
    people.store(trial.path()).expect("written");
    let act = |token: &str, act: &str| format!("{{\"token\":\"{token}\",\"act\":{act}}}");
    let serve = format!("{{\"act\":\"serve\",\"version\":{version},\"why\":\"the first\"}}");
    trial::run(async {
        let server = trial.serve().await;
        let admin = server.admin();
        let json = "application/json";
        let send = |body: String| async move { post(admin, "/act", json, "localhost", &body).await };
        let (status, who) = post(admin, "/rights", "text/plain", "localhost", &tokens[0]).await;
        assert!(status == 200 && who.contains("\"name\":\"anna\"") && who.contains("\"may_abort\":false"), "{who}");
        assert_eq!(post(admin, "/rights", "text/plain", "localhost", "not a token").await.0, 403);
        let (status, told) = send(act(&tokens[1], &serve)).await;
        assert!(status == 403 && told.contains("ben has no right"), "{told}");
        // Another site's page can send no JSON without asking first, and does not know this port by its name.
        let order = act(&tokens[0], &serve);
        assert_eq!(post(admin, "/act", "text/plain", "localhost", &order).await.0, 415);
        assert_eq!(post(admin, "/act", "application/jsonp", "localhost", &order).await.0, 415);
        assert_eq!(post(admin, "/act", json, "music.example", &order).await.0, 403);
        let in_silence = act(&tokens[0], &serve.replace("the first", " "));
        let (status, told) = send(in_silence).await;
        assert!(status == 403 && told.contains("say why"), "{told}");
        assert_eq!(send("{\"act\":1}".into()).await.0, 400);
        assert!(book::serving(&trial.store()).expect("a store").1.good.is_none(), "nothing of that did anything");
        let (status, told) = post(admin, "/act", "Application/JSON; charset=utf-8", "localhost", &order).await;
        assert!(status == 200 && told.contains("by anna"), "{told}");
        assert_eq!(book::serving(&trial.store()).expect("a store").1.good, Some(version));
        let off = "{\"act\":\"baseline\",\"on\":true,\"why\":\"a complaint\"}";
        // Two who press at once, or one who presses twice: it is done once, and the other is told so.
        let (one, other) = tokio::join!(send(act(&tokens[1], off)), send(act(&tokens[1], off)));
        assert_eq!(one.0 + other.0, 200 + 403, "{one:?} {other:?}");
        assert!(one.1.contains("switched off already") || other.1.contains("switched off already"));
        let view = server.hub().view();
        assert_eq!(view.serving.map(|serving| serving.mode), Some(Mode::Baseline), "devices are told at once");
        server.stop().await;
    });
    let log = trial.store().audit().expect("a log");
    assert_eq!(log.iter().filter(|row| row.what.contains("by ben: a complaint")).count(), 1);
}
