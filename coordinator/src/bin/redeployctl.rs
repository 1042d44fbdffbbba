//! `redeployctl`: the operators' command line, a client of the coordinator's API. Everything is in `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    redeploy_coordinator::cli::main()
}
