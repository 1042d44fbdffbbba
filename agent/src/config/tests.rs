//! The file, the environment, and all mistakes at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::guest_path::GuestPath;

/// Loads `text` as agent.toml. In messages the file's directory is left out.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    crate::durable::write(&path, text.as_bytes()).unwrap();
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let env = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let prefix = format!("{}/", dir.path().display());
    Config::load(Some(&path), &env).map_err(|error| error.to_string().replace(&prefix, ""))
}

fn mistakes(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load(text, variables).unwrap_err().lines().map(str::to_owned).collect()
}

#[test]
fn nothing_set_is_the_built_in_configuration() {
    assert_eq!(load("", &[]).unwrap(), Config::built_in());
    assert_eq!(load("# only\n\n[preserve]\n", &[("REDEPLOY_DATA_DIR", "")]).unwrap(), Config::built_in());
}

#[test]
fn every_setting_can_be_set_in_the_file() {
    let text = r#"
        data_dir = "/srv/redeploy"
        docker_socket = "unix:///run/engine.sock"
        compression_level = 9
        compression_threads = 2
        retention_days = 0
        parked_max = 3
        verify_timeout = "1h 15m"
        settle_time = "500ms"
        disk_headroom = "512MiB"
        capture_rounds_max = 1
        log_level = "debug"
        log_format = "json"
        otlp_endpoint = "http://127.0.0.1:4317"
        archive_binds = true
        entries_max = 0
        archive_bytes_max = 5_000

        [balancer]
        socket = "tcp://127.0.0.1:9999"
        servers = ["shop/cp = be_shop_cp/node{nodeId}"]
        drain_timeout = "0s"
        up_timeout = "30s"

        [preserve]
        keep = ["/opt/agent//keys/"]
        exclude = []
        engine_owned = ["/proc"]
    "#;
    let config = load(text, &[]).unwrap();
    let path = |text: &str| GuestPath::new(text).unwrap();
    assert_eq!(
        config,
        Config {
            data_dir: PathBuf::from("/srv/redeploy"),
            docker_socket: PathBuf::from("/run/engine.sock"),
            compression_level: 9,
            compression_threads: 2,
            retention_days: 0,
            parked_max: 3,
            verify_timeout: Duration::from_secs(75 * 60),
            settle_time: Duration::from_millis(500),
            disk_headroom_bytes: 512 << 20,
            capture_rounds_max: 1,
            log_level: LevelFilter::DEBUG,
            log_format: LogFormat::Json,
            otlp_endpoint: Some("http://127.0.0.1:4317".to_owned()),
            archive_binds: true,
            entries_max: None,
            archive_bytes_max: Some(5_000),
            balancer_socket: "tcp://127.0.0.1:9999".to_owned(),
            balancer_servers: vec![Rule::parse("shop/cp = be_shop_cp/node{nodeId}").unwrap()],
            drain_timeout: Duration::ZERO,
            up_timeout: Duration::from_secs(30),
            preserve: Defaults {
                keep: vec![path("/opt/agent/keys")],
                exclude: vec![],
                engine_owned: vec![path("/proc")]
            },
        }
    );
    assert_eq!(load(&config.describe(), &[]).unwrap(), config, "what is described can be loaded");
}

#[test]
fn the_environment_wins() {
    let text = "data_dir = \"/srv/a\"\ncompression_level = 2\n";
    let variables = [
        ("REDEPLOY_DATA_DIR", "/srv/b"),
        ("REDEPLOY_COMPRESSION_LEVEL", "7"),
        ("REDEPLOY_ARCHIVE_BINDS", "true"),
        ("REDEPLOY_DISK_HEADROOM", "2 GiB"),
        ("REDEPLOY_SETTLE_TIME", "3s"),
        ("REDEPLOY_PRESERVE_KEEP", "/a:/b/c"),
    ];
    let config = load(text, &variables).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/srv/b"));
    assert_eq!((config.compression_level, config.archive_binds), (7, true));
    assert_eq!(config.disk_headroom_bytes, 2 << 30);
    assert_eq!(config.settle_time, Duration::from_secs(3));
    assert_eq!(config.preserve.keep.len(), 2);
    assert_eq!(config.preserve.exclude, Defaults::built_in().exclude);
}

#[test]
fn docker_host_counts_unless_the_socket_is_set() {
    let host = [("DOCKER_HOST", "unix:///run/user/docker.sock")];
    assert_eq!(load("", &host).unwrap().docker_socket, PathBuf::from("/run/user/docker.sock"));
    let set = "docker_socket = \"/run/mine.sock\"";
    assert_eq!(load(set, &host).unwrap().docker_socket, PathBuf::from("/run/mine.sock"));
    let remote = [("DOCKER_HOST", "tcp://user:hunter2@far:2376")];
    assert_eq!(load(set, &remote).unwrap().docker_socket, PathBuf::from("/run/mine.sock"));
    let told = mistakes("", &remote);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("DOCKER_HOST: docker_socket: this names no socket"), "{told:?}");
    assert!(!told[0].contains("hunter2"));
}

#[test]
fn all_mistakes_are_reported_at_once_with_line_and_key() {
    let text = r#"data_dir = "relative"
compression_level = 10
compression_threads = "two"
retention_days = -1
verify_timeout = 5
settle_time = "10 parsecs"
disk_headroom = "1GB"
log_level = "loud"
archive_binds = "yes"
datadir = "/typo"
capture_rounds_max = 99999999999999999999

[preserve]
keep = [
  "/fine",
  "relative",
  7,
  "/a/../b",
  "/",
]
exclude = "/one"
kep = []

[other]
x = 1
"#;
    let told = mistakes(text, &[("REDEPLOY_PARKED_MAX", "many"), ("REDEPLOY_SETTLE_TIME", "2d")]);
    let expected = include_str!("testdata/mistakes.txt");
    assert_eq!(told.join("\n") + "\n", expected, "as printed:\n{}", told.join("\n"));
}

#[test]
fn broken_toml_is_reported_beside_other_mistakes() {
    let told = mistakes("data_dir = \nlog_level = \"loud\"\nparked_max = 1\nparked_max = 2\n", &[]);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("agent.toml:1: this is not TOML: "), "{told:#?}");
    assert!(told[1].starts_with("agent.toml:2: log_level: \"loud\" is no level"), "{told:#?}");
    assert!(told[2].starts_with("agent.toml:4: this is not TOML: "), "{told:#?}");
}

#[test]
fn a_strange_key_cannot_forge_a_line() {
    let told = mistakes("\"a\\nagent.toml:9\" = 1\n[preserve]\n\"b\\u001b\" = []\n", &[]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("agent.toml:1: a\\nagent.toml:9: there is no such setting"), "{told:#?}");
    assert!(!told[1].contains('\x1b'));
}

#[test]
fn settings_that_do_not_fit_together_are_reported_where_they_were_made() {
    let told = mistakes("verify_timeout = \"5s\"\nsettle_time = \"5s\"\n", &[]);
    assert_eq!(told, ["agent.toml:2: settle_time: this must be shorter than verify_timeout"]);
    let told = mistakes("verify_timeout = 5\nsettle_time = \"10m\"\n", &[]);
    assert_eq!(told.len(), 1, "nothing is said about a value that was not understood: {told:#?}");
    let told = mistakes("", &[("REDEPLOY_VERIFY_TIMEOUT", "5s")]);
    assert_eq!(told, ["built-in default: settle_time: this must be shorter than verify_timeout"]);
    let told = mistakes("[preserve]\nkeep = [\"/proc/x\"]\n", &[]);
    assert_eq!(told, ["agent.toml:2: preserve.keep: /proc/x is in engine_owned, so it cannot be kept"]);
}

#[test]
fn a_named_file_must_exist_and_be_readable() {
    let dir = tempfile::tempdir().unwrap();
    let none = |_: &str| None;
    let absent = dir.path().join("absent.toml");
    let told = Config::load(Some(&absent), &none).unwrap_err().to_string();
    assert!(told.contains("absent.toml: the file cannot be read: "), "{told}");
    let told = Config::load(Some(dir.path()), &none).unwrap_err().to_string();
    assert!(told.contains(": the file cannot be read: "), "{told}");

    let binary = dir.path().join("binary.toml");
    crate::durable::write(&binary, b"data_dir = \"/\xff\"").unwrap();
    assert!(Config::load(Some(&binary), &none).is_err());
    let huge = dir.path().join("huge.toml");
    crate::durable::write(&huge, &vec![b'#'; (1 << 20) + 1]).unwrap();
    let told = Config::load(Some(&huge), &none).unwrap_err().to_string();
    assert!(told.contains("larger than 1 MiB"), "{told}");
}

#[test]
fn the_installed_file_shows_every_setting_at_its_default() {
    assert_eq!(load(SAMPLE, &[]).unwrap(), Config::built_in(), "as installed it changes nothing");

    // Prose has a blank after its "#", settings have none, or two within a list.
    let is_prose = |line: &str| line == "#" || (line.starts_with("# ") && !line.starts_with("#  "));
    let lines = SAMPLE.lines().filter(|line| !is_prose(line));
    let text: String = lines.map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line))).collect();
    assert_eq!(load(&text, &[]).unwrap(), Config::built_in());

    let table: toml::Table = text.parse().unwrap();
    for setting in &SETTINGS {
        let is_there = match setting.name.split_once('.') {
            Some((outer, inner)) => table[outer].as_table().unwrap().contains_key(inner),
            None => table.contains_key(setting.name),
        };
        assert!(is_there, "{} is not in the installed file", setting.name);
    }
    for list in &PATH_LISTS {
        assert!(table[PRESERVE].as_table().unwrap().contains_key(list.name), "{}", list.name);
    }
    let in_tables = SETTINGS.iter().filter(|setting| setting.name.contains('.')).count();
    assert_eq!(table.len(), SETTINGS.len() - in_tables + 2);
}
