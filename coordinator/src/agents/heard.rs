//! What agents said in one go, sorted: what is to be stored, what the driver is to know, what is only shown.
//!
//! Flows in: events of sessions in order. Flows out: [`HostNews`] by host, inputs in order. Must never take a host's
//! name from a message: it is the one its session belongs to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use prost::Message;
use redeploy_proto::{RedeployId, v1};

use crate::deployment::Report;
use crate::driver::{Input, wire};
use crate::ids::HostId;
use crate::sessions::{Event, Said};
use crate::store::{HostNews, LocalReport, NewEvent};
use crate::views::Views;

/// What was said.
#[derive(Debug, Default)]
pub struct Heard {
    /// To be stored, before the inputs are taken.
    pub news: BTreeMap<HostId, HostNews>,
    /// In the order in which they were said, each with its host.
    pub inputs: Vec<(HostId, Input)>,
}

impl Heard {
    /// Sorts one event in.
    pub fn take(&mut self, event: Event, views: &Views) {
        match event {
            Event::Connected { host, session, address, hello, open } => {
                self.connected(&host, address, &hello);
                views.connected(host.clone(), session.0);
                // Whether one has ended does not matter here: its report comes by itself.
                let open = open.into_iter().map(|(id, _)| id).collect();
                self.tell(Input::HostUp { host: host.clone(), session: session.0, open }, host);
            }
            Event::Said { host, said } => self.said(host, said, views),
            Event::Lost { host, session } => {
                views.disconnected(&host, session.0);
                if !views.is_connected(&host) {
                    self.happened(&host, "host.lost");
                }
                self.tell(Input::HostDown { host: host.clone(), session: session.0 }, host);
            }
        }
    }

    fn connected(&mut self, host: &HostId, address: Option<SocketAddr>, hello: &v1::Hello) {
        self.happened(host, "host.connected");
        let news = self.news(host);
        news.address = address.map(|address| address.to_string()).or(news.address.take());
        news.facts = hello.facts.as_ref().map(Message::encode_to_vec).or(news.facts.take());
        if let Some(inventory) = &hello.inventory {
            self.inventory(host, inventory);
        }
    }

    fn said(&mut self, host: HostId, said: Said, views: &Views) {
        match said {
            Said::Heartbeat(facts) => self.news(&host).facts = Some(facts.encode_to_vec()),
            Said::Inventory(inventory) => self.inventory(&host, &inventory),
            Said::Accepted(id) => {
                self.tell(Input::Word { host: host.clone(), id, report: Report::AtWork, raw: None }, host);
            }
            Said::Progress(id, progress) => views.progress(id, progress),
            Said::Preflight(id, preflight) => {
                // A plan's has no deployment behind it.
                let Some(preflight) = views.questions.answered(&host, id, *preflight) else { return };
                let report = wire::preflight(&preflight);
                // The text of a plan is long, and a group may have thousands of nodes.
                views.preflight(id, v1::Preflight { plan_text: String::new(), ..preflight });
                self.tell(Input::Word { host: host.clone(), id, report, raw: None }, host);
            }
            Said::Report(id, told) => {
                let (report, raw) = (wire::report(&told), Some(told.encode_to_vec()));
                views.tally.report(id, &told);
                if told.is_local {
                    self.news(&host).local.push(local(id, &host, &told));
                }
                self.tell(Input::Word { host: host.clone(), id, report, raw }, host);
            }
        }
    }

    fn news(&mut self, host: &HostId) -> &mut HostNews {
        self.news.entry(host.clone()).or_default()
    }

    fn inventory(&mut self, host: &HostId, inventory: &v1::Inventory) {
        self.news(host).inventory = Some(inventory.containers.iter().map(wire::seen).collect());
    }

    fn happened(&mut self, host: &HostId, kind: &str) {
        let event = NewEvent {
            kind: kind.to_owned(),
            host: host.to_string(),
            by: "agent".to_owned(),
            ..NewEvent::default()
        };
        self.news(host).events.push(event);
    }

    fn tell(&mut self, input: Input, host: HostId) {
        self.inputs.push((host, input));
    }
}

/// What a command on a host did becomes an event, and the last redeploy of its node.
fn local(id: RedeployId, host: &HostId, report: &v1::Report) -> LocalReport {
    let event = NewEvent {
        kind: local_kind(report).to_owned(),
        host: host.to_string(),
        redeploy: id.to_string(),
        by: "agent".to_owned(),
        text: local_text(report),
        ..NewEvent::default()
    };
    let (container, ended_at) = (report.container.clone(), report.ended_at_ms);
    LocalReport { id, container, ended_at, raw: report.encode_to_vec(), event }
}

fn local_kind(report: &v1::Report) -> &'static str {
    match report.kind() {
        v1::RedeployKind::Revert => "node.local_revert",
        v1::RedeployKind::Redeploy | v1::RedeployKind::Unspecified => "node.local_redeploy",
    }
}

/// For people: what a command on a host did.
fn local_text(report: &v1::Report) -> String {
    let failure = report.failure.clone().unwrap_or_default();
    let how = match report.verdict() {
        v1::Verdict::Done => "done".to_owned(),
        v1::Verdict::DoneUntidy => "done, and not tidied up yet".to_owned(),
        v1::Verdict::Undone => format!("failed and was undone: {}", failure.reason),
        v1::Verdict::Stuck => {
            format!("is stuck, a human is needed: {}; its undo: {}", failure.reason, failure.stuck)
        }
        v1::Verdict::Refused => format!("refused: {}", report.refusals.join("; ")),
        v1::Verdict::Unspecified => "ended, and its report does not say how".to_owned(),
    };
    let (container, from, to) = (&report.container, &report.from_image, &report.to_image);
    format!("{container}: a command on its host, from {from} to {to}: {how}")
}
