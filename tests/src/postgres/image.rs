//! The images of the database: a Debian tree with PostgreSQL 15 and a script that serves, in three versions.
//!
//! Flows in: Debian's packages, once; the tree is kept under the target directory and the images in the engine, both
//! named by a digest of the recipe. Flows out: names of images that exist. Versions differ by `VERSION` and one
//! file, and share the tree's layer. Must never change what a name that is already there stands for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::DATA;
use crate::debian::{kept_dir, run};
use crate::engine::Docker;
use crate::images::layer::Layer;
use crate::images::lock;

const REPOSITORY: &str = "redeploy-test/postgres";

/// `postgresql-15` brings the server, `contrib` with it, and through its client package `pg_amcheck`.
const BOOTSTRAP: &[&str] = &["--variant=minbase", "--include=postgresql-15", "bookworm"];

/// Not needed to serve: what apt and debootstrap leave, texts, the compiler behind `jit` (off), Debian's own cluster.
const LEFT_OUT: &[&str] = &[
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./usr/lib/*/libLLVM*",
    "./var/lib/postgresql/*",
    "./dev/*",
];

const SERVE: &str = include_str!("serve.sh");

/// Where the script is in the image.
const SERVE_PATH: &str = "/usr/local/bin/serve";

/// The settings every version has.
const SETTINGS: &[&str] = &[
    "ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "USER postgres",
    "EXPOSE 5432",
    "CMD [\"/usr/local/bin/serve\"]",
    "HEALTHCHECK --interval=1s --timeout=5s --retries=20 CMD [\"pg_isready\", \"--quiet\", \"--host=/tmp\"]",
];

/// "Fast shutdown": sessions are ended, everything is written. An imported image cannot be given one, a committed
/// container has its own.
const STOP_SIGNAL: &str = "--stop-signal=SIGINT";

/// A version of the database's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// What serves first.
    V1,
    /// The next one; its data is the same.
    V2,
    /// One that ends at once. It never accepts a client: what it accepted would be taken back by the undo.
    Broken,
}

impl Version {
    /// The word in tags, in `VERSION`, and what the server says it is.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Broken => "broken",
        }
    }

    /// Makes the image unless it exists, and gives its name. The first time on a machine this takes a minute.
    ///
    /// # Errors
    /// Debian's packages cannot be had, or the engine refused.
    pub fn image(self) -> Result<String> {
        let (word, base) = (self.word(), format!("{REPOSITORY}:base-{}", recipe()));
        let image = format!("{REPOSITORY}:{word}-{}", recipe());
        if Docker.exists("image", &image)? {
            return Ok(image);
        }
        let kept = kept_dir()?;
        let _lock = lock(&kept.join("postgres.lock"))?;
        if !Docker.exists("image", &base)? {
            import(&tree(&kept)?, &base)?;
        }
        if !Docker.exists("image", &image)? {
            self.derive(&base, &image)?;
        }
        Ok(image)
    }

    /// The tree's layer, and one small one on it.
    fn derive(self, base: &str, image: &str) -> Result<()> {
        let word = self.word();
        let broken = if self == Self::Broken { "1" } else { "" };
        let version = [format!("ENV VERSION={word} BROKEN={broken}"), format!("LABEL version={word}")];
        let container = Docker.call(&["create", STOP_SIGNAL, base])?;
        let layer = Layer::new().file("/etc/postgres-version", format!("{word}\n").as_bytes(), 0o644);
        let committed =
            Docker.call_with(&["cp", "-", &format!("{container}:/")], &layer.pack()?).and_then(|_| {
                let changes = version.iter().flat_map(|line| ["--change", line.as_str()]);
                let words: Vec<&str> =
                    ["commit"].into_iter().chain(changes).chain([&*container, image]).collect();
                Docker.call(&words)
            });
        Docker.call(&["rm", &container])?;
        committed.map(drop)
    }
}

/// A digest of everything that is ours in the images.
fn recipe() -> String {
    let parts = [BOOTSTRAP, LEFT_OUT, SETTINGS, &[SERVE, SERVE_PATH, STOP_SIGNAL, DATA]].concat();
    let digest = Sha256::digest(parts.join("\n"));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn import(tree: &Path, base: &str) -> Result<()> {
    let tree = tree.to_str().context("the target directory's path is not UTF-8")?;
    let data = format!("ENV PGDATA={DATA}/cluster");
    let changes = SETTINGS.iter().copied().chain([data.as_str()]).flat_map(|line| ["--change", line]);
    let words: Vec<&str> = ["import"].into_iter().chain(changes).chain([tree, base]).collect();
    Docker.call(&words).map(drop)
}

/// The tree as a tar, bootstrapped unless it is there.
fn tree(kept: &Path) -> Result<PathBuf> {
    let tar = kept.join(format!("postgres-{}.tar", recipe()));
    if tar.exists() {
        return Ok(tar);
    }
    let work = tempfile::Builder::new().prefix("postgres-").tempdir_in(kept)?;
    let root = work.path().join("root");
    run(Command::new("debootstrap").args(BOOTSTRAP).arg(&root))?;
    std::fs::write(root.join(SERVE_PATH.trim_start_matches('/')), SERVE)?;
    std::fs::create_dir_all(root.join("etc/jelastic"))?;
    std::fs::write(root.join("etc/jelastic/redeploy.conf"), format!("# the database\n{DATA}\n"))?;
    let script = "cd \"$1\" && chmod 755 .\"$2\" && chown -R 0:0 etc/jelastic";
    run(Command::new("sh").args(["-ec", script, "sh"]).arg(&root).arg(SERVE_PATH))?;

    let part = work.path().join("tree.tar");
    let left_out = LEFT_OUT.iter().map(|pattern| format!("--exclude={pattern}"));
    let mut pack = Command::new("tar");
    pack.arg("--numeric-owner").args(left_out).arg("--wildcards").arg("-C").arg(&root).arg("-cf").arg(&part);
    run(pack.arg("."))?;
    std::fs::rename(&part, &tar)?;
    Ok(tar)
}
