//! The command line: what can be asked, and its help. Parsed once; nothing here does anything.

mod access;
mod deploy;
mod inventory;
mod parsers;
mod sure;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use self::access::{ContextVerb, LoginArgs, RoleArg, TokenVerb};
pub(super) use self::deploy::{
    DeployArgs, LoginUser, OnFailure, Parallel, PlanArgs, Pull, RevertArgs, Volumes, What,
};
pub(super) use self::inventory::{EnvVerb, GroupVerb, HostVerb, NodeVerb};
use self::sure::Sure;
use super::exit::HELP;

/// Orders redeploys of node groups from a coordinator, and follows them.
#[derive(Debug, Parser)]
#[command(name = "redeployctl", version, after_help = HELP, after_long_help = HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Understood before and after every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Which coordinator, by the name `login` gave it [default: the one of `context use`]
    #[arg(long, global = true, value_name = "NAME", env = "REDEPLOY_CONTEXT")]
    pub(super) context: Option<String>,

    /// The coordinator's API: HOST, HOST:PORT or https://HOST:PORT; no context is used then, unless --context names one
    /// [default: that of the context, or else 127.0.0.1:7444]
    #[arg(long, global = true, value_name = "ADDRESS", env = "REDEPLOY_COORDINATOR")]
    pub(super) coordinator: Option<String>,

    /// Certificates to trust, PEM: the coordinator's CA is `pki/ca.crt` of its data directory [default: that of the
    /// context, or else /etc/redeploy/ca.crt]
    #[arg(long, global = true, value_name = "FILE", env = "REDEPLOY_CA")]
    pub(super) ca: Option<PathBuf>,

    /// A file that holds an API token; after it counts REDEPLOY_TOKEN, then the context. Not an argument: those can be
    /// read by everybody
    #[arg(long, global = true, value_name = "FILE", env = "REDEPLOY_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,

    /// What is printed: tables for people, or one JSON object per line
    #[arg(short, long, global = true, value_name = "FORM", default_value = "table")]
    pub(super) output: Output,

    /// The same as `--output json`
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// For whom results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Global {
    pub(super) fn output(&self) -> Output {
        if self.json { Output::Json } else { self.output }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    Ask(Ask),
    #[command(flatten)]
    Local(Local),
}

/// What a coordinator is asked, or told to do.
#[derive(Debug, Subcommand)]
pub(super) enum Ask {
    /// Bring a node group to an image, node by node
    ///
    /// Every node is checked before the first is touched. The first failure halts: nodes at work finish, no other
    /// starts. Follows the deployment to its end; Ctrl-C stops following, and the deployment goes on.
    Deploy(Box<DeployArgs>),
    /// Ask every node what a deployment would do; nothing is touched but image stores
    Plan(Box<PlanArgs>),
    /// Show a deployment, or the newest ones
    Status(StatusArgs),
    /// List deployments, newest first
    History(HistoryArgs),
    /// No further node starts; nodes at work finish
    Halt(IdArgs),
    /// Go on where it halted; failed nodes are left as they are
    Resume(FollowArgs),
    /// Go on where it halted, with the failed nodes first
    RetryFailed(FollowArgs),
    /// Give it up: nodes at work undo themselves, finished ones stay
    Cancel(SureArgs),
    /// Bring every finished node back, the last one first
    Rollback(SureArgs),
    /// Bring one node's parked container back
    Revert(RevertArgs),
    /// Environments: named sets of node groups
    #[command(subcommand)]
    Env(EnvVerb),
    /// Node groups: the nodes of one layer of an environment
    #[command(subcommand)]
    Group(GroupVerb),
    /// Nodes: containers with a lasting id
    #[command(subcommand)]
    Node(NodeVerb),
    /// Hosts: machines with an agent
    #[command(subcommand)]
    Host(HostVerb),
    /// What happened, oldest first
    Events(EventsArgs),
    /// Who did what, from where, and what came of it, oldest first
    Audit(AuditArgs),
    /// API tokens
    #[command(subcommand)]
    Token(TokenVerb),
    /// Who the token belongs to, and what it allows
    Whoami,
}

/// What needs no coordinator, or has another way to it.
#[derive(Debug, Subcommand)]
pub(super) enum Local {
    /// Try a coordinator's address and token, and keep them as a context
    ///
    /// The token is read from --token-file, REDEPLOY_TOKEN, or else from stdin, without showing it. It is kept with the
    /// CA's certificate in ~/.config/redeploy/contexts.toml (XDG_CONFIG_HOME is respected), readable by you alone.
    Login(LoginArgs),
    /// Call a method of the Jelastic API, with the option names of the vendor's command line
    ///
    /// Prints the answer as JSON. The exit code is 0 if an answer came, whatever it says, as the vendor's. A link to this
    /// program that is named after a method, such as `redeploycontainers`, is that method.
    #[command(
        after_help = "Example: redeployctl jelastic environment/control/redeploycontainers --envName shop --nodeGroup cp --tag 2.4"
    )]
    Jelastic(JelasticArgs),
    /// Carry out the redeploys of a Cloud Scripting manifest, one after the other
    ///
    /// Prints each answer as one JSON object. Ends at the first redeploy that fails. Actions of other kinds are skipped,
    /// and told with their line.
    Apply(ApplyArgs),
    /// Coordinators that `login` knows
    #[command(subcommand)]
    Context(ContextVerb),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages to a directory, or the main one to stdout
    Man {
        /// Directory that gets one page per command
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct JelasticArgs {
    /// End with a code that says what the answer says
    #[arg(long)]
    pub(super) non_zero_exit_code: bool,
    /// The method, then its options: `--name value`
    #[arg(value_name = "METHOD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The manifest: YAML or JSON
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The environment it is for
    #[arg(long, value_name = "NAME", value_parser = parsers::env)]
    pub(super) env: String,
    /// A setting of the manifest; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parsers::setting)]
    pub(super) set: Vec<(String, String)>,
    /// Print the calls, and make none
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Refuse a manifest that has other actions too
    #[arg(long)]
    pub(super) strict: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The deployment's id, or at least four characters of its end; without it, the newest ones
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,
    /// Follow it to its end
    #[arg(long, alias = "follow", requires = "id")]
    pub(super) watch: bool,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Only of this environment
    #[arg(long, value_name = "NAME", value_parser = parsers::env)]
    pub(super) env: Option<String>,
    /// Only of this group
    #[arg(long, value_name = "NAME", value_parser = parsers::group)]
    pub(super) group: Option<String>,
    /// Only those this node was part of
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) node: Option<u32>,
    /// So many at most
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "50",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Then go on with new ones as they happen
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only of this environment
    #[arg(long, value_name = "NAME", value_parser = parsers::env)]
    pub(super) env: Option<String>,
    /// Only of this deployment
    #[arg(long, value_name = "ID")]
    pub(super) deployment: Option<String>,
    #[command(flatten)]
    pub(super) part: PartArgs,
}

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Only what was done with the token of this name
    #[arg(long, value_name = "NAME")]
    pub(super) who: Option<String>,
    /// Everything in this time, instead of the newest: 90m, 7d
    #[arg(long, value_name = "TIME", value_parser = parsers::since, conflicts_with = "limit",
        allow_hyphen_values = true)]
    pub(super) since: Option<Duration>,
    #[command(flatten)]
    pub(super) part: PartArgs,
}

/// Which part of a long list.
#[derive(Debug, Args)]
pub(super) struct PartArgs {
    /// Everything after this number, instead of the newest
    #[arg(long, value_name = "SEQ", conflicts_with = "limit")]
    pub(super) after: Option<u64>,
    /// The newest so many
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "50",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct IdArgs {
    /// The deployment's id, or at least four characters of its end
    #[arg(value_name = "ID")]
    pub(super) id: String,
    /// For the audit log: why
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parsers::comment)]
    pub(super) comment: String,
}

#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    #[command(flatten)]
    pub(super) id: IdArgs,
    /// Do not follow it
    #[arg(long)]
    pub(super) detach: bool,
}

#[derive(Debug, Args)]
pub(super) struct SureArgs {
    #[command(flatten)]
    pub(super) follow: FollowArgs,
    #[command(flatten)]
    pub(super) sure: Sure,
}

#[cfg(test)]
mod tests;
