//! Files of others that nobody may read or change: on the host, and in another container.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::sandbox::Sandbox;
use walkdir::WalkDir;

/// Two files that hold the same secret words.
pub(crate) struct Canary {
    words: String,
    /// A directory of the host with nothing in it but the secret.
    pub(crate) outside: PathBuf,
    neighbour: String,
    before: Vec<String>,
}

impl Canary {
    pub(crate) fn new(sandbox: &Sandbox, image: &str) -> Result<Self> {
        let words = format!("canary of {}: nobody may read or change this", sandbox.prefix());
        let outside = sandbox.path().join("outside");
        std::fs::create_dir(&outside)?;
        #[expect(clippy::disallowed_methods, reason = "a test")]
        std::fs::write(outside.join("secret"), &words)?;
        let neighbour =
            sandbox.run("neighbour", &["--stop-signal", "SIGKILL", "--network", "none"], image, &[])?;
        let script = format!("mkdir -p /srv/keep; echo '{words}' > /srv/keep/secret");
        sandbox.docker().exec(&neighbour, &["sh", "-c", &script])?;
        let mut canary = Self { words, outside, neighbour, before: Vec::new() };
        canary.before = canary.looks(sandbox.docker())?;
        Ok(canary)
    }

    /// The secret as a path of the host.
    pub(crate) fn secret(&self) -> String {
        self.outside.join("secret").display().to_string()
    }

    /// The secret is where it was, as it was, and nowhere below `data`.
    pub(crate) fn is_unharmed(&self, docker: Docker, data: &Path) -> Result<()> {
        let after = self.looks(docker)?;
        ensure!(after == self.before, "{after:?} instead of {:?}", self.before);
        for entry in WalkDir::new(data).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
            let bytes = unpacked(entry.path())?;
            let told = bytes.windows(self.words.len()).any(|window| window == self.words.as_bytes());
            ensure!(!told, "{} holds the secret", entry.path().display());
        }
        Ok(())
    }

    /// One line for each file: contents, size, times.
    fn looks(&self, docker: Docker) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for dir in [self.outside.clone(), docker.root(&self.neighbour)?.join("srv")] {
            for entry in WalkDir::new(dir).sort_by_file_name() {
                let entry = entry?;
                let (meta, name) = (entry.metadata()?, entry.file_name().to_string_lossy().into_owned());
                let text =
                    if meta.is_file() { std::fs::read_to_string(entry.path())? } else { String::new() };
                lines.push(format!("{name} {:o} {}.{} {text}", meta.mode(), meta.ctime(), meta.ctime_nsec()));
            }
        }
        Ok(lines)
    }
}

/// What a file holds; an archive's contents, whatever of it there is.
fn unpacked(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "gz") {
        #[expect(clippy::disallowed_methods, reason = "a test: another program than ours unpacks")]
        let output = Command::new("gzip").arg("-dc").arg(path).output()?;
        return Ok(output.stdout);
    }
    Ok(std::fs::read(path)?)
}
