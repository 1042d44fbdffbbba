//! `redeployctl`: asks the coordinator, follows a deployment, tells how it ended.
//!
//! Flows in: arguments and the environment. Flows out: calls of the API; results on stdout, everything else on stderr;
//! an exit code. Must never decide anything, and never print a token it was given.

mod access;
mod apply;
mod args;
mod audit;
mod contexts;
mod dial;
mod events;
mod exit;
mod follow;
mod inventory;
mod jelastic;
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

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use self::args::{Ask, Cli, Local, Output, Verb};
use self::dial::Coordinator;
use self::exit::{Exit, Stop};
use self::request::Password;

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(words()) {
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

/// The command line. A link named after a method of the Jelastic API is that method.
fn words() -> Vec<OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let method = words.first().and_then(|program| jelastic::linked(program.to_str()?));
    if let Some(method) = method {
        words.splice(..1, ["redeployctl", "jelastic", method].map(OsString::from));
    }
    words
}

async fn obey(cli: Cli) -> Result<Exit, Stop> {
    let Cli { global, verb } = cli;
    // What is wrong with the arguments is told before anybody is dialled.
    let verb = verb.checked()?;
    let output = global.output();
    let ask = match verb {
        Verb::Local(Local::Completions { shell }) => return Ok(pages::completions(shell)),
        Verb::Local(Local::Man { dir }) => return pages::manual(dir.as_deref()),
        Verb::Local(Local::Context(verb)) => return login::context(verb, output),
        Verb::Local(Local::Login(args)) => return login::login(&global, args).await,
        Verb::Local(Local::Jelastic(args)) => {
            let call = jelastic::checked(args)?;
            let at = Coordinator::dial(&global).await?;
            return interruptible(jelastic::call(&at, call)).await;
        }
        Verb::Local(Local::Apply(args)) => {
            let manifest = apply::read(args)?;
            let at = Coordinator::dial(&global).await?;
            return interruptible(apply::apply(&at, manifest)).await;
        }
        Verb::Ask(ask) => ask,
    };
    // So is a password, which somebody may have to type.
    let secret = request::secret_of(&ask)?;
    let at = Coordinator::dial(&global).await?;
    interruptible(carry_out(&at, ask, secret, output)).await
}

async fn interruptible(work: impl Future<Output = Result<Exit, Stop>>) -> Result<Exit, Stop> {
    tokio::select! {
        // Whoever follows something has words of its own for Ctrl-C.
        biased;
        done = work => done,
        Ok(()) = tokio::signal::ctrl_c() => {
            let text = "stopped before the answer came; whether an order was carried out is told by `redeployctl status`";
            Err(Stop { exit: Exit::Stuck, text: text.to_owned() })
        }
    }
}

async fn carry_out(
    at: &Coordinator,
    ask: Ask,
    secret: Option<Password>,
    output: Output,
) -> Result<Exit, Stop> {
    match ask {
        Ask::Deploy(args) => verbs::deploy(at, *args, secret, output).await,
        Ask::Plan(args) => plan::plan(at, *args, secret, output).await,
        Ask::Status(args) => verbs::status(at, args, output).await,
        Ask::History(args) => verbs::history(at, args, output).await,
        Ask::Halt(args) => verbs::halt(at, args, output).await,
        Ask::Resume(args) => verbs::resume(at, args, output).await,
        Ask::RetryFailed(args) => verbs::retry_failed(at, args, output).await,
        Ask::Cancel(args) => verbs::cancel(at, args, output).await,
        Ask::Rollback(args) => verbs::rollback(at, args, output).await,
        Ask::Revert(args) => verbs::revert(at, args, output).await,
        Ask::Env(verb) => inventory::env(at, verb, output).await,
        Ask::Group(verb) => inventory::group(at, verb, output).await,
        Ask::Node(verb) => inventory::node(at, verb, output).await,
        Ask::Host(verb) => inventory::host(at, verb, output).await,
        Ask::Audit(args) => audit::audit(at, args, output).await,
        Ask::Events(args) => events::events(at, args, output).await,
        Ask::Token(verb) => access::token(at, verb, output).await,
        Ask::Whoami => login::whoami(at, output).await,
    }
}
