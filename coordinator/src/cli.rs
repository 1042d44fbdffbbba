//! `redeployctl`: asks the coordinator, follows a deployment, tells how it ended.
//!
//! Flows in: arguments and the environment. Flows out: calls of the API; results on stdout, everything else on stderr;
//! an exit code. Must never decide anything, and never print a token it was given.

mod args;
mod dial;
mod exit;
mod follow;
mod inventory;
mod json;
mod text;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Verb};
use self::dial::Coordinator;
use self::exit::{Exit, Stop};

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Whoever closed the pipe has read enough.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("redeployctl: cannot start: {error}");
            return Exit::Refused.into();
        }
    };
    let exit = runtime.block_on(obey(cli)).unwrap_or_else(|stop| {
        eprintln!("redeployctl: {}", text::tame(&stop.text));
        stop.exit
    });
    // What still waits for a terminal is not waited for.
    runtime.shutdown_background();
    exit.into()
}

async fn obey(cli: Cli) -> Result<Exit, Stop> {
    let Cli { global, verb } = cli;
    // What is wrong with the arguments is told before anybody is dialled.
    let verb = verb.checked()?;
    let coordinator = Coordinator::dial(&global).await?;
    let json = global.json;
    match verb {
        Verb::Deploy(args) => verbs::deploy(&coordinator, args, json).await,
        Verb::Status(args) => verbs::status(&coordinator, args, json).await,
        Verb::Halt(args) => verbs::halt(&coordinator, args, json).await,
        Verb::Resume(args) => verbs::resume(&coordinator, args, json).await,
        Verb::RetryFailed(args) => verbs::retry_failed(&coordinator, args, json).await,
        Verb::Cancel(args) => verbs::cancel(&coordinator, args, json).await,
        Verb::Rollback(args) => verbs::rollback(&coordinator, args, json).await,
        Verb::Node(verb) => inventory::node(&coordinator, verb, json).await,
        Verb::Host(verb) => inventory::host(&coordinator, verb, json).await,
    }
}
