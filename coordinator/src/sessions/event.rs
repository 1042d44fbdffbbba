//! What agents say, under the host whose certificate said it, with ids that are well formed.
//!
//! Must never hold a message whose id could not be read: that ends the session instead.

use std::net::SocketAddr;

use redeploy_proto::{InvalidRedeployId, RedeployId, v1};

use crate::ids::HostId;

/// Counts sessions since the coordinator started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(pub u64);

/// Something that happened to a session. Per host, events come in order: `Connected`, then `Said`, then `Lost`.
#[derive(Debug)]
pub enum Event {
    /// A host has a new session. One it had before is over without a `Lost` of its own.
    Connected {
        /// Whose.
        host: HostId,
        /// Which.
        session: SessionNumber,
        /// Where it comes from.
        address: Option<SocketAddr>,
        /// What it said first: facts, inventory.
        hello: Box<v1::Hello>,
        /// Every order it knows of; `true`: it has ended, and its report will come.
        open: Vec<(RedeployId, bool)>,
    },
    /// It said something.
    Said {
        /// Who.
        host: HostId,
        /// What.
        said: Said,
    },
    /// It has no session any more.
    Lost {
        /// Who.
        host: HostId,
        /// Which session ended.
        session: SessionNumber,
    },
}

/// What an agent says.
#[derive(Debug)]
pub enum Said {
    /// It is there.
    Heartbeat(Box<v1::HostFacts>),
    /// What it has, completely.
    Inventory(v1::Inventory),
    /// An order is written down on the host.
    Accepted(RedeployId),
    /// Where a redeploy stands.
    Progress(RedeployId, v1::Progress),
    /// A preflight's outcome.
    Preflight(RedeployId, Box<v1::Preflight>),
    /// How a redeploy ended. Acknowledge it (`ReportAck`) when it is stored.
    Report(RedeployId, Box<v1::Report>),
}

/// The agent broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// It holds nothing this version knows.
    #[error("a message is empty or of a newer protocol than was agreed on")]
    Empty,
    /// Hello comes first, and once.
    #[error("Hello comes once, and before everything else")]
    Hello,
    /// Something that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An id is none.
    #[error(transparent)]
    Id(#[from] InvalidRedeployId),
    /// There is too much of it.
    #[error("{what} holds more than {max} entries")]
    TooMany {
        /// What.
        what: &'static str,
        /// The limit.
        max: u32,
    },
}

/// Orders one host may have open; each node has one at a time.
const OPEN_MAX: u32 = 10_000;

/// A Hello, and the orders it names.
pub(crate) type Opening = (Box<v1::Hello>, Vec<(RedeployId, bool)>);

/// Takes a Hello apart.
pub(crate) fn hello(message: v1::AgentMessage, inventory_max: u32) -> Result<Opening, Broken> {
    let Some(v1::agent_message::Message::Hello(hello)) = message.message else { return Err(Broken::Hello) };
    if hello.facts.is_none() {
        return Err(Broken::Missing("Hello.facts"));
    }
    let inventory = hello.inventory.as_ref().ok_or(Broken::Missing("Hello.inventory"))?;
    limit("Inventory", inventory.containers.len(), inventory_max)?;
    limit("Hello.open", hello.open.len(), OPEN_MAX)?;
    let open: Result<Vec<_>, InvalidRedeployId> =
        hello.open.iter().map(|open| Ok((open.redeploy_id.parse()?, open.has_ended))).collect();
    Ok((Box::new(hello), open?))
}

/// Takes any later message apart.
pub(crate) fn said(message: v1::AgentMessage, inventory_max: u32) -> Result<Said, Broken> {
    use v1::agent_message::Message;
    Ok(match message.message.ok_or(Broken::Empty)? {
        Message::Hello(_) => return Err(Broken::Hello),
        Message::Heartbeat(beat) => {
            Said::Heartbeat(Box::new(beat.facts.ok_or(Broken::Missing("Heartbeat.facts"))?))
        }
        Message::Inventory(inventory) => {
            limit("Inventory", inventory.containers.len(), inventory_max)?;
            Said::Inventory(inventory)
        }
        Message::Accepted(accepted) => Said::Accepted(accepted.redeploy_id.parse()?),
        Message::Progress(progress) => Said::Progress(progress.redeploy_id.parse()?, progress),
        Message::Preflight(result) => {
            let preflight = result.preflight.ok_or(Broken::Missing("PreflightResult.preflight"))?;
            Said::Preflight(result.redeploy_id.parse()?, Box::new(preflight))
        }
        Message::Report(report) => Said::Report(report.redeploy_id.parse()?, Box::new(report)),
    })
}

fn limit(what: &'static str, count: usize, max: u32) -> Result<(), Broken> {
    if u32::try_from(count).is_ok_and(|count| count <= max) {
        Ok(())
    } else {
        Err(Broken::TooMany { what, max })
    }
}
