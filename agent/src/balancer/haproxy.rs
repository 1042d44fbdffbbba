//! HAProxy through its runtime API: a command a connection, a line out, text back until it closes (HAProxy management
//! guide, 9.3 "Unix Socket commands").
//!
//! Must never wait without a deadline, read without a limit, or believe an order was carried out that was answered with
//! anything but what HAProxy says on success.

mod parse;

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::{Balancer, BalancerError, Seen, ServerName};

/// One command takes no longer: HAProxy answers within a millisecond, unless it is stopped or somebody else listens.
const COMMAND_PATIENCE: Duration = Duration::from_secs(5);

/// One backend's servers; ten thousand of them need less.
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// An HAProxy.
#[derive(Debug, Clone)]
pub struct Haproxy {
    socket: String,
    patience: Duration,
}

impl Haproxy {
    /// The one that listens at `socket`: an absolute path, or `tcp://ADDRESS:PORT`. Nothing is asked yet.
    #[must_use]
    pub fn new(socket: &str) -> Self {
        Self { socket: socket.to_owned(), patience: COMMAND_PATIENCE }
    }

    /// Asks, and gives the answer without the empty line at its end.
    async fn ask(&self, command: &str) -> Result<String, BalancerError> {
        let connecting = async {
            Ok::<Box<dyn Stream>, std::io::Error>(match self.socket.strip_prefix("tcp://") {
                Some(address) => Box::new(TcpStream::connect(address).await?),
                None => Box::new(UnixStream::connect(&self.socket).await?),
            })
        };
        let stream = match tokio::time::timeout(self.patience, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(error.to_string())),
            Err(_) => return Err(self.unreachable(format!("no answer in {:?}", self.patience))),
        };
        let broken = |detail: String| BalancerError::Broken {
            socket: self.socket.clone(),
            command: command.to_owned(),
            detail,
        };
        match tokio::time::timeout(self.patience, talk(stream, command)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => Err(broken(format!("it took longer than {:?}", self.patience))),
        }
    }

    fn unreachable(&self, detail: String) -> BalancerError {
        BalancerError::Unreachable { socket: self.socket.clone(), detail }
    }

    /// Says nothing on success.
    async fn order(&self, server: &ServerName, what: &str) -> Result<(), BalancerError> {
        let command = format!("set server {server} {what}");
        let answer = self.ask(&command).await?;
        if answer.is_empty() { Ok(()) } else { Err(self.refused(server, command, &answer)) }
    }

    fn refused(&self, server: &ServerName, command: String, answer: &str) -> BalancerError {
        let (socket, answer) = (self.socket.clone(), parse::shortened(answer));
        if parse::is_unknown(&answer) {
            BalancerError::UnknownServer { socket, server: server.clone(), answer }
        } else {
            BalancerError::Refused { socket, command, answer }
        }
    }

    /// Asks and has the answer understood.
    async fn ask_for<T>(
        &self,
        server: &ServerName,
        command: String,
        understand: impl FnOnce(&str) -> Result<T, parse::Odd>,
    ) -> Result<T, BalancerError> {
        let answer = self.ask(&command).await?;
        understand(&answer).map_err(|odd| match odd {
            parse::Odd::Said(answer) => self.refused(server, command, &answer),
            parse::Odd::Form(detail) => {
                BalancerError::Garbled { socket: self.socket.clone(), command, detail }
            }
        })
    }
}

#[async_trait]
impl Balancer for Haproxy {
    async fn look(&self, server: &ServerName) -> Result<Seen, BalancerError> {
        let (backend, name) = (&server.backend, server.server.as_str());
        let command = format!("show servers state {backend}");
        let state = self.ask_for(server, command, |answer| parse::state(answer, name)).await?;
        let command = format!("show stat {backend} 4 -1");
        let stat = self.ask_for(server, command, |answer| parse::stat(answer, backend, name)).await?;
        Ok(parse::seen(&state, &stat))
    }

    async fn drain(&self, server: &ServerName) -> Result<(), BalancerError> {
        self.order(server, "state drain").await
    }

    async fn ready(&self, server: &ServerName) -> Result<(), BalancerError> {
        self.order(server, "state ready").await
    }

    async fn set_address(&self, server: &ServerName, address: IpAddr) -> Result<(), BalancerError> {
        let command = format!("set server {server} addr {address}");
        let answer = self.ask(&command).await?;
        // It tells what it changed. What counts is what it says afterwards.
        match self.look(server).await?.address == Some(address) {
            true => Ok(()),
            false => Err(self.refused(server, command, &answer)),
        }
    }

    async fn distrust(&self, server: &ServerName) -> Result<(), BalancerError> {
        self.order(server, "health down").await
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn talk(mut stream: Box<dyn Stream>, command: &str) -> std::io::Result<String> {
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut answer).await?;
    if u64::try_from(answer.len()).is_ok_and(|len| len > ANSWER_BYTES_MAX) {
        return Err(std::io::Error::other(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
    }
    // HAProxy ends every answer with an empty line: without it the rest was lost.
    if answer.last() != Some(&b'\n') {
        return Err(std::io::Error::other("the answer was cut short"));
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

#[cfg(test)]
mod tests;
