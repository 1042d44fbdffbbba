//! The operator's own question to a new container: does it answer?

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::verify::first_address;
use crate::docker::Container;
use crate::plan::Probe;

/// One attempt takes no longer than this.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Enough of an answer to hold its status line.
const STATUS_LINE_BYTES: usize = 64;

/// Asks once.
pub(super) async fn answers(probe: &Probe, container: &Container) -> bool {
    tokio::time::timeout(ATTEMPT, ask(probe, container)).await.is_ok_and(|answer| answer.unwrap_or(false))
}

async fn ask(probe: &Probe, container: &Container) -> std::io::Result<bool> {
    let (Probe::Http { host, port, .. } | Probe::Tcp { host, port }) = probe;
    let host = if host.is_empty() { first_address(container).unwrap_or_default() } else { host.clone() };
    let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
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
