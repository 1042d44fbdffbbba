//! The room in which everything happens: a fake engine, `web` and its volume, and who watches.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redeploy_agent::config::Config;
use redeploy_agent::docker::{Behaviour, Engine, EngineError, FakeEngine, FakeImage};
use redeploy_agent::image::PullPolicy;
use redeploy_agent::orders::{Agent, Refused};
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan::{Plan, RevertRequest, VolumeData};
use redeploy_agent::progress::Audience;
use redeploy_agent::report::Report;
use redeploy_agent::saga::{Event, Fault, Faults, Record};
use redeploy_agent::steps::Step;
use redeploy_proto::RedeployId;
use redeploy_tests::in_process::request;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) struct Room {
    pub(crate) engine: FakeEngine,
    pub(crate) config: Config,
    _dir: tempfile::TempDir,
}

pub(crate) fn image(version: &str, config: Value, behaviour: Behaviour) -> FakeImage {
    let conf = b"/srv/keep\n".to_vec();
    let files =
        vec![("/etc/jelastic/redeploy.conf".to_owned(), conf), ("/srv/keep/a".to_owned(), version.into())];
    FakeImage { reference: format!("fake/app:{version}"), config, files, behaviour, ..FakeImage::default() }
}

/// `web` from v1 with a volume, and v2 as given.
pub(crate) fn room(v1: Behaviour, v2_config: Value, v2: Behaviour) -> Room {
    let dir = tempfile::tempdir().unwrap();
    let engine = FakeEngine::new(&dir.path().join("engine"));
    engine.add_image(image("v1", json!({ "Cmd": ["/bin/app"] }), v1));
    engine.add_image(image("v2", v2_config, v2));
    let host = json!({ "Binds": ["web-data:/data"], "RestartPolicy": { "Name": "always" } });
    engine.add_container("web", "fake/app:v1", json!({ "HostConfig": host })).unwrap();
    let mut config = Config::built_in();
    config.data_dir = dir.path().join("data");
    config.settle_time = Duration::ZERO;
    config.disk_headroom_bytes = 0;
    Room { engine, config, _dir: dir }
}

pub(crate) fn plain() -> Room {
    room(Behaviour::default(), json!({ "Cmd": ["/bin/app"] }), Behaviour::default())
}

impl Room {
    pub(crate) fn agent(&self, audience: Arc<dyn Audience>, faults: &[Fault]) -> Agent {
        Agent {
            engine: Arc::new(self.engine.clone()),
            data: DataDir::new(&self.config.data_dir),
            config: self.config.clone(),
            audience,
            cancel: CancellationToken::new(),
            faults: Faults::new(faults.iter().copied()),
        }
    }

    pub(crate) async fn redeploy(
        &self,
        audience: Arc<dyn Audience>,
        faults: &[Fault],
    ) -> Result<Report, Refused> {
        let agent = self.agent(audience, faults);
        agent.redeploy(RedeployId::generate(), &request("web", "fake/app:v2"), PullPolicy::Never, None).await
    }

    pub(crate) fn volume_file(&self, name: &str) -> PathBuf {
        self.engine.volume_dir("web-data").join(name)
    }

    /// v1 serves, alone.
    pub(crate) async fn assert_old_serves(&self) {
        assert_eq!(self.engine.running(), ["web"]);
        assert_eq!(self.engine.names_of_all(), ["web"]);
        let web = self.engine.container("web").await.unwrap().unwrap();
        assert_eq!(web.image_reference(), "fake/app:v1");
        assert_eq!(web.restart_policy()["Name"], "always");
    }
}

/// The engine answers, and does not do it: trying again at once is of no use.
pub(crate) fn refused() -> EngineError {
    EngineError::Refused { action: "do as told".into(), status: 500, message: "something broke".into() }
}

pub(crate) fn away() -> EngineError {
    EngineError::Unreachable {
        socket: "/var/run/docker.sock".into(),
        action: "answer".into(),
        source: "being restarted".into(),
    }
}

/// Does something when a record has become durable.
pub(crate) struct When<F>(pub(crate) F);

impl<F: Fn(&Event) + Send + Sync> Audience for When<F> {
    fn pulling(&self, _: &str, _: u64, _: u64) {}
    fn plan(&self, _: &Plan) {}
    fn record(&self, record: &Record) {
        (self.0)(&record.event);
    }
    fn progress(&self, _: Step, _: &str, _: u64, _: u64) {}
    fn report(&self, _: &Report) {}
}

/// A user writes as users do.
#[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
pub(crate) fn write(path: impl AsRef<Path>, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// What is in the serving container's root.
pub(crate) async fn in_root(room: &Room, path: &str) -> Option<String> {
    let root = room.engine.root_dir("web").unwrap();
    std::fs::read_to_string(root.join(path.trim_start_matches('/'))).ok()
}

/// How many volumes there are.
pub(crate) fn volumes(room: &Room) -> usize {
    let all = room.engine.volume_dir("web-data").ancestors().nth(2).unwrap().to_owned();
    std::fs::read_dir(all).unwrap().count()
}

/// Names of the files that an order left in its directory of archives.
pub(crate) fn archives(room: &Room, report: &Report) -> Vec<String> {
    let names = std::fs::read_dir(DataDir::new(&room.config.data_dir).redeploy(report.id).archives());
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    names.map(|names| names.map(name).collect()).unwrap_or_default()
}

/// What is asked of a revert.
pub(crate) fn back(volumes: VolumeData) -> RevertRequest {
    let verify_timeout = Duration::from_secs(20);
    RevertRequest { container: "web".to_owned(), volumes, verify_timeout, probe: None }
}

/// From within an audience, which cannot wait.
pub(crate) fn remove_now(engine: &FakeEngine, id: &str) {
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| handle.block_on(engine.remove(id))).unwrap();
}

/// Is this the record after which somebody removes the old container?
pub(crate) type Moment = fn(&Event) -> bool;

pub(crate) async fn id_of_web(room: &Room) -> String {
    room.engine.container("web").await.unwrap().unwrap().id().to_owned()
}

/// What is in a container's root.
pub(crate) fn in_root_of(room: &Room, name: &str, path: &str) -> Option<String> {
    let root = room.engine.root_dir(name)?;
    std::fs::read_to_string(root.join(path.trim_start_matches('/'))).ok()
}

pub(crate) fn parked(engine: &FakeEngine) -> String {
    engine.names_of_all().into_iter().find(|name| name.contains(".parked-")).unwrap()
}
