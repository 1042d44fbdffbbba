//! A store at one of whose commits the process ends by SIGKILL: for tests of the whole program. Without an order it only
//! passes on.
//!
//! Flows in: another store, and which commit ends it. Must never be ordered outside tests: see [`Plan::ordered`].

use std::sync::Arc;

use rustix::process::{Signal, getpid, kill_process};

use super::{Failing, Plan, StoreError};

/// What tests set.
const VARIABLE: &str = "REDEPLOY_TEST_FAULTS";

/// The variable holds something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}: {text:?} is no fault: there are kill-before-commit=N and kill-after-commit=N")]
pub struct InvalidFault {
    text: String,
}

impl<L> Failing<L> {
    /// The same store, at one of whose commits the process ends, if there is a plan.
    pub fn deadly(inner: Arc<L>, plan: Option<Plan>) -> Self {
        Self::with(inner, plan, die)
    }
}

fn die() -> StoreError {
    // A process that may not even kill itself has failed the test that ordered it.
    let _ = kill_process(getpid(), Signal::KILL);
    StoreError::Ordered
}

impl Plan {
    /// What the variable orders, in a debug build. A release never reads it.
    ///
    /// # Errors
    /// [`InvalidFault`]
    pub fn ordered(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, InvalidFault> {
        if cfg!(debug_assertions) { parse(&variable(VARIABLE).unwrap_or_default()) } else { Ok(None) }
    }
}

fn parse(text: &str) -> Result<Option<Plan>, InvalidFault> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = || InvalidFault { text: text.to_owned() };
    let (name, commit) = text.split_once('=').ok_or_else(bad)?;
    let commit = commit.parse().map_err(|_| bad())?;
    match name {
        "kill-before-commit" => Ok(Some(Plan::Before(commit))),
        "kill-after-commit" => Ok(Some(Plan::After(commit))),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_understood_and_nothing_else() {
        assert!(matches!(parse("kill-before-commit=2"), Ok(Some(Plan::Before(2)))));
        assert!(matches!(parse("kill-after-commit=7"), Ok(Some(Plan::After(7)))));
        assert!(matches!(parse(""), Ok(None)));
        for text in
            ["kill-at=3", "kill-after-commit", "kill-after-commit=x", "kill-after-commit=1,", "explode"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
