//! The table of settings: one row each, with how it is read and shown. The file, the environment and the printed
//! configuration all go through it.

use std::time::Duration;

use super::value::{Given, duration_toml, size_toml, string_toml};
use super::{Config, LogFormat};
use crate::guest_path::GuestPath;

/// A setting with one value.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// Puts a value where it belongs, or says what is wrong with it.
    pub(super) read: fn(&mut Config, Given<'_>) -> Result<(), String>,
    /// The value as TOML.
    pub(super) show: fn(&Config) -> String,
}

/// A list of paths in the table `[preserve]`.
pub(super) struct PathList {
    pub(super) name: &'static str,
    pub(super) paths: fn(&mut Config) -> &mut Vec<GuestPath>,
}

/// The table that holds the path lists.
pub(super) const PRESERVE: &str = "preserve";

pub(super) const PATH_LISTS: [PathList; 3] = [
    PathList { name: "keep", paths: |config| &mut config.preserve.keep },
    PathList { name: "exclude", paths: |config| &mut config.preserve.exclude },
    PathList { name: "engine_owned", paths: |config| &mut config.preserve.engine_owned },
];

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) const SETTINGS: [Setting; 20] = [
    Setting {
        name: "data_dir",
        read: |config, given| put(&mut config.data_dir, given.path()),
        show: |config| string_toml(config.data_dir.to_string_lossy()),
    },
    Setting {
        name: "docker_socket",
        read: |config, given| put(&mut config.docker_socket, given.socket()),
        show: |config| string_toml(config.docker_socket.to_string_lossy()),
    },
    Setting {
        name: "compression_level",
        read: |config, given| put(&mut config.compression_level, given.whole_u32(1..=9)),
        show: |config| config.compression_level.to_string(),
    },
    Setting {
        name: "compression_threads",
        read: |config, given| put(&mut config.compression_threads, given.whole_u32(0..=256)),
        show: |config| config.compression_threads.to_string(),
    },
    Setting {
        name: "retention_days",
        read: |config, given| put(&mut config.retention_days, given.whole_u32(0..=3650)),
        show: |config| config.retention_days.to_string(),
    },
    Setting {
        name: "parked_max",
        read: |config, given| put(&mut config.parked_max, given.whole_u32(0..=10)),
        show: |config| config.parked_max.to_string(),
    },
    Setting {
        name: "verify_timeout",
        read: |config, given| put(&mut config.verify_timeout, given.duration(SECOND..=DAY)),
        show: |config| duration_toml(config.verify_timeout),
    },
    Setting {
        name: "settle_time",
        read: |config, given| put(&mut config.settle_time, given.duration(Duration::ZERO..=HOUR)),
        show: |config| duration_toml(config.settle_time),
    },
    Setting {
        name: "disk_headroom",
        read: |config, given| put(&mut config.disk_headroom_bytes, given.size()),
        show: |config| size_toml(config.disk_headroom_bytes),
    },
    Setting {
        name: "capture_rounds_max",
        read: |config, given| put(&mut config.capture_rounds_max, given.whole_u32(1..=100)),
        show: |config| config.capture_rounds_max.to_string(),
    },
    Setting {
        name: "log_level",
        read: |config, given| put(&mut config.log_level, given.log_level()),
        show: |config| string_toml(config.log_level.to_string()),
    },
    Setting {
        name: "log_format",
        read: |config, given| put(&mut config.log_format, given.log_format()),
        show: |config| {
            string_toml(match config.log_format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            })
        },
    },
    Setting {
        name: "otlp_endpoint",
        read: |config, given| put(&mut config.otlp_endpoint, given.collector()),
        show: |config| string_toml(config.otlp_endpoint.clone().unwrap_or_default()),
    },
    Setting {
        name: "archive_binds",
        read: |config, given| put(&mut config.archive_binds, given.flag()),
        show: |config| config.archive_binds.to_string(),
    },
    Setting {
        name: "entries_max",
        read: |config, given| {
            put(&mut config.entries_max, given.whole(0..=u64::from(u32::MAX)).map(unless_zero))
        },
        show: |config| config.entries_max.unwrap_or(0).to_string(),
    },
    Setting {
        name: "archive_bytes_max",
        read: |config, given| put(&mut config.archive_bytes_max, given.size().map(unless_zero)),
        show: |config| size_toml(config.archive_bytes_max.unwrap_or(0)),
    },
    Setting {
        name: "balancer.socket",
        read: |config, given| put(&mut config.balancer_socket, given.balancer()),
        show: |config| string_toml(config.balancer_socket.clone()),
    },
    Setting {
        name: "balancer.servers",
        read: |config, given| put(&mut config.balancer_servers, given.rules()),
        show: |config| {
            let rules = config.balancer_servers.iter().map(|rule| string_toml(rule.to_string()));
            format!("[{}]", rules.collect::<Vec<_>>().join(", "))
        },
    },
    Setting {
        name: "balancer.drain_timeout",
        read: |config, given| put(&mut config.drain_timeout, given.duration(Duration::ZERO..=DAY)),
        show: |config| duration_toml(config.drain_timeout),
    },
    Setting {
        name: "balancer.up_timeout",
        read: |config, given| put(&mut config.up_timeout, given.duration(SECOND..=HOUR)),
        show: |config| duration_toml(config.up_timeout),
    },
];

/// The table of the settings whose names begin so.
pub(super) const BALANCER: &str = "balancer";

fn put<T>(slot: &mut T, value: Result<T, String>) -> Result<(), String> {
    *slot = value?;
    Ok(())
}

/// Zero stands for "no limit".
fn unless_zero(limit: u64) -> Option<u64> {
    (limit > 0).then_some(limit)
}
