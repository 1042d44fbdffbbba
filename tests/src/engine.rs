//! The engine as a user meets it: the `docker` command.
//!
//! Flows in: the words of a command. Flows out: what it printed, or an error with what it complained. Must never
//! be used by the agent, which speaks the engine's API: the tests look at the same engine from another side.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The `docker` command.
#[derive(Debug, Clone, Copy, Default)]
pub struct Docker;

impl Docker {
    /// Runs `docker` with these words and gives its standard output without the last line end.
    ///
    /// # Errors
    /// It failed; the error carries its complaint.
    pub fn call(&self, words: &[&str]) -> Result<String> {
        self.call_with(words, b"")
    }

    /// As [`Docker::call`], with something to read on its standard input.
    ///
    /// # Errors
    /// As [`Docker::call`].
    pub fn call_with(&self, words: &[&str], input: &[u8]) -> Result<String> {
        let output = self.output(words, input)?;
        let text = String::from_utf8_lossy(&output);
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// As [`Docker::call`], for output that is no text.
    ///
    /// # Errors
    /// As [`Docker::call`].
    pub fn call_bytes(&self, words: &[&str]) -> Result<Vec<u8>> {
        self.output(words, b"")
    }

    fn output(&self, words: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let mut child = Command::new("docker")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start `docker`: run `make need` first")?;
        let mut stdin = child.stdin.take().context("no pipe for stdin")?;
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // A command that fails early does not read on; its complaint says more than the broken pipe.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output()
        })?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`docker {}`: {}", words.join(" "), complaint.trim());
        Ok(output.stdout)
    }

    /// Everything the engine knows of a container.
    ///
    /// # Errors
    /// There is no such container.
    pub fn inspect(&self, container: &str) -> Result<Value> {
        self.inspect_kind("container", container)
    }

    /// Everything the engine knows of an object: `container`, `image`, `volume`, `network`.
    ///
    /// # Errors
    /// There is no such object.
    pub fn inspect_kind(&self, kind: &str, name: &str) -> Result<Value> {
        let text = self.call(&[kind, "inspect", name])?;
        let mut found: Vec<Value> = serde_json::from_str(&text)?;
        found.pop().with_context(|| format!("inspecting {kind} {name} gave nothing"))
    }

    /// Is there an object of this kind and name?
    ///
    /// # Errors
    /// The engine could not be asked.
    pub fn exists(&self, kind: &str, name: &str) -> Result<bool> {
        match self.inspect_kind(kind, name) {
            Ok(_) => Ok(true),
            Err(error) => {
                let text = error.to_string().to_lowercase();
                if text.contains("no such") || text.contains("not found") { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Runs a command in a container.
    ///
    /// # Errors
    /// It failed, or the container does not run.
    pub fn exec(&self, container: &str, words: &[&str]) -> Result<String> {
        self.call(&[&["exec", container], words].concat())
    }

    /// `running`, `exited`, `created`, …
    ///
    /// # Errors
    /// There is no such container.
    pub fn state(&self, container: &str) -> Result<String> {
        text_at(&self.inspect(container)?, "/State/Status")
    }

    /// Both outputs of a container so far.
    ///
    /// # Errors
    /// There is no such container.
    pub fn logs(&self, container: &str) -> Result<String> {
        let output = Command::new("docker").args(["logs", container]).output()?;
        ensure!(
            output.status.success(),
            "no logs of {container}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// The root of a running container as the host sees it. Absolute links in it lead out of the container.
    ///
    /// # Errors
    /// There is no such container, or it does not run.
    pub fn root(&self, container: &str) -> Result<PathBuf> {
        let pid = self.inspect(container)?.pointer("/State/Pid").and_then(Value::as_u64).unwrap_or(0);
        ensure!(pid > 0, "{container} does not run");
        Ok(PathBuf::from(format!("/proc/{pid}/root/")))
    }

    /// Creates a container by the engine's API, for what a newer `docker` command does not say to an older engine.
    ///
    /// # Errors
    /// The engine refused.
    pub fn create_by_api(&self, name: &str, body: &Value) -> Result<()> {
        let body = body.to_string();
        let mut stream = UnixStream::connect("/var/run/docker.sock")?;
        write!(
            stream,
            "POST /v1.41/containers/create?name={name} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 201 "), "creating {name}: {answer}");
        Ok(())
    }

    /// Where the host keeps a volume's files.
    ///
    /// # Errors
    /// There is no such volume.
    pub fn mountpoint(&self, volume: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(text_at(&self.inspect_kind("volume", volume)?, "/Mountpoint")?))
    }

    /// Where a running container's port is reached: its own address on the first network that gives it one.
    ///
    /// # Errors
    /// There is no such container, or it has no address.
    pub fn address(&self, container: &str, port: u16) -> Result<SocketAddr> {
        let inspected = self.inspect(container)?;
        let networks = inspected.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
        let address = networks
            .into_iter()
            .flat_map(|networks| networks.values())
            .filter_map(|network| network.get("IPAddress")?.as_str()?.parse().ok())
            .next()
            .with_context(|| format!("{container} has no address"))?;
        Ok(SocketAddr::new(address, port))
    }

    /// Where the host reaches a port that was published on the loopback address.
    ///
    /// # Errors
    /// There is no such container, or the port is not published.
    pub fn published(&self, container: &str, port: u16) -> Result<SocketAddr> {
        let text = self.call(&["port", container, &port.to_string()])?;
        let line = text.lines().next().context("the port is not published")?;
        Ok(line.replace("0.0.0.0", "127.0.0.1").parse()?)
    }
}

/// The text at a JSON pointer such as `/State/Status`.
///
/// # Errors
/// There is none.
pub fn text_at(value: &Value, pointer: &str) -> Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no text at {pointer}"))?.to_owned())
}
