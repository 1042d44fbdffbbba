//! The images of hosts: a Debian tree with the release's engine and what the suites use.
//!
//! Flows in: Debian's packages, once. Flows out: the name of an image that exists, with a digest of the recipe in
//! it; the versions inside are those of the day it was made. Must never keep a half made image under that name, nor
//! choose a release on which programs that were built here do not run.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::debian::{kept_dir, run};
use crate::engine::Docker;
use crate::images::lock;

const REPOSITORY: &str = "redeploy-test/host";

/// The engine, and what `make need` installs for the tests; Compose too, of which the older release has version 1.
const PACKAGES: &str = "ca-certificates,iptables,iproute2,docker.io,docker-cli,busybox-static,acl,attr,\
                        libcap2-bin,tar,gzip,docker-compose";

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
    /// The newest one Debian has (28.5 when this was written).
    Sid,
}

/// The C library of each release, the oldest first.
const LIBRARIES: [(Release, (u32, u32)); 2] = [(Release::Bookworm, (2, 36)), (Release::Trixie, (2, 41))];

impl Release {
    /// The one with the oldest engine on which programs run that were built on this machine: a C library takes those of
    /// older ones only.
    ///
    /// # Errors
    /// This machine does not say which C library it has.
    pub fn oldest() -> Result<Self> {
        let output =
            Command::new("getconf").arg("GNU_LIBC_VERSION").output().context("cannot start getconf")?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let here = c_library(&told).with_context(|| format!("no version of a C library: {told:?}"))?;
        Ok(Self::oldest_for(here))
    }

    fn oldest_for(here: (u32, u32)) -> Self {
        LIBRARIES.into_iter().find(|(_, has)| *has >= here).map_or(Self::Sid, |(release, _)| release)
    }

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
            Self::Trixie | Self::Sid => PACKAGES.to_owned(),
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

/// From `glibc 2.36`.
fn c_library(told: &str) -> Option<(u32, u32)> {
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_release_is_one_that_runs_what_is_built_here() {
        for (told, release) in [
            ("glibc 2.31\n", Release::Bookworm),
            ("glibc 2.36\n", Release::Bookworm),
            ("glibc 2.39\n", Release::Trixie),
            ("glibc 2.42\n", Release::Sid),
        ] {
            assert_eq!(c_library(told).map(Release::oldest_for), Some(release), "{told}");
        }
        assert_eq!(c_library("musl"), None);
    }
}
