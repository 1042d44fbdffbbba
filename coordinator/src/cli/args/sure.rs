//! What cannot be taken back is asked for first: on a terminal by a question, elsewhere by `--yes`.

use std::io::{IsTerminal, Write};

use clap::Args;

use super::{Ask, ContextVerb, HostVerb, Local, NodeVerb, TokenVerb, Verb};
use crate::cli::exit::Stop;

#[derive(Debug, Args)]
pub(in crate::cli) struct Sure {
    /// Do not ask; needed without a terminal
    #[arg(short, long)]
    yes: bool,
}

impl Verb {
    /// Asks before what cannot be taken back.
    pub(in crate::cli) fn checked(self) -> Result<Self, Stop> {
        if let Some((sure, question)) = self.question() {
            sure.ask(&question)?;
        }
        Ok(self)
    }

    fn question(&self) -> Option<(&Sure, String)> {
        match self {
            Self::Ask(ask) => ask.question(),
            Self::Local(Local::Context(ContextVerb::Remove(args))) => {
                Some((&args.sure, format!("Forget context {} and its token?", args.name)))
            }
            Self::Local(
                Local::Context(ContextVerb::List | ContextVerb::Use { .. })
                | Local::Login(_)
                | Local::Jelastic(_)
                | Local::Apply(_)
                | Local::Completions { .. }
                | Local::Man { .. },
            ) => None,
        }
    }
}

impl Ask {
    fn question(&self) -> Option<(&Sure, String)> {
        let of = |sure, question| Some((sure, question));
        match self {
            Self::Cancel(args) => of(&args.sure, format!("Give deployment {} up?", args.follow.id.id)),
            Self::Rollback(args) => {
                of(&args.sure, format!("Bring every finished node of deployment {} back?", args.follow.id.id))
            }
            Self::Revert(args) => {
                of(&args.sure, format!("Bring the parked container of node {} back?", args.node))
            }
            Self::Node(NodeVerb::Forget(args)) => of(&args.sure, format!("Forget node {}?", args.id)),
            Self::Host(HostVerb::Revoke(args)) => {
                of(&args.sure, format!("Cut host {} off for ever?", args.host))
            }
            Self::Host(HostVerb::RevokeToken(args)) => {
                of(&args.sure, format!("Revoke join token {}?", args.id))
            }
            Self::Token(TokenVerb::Revoke(args)) => {
                of(&args.sure, format!("Revoke API token {}?", args.token))
            }
            Self::Deploy(_)
            | Self::Plan(_)
            | Self::Status(_)
            | Self::History(_)
            | Self::Halt(_)
            | Self::Resume(_)
            | Self::RetryFailed(_)
            | Self::Env(_)
            | Self::Group(_)
            | Self::Node(NodeVerb::List(_) | NodeVerb::Show { .. } | NodeVerb::Adopt(_))
            | Self::Host(HostVerb::List | HostVerb::Show { .. } | HostVerb::Token(_) | HostVerb::Tokens)
            | Self::Audit(_)
            | Self::Events(_)
            | Self::Token(TokenVerb::Create(_) | TokenVerb::List)
            | Self::Whoami => None,
        }
    }
}

impl Sure {
    fn ask(&self, question: &str) -> Result<(), Stop> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Stop::usage(format!("{question} Nobody can be asked here: say --yes")));
        }
        eprint!("{question} [y/N] ");
        // Who cannot see the question does not say yes.
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
