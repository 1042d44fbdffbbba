//! `redeployctl`: asks the coordinator, follows a deployment, tells how it ended.
//!
//! Flows in: arguments and the environment. Flows out: calls of the API; results on stdout, everything else on stderr;
//! an exit code. Must never decide anything, and never print a token it was given.

mod access;
mod args;
mod contexts;
mod dial;
mod events;
mod exit;
mod follow;
mod inventory;
mod json;
mod login;
mod pages;
mod plan;
mod request;
mod screen;
mod summary;
mod text;
mod trust;
mod units;
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
    let output = global.output();
    // Those that need no coordinator, or have another way to it.
    let verb = match verb {
        Verb::Completions { shell } => return Ok(pages::completions(shell)),
        Verb::Man { dir } => return pages::manual(dir.as_deref()),
        Verb::Context(verb) => return login::context(verb, output),
        Verb::Login(args) => return login::login(&global, args).await,
        other => other,
    };
    // So is a password, which somebody may have to type.
    let secret = request::secret_of(&verb)?;
    let at = Coordinator::dial(&global).await?;
    match verb {
        Verb::Deploy(args) => verbs::deploy(&at, *args, secret, output).await,
        Verb::Plan(args) => plan::plan(&at, *args, secret, output).await,
        Verb::Status(args) => verbs::status(&at, args, output).await,
        Verb::History(args) => verbs::history(&at, args, output).await,
        Verb::Halt(args) => verbs::halt(&at, args, output).await,
        Verb::Resume(args) => verbs::resume(&at, args, output).await,
        Verb::RetryFailed(args) => verbs::retry_failed(&at, args, output).await,
        Verb::Cancel(args) => verbs::cancel(&at, args, output).await,
        Verb::Rollback(args) => verbs::rollback(&at, args, output).await,
        Verb::Revert(args) => verbs::revert(&at, args, output).await,
        Verb::Env(verb) => inventory::env(&at, verb, output).await,
        Verb::Group(verb) => inventory::group(&at, verb, output).await,
        Verb::Node(verb) => inventory::node(&at, verb, output).await,
        Verb::Host(verb) => inventory::host(&at, verb, output).await,
        Verb::Events(args) => events::events(&at, args, output).await,
        Verb::Token(verb) => access::token(&at, verb, output).await,
        Verb::Whoami => login::whoami(&at, output).await,
        Verb::Login(_) | Verb::Context(_) | Verb::Completions { .. } | Verb::Man { .. } => Ok(Exit::Done),
    }
}
