//! The audit log, read: who did what, from where, and what came of it.

use sqlx::FromRow;

use super::{AuditRow, Sqlite, StoreError, failed};

/// One line of the audit log with its place.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AuditLine {
    /// Rising.
    pub seq: i64,
    /// What it says.
    #[sqlx(flatten)]
    pub row: AuditRow,
}

/// Which lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter<'a> {
    /// Only later ones.
    pub after: u64,
    /// Only since then, in Unix milliseconds.
    pub since: i64,
    /// Only of this token, by name; empty: of all.
    pub who: &'a str,
}

impl Sqlite {
    /// At most `limit` lines, oldest first: the first of those that pass, or with `newest` the last.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn audit_lines(
        &self,
        filter: AuditFilter<'_>,
        limit: u32,
        newest: bool,
    ) -> Result<Vec<AuditLine>, StoreError> {
        let lines = match newest {
            true => {
                "SELECT * FROM (SELECT seq, at, who, what, target, address, result FROM audit \
                 WHERE seq > $1 AND at >= $2 AND ($3 = '' OR who = $3) ORDER BY seq DESC LIMIT $4) ORDER BY seq"
            }
            false => {
                "SELECT seq, at, who, what, target, address, result FROM audit \
                 WHERE seq > $1 AND at >= $2 AND ($3 = '' OR who = $3) ORDER BY seq LIMIT $4"
            }
        };
        sqlx::query_as(lines)
            .bind(i64::try_from(filter.after).unwrap_or(i64::MAX))
            .bind(filter.since)
            .bind(filter.who)
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .map_err(failed("read the audit log"))
    }
}
