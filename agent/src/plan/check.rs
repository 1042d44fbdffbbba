//! What speaks against a plan: small checks over facts, all of them run, all answers given at once. Pure.

use super::{Incoming, Into, Plan, Source, carried};
use crate::docker::{Container, MountKind, RunState};
use crate::guest_path::GuestPath;
use crate::observe::Observed;
use crate::recreate;

/// Storage drivers whose mounted roots we can open and whose files keep the change time rule.
const DRIVERS: [&str; 4] = ["overlay2", "fuse-overlayfs", "overlayfs", "overlay"];

/// Why nothing will be done. Every one says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The agent would remove its own ground.
    #[error("container {0} is the one this agent runs in: redeploy it from the host")]
    Ourselves(String),
    /// Frozen processes cannot be stopped cleanly.
    #[error("container {0} is paused: `docker unpause {0}` first")]
    Paused(String),
    /// It is going away.
    #[error("container {0} is being removed or is dead: create it anew")]
    GoingAway(String),
    /// One at a time.
    #[error("container {node} has an unfinished redeploy {id}: `redeploy-agent recover` ends it")]
    Unfinished {
        /// The container.
        node: String,
        /// The redeploy.
        id: String,
    },
    /// The preserve list is there, but cannot be read.
    #[error("the preserve list of {node} cannot be read, so what must be kept is unknown: {detail}")]
    PreserveList {
        /// The container.
        node: String,
        /// Why.
        detail: String,
    },
    /// Stopping it would delete it, and it could not be made anew.
    #[error(
        "container {node} was started with --rm: the engine deletes it when it stops, and there would be no way back, \
         because {reason}. Create it without --rm"
    )]
    AutoRemove {
        /// The container.
        node: String,
        /// Why it could not be made anew.
        reason: &'static str,
    },
    /// Others lean on one of its dependents in turn.
    #[error(
        "container {dependent} depends on {node}, and {others} on it in turn: stop and remove those first, and create \
         them anew after the redeploy"
    )]
    Chain {
        /// The container.
        node: String,
        /// What leans on it.
        dependent: String,
        /// What leans on that.
        others: String,
    },
    /// A dependent that cannot be carried along.
    #[error("container {dependent} depends on {node} and cannot be made anew with it: {reason}")]
    Dependent {
        /// The container.
        node: String,
        /// What leans on it.
        dependent: String,
        /// Why not.
        reason: String,
    },
    /// A root that cannot be opened the way we do.
    #[error(
        "the engine's storage driver {0} is not supported: overlay2, fuse-overlayfs or the containerd store are"
    )]
    StorageDriver(String),
    /// Not a Linux engine.
    #[error("the engine runs {0} containers: only linux is supported")]
    NotLinux(String),
    /// Not enough room.
    #[error(
        "not enough disk space in {place}: {needed} bytes may be needed and {headroom} must stay free, {free} are free"
    )]
    DiskSpace {
        /// Which disk.
        place: &'static str,
        /// At most this much is written.
        needed: u64,
        /// Must stay free.
        headroom: u64,
        /// Free now.
        free: u64,
    },
    /// A host port that somebody else has.
    #[error(
        "host port {port} is published by running container {holder} too: the new container could not start"
    )]
    PortTaken {
        /// Port and protocol.
        port: String,
        /// Who has it.
        holder: String,
    },
    /// A name we need is in use.
    #[error("container name {0} is needed and taken: rename or remove that container")]
    NameTaken(String),
    /// Kept data would lie unseen beneath a mount.
    #[error(
        "{path} is to be kept, but the new container has a volume at {target} over it, which would hide it: \
         mount a volume there yourself, or take the path off the preserve list"
    )]
    Hidden {
        /// What is to be kept.
        path: String,
        /// Where the volume is.
        target: String,
    },
    /// It is somebody's way back.
    #[error("container {0} is parked by a redeploy: name the container that serves, or revert it")]
    Parked(String),
    /// Two volumes in one place is none of our making, but `docker create` would refuse.
    #[error("container {node} mounts {target} twice: give it one mount there")]
    MountTwice {
        /// The container.
        node: String,
        /// The place.
        target: String,
    },
}

/// Everything that speaks against carrying this plan out.
#[must_use]
pub fn check(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    [
        check_engine(observed),
        check_container(plan, observed),
        check_dependents(plan, observed),
        check_ports(observed),
        check_names(plan, observed),
        check_mounts(plan, observed),
        check_hidden(plan, observed),
        check_space(plan),
    ]
    .concat()
}

fn check_engine(observed: &Observed) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if observed.engine.os != "linux" {
        refusals.push(Refusal::NotLinux(observed.engine.os.clone()));
    }
    if !DRIVERS.contains(&observed.engine.storage_driver.as_str()) {
        refusals.push(Refusal::StorageDriver(observed.engine.storage_driver.clone()));
    }
    refusals
}

fn check_container(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    let node = || plan.node.clone();
    let mut refusals = Vec::new();
    if observed.is_ourselves {
        refusals.push(Refusal::Ourselves(node()));
    }
    if observed.is_parked {
        refusals.push(Refusal::Parked(node()));
    }
    refusals.extend(check_state(&plan.node, &observed.container));
    refusals.extend(check_auto_remove(plan, &observed.container));
    if let Some(id) = observed.unfinished {
        refusals.push(Refusal::Unfinished { node: node(), id: id.to_string() });
    }
    if let Some(detail) = observed.inside.unreadable.clone() {
        refusals.push(Refusal::PreserveList { node: node(), detail });
    }
    refusals
}

fn check_state(name: &str, container: &Container) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    match container.state() {
        RunState::Paused => refusals.push(Refusal::Paused(name.to_owned())),
        RunState::Removing | RunState::Dead => refusals.push(Refusal::GoingAway(name.to_owned())),
        RunState::Created | RunState::Running | RunState::Restarting | RunState::Exited => {}
    }
    refusals
}

/// One that the engine deletes when it stops can be made anew, but under another id and only from its own image.
fn check_auto_remove(plan: &Plan, container: &Container) -> Vec<Refusal> {
    let reason = match &plan.outgoing {
        _ if !container.auto_remove() => return Vec::new(),
        old if old.stand_in.is_none() => "its image is no longer on this host",
        _ if !plan.dependents.is_empty() => "other containers lean on it by its id",
        old if old.removes_itself && !container.has_plain_stop_signal() => {
            "its stop signal cannot be sent but by the engine"
        }
        _ => return Vec::new(),
    };
    vec![Refusal::AutoRemove { node: plan.node.clone(), reason }]
}

/// A dependent is made anew like the container itself, so the same speaks against it.
fn check_dependents(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for dependent in &plan.dependents {
        let found = observed.containers.iter().find(|container| container.id() == dependent.outgoing.id);
        let Some(container) = found else { continue };
        let because = |reason: &Refusal| Refusal::Dependent {
            node: plan.node.clone(),
            dependent: dependent.node.clone(),
            reason: reason.to_string(),
        };
        refusals.extend(check_state(&dependent.node, container).iter().map(because));
        if container.auto_remove() {
            let reason = "it leans on another container";
            refusals.push(because(&Refusal::AutoRemove { node: dependent.node.clone(), reason }));
        }
        let chain = carried(recreate::dependents(container, &observed.containers));
        if !chain.is_empty() {
            let others: Vec<String> = chain.iter().map(ToString::to_string).collect();
            refusals.push(Refusal::Chain {
                node: plan.node.clone(),
                dependent: dependent.node.clone(),
                others: others.join(", "),
            });
        }
    }
    refusals
}

/// Somebody else may hold a port of a container that does not run at the moment.
fn check_ports(observed: &Observed) -> Vec<Refusal> {
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

fn check_names(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    let mut needed = Vec::new();
    for plan in std::iter::once(plan).chain(&plan.dependents) {
        needed.push(plan.outgoing.parked_name.as_str());
        match &plan.incoming {
            Incoming::New(new) => needed.push(&new.temporary_name),
            Incoming::Parked { .. } => {}
        }
    }
    let taken = |name: &&str| observed.containers.iter().any(|container| container.name() == *name);
    needed.into_iter().filter(taken).map(|name| Refusal::NameTaken(name.to_owned())).collect()
}

fn check_mounts(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    let mut seen = Vec::new();
    let mut refusals = Vec::new();
    for mount in observed.container.mounts().into_iter().filter(|mount| mount.kind != MountKind::Tmpfs) {
        if seen.contains(&mount.target) {
            refusals.push(Refusal::MountTwice { node: plan.node.clone(), target: mount.target.clone() });
        }
        seen.push(mount.target);
    }
    refusals
}

/// A volume that only the new image declares, or that replaces one given up, covers what was put at its place.
fn check_hidden(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    let Incoming::New(new) = &plan.incoming else { return Vec::new() };
    let staying: Vec<GuestPath> = match new.fresh_volumes.is_empty() {
        true => observed
            .container
            .mounts()
            .iter()
            .filter_map(|mount| GuestPath::new(&mount.target).ok())
            .collect(),
        false => Vec::new(),
    };
    let new_targets = new.volume_targets.iter().filter(|target| !staying.contains(target));
    let mut refusals = Vec::new();
    for target in new_targets {
        let kept =
            plan.archives.iter().filter(|archive| archive.source == Source::Root { into: Into::Replace });
        let hidden =
            kept.flat_map(|archive| &archive.selection.include).filter(|path| path.is_within(target));
        refusals.extend(
            hidden.map(|path| Refusal::Hidden { path: path.to_string(), target: target.to_string() }),
        );
    }
    refusals
}

/// Archives are counted uncompressed, and with what an undo is expected to set aside: a refusal too many is better than
/// a disk that fills up half way.
fn check_space(plan: &Plan) -> Vec<Refusal> {
    let space = &plan.space;
    let short = |place, needed: u64, free: u64| {
        let enough = needed.saturating_add(space.headroom) <= free;
        (!enough && needed > 0).then_some(Refusal::DiskSpace {
            place,
            needed,
            headroom: space.headroom,
            free,
        })
    };
    let mut refusals = Vec::new();
    let ours = space.needed_with(space.to_set_aside);
    if space.same_disk {
        refusals.extend(short(
            "the data directory (and the engine's, on the same disk)",
            ours,
            space.data_dir_free,
        ));
    } else {
        refusals.extend(short("the data directory", ours, space.data_dir_free));
        refusals.extend(short(
            "the engine's directory",
            space.needed_by_engine(),
            space.engine_free.unwrap_or(u64::MAX),
        ));
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Space;
    use serde_json::json;

    #[test]
    fn the_copy_that_a_stand_in_needs_is_refused_with_figures_where_there_is_no_room_for_it() {
        let text = include_str!("../../tests/fixtures/plan-v1/redeploy.json");
        let mut plan: Plan = serde_json::from_str(text).unwrap();
        let roomy = Space { data_dir_free: 10_000, engine_free: Some(10_000), ..Space::default() };
        plan.space = Space { to_copy: 5000, headroom: 100, ..roomy };
        assert_eq!(check_space(&plan), []);
        plan.space.engine_free = Some(5099);
        let (needed, headroom) = (5000, 100);
        let refusal = Refusal::DiskSpace { place: "the engine's directory", needed, headroom, free: 5099 };
        assert_eq!(check_space(&plan), [refusal]);
        plan.space = Space { data_dir_free: 5099, engine_free: Some(10_000), ..plan.space };
        let refusal = Refusal::DiskSpace { place: "the data directory", needed, headroom, free: 5099 };
        assert_eq!(check_space(&plan), [refusal]);
        plan.space = Space { data_dir_free: 10_099, same_disk: true, ..plan.space };
        assert!(matches!(check_space(&plan)[..], [Refusal::DiskSpace { needed: 10_000, free: 10_099, .. }]));
    }

    /// No engine can be brought to stay in these states for a test.
    #[test]
    fn a_container_that_is_being_removed_or_is_dead_is_refused() {
        for (status, refused) in [("removing", true), ("dead", true), ("exited", false), ("running", false)] {
            let container = Container::new(json!({ "State": { "Status": status } }));
            let wanted = if refused { vec![Refusal::GoingAway("web".to_owned())] } else { Vec::new() };
            assert_eq!(check_state("web", &container), wanted, "{status}");
        }
    }
}
