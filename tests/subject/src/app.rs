//! The pages of the subject.
//!
//! Flows in: requests. Flows out: answers, and files in the container. Must never keep anything in memory
//! between requests: what a page shows is what the container's files and variables say at that moment.

use std::fs;
use std::io;
use std::path::Path;

use crate::http::{Request, Response};

/// The configuration file whose `title = …` line the front page shows.
const CONFIG: &str = "/etc/subject/app.conf";

/// The volume whose files the front page lists.
const DATA: &str = "/data";

/// The version the image was built as.
pub(crate) fn version() -> String {
    std::env::var("VERSION").unwrap_or_else(|_| "unversioned".to_owned())
}

/// One answer for one request.
pub(crate) fn answer(request: &Request) -> Response {
    match (request.method.as_str(), request.path.as_str(), request.file.as_deref().map(Path::new)) {
        ("GET", "/", _) => Response { status: 200, body: front_page().into_bytes() },
        ("GET", "/version", _) => Response { status: 200, body: format!("{}\n", version()).into_bytes() },
        ("GET", "/healthz", _) => health(),
        ("GET", "/file", Some(file)) => from_io(200, fs::read(file)),
        ("PUT", "/file", Some(file)) => from_io(201, put(file, &request.body).map(|()| Vec::new())),
        ("DELETE", "/file", Some(file)) => from_io(204, fs::remove_file(file).map(|()| Vec::new())),
        (_, "/file", None) => Response { status: 400, body: b"say which: ?path=/...\n".to_vec() },
        (_, "/" | "/version" | "/healthz" | "/file", _) => Response { status: 405, body: Vec::new() },
        _ => Response { status: 404, body: b"no such page\n".to_vec() },
    }
}

fn health() -> Response {
    match std::env::var("UNHEALTHY").as_deref() {
        Ok("1") => Response { status: 503, body: b"told to be unhealthy by UNHEALTHY\n".to_vec() },
        _ => Response { status: 200, body: b"well\n".to_vec() },
    }
}

fn front_page() -> String {
    format!("subject {}\ntitle: {}\ndata: {}\n", version(), title(), data_files().join(", "))
}

fn title() -> String {
    let text = fs::read_to_string(CONFIG).unwrap_or_default();
    let title = text.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == "title");
    title.map_or_else(|| "(none)".to_owned(), |(_, value)| value.trim().to_owned())
}

/// The names in the volume, sorted.
fn data_files() -> Vec<String> {
    let entries = fs::read_dir(DATA).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[expect(clippy::disallowed_methods, reason = "the subject plays a user's program, which writes as it likes")]
fn put(file: &Path, body: &[u8]) -> io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, body)
}

fn from_io(done: u16, outcome: io::Result<Vec<u8>>) -> Response {
    match outcome {
        Ok(body) => Response { status: done, body },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Response { status: 404, body: line(&error) },
        Err(error) => Response { status: 500, body: line(&error) },
    }
}

fn line(error: &io::Error) -> Vec<u8> {
    format!("{error}\n").into_bytes()
}
