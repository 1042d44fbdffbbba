//! An engine of long ago: a socket that answers as it would.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use anyhow::Result;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;

use crate::untouched::refused;

/// Answers every request as Docker Engine 19.03 answers `/version` and `/_ping`.
fn answer(mut stream: UnixStream) -> std::io::Result<()> {
    let body =
        r#"{"Version":"19.03.15","ApiVersion":"1.40","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\nApi-Version: 1.40\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(line) = lines.next().transpose()? {
        if line.is_empty() {
            stream.write_all(format!("{head}{body}").as_bytes())?;
        }
    }
    Ok(())
}

#[test]
fn an_engine_that_is_too_old() -> Result<()> {
    let sandbox = Sandbox::new("old engine")?;
    let socket = sandbox.path().join("old.sock");
    let listener = UnixListener::bind(&socket)?;
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    let toml = format!("docker_socket = {:?}\n", socket.display().to_string());
    let operator = Operator::configured(&sandbox, &toml)?;
    let expected = ["19.03.15", "1.40", "20.10"];
    refused(&sandbox, &expected, || operator.redeploy("web", "busybox", &[]))?;
    refused(&sandbox, &expected, || operator.revert("web", &[]))
}
