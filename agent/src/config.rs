//! The agent's configuration: `/etc/redeploy/agent.toml`, then `REDEPLOY_…` variables over it.
//!
//! Flows in: a file's path and a way to read variables. Flows out: a [`Config`] with typed, checked values, or every
//! mistake at once. Must never be read anywhere else, and nothing else may read the environment.

mod error;
mod load;
mod settings;
mod value;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;

pub use self::error::{ConfigError, Place, Problem};
use self::load::Loading;
use self::settings::{PATH_LISTS, PRESERVE, SETTINGS};
use self::value::{Given, string_toml};
use crate::balancer::Rule;
use crate::preserve::Defaults;

/// Read when no other file is named; may be missing.
pub const DEFAULT_PATH: &str = "/etc/redeploy/agent.toml";

/// Variables over the file: `REDEPLOY_DATA_DIR` for `data_dir`, `REDEPLOY_PRESERVE_KEEP` (paths with `:` between
/// them) for `keep` in `[preserve]`.
pub const ENV_PREFIX: &str = "REDEPLOY_";

/// The commented file that is installed. Every line of it is a default.
pub const SAMPLE: &str = include_str!("../../packaging/agent.toml");

/// Longer files are no configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the agent works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Journals, plans and archives.
    pub data_dir: PathBuf,
    /// The engine's socket.
    pub docker_socket: PathBuf,
    /// gzip level of archives, 1 (fast) to 9 (small).
    pub compression_level: u32,
    /// Threads that compress; 0 = one per core.
    pub compression_threads: u32,
    /// How long archives and parked containers stay after a successful redeploy.
    pub retention_days: u32,
    /// Parked containers that stay per node.
    pub parked_max: u32,
    /// How long a new container may take to become healthy, unless its health check says otherwise.
    pub verify_timeout: Duration,
    /// How long a container without a health check must run before it counts as well.
    pub settle_time: Duration,
    /// Space that must stay free on every file system written to.
    pub disk_headroom_bytes: u64,
    /// Capture rounds while the old container serves.
    pub capture_rounds_max: u32,
    /// What is logged.
    pub log_level: LevelFilter,
    /// How it is logged.
    pub log_format: LogFormat,
    /// A collector of traces, OTLP over gRPC; `None` = none are sent.
    pub otlp_endpoint: Option<String>,
    /// Bind mounts are archived too.
    pub archive_binds: bool,
    /// Files and directories in one archive; `None` = no limit.
    pub entries_max: Option<u64>,
    /// Uncompressed bytes in one archive; `None` = only the disk is the limit.
    pub archive_bytes_max: Option<u64>,
    /// Where the load balancer takes orders; empty = there is none.
    pub balancer_socket: String,
    /// Which of its servers stands for which container; the first rule that fits counts.
    pub balancer_servers: Vec<Rule>,
    /// How long sessions may take to end before the old container is stopped all the same.
    pub drain_timeout: Duration,
    /// How long the balancer's checks may take to call the new container up.
    pub up_timeout: Duration,
    /// What is kept without being listed.
    pub preserve: Defaults,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The configuration nobody changed anything in.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/redeploy"),
            docker_socket: PathBuf::from("/var/run/docker.sock"),
            compression_level: 6,
            compression_threads: 0,
            retention_days: 7,
            parked_max: 1,
            verify_timeout: Duration::from_secs(5 * 60),
            settle_time: Duration::from_secs(10),
            disk_headroom_bytes: 1 << 30,
            capture_rounds_max: 5,
            log_level: LevelFilter::INFO,
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            archive_binds: false,
            entries_max: Some(10_000_000),
            archive_bytes_max: None,
            balancer_socket: String::new(),
            balancer_servers: Vec::new(),
            drain_timeout: Duration::from_secs(60),
            up_timeout: Duration::from_secs(60),
            preserve: Defaults::built_in(),
        }
    }

    /// Reads the file at `path`, or the one at [`DEFAULT_PATH`] if there is one, and the variables `env` knows.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake; nothing is used then.
    pub fn load(path: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut loading = Loading::new(Self::built_in());
        let at = path.unwrap_or(Path::new(DEFAULT_PATH));
        match read_text(at) {
            Ok(text) => loading.read_file(at, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_none() => {}
            Err(error) => {
                loading.problem(Place::File(at.to_owned()), "", format!("the file cannot be read: {error}"));
            }
        }
        loading.read_env(env);
        use_docker_host(&mut loading, env);
        check_together(&mut loading);
        if loading.problems.is_empty() {
            Ok(loading.config)
        } else {
            Err(ConfigError { problems: loading.problems })
        }
    }

    /// The configuration as a file that would bring it about.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for setting in &SETTINGS {
            text.push_str(&format!("{} = {}\n", setting.name, (setting.show)(self)));
        }
        text.push_str(&format!("\n[{PRESERVE}]\n"));
        let mut shown = self.clone();
        for list in &PATH_LISTS {
            text.push_str(&format!("{} = [\n", list.name));
            for path in (list.paths)(&mut shown) {
                let path = String::from_utf8_lossy(path.as_bytes());
                text.push_str(&format!("  {},\n", string_toml(path)));
            }
            text.push_str("]\n");
        }
        text
    }
}

/// The file's text. What is longer or not UTF-8 is an error.
fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|len| len <= FILE_BYTES_MAX) {
        Ok(text)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"))
    }
}

/// `DOCKER_HOST`, as for the engine's own client, unless the socket is set for us.
fn use_docker_host(loading: &mut Loading, env: &dyn Fn(&str) -> Option<String>) {
    const NAME: &str = "DOCKER_HOST";
    const KEY: &str = "docker_socket";
    if loading.places.contains_key(KEY) {
        return;
    }
    let Some(host) = env(NAME).filter(|host| !host.is_empty()) else { return };
    let socket = if host.starts_with("unix://") { Given::Env(&host).socket().ok() } else { None };
    match socket {
        Some(socket) => loading.config.docker_socket = socket,
        None => loading.problem(
            Place::Env(NAME.to_owned()),
            KEY,
            "this names no socket of this machine, and the agent works only on its own host; allowed is \
             \"unix:///path\", or set docker_socket",
        ),
    }
}

/// Settings that are right by themselves and wrong together. Says nothing about one that was not understood.
fn check_together(loading: &mut Loading) {
    let config = &loading.config;
    let is_sound = |key: &str| loading.problems.iter().all(|problem| problem.key != key);
    let mut found = Vec::new();
    if config.settle_time >= config.verify_timeout && is_sound("settle_time") && is_sound("verify_timeout") {
        found.push(("settle_time", "this must be shorter than verify_timeout".to_owned()));
    }
    for path in &config.preserve.keep {
        if config.preserve.is_engine_owned(path) {
            found.push(("preserve.keep", format!("{path} is in engine_owned, so it cannot be kept")));
        }
    }
    for (key, message) in found {
        let place = loading.places.get(key).cloned().unwrap_or(Place::BuiltIn);
        loading.problem(place, key, message);
    }
}

#[cfg(test)]
mod tests;
