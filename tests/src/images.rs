//! The images tests redeploy, made here from nothing: one layer and some settings, as `FROM scratch` gives.
//!
//! Flows in: the subject's static binary, the machine's static busybox, what a test adds. Flows out: the name of
//! an image that exists. The tag ends in a digest of everything inside, so an image is built once, never changes
//! under a running test, and two checkouts on one engine do not get in each other's way. Must never pull, nor use
//! `docker build`: without BuildKit it commits a container for each setting, which takes 60 times as long.

pub(crate) mod layer;
mod subject;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::engine::Docker;
use layer::Layer;

/// How much of the digest is in the tag.
const DIGEST_CHARS: usize = 12;

/// What `docker build` puts into every image on its own.
const DEFAULT_PATH: &str = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A list of files a Jelastic-style image preserves: one directory, one file, one `.backup` file.
const REDEPLOY_CONF: &str = "# CUSTOM FILES AND FOLDERS\n\
    /etc/subject/conf.d\n\
    /etc/subject/app.conf\n\
    backup:/etc/subject/php.ini\n";

/// An image to be.
#[derive(Debug, Clone)]
pub struct Image {
    repository: &'static str,
    tag: String,
    layer: Layer,
    settings: Vec<String>,
}

impl Image {
    /// The subject alone: a binary that serves, and `VERSION` in its environment.
    ///
    /// # Errors
    /// The binary cannot be built.
    pub fn bare_subject(tag: &str) -> Result<Self> {
        let layer = Layer::new().file("/subject", &std::fs::read(subject::binary()?)?, 0o755);
        let image = Self::new("redeploy-test/subject", tag, layer.dir("/tmp", 0o1777));
        Ok(image
            .set("CMD [\"/subject\"]")
            .set("EXPOSE 8080")
            .set(DEFAULT_PATH)
            .set(&format!("ENV VERSION={tag}")))
    }

    /// The subject with what a hosting platform's image has: configuration, a preserve list, a volume with
    /// something in it. File contents name the tag, so that one can see which image a file came from.
    ///
    /// # Errors
    /// The binary cannot be built.
    pub fn subject(tag: &str) -> Result<Self> {
        Ok(Self::bare_subject(tag)?
            .file("/etc/subject/app.conf", &format!("title = shipped with {tag}\n"))
            .file("/etc/subject/other.conf", &format!("other = shipped with {tag}\n"))
            .file("/etc/subject/php.ini", &format!("; shipped with {tag}\n"))
            .file("/etc/subject/conf.d/base.conf", &format!("base = shipped with {tag}\n"))
            .file("/etc/jelastic/redeploy.conf", REDEPLOY_CONF)
            .file("/data/welcome.txt", &format!("shipped with {tag}\n"))
            .set("VOLUME /data")
            .set(&format!("LABEL org.opencontainers.image.version={tag} shipped.only.in.{tag}=yes"))
            .set(&format!("ENV SHIPPED_ONLY_IN={tag}")))
    }

    /// A shell and its tools, sleeping until it is told to stop.
    ///
    /// # Errors
    /// There is no static busybox on this machine.
    pub fn busybox(tag: &str) -> Result<Self> {
        let binary = std::fs::read("/bin/busybox").context("no busybox: run `make need` first")?;
        let mut layer = Layer::new().file("/bin/busybox", &binary, 0o755).dir("/tmp", 0o1777);
        for applet in
            "cat chmod chown cp dd echo ln ls mkdir mkfifo mknod mv nc rm sh sleep stat sync touch".split(' ')
        {
            layer = layer.symlink(&format!("/bin/{applet}"), "busybox");
        }
        let image = Self::new("redeploy-test/busybox", tag, layer)
            .file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
            .file("/etc/group", "root:x:0:\n")
            .file("/etc/motd", &format!("busybox {tag}\n"));
        let sleep = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done";
        Ok(image.set(&format!("CMD [\"sh\", \"-c\", \"{sleep}\"]")).set(DEFAULT_PATH))
    }

    fn new(repository: &'static str, tag: &str, layer: Layer) -> Self {
        Self { repository, tag: tag.to_owned(), layer, settings: Vec::new() }
    }

    /// The same image with a file more, or another in its place (root's, 0644), with the directories above it.
    #[must_use]
    pub fn file(mut self, path: &str, contents: &str) -> Self {
        self.layer = self.layer.file(path, contents.as_bytes(), 0o644);
        self
    }

    /// The same image with a symbolic link more.
    #[must_use]
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.layer = self.layer.symlink(path, target);
        self
    }

    /// The same image with this owner for a file or directory that is already in it.
    #[must_use]
    pub fn owner(mut self, path: &str, uid: u64, gid: u64) -> Self {
        self.layer = self.layer.owner(path, uid, gid);
        self
    }

    /// The same image with one more line of a Dockerfile, such as `ENV A=1`. A later line wins.
    #[must_use]
    pub fn set(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Builds the image unless it exists, and gives its name.
    ///
    /// # Errors
    /// The engine refused.
    pub fn build(&self) -> Result<String> {
        let layer = self.layer.pack()?;
        let name = self.name(&layer);
        if Docker.exists("image", &name)? {
            return Ok(name);
        }
        let _lock = lock(&std::env::temp_dir().join("redeploy-test-images.lock"))?;
        if !Docker.exists("image", &name)? {
            let changes = self.settings.iter().flat_map(|line| ["--change", line.as_str()]);
            let words: Vec<&str> = ["import"].into_iter().chain(changes).chain(["-", &name]).collect();
            Docker.call_with(&words, &layer)?;
        }
        Ok(name)
    }

    fn name(&self, layer: &[u8]) -> String {
        let digest = Sha256::new().chain_update(self.settings.join("\n")).chain_update(layer).finalize();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).take(DIGEST_CHARS / 2).collect();
        format!("{}:{}-{digest}", self.repository, self.tag)
    }
}

/// Has the subject's binary built, for tests that run where nothing can be.
///
/// # Errors
/// It cannot be built.
pub(crate) fn bare_subject_is_built() -> Result<()> {
    subject::binary().map(drop)
}

/// The subject as it is before a redeploy.
///
/// # Errors
/// It cannot be built.
pub fn subject_v1() -> Result<String> {
    Image::subject("v1")?.build()
}

/// The subject's next version: other contents, one file more, one gone.
///
/// # Errors
/// It cannot be built.
pub fn subject_v2() -> Result<String> {
    Image::subject("v2")?.file("/etc/subject/new.conf", "new = shipped with v2\n").build()
}

/// A version that exits with code 1 as soon as it starts.
///
/// # Errors
/// It cannot be built.
pub fn subject_broken() -> Result<String> {
    Image::subject("broken")?.set("ENV FAIL_START=1").build()
}

/// A version that runs and answers, and whose health check fails.
///
/// # Errors
/// It cannot be built.
pub fn subject_unhealthy() -> Result<String> {
    Image::subject("unhealthy")?.set("ENV UNHEALTHY=1").set(HEALTHCHECK).build()
}

/// A version whose health check succeeds.
///
/// # Errors
/// It cannot be built.
pub fn subject_healthy() -> Result<String> {
    Image::subject("healthy")?.set(HEALTHCHECK).build()
}

const HEALTHCHECK: &str = "HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD [\"/subject\", \"health\"]";

/// A shell, first version.
///
/// # Errors
/// It cannot be built.
pub fn busybox_v1() -> Result<String> {
    Image::busybox("v1")?.build()
}

/// A shell, second version.
///
/// # Errors
/// It cannot be built.
pub fn busybox_v2() -> Result<String> {
    Image::busybox("v2")?.build()
}

/// Holds a lock between processes until the value is dropped: tests run as many processes at once.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock()?;
    Ok(file)
}
