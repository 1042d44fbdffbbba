//! What speaks against a plan: small checks over facts, all of them run, all answers given at once. Pure.

mod ports;

use super::{Incoming, Into, Plan, Probe, Refusal, Source, carried};
use crate::docker::{Container, MountKind, RunState};
use crate::guest_path::GuestPath;
use crate::observe::Observed;
use crate::recreate::{self, Dependent, DependentKind};
use ports::check_ports;

/// Storage drivers whose mounted roots we can open and whose files keep the change time rule.
const DRIVERS: [&str; 4] = ["overlay2", "fuse-overlayfs", "overlayfs", "overlay"];

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
        check_given_up(observed),
        check_borrowers(plan, observed),
        check_probe(plan, observed),
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

/// A volume that only the new image declares covers what was put at its place.
fn check_hidden(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    let Incoming::New(new) = &plan.incoming else { return Vec::new() };
    let mounts = observed.container.mounts();
    let has_mount =
        |target: &GuestPath| mounts.iter().any(|mount| mount.target.as_bytes() == target.as_bytes());
    let kept = plan.archives.iter().filter(|archive| archive.source == Source::Root { into: Into::Replace });
    let put: Vec<&GuestPath> = kept
        .flat_map(|archive| &archive.selection.include)
        .chain(plan.backups.iter().map(|backup| &backup.path))
        .collect();
    let mut refusals = Vec::new();
    for target in new.volume_targets.iter().filter(|target| !has_mount(target)) {
        let hidden = put.iter().filter(|path| path.is_within(target));
        refusals.extend(
            hidden.map(|path| Refusal::Hidden { path: path.to_string(), target: target.to_string() }),
        );
    }
    refusals
}

/// What is to be kept would go with the volume that it is in.
fn check_given_up(observed: &Observed) -> Vec<Refusal> {
    let given_up = observed.inside.given_up.iter();
    given_up
        .map(|lost| Refusal::GivenUp { path: lost.path.to_string(), target: lost.target.to_string() })
        .collect()
}

/// Others that mount its volumes would go on with those that it gives up. (With volumes that stay, they go on with the same
/// ones as it does.)
fn check_borrowers(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    if !plan.gives_up_volumes() {
        return Vec::new();
    }
    let all = &observed.containers;
    let is_alive = |id: &str| all.iter().any(|other| other.id() == id && other.is_alive());
    let borrows = |other: &Dependent| match other.kind {
        DependentKind::VolumesFrom => is_alive(&other.id),
        DependentKind::Network | DependentKind::Ipc | DependentKind::Pid | DependentKind::Link => false,
    };
    let borrowers = recreate::dependents(&observed.container, all).into_iter().filter(borrows);
    borrowers.map(|other| Refusal::Borrowed { node: plan.node.clone(), by: other.name }).collect()
}

/// A question to a container that nobody can reach is never answered.
fn check_probe(plan: &Plan, observed: &Observed) -> Vec<Refusal> {
    let asks_it = match &plan.verify.probe {
        Some(Probe::Http { host, .. } | Probe::Tcp { host, .. }) => host.is_empty(),
        None => false,
    };
    let is_unreachable = observed.container.raw()["HostConfig"]["NetworkMode"] == "none";
    if asks_it && is_unreachable { vec![Refusal::NothingToProbe(plan.node.clone())] } else { Vec::new() }
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
