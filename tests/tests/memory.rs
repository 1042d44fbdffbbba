//! The agent's memory has a bound that does not depend on what a container holds.
//!
//! The sizes here take seconds; with `REDEPLOY_SOAK` set (`make soak`) they are those of the largest containers:
//! 1 GiB, a hole of 10 GB, a million files, one directory with 300,000 names.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use redeploy_tests::images::Image;
use redeploy_tests::operator::{Answer, Operator};
use redeploy_tests::peak::Peak;
use redeploy_tests::sandbox::Sandbox;

/// What the agent may ever take.
const PEAK_BYTES_MAX: u64 = 64 << 20;

const MIB: u64 = 1 << 20;

/// `usual`, or `large` in a soak.
fn size(usual: u64, large: u64) -> u64 {
    if std::env::var_os("REDEPLOY_SOAK").is_some() { large } else { usual }
}

fn image(version: &str) -> Result<String> {
    let image = Image::busybox(&format!("memory-{version}"))?;
    image.file("/etc/jelastic/redeploy.conf", "/srv/keep\n").build()
}

/// Redeploys a container after `fill` put something into its root (`/srv/keep`) and its volume, and watches the agent.
fn answer_to(
    test: &str,
    fill: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<(Answer, Sandbox, PathBuf)> {
    let sandbox = Sandbox::new(test)?;
    let (docker, volume) = (sandbox.docker(), sandbox.volume("data")?);
    let mount = format!("{volume}:/data");
    let options = ["--volume", &mount, "--stop-signal", "SIGKILL", "--network", "none"];
    let web = sandbox.run("web", &options, &image("v1")?, &[])?;
    let keep = docker.root(&web)?.join("srv/keep");
    std::fs::create_dir_all(&keep)?;
    fill(&keep, &docker.root(&web)?.join("data"))?;
    let operator = Operator::configured(&sandbox, "disk_headroom = \"1MiB\"\n")?;
    let running = operator.begin_redeploy(&web, &image("v2")?, &[])?;
    let peak = Peak::of(running.id());
    let answer = operator.end_of_long(running, Duration::from_secs(3600))?;
    let bytes = peak.bytes()?;
    println!("{test}: peak {} MiB", bytes / MIB);
    ensure!(bytes <= PEAK_BYTES_MAX, "{test}: the agent took {} MiB", bytes / MIB);
    let root = docker.root(&web)?;
    Ok((answer, sandbox, root))
}

/// The same, where nothing speaks against it. Gives the new root.
fn redeploys_with(test: &str, fill: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<(Sandbox, PathBuf)> {
    let (answer, sandbox, root) = answer_to(test, fill)?;
    answer.done()?;
    Ok((sandbox, root))
}

/// `count` files of a few bytes, `in_one` of them in one directory.
fn small_files(dir: &Path, count: u64, in_one: u64) -> Result<()> {
    for number in 0..count {
        let dir = dir.join(format!("d{}", number / in_one));
        if number % in_one == 0 {
            std::fs::create_dir_all(&dir)?;
        }
        std::fs::File::create(dir.join(format!("file-{number}")))?.write_all(b"tiny")?;
    }
    Ok(())
}

#[test]
fn one_large_file() -> Result<()> {
    let (_sandbox, root) = redeploys_with("memory large file", |keep, data| {
        let half = size(100 * MIB, 512 * MIB);
        for dir in [keep, data] {
            let mut file = std::fs::File::create(dir.join("large"))?;
            let mut source = std::io::Read::take(std::fs::File::open("/dev/urandom")?, half);
            std::io::copy(&mut source, &mut file)?;
        }
        Ok(())
    })?;
    ensure!(root.join("srv/keep/large").metadata()?.len() >= 100 * MIB);
    Ok(())
}

#[test]
fn one_large_hole() -> Result<()> {
    let bytes = size(1 << 30, 10_000_000_000);
    let (_sandbox, root) = redeploys_with("memory hole", |keep, data| {
        for dir in [keep, data] {
            let file = std::fs::File::create(dir.join("hole"))?;
            file.set_len(if dir == data { bytes } else { bytes / 10 })?;
        }
        Ok(())
    })?;
    ensure!(root.join("srv/keep/hole").metadata()?.len() == bytes / 10);
    Ok(())
}

#[test]
fn many_small_files() -> Result<()> {
    redeploys_with("memory many files", |keep, data| {
        small_files(keep, 2000, 100)?;
        small_files(data, size(50_000, 1_000_000), 1000)
    })?;
    Ok(())
}

#[test]
fn many_names_in_one_directory() -> Result<()> {
    let count = size(30_000, 300_000);
    redeploys_with("memory one directory", |_, data| small_files(data, count, count))?;
    Ok(())
}

/// What must be kept is unknown then, so nothing is touched.
#[test]
fn a_redeploy_conf_of_100_mb_is_refused() -> Result<()> {
    let (answer, _sandbox, root) = answer_to("memory conf", |keep, _| {
        let conf = keep.join("../../etc/jelastic/redeploy.conf");
        let mut file = std::io::BufWriter::new(std::fs::File::create(conf)?);
        file.write_all(b"/srv/keep\n")?;
        for line in 0..5_000_000 {
            writeln!(file, "/srv/no/such/{line:07}")?;
        }
        Ok(file.flush()?)
    })?;
    let reasons = answer.refused()?;
    ensure!(reasons.contains("/etc/jelastic/redeploy.conf") && reasons.contains("larger"), "{reasons}");
    ensure!(root.join("etc/jelastic/redeploy.conf").metadata()?.len() > 100_000_000);
    Ok(())
}
