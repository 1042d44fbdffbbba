//! One HTTP request to the engine's socket, so that bodies arrive exactly as they were worked out. It names the API
//! version that the agent would.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use redeploy_agent::docker::{API_MAX, API_MIN, ApiVersion};
use serde_json::Value;

const SOCKET: &str = "/var/run/docker.sock";

/// The newest version that both the engine and the agent know.
pub(crate) fn api() -> ApiVersion {
    static API: OnceLock<ApiVersion> = OnceLock::new();
    *API.get_or_init(|| {
        let version = send("GET", "/version", None).unwrap_or_default();
        let minor = version["ApiVersion"].as_str().and_then(|api| api.strip_prefix("1.")?.parse().ok());
        minor.map_or(API_MIN, |minor| API_MAX.min(ApiVersion { major: 1, minor }))
    })
}

/// Sends a request and answers the JSON; an error answer is an `Err` with the engine's words.
pub(crate) fn call(method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
    send(method, &format!("/v{}{path}", api()), body)
}

fn send(method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
    let body = body.map(Value::to_string).unwrap_or_default();
    // HTTP/1.0: no chunks, and the answer ends with the connection.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = UnixStream::connect(SOCKET).map_err(|error| error.to_string())?;
    socket.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer without a head")?;
    let status = head.split(' ').nth(1).unwrap_or("?");
    if !status.starts_with('2') && status != "304" {
        return Err(format!("{method} {path}: {status} {}", body.trim()));
    }
    Ok(serde_json::from_str(body).unwrap_or(Value::Null))
}

/// An inspect answer.
pub(crate) fn get(path: &str) -> Result<Value, String> {
    call("GET", path, None)
}
