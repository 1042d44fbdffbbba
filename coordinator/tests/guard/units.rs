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
        // What it checks is there on every machine; the programs are not yet.
        let there = unit
            .replace(command, "/bin/true")
            .replace("Documentation=man:", "Documentation=https://example.invalid/");
        std::fs::write(dir.path().join(name), there).unwrap();
    }
    let Ok(found) = Command::new("systemd-analyze").arg("--version").output() else {
        // A machine without systemd cannot run these units either.
        return;
    };
    assert!(found.status.success());
    let files = UNITS.map(|(name, ..)| dir.path().join(name));
    let checked = Command::new("systemd-analyze").arg("verify").args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    let ours: Vec<&str> =
        said.lines().filter(|line| UNITS.iter().any(|(name, ..)| line.contains(name))).collect();
    assert!(checked.status.success() && ours.is_empty(), "{said}");
}
