//! The operator's page and the metrics, on a port of their own that only this machine can reach.

mod assets;

use crate::rollout::acts::Act;
use crate::server::Hub;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Serves the page; gives the address that it came to listen on.
///
/// # Errors
/// Where the port cannot be had.
pub async fn serve(hub: &Arc<Hub>, address: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let state = Admin { hub: hub.clone(), viewers: Arc::new(Semaphore::new(MOST_VIEWERS)) };
    let app = assets::routes()
        .route("/rights", post(rights))
        .route("/status.json", get(status))
        .route("/events", get(events))
        .route("/act", post(act))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .layer(middleware::from_fn(guard))
        .with_state(state);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the operator's page is gone");
        }
    });
    Ok(address)
}

#[derive(Clone)]
struct Admin {
    hub: Arc<Hub>,
    viewers: Arc<Semaphore>,
}

async fn status(State(admin): State<Admin>) -> Response {
    let json = serde_json::to_string(&admin.hub.view()).expect("a view is plain numbers and words");
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// Who a token is of, and what they may do.
async fn rights(State(admin): State<Admin>, body: Bytes) -> Response {
    let token = String::from_utf8_lossy(&body);
    match admin.hub.whose(token.trim()) {
        Ok(who) => {
            let json = serde_json::to_string(&who).expect("a name and three rights");
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        Err(refused) => (StatusCode::FORBIDDEN, format!("{refused}\n")).into_response(),
    }
}

/// What somebody does, with their token; a second person's where two are needed.
#[derive(serde::Deserialize)]
struct Order {
    token: String,
    second: Option<String>,
    act: Act,
}

/// Another site's page cannot send this: JSON needs its consent first, which is not given.
async fn act(State(admin): State<Admin>, headers: HeaderMap, body: Bytes) -> Response {
    let order: Order = match serde_json::from_slice(&body) {
        Ok(order) if is_json(&headers) => order,
        Ok(_) => return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send JSON\n").into_response(),
        Err(error) => return (StatusCode::BAD_REQUEST, format!("this is no act: {error}\n")).into_response(),
    };
    match admin.hub.act(order.act, &order.token, order.second.as_deref()).await {
        Ok(done) => format!("{done}\n").into_response(),
        Err(refused) => (StatusCode::FORBIDDEN, format!("{refused}\n")).into_response(),
    }
}

/// Whatever parameters it has.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether the store answers.
async fn ready(State(admin): State<Admin>) -> Response {
    match admin.hub.check_store().await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.hub.metrics.text(&admin.hub.view())).into_response()
}

/// The view once a second, to so many viewers and no more: watching never slows the rounds.
async fn events(State(admin): State<Admin>) -> Response {
    let Ok(seat) = admin.viewers.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many viewers: close another page\n").into_response();
    };
    Sse::new(views(admin.hub, seat)).keep_alive(KeepAlive::default()).into_response()
}

fn views(
    hub: Arc<Hub>,
    seat: tokio::sync::OwnedSemaphorePermit,
) -> impl futures_core::Stream<Item = Result<Event, std::convert::Infallible>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            let json = serde_json::to_string(&hub.view()).expect("a view is plain numbers and words");
            if sender.send(Ok(Event::default().data(json))).await.is_err() {
                break;
            }
        }
        drop(seat);
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

/// Only pages of this port itself may read it: another site's page that resolves its own name to this machine may not.
async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        return (StatusCode::FORBIDDEN, "this page is for this machine alone\n").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

// Nothing but this port's own files, nothing in the page's text that runs, no form that leads elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const MOST_VIEWERS: usize = 64;
