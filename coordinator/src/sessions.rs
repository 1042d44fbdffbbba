//! The agents' side of the coordinator: enrolment, and one session per host over mutual TLS.
//!
//! ```text
//!                    ┌ enrolment: token + key ▸ host id, certificate
//!  agents ──▶ listen ┤
//!   (TLS)    (peer)  └ session: Hello ▸ registry ──▶ events: Connected, Report, …  (bounded channel) ──▶ driver
//!                                          ▲
//!                                          └──────── send, cut ◀───────────────────────────────────────  driver
//! ```
//!
//! Flows in: connections of strangers, orders of the driver. Flows out: what agents said, each under the host its
//! certificate names; messages to agents. Must never store anything, decide anything about a deployment, or take a
//! host's name from a message. An order given to [`Sessions::send`] is gone if the session ends: the driver gives it
//! again when the host is [`Event::Connected`] again.

mod book;
mod enrol;
mod event;
mod line;
mod listen;
mod reader;
mod registry;
mod service;
mod stream;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use book::{HostBook, Joined, Joining, Standing};
pub use event::{Event, Said, SessionNumber};
pub use listen::{ListenError, Listening, listen};
pub use registry::NotSent;

/// For the simulation, which has sessions without sockets.
#[cfg(test)]
pub(crate) use self::{
    event::{hello, said},
    line::Line,
    registry::Registered,
};
use crate::bucket::Buckets;
pub use crate::bucket::Rate;
pub use crate::door::Strangers;

use crate::ids::HostId;
use crate::pki::Authority;
use redeploy_proto::v1::coordinator_message::Message;
pub(crate) use registry::Registry;

/// Containers of one host, unless set otherwise; so many of its orders can be at work.
pub(crate) const CONTAINERS_MAX: u32 = 1000;

/// Limits and times of sessions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often an agent sends a heartbeat.
    pub heartbeat: Duration,
    /// How long a session may be silent before it counts as lost.
    pub grace: Duration,
    /// How long a stranger may take for a handshake, and an agent for its Hello.
    pub patience: Duration,
    /// Containers in one inventory.
    pub inventory_max: u32,
    /// Connections at once.
    pub connections_max: usize,
    /// Handshakes at once.
    pub handshakes_max: usize,
    /// Connections without a certificate: hosts that join.
    pub strangers: Strangers,
    /// How often one host may begin a session.
    pub hellos: Rate,
    /// How often one host may say something in a session. Whoever says more is read more slowly.
    pub words: Rate,
    /// Refused joins of one address that are noted one by one. More of them are only told to wait.
    pub refused: Rate,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            grace: Duration::from_secs(35),
            patience: Duration::from_secs(10),
            inventory_max: CONTAINERS_MAX,
            connections_max: 20_000,
            handshakes_max: 256,
            strangers: Strangers { max: 512, stay: Duration::from_secs(60) },
            hellos: Rate { per_second: 1, burst: 20 },
            words: Rate { per_second: 50, burst: 500 },
            refused: Rate { per_second: 1, burst: 20 },
        }
    }
}

/// Events wait here for the driver; when it is full, agents wait.
const EVENTS_MAX: usize = 1024;

/// All sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
}

struct Shared {
    authority: Authority,
    book: Arc<dyn HostBook>,
    settings: Settings,
    registry: Registry,
    hellos: Buckets<HostId>,
    refused: Buckets<IpAddr>,
    events: mpsc::Sender<Event>,
}

impl Sessions {
    /// No session yet. What agents say comes out of the receiver; who drops it ends every session.
    #[must_use]
    pub fn new(
        authority: Authority,
        book: Arc<dyn HostBook>,
        settings: Settings,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let (hellos, refused) = (Buckets::new(settings.hellos), Buckets::new(settings.refused));
        let shared =
            Shared { authority, book, settings, registry: Registry::default(), hellos, refused, events };
        (Self { shared: Arc::new(shared) }, receiver)
    }

    /// The certificate authority, which also makes join tokens.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    /// Gives a message to this session of a host. Does not wait: a session whose queue is full is too slow, and is ended, so
    /// that its agent comes again and is told again.
    ///
    /// # Errors
    /// [`NotSent`]: the session is over.
    pub fn send(&self, host: &HostId, session: SessionNumber, message: Message) -> Result<(), NotSent> {
        self.shared.registry.send(host, session, message)
    }

    /// Ends a host's session at once. Revoke it in the book first, or it comes again.
    pub fn cut(&self, host: &HostId) {
        self.shared.registry.cut(host);
    }

    /// Ends a host's session because something it said was lost: it dials again and says everything again.
    pub fn end(&self, host: &HostId) {
        self.shared.registry.end(host);
    }

    /// How many hosts have a session.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.shared.registry.len()
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("connected", &self.connected()).finish_non_exhaustive()
    }
}
