//! The plan of a revert: the parked container comes back, and the one that serves now is parked. Pure.

use jiff::Timestamp;
use redeploy_proto::RedeployId;

use super::archives::others_using;
use super::make::{outgoing, packing, verify_plan};
use super::remarks;
use super::{
    ArchivePlan, Incoming, MADE_LABEL, Names, NewContainer, PLAN_VERSION, Plan, PutData, REDEPLOY_LABEL,
    Refusal, RootFrom, Source, Space, is_stand_in,
};
use crate::archive::Manifest;
use crate::config::Config;
use crate::docker::{Container, MountKind};
use crate::observe::Observed;
use crate::saga::SagaKind;

/// What becomes of volume data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum VolumeData {
    /// Today's data stays.
    #[default]
    Keep,
    /// As it was when the redeploy captured it.
    Restore,
}

/// What the operator asks for.
#[derive(Debug, Clone)]
pub struct RevertRequest {
    /// Name of the container.
    pub container: String,
    /// What becomes of volume data.
    pub volumes: VolumeData,
    /// Deadline of the verification.
    pub verify_timeout: std::time::Duration,
    /// An extra question to the container that comes back.
    pub probe: Option<super::Probe>,
}

/// Everything a revert plan is made from, beside what was observed.
#[derive(Debug, Clone, Copy)]
pub struct RevertGround<'a> {
    /// The redeploy (or revert) that parked the container.
    pub parked_by: &'a Plan,
    /// What it archived.
    pub manifest: Option<&'a Manifest>,
    /// The parked container.
    pub parked: &'a Container,
}

/// What would be archived: today's data of every volume.
#[must_use]
pub fn revert_archives(observed: &Observed) -> Vec<ArchivePlan> {
    super::archives::volume_archives(observed, true)
}

/// The plan of a revert.
#[must_use]
pub fn make_revert(
    id: RedeployId,
    now: Timestamp,
    observed: &Observed,
    ground: RevertGround<'_>,
    request: &RevertRequest,
    config: &Config,
    space: Space,
) -> Plan {
    let node = observed.container.name().to_owned();
    let archives = revert_archives(observed);
    let put_data = match request.volumes {
        VolumeData::Keep => Vec::new(),
        VolumeData::Restore => put_data(ground, &archives),
    };
    let mut warnings = unlike_mounts(observed, ground.parked);
    warnings.extend(remarks::unknown_changes(observed));
    warnings.extend(remarks::removes_itself(observed));
    warnings.extend(compose_advice(&observed.container, &ground.parked_by.outgoing.image));
    let before = &ground.parked_by.outgoing;
    Plan {
        version: PLAN_VERSION,
        id,
        kind: SagaKind::Revert,
        made_at: now,
        outgoing: outgoing(&observed.container, Names::new(&node, id).parked()),
        incoming: from_stand_in(id, &node, ground).unwrap_or_else(|| Incoming::Parked {
            id: before.id.clone(),
            parked_name: before.parked_name.clone(),
            restart_policy: before.restart_policy.clone(),
            image: before.image.clone(),
            image_id: before.image_id.clone(),
        }),
        archives,
        backups: Vec::new(),
        put_data,
        verify: verify_plan(request.verify_timeout, request.probe.clone(), config),
        preserve: crate::preserve::PreserveList::nothing(),
        warnings,
        coverage: remarks::coverage_of_revert(observed),
        packing: packing(config),
        balancer: None,
        dependents: Vec::new(),
        space,
        node,
    }
}

/// Compose goes by its files.
fn compose_advice(container: &Container, image: &str) -> Option<String> {
    let project = container.label("com.docker.compose.project")?;
    Some(format!(
        "it belongs to compose project {project}: write image {image} back into the compose file before the next \
         `docker compose up`"
    ))
}

/// What stands parked is only a stand-in: the container is made anew from its saved body, with the stand-in's root.
fn from_stand_in(id: RedeployId, node: &str, ground: RevertGround<'_>) -> Option<Incoming> {
    let before = &ground.parked_by.outgoing;
    let (stand_in, anew) = (before.stand_in.as_ref()?, before.anew.as_ref()?);
    if !is_stand_in(ground.parked) {
        return None;
    }
    let mut recreation = anew.recreation.clone();
    if let Some(labels) = recreation.body["Labels"].as_object_mut() {
        labels.shift_remove(MADE_LABEL);
        labels.insert(REDEPLOY_LABEL.to_owned(), id.to_string().into());
    }
    let root_from = RootFrom {
        id: ground.parked.id().to_owned(),
        name: ground.parked.name().to_owned(),
        selection: stand_in.selection.clone(),
        has_root: stand_in.has_root,
    };
    Some(Incoming::New(Box::new(NewContainer {
        temporary_name: Names::new(node, id).temporary(),
        reference: before.image.clone(),
        image_id: before.image_id.clone(),
        digest: None,
        recreation,
        fresh_volumes: Vec::new(),
        volume_targets: Vec::new(),
        root_from: Some(root_from),
    })))
}

/// Which archives of the redeploy go back into which volumes: each that it archived and that is mounted now.
fn put_data(ground: RevertGround<'_>, today: &[ArchivePlan]) -> Vec<PutData> {
    let of_today = |archive: &ArchivePlan| {
        let now =
            today.iter().find(|now| volume_of(now).is_some() && volume_of(now) == volume_of(archive))?;
        Some(PutData { from: ground.parked_by.id, stem: archive.stem.clone(), today: now.stem.clone() })
    };
    ground.parked_by.archives.iter().filter_map(of_today).collect()
}

/// Which volumes of the container that comes back cannot be what they were. Whoever orders their data of then must not get
/// today's for some of them.
#[must_use]
pub fn check_restore(observed: &Observed, ground: RevertGround<'_>, request: &RevertRequest) -> Vec<Refusal> {
    match request.volumes {
        VolumeData::Keep => return Vec::new(),
        VolumeData::Restore => {}
    }
    let mounted_now = volumes_of(&observed.container);
    let mut refusals = Vec::new();
    for name in volumes_of(ground.parked) {
        let others = others_using(observed, &name);
        let reason = if !others.is_empty() {
            format!("{} writes to it too", others.join(", "))
        } else if !mounted_now.contains(&name) {
            // Given up by the redeploy, so it has not been written to in its name since.
            continue;
        } else if !has_archive(ground, &name) {
            format!("redeploy {} has no archive of it, or no more", ground.parked_by.id)
        } else if !observed.open_volumes.contains(&name) {
            "it cannot be opened on this host".to_owned()
        } else {
            continue;
        };
        refusals.push(Refusal::CannotRestore { volume: name, reason });
    }
    refusals
}

fn has_archive(ground: RevertGround<'_>, volume: &str) -> bool {
    let archived = ground.parked_by.archives.iter().find(|archive| volume_of(archive) == Some(volume));
    archived.is_some_and(|archive| {
        ground.manifest.is_some_and(|manifest| manifest.archive(&archive.stem).is_some())
    })
}

fn volume_of(archive: &ArchivePlan) -> Option<&str> {
    match &archive.source {
        Source::Volume { name, .. } => Some(name),
        Source::Root { .. } | Source::Bind { .. } => None,
    }
}

/// The parked container mounts what it always did; if that is not what serves now, the operator should know.
fn unlike_mounts(observed: &Observed, parked: &Container) -> Vec<String> {
    let (now, then) = (volumes_of(&observed.container), volumes_of(parked));
    let lost = now.into_iter().filter(|name| !then.contains(name));
    lost.map(|name| format!("volume {name} is not mounted by the container that comes back; its data stays"))
        .collect()
}

/// Names of the volumes that a container mounts.
fn volumes_of(container: &Container) -> Vec<String> {
    let names = container.mounts().into_iter().filter_map(|mount| match mount.kind {
        MountKind::Volume { name, .. } => Some(name),
        MountKind::Bind { .. } | MountKind::Tmpfs | MountKind::Other(_) => None,
    });
    names.collect()
}
