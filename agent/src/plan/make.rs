//! From what was observed and asked to the plan of a redeploy. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use redeploy_proto::RedeployId;

use super::{
    ArchivePlan, Backup, Incoming, MADE_LABEL, Names, NewContainer, Outgoing, PLAN_VERSION, Packing, Plan,
    Probe, REDEPLOY_LABEL, Space, VerifyPlan, remarks,
};
use crate::config::Config;
use crate::docker::{Container, Image, RunState};
use crate::guest_path::GuestPath;
use crate::image::Fetched;
use crate::observe::Observed;
use crate::preserve::PreserveList;
use crate::recreate::{self, Choices, FieldSource, Old, RecreateError, Recreation, Surroundings, Target};
use crate::saga::SagaKind;

/// What the operator asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name or id of the container.
    pub container: String,
    /// Image reference.
    pub image: String,
    /// Mount the same volumes again (otherwise: archive them and start with what the image ships).
    pub use_existing_volumes: bool,
    /// Keep the old file system, with the new image's files on top.
    pub skip_reinstall: bool,
    /// Archive bind-mounted directories too.
    pub archive_binds: bool,
    /// Deadline of the verification.
    pub verify_timeout: Duration,
    /// An extra question to the new container.
    pub probe: Option<Probe>,
}

/// What a plan stands on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// What was seen.
    pub observed: &'a Observed,
    /// The image, fixed by its id.
    pub fetched: &'a Fetched,
    /// The configuration.
    pub config: &'a Config,
}

/// The plan of a redeploy. Whether it may be carried out is [`super::check`]'s question.
///
/// # Errors
/// [`RecreateError`]: this container cannot be recreated.
pub fn make(
    id: RedeployId,
    now: Timestamp,
    ground: Ground<'_>,
    request: &Request,
    archives: Vec<ArchivePlan>,
    space: Space,
) -> Result<Plan, RecreateError> {
    let Ground { observed, fetched, config } = ground;
    let node = observed.container.name().to_owned();
    let names = Names::new(&node, id);
    let (recreation, fresh_volumes) = recreation(id, observed, fetched, request, &names)?;
    let preserve = observed.inside.preserve.clone();
    Ok(Plan {
        version: PLAN_VERSION,
        id,
        kind: SagaKind::Redeploy,
        made_at: now,
        outgoing: outgoing(&observed.container, names.parked()),
        warnings: remarks::warnings(observed, fetched, request, &recreation),
        coverage: remarks::coverage(observed, request),
        incoming: Incoming::New(Box::new(NewContainer {
            temporary_name: names.temporary(),
            reference: request.image.clone(),
            image_id: fetched.image.id().to_owned(),
            digest: fetched.digest.clone(),
            recreation,
            fresh_volumes,
            volume_targets: declared_volumes(&fetched.image),
            root_from: None,
        })),
        backups: backups(&preserve),
        put_data: Vec::new(),
        verify: verify_plan(request.verify_timeout, request.probe.clone(), config),
        packing: packing(config),
        balancer: None,
        dependents: Vec::new(),
        archives,
        preserve,
        space,
        node,
    })
}

/// `PATH` ▸ `PATH.backup`. A path so long that its backup has no name is reported by nobody but the kernel.
fn backups(preserve: &PreserveList) -> Vec<Backup> {
    let backup = |path: &GuestPath| {
        let to = [path.as_bytes(), super::BACKUP_ENDING].concat();
        GuestPath::new(to).ok().map(|to| Backup { path: path.clone(), to })
    };
    preserve.backup.iter().filter_map(|entry| backup(&entry.path)).collect()
}

/// What a saga must remember of the container that serves now.
pub(super) fn outgoing(container: &Container, parked_name: String) -> Outgoing {
    Outgoing {
        id: container.id().to_owned(),
        parked_name,
        alive: container.is_alive(),
        started_at: container.started_at().to_owned(),
        crash_looping: container.state() == RunState::Restarting,
        was_healthy: container.health() == Some("healthy"),
        restart_policy: container.restart_policy().clone(),
        image: container.image_reference().to_owned(),
        image_id: container.image_id().to_owned(),
        removes_itself: container.auto_remove() && container.is_alive(),
        anew: None,
        stand_in: None,
    }
}

pub(super) fn verify_plan(timeout: Duration, probe: Option<Probe>, config: &Config) -> VerifyPlan {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    VerifyPlan { timeout_ms: ms(timeout), settle_ms: ms(config.settle_time), probe }
}

pub(super) fn packing(config: &Config) -> Packing {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let threads = match usize::try_from(config.compression_threads) {
        Ok(0) | Err(_) => cores,
        Ok(threads) => threads,
    };
    Packing {
        level: config.compression_level,
        threads,
        rounds_max: config.capture_rounds_max,
        entries_max: config.entries_max.unwrap_or(0),
        archive_bytes_max: config.archive_bytes_max.unwrap_or(0),
    }
}

// === the new container ===

pub(super) fn recreation(
    id: RedeployId,
    observed: &Observed,
    fetched: &Fetched,
    request: &Request,
    names: &Names,
) -> Result<(Recreation, Vec<String>), RecreateError> {
    let mut choices =
        Choices { keep_volumes: request.use_existing_volumes, fresh_volume_names: BTreeMap::new() };
    if !request.use_existing_volumes {
        let own = recreate::own_volumes(&observed.container, &observed.containers);
        let named = own.into_iter().enumerate();
        choices.fresh_volume_names =
            named.map(|(index, volume)| (volume.target, names.fresh_volume(index))).collect();
    }
    let reference = fetched.reference.pinned(fetched.digest.as_deref());
    let old = Old { container: &observed.container, image: observed.old_image.as_ref() };
    let target = Target { image: &fetched.image, reference: &reference };
    let surroundings = Surroundings {
        engine: &observed.engine,
        containers: &observed.containers,
        networks: &observed.networks,
        network_record: &observed.network_record,
    };
    let mut recreation = recreate::recreate(old, target, surroundings, &choices)?;
    let labels = &mut recreation.body["Labels"];
    if !labels.is_object() {
        *labels = serde_json::json!({});
    }
    if let Some(labels) = labels.as_object_mut() {
        labels.shift_remove(MADE_LABEL);
    }
    labels[REDEPLOY_LABEL] = serde_json::Value::String(id.to_string());
    let ours = format!("Config.Labels[{REDEPLOY_LABEL}]");
    recreation.sources.retain(|source| source.field != ours);
    let note = "which redeploy made it".to_owned();
    recreation.sources.push(FieldSource { field: ours, source: recreate::Source::Plan, note });
    Ok((recreation, choices.fresh_volume_names.into_values().collect()))
}

/// Where an image wants volumes.
fn declared_volumes(image: &Image) -> Vec<GuestPath> {
    let volumes = image.raw()["Config"]["Volumes"].as_object();
    volumes.into_iter().flatten().filter_map(|(target, _)| GuestPath::new(target).ok()).collect()
}
