//! `redeploy-agent`: replaces the image under a container of this host and keeps what its user put into it.
//!
//! Flows in: arguments and the environment. Flows out: an exit code (`cli/exit.rs`). Everything in between is in
//! `cli`; here the process is only set up and taken down.

mod cli;

use std::process::ExitCode;

/// The engine does the work; two threads carry all that waits for it.
const WORKER_THREADS: usize = 2;

fn main() -> ExitCode {
    // Not worth stopping for: only very deep trees need it, and say so themselves.
    if let Err(error) = redeploy_agent::rootfs::raise_open_files_limit() {
        eprintln!("redeploy-agent: {error}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("redeploy-agent: cannot start its threads: {error}");
            return cli::Exit::Refused.into();
        }
    };
    let variable = |name: &str| std::env::var(name).ok();
    let exit = runtime.block_on(cli::run(std::env::args_os(), &variable));
    // What still runs on a thread of its own only looks: whoever acts is waited for.
    runtime.shutdown_background();
    exit.into()
}
