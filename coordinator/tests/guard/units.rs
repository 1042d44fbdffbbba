//! The units that are installed: what they promise about the programs, and that systemd understands them.

#![expect(clippy::disallowed_methods, reason = "a test writes plain files and runs systemd's own check")]

use std::process::Command;

const UNITS: [(&str, &str, &str); 2] = [
    (
        "redeploy-coordinator.service",
        include_str!("../../../packaging/redeploy-coordinator.service"),
        "/usr/bin/redeploy-coordinator",
    ),
    (
        "redeploy-agent.service",
        include_str!("../../../packaging/redeploy-agent.service"),
        "/usr/bin/redeploy-agent run",
    ),
];

/// Where no `run` prunes.
const PRUNING: [(&str, &str); 2] = [
    ("redeploy-agent-prune.service", include_str!("../../../packaging/redeploy-agent-prune.service")),
    ("redeploy-agent-prune.timer", include_str!("../../../packaging/redeploy-agent-prune.timer")),
];

#[test]
fn units_promise_what_the_programs_keep_and_systemd_understands_them() {
    let dir = tempfile::tempdir().unwrap();
    for (name, unit, command) in UNITS {
        let has = |line: &str| unit.lines().any(|other| other == line);
        assert!(has("Type=notify") && has(&format!("ExecStart={command}")), "{name}");
        assert!(
            unit.contains("\nWatchdogSec=") && unit.contains("\nRestartPreventExitStatus=2 64"),
            "{name}"
        );
        std::fs::write(dir.path().join(name), as_if_installed(unit, command)).unwrap();
    }
    for (name, unit) in PRUNING {
        std::fs::write(dir.path().join(name), as_if_installed(unit, "/usr/bin/redeploy-agent prune"))
            .unwrap();
    }
    let names: Vec<&str> =
        UNITS.iter().map(|(name, ..)| *name).chain(PRUNING.iter().map(|(name, _)| *name)).collect();
    let files = names.iter().map(|name| dir.path().join(name));
    let checked = Command::new("systemd-analyze").arg("verify").args(files).output();
    let checked = checked.expect("systemd-analyze cannot be run: `scripts/need test` installs it");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| names.iter().any(|name| line.contains(name))).collect();
    assert!(checked.status.success() && ours.is_empty(), "{said}");
}

/// What systemd checks is there on every machine; the programs and their manual pages are not yet.
fn as_if_installed(unit: &str, command: &str) -> String {
    assert!(
        unit.lines().all(|line| !line.starts_with("ExecStart=") || line == format!("ExecStart={command}"))
    );
    unit.replace(command, "/bin/true").replace("Documentation=man:", "Documentation=https://example.invalid/")
}
