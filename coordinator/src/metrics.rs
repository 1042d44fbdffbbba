//! What Prometheus is told. Counts live in this process and begin anew with it; everything that is stored is read when it is
//! asked for.
//!
//! Flows in: requests that were answered, reports that came, the store. Flows out: text. Must never use a name that strangers
//! or agents choose as a label: there are as many series as the program has words.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use redeploy_proto::{RedeployId, v1};

/// The form of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds of a step: from a rename to gigabytes.
const STEP_BUCKETS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// Seconds in which nothing serves.
const DOWN_BUCKETS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The steps that agents time; an agent's own word is no label.
const STEPS: [&str; 10] =
    ["create", "capture", "prefill", "stop", "settle", "put_data", "swap", "start", "verify", "retire"];

/// How many reports are remembered as counted. An agent says a report again until it is acknowledged, which takes moments.
const REMEMBERED: usize = 4096;

/// Counts since this process began.
#[derive(Debug)]
pub struct Tally {
    requests: Family<Requests, Counter>,
    redeploys: Family<Redeploys, Counter>,
    steps: Family<Steps, Histogram>,
    downtime: Family<Kind, Histogram>,
    counted: Mutex<Counted>,
}

/// What is counted at the moment of asking.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Deployments by phase, and how many.
    pub(crate) deployments: Vec<(String, i64)>,
    /// Nodes by state.
    pub(crate) nodes: Vec<(String, i64)>,
    /// Hosts by state.
    pub(crate) hosts: Vec<(String, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    route: String,
    protocol: &'static str,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Redeploys {
    kind: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Steps {
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: String,
}

#[derive(Debug, Default)]
struct Counted {
    ids: HashSet<RedeployId>,
    order: VecDeque<RedeployId>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            redeploys: Family::default(),
            steps: Family::new_with_constructor(|| Histogram::new(STEP_BUCKETS)),
            downtime: Family::new_with_constructor(|| Histogram::new(DOWN_BUCKETS)),
            counted: Mutex::default(),
        }
    }
}

impl Tally {
    /// A request was answered. `route` is one of the program's own.
    pub(crate) fn request(&self, route: &str, is_grpc: bool, status: StatusCode) {
        let class = match status.as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        let protocol = if is_grpc { "grpc" } else { "http" };
        self.requests.get_or_create(&Requests { route: route.to_owned(), protocol, class }).inc();
    }

    /// An agent's word on how a redeploy ended. The same redeploy counts once.
    pub(crate) fn report(&self, id: RedeployId, report: &v1::Report) {
        if !self.is_first(id) {
            return;
        }
        let kind = match report.kind() {
            v1::RedeployKind::Revert => "revert",
            v1::RedeployKind::Redeploy | v1::RedeployKind::Unspecified => "redeploy",
        };
        let verdict = match report.verdict() {
            v1::Verdict::Done => "done",
            v1::Verdict::DoneUntidy => "done_untidy",
            v1::Verdict::Undone => "undone",
            v1::Verdict::Stuck => "stuck",
            v1::Verdict::Refused => "refused",
            v1::Verdict::Unspecified => "unspecified",
        };
        self.redeploys.get_or_create(&Redeploys { kind, verdict }).inc();
        for took in &report.steps {
            let step = STEPS.into_iter().find(|step| *step == took.step).unwrap_or("other");
            if let Some(ms) = took.took_ms {
                self.steps.get_or_create(&Steps { step }).observe(seconds(ms));
            }
        }
        if let Some(ms) = report.downtime_ms {
            self.downtime.get_or_create(&Kind { kind }).observe(seconds(ms));
        }
    }

    fn is_first(&self, id: RedeployId) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if !counted.ids.insert(id) {
            return false;
        }
        counted.order.push_back(id);
        if counted.order.len() > REMEMBERED
            && let Some(oldest) = counted.order.pop_front()
        {
            counted.ids.remove(&oldest);
        }
        true
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn text(&self, census: &Census) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("redeploy");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        let deployments = Family::<Phase, Gauge>::default();
        for (phase, count) in &census.deployments {
            deployments.get_or_create(&Phase { phase: phase.clone() }).set(*count);
        }
        registry.register("deployments", "Stored deployments by phase", deployments);
        registry.register("nodes", "Nodes by the state of their container", by_state(&census.nodes));
        registry.register(
            "hosts",
            "Hosts by state; connected: its agent holds a session",
            by_state(&census.hosts),
        );
        registry.register("requests", "Requests on the operators' port", self.requests.clone());
        registry.register("redeploys", "Reports of agents by how it ended", self.redeploys.clone());
        let unit = || Unit::Seconds;
        registry.register_with_unit("step_duration", "What a step took", unit(), self.steps.clone());
        registry.register_with_unit("downtime", "How long nothing served", unit(), self.downtime.clone());
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn by_state(counts: &[(String, i64)]) -> Family<State, Gauge> {
    let family = Family::<State, Gauge>::default();
    for (state, count) in counts {
        family.get_or_create(&State { state: state.clone() }).set(*count);
    }
    family
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: &str, took_ms: u64) -> v1::Report {
        v1::Report {
            verdict: v1::Verdict::Done.into(),
            downtime_ms: Some(1500),
            steps: vec![v1::StepTime { step: step.into(), took_ms: Some(took_ms), undo_ms: None }],
            ..v1::Report::default()
        }
    }

    #[test]
    fn a_report_that_is_said_again_counts_once() {
        let tally = Tally::default();
        let id = RedeployId::generate();
        tally.report(id, &report("swap", 200));
        tally.report(id, &report("swap", 200));
        tally.report(RedeployId::generate(), &report("swap", 2000));
        let text = tally.text(&Census::default()).unwrap();
        assert!(text.contains("redeploy_step_duration_seconds_count{step=\"swap\"} 2"), "{text}");
        assert!(
            text.contains("redeploy_step_duration_seconds_bucket{le=\"0.25\",step=\"swap\"} 1"),
            "{text}"
        );
        assert!(text.contains("redeploy_downtime_seconds_sum{kind=\"redeploy\"} 3.0"), "{text}");
        assert!(text.contains("redeploy_redeploys_total{kind=\"redeploy\",verdict=\"done\"} 2"), "{text}");
        for _ in 0..REMEMBERED + 10 {
            tally.report(RedeployId::generate(), &report("swap", 1));
        }
        let counted = tally.counted.lock().unwrap();
        assert_eq!((counted.ids.len(), counted.order.len()), (REMEMBERED, REMEMBERED));
    }

    #[test]
    fn an_agent_cannot_make_series() {
        let tally = Tally::default();
        for step in ["a", "b\"} 1\n", "c"] {
            tally.report(RedeployId::generate(), &report(step, 1));
        }
        let text = tally.text(&Census::default()).unwrap();
        assert!(text.contains("redeploy_step_duration_seconds_count{step=\"other\"} 3"), "{text}");
    }
}
