//! The command line of the agent: parses, sets up, calls the library, prints.
//!
//! Flows in: arguments and a way to read variables. Flows out: an exit code; results on stdout, everything else on
//! stderr. Must never decide anything about a redeploy, and never print a secret.

mod args;
mod engine_room;
mod exit;
mod faults;
mod history_text;
mod json;
mod lines;
mod live;
mod logging;
mod look;
mod manager;
mod mask;
mod orders;
mod out;
mod pages;
mod report_text;
#[cfg(test)]
mod samples;
mod serve;
mod stopping;
mod teller;
mod units;
mod words;

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::Parser;
use indicatif::{MultiProgress, ProgressDrawTarget};
use redeploy_agent::config::{Config, ConfigError};

use self::args::{Cli, Color, Global, Verb};
pub(crate) use self::exit::Exit;
use self::orders::Desk;
use self::out::{Out, say};

/// How often the live list is drawn, per second at most.
const DRAW_HZ: u8 = 12;

/// Reads a variable of the environment.
pub(crate) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The whole program.
pub(crate) async fn run(arguments: impl Iterator<Item = OsString>, variable: Variable<'_>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let is_wrong = error.use_stderr();
            // Whoever closed the pipe has read enough.
            let _ = error.print();
            return if is_wrong { Exit::Usage } else { Exit::Done };
        }
    };
    Box::pin(obey(cli, variable)).await.unwrap_or_else(|exit| exit)
}

/// Does what was asked. What speaks against it is told where it is found, and ends here as an error.
async fn obey(cli: Cli, variable: Variable<'_>) -> Result<Exit, Exit> {
    let Cli { global, verb } = cli;
    let screen = Screen::new(&global, variable);
    let config = || load(&global, variable).map_err(|error| wrong(&error.to_string()));
    let desk = || Desk::new(config()?, &screen, variable);
    Ok(match verb {
        Verb::Plan(args) => desk()?.plan(args.what, args.json).await?,
        Verb::Redeploy(args) if args.dry_run => desk()?.plan(args.what, args.json).await?,
        Verb::Redeploy(args) => desk()?.redeploy(args.what, args.json).await?,
        Verb::Revert(args) => desk()?.revert(args).await?,
        Verb::Recover(json) => desk()?.recover(json).await?,
        Verb::Prune(json) => desk()?.prune(json).await?,
        Verb::History(args) => look::history(&args, &config()?, screen.out(args.json.json)),
        Verb::Show(args) => look::show(&args, &config()?, screen.out(args.json.json)),
        Verb::CheckConf(args) => look::check_conf(&args, &config()?, screen.out(args.json.json)),
        Verb::Join(args) => serve::join(&args, &config()?).await?,
        Verb::Run => desk()?.serve().await?,
        Verb::Completions { shell } => pages::completions(shell),
        Verb::Man { dir } => pages::manual(dir.as_deref()),
    })
}

/// The configuration. Options are variables that nobody can have set otherwise: they stand above everything else.
fn load(global: &Global, variable: Variable<'_>) -> Result<Config, ConfigError> {
    let options = |name: &str| match name {
        "REDEPLOY_DATA_DIR" => global.data_dir.clone(),
        "REDEPLOY_DOCKER_SOCKET" => global.docker_socket.clone(),
        "REDEPLOY_LOG_FORMAT" => global.log_format.clone(),
        _ => None,
    };
    Config::load(global.config.as_deref(), &|name| options(name).or_else(|| variable(name)))
}

/// Arguments or configuration are wrong.
fn wrong(text: &str) -> Exit {
    say(&format!("redeploy-agent: {text}"));
    Exit::Usage
}

fn hidden() -> MultiProgress {
    MultiProgress::with_draw_target(ProgressDrawTarget::hidden())
}

/// What stdout and stderr are.
#[derive(Debug)]
pub(crate) struct Screen {
    verbose: u8,
    color_out: bool,
    color_err: bool,
    /// Is stderr a terminal that can draw a list?
    is_live: bool,
}

impl Screen {
    fn new(global: &Global, variable: Variable<'_>) -> Self {
        let is_dumb = variable("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let is_unwanted = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = |is_terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !is_dumb && !is_unwanted,
        };
        let on_terminal = std::io::stderr().is_terminal();
        Self {
            verbose: global.verbose,
            color_out: color(std::io::stdout().is_terminal()),
            color_err: color(on_terminal),
            is_live: on_terminal && !is_dumb,
        }
    }

    fn out(&self, json: bool) -> Out {
        Out { json, color: self.color_out && !json }
    }

    /// Starts logging; where the live list is drawn.
    fn start(&self, config: &Config, json: bool) -> MultiProgress {
        let progress = if self.is_live && !json {
            MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAW_HZ))
        } else {
            hidden()
        };
        let level = logging::level(config.log_level, self.verbose);
        logging::start(level, config.log_format, self.color_err, progress.clone());
        progress
    }
}
