//! What a process uses, and what this machine is doing.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// USER_HZ, the same on all Linux machines.
const TICKS_PER_SECOND: f64 = 100.0;

/// Files a process needs besides its connections.
const OTHER_FILES: u64 = 200;

/// Of one process, at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Memory of its own: no files, no shared pages.
    bytes: u64,
    peak: u64,
    cpu: f64,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no memory told")?;
            let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
            anyhow::Ok(kib << 10)
        };
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        let (_, after_name) = stat.rsplit_once(')').context("stat")?;
        let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        let cpu = ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND;
        Ok(Self { bytes: line("RssAnon:")?, peak: line("VmHWM:")?, cpu })
    }

    pub(crate) fn bytes_since(&self, before: &Self) -> f64 {
        self.bytes.saturating_sub(before.bytes) as f64
    }

    pub(crate) fn cpu_since(&self, before: &Self) -> f64 {
        self.cpu - before.cpu
    }

    pub(crate) fn mib(&self) -> f64 {
        self.bytes as f64 / 1048576.0
    }

    pub(crate) fn peak_mib(&self) -> f64 {
        self.peak as f64 / 1048576.0
    }
}

/// Cores and load, so that a number taken on a busy machine says so.
pub(crate) fn describe() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let mut text = format!("{cores} cores, load {}", load.split(' ').next().unwrap_or_default());
    if let Ok(pressure) = std::fs::read_to_string("/proc/pressure/cpu")
        && let Some(some) = pressure.split_whitespace().find(|word| word.starts_with("avg10="))
    {
        write!(text, ", others waited for a core {} % of the last 10 s", some.trim_start_matches("avg10="))?;
    }
    Ok(text)
}

/// Raises the limit of open files, which children inherit, and refuses if it is not enough.
pub(crate) fn need_files(agents: u64) -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let needed = agents + OTHER_FILES;
    ensure!(
        maximum.is_none_or(|files| files >= needed),
        "{needed} open files are needed for {agents} agents and {maximum:?} are allowed: `ulimit -Hn`, or fewer \
         BENCH_AGENTS"
    );
    Ok(())
}
