//! The extra question a verification may ask: an HTTP or TCP probe, parsed once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A question to the new container. The host is the container's own address unless one is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// `GET` must answer with a status from 200 to 399.
    Http {
        /// Host; empty for the container's own address.
        host: String,
        /// Port inside the container.
        port: u16,
        /// Path and query, beginning with `/`.
        path: String,
    },
    /// A connection must be accepted.
    Tcp {
        /// Host; empty for the container's own address.
        host: String,
        /// Port inside the container.
        port: u16,
    },
}

/// The text is not a probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a probe: write http://:PORT/PATH or tcp://:PORT ({detail})")]
pub struct InvalidProbe {
    text: String,
    detail: &'static str,
}

impl FromStr for Probe {
    type Err = InvalidProbe;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |detail| InvalidProbe { text: text.to_owned(), detail };
        if text.chars().any(|c| c.is_ascii_control() || c == ' ') {
            return Err(bad("it holds a blank or control character"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("there is no ://"))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| bad("there is no port"))?;
        let port: u16 = port.parse().map_err(|_| bad("the port is not a number from 1 to 65535"))?;
        if port == 0 {
            return Err(bad("the port is not a number from 1 to 65535"));
        }
        let host = host.to_owned();
        match scheme {
            "http" => Ok(Self::Http { host, port, path: path.to_owned() }),
            "tcp" if path == "/" => Ok(Self::Tcp { host, port }),
            "tcp" => Err(bad("a TCP probe has no path")),
            _ => Err(bad("the scheme is neither http nor tcp")),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, port, path } => write!(f, "http://{host}:{port}{path}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_parse_and_print() {
        for text in ["http://:8080/healthz?x=1", "http://10.0.0.1:80/", "tcp://:5432"] {
            assert_eq!(text.parse::<Probe>().unwrap().to_string(), text);
        }
        assert_eq!("http://:80".parse::<Probe>().unwrap().to_string(), "http://:80/");
    }

    #[test]
    fn what_is_not_a_probe_is_refused_with_the_reason() {
        for text in [
            "",
            ":80",
            "http://",
            "http://:0/",
            "tcp://:80/x",
            "ftp://:21",
            "http://:99999/",
            "http://:80/a b",
        ] {
            let error = text.parse::<Probe>().unwrap_err().to_string();
            assert!(error.contains("http://:PORT/PATH"), "{error}");
        }
    }
}
