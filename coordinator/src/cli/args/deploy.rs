//! Arguments of `deploy`, `plan` and `revert`.

use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args, ValueEnum};

use super::parsers;
use super::sure::Sure;

/// Which nodes get which image, and how.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("to").required(true).args(["image", "tag"])))]
pub(in crate::cli) struct What {
    /// Environment
    #[arg(long, value_name = "NAME", required_unless_present = "node", value_parser = parsers::env)]
    pub(in crate::cli) env: Option<String>,
    /// Node group
    #[arg(long, value_name = "NAME", required_unless_present = "node", value_parser = parsers::group)]
    pub(in crate::cli) group: Option<String>,
    /// One node by its id, instead of a group
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) node: Option<u32>,
    /// The whole reference of the new image, such as registry.example.com/shop/web:2 or web@sha256:…
    #[arg(long, value_name = "REFERENCE", value_parser = parsers::image)]
    pub(in crate::cli) image: Option<String>,
    /// The new tag; each node keeps its repository
    #[arg(long, value_name = "TAG", value_parser = parsers::tag)]
    pub(in crate::cli) tag: Option<String>,
    /// The image may be of another repository than the one that the nodes run
    #[arg(long, requires = "image")]
    pub(in crate::cli) allow_image_change: bool,
    /// Mount the same volumes again; with `false` they are archived, and new containers start with what their image
    /// ships
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", require_equals = true)]
    pub(in crate::cli) use_existing_volumes: bool,
    /// Keep the whole old file system and put the new image's files on top
    #[arg(long)]
    pub(in crate::cli) skip_reinstall: bool,
    /// Archive bind-mounted host directories too [default: as the agent's configuration says]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(in crate::cli) archive_binds: Option<bool>,
    /// How long a new container may take to become healthy [default: as the agent's configuration says]
    #[arg(long, value_name = "TIME", value_parser = parsers::verify_timeout, allow_hyphen_values = true)]
    pub(in crate::cli) verify_timeout: Option<Duration>,
    /// One more question the new container must answer: http://:PORT/PATH or tcp://:PORT
    #[arg(long, value_name = "URL", value_parser = parsers::probe)]
    pub(in crate::cli) probe: Option<String>,
    /// `auto` asks the registry, `never` takes the image that is on the host
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(in crate::cli) pull: Pull,
    #[command(flatten)]
    pub(in crate::cli) login: LoginUser,
}

/// A registry login.
#[derive(Debug, Args)]
pub(in crate::cli) struct LoginUser {
    /// User name for the image's registry; kept sealed until the deployment ends
    #[arg(long, value_name = "USER", requires = "password_stdin", value_parser = parsers::non_empty)]
    pub(in crate::cli) login_user: Option<String>,
    /// Read the registry's password from the first line of stdin, so that it stands in no process list
    #[arg(long, requires = "login_user")]
    pub(in crate::cli) password_stdin: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeployArgs {
    #[command(flatten)]
    pub(in crate::cli) what: What,
    /// How many nodes at once: a number, a percentage, or `all`
    #[arg(long, value_name = "N|N%|all", default_value = "1", value_parser = parsers::parallel,
        allow_hyphen_values = true)]
    pub(in crate::cli) parallel: Parallel,
    /// Pause after a node was verified, such as 30s; none after the last
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parsers::delay, allow_hyphen_values = true)]
    pub(in crate::cli) delay: Duration,
    /// What the first failure leads to
    #[arg(long, value_name = "POLICY", default_value = "halt")]
    pub(in crate::cli) on_failure: OnFailure,
    /// Wait if another deployment of the group is not over, instead of being refused
    #[arg(long)]
    pub(in crate::cli) queue: bool,
    /// For the whole deployment; when it is over, it halts [default: 75min]
    #[arg(long, value_name = "TIME", value_parser = parsers::deadline, allow_hyphen_values = true)]
    pub(in crate::cli) deadline: Option<Duration>,
    /// For people: why
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parsers::comment)]
    pub(in crate::cli) comment: String,
    /// Do not follow it
    #[arg(long)]
    pub(in crate::cli) detach: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PlanArgs {
    #[command(flatten)]
    pub(in crate::cli) what: What,
    /// Show the whole plan of each node
    #[arg(long)]
    pub(in crate::cli) full: bool,
    /// How long hosts may take; they may have to pull
    #[arg(long, value_name = "TIME", default_value = "10min", value_parser = parsers::deadline,
        allow_hyphen_values = true)]
    pub(in crate::cli) deadline: Duration,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RevertArgs {
    /// The node's id
    #[arg(value_name = "NODE", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) node: u32,
    /// What becomes of its volumes' data
    #[arg(long, value_name = "DATA", default_value = "keep")]
    pub(in crate::cli) volumes: Volumes,
    /// How long the old container may take to become healthy [default: as the agent's configuration says]
    #[arg(long, value_name = "TIME", value_parser = parsers::verify_timeout, allow_hyphen_values = true)]
    pub(in crate::cli) verify_timeout: Option<Duration>,
    /// One more question the old container must answer: http://:PORT/PATH or tcp://:PORT
    #[arg(long, value_name = "URL", value_parser = parsers::probe)]
    pub(in crate::cli) probe: Option<String>,
    /// For people: why
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parsers::comment)]
    pub(in crate::cli) comment: String,
    /// Do not follow it
    #[arg(long)]
    pub(in crate::cli) detach: bool,
    #[command(flatten)]
    pub(in crate::cli) sure: Sure,
}

/// How many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Parallel {
    Nodes(u32),
    Percent(u32),
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OnFailure {
    /// Nothing further starts, and you decide
    Halt,
    /// Finished nodes are brought back, the last one first
    Rollback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Pull {
    Auto,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Volumes {
    /// Today's data stays
    Keep,
    /// As it was when the redeploy captured it
    Restore,
}
