//! The load balancer in front of a node: which server stands for the node, and the few orders a saga gives about it.
//!
//! Flows in: where the balancer listens, a server's name. Flows out: what the balancer says of that server. A second
//! kind of balancer is one more file beside `haproxy.rs` and one more line in [`connect`]. Must never decide when a node
//! leaves or comes back: that is `steps`.

mod haproxy;
mod names;

use std::net::IpAddr;

use async_trait::async_trait;

pub use haproxy::Haproxy;
pub use names::{InvalidServer, Labels, Rule, ServerName};

/// A balancer, as far as a saga needs one. Every order is idempotent and has a deadline of its own.
#[async_trait]
pub trait Balancer: Send + Sync {
    /// What the balancer says of a server now.
    async fn look(&self, server: &ServerName) -> Result<Seen, BalancerError>;
    /// No new sessions for this server; those it has go on.
    async fn drain(&self, server: &ServerName) -> Result<(), BalancerError>;
    /// The server may serve, as soon as the balancer's own checks say so.
    async fn ready(&self, server: &ServerName) -> Result<(), BalancerError>;
    /// Sessions go to this address from now on. The port stays.
    async fn set_address(&self, server: &ServerName, address: IpAddr) -> Result<(), BalancerError>;
    /// What the checks said of this server counts no more: it is down until they have found it anew.
    async fn distrust(&self, server: &ServerName) -> Result<(), BalancerError>;
}

/// What a balancer says of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Is it to serve, by order of whoever runs the balancer?
    pub admitted: bool,
    /// Where it is, if that is an address.
    pub address: Option<IpAddr>,
    /// Sessions it has now, and those that wait for it alone.
    pub sessions: u64,
    /// What the balancer's checks say.
    pub health: Health,
    /// Does the balancer check it by itself?
    pub checked: bool,
    /// The balancer's own words for all this.
    pub words: String,
}

/// What a balancer's checks say of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It is well, or never asked.
    Up,
    /// It is not.
    Down,
}

/// The balancer did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BalancerError {
    /// Nobody listens; nothing was sent.
    #[error(
        "the balancer at {socket} cannot be reached: {detail}. Is it running, and is its admin socket there?"
    )]
    Unreachable {
        /// Its socket.
        socket: String,
        /// Why.
        detail: String,
    },
    /// The connection broke, or the answer did not come in time. What was asked may have been done.
    #[error("the balancer at {socket} gave no whole answer to `{command}`: {detail}")]
    Broken {
        /// Its socket.
        socket: String,
        /// What was asked.
        command: String,
        /// What went wrong.
        detail: String,
    },
    /// It has no such server.
    #[error(
        "the balancer at {socket} has no server {server}: it says {answer:?}. Correct [balancer] in agent.toml, or the balancer"
    )]
    UnknownServer {
        /// Its socket.
        socket: String,
        /// The server.
        server: ServerName,
        /// Its words.
        answer: String,
    },
    /// It refused.
    #[error("the balancer at {socket} refused `{command}`: {answer:?}. Its socket must have `level admin`")]
    Refused {
        /// Its socket.
        socket: String,
        /// What was asked.
        command: String,
        /// Its words.
        answer: String,
    },
    /// An answer in a form that is not known.
    #[error("the balancer at {socket} answered `{command}` in a form that is not understood: {detail}")]
    Garbled {
        /// Its socket.
        socket: String,
        /// What was asked.
        command: String,
        /// What is odd.
        detail: String,
    },
    /// It never called the server up.
    #[error("server {server} was not up within {seconds} s: the balancer at {socket} says {words}")]
    NeverUp {
        /// Its socket.
        socket: String,
        /// The server.
        server: ServerName,
        /// The deadline.
        seconds: u64,
        /// Its words.
        words: String,
    },
    /// The container has no address in the network in which the balancer knew it.
    #[error(
        "container {container} has no address in network {network}, where the balancer looks for server {server}"
    )]
    NoAddress {
        /// The container.
        container: String,
        /// The network.
        network: String,
        /// The server.
        server: ServerName,
    },
}

impl BalancerError {
    /// May the same succeed a moment later, as when the balancer is reloaded?
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::UnknownServer { .. }
            | Self::Refused { .. }
            | Self::Garbled { .. }
            | Self::NeverUp { .. }
            | Self::NoAddress { .. } => false,
        }
    }
}

/// The balancer at a socket: an absolute path, or `tcp://ADDRESS:PORT`.
#[must_use]
pub fn connect(socket: &str) -> Box<dyn Balancer> {
    Box::new(Haproxy::new(socket))
}
