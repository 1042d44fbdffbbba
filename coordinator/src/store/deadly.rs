//! A store at one of whose commits the process ends by SIGKILL: for tests of the whole program. Without an order it only
//! passes on.
//!
//! Flows in: another store, and which commit ends it. Must never be ordered outside tests: see [`Plan::ordered`].

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use rustix::process::{Signal, getpid, kill_process};

use super::{Batch, Ledger, Plan, StoreError, StoredOrder};
use crate::deployment::Deployment;
use crate::ids::DeploymentId;

/// What tests set.
const VARIABLE: &str = "REDEPLOY_TEST_FAULTS";

/// Wraps another store.
pub struct Deadly<L> {
    inner: L,
    plan: Option<Plan>,
    commits: AtomicU64,
}

/// The variable holds something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}: {text:?} is no fault: there are kill-before-commit=N and kill-after-commit=N")]
pub struct InvalidFault {
    text: String,
}

impl<L> Deadly<L> {
    /// The same store, deadly at the commit that `plan` names.
    pub fn new(inner: L, plan: Option<Plan>) -> Self {
        Self { inner, plan, commits: AtomicU64::new(0) }
    }
}

#[async_trait]
impl<L: Ledger> Ledger for Deadly<L> {
    async fn load(&self) -> Result<(Vec<Deployment>, Vec<StoredOrder>), StoreError> {
        self.inner.load().await
    }

    async fn load_one(&self, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
        self.inner.load_one(id).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<StoredOrder>, StoreError> {
        let count = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        if matches!(self.plan, Some(Plan::Before(at)) if at == count) {
            die()?;
        }
        let orders = self.inner.commit(batch).await?;
        if matches!(self.plan, Some(Plan::After(at)) if at == count) {
            die()?;
        }
        Ok(orders)
    }
}

fn die() -> Result<(), StoreError> {
    // A process that may not even kill itself has failed the test that ordered it.
    kill_process(getpid(), Signal::KILL).map_err(|_| StoreError::Ordered)
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
