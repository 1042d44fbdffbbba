//! Another API token of role admin, made on the coordinator's own machine: for whoever lost the first.
//!
//! Flows in: the data directory, beside a running coordinator or without one. Flows out: a token in a file, noted in
//! the audit log. Whoever may write there may do everything anyway. Must never change a store of another version, nor
//! overwrite the file of a token that is good.

use std::path::{Path, PathBuf};

use crate::durable::{self, DurableError};
use crate::moment::Moment;
use crate::store::{AuditRow, NewApiToken, OpenError, Role, SealError, Secret, Sqlite, StoreError};

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its name, for `redeployctl token revoke`.
    pub name: String,
    /// Where its text is.
    pub file: PathBuf,
}

/// None was made.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// There is no coordinator here.
    #[error("there is no store in {dir}: give the coordinator's data directory with --data-dir, or start the \
             coordinator, which makes one with its first token", dir = .0.display())]
    NoStore(PathBuf),
    /// The store cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] SealError),
    /// The file cannot be written.
    #[error(transparent)]
    Durable(#[from] DurableError),
}

/// Makes one.
///
/// # Errors
/// [`AdminTokenError`]; without a new token, unless only the audit log could not be written.
pub async fn make(data_dir: &Path) -> Result<Made, AdminTokenError> {
    let path = data_dir.join("store.db");
    if !path.is_file() {
        return Err(AdminTokenError::NoStore(data_dir.to_owned()));
    }
    let store = Sqlite::beside(&path).await?;
    let made = make_in(&store, data_dir).await;
    store.close().await;
    made
}

async fn make_in(store: &Sqlite, data_dir: &Path) -> Result<Made, AdminTokenError> {
    let taken: Vec<String> = store.api_tokens().await?.into_iter().map(|token| token.name).collect();
    let name = free_name(&taken);
    let secret = Secret::generate("rda_")?;
    let file = data_dir.join(format!("{name}.token"));
    // The file comes first: a crash in between leaves one that is written again, never a token that nobody knows.
    durable::write(&file, format!("{}\n", secret.reveal()).as_bytes())?;
    let new = NewApiToken { name: name.clone(), role: Role::Admin, envs: Vec::new(), expires_at: 0 };
    store.add_api_token(&new, &secret.hash(), Moment::now()).await?;
    let row = AuditRow {
        at: Moment::now().0,
        who: "local".to_owned(),
        what: "create API token".to_owned(),
        target: name.clone(),
        address: "redeploy-coordinator admin-token".to_owned(),
        result: "ok".to_owned(),
    };
    store.audit(&row).await?;
    Ok(Made { name, file })
}

/// `admin-1`, `admin-2`, …
fn free_name(taken: &[String]) -> String {
    let names = (1_u64..).map(|number| format!("admin-{number}"));
    names.into_iter().find(|name| !taken.contains(name)).unwrap_or_else(|| "admin".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use sqlx::Connection as _;

    use super::*;
    use crate::store::hash_of;

    #[tokio::test]
    async fn a_token_is_made_beside_a_running_store_and_noted() {
        let dir = tempfile::tempdir().unwrap();
        let running = Sqlite::open(&dir.path().join("store.db")).await.unwrap();
        for expected in ["admin-1", "admin-2"] {
            let made = make(dir.path()).await.unwrap();
            assert_eq!(made.name, expected);
            let mode = std::fs::metadata(&made.file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let text = std::fs::read_to_string(&made.file).unwrap();
            let found = running.api_token(&hash_of(text.trim()), Moment::now()).await.unwrap().unwrap();
            assert_eq!((found.name.as_str(), found.role), (expected, Role::Admin));
        }
        let log = running.audit_log().await.unwrap();
        assert!(log.iter().all(|row| row.who == "local" && row.result == "ok") && log.len() == 2);
    }

    #[tokio::test]
    async fn without_a_store_of_this_version_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let error = make(dir.path()).await.unwrap_err();
        assert!(matches!(error, AdminTokenError::NoStore(_)), "{error}");
        let path = dir.path().join("store.db");
        let store = Sqlite::open(&path).await.unwrap();
        store.close().await;
        let mut older = sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
        sqlx::query("DELETE FROM _sqlx_migrations WHERE version > 1").execute(&mut older).await.unwrap();
        older.close().await.unwrap();
        let error = make(dir.path()).await.unwrap_err();
        assert!(matches!(error, AdminTokenError::Open(OpenError::Older { .. })), "{error}");
        assert!(!dir.path().join("admin-1.token").exists());
    }
}
