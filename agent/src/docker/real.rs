//! The real engine: Docker Engine 20.10 or newer on a unix socket of this host.
//!
//! Flows in: the calls of the trait. Flows out: its answers. Inspect answers and bodies go raw over our own small
//! client, because typed models drop what they do not know; bollard carries what streams (pull, logs, events,
//! diff) and the plain start and stop. Must never retry (but for
//! `restart_policy` and `start`, which say why), and never wait without a deadline.

mod frames;
mod greeting;
mod host_view;
mod lookups;
mod pull;
mod restart_policy;
mod start;
mod streams;
mod witness;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters::{StopContainerOptions, StopContainerOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::transport::{UnixClient, bad_answer, segment, within};
use super::{ApiVersion, Change, Container, EngineInfo, EventStream, Image, OnPull};
use super::{Engine, EngineError, Hold, RegistryLogin, Volume, Witness, hold, root_access, transport};
use crate::rootfs::Root;

pub use host_view::HostView;
pub(super) use host_view::is_mount_root;

/// Questions and small changes. Generous: a busy engine locks a container while it is copied or stopped.
const QUICK: Duration = Duration::from_secs(120);

/// Start, remove and disconnect: mounts, networks, large writable layers.
const CHANGE: Duration = Duration::from_secs(600);

/// Create copies what the image ships into new volumes.
const CREATE: Duration = Duration::from_secs(3600);

/// What an engine may need beyond the grace period to kill and clean up.
const STOP_MARGIN: Duration = Duration::from_secs(120);

/// The engine's own grace period for a container that names none.
const STOP_GRACE: u64 = 10;

/// Stands for "wait for ever" (a grace of -1) and bounds every other grace period.
const STOP_GRACE_MAX: u64 = 24 * 3600;

/// bollard's limit runs until the headers of an answer arrive; ours, per kind of call, are the ones that count.
const BOLLARD_SECONDS: u64 = 48 * 3600;

/// How often a removal that somebody else began is looked at.
const REMOVAL_POLL: Duration = Duration::from_millis(100);

/// A Docker Engine on this host.
#[derive(Debug)]
pub struct RealEngine {
    client: UnixClient,
    bollard: Docker,
    host: HostView,
    api: ApiVersion,
}

impl RealEngine {
    /// Connects to the engine at `socket`, a path or `unix:///path`, and settles on an API version.
    ///
    /// # Errors
    /// [`EngineError::NotLocal`] for anything but a unix socket, [`EngineError::TooOld`] for API below
    /// [`super::API_MIN`], and whatever keeps the engine from answering.
    pub async fn connect(socket: &Path, host: HostView) -> Result<Self, EngineError> {
        let socket = greeting::unix_path(socket)?;
        let client = UnixClient::new(&socket);
        let version = client.look_up("give its version", "/version", QUICK).await?.unwrap_or_default();
        let api = greeting::settle_api(&version)?;
        let client = client.speaking(api);
        let address = socket.to_string_lossy();
        let bollard = Docker::connect_with_unix(&address, BOLLARD_SECONDS, API_DEFAULT_VERSION)
            .map_err(|error| streams::from_bollard(&client, "be reached", error))?
            .with_request_modifier(move |request| greeting::name_version(request, api));
        Ok(Self { client, bollard, host, api })
    }

    /// The raw client, for requests whose body is held open.
    pub(super) fn client(&self) -> &UnixClient {
        &self.client
    }

    /// How we see the engine's host.
    pub(super) fn host(&self) -> &HostView {
        &self.host
    }

    async fn post(&self, action: &str, path: &str, body: Option<&Value>) -> Result<Value, EngineError> {
        self.client.request(action, Method::POST, path, body, CHANGE).await?.accepted(action)
    }

    async fn delete(&self, action: &str, path: &str) -> Result<transport::Answer, EngineError> {
        self.client.request(action, Method::DELETE, path, None, CHANGE).await
    }

    /// The grace period the engine will give, in seconds, when we name none.
    async fn own_grace(&self, id: &str) -> Result<u64, EngineError> {
        let container = self.inspect(id).await?;
        let timeout = container.as_ref().and_then(|found| found.raw()["Config"]["StopTimeout"].as_i64());
        // -1 means for ever.
        Ok(timeout.map_or(STOP_GRACE, |seconds| u64::try_from(seconds).unwrap_or(STOP_GRACE_MAX)))
    }

    async fn remove_container(&self, id: &str, how: &str) -> Result<(), EngineError> {
        let action = format!("remove container {id}");
        let answer = self.delete(&action, &format!("/containers/{}?{how}", segment(id))).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            StatusCode::CONFLICT if answer.message().contains("already in progress") => {
                self.until_gone(&action, id).await
            }
            _ => answer.accepted(&action).map(drop),
        }
    }

    /// Waits until a removal that is under way has ended.
    async fn until_gone(&self, action: &str, id: &str) -> Result<(), EngineError> {
        within(CHANGE, action, async {
            while self.inspect(id).await?.is_some() {
                tokio::time::sleep(REMOVAL_POLL).await;
            }
            Ok(())
        })
        .await
    }

    /// Is the container on this network, named or by id?
    async fn is_connected(&self, network: &str, id: &str) -> Result<bool, EngineError> {
        let found = self.inspect_network(network).await?.unwrap_or_default();
        let name = found["Name"].as_str().unwrap_or(network);
        let container = self.inspect(id).await?;
        Ok(container.is_some_and(|found| found.raw()["NetworkSettings"]["Networks"].get(name).is_some()))
    }
}

#[async_trait]
impl Engine for RealEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.read_info().await
    }

    async fn container(&self, id_or_name: &str) -> Result<Option<Container>, EngineError> {
        self.inspect(id_or_name).await
    }

    async fn containers(&self) -> Result<Vec<Container>, EngineError> {
        self.inspect_all().await
    }

    async fn create(&self, name: &str, body: &Value) -> Result<String, EngineError> {
        let action = format!("create container {name}");
        let path = format!("/containers/create?name={}", segment(name));
        let answer = self.client.request(&action, Method::POST, &path, Some(body), CREATE).await?;
        let answer = answer.accepted(&action)?;
        answer["Id"].as_str().map(str::to_owned).ok_or_else(|| bad_answer(&action, "it gave no id"))
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.start_container(id).await
    }

    async fn stop(&self, id: &str, grace: Option<Duration>) -> Result<(), EngineError> {
        let action = format!("stop container {id}");
        let (options, seconds) = match grace {
            None => (None::<StopContainerOptions>, self.own_grace(id).await?),
            Some(grace) => {
                let seconds = whole_seconds(grace);
                let t = i32::try_from(seconds).unwrap_or(i32::MAX);
                (Some(StopContainerOptionsBuilder::new().t(t).build()), seconds)
            }
        };
        let deadline = Duration::from_secs(seconds.min(STOP_GRACE_MAX)) + STOP_MARGIN;
        let name = segment(id);
        let call = self.bollard.stop_container(&name, options);
        within(deadline, &action, async {
            call.await.map_err(|error| streams::from_bollard(&self.client, &action, error))
        })
        .await
    }

    async fn hold(&self, id: &str) -> Result<Box<dyn Hold>, EngineError> {
        hold::hold(self, id).await
    }

    async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{}/rename?name={}", segment(id), segment(name));
        self.post(&format!("rename container {id} to {name}"), &path, None).await.map(drop)
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        self.remove_container(id, "force=true&v=false").await
    }

    async fn remove_stopped(&self, id: &str) -> Result<(), EngineError> {
        self.remove_container(id, "force=false&v=false").await
    }

    async fn set_restart_policy(&self, id: &str, policy: &Value) -> Result<(), EngineError> {
        self.update_restart_policy(id, policy).await
    }

    async fn network_connect(&self, network: &str, id: &str, endpoint: &Value) -> Result<(), EngineError> {
        let action = format!("connect container {id} to network {network}");
        let path = format!("/networks/{}/connect", segment(network));
        let body = json!({ "Container": id, "EndpointConfig": endpoint });
        self.post(&action, &path, Some(&body)).await.map(drop)
    }

    async fn network_disconnect(&self, network: &str, id: &str) -> Result<(), EngineError> {
        let action = format!("disconnect container {id} from network {network}");
        let path = format!("/networks/{}/disconnect", segment(network));
        let body = json!({ "Container": id, "Force": true });
        let answer = self.client.request(&action, Method::POST, &path, Some(&body), CHANGE).await?;
        match answer.accepted(&action) {
            Ok(_) => Ok(()),
            // Engines word "it is not connected" differently; the container itself says it plainly.
            Err(refusal) if self.is_connected(network, id).await? => Err(refusal),
            Err(_) => Ok(()),
        }
    }

    async fn network(&self, id_or_name: &str) -> Result<Option<Value>, EngineError> {
        self.inspect_network(id_or_name).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.inspect_image(reference).await
    }

    async fn pull(
        &self,
        repository: &str,
        tag_or_digest: &str,
        login: Option<&RegistryLogin>,
        on_progress: OnPull<'_>,
    ) -> Result<(), EngineError> {
        self.pull_image(repository, tag_or_digest, login, on_progress).await
    }

    async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), EngineError> {
        let image_path = transport::reference_path(image);
        let path = format!("/images/{image_path}/tag?repo={}&tag={}", segment(repository), segment(tag));
        self.post(&format!("tag image {image} as {repository}:{tag}"), &path, None).await.map(drop)
    }

    async fn untag(&self, reference: &str) -> Result<(), EngineError> {
        let action = format!("remove image {reference}");
        let answer =
            self.delete(&action, &format!("/images/{}", transport::reference_path(reference))).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { answer.accepted(&action).map(drop) }
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        self.inspect_volume(name).await
    }

    async fn create_volume(&self, body: &Value) -> Result<(), EngineError> {
        let name = body["Name"].as_str().unwrap_or("without a name");
        self.post(&format!("create volume {name}"), "/volumes/create", Some(body)).await.map(drop)
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let action = format!("remove volume {name}");
        let answer = self.delete(&action, &format!("/volumes/{}", segment(name))).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(()) } else { answer.accepted(&action).map(drop) }
    }

    async fn logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        self.last_logs(id, lines).await
    }

    async fn witness(&self, id: &str) -> Result<Witness, EngineError> {
        self.listen(id).await
    }

    async fn diff(&self, id: &str) -> Result<Vec<Change>, EngineError> {
        self.changes(id).await
    }

    async fn events(&self, since_ns: i64) -> Result<EventStream, EngineError> {
        Ok(self.container_events(since_ns))
    }

    async fn open_root(&self, id: &str) -> Result<Root, EngineError> {
        root_access::open_root(self, id).await
    }

    async fn open_volume(&self, name: &str) -> Result<Root, EngineError> {
        root_access::open_volume(self, name).await
    }

    async fn own_record(&self, id: &str) -> Result<Option<Value>, EngineError> {
        let root_dir = self.info().await?.root_dir;
        root_access::own_record(self.host.clone(), &root_dir, id).await
    }

    async fn open_host_dir(&self, path: &str) -> Result<Root, EngineError> {
        root_access::open_host_dir(self.host.clone(), path).await
    }
}

/// Rounded up: a grace period of half a second must not become none.
fn whole_seconds(grace: Duration) -> u64 {
    grace.as_secs() + u64::from(grace.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(200)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(30)), 30);
        assert_eq!(whole_seconds(Duration::ZERO), 0);
    }
}
