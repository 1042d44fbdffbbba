//! A real HAProxy for one test: Debian's package, a configuration made here, free ports, gone with the value.
//!
//! Must never touch an HAProxy it did not start.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::http::Http;
use crate::process::Running;
use crate::wait;

/// One HAProxy with one backend, `be`.
#[derive(Debug)]
pub struct Haproxy {
    _process: Running,
    socket: PathBuf,
    front: SocketAddr,
}

impl Haproxy {
    /// Starts one with these servers, each `NAME ADDRESS:PORT OPTIONS`, and waits until it answers.
    ///
    /// # Errors
    /// It is not installed, or did not start.
    pub fn start(dir: &Path, servers: &[String]) -> Result<Self> {
        let front = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let (socket, config) = (dir.join("haproxy.sock"), dir.join("haproxy.cfg"));
        let servers: String = servers.iter().map(|server| format!("  server {server}\n")).collect();
        let text = format!(
            "global\n  stats socket {} mode 600 level admin\ndefaults\n  mode http\n  retries 0\n  timeout connect 2s\n  \
             timeout client 60s\n  timeout server 60s\nfrontend front\n  bind {front}\n  default_backend be\nbackend be\n{servers}",
            socket.display()
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new("haproxy");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("-db").arg("-f").arg(&config);
        let process = Running::spawn(command).context("no haproxy: run `make need` first")?;
        let haproxy = Self { _process: process, socket, front };
        wait::until(wait::PATIENCE, "haproxy to answer", || {
            Ok(haproxy.ask("show info")?.contains("Version"))
        })?;
        Ok(haproxy)
    }

    /// Its admin socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A client at its front.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(self.front)
    }

    /// One command of the runtime API.
    ///
    /// # Errors
    /// It did not answer.
    pub fn ask(&self, command: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Address, operational and administrative state of a server; `2` and `0` are up and ready.
    ///
    /// # Errors
    /// There is none.
    pub fn state(&self, server: &str) -> Result<(String, String, String)> {
        let answer = self.ask("show servers state be")?;
        let rows = answer.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let row = rows.into_iter().find(|row| row.get(3) == Some(&server));
        let word = |at: usize| row.as_ref().and_then(|row| row.get(at)).map(|word| (*word).to_owned());
        (|| Some((word(4)?, word(5)?, word(6)?)))().with_context(|| format!("no server {server}: {answer}"))
    }
}
