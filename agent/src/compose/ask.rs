//! Asks the Compose of this host for the hash of a service's configuration.
//!
//! Flows in: a service and an image. Flows out: what `config --hash` prints. The program is looked for in fixed places,
//! run without a shell, with an environment of our own, and ended when its time is up. It is shown copies of the
//! project's files in which the image is another, as a user would write it; or, where the files take the image from a
//! variable, a file more that names it. (Version 1 hashes some lists otherwise when there is one file more.) Must never
//! believe an answer of another form.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::process::Command;

use super::{Service, Way};
use crate::durable;

/// Version 1 is a Python program and takes a second to begin.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where packages put it: version 1, and version 2 alone or as the engine's plugin, which also runs by itself.
const PLACES: [&str; 6] = [
    "/usr/local/bin/docker-compose",
    "/usr/bin/docker-compose",
    "/usr/local/lib/docker/cli-plugins/docker-compose",
    "/usr/local/libexec/docker/cli-plugins/docker-compose",
    "/usr/lib/docker/cli-plugins/docker-compose",
    "/usr/libexec/docker/cli-plugins/docker-compose",
];

/// No compose file comes near.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How much of its complaint is told.
const COMPLAINT_CHARS: usize = 200;

/// It was asked and gave no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Asked {
    /// What happened instead.
    pub detail: String,
}

/// Somebody who can be asked.
#[async_trait]
pub trait Compose: Send + Sync {
    /// The programs there are.
    fn programs(&self) -> Vec<PathBuf>;

    /// What this program says the hash of the service is, with `image` as its image.
    async fn hash(&self, program: &Path, service: &Service, image: &str, way: Way) -> Result<String, Asked>;
}

/// The Compose programs of this host.
#[derive(Debug, Clone)]
pub struct HostCompose {
    /// The engine's socket.
    pub socket: PathBuf,
    /// Where the files that are shown may lie meanwhile.
    pub scratch: PathBuf,
}

#[async_trait]
impl Compose for HostCompose {
    fn programs(&self) -> Vec<PathBuf> {
        PLACES.iter().map(PathBuf::from).filter(|place| place.is_file()).collect()
    }

    async fn hash(&self, program: &Path, service: &Service, image: &str, way: Way) -> Result<String, Asked> {
        let dir = self.scratch.join(format!("compose-{}", redeploy_proto::RedeployId::generate()));
        let answer = match write_files(&dir, service, image, way) {
            Ok(files) => self.run(program, service, &files).await,
            Err(error) => Err(error),
        };
        if let Err(error) = durable::remove_dir(&dir) {
            tracing::warn!(%error, "scratch files are left");
        }
        let output = answer?;
        let said = String::from_utf8_lossy(&output.stdout);
        hash_in(&said, &service.name)
            .ok_or_else(|| Asked { detail: complaint(program, &String::from_utf8_lossy(&output.stderr)) })
    }
}

/// The files to be shown, written to `dir` as far as they are not the project's own.
fn write_files(dir: &Path, service: &Service, image: &str, way: Way) -> Result<Vec<PathBuf>, Asked> {
    let failed = |error: &dyn std::error::Error| Asked { detail: error.to_string() };
    durable::create_dir(dir).map_err(|error| failed(&error))?;
    let write = |name: String, text: &str| {
        let path = dir.join(name);
        durable::write(&path, text.as_bytes()).map(|()| path).map_err(|error| failed(&error))
    };
    match way {
        Way::OneMore => {
            // JSON is YAML.
            let text = json!({ "services": { service.name.as_str(): { "image": image } } }).to_string();
            let named = write("image.yml".to_owned(), &text)?;
            Ok(service.files.iter().cloned().chain([named]).collect())
        }
        Way::Edited => {
            let (mut files, mut edited) = (Vec::new(), 0);
            for (index, file) in service.files.iter().enumerate() {
                let text = read(file).map_err(|error| Asked {
                    detail: format!("{} cannot be read: {error}", file.display()),
                })?;
                let (text, lines) = with_image(&text, &service.image, image);
                edited += lines;
                files.push(write(format!("{index}.yml"), &text)?);
            }
            match edited {
                0 => Err(Asked { detail: format!("no compose file has image {}", service.image) }),
                _ => Ok(files),
            }
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Pure: the text with every `image: OLD` as `image: NEW`, and how many there were.
fn with_image(text: &str, old: &str, new: &str) -> (String, usize) {
    let mut lines = 0;
    let edit = |line: &str| {
        let Some((before, value)) = line.split_once("image:") else { return line.to_owned() };
        let is_key = before.chars().all(|c| c == ' ');
        let value = value.split(" #").next().unwrap_or(value).trim();
        let bare = value.trim_matches(|c| c == '"' || c == '\'');
        if is_key && bare == old {
            lines += 1;
            format!("{before}image: \"{new}\"")
        } else {
            line.to_owned()
        }
    };
    let edited: Vec<String> = text.lines().map(edit).collect();
    (edited.join("\n") + "\n", lines)
}

impl HostCompose {
    async fn run(&self, program: &Path, service: &Service, files: &[PathBuf]) -> Result<Output, Asked> {
        let failed = |detail: String| Asked { detail: format!("{}: {detail}", program.display()) };
        let mut command = Command::new(program);
        command.arg("--project-directory").arg(&service.dir).args(["--project-name", &service.project]);
        for file in files {
            command.arg("--file").arg(file);
        }
        if let Some(file) = &service.env_file {
            command.arg("--env-file").arg(file);
        }
        command
            .args(["config", "--hash", &service.name])
            .current_dir(existing(&service.dir))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &self.scratch)
            .env("LC_ALL", "C.UTF-8")
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        match tokio::time::timeout(DEADLINE, command.output()).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    }
}

/// The project's directory may be gone; Compose says so better than we do.
fn existing(dir: &Path) -> &Path {
    if dir.is_dir() { dir } else { Path::new("/") }
}

/// Pure: `SERVICE HASH`, the hash in hexadecimal.
fn hash_in(said: &str, service: &str) -> Option<String> {
    let hash = said.lines().find_map(|line| line.strip_prefix(service)?.strip_prefix(' '))?.trim();
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| hash.to_owned())
}

/// Pure: the end of what it said, on one line.
fn complaint(program: &Path, said: &str) -> String {
    let line = said.trim().lines().last().unwrap_or("it said nothing");
    let plain: String =
        line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(COMPLAINT_CHARS).collect();
    format!("{} gave no hash: {plain}", program.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_edited_where_a_user_would() {
        let text =
            "services:\n  web:\n    image: 'a:1' # ours\n  db:\n    image: a:10\n    x: \"image: a:1\"\n";
        let edited = "services:\n  web:\n    image: \"a:2\"\n  db:\n    image: a:10\n    x: \"image: a:1\"\n";
        assert_eq!(with_image(text, "a:1", "a:2"), (edited.to_owned(), 1));
        assert_eq!(with_image("image: ${TAG}\n", "a:1", "a:2").1, 0);
    }

    #[test]
    fn only_a_hash_of_the_service_counts() {
        let hash = "a1".repeat(32);
        assert_eq!(hash_in(&format!("db x\nweb {hash}\n"), "web"), Some(hash.clone()));
        assert_eq!(hash_in(&format!("web-2 {hash}"), "web"), None);
        assert_eq!(hash_in("web nothing", "web"), None);
    }
}
