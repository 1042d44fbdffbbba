//! Asks the Compose of this host for the hash of a service's configuration.
//!
//! Flows in: a service and an image. Flows out: what `config --hash` prints. The program is looked for in fixed places,
//! run without a shell, with an environment of our own, and ended, with all it began, when its time is up. It is shown copies (`shown`) of the
//! project's files in which the image is another, as a user would write it; or, where the files take the image from a
//! variable, a file more that names it. (Version 1 hashes some lists otherwise when there is one file more.) Must never
//! believe an answer of another form, open anything but regular files, or pass on what Compose complains about: that may
//! quote a secret of the project's.

mod shown;

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{Service, Way};
use crate::durable;
use shown::{Shown, show};

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

/// How much it may say: a hash is one line.
const SAID_BYTES_MAX: u64 = 64 << 10;

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
        let late =
            |_| Asked { detail: format!("{}: no answer within {} s", program.display(), DEADLINE.as_secs()) };
        let asking = self.ask(&dir, program, service, image, way);
        let answer = tokio::time::timeout(DEADLINE, asking).await.map_err(late);
        if let Err(error) = durable::remove_dir(&dir) {
            tracing::warn!(%error, "scratch files are left");
        }
        let (status, said) = answer??;
        hash_in(&said, &service.name).ok_or_else(|| Asked { detail: complaint(program, status) })
    }
}

impl HostCompose {
    async fn ask(
        &self,
        dir: &Path,
        program: &Path,
        service: &Service,
        image: &str,
        way: Way,
    ) -> Result<(ExitStatus, String), Asked> {
        let (at, of, with) = (dir.to_owned(), service.clone(), image.to_owned());
        let shown = tokio::task::spawn_blocking(move || show(&at, &of, &with, way)).await;
        let shown =
            shown.map_err(|_| Asked { detail: "the compose files could not be read".to_owned() })??;
        let said = said_by(self.command(dir, program, service, &shown)).await;
        said.map_err(|error| Asked { detail: format!("{}: {error}", program.display()) })
    }

    fn command(&self, dir: &Path, program: &Path, service: &Service, shown: &Shown) -> Command {
        let mut command = Command::new(program);
        command.arg("--project-directory").arg(&service.dir).args(["--project-name", &service.project]);
        for file in &shown.files {
            command.arg("--file").arg(file);
        }
        if let Some(file) = &service.env_file {
            command.arg("--env-file").arg(file);
        }
        command
            .args(["config", "--hash", &service.name])
            .current_dir(&shown.cwd)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", dir)
            .env("LC_ALL", "C.UTF-8")
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .stdin(Stdio::null());
        command
    }
}

/// How it ended and what it said, as far as that is of any use. Whoever stops waiting for this ends it, and everything
/// that it began.
async fn said_by(mut command: Command) -> std::io::Result<(ExitStatus, String)> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut group = Group(command.spawn()?);
    let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
    let (said, complained) = tokio::join!(at_most(stdout), at_most(stderr));
    complained?;
    Ok((group.0.wait().await?, String::from_utf8_lossy(&said?).into_owned()))
}

async fn at_most(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut said = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(SAID_BYTES_MAX).read_to_end(&mut said).await?;
    }
    Ok(said)
}

/// A process that leads a group of its own.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // None once it has been waited for: the number may be another's by then.
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = kill_process_group(pid, Signal::KILL)
        {
            tracing::warn!(%error, "Compose could not be ended");
        }
    }
}

/// Pure: `SERVICE HASH`, the hash in hexadecimal.
fn hash_in(said: &str, service: &str) -> Option<String> {
    let hash = said.lines().find_map(|line| line.strip_prefix(service)?.strip_prefix(' '))?.trim();
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| hash.to_owned())
}

/// Pure: how it ended. What it said stays where it was.
fn complaint(program: &Path, status: ExitStatus) -> String {
    let program = program.display();
    format!("{program} gave no hash, {status}: `docker-compose config` in the project's directory says why")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use rustix::fs::Mode;

    #[test]
    fn only_a_hash_of_the_service_counts() {
        let hash = "a1".repeat(32);
        assert_eq!(hash_in(&format!("db x\nweb {hash}\n"), "web"), Some(hash.clone()));
        assert_eq!(hash_in(&format!("web-2 {hash}"), "web"), None);
        assert_eq!(hash_in("web nothing", "web"), None);
    }

    fn service(dir: &Path, file: &str) -> Service {
        Service {
            project: "shop".to_owned(),
            name: "web".to_owned(),
            dir: dir.to_owned(),
            files: vec![dir.join(file)],
            env_file: None,
            hash: "h".to_owned(),
            image: "a:1".to_owned(),
        }
    }

    /// Asks a program of this text about a service `web` with image `a:1`.
    async fn asked(dir: &Path, program: &str, of: &Service) -> Result<String, Asked> {
        let path = dir.join("docker-compose");
        durable::write(&path, program.as_bytes()).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        durable::write(&dir.join("a.yml"), b"image: a:1\n").unwrap();
        let compose = HostCompose { socket: "/none".into(), scratch: dir.join("scratch") };
        let answer = compose.hash(&path, of, "a:2", Way::Edited).await;
        let left = std::fs::read_dir(dir.join("scratch")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "copies are left");
        answer
    }

    #[tokio::test]
    async fn what_it_complains_about_is_not_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let program = "#!/bin/sh\necho 'invalid: hunter2' >&2; exit 3\n";
        let error = asked(dir.path(), program, &service(dir.path(), "a.yml")).await.unwrap_err();
        assert!(error.detail.contains("exit status: 3"), "{error}");
        assert!(!error.detail.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        let (cwd, kind) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(cwd, dir.path().join("pipe"), kind, mode, 0).unwrap();
        let with_env_file =
            Service { env_file: Some(dir.path().join("pipe")), ..service(dir.path(), "a.yml") };
        for of in [service(dir.path(), "pipe"), service(dir.path(), "/dev/zero"), with_env_file] {
            let error = asked(dir.path(), "#!/bin/sh\n", &of).await.unwrap_err();
            assert!(error.detail.contains("is no regular file"), "{error}");
        }
    }

    #[tokio::test]
    async fn one_that_talks_without_end_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let error = asked(dir.path(), "#!/bin/sh\nexec yes\n", &service(dir.path(), "a.yml")).await;
        assert!(error.unwrap_err().detail.contains("signal"));
    }

    #[tokio::test]
    async fn what_it_began_ends_with_it() {
        let mut command = Command::new("/bin/sh");
        // Both hold the pipe: its end says that both are gone.
        let (reader, writer) = std::io::pipe().unwrap();
        command.args(["-c", "sleep 600 & wait"]).stdin(writer);
        let said = tokio::time::timeout(Duration::from_millis(300), said_by(command)).await;
        assert!(said.is_err());
        let ended = tokio::task::spawn_blocking(move || (&reader).read(&mut [0]));
        assert_eq!(tokio::time::timeout(DEADLINE, ended).await.unwrap().unwrap().unwrap(), 0);
    }
}
