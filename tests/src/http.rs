//! A small blocking HTTP client for the subject: one request per connection.
//!
//! Flows in: an address, a path. Flows out: status and body. Must never retry by itself: a refused connection is
//! what tests of downtime count.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How long a connection or a single read may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that speaks HTTP/1.1 and closes the connection after its answer.
#[derive(Debug, Clone, Copy)]
pub struct Http {
    address: SocketAddr,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code, such as 200.
    pub status: u16,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body for people.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Http {
    /// A client; nothing is sent yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Fetches a page.
    ///
    /// # Errors
    /// No connection, or no whole answer in time.
    pub fn get(&self, target: &str) -> Result<Answer> {
        self.send("GET", target, b"")
    }

    /// The bytes of a file in the subject's container; `None` when there is none.
    ///
    /// # Errors
    /// As [`Http::get`], or the subject could not read it.
    pub fn file(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let answer = self.get(&file_target(path))?;
        match answer.status {
            200 => Ok(Some(answer.body)),
            404 => Ok(None),
            status => anyhow::bail!("reading {path} gave {status}: {}", answer.text()),
        }
    }

    /// As [`Http::file`], for a file of text.
    ///
    /// # Errors
    /// As [`Http::file`], or it is no UTF-8.
    pub fn text_of(&self, path: &str) -> Result<Option<String>> {
        Ok(self.file(path)?.map(String::from_utf8).transpose()?)
    }

    /// Writes a file in the subject's container, with the directories above it.
    ///
    /// # Errors
    /// As [`Http::get`], or the subject could not write it.
    pub fn put_file(&self, path: &str, contents: &[u8]) -> Result<()> {
        let answer = self.send("PUT", &file_target(path), contents)?;
        ensure!(answer.status == 201, "writing {path} gave {}: {}", answer.status, answer.text());
        Ok(())
    }

    /// Removes a file in the subject's container.
    ///
    /// # Errors
    /// As [`Http::get`], or there is no such file.
    pub fn delete_file(&self, path: &str) -> Result<()> {
        let answer = self.send("DELETE", &file_target(path), b"")?;
        ensure!(answer.status == 204, "deleting {path} gave {}: {}", answer.status, answer.text());
        Ok(())
    }

    fn send(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer> {
        self.exchange(method, target, body)
            .with_context(|| format!("{method} http://{}{target}", self.address))
    }

    fn exchange(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        parse(&bytes)
    }
}

/// Splits an answer; one that ended before its announced length is an error, not a short body.
fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no whole head came back")?;
    let (head, rest) = bytes.split_at(end);
    let head = std::str::from_utf8(head)?;
    let body = rest.get(4..).unwrap_or_default().to_vec();
    let status = head.split(' ').nth(1).context("no status line")?.parse()?;
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    if let Some(length) = length.transpose()? {
        ensure!(body.len() == length, "{} of {length} bytes came back", body.len());
    }
    Ok(Answer { status, body })
}

/// `/file?path=…` with everything but plain characters encoded.
fn file_target(path: &str) -> String {
    path.bytes().fold("/file?path=".to_owned(), |mut target, byte| {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            target.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(target, "%{byte:02X}");
        }
        target
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_answer_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Le").is_err());
        let whole = parse(b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nabc").unwrap();
        assert_eq!(whole, Answer { status: 404, body: b"abc".to_vec() });
    }

    #[test]
    fn odd_names_are_encoded() {
        assert_eq!(file_target("/data/a b&c=%é"), "/file?path=/data/a%20b%26c%3D%25%C3%A9");
    }
}
