//! Arguments of the commands about tokens and contexts.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::parsers::{self, Fingerprint};
use super::sure::Sure;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenVerb {
    /// A new API token; its text is printed once, and never again
    Create(CreateArgs),
    /// All API tokens
    List,
    /// Make an API token useless, at once
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// Its name: unique, and in the audit log
    #[arg(value_name = "NAME", value_parser = parsers::token_name)]
    pub(in crate::cli) name: String,
    /// What it allows; each includes those before it
    #[arg(long, value_name = "ROLE")]
    pub(in crate::cli) role: RoleArg,
    /// Only this environment, all else is not there for it; may be given several times; not for admins [default: all]
    #[arg(long, value_name = "NAME", value_parser = parsers::env)]
    pub(in crate::cli) env: Vec<String>,
    /// How long it is good, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = parsers::expiry, allow_hyphen_values = true)]
    pub(in crate::cli) expires: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RoleArg {
    /// Look
    Viewer,
    /// Plan, deploy and revert, in the token's environments
    Deployer,
    /// Everything
    Admin,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeArgs {
    /// Id or name
    #[arg(value_name = "TOKEN", value_parser = parsers::non_empty)]
    pub(in crate::cli) token: String,
    #[command(flatten)]
    pub(in crate::cli) sure: Sure,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LoginArgs {
    /// The coordinator's API: HOST, HOST:PORT or https://HOST:PORT [default port: 7444]
    #[arg(value_name = "ADDRESS")]
    pub(in crate::cli) address: String,
    /// SHA-256 of the coordinator's CA certificate, which it prints at its start: instead of a copy of the certificate
    #[arg(long, value_name = "HEX", conflicts_with = "ca", value_parser = parsers::fingerprint)]
    pub(in crate::cli) ca_fingerprint: Option<Fingerprint>,
    /// What to call it [default: its host]
    #[arg(long, value_name = "NAME", value_parser = parsers::context)]
    pub(in crate::cli) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ContextVerb {
    /// All contexts
    List,
    /// Which coordinator commands are for from now on
    Use {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Forget a context, with its token; the token stays good
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    #[command(flatten)]
    pub(in crate::cli) sure: Sure,
}
