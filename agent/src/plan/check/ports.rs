//! Host ports of a container that does not run: somebody else may have taken them. Pure.

use super::Refusal;
use crate::docker::Container;
use crate::observe::Observed;

/// Somebody else may hold a port of a container that does not run at the moment.
pub(super) fn check_ports(observed: &Observed) -> Vec<Refusal> {
    if observed.container.is_alive() {
        return Vec::new();
    }
    let wanted = published(&observed.container);
    let others = observed.containers.iter().filter(|other| other.id() != observed.container.id());
    let mut refusals = Vec::new();
    for other in others.filter(|other| other.is_alive()) {
        for port in published(other) {
            if let Some(wanted) = wanted.iter().find(|wanted| clash(wanted, &port)) {
                let holder = other.name().to_owned();
                refusals.push(Refusal::PortTaken {
                    port: format!("{}/{}", wanted.port, wanted.protocol),
                    holder,
                });
            }
        }
    }
    refusals
}

/// A fixed host port.
struct Published {
    ip: String,
    port: String,
    protocol: String,
}

fn published(container: &Container) -> Vec<Published> {
    let mut ports = Vec::new();
    let bindings = container.raw()["HostConfig"]["PortBindings"].as_object();
    for (target, hosts) in bindings.into_iter().flatten() {
        let protocol = target.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        for host in hosts.as_array().into_iter().flatten() {
            let text = |field: &str| host[field].as_str().unwrap_or("").to_owned();
            let port = text("HostPort");
            if !port.is_empty() && port != "0" && !port.contains('-') {
                ports.push(Published { ip: text("HostIp"), port, protocol: protocol.to_owned() });
            }
        }
    }
    ports
}

fn clash(a: &Published, b: &Published) -> bool {
    let any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
    a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || any(&a.ip) || any(&b.ip))
}
