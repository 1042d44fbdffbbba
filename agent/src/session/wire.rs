//! Orders as they came over the wire, turned into what the agent understands; what makes no sense is refused.

use std::time::Duration;

use redeploy_proto::{InvalidRedeployId, RedeployId, v1};

use super::ledger::Note;
use crate::config::Config;
use crate::docker::RegistryLogin;
use crate::image::{ImageReference, PullPolicy};
use crate::plan::{Probe, Request, RevertRequest, VolumeData};
use crate::saga::SagaKind;

/// What is asked.
pub(super) enum Task {
    /// Another image.
    Redeploy { request: Request, pull: PullPolicy, login: Option<RegistryLogin> },
    /// The parked container.
    Revert(RevertRequest),
}

/// An order that is to be written down and carried out.
pub(super) struct Order {
    pub(super) id: RedeployId,
    pub(super) note: Note,
    pub(super) deadline: Option<Duration>,
    /// What is asked, or why it makes no sense.
    pub(super) task: Result<Task, String>,
}

pub(super) fn redeploy(order: v1::RedeployOrder, config: &Config) -> Result<Order, InvalidRedeployId> {
    let v1::RedeployOrder {
        redeploy_id,
        node_id,
        generation,
        container,
        image,
        options,
        login,
        deadline_ms,
        traceparent,
    } = order;
    Ok(Order {
        id: redeploy_id.parse()?,
        note: Note::new(node_id, generation, &container, SagaKind::Redeploy).traced(&traceparent),
        deadline: deadline(deadline_ms),
        task: redeploy_task(container, image, options.unwrap_or_default(), login, config),
    })
}

pub(super) fn revert(order: v1::RevertOrder, config: &Config) -> Result<Order, InvalidRedeployId> {
    let v1::RevertOrder { redeploy_id, node_id, generation, container, options, deadline_ms, traceparent } =
        order;
    let options = options.unwrap_or_default();
    let volumes = match options.volumes() {
        v1::VolumeData::Unspecified | v1::VolumeData::Keep => VolumeData::Keep,
        v1::VolumeData::Restore => VolumeData::Restore,
    };
    let task = probe(&options.probe).and_then(|probe| {
        let verify_timeout = verify_timeout(options.verify_timeout_ms, config)?;
        Ok(Task::Revert(RevertRequest { container: container.clone(), volumes, verify_timeout, probe }))
    });
    Ok(Order {
        id: redeploy_id.parse()?,
        note: Note::new(node_id, generation, &container, SagaKind::Revert).traced(&traceparent),
        deadline: deadline(deadline_ms),
        task,
    })
}

/// What a redeploy, or its preflight, asks.
pub(super) fn redeploy_task(
    container: String,
    image: Option<v1::ImageRef>,
    options: v1::RedeployOptions,
    login: Option<v1::RegistryLogin>,
    config: &Config,
) -> Result<Task, String> {
    if container.is_empty() {
        return Err("the order names no container".to_owned());
    }
    let pull = match options.pull() {
        v1::PullPolicy::Unspecified | v1::PullPolicy::Auto => PullPolicy::Auto,
        v1::PullPolicy::Never => PullPolicy::Never,
    };
    let request = Request {
        container,
        image: image_text(&image.unwrap_or_default())?,
        use_existing_volumes: options.use_existing_volumes.unwrap_or(true),
        skip_reinstall: options.skip_reinstall,
        archive_binds: options.archive_binds.unwrap_or(config.archive_binds),
        verify_timeout: verify_timeout(options.verify_timeout_ms, config)?,
        probe: probe(&options.probe)?,
    };
    let login = login.filter(|login| !login.user.is_empty());
    let login = login.map(|login| RegistryLogin { user: login.user, password: login.password });
    Ok(Task::Redeploy { request, pull, login })
}

fn image_text(image: &v1::ImageRef) -> Result<String, String> {
    let text = match image.digest.as_str() {
        "" => image.reference.clone(),
        digest => format!("{}@{digest}", image.reference),
    };
    text.parse::<ImageReference>().map(|_| text).map_err(|error| error.to_string())
}

fn verify_timeout(ms: u64, config: &Config) -> Result<Duration, String> {
    let timeout = if ms == 0 { config.verify_timeout } else { Duration::from_millis(ms) };
    if timeout > config.settle_time {
        Ok(timeout)
    } else {
        let settle = humantime::format_duration(config.settle_time);
        Err(format!(
            "the verify timeout must be longer than settle_time of this host's configuration ({settle})"
        ))
    }
}

fn probe(text: &str) -> Result<Option<Probe>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: crate::plan::InvalidProbe| error.to_string())
}

fn deadline(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}
