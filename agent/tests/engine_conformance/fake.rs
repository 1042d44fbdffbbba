//! The fake engine as a fixture.

use async_trait::async_trait;
use redeploy_agent::docker::{Behaviour, Engine, FakeEngine, FakeImage, OnStart, PullFailure};
use serde_json::{Value, json};

use crate::fixture::{ENDS_WITH, Fixture, MOTD, PRINTS, Registry, SHIPPED, image_config, login};

/// A fake engine with the test images.
pub(crate) struct Fake {
    engine: FakeEngine,
    _dir: tempfile::TempDir,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = FakeEngine::new(dir.path());
        engine.add_image(image("app"));
        let mut with_volume = image("volume");
        with_volume.config["Volumes"] = json!({ "/data": {} });
        engine.add_image(with_volume);
        let mut ends = image("ends");
        ends.behaviour.on_start = OnStart::ExitsWith(ENDS_WITH);
        engine.add_image(ends);
        Self { engine, _dir: dir }
    }
}

fn image(tag: &str) -> FakeImage {
    FakeImage {
        reference: format!("conformance/{tag}:1"),
        config: image_config(),
        files: vec![
            ("/etc/motd".into(), MOTD.to_vec()),
            ("/data/shipped".into(), SHIPPED.to_vec()),
            ("/proc/".into(), Vec::new()),
        ],
        behaviour: Behaviour { prints: PRINTS.into(), ..Behaviour::default() },
        ..FakeImage::default()
    }
}

#[async_trait]
impl Fixture for Fake {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn image(&self) -> String {
        "conformance/app:1".into()
    }

    fn image_with_volume(&self) -> String {
        "conformance/volume:1".into()
    }

    fn name(&self, role: &str) -> String {
        format!("fake-{role}")
    }

    fn body_of_one_that_ends(&self) -> Value {
        json!({ "Image": "conformance/ends:1", "HostConfig": { "NetworkMode": "none" } })
    }

    fn add_network(&self, name: &str) {
        self.engine.add_network(name, "bridge");
    }

    fn clean_up_volume(&self, _name: &str) {}

    async fn registry(&self) -> Registry {
        let good = FakeImage { reference: "registry.test/good:1".into(), ..image("good") };
        let digest = good.digest();
        self.engine.serve(good);
        let other = FakeImage { reference: "registry.test/other:1".into(), ..image("other") };
        self.engine.serve(FakeImage { architecture: "s390x".into(), ..other });
        let locked = FakeImage { reference: "registry.test/locked:1".into(), ..image("locked") };
        self.engine.serve_to(&login(), locked);
        self.engine.serve_failure("127.0.0.1:1/nobody:1", PullFailure::RegistryUnavailable);
        let good = ("registry.test/good".into(), "1".into(), digest);
        let locked = ("registry.test/locked".into(), login());
        Registry { host: "registry.test".into(), good, locked, _servers: Vec::new() }
    }
}
