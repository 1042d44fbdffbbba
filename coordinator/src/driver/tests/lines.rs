//! Sessions without sockets: the real registry, the real parsing of what agents say, the real sorting of it. Only what
//! lies between, the network, is simulated.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use redeploy_proto::v1::CoordinatorMessage;
use redeploy_proto::v1::coordinator_message::Message;
use redeploy_proto::{RedeployId, v1};
use tonic::Status;

use crate::agents::Heard;
use crate::driver::{Input, Link, Order, SessionId, wire};
use crate::ids::HostId;
use crate::sessions::{self, Event, Registered, Registry, SessionNumber};
use crate::views::Views;

/// More than any agent of a simulation has.
const CONTAINERS_MAX: u32 = 10;

/// An agent's end of a session.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: SessionNumber,
    line: sessions::Line,
}

impl Line {
    /// The coordinator ended it.
    pub(super) fn is_ended(&self) -> bool {
        self.line.is_ended()
    }

    /// What waits to be said to it.
    pub(super) fn take(&self) -> Vec<CoordinatorMessage> {
        std::iter::from_fn(|| self.line.take()).collect()
    }
}

/// All sessions of one life of the coordinator.
#[derive(Default)]
pub(super) struct Lines {
    registry: Registry,
    pub(super) views: Views,
    /// What agents said and nobody has sorted yet.
    events: Mutex<Vec<Event>>,
    /// Whom something was said to, or whose session was ended.
    told: Mutex<BTreeSet<HostId>>,
}

impl Lines {
    /// A host opens a session; an older one of it ends.
    pub(super) fn open(&self, host: &HostId, hello: v1::AgentMessage) -> Line {
        let (hello, open) = sessions::hello(hello, CONTAINERS_MAX).unwrap();
        let Registered { number, line } = self.registry.register(host);
        let (host, session) = (host.clone(), number);
        self.push(Event::Connected { host, session, address: None, hello, open });
        Line { number, line }
    }

    /// The coordinator notices that a session is over. If a newer one has taken over, nothing is lost.
    pub(super) fn close(&self, host: &HostId, number: SessionNumber) {
        if self.registry.forget(host, number, Status::cancelled("the network")) {
            self.push(Event::Lost { host: host.clone(), session: number });
        }
    }

    /// A host is revoked: cut off at once.
    pub(super) fn cut(&self, host: &HostId) {
        self.registry.cut(host);
        self.told.lock().unwrap().insert(host.clone());
    }

    /// An agent said something.
    pub(super) fn hear(&self, host: &HostId, message: v1::AgentMessage) {
        let said = sessions::said(message, CONTAINERS_MAX).unwrap();
        self.push(Event::Said { host: host.clone(), said });
    }

    fn push(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    /// What the driver is to know of everything that was said. Of a host in `unstored` the store did not take what it
    /// said, so it is lost and its session ends.
    pub(super) fn inputs(&self, mut unstored: impl FnMut(&HostId) -> bool) -> Vec<Input> {
        let mut heard = Heard::default();
        for event in std::mem::take(&mut *self.events.lock().unwrap()) {
            heard.take(event, &self.views);
        }
        let lost: HashMap<&HostId, bool> = heard.news.keys().map(|host| (host, unstored(host))).collect();
        for (host, _) in lost.iter().filter(|(_, lost)| **lost) {
            self.registry.end(host);
            self.told.lock().unwrap().insert((*host).clone());
        }
        let is_lost = |host: &HostId| lost.get(host).copied().unwrap_or(false);
        let kept =
            |(host, input): &(HostId, Input)| !is_lost(host) || matches!(input, Input::HostDown { .. });
        let inputs: Vec<bool> = heard.inputs.iter().map(kept).collect();
        heard.inputs.into_iter().zip(inputs).filter_map(|((_, input), kept)| kept.then_some(input)).collect()
    }

    /// Whom something was said to since it was asked last.
    pub(super) fn told(&self) -> BTreeSet<HostId> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn tell(&self, host: &HostId, session: SessionId, message: Message) {
        // As in `exchange`: what belongs to a session that is over is brought about again by the next one.
        let _over = self.registry.send(host, SessionNumber(session), message);
        self.told.lock().unwrap().insert(host.clone());
    }
}

impl Link for Lines {
    fn send(&self, host: &HostId, session: SessionId, order: Order) {
        self.tell(host, session, wire::message(order));
    }

    fn acknowledge(&self, host: &HostId, session: SessionId, id: RedeployId) {
        self.tell(host, session, Message::Ack(v1::ReportAck { redeploy_id: id.to_string() }));
    }
}
