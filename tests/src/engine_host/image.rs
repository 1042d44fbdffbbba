//! The images of hosts: a Debian tree with the release's engine and what the suites use.
//!
//! Flows in: Debian's packages, once. Flows out: the name of an image that exists, with a digest of the recipe in
//! it; the versions inside are those of the day it was made. Must never keep a half made image under that name.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::debian::{kept_dir, run};
use crate::engine::Docker;
use crate::images::lock;

const REPOSITORY: &str = "redeploy-test/host";

/// The engine, and what `make need` installs for the tests.
const PACKAGES: &str = "ca-certificates,iptables,iproute2,docker.io,docker-cli,busybox-static,acl,attr,\
                        libcap2-bin,tar,gzip";

/// In the older release the command is part of the engine's package.
const OLDER_PACKAGES: &str = "ca-certificates,iptables,iproute2,docker.io,busybox-static";

/// What apt and debootstrap leave, and texts.
const LEFT_OUT: &[&str] = &[
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./dev/*",
];

/// A release of Debian, by what its engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Engine 20.10, the oldest one that is served.
    Bookworm,
    /// Engine 26.1.
    Trixie,
    /// The newest one Debian has (28.5 when this was written), and Compose.
    Sid,
}

impl Release {
    fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }

    fn packages(self) -> String {
        match self {
            Self::Bookworm => OLDER_PACKAGES.to_owned(),
            Self::Trixie => PACKAGES.to_owned(),
            Self::Sid => format!("{PACKAGES},docker-compose"),
        }
    }

    /// Makes the image unless it exists, and gives its name. The first time on a machine this takes a minute or two.
    ///
    /// # Errors
    /// Debian's packages cannot be had, or the engine refused.
    pub fn image(self) -> Result<String> {
        let recipe = [self.packages(), LEFT_OUT.join(" ")].join("\n");
        let digest: String =
            Sha256::digest(recipe).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{REPOSITORY}:{}-{digest}", self.suite());
        let kept = kept_dir()?;
        let _lock = lock(&kept.join(format!("host-{}.lock", self.suite())))?;
        if !Docker.exists("image", &name)? {
            let work = tempfile::Builder::new().prefix("host-").tempdir_in(kept)?;
            let root = work.path().join("root");
            let include = format!("--include={}", self.packages());
            run(Command::new("debootstrap").args(["--variant=minbase", &include, self.suite()]).arg(&root))?;
            import(&root, &name)?;
        }
        Ok(name)
    }
}

/// The tree becomes an image on the way, without a file between them: it is more than half a gigabyte.
fn import(root: &Path, name: &str) -> Result<()> {
    let left_out = LEFT_OUT.iter().map(|pattern| format!("--exclude={pattern}"));
    let mut pack = Command::new("tar");
    pack.arg("--numeric-owner").args(left_out).arg("--wildcards").arg("-C").arg(root).args(["-cf", "-", "."]);
    let mut packing =
        pack.stdout(Stdio::piped()).spawn().context("cannot start tar: run `make need` first")?;
    let tree = packing.stdout.take().context("no pipe from tar")?;
    let imported = run(Command::new("docker").args(["import", "-", name]).stdin(tree));
    ensure!(packing.wait()?.success(), "tar failed on {}", root.display());
    imported
}
