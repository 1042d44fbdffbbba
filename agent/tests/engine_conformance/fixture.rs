//! What a check needs of the world around an engine.

use std::time::Duration;

use async_trait::async_trait;
use redeploy_agent::docker::{Container, Engine, RegistryLogin};
use serde_json::{Value, json};

/// How long a check waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the test image's process prints.
pub(crate) const PRINTS: &str = "one\ntwo\nthree\n";

/// What one ends with that ends by itself.
pub(crate) const ENDS_WITH: i64 = 3;

/// Its file `/etc/motd`.
pub(crate) const MOTD: &[u8] = b"from the image\n";

/// Its file `/data/shipped`.
pub(crate) const SHIPPED: &[u8] = b"what the image puts into its volume\n";

/// Settings of the test image: two variables, a label, a user's working directory.
pub(crate) fn image_config() -> Value {
    json!({
        "Env": ["FROM_IMAGE=yes", "SHARED=image"], "Labels": { "from": "image", "shared": "image" }, "WorkingDir": "/etc",
        "Cmd": ["/bin/busybox", "sh", "-c",
            "trap 'exit 0' TERM; echo one; echo two; echo three; /bin/busybox sleep 1000 & wait"]
    })
}

/// Where pulls can be tried.
pub(crate) struct Registry {
    /// `host:port`, or what stands for it.
    pub(crate) host: String,
    /// `repository`, `tag`, `digest` of an image that is there.
    pub(crate) good: (String, String, String),
    /// The repository of an image `1` behind a login, and the login.
    pub(crate) locked: (String, RegistryLogin),
    /// Keeps servers alive.
    pub(crate) _servers: Vec<tokio_util::task::AbortOnDropHandle<()>>,
}

/// A login whose JSON has characters on which base64 and base64url differ, at every offset.
pub(crate) fn login() -> RegistryLogin {
    RegistryLogin { user: "me".into(), password: "~~~???>>>ÿÿÿ".into() }
}

/// An engine and the things around it.
#[async_trait]
pub(crate) trait Fixture: Send + Sync {
    /// The engine under test.
    fn engine(&self) -> &dyn Engine;

    /// The test image's reference.
    fn image(&self) -> String;

    /// The test image with `/data` declared a volume.
    fn image_with_volume(&self) -> String;

    /// A name nobody else has.
    fn name(&self, role: &str) -> String;

    /// A network of that name.
    fn add_network(&self, name: &str);

    /// To be removed in the end although its name is not the fixture's.
    fn clean_up_volume(&self, name: &str);

    /// A registry with one image, one for another processor (`other:1`) and one behind a login.
    async fn registry(&self) -> Registry;

    /// A create body for the test image, without a network.
    fn body(&self) -> Value {
        json!({ "Image": self.image(), "HostConfig": { "NetworkMode": "none" } })
    }

    /// The same of one that prints the same and then ends with [`ENDS_WITH`].
    fn body_of_one_that_ends(&self) -> Value;

    /// Creates a container of that role.
    async fn create(&self, role: &str, body: &Value) -> String {
        self.engine().create(&self.name(role), body).await.unwrap()
    }

    /// Inspects one that is there.
    async fn inspect(&self, id: &str) -> Container {
        self.engine().container(id).await.unwrap().unwrap()
    }
}
