//! What agents said in one go, sorted: what is to be stored, what the driver is to know, what is only shown.
//!
//! Flows in: events of sessions in order. Flows out: [`HostNews`] by host, inputs in order. Must never take a host's
//! name from a message: it is the one its session belongs to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use prost::Message;
use redeploy_proto::v1;

use super::local::Local;
use crate::deployment::Report;
use crate::driver::{Input, wire};
use crate::ids::HostId;
use crate::sessions::{Event, Said};
use crate::store::{HostNews, NewEvent};
use crate::views::{Containers, Views};

/// What was said.
#[derive(Debug, Default)]
pub struct Heard {
    /// To be stored, before the inputs are taken.
    pub news: BTreeMap<HostId, HostNews>,
    /// What commands on hosts did; to be stored as well.
    pub locals: Vec<Local>,
    /// In the order in which they were said, each with its host.
    pub inputs: Vec<(HostId, Input)>,
}

impl Heard {
    /// Sorts one event in.
    pub fn take(&mut self, event: Event, views: &Views) {
        match event {
            Event::Connected { host, session, address, hello, open } => {
                self.connected(&host, address, &hello, views);
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

    fn connected(&mut self, host: &HostId, address: Option<SocketAddr>, hello: &v1::Hello, views: &Views) {
        self.happened(host, "host.connected");
        let news = self.news(host);
        news.address = address.map(|address| address.to_string()).or(news.address.take());
        news.facts = hello.facts.as_ref().map(Message::encode_to_vec).or(news.facts.take());
        if let Some(inventory) = &hello.inventory {
            self.inventory(host, inventory, views);
        }
    }

    fn said(&mut self, host: HostId, said: Said, views: &Views) {
        match said {
            Said::Heartbeat(facts) => self.news(&host).facts = Some(facts.encode_to_vec()),
            Said::Inventory(inventory) => self.inventory(&host, &inventory, views),
            Said::Accepted(id) => {
                self.tell(Input::Word { host: host.clone(), id, report: Report::AtWork, raw: None }, host);
            }
            Said::Progress(id, progress) => views.progress(&host, id, progress),
            Said::Preflight(id, preflight) => {
                let Some(preflight) = views.questions.answered(&host, id, *preflight) else { return };
                let report = wire::preflight(&preflight);
                // The text of a plan is long, and a group may have thousands of nodes.
                views.preflight(&host, id, v1::Preflight { plan_text: String::new(), ..preflight });
                self.tell(Input::Word { host: host.clone(), id, report, raw: None }, host);
            }
            Said::Report(id, told) => {
                let (report, raw) = (wire::report(&told), Some(told.encode_to_vec()));
                views.tally.report(id, &told);
                if told.is_local {
                    self.locals.push(Local { host: host.clone(), id, report: told });
                }
                self.tell(Input::Word { host: host.clone(), id, report, raw }, host);
            }
        }
    }

    fn news(&mut self, host: &HostId) -> &mut HostNews {
        self.news.entry(host.clone()).or_default()
    }

    fn inventory(&mut self, host: &HostId, inventory: &v1::Inventory, views: &Views) {
        let names = inventory.containers.iter().map(|found| found.name.clone()).collect();
        views.containers(host, Containers { names, are_more: inventory.is_cut_short });
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
