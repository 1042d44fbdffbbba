//! The plan of a revert: the parked container comes back, and the one that serves now is parked. Pure.

use jiff::Timestamp;
use redeploy_proto::RedeployId;

use super::archives::others_using;
use super::make::{outgoing, packing, verify_plan};
use super::remarks;
use super::{
    ArchivePlan, Incoming, MADE_LABEL, Names, NewContainer, PLAN_VERSION, Plan, PutData, REDEPLOY_LABEL,
    RootFrom, Source, Space, is_stand_in,
};
use crate::archive::Manifest;
use crate::config::Config;
use crate::docker::Container;
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
    let (put_data, mut warnings) = match request.volumes {
        VolumeData::Keep => (Vec::new(), Vec::new()),
        VolumeData::Restore => put_data(ground, &archives, observed),
    };
    warnings.extend(unlike_mounts(observed, ground.parked));
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

/// Which archives of the redeploy go back into which volumes.
fn put_data(
    ground: RevertGround<'_>,
    today: &[ArchivePlan],
    observed: &Observed,
) -> (Vec<PutData>, Vec<String>) {
    let mut put = Vec::new();
    let mut warnings = Vec::new();
    for archive in &ground.parked_by.archives {
        let Source::Volume { name, .. } = &archive.source else { continue };
        let has_archive = ground.manifest.is_some_and(|manifest| manifest.archive(&archive.stem).is_some());
        let now =
            today.iter().find(|now| matches!(&now.source, Source::Volume { name: now, .. } if now == name));
        let others = others_using(observed, name);
        match now {
            Some(now) if has_archive && others.is_empty() => put.push(PutData {
                from: ground.parked_by.id,
                stem: archive.stem.clone(),
                today: now.stem.clone(),
            }),
            Some(_) if !others.is_empty() => warnings.push(format!(
                "volume {name} is also written by {}: its data stays as it is today",
                others.join(", ")
            )),
            Some(_) => {
                warnings.push(format!("volume {name} has no archive any more: its data stays as it is today"))
            }
            None => {}
        }
    }
    (put, warnings)
}

/// The parked container mounts what it always did; if that is not what serves now, the operator should know.
fn unlike_mounts(observed: &Observed, parked: &Container) -> Vec<String> {
    let volumes = |container: &Container| -> Vec<String> {
        let mounts = container.mounts().into_iter();
        let names = mounts.filter_map(|mount| match mount.kind {
            crate::docker::MountKind::Volume { name, .. } => Some(name),
            crate::docker::MountKind::Bind { .. }
            | crate::docker::MountKind::Tmpfs
            | crate::docker::MountKind::Other(_) => None,
        });
        names.collect()
    };
    let (now, then) = (volumes(&observed.container), volumes(parked));
    let lost = now.into_iter().filter(|name| !then.contains(name));
    lost.map(|name| format!("volume {name} is not mounted by the container that comes back; its data stays"))
        .collect()
}
