//! How long a client that keeps asking gets no answer, and how much memory the agent takes meanwhile.
//!
//! Flows in: the real engine, the real agent (release); `BENCH_GIB` (default 4) is how much is preserved, half of
//! it in the container's root and half in its volume; `BENCH_FILES` (default 20000) small files are preserved in a case of
//! their own, because what a name costs after the stop is the storage driver's matter: through fuse-overlayfs 20 times as
//! much as on the file system below it; `BENCH_HOLE_GB` (default 10) a file of that size that is one hole; `BENCH_ROUNDS` (default 3); `BENCH_NETWORK`: `bridge` (default, asked at a published port) or `host`. Flows out:
//! ratios of the same run, against
//!
//! - the floor: `docker stop` of one container, `docker start` of another that was prepared;
//! - the classic sequence: stop, tar, create, untar, start.

#![expect(clippy::disallowed_methods, reason = "a benchmark acts as a person at a shell does")]

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redeploy_tests::asker::Asker;
use redeploy_tests::contest::{Goal, Times, Verdict};
use redeploy_tests::images::Image;
use redeploy_tests::peak::Peak;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::{settings, wait};

/// A redeploy with everything in it takes no longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(3600);
const SMALL_BYTES: u64 = 1 << 20;
const MIB: f64 = 1048576.0;

fn main() -> Result<()> {
    let rounds = settings::number("BENCH_ROUNDS", 3)?;
    let large = settings::gib("BENCH_GIB", 4.0)?;
    let files = settings::number("BENCH_FILES", 20_000)?;
    settings::need_space(&std::env::temp_dir(), large.saturating_mul(6))?;
    println!("downtime with {} MiB preserved, or {files} files, {rounds} rounds", large >> 20);
    let (idle, little, much) =
        (Stage::new("idle", 0, 0)?, Stage::new("small", SMALL_BYTES, 0)?, Stage::new("large", large, 0)?);
    let names = Stage::new("names", SMALL_BYTES, files)?;
    let hole = settings::number("BENCH_HOLE_GB", 10)?.saturating_mul(1_000_000_000);
    let sparse = Stage::new("hole", SMALL_BYTES, 0)?;
    sparse.hole(hole)?;
    let [mut floor, mut small, mut big, mut many, mut empty, mut classic] = [const { Times::none() }; 6];
    let mut peaks = [0; 5];
    peaks[0] = idle.redeploy(&mut Times::none())?;
    for _ in 0..rounds {
        floor.note(little.floor()?);
        peaks[1] = peaks[1].max(little.redeploy(&mut small)?);
        peaks[2] = peaks[2].max(much.redeploy(&mut big)?);
        peaks[3] = peaks[3].max(sparse.redeploy(&mut empty)?);
        peaks[4] = peaks[4].max(names.redeploy(&mut many)?);
    }
    classic.note(much.classic()?);
    println!("  floor           {floor}");
    println!("  ours, 1 MiB     {small}");
    println!("  ours, {:>4} MiB  {big}", large >> 20);
    println!("  ours, a hole    {empty}");
    println!("  ours, names     {many}");
    println!("  classic         {classic}");
    println!(
        "{}",
        small.against(&floor, "downtime: 1 MiB preserved, in units of the floor", Goal::AtMost(1.15))
    );
    println!(
        "{}",
        big.against(&small, "downtime: all bytes preserved, in units of 1 MiB preserved", Goal::AtMost(1.2))
    );
    println!(
        "{}",
        empty.against(&small, "downtime: with a large hole, in units of 1 MiB preserved", Goal::AtMost(1.2))
    );
    println!(
        "{}",
        many.against(&small, "downtime: many names preserved, in units of 1 MiB preserved", Goal::Contrast)
    );
    println!("{}", classic.against(&big, "downtime: the classic sequence, in units of ours", Goal::Contrast));
    let limits =
        [("nothing", 16.0), ("1 MiB", 64.0), ("all", 64.0), ("a large hole", 64.0), ("many names", 64.0)];
    for ((name, mib), peak) in limits.into_iter().zip(peaks) {
        let name = format!("memory: agent's peak with {name} preserved, MiB");
        println!("{}", Verdict::of(&name, peak as f64 / MIB, Goal::AtMost(mib)));
    }
    Ok(())
}

/// A service that is redeployed again and again.
struct Stage {
    sandbox: Sandbox,
    name: String,
    images: [String; 2],
    port: u16,
    options: Vec<String>,
    volume: String,
}

impl Stage {
    fn new(name: &str, bytes: u64, files: u64) -> Result<Self> {
        let sandbox = Sandbox::new(&format!("bench-{name}"))?;
        let images = [image("v1")?, image("v2")?];
        let port = free_port()?;
        let volume = sandbox.volume("data")?;
        let mut options = match std::env::var("BENCH_NETWORK").as_deref() {
            Ok("host") => {
                vec!["--network".to_owned(), "host".to_owned(), "--env".to_owned(), format!("PORT={port}")]
            }
            _ => vec![
                "--network".to_owned(),
                sandbox.network("net")?,
                "--publish".to_owned(),
                format!("127.0.0.1:{port}:8080"),
            ],
        };
        options.extend(["--volume".to_owned(), format!("{volume}:/data")]);
        let words: Vec<&str> = options.iter().map(String::as_str).collect();
        let web = sandbox.run("web", &words, &images[0], &[])?;
        let stage = Self { sandbox, name: web, images, port, options, volume };
        stage.wait_until_it_answers()?;
        let root = stage.sandbox.docker().root(&stage.name)?;
        fill(&root.join("etc/subject/conf.d"), bytes / 2, files / 2)?;
        fill(&root.join("data"), bytes / 2, files / 2)?;
        Ok(stage)
    }

    /// A file in the volume that is one hole.
    fn hole(&self, bytes: u64) -> Result<()> {
        let root = self.sandbox.docker().root(&self.name)?;
        Ok(std::fs::File::create(root.join("data/hole"))?.set_len(bytes)?)
    }

    /// To the image it does not have. Gives the agent's peak.
    fn redeploy(&self, downtimes: &mut Times) -> Result<u64> {
        let docker = self.sandbox.docker();
        let inspected = docker.inspect(&self.name)?;
        let now = redeploy_tests::engine::text_at(&inspected, "/Config/Image")?;
        let next = self.images.iter().find(|image| **image != now).context("no other image")?;
        let config = "settle_time = \"1s\"\nparked_max = 1\ndisk_headroom = \"1MiB\"\n";
        let agent = self.sandbox.agent_configured(config)?;
        let asker = Asker::start(self.address());
        let words = ["redeploy", "--container", &self.name, "--image", next, "--pull", "never"];
        let running = agent.spawn(&words)?;
        let peak = Peak::of(running.id());
        running.wait(PATIENCE)?.expect_code(0)?;
        downtimes.note(asker.downtime()?);
        peak.bytes()
    }

    /// What no redeploy can beat: one container stops, another one that is ready starts.
    fn floor(&self) -> Result<Duration> {
        let docker = self.sandbox.docker();
        let words: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let prepared = self.sandbox.create("prepared", &words, &self.images[0], &[])?;
        let asker = Asker::start(self.address());
        docker.call(&["stop", &self.name])?;
        docker.call(&["start", &prepared])?;
        self.wait_until_it_answers()?;
        let downtime = asker.downtime()?;
        docker.call(&["rm", "--force", &prepared])?;
        docker.call(&["start", &self.name])?;
        self.wait_until_it_answers()?;
        Ok(downtime)
    }

    /// What a careful operator does by hand. The volume is archived too, and mounted again.
    fn classic(&self) -> Result<Duration> {
        let docker = self.sandbox.docker();
        let volume = docker.call(&["volume", "inspect", "--format", "{{.Mountpoint}}", &self.volume])?;
        let (old, new, kept) = (self.name.as_str(), self.sandbox.name("classic"), "/etc/subject/conf.d");
        let dir = self.sandbox.path().display();
        let options = self.options.join(" ");
        let asker = Asker::start(self.address());
        let script = format!(
            "set -eo pipefail; docker stop {old}; docker cp {old}:{kept} - | gzip -4 > {dir}/kept.tgz; \
             tar -cC {volume} . | gzip -4 > {dir}/volume.tgz; docker create --name {new} {options} {image}; \
             gzip -dc {dir}/kept.tgz | docker cp - {new}:/etc/subject; docker start {new}",
            image = self.images[1],
        );
        let output = Command::new("bash").args(["-c", &script]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.wait_until_it_answers()?;
        asker.downtime()
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn wait_until_it_answers(&self) -> Result<()> {
        let http = redeploy_tests::http::Http::new(self.address());
        wait::until(wait::PATIENCE, "the subject to answer", || Ok(http.get("/healthz")?.status == 200))
    }
}

fn image(version: &str) -> Result<String> {
    Image::subject(&format!("bench-{version}"))?.build()
}

/// A port nobody listens on at this moment.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Large files with as many bytes in all, half of each block noise, and small ones beside them.
fn fill(dir: &Path, bytes: u64, files: u64) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![b' '; 1 << 20];
    for (number, begin) in (0..bytes).step_by(64 << 20).enumerate() {
        let mut file = std::fs::File::create(dir.join(format!("large-{number}")))?;
        for _ in 0..bytes.saturating_sub(begin).min(64 << 20).div_ceil(1 << 20) {
            for eight in block.chunks_exact_mut(16) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                eight[..8].copy_from_slice(&state.to_le_bytes());
            }
            file.write_all(&block)?;
        }
    }
    for number in 0..files {
        let dir = dir.join(format!("small-{}", number / 1000));
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join(number.to_string()), number.to_string())?;
    }
    Ok(())
}
