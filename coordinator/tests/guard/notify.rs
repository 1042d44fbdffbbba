//! The program under a service manager: ready when it serves, alive while its driver answers, stopping when told to.

#![expect(clippy::disallowed_methods, reason = "a test starts the program")]

use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::house::PATIENCE;

/// A program that never outlives its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads datagrams until one has this line, and gives all lines before it.
fn until(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen.iter().any(|line| line == wanted) {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}; {seen:?}"));
        seen.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
    }
    seen
}

#[test]
fn a_service_manager_is_told_that_it_is_ready_alive_and_stopping_and_logs_are_json_if_asked() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_redeploy-coordinator"));
    command.arg("--data-dir").arg(dir.path().join("data"));
    command.args(["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", "--log-format", "json"]);
    command.env("NOTIFY_SOCKET", dir.path().join("notify")).env("WATCHDOG_USEC", "400000");
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut program = Program(child);

    assert_eq!(until(&socket, "READY=1"), ["READY=1"], "ready comes first, when it serves");
    for _ in 0..3 {
        let told = until(&socket, "WATCHDOG=1");
        assert!(
            told.iter().all(|line| line == "WATCHDOG=1" || line.starts_with("STATUS=0 hosts")),
            "{told:?}"
        );
    }
    let pid = Pid::from_child(&program.0);
    kill_process(pid, Signal::TERM).unwrap();
    until(&socket, "STOPPING=1");
    assert_eq!(program.0.wait().unwrap().code(), Some(0));

    let mut log = String::new();
    program.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().any(|line| line["message"] == "ready" && line["level"] == "INFO"), "{log}");
}
