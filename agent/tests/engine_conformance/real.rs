//! The machine's own engine as a fixture, and the broom that follows it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use redeploy_agent::docker::{Engine, HostView, RealEngine};
use serde_json::{Value, json};

use crate::fixture::{ENDS_WITH, Fixture, MOTD, Registry, SHIPPED, image_config};
use crate::registry;

/// The engine, with everything of ours under one prefix.
pub(crate) struct Real {
    engine: RealEngine,
    prefix: String,
    volumes: Mutex<Vec<String>>,
    /// `host:port` of the registries pulled from.
    registries: Mutex<Vec<String>>,
}

impl Real {
    pub(crate) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let socket = Path::new("unix:///var/run/docker.sock");
        let engine = RealEngine::connect(socket, HostView::detect()).await.unwrap();
        let prefix = format!("rdc-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let real = Self { engine, prefix, volumes: Mutex::default(), registries: Mutex::default() };
        real.import(&real.image(), &[]);
        real.import(&real.image_with_volume(), &["VOLUME /data"]);
        real
    }

    /// Makes an image of one layer that no other test shares.
    fn import(&self, reference: &str, more: &[&str]) {
        let config = image_config();
        let mut changes = vec![format!("CMD {}", config["Cmd"]), "WORKDIR /etc".to_owned()];
        changes
            .extend(config["Env"].as_array().unwrap().iter().map(|v| format!("ENV {}", v.as_str().unwrap())));
        let labels = config["Labels"].as_object().unwrap().iter();
        changes.extend(labels.map(|(key, value)| format!("LABEL {key}={value}")));
        changes.extend(more.iter().map(|change| (*change).to_owned()));
        let mut args = vec!["import".to_owned()];
        for change in changes {
            args.extend(["-c".to_owned(), change]);
        }
        args.extend(["-".to_owned(), reference.to_owned()]);
        docker(&args, &layer(reference));
    }
}

/// The tar of the image's one layer.
pub(crate) fn layer(unique: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for dir in ["bin/", "etc/", "data/", "proc/", "sys/", "dev/"] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        tar.append_data(&mut header, dir, std::io::empty()).unwrap();
    }
    let busybox = std::fs::read("/bin/busybox").unwrap();
    for (path, mode, bytes) in [
        ("bin/busybox", 0o755, busybox.as_slice()),
        ("etc/motd", 0o644, MOTD),
        ("data/shipped", 0o644, SHIPPED),
        ("etc/unique", 0o644, unique.as_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Runs the docker command line; answers its output.
#[expect(clippy::disallowed_methods, reason = "tests arrange and tidy with the tool people use")]
fn docker(args: &[String], input: &[u8]) -> String {
    let mut child = Command::new("docker")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// Removes what `list` lists, by `remove`.
fn sweep(list: &[&str], remove: &[&str]) {
    let found = docker(&words(list), &[]);
    let mut args = words(remove);
    args.extend(found.split_whitespace().map(str::to_owned));
    if args.len() > remove.len() {
        docker(&args, &[]);
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let named = format!("name=^/?{}-", self.prefix);
        sweep(&["ps", "-aq", "--filter", &named], &["rm", "-fv"]);
        sweep(
            &["volume", "ls", "-q", "--filter", &format!("name={}-", self.prefix)],
            &["volume", "rm", "-f"],
        );
        sweep(&["network", "ls", "-q", "--filter", &format!("name={}-", self.prefix)], &["network", "rm"]);
        for volume in self.volumes.lock().unwrap().iter() {
            docker(&words(&["volume", "rm", "-f", volume]), &[]);
        }
        let own = format!("reference={}-*", self.prefix);
        sweep(&["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", &own], &["rmi", "-f"]);
        for host in self.registries.lock().unwrap().iter() {
            let pulled = format!("reference={host}/*");
            sweep(&["images", "-q", "--no-trunc", "--filter", &pulled], &["rmi", "-f"]);
        }
    }
}

#[async_trait]
impl Fixture for Real {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn image(&self) -> String {
        format!("{}-app:1", self.prefix)
    }

    fn image_with_volume(&self) -> String {
        format!("{}-volume:1", self.prefix)
    }

    fn name(&self, role: &str) -> String {
        format!("{}-{role}", self.prefix)
    }

    fn body_of_one_that_ends(&self) -> Value {
        let mut body = self.body();
        let says = format!("echo one; echo two; echo three; exit {ENDS_WITH}");
        body["Cmd"] = json!(["/bin/busybox", "sh", "-c", says]);
        body
    }

    fn add_network(&self, name: &str) {
        docker(&words(&["network", "create", name]), &[]);
    }

    fn clean_up_volume(&self, name: &str) {
        self.volumes.lock().unwrap().push(name.to_owned());
    }

    async fn registry(&self) -> Registry {
        let registry = registry::serve(&layer(&self.prefix)).await;
        let hosts = [registry.host.clone(), registry.locked.0.replace("/good", "")];
        self.registries.lock().unwrap().extend(hosts);
        registry
    }
}
