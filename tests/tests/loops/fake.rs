//! The stage on the fake engine. Its new container writes to the volume when it starts, so an undo has something
//! to put back; its old one writes to it when it stops, after the last live round, so an archive of it is rewritten
//! when it is sealed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redeploy_agent::config::Config;
use redeploy_agent::docker::{Behaviour, Engine, FakeEngine, FakeImage};
use redeploy_agent::history;
use redeploy_agent::image::PullPolicy;
use redeploy_agent::orders::{Agent, Refused};
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan::{RevertRequest, VolumeData};
use redeploy_agent::progress::Nobody;
use redeploy_agent::report::{Leftovers, Report, Verdict, report};
use redeploy_agent::saga::{ExecutorError, Fault, Faults};
use redeploy_proto::RedeployId;
use redeploy_tests::in_process::request;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::invariant::{BACKED_UP, FAREWELL, LISTED, PID, SHIPPED_IN_LISTED_DIR, UNLISTED};
use super::stage::{Order, Serving, Stage};

/// What a failed start leaves in the volume; after every undo it must be gone.
const SCRATCH: &str = "/data/written-at-start";

pub(crate) struct FakeStage {
    engine: FakeEngine,
    config: Config,
    _dir: tempfile::TempDir,
}

/// A service `web` from v1, with a volume at `/data`.
pub(crate) fn stage() -> FakeStage {
    labelled(json!({}))
}

/// The same, of a Compose project: what is parked is a stand-in.
pub(crate) fn composed() -> FakeStage {
    labelled(json!({ "com.docker.compose.project": "shop", "com.docker.compose.service": "web" }))
}

/// The same, started with `--rm`: it is gone when it stops, and a stand-in is parked.
pub(crate) fn removed() -> FakeStage {
    with(json!({}), json!({ "AutoRemove": true, "RestartPolicy": { "Name": "no" } }))
}

fn labelled(labels: Value) -> FakeStage {
    with(labels, json!({ "RestartPolicy": { "Name": "always" } }))
}

fn with(labels: Value, host: Value) -> FakeStage {
    let dir = tempfile::tempdir().unwrap();
    let engine = FakeEngine::new(&dir.path().join("engine"));
    for version in ["v1", "v2"] {
        engine.add_image(image(version));
    }
    let mut body = json!({ "Labels": labels, "HostConfig": host });
    body["HostConfig"]["Binds"] = json!(["web-data:/data"]);
    body["HostConfig"]["PortBindings"] = json!({ "80/tcp": [{ "HostPort": "8080" }] });
    engine.add_container("web", "fake/app:v1", body).unwrap();
    let mut config = Config::built_in();
    config.data_dir = dir.path().join("data");
    config.settle_time = Duration::ZERO;
    config.verify_timeout = Duration::from_secs(5);
    config.disk_headroom_bytes = 0;
    FakeStage { engine, config, _dir: dir }
}

fn image(version: &str) -> FakeImage {
    let file = |path: &str, contents: String| (path.to_owned(), contents.into_bytes());
    let conf = format!("{LISTED}\n/srv/keep/\nbackup: {BACKED_UP}\n");
    let farewell = vec![(FAREWELL.to_owned(), Some(b"stopped".to_vec())), (PID.to_owned(), None)];
    let (writes_on_start, writes_on_stop) = match version {
        "v1" => (Vec::new(), farewell),
        _ => (vec![(SCRATCH.to_owned(), b"x".to_vec())], Vec::new()),
    };
    FakeImage {
        reference: format!("fake/app:{version}"),
        config: json!({ "Cmd": ["/bin/app"], "Env": [format!("VERSION={version}")] }),
        files: vec![
            file("/etc/jelastic/redeploy.conf", conf),
            file(LISTED, format!("app {version}")),
            file(SHIPPED_IN_LISTED_DIR, format!("shipped {version}")),
            file(BACKED_UP, format!("php {version}")),
            file(UNLISTED, format!("other {version}")),
        ],
        behaviour: Behaviour { writes_on_start, writes_on_stop, ..Behaviour::default() },
        ..FakeImage::default()
    }
}

impl FakeStage {
    fn agent(&self, faults: &[Fault]) -> Agent {
        Agent {
            engine: Arc::new(self.engine.clone()),
            data: DataDir::new(&self.config.data_dir),
            config: self.config.clone(),
            audience: Arc::new(Nobody),
            cancel: CancellationToken::new(),
            faults: Faults::new(faults.iter().copied()),
        }
    }
}

/// `None` if a fault stopped it.
pub(crate) fn ended(result: Result<Report, Refused>) -> Option<Report> {
    match result {
        Ok(report) => Some(report),
        Err(Refused::Executor(ExecutorError::StoppedByFault(_) | ExecutorError::Journal(_))) => None,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn carry_out(agent: &Agent, order: Order, container: &str, image: &str) -> Option<Report> {
    let id = RedeployId::generate();
    let volumes = match order {
        Order::Redeploy => {
            return ended(agent.redeploy(id, &request(container, image), PullPolicy::Never, None).await);
        }
        Order::RevertKeep => VolumeData::Keep,
        Order::RevertRestore => VolumeData::Restore,
    };
    let container = container.to_owned();
    let request = RevertRequest { container, volumes, verify_timeout: Duration::from_secs(20), probe: None };
    ended(agent.revert(id, &request).await)
}

pub(crate) fn last_verdict(data: &DataDir) -> Verdict {
    last_report(data).verdict
}

/// The report of the last saga, from its plan and journal.
pub(crate) fn last_report(data: &DataDir) -> Report {
    let last = history::load(data).into_iter().next().unwrap().unwrap();
    report(&last.plan, &last.records, &last.state, Leftovers::default())
}

#[async_trait]
impl Stage for FakeStage {
    async fn run(&self, order: Order, faults: &[Fault]) -> Option<Report> {
        carry_out(&self.agent(faults), order, "web", "fake/app:v2").await
    }

    async fn recover(&self) -> Option<Verdict> {
        let reports = self.agent(&[]).recover().await.unwrap();
        assert!(reports.len() <= 1, "{reports:?}");
        reports.first().map(|report| report.verdict)
    }

    fn last_verdict(&self) -> Verdict {
        last_verdict(&DataDir::new(&self.config.data_dir))
    }

    async fn serving(&self) -> Option<Serving> {
        let web = self.engine.container("web").await.unwrap()?;
        let env = web.raw()["Config"]["Env"].as_array()?;
        let version = env.iter().find_map(|entry| entry.as_str()?.strip_prefix("VERSION="))?.to_owned();
        // What v2 leaves in the volume is there exactly as long as v2 has served.
        let scratch = self.host_path(SCRATCH).exists();
        assert!(version == "v1" || scratch, "v2 serves without what it wrote");
        // One that removes itself has no policy to come back with.
        let restart_policy = match web.auto_remove() {
            true => "always".to_owned(),
            false => web.restart_policy()["Name"].as_str()?.to_owned(),
        };
        web.is_alive().then_some(Serving { version, restart_policy })
    }

    async fn containers(&self) -> Vec<(String, bool)> {
        let containers = self.engine.containers().await.unwrap();
        for parked in containers.iter().filter(|container| container.name() != "web") {
            assert_eq!(parked.restart_policy()["Name"], "no", "{}", parked.name());
            assert_eq!(parked.label("com.docker.compose.project"), None, "{}", parked.name());
        }
        containers.iter().map(|container| (container.name().to_owned(), container.is_alive())).collect()
    }

    fn host_path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("/data/") {
            Some(inside) => self.engine.volume_dir("web-data").join(inside),
            None => self.engine.root_dir("web").unwrap().join(path.trim_start_matches('/')),
        }
    }

    fn says_farewell(&self) -> bool {
        true
    }

    fn violations(&self) -> Vec<String> {
        self.engine.violations()
    }
}
