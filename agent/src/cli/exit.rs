//! Exit codes, all of them, in one place. Scripts depend on the numbers: they are frozen.

use redeploy_agent::report::Verdict;

/// How the program ends. Ordered: of several, the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done,
    /// It failed, and everything is as it was. Of `check-conf`: there are warnings.
    Failed,
    /// Nothing was begun.
    Refused,
    /// A human is needed, or `recover`.
    Stuck,
    /// Arguments or configuration are wrong. Nothing was begun.
    Usage,
}

/// For every `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0   done
  1   failed, and everything is as it was (check-conf: there are warnings)
  2   refused: nothing was touched, the reasons say why
  3   stuck or unfinished: a human is needed; `redeploy-agent recover` is the first thing to try
  64  the arguments or the configuration are wrong: nothing was touched";

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::Stuck => 3,
            Self::Usage => 64,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<Verdict> for Exit {
    /// Whether tidying up is left does not matter to who waits for the service. One that has not ended leaves the
    /// service where it is now, and only `recover` or a human ends it.
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Done | Verdict::DoneUntidy => Self::Done,
            Verdict::Undone => Self::Failed,
            Verdict::Stuck | Verdict::Unfinished => Self::Stuck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_code() {
        for (verdict, code) in [
            (Verdict::Done, 0),
            (Verdict::DoneUntidy, 0),
            (Verdict::Undone, 1),
            (Verdict::Stuck, 3),
            (Verdict::Unfinished, 3),
        ] {
            assert_eq!(Exit::from(verdict).code(), code, "{verdict:?}");
        }
    }

    #[test]
    fn the_worst_counts_and_help_names_every_code() {
        let ascending = [Exit::Done, Exit::Failed, Exit::Refused, Exit::Stuck, Exit::Usage];
        assert!(ascending.is_sorted_by_key(|exit| exit.code()) && ascending.is_sorted());
        for exit in ascending {
            assert!(
                HELP.lines().any(|line| line.trim().starts_with(&format!("{}  ", exit.code()))),
                "{exit:?}"
            );
        }
    }
}
