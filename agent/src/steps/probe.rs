//! The operator's own question to a new container: does it answer?

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::docker::{Container, Engine};
use crate::plan::Probe;

/// One attempt takes no longer than this.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Enough of an answer to hold its status line.
const STATUS_LINE_BYTES: usize = 64;

/// Asks once.
pub(super) async fn answers(engine: &dyn Engine, probe: &Probe, container: &Container) -> bool {
    let asked = async {
        let (Probe::Http { host, .. } | Probe::Tcp { host, .. }) = probe;
        let host = if host.is_empty() { address(engine, container).await? } else { host.clone() };
        ask(probe, &host).await.ok()
    };
    tokio::time::timeout(ATTEMPT, asked).await.ok().flatten().unwrap_or(false)
}

/// Where the container itself is reached: in the network of another one, that is the other's address.
async fn address(engine: &dyn Engine, container: &Container) -> Option<String> {
    let mode = container.raw()["HostConfig"]["NetworkMode"].as_str().unwrap_or("");
    match mode.strip_prefix("container:") {
        Some(other) => engine.container(other).await.ok().flatten().as_ref().and_then(own_address),
        None => own_address(container),
    }
}

/// The first address of a container's own network.
fn own_address(container: &Container) -> Option<String> {
    if container.raw()["HostConfig"]["NetworkMode"] == "host" {
        return Some("127.0.0.1".to_owned());
    }
    let networks = container.raw()["NetworkSettings"]["Networks"].as_object()?;
    let of = |field: &'static str| {
        let text = move |endpoint: &Value| endpoint[field].as_str().map(str::to_owned);
        networks.values().filter_map(text).find(|text| !text.is_empty())
    };
    of("IPAddress").or_else(|| of("GlobalIPv6Address"))
}

async fn ask(probe: &Probe, host: &str) -> std::io::Result<bool> {
    let (Probe::Http { port, .. } | Probe::Tcp { port, .. }) = probe;
    let mut stream = TcpStream::connect((host, *port)).await?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match probe {
        Probe::Tcp { .. } => Ok(true),
        Probe::Http { path, .. } => {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut head = Vec::new();
            stream.take(STATUS_LINE_BYTES as u64).read_to_end(&mut head).await?;
            Ok(is_good_status(&head))
        }
    }
}

/// `HTTP/1.x` and a status from 200 to 399.
fn is_good_status(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let mut words = text.split_ascii_whitespace();
    let version = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    version
        && words
            .next()
            .and_then(|code| code.parse::<u16>().ok())
            .is_some_and(|code| (200..400).contains(&code))
}

#[cfg(test)]
mod tests {
    use super::is_good_status;

    #[test]
    fn only_success_and_redirects_are_answers() {
        assert!(is_good_status(b"HTTP/1.1 200 OK\r\n"));
        assert!(is_good_status(b"HTTP/1.0 302 Found"));
        for bad in [&b"HTTP/1.1 503 Down"[..], b"HTTP/1.1 2000", b"SSH-2.0-x", b"", b"HTTP/1.1"] {
            assert!(!is_good_status(bad), "{bad:?}");
        }
    }
}
