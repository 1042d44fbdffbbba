//! Archives that somebody alters on the host, after they were written and before they are used.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use redeploy_agent::image::PullPolicy;
use redeploy_agent::plan::Plan;
use redeploy_agent::progress::Audience;
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::saga::{Event, Record};
use redeploy_agent::steps::Step;
use redeploy_proto::RedeployId;
use redeploy_tests::images;
use redeploy_tests::in_process;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;

/// How an archive is altered.
#[derive(Debug, Clone, Copy)]
enum Alteration {
    FlipInTheMiddle,
    CutTheEnd,
}

impl Alteration {
    fn act_on(self, archive: &Path) -> Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(archive)?;
        let len = file.metadata()?.len();
        ensure!(len > 64, "{} is too small to be altered", archive.display());
        match self {
            Self::FlipInTheMiddle => flip(&file, len / 2)?,
            Self::CutTheEnd => file.set_len(len - 20)?,
        }
        Ok(())
    }
}

fn flip(file: &File, at: u64) -> Result<()> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 0x10], at)?;
    Ok(())
}

/// Alters archives whose names begin with `stem` as soon as they are captured.
struct Saboteur {
    data: PathBuf,
    stem: &'static str,
    alteration: Alteration,
}

impl Saboteur {
    fn strike(&self) -> Result<()> {
        let mut struck = 0;
        for entry in walkdir::WalkDir::new(&self.data).into_iter().flatten() {
            let name = entry.file_name().to_string_lossy();
            if name.starts_with(self.stem) && name.ends_with(".tar.gz.part") {
                self.alteration.act_on(entry.path())?;
                struck += 1;
            }
        }
        ensure!(struck > 0, "there is no archive {}", self.stem);
        Ok(())
    }
}

impl Audience for Saboteur {
    fn pulling(&self, _: &str, _: u64, _: u64) {}
    fn plan(&self, _: &Plan) {}
    fn record(&self, record: &Record) {
        if matches!(record.event, Event::Done { step: Step::Capture, .. }) {
            // If it cannot strike, the redeploy succeeds, and the test fails for that.
            drop(self.strike());
        }
    }
    fn progress(&self, _: Step, _: &str, _: u64, _: u64) {}
    fn report(&self, _: &Report) {}
}

/// The subject with a volume, on a network of its own.
fn subject(sandbox: &Sandbox) -> Result<String> {
    let (mount, network) = (format!("{}:/data", sandbox.volume("data")?), sandbox.network("net")?);
    sandbox.run_subject("web", &["--volume", &mount, "--network", &network], &images::subject_v1()?)
}

/// A redeploy whose archive `stem` is altered between capture and restore.
async fn fails_and_is_undone(stem: &'static str, alteration: Alteration) -> Result<()> {
    let sandbox = Sandbox::new("altered")?;
    let web = subject(&sandbox)?;
    let http = sandbox.http(&web)?;
    let rows: String = (0..5000).map(|row| format!("row {}\n", row * 7919 % 4999)).collect();
    for file in ["/data/orders", "/etc/subject/conf.d/orders"] {
        http.put_file(file, rows.as_bytes())?;
    }

    let mut agent = in_process::agent(&sandbox.data_dir(), &[]).await?;
    agent.audience = Arc::new(Saboteur { data: sandbox.data_dir(), stem, alteration });
    let request = in_process::request(&web, &images::subject_v2()?);
    let report = agent.redeploy(RedeployId::generate(), &request, PullPolicy::Never, None).await?;

    ensure!(report.verdict == Verdict::Undone, "{report:?}");
    let reason = report.failure.context("no reason")?.reason;
    ensure!(reason.contains(&format!("/{stem}")) && reason.contains(".tar.gz"), "which archive? {reason}");
    sandbox.wait_until_it_serves(&web)?;
    let http = sandbox.http(&web)?;
    ensure!(http.get("/version")?.text() == "v1\n");
    for file in ["/data/orders", "/etc/subject/conf.d/orders"] {
        ensure!(http.file(file)?.as_deref() == Some(rows.as_bytes()), "{file} is not as it was");
    }
    ensure!(sandbox.containers()? == [web], "something is left: {:?}", sandbox.containers()?);
    Ok(())
}

#[tokio::test]
async fn a_flipped_bit_in_a_paths_archive_is_found_before_anything_stops() -> Result<()> {
    fails_and_is_undone("paths", Alteration::FlipInTheMiddle).await
}

#[tokio::test]
async fn a_cut_archive_of_paths_is_found_before_anything_stops() -> Result<()> {
    fails_and_is_undone("paths", Alteration::CutTheEnd).await
}

#[tokio::test]
async fn an_altered_archive_of_a_volume_is_found_before_anything_stops() -> Result<()> {
    fails_and_is_undone("volume", Alteration::FlipInTheMiddle).await?;
    fails_and_is_undone("volume", Alteration::CutTheEnd).await
}

#[test]
fn a_revert_does_not_restore_volumes_from_an_altered_archive() -> Result<()> {
    let sandbox = Sandbox::new("altered revert")?;
    let web = subject(&sandbox)?;
    let rows: String = (0..5000).map(|row| format!("row {}\n", row * 7919 % 4999)).collect();
    sandbox.http(&web)?.put_file("/data/orders", rows.as_bytes())?;
    let operator = Operator::new(&sandbox)?;
    let report = operator.redeploy(&web, &images::subject_v2()?, &[])?.done()?;
    sandbox.wait_until_it_serves(&web)?;
    sandbox.http(&web)?.put_file("/data/orders", b"newer")?;
    let archives = operator.dir_of(report.id).archives();
    let archive = std::fs::read_dir(&archives)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.display().to_string().contains("/volume") && path.extension().is_some_and(|ext| ext == "gz")
        })
        .context("no archive of the volume")?;
    Alteration::FlipInTheMiddle.act_on(&archive)?;

    let undone = operator.revert(&web, &["--volumes", "restore"])?.undone()?;

    let reason = undone.failure.context("no reason")?.reason;
    ensure!(reason.contains(&archive.display().to_string()), "which archive? {reason}");
    sandbox.wait_until_it_serves(&web)?;
    let http = sandbox.http(&web)?;
    ensure!(http.get("/version")?.text() == "v2\n");
    ensure!(http.file("/data/orders")?.as_deref() == Some(&b"newer"[..]), "the volume is not as it was");
    Ok(())
}
