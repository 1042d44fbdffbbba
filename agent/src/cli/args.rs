//! The command line: what can be asked, and its help. Parsed once; nothing here does anything.

mod help;
mod parsers;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use redeploy_agent::image::PullPolicy;
use redeploy_agent::plan::{Probe, VolumeData};
use redeploy_agent::session::Address;

use self::help::{
    CHECK_CONF, COMPLETIONS, GENERAL, HISTORY, JOIN, MAN, PLAN, PRUNE, RECOVER, REDEPLOY, REVERT, RUN, SHOW,
};

/// Replaces the image under a container of this host and keeps what its user put into it.
///
/// A redeploy makes a new container from the new image, carries files, volumes and settings over, and lets it take
/// the old one's place. If anything fails before the new container has proved itself, everything is put back as it
/// was. The old container stays parked, so that `revert` can bring it back.
#[derive(Debug, Parser)]
#[command(name = "redeploy-agent", version, after_help = GENERAL, after_long_help = GENERAL, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Understood before and after every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Configuration file [default: /etc/redeploy/agent.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where plans, journals and archives are kept; before REDEPLOY_DATA_DIR and the configuration file
    #[arg(long, global = true, value_name = "DIR", value_parser = parsers::absolute)]
    pub(crate) data_dir: Option<String>,

    /// The Docker Engine's socket; before REDEPLOY_DOCKER_SOCKET, the configuration file and DOCKER_HOST
    #[arg(long, global = true, value_name = "PATH", value_parser = parsers::socket)]
    pub(crate) docker_socket: Option<String>,

    /// How log lines look: text or json; before REDEPLOY_LOG_FORMAT and the configuration file
    #[arg(long, global = true, value_name = "FORM", value_parser = ["text", "json"])]
    pub(crate) log_format: Option<String>,

    /// Log more to stderr; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Colours [auto: on a terminal, unless NO_COLOR is set]
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show what a redeploy would do, and what speaks against it
    ///
    /// Nothing on the host changes, except that the image is pulled so that it can be looked at (see --pull).
    #[command(after_help = PLAN, after_long_help = PLAN)]
    Plan(PlanArgs),

    /// Replace the image under a container
    ///
    /// The service is down only from the stop of the old container to the start of the new one. Ctrl-C (or SIGTERM)
    /// at any moment before the end puts everything back.
    #[command(after_help = REDEPLOY, after_long_help = REDEPLOY)]
    Redeploy(RedeployArgs),

    /// Bring the container back that the last redeploy parked
    ///
    /// The container that serves now is parked in its turn, so a revert can be reverted.
    #[command(after_help = REVERT, after_long_help = REVERT)]
    Revert(RevertArgs),

    /// List what was done on this host, newest first
    #[command(after_help = HISTORY, after_long_help = HISTORY)]
    History(HistoryArgs),

    /// Show one redeploy or revert: its report and its plan
    #[command(after_help = SHOW, after_long_help = SHOW)]
    Show(ShowArgs),

    /// End what an earlier process left open
    ///
    /// Before the start of the new container everything is put back as it was. A new container that may have served goes on
    /// and proves itself, or is taken back. What had been committed is tidied up. Run at every boot; does nothing if there
    /// is nothing to do. Cannot be stopped half way.
    #[command(after_help = RECOVER, after_long_help = RECOVER)]
    Recover(JsonArg),

    /// Remove parked containers and archives that are older than the configuration keeps them
    #[command(after_help = PRUNE, after_long_help = PRUNE)]
    Prune(JsonArg),

    /// Check a redeploy.conf, the file that lists what a container wants preserved
    ///
    /// Only the text is judged; whether the paths exist is seen by `plan`.
    #[command(after_help = CHECK_CONF, after_long_help = CHECK_CONF)]
    CheckConf(CheckConfArgs),

    /// Join a coordinator, so that `run` can take its orders
    ///
    /// A key is made on this host and stays here; the coordinator signs it. The join token says which coordinator that
    /// is: nobody else is talked to.
    #[command(after_help = JOIN, after_long_help = JOIN)]
    Join(JoinArgs),

    /// Take a coordinator's orders, until stopped
    ///
    /// First ends what an earlier process left open. Reconnects by itself; a redeploy goes on while the coordinator is
    /// away. Ctrl-C or SIGTERM puts back what has not been committed, and ends.
    #[command(after_help = RUN, after_long_help = RUN)]
    Run,

    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS, after_long_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Write the manual pages to a directory, or the main one to stdout
    #[command(after_help = MAN, after_long_help = MAN)]
    Man {
        /// Directory that gets one page per command
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// Where the coordinator listens for agents: HOST, HOST:PORT or https://HOST:PORT [default port: 7443]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) coordinator: Address,

    /// The join token; `-` reads it from the first line of stdin, so that it stands in no process list
    #[arg(long, value_name = "TOKEN", value_parser = parsers::non_empty)]
    pub(crate) token: String,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct RedeployArgs {
    #[command(flatten)]
    pub(crate) what: What,
    /// Show the plan and stop, as `plan` does
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// What a redeploy is about.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// Name or id of the container
    #[arg(long, value_name = "NAME", value_parser = parsers::non_empty)]
    pub(crate) container: String,

    /// The new image, such as registry.example.com/shop/web:2 or web@sha256:…
    #[arg(long, value_name = "REF", value_parser = parsers::image)]
    pub(crate) image: String,

    /// Mount the same volumes again; with `false` they are archived, and the new container starts with what its image
    /// ships
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", require_equals = true)]
    pub(crate) use_existing_volumes: bool,

    /// Keep the whole old file system and put the new image's files on top
    #[arg(long)]
    pub(crate) skip_reinstall: bool,

    /// Archive bind-mounted host directories too [also: archive_binds in the configuration]
    #[arg(long)]
    pub(crate) archive_binds: bool,

    /// When to ask the registry
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) pull: PullPolicy,

    /// User name for the registry; the password comes with --registry-password-stdin
    #[arg(long, value_name = "USER", requires = "registry_password_stdin", value_parser = parsers::non_empty)]
    pub(crate) registry_user: Option<String>,

    /// Read the registry's password from the first line of stdin
    #[arg(long, requires = "registry_user")]
    pub(crate) registry_password_stdin: bool,

    #[command(flatten)]
    pub(crate) verify: Verify,
}

/// When the container that takes over counts as well.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// How long it may take to become healthy, such as 90s or 5m [default: verify_timeout of the configuration, 5m]
    #[arg(long, value_name = "TIME", value_parser = parsers::timeout)]
    pub(crate) verify_timeout: Option<Duration>,

    /// One more question it must answer: http://:PORT/PATH (status 200 to 399) or tcp://:PORT (it accepts a
    /// connection); PORT is the port inside the container
    #[arg(long, value_name = "URL")]
    pub(crate) probe: Option<Probe>,
}

#[derive(Debug, Args)]
pub(crate) struct RevertArgs {
    /// Name of the container
    #[arg(long, value_name = "NAME", value_parser = parsers::non_empty)]
    pub(crate) container: String,

    /// The data in volumes: `keep` today's, or `restore` what the redeploy captured
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    pub(crate) volumes: VolumeData,

    #[command(flatten)]
    pub(crate) verify: Verify,

    /// Show the plan and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Only of this container
    #[arg(long, value_name = "NAME", value_parser = parsers::non_empty)]
    pub(crate) container: Option<String>,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Any beginning or end of an id that fits only one
    #[arg(value_name = "ID", value_parser = parsers::non_empty)]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct CheckConfArgs {
    /// The file; `-` is stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// What ${home} stands for: the home of the image's user
    #[arg(long, value_name = "DIR", value_parser = parsers::guest_path)]
    pub(crate) home: Option<redeploy_agent::guest_path::GuestPath>,

    #[command(flatten)]
    pub(crate) json: JsonArg,
}

#[derive(Debug, Args)]
pub(crate) struct JsonArg {
    /// One JSON object per line on stdout, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests;
