//! A store that fails when it is told to: before the batch is stored, or after it, when only the answer is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::{Batch, Ledger, StoreError, StoredOrder};
use crate::deployment::Deployment;
use crate::ids::DeploymentId;

/// Which commit fails, counted from 1, and how.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    /// Nothing is stored.
    Before(u64),
    /// It is stored, and the caller does not learn of it.
    After(u64),
}

/// Wraps another store.
pub struct Failing<L> {
    inner: Arc<L>,
    plan: Option<Plan>,
    commits: AtomicU64,
    how: fn() -> StoreError,
}

impl<L> Failing<L> {
    /// The same store, failing once.
    pub fn new(inner: Arc<L>, plan: Plan) -> Self {
        Self::with(inner, Some(plan), || StoreError::Ordered)
    }

    /// With a failure of one's own.
    pub(super) fn with(inner: Arc<L>, plan: Option<Plan>, how: fn() -> StoreError) -> Self {
        Self { inner, plan, commits: AtomicU64::new(0), how }
    }
}

#[async_trait]
impl<L: Ledger> Ledger for Failing<L> {
    async fn load(&self) -> Result<(Vec<Deployment>, Vec<StoredOrder>), StoreError> {
        self.inner.load().await
    }

    async fn load_one(&self, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
        self.inner.load_one(id).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<StoredOrder>, StoreError> {
        let count = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        match self.plan {
            Some(Plan::Before(at)) if at == count => Err((self.how)()),
            Some(Plan::After(at)) if at == count => {
                self.inner.commit(batch).await?;
                Err((self.how)())
            }
            Some(Plan::Before(_) | Plan::After(_)) | None => self.inner.commit(batch).await,
        }
    }
}
