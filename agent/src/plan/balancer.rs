//! How a node leaves its load balancer and comes back, fixed before the first step. Pure.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::balancer::{Health, Labels, Seen, ServerName};
use crate::config::Config;
use crate::docker::Container;

/// How a node leaves its load balancer and comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalancerPlan {
    /// Where the balancer takes orders.
    pub socket: String,
    /// The server that stands for the node.
    pub server: ServerName,
    /// Did it serve? One that somebody took out stays out.
    pub admitted: bool,
    /// Was it well? Only then must it be well again after an undo.
    pub was_up: bool,
    /// Does the balancer check it?
    pub checked: bool,
    /// Where the balancer looked for it, if that is an address.
    pub address: Option<IpAddr>,
    /// The container's network in which it has that address; `None` if it is not the container's own (a published port):
    /// then it does not change.
    pub network: Option<String>,
    /// Sessions have this long to end, in milliseconds.
    pub drain_ms: u64,
    /// The balancer has this long to call it up, in milliseconds.
    pub up_ms: u64,
}

impl BalancerPlan {
    /// How long sessions have to end.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// How long the balancer has to call it up.
    #[must_use]
    pub fn up_timeout(&self) -> Duration {
        Duration::from_millis(self.up_ms)
    }

    /// What a person types to put the server back.
    #[must_use]
    pub fn by_hand(&self) -> String {
        let to = match self.socket.strip_prefix("tcp://") {
            Some(address) => format!("TCP:{address}"),
            None => format!("UNIX-CONNECT:'{}'", self.socket),
        };
        format!("echo 'set server {} state ready' | socat STDIO {to}", self.server)
    }
}

/// Looks into a container's networks.
#[derive(Debug, Clone, Copy)]
pub struct NetworkOf<'a>(pub &'a Container);

impl NetworkOf<'_> {
    /// Its address in a network.
    #[must_use]
    pub fn address(self, network: &str, like: Option<IpAddr>) -> Option<IpAddr> {
        let endpoint = &self.0.raw()["NetworkSettings"]["Networks"][network];
        let field = if like.is_some_and(|like| like.is_ipv6()) { "GlobalIPv6Address" } else { "IPAddress" };
        endpoint[field].as_str()?.parse().ok()
    }

    /// The network in which it has this address.
    fn with(self, address: Option<IpAddr>) -> Option<String> {
        let address = address?;
        let networks = self.0.raw()["NetworkSettings"]["Networks"].as_object()?;
        networks.keys().find(|name| self.address(name, Some(address)) == Some(address)).cloned()
    }
}

/// What the balancer's rules look at.
#[must_use]
pub fn labels_of(container: &Container) -> Labels<'_> {
    let label = |name: &str| container.label(name).unwrap_or_default();
    Labels {
        name: container.name(),
        env: label("io.redeploy.env"),
        group: label("io.redeploy.group"),
        node_id: label("io.redeploy.node"),
    }
}

/// From what the balancer says to the plan, and what the operator should know.
#[must_use]
pub fn make_balancer(
    config: &Config,
    server: ServerName,
    seen: &Seen,
    container: &Container,
) -> (BalancerPlan, Option<String>) {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let warning = match (seen.admitted, seen.checked) {
        (false, _) => Some(format!(
            "server {server} is out of service at the balancer ({}) by somebody's order, and stays so",
            seen.words
        )),
        (true, false) => Some(format!(
            "the balancer does not check server {server}: it serves as soon as it is verified here"
        )),
        (true, true) => None,
    };
    let plan = BalancerPlan {
        socket: config.balancer_socket.clone(),
        server,
        admitted: seen.admitted,
        was_up: seen.health == Health::Up,
        checked: seen.checked,
        address: seen.address,
        network: NetworkOf(container).with(seen.address),
        drain_ms: ms(config.drain_timeout),
        up_ms: ms(config.up_timeout),
    };
    (plan, warning)
}
