//! The command line: what can be asked, and its help. Parsed once; nothing here does anything.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::exit::{HELP, Stop};

/// Orders redeploys of node groups from a coordinator, and follows them.
#[derive(Debug, Parser)]
#[command(name = "redeployctl", version, after_help = HELP, max_term_width = 100)]
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
    /// The coordinator's API: HOST, HOST:PORT or https://HOST:PORT
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "REDEPLOY_COORDINATOR",
        default_value = "127.0.0.1:7444"
    )]
    pub(super) coordinator: String,

    /// The coordinator's CA certificate, `pki/ca.crt` of its data directory
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "REDEPLOY_CA",
        default_value = "/etc/redeploy/ca.crt"
    )]
    pub(super) ca: PathBuf,

    /// A file that holds an API token. Without it REDEPLOY_TOKEN holds the token: arguments can be read by everybody
    #[arg(long, global = true, value_name = "FILE", env = "REDEPLOY_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,

    /// One JSON object per line on stdout, and nothing else there
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Bring a node group to an image, node by node
    ///
    /// Every node is checked before the first is touched. The first failure halts: nodes at work finish, no other
    /// starts. Follows the deployment to its end; Ctrl-C stops following, and the deployment goes on.
    Deploy(DeployArgs),
    /// Show a deployment, or the newest ones
    Status(StatusArgs),
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
    /// Nodes: containers with a lasting id
    #[command(subcommand)]
    Node(NodeVerb),
    /// Hosts: machines with an agent
    #[command(subcommand)]
    Host(HostVerb),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("to").required(true).args(["image", "tag"])))]
pub(super) struct DeployArgs {
    /// Environment
    #[arg(long, value_name = "NAME", required_unless_present = "node")]
    pub(super) env: Option<String>,
    /// Node group
    #[arg(long, value_name = "NAME", required_unless_present = "node")]
    pub(super) group: Option<String>,
    /// One node by its id, instead of a group
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) node: Option<u32>,
    /// The whole reference of the new image
    #[arg(long, value_name = "REFERENCE")]
    pub(super) image: Option<String>,
    /// The new tag; each node keeps its repository
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Option<String>,
    /// How many nodes at once: a number, a percentage, or `all`
    #[arg(long, value_name = "N|N%|all", default_value = "1", value_parser = parallel)]
    pub(super) parallel: Parallel,
    /// Pause after a node was verified, such as 30s; none after the last
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(super) delay: Duration,
    /// What the first failure leads to
    #[arg(long, value_name = "POLICY", default_value = "halt")]
    pub(super) on_failure: OnFailure,
    /// Wait if another deployment of the group is not over, instead of being refused
    #[arg(long)]
    pub(super) queue: bool,
    /// For the whole deployment; when it is over, it halts [default: 75min]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) deadline: Option<Duration>,
    /// How long a new container may take to become healthy [default: as the agent's configuration says]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) verify_timeout: Option<Duration>,
    /// One more question the new container must answer: http://:PORT/PATH or tcp://:PORT
    #[arg(long, value_name = "URL")]
    pub(super) probe: Option<String>,
    /// `auto` asks the registry, `never` takes the image that is on the host
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) pull: Pull,
    /// For people: why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) comment: String,
    /// Do not follow it
    #[arg(long)]
    pub(super) detach: bool,
}

/// How many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parallel {
    Nodes(u32),
    Percent(u32),
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnFailure {
    Halt,
    Rollback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Pull {
    Auto,
    Never,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The deployment's id, or at least four characters of its end; without it, the newest ones
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,
    /// Follow it to its end
    #[arg(long, requires = "id")]
    pub(super) follow: bool,
}

#[derive(Debug, Args)]
pub(super) struct IdArgs {
    /// The deployment's id, or at least four characters of its end
    #[arg(value_name = "ID")]
    pub(super) id: String,
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

#[derive(Debug, Args)]
pub(super) struct Sure {
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum NodeVerb {
    /// All nodes
    List(NodeListArgs),
    /// Take a container without labels into a group
    Adopt(AdoptArgs),
    /// Forget a node; its container is not touched
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
pub(super) struct NodeListArgs {
    /// Only of this environment
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) env: String,
    /// Only of this group
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) group: String,
}

#[derive(Debug, Args)]
pub(super) struct AdoptArgs {
    /// Id or name of the host
    #[arg(long, value_name = "HOST")]
    pub(super) host: String,
    /// The container's name
    #[arg(long, value_name = "NAME")]
    pub(super) container: String,
    /// Environment
    #[arg(long, value_name = "NAME")]
    pub(super) env: String,
    /// Node group
    #[arg(long, value_name = "NAME")]
    pub(super) group: String,
}

#[derive(Debug, Args)]
pub(super) struct ForgetArgs {
    /// The node's id
    #[arg(value_name = "ID")]
    pub(super) id: u32,
    #[command(flatten)]
    pub(super) sure: Sure,
}

#[derive(Debug, Subcommand)]
pub(super) enum HostVerb {
    /// All hosts
    List,
    /// A new join token: good for one host, once
    Token(TokenArgs),
    /// Cut a host off for ever
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// How long it is good; seven days at most
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(super) expires: Duration,
    /// For people: which host it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) comment: String,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Id or name of the host
    #[arg(value_name = "HOST")]
    pub(super) host: String,
    #[command(flatten)]
    pub(super) sure: Sure,
}

fn parallel(text: &str) -> Result<Parallel, String> {
    let bad = || "write a number from 1, a percentage from 1% to 100%, or all".to_owned();
    if text == "all" {
        return Ok(Parallel::All);
    }
    let (number, is_percent) = text.strip_suffix('%').map_or((text, false), |number| (number, true));
    match (number.parse::<u32>().map_err(|_| bad())?, is_percent) {
        (percent @ 1..=100, true) => Ok(Parallel::Percent(percent)),
        (nodes @ 1.., false) => Ok(Parallel::Nodes(nodes)),
        (_, _) => Err(bad()),
    }
}

impl Verb {
    /// Asks before what cannot be taken back.
    pub(super) fn checked(self) -> Result<Self, Stop> {
        match &self {
            Self::Cancel(args) => args.sure.ask(&format!("Give deployment {} up?", args.follow.id.id))?,
            Self::Rollback(args) => {
                args.sure
                    .ask(&format!("Bring every finished node of deployment {} back?", args.follow.id.id))?;
            }
            Self::Node(NodeVerb::Forget(args)) => args.sure.ask(&format!("Forget node {}?", args.id))?,
            Self::Host(HostVerb::Revoke(args)) => {
                args.sure.ask(&format!("Cut host {} off for ever?", args.host))?;
            }
            Self::Deploy(_)
            | Self::Status(_)
            | Self::Halt(_)
            | Self::Resume(_)
            | Self::RetryFailed(_)
            | Self::Node(NodeVerb::List(_) | NodeVerb::Adopt(_))
            | Self::Host(HostVerb::List | HostVerb::Token(_)) => {}
        }
        Ok(self)
    }
}

impl Sure {
    fn ask(&self, question: &str) -> Result<(), Stop> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Stop::usage("nobody can be asked here: say --yes"));
        }
        eprint!("{question} [y/N] ");
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        // What cannot be read is no yes.
        let _ = std::io::stdin().read_line(&mut answer);
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Stop::refused("not confirmed: nothing was done")),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn parallel_is_a_number_a_percentage_or_all() {
        assert_eq!(parallel("3"), Ok(Parallel::Nodes(3)));
        assert_eq!(parallel("25%"), Ok(Parallel::Percent(25)));
        assert_eq!(parallel("all"), Ok(Parallel::All));
        for text in ["0", "0%", "101%", "-1", "", "%", "x", "1.5"] {
            assert!(parallel(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_deploy_needs_is_asked_for() {
        let good = ["redeployctl", "deploy", "--env", "shop", "--group", "cp", "--tag", "2"];
        assert!(Cli::try_parse_from(good).is_ok());
        assert!(Cli::try_parse_from(&good[..6]).is_err(), "neither image nor tag");
        assert!(Cli::try_parse_from(good.iter().chain(&["--image", "a:1"])).is_err(), "both");
        assert!(Cli::try_parse_from(["redeployctl", "deploy", "--tag", "2"]).is_err(), "no target");
        assert!(Cli::try_parse_from(["redeployctl", "deploy", "--node", "1", "--tag", "2"]).is_ok());
    }
}
