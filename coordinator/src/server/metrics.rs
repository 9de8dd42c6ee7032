//! What is counted, for whoever scrapes it. Never a device or a contribution: counts and times of the whole.

use super::view::View;
use crate::store::{Phase, Verdict};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sordino_shared::control::Code;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// All counters.
pub struct Metrics {
    registry: Registry,
    contributions: Family<ResultLabel, Counter>,
    rejects: Family<ReasonLabel, Counter>,
    rounds: Family<ResultLabel, Counter>,
    connections: Gauge,
    handshakes: Family<ResultLabel, Counter>,
    bytes: Counter,
    requests: Counter,
    batch: Histogram,
    flush: Histogram,
    phase: Family<PhaseLabel, Histogram>,
    dropout: Family<PhaseLabel, Gauge<f64, AtomicU64>>,
    clients: Mutex<BTreeMap<String, u64>>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("sordino");
        let contributions = Family::default();
        registry.register("contributions", "Contributions, by what became of them", contributions.clone());
        let rejects = Family::default();
        registry.register("rejects", "Requests refused, by reason", rejects.clone());
        let rounds = Family::default();
        registry.register("rounds", "Rounds that ended", rounds.clone());
        let connections = Gauge::default();
        registry.register("quic_connections", "Connections held", connections.clone());
        let handshakes = Family::default();
        registry.register("quic_handshakes", "Handshakes, by how they ended", handshakes.clone());
        let bytes = Counter::default();
        registry.register_with_unit("received", "Frames received", Unit::Bytes, bytes.clone());
        let requests = Counter::default();
        registry.register("requests", "Requests answered", requests.clone());
        let batch = Histogram::new(exponential_buckets(1.0, 2.0, 11));
        registry.register("flush_batch_size", "Contributions in one transaction", batch.clone());
        let flush = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        registry.register_with_unit("flush", "Time of one transaction of contributions", Unit::Seconds, flush.clone());
        let phase = Family::<PhaseLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.01, 2.0, 18))
        });
        registry.register_with_unit("round_phase", "Time of a round's phases", Unit::Seconds, phase.clone());
        let dropout = Family::default();
        registry.register("dropout_ratio", "Share of devices that did not do the last round's step", dropout.clone());
        Self {
            registry,
            contributions,
            rejects,
            rounds,
            connections,
            handshakes,
            bytes,
            requests,
            batch,
            flush,
            phase,
            dropout,
            clients: Mutex::default(),
        }
    }

    /// All of them as Prometheus reads them, with the gauges of `view`.
    pub fn text(&self, view: &View) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        let end = text.rfind("# EOF").unwrap_or(text.len());
        text.truncate(end);
        let mut gauge = |name: &str, help: &str, rows: Vec<(String, f64)>| {
            text.push_str(&format!("# HELP sordino_{name} {help}\n# TYPE sordino_{name} gauge\n"));
            rows.iter().for_each(|(labels, value)| text.push_str(&format!("sordino_{name}{labels} {value}\n")));
        };
        let task = |name: &str| format!("{{task=\"{name}\"}}");
        let spent = view.tasks.iter().map(|t| (task(&t.name), t.epsilon));
        gauge(
            "privacy_epsilon",
            "Epsilon that a device has spent",
            spent.chain([(task("all"), view.epsilon)]).collect(),
        );
        let limits = view.tasks.iter().map(|t| (task(&t.name), t.epsilon_limit));
        gauge(
            "privacy_epsilon_limit",
            "Epsilon that a device may spend",
            limits.chain([(task("all"), view.epsilon_limit)]).collect(),
        );
        gauge("eligible_devices", "Devices with a certificate that holds", vec![(String::new(), view.eligible as f64)]);
        gauge("build_info", "The program", vec![(format!("{{version=\"{}\"}}", view.program), 1.0)]);
        text.push_str("# EOF\n");
        text
    }

    pub(super) fn client(&self, version: &str) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut clients, version);
    }

    pub(super) fn refused(&self, code: Code) {
        self.rejects.get_or_create(&ReasonLabel { reason: code.name() }).inc();
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
        self.requests.inc();
    }

    pub(super) fn connected(&self, change: i64) {
        self.connections.inc_by(change);
    }

    pub(super) fn handshake(&self, result: &'static str) {
        self.handshakes.get_or_create(&ResultLabel { result }).inc();
    }

    pub(super) fn ended(&self, well: bool) {
        self.rounds.get_or_create(&ResultLabel { result: if well { "done" } else { "abandoned" } }).inc();
    }

    pub(super) fn step(&self, phase: Phase, ms: i64, done: u32, of: u32) {
        let label = PhaseLabel { phase: phase.name() };
        self.phase.get_or_create(&label).observe(ms as f64 / 1000.0);
        let lost = 1.0 - f64::from(done) / f64::from(of.max(1));
        self.dropout.get_or_create(&label).set(lost.max(0.0));
    }

    pub(super) fn flushed(&self, size: usize, time: Duration, verdicts: &[Option<Verdict>]) {
        self.batch.observe(size as f64);
        self.flush.observe(time.as_secs_f64());
        for verdict in verdicts {
            let result = match verdict {
                Some(Verdict::Counted) => "ok",
                Some(Verdict::Known) => "duplicate",
                Some(Verdict::Contradiction) => "bad_digest",
                Some(Verdict::TooLate) => "late",
                None => "failed",
            };
            self.contributions.get_or_create(&ResultLabel { result }).inc();
        }
    }

    pub(super) fn fill(&self, view: &mut View) {
        view.connections = self.connections.get();
        view.contributions = self.contributions.get_or_create(&ResultLabel { result: "ok" }).get();
        view.bytes = self.bytes.get();
        for code in Code::ALL {
            let count = self.rejects.get_or_create(&ReasonLabel { reason: code.name() }).get();
            if count > 0 {
                view.refused.insert(code.name().to_owned(), count);
            }
        }
        view.clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner).clone();
    }
}

// A peer chooses the name. No more of them than fit a page: the rarest gives way, and what it had is counted with the others, so that one
// device with many names hides no program that many devices have.
fn count(clients: &mut BTreeMap<String, u64>, version: &str) {
    let name: String = version.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(32).collect();
    let name = if name.trim().is_empty() { OTHERS.to_owned() } else { name };
    if clients.len() >= MOST_CLIENTS && !clients.contains_key(&name) {
        let rarest = clients.iter().filter(|(name, _)| *name != OTHERS).min_by_key(|(_, count)| **count);
        if let Some((rarest, count)) = rarest.map(|(name, count)| (name.clone(), *count)) {
            clients.remove(&rarest);
            *clients.entry(OTHERS.to_owned()).or_default() += count;
        }
    }
    *clients.entry(name).or_default() += 1;
}

const MOST_CLIENTS: usize = 20;
const OTHERS: &str = "(others)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_names_hide_no_program() {
        let mut clients = BTreeMap::new();
        (0..100).for_each(|number| count(&mut clients, &format!("invented {number}")));
        for round in 0..50 {
            count(&mut clients, "sordino 1.0");
            count(&mut clients, "sordino 1.0");
            count(&mut clients, &format!("another {round}"));
        }
        assert_eq!(clients.get("sordino 1.0"), Some(&100));
        assert!(clients.len() <= MOST_CLIENTS + 1, "{clients:?}");
        assert_eq!(clients.values().sum::<u64>(), 250, "every check-in is counted");
        count(&mut clients, "\u{7}\n");
        assert!(clients.keys().all(|name| !name.is_empty()));
    }
}
