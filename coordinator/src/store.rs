//! What must survive: everything the coordinator was told to do and everything it heard.
//!
//! Flows in: batches of changes, each stored whole or not at all. Flows out: what was stored. The driver sees only the
//! narrow [`Ledger`]; it comes in three flavours: [`Sqlite`], [`Memory`] and [`Failing`]. Must never hold a password
//! or token as it is.

mod audit;
mod deadly;
mod failing;
mod hearing;
mod inventory;
mod ledger;
mod local;
mod memory;
mod open;
mod reading;
mod seal;
mod secret;
mod sign_ins;
#[cfg(test)]
mod tests;
mod tokens;
mod writing;

pub use audit::{AuditFilter, AuditLine};
pub use deadly::InvalidFault;
pub use failing::{Failing, Plan};
pub use hearing::{HostNews, Seen};
pub use inventory::{HostRow, NodeRow};
pub use ledger::{Batch, Idempotency, Ledger, NewDeployment, NewEvent, NewOrder, Saved, StoredOrder};
pub use local::LocalReport;
pub use memory::Memory;
pub use open::{OpenError, Sqlite};
pub use reading::{AUDIT_CHARS_MAX, AuditRow, DeploymentFilter, EventFilter, EventRow, KEY_LIFE, OrderRow};
pub use seal::{SealError, Sealer};
pub use secret::{Secret, hash_of};
pub use tokens::{ApiTokenRow, JoinTokenRow, NewApiToken, Role, Used};

/// The store did not do what it was asked; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the store cannot {action}: check that its disk is not full or failing")]
    Database {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// A rule of the store forbids it: two deployments at work on one group, a key or name used twice.
    #[error("the store cannot {action}, because there is one already")]
    Taken {
        /// What was tried.
        action: &'static str,
    },
    /// A row is not in the form this program writes.
    #[error("the store's {what} is not readable by this version")]
    Form {
        /// Which row.
        what: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A test ordered it.
    #[error("the store fails because a test says so")]
    Ordered,
}

fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| {
        let taken = source.as_database_error().is_some_and(|error| error.is_unique_violation());
        if taken { StoreError::Taken { action } } else { StoreError::Database { action, source } }
    }
}

fn unreadable(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> StoreError {
    let what = what.into();
    move |source| StoreError::Form { what, source }
}
