//! Arguments of the commands about environments, groups, nodes and hosts.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::parsers;
use super::sure::Sure;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum EnvVerb {
    /// All environments
    List,
    /// One environment with its groups
    Show {
        /// Its name
        #[arg(value_name = "ENV", value_parser = parsers::env)]
        env: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GroupVerb {
    /// All groups
    List {
        /// Only of this environment
        #[arg(long, value_name = "NAME", value_parser = parsers::env)]
        env: Option<String>,
    },
    /// One group with its nodes
    Show {
        /// Its name
        #[arg(value_name = "GROUP", value_parser = parsers::group)]
        group: String,
        /// Its environment
        #[arg(long, value_name = "NAME", value_parser = parsers::env)]
        env: String,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum NodeVerb {
    /// All nodes
    List(NodeListArgs),
    /// One node, with its last redeploy
    Show {
        /// The node's id
        #[arg(value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
        id: u32,
    },
    /// Take a container without labels into a group
    Adopt(AdoptArgs),
    /// Forget a node; its container is not touched
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NodeListArgs {
    /// Only of this environment
    #[arg(long, value_name = "NAME", value_parser = parsers::env)]
    pub(in crate::cli) env: Option<String>,
    /// Only of this group
    #[arg(long, value_name = "NAME", value_parser = parsers::group)]
    pub(in crate::cli) group: Option<String>,
    /// Only of this host, by its id or name
    #[arg(long, value_name = "HOST", value_parser = parsers::non_empty)]
    pub(in crate::cli) host: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AdoptArgs {
    /// Id or name of the host
    #[arg(long, value_name = "HOST", value_parser = parsers::non_empty)]
    pub(in crate::cli) host: String,
    /// The container's name
    #[arg(long, value_name = "NAME", value_parser = parsers::non_empty)]
    pub(in crate::cli) container: String,
    /// Environment
    #[arg(long, value_name = "NAME", value_parser = parsers::env)]
    pub(in crate::cli) env: String,
    /// Node group
    #[arg(long, value_name = "NAME", value_parser = parsers::group)]
    pub(in crate::cli) group: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ForgetArgs {
    /// The node's id
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) id: u32,
    #[command(flatten)]
    pub(in crate::cli) sure: Sure,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum HostVerb {
    /// All hosts
    List,
    /// One host with its nodes
    Show {
        /// Id or name of the host
        #[arg(value_name = "HOST", value_parser = parsers::non_empty)]
        host: String,
    },
    /// A new join token: good for one host, once
    Token(TokenArgs),
    /// Join tokens that were made
    Tokens,
    /// Make a join token useless that no host has used yet
    RevokeToken(RevokeTokenArgs),
    /// Cut a host off for ever
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TokenArgs {
    /// How long it is good; seven days at most
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parsers::join_expiry,
        allow_hyphen_values = true)]
    pub(in crate::cli) expires: Duration,
    /// For people: which host it is for
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parsers::comment)]
    pub(in crate::cli) comment: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeTokenArgs {
    /// The token's id, of `host tokens`
    #[arg(value_name = "ID", value_parser = parsers::non_empty)]
    pub(in crate::cli) id: String,
    #[command(flatten)]
    pub(in crate::cli) sure: Sure,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeArgs {
    /// Id or name of the host
    #[arg(value_name = "HOST", value_parser = parsers::non_empty)]
    pub(in crate::cli) host: String,
    /// For the audit log: why
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parsers::comment)]
    pub(in crate::cli) comment: String,
    #[command(flatten)]
    pub(in crate::cli) sure: Sure,
}
