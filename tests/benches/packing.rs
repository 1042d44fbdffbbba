//! Packing and restoring, beside the tools an operator would use: `tar | pigz`, `tar | gzip`, `tar x`.
//!
//! Flows in: real files of this machine (`BENCH_TREE`, else `/usr`), copied again and again into a temporary
//! directory until they fill `BENCH_GIB` GiB (default 0.5); `BENCH_ROUNDS` (default 3). Flows out: ratios of the same
//! run, at a quick level and at the agent's own, which is that of gzip and pigz. All contenders work on the same warm
//! tree, with the same level and number of cores, and all end with their output on disk.

#![expect(clippy::disallowed_methods, reason = "a benchmark starts the programs it compares with")]

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use redeploy_agent::archive::{
    ApplyMode, ArchiveLine, Capture, PackOptions, RoundKind, Selection, Watch, apply,
};
use redeploy_agent::config::Config;
use redeploy_agent::guest_path::GuestPath;
use redeploy_agent::rootfs::Root;
use redeploy_tests::contest::{Goal, Times, Verdict};
use redeploy_tests::settings;

/// What somebody chooses for whom time counts more than size.
const QUICK_LEVEL: u32 = 4;

fn main() -> Result<()> {
    let ours = Config::built_in().compression_level;
    let rounds = settings::number("BENCH_ROUNDS", 3)?;
    let mut room = Room::new(settings::gib("BENCH_GIB", 0.5)?)?;
    for level in [QUICK_LEVEL, ours] {
        room.level = level;
        println!("packing {} at level {level} on {} cores, {rounds} rounds", room.describe(), room.cores);
        let packed = pack_in_turn(&room, rounds)?;
        if level == ours {
            restore_in_turn(&room, rounds, &packed)?;
        }
    }
    Ok(())
}

/// Everything packs the tree once per round. Gives our archive's line.
fn pack_in_turn(room: &Room, rounds: u64) -> Result<ArchiveLine> {
    let [mut ours, mut pigz, mut gzip] = [const { Times::none() }; 3];
    let mut line = None;
    let pigz_command = format!("pigz -{} -p {}", room.level, room.cores);
    let gzip_command = format!("gzip -{}", room.level);
    for round in 0..rounds {
        line = Some(ours.time(|| room.pack())?);
        pigz.time(|| {
            room.shell(&format!("tar -cC tree . | {pigz_command} > pigz.tar.gz; sync pigz.tar.gz"))
        })?;
        // Slow, and only for contrast: once is enough.
        if round == 0 {
            gzip.time(|| {
                room.shell(&format!("tar -cC tree . | {gzip_command} > gzip.tar.gz; sync gzip.tar.gz"))
            })?;
        }
    }
    let line = line.context("BENCH_ROUNDS is 0")?;
    let theirs = room.size_of("pigz.tar.gz")?;
    println!("  ours            {ours}, {} bytes", line.bytes);
    println!("  tar | pigz      {pigz}, {theirs} bytes");
    println!("  tar | gzip      {gzip}, {} bytes", room.size_of("gzip.tar.gz")?);
    println!("{}", pigz.against(&ours, "packing: times as fast as tar | pigz", Goal::AtLeast(2.0)));
    println!("{}", pigz.against_in_cpu(&ours, "packing: the same in processor time"));
    println!("{}", gzip.against(&ours, "packing: times as fast as tar | gzip", Goal::Contrast));
    println!(
        "{}",
        Verdict::of("packing: size in units of pigz's", line.bytes as f64 / theirs as f64, Goal::Contrast)
    );
    Ok(line)
}

/// Everything restores our archive into an empty directory once per round.
fn restore_in_turn(room: &Room, rounds: u64, line: &ArchiveLine) -> Result<()> {
    let [mut ours, mut tar, mut pigz] = [const { Times::none() }; 3];
    for _ in 0..rounds {
        room.emptied("restored")?;
        ours.time(|| room.restore(line))?;
        room.emptied("restored")?;
        tar.time(|| room.shell("tar -xpzf archives/tree.tar.gz -C restored; sync -f restored"))?;
        room.emptied("restored")?;
        pigz.time(|| room.shell("pigz -dc archives/tree.tar.gz | tar -xp -C restored; sync -f restored"))?;
    }
    println!("  ours            {ours}");
    println!("  tar xz          {tar}");
    println!("  pigz -d | tar x {pigz}");
    println!("{}", tar.against(&ours, "restoring: times as fast as tar xz", Goal::AtLeast(1.0)));
    println!("{}", tar.against_in_cpu(&ours, "restoring: the same in processor time"));
    println!("{}", pigz.against(&ours, "restoring: times as fast as pigz -d | tar x", Goal::Contrast));
    Ok(())
}

/// A directory with the tree in it, and how it is packed.
struct Room {
    dir: tempfile::TempDir,
    level: u32,
    cores: usize,
    bytes: u64,
    files: u64,
}

impl Room {
    fn new(bytes_wanted: u64) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("redeploy-bench-").tempdir_in("/var/tmp")?;
        let cores = std::thread::available_parallelism()?.get();
        let mut room = Self { dir, level: QUICK_LEVEL, cores, bytes: 0, files: 0 };
        let from = std::env::var_os("BENCH_TREE").map_or_else(|| PathBuf::from("/usr"), PathBuf::from);
        settings::need_space(room.dir.path(), bytes_wanted.saturating_mul(3))?;
        for copy in 0.. {
            let (bytes, files) = (room.bytes, room.files);
            room.copy(&from, copy, bytes_wanted)?;
            ensure!(room.files > files && room.bytes > bytes, "{} holds no files", from.display());
            if room.bytes >= bytes_wanted {
                break;
            }
        }
        room.emptied("archives")?;
        room.shell("sync -f tree; tar -cC tree . | cat > /dev/null")?;
        Ok(room)
    }

    /// Copies regular files, links and directories, until there is enough.
    fn copy(&mut self, from: &Path, copy: u32, bytes_wanted: u64) -> Result<()> {
        let to = self.dir.path().join("tree").join(copy.to_string());
        for entry in walkdir::WalkDir::new(from).sort_by_file_name().into_iter().flatten() {
            let place = to.join(entry.path().strip_prefix(from)?);
            if entry.file_type().is_dir() {
                std::fs::create_dir_all(&place)?;
            } else if entry.file_type().is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, &place)?;
            } else if entry.file_type().is_file() {
                self.bytes += std::fs::copy(entry.path(), &place)?;
                self.files += 1;
            }
            if self.bytes >= bytes_wanted {
                break;
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} MiB in {} files", self.bytes >> 20, self.files)
    }

    /// As the agent packs a volume: the first round, then the end.
    fn pack(&self) -> Result<ArchiveLine> {
        let archives = self.emptied("archives")?;
        let selection = Selection { include: vec![GuestPath::root()], exclude: Vec::new() };
        let options =
            PackOptions { level: self.level, threads: self.cores, entries_max: 0, archive_bytes_max: 0 };
        let root = Root::open_dir(&self.dir.path().join("tree"), "tree")?;
        let mut capture = Capture::begin(&archives, "tree", selection, options)?;
        capture.round(&root, RoundKind::Final, &Watch::new())?;
        Ok(capture.finish()?)
    }

    fn restore(&self, line: &ArchiveLine) -> Result<()> {
        let to = Root::open_dir(&self.dir.path().join("restored"), "restored")?;
        apply(&self.dir.path().join("archives"), line, 1, &to, &ApplyMode::Replace, &Watch::new())?;
        self.shell("sync -f restored")
    }

    fn emptied(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.path().join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir(&dir)?;
        Ok(dir)
    }

    fn size_of(&self, name: &str) -> Result<u64> {
        Ok(self.dir.path().join(name).metadata()?.len())
    }

    fn shell(&self, script: &str) -> Result<()> {
        let script = format!("set -eo pipefail; {script}");
        let status = Command::new("bash").args(["-c", &script]).current_dir(self.dir.path()).status()?;
        ensure!(status.success(), "`{script}` failed");
        Ok(())
    }
}
