//! Sessions that were minted from API tokens. A session is worth what its token is worth: it is looked up together with it.
//!
//! Flows in: hashes of sessions, ids of tokens, the time. Flows out: the token behind a session. Must never let a session
//! outlive its token, nor let one token fill the disk with sessions.

use super::tokens::{ApiTuple, api_row};
use super::{ApiTokenRow, Sqlite, StoreError, failed};
use crate::moment::Moment;

/// Of one token at the most; the oldest go first. Far more than a platform with a session per worker has.
const SESSIONS_MAX: i64 = 1000;

impl Sqlite {
    /// Stores a session of this token, and forgets those that are over.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn add_sign_in(
        &self,
        token_id: &str,
        hash: &[u8],
        now: Moment,
        ends: Moment,
    ) -> Result<(), StoreError> {
        let action = "sign an API token in";
        let mut all = self.writer.begin().await.map_err(failed(action))?;
        sqlx::query(
            "DELETE FROM sign_ins WHERE expires_at <= $1 OR (token_id = $2 AND hash NOT IN \
             (SELECT hash FROM sign_ins WHERE token_id = $2 ORDER BY created_at DESC LIMIT $3))",
        )
        .bind(now.0)
        .bind(token_id)
        .bind(SESSIONS_MAX - 1)
        .execute(&mut *all)
        .await
        .map_err(failed(action))?;
        sqlx::query("INSERT INTO sign_ins (hash, token_id, created_at, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(hash)
            .bind(token_id)
            .bind(now.0)
            .bind(ends.0)
            .execute(&mut *all)
            .await
            .map_err(failed(action))?;
        all.commit().await.map_err(failed(action))
    }

    /// The API token behind a session, if both may be used now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn signed_in(&self, hash: &[u8], now: Moment) -> Result<Option<ApiTokenRow>, StoreError> {
        let row: Option<ApiTuple> = sqlx::query_as(
            "SELECT t.token_id, t.name, t.role, t.envs, t.created_at, t.expires_at, t.used_at, t.revoked_at \
             FROM sign_ins s JOIN api_tokens t ON t.token_id = s.token_id \
             WHERE s.hash = $1 AND s.expires_at > $2 \
             AND t.revoked_at IS NULL AND (t.expires_at = 0 OR t.expires_at > $2)",
        )
        .bind(hash)
        .bind(now.0)
        .fetch_optional(&self.reader)
        .await
        .map_err(failed("look a session up"))?;
        row.map(api_row).transpose()
    }

    /// Ends a session; `false` if there is none.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn end_sign_in(&self, hash: &[u8]) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM sign_ins WHERE hash = $1")
            .bind(hash)
            .execute(&self.writer)
            .await
            .map_err(failed("end a session"))?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{NewApiToken, Role};

    async fn store_with_a_token() -> (Sqlite, String, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("store.db")).await.unwrap();
        let new = NewApiToken { name: "ci".into(), role: Role::Deployer, envs: vec![], expires_at: 100 };
        let token = store.add_api_token(&new, b"token", Moment(1)).await.unwrap();
        (store, token.token_id, dir)
    }

    #[tokio::test]
    async fn a_session_is_good_until_it_or_its_token_ends() {
        let (store, id, _dir) = store_with_a_token().await;
        let add =
            async |hash: &[u8], ends| store.add_sign_in(&id, hash, Moment(1), Moment(ends)).await.unwrap();
        let name = async |hash: &[u8], now| {
            let found = store.signed_in(hash, Moment(now)).await.unwrap();
            found.map(|token| token.name)
        };
        add(b"short", 50).await;
        add(b"long", 500).await;
        assert_eq!(name(b"short", 49).await.as_deref(), Some("ci"));
        assert_eq!(name(b"short", 50).await, None, "it is over");
        assert_eq!(name(b"nobody", 2).await, None);
        assert_eq!(name(b"long", 99).await.as_deref(), Some("ci"));
        assert_eq!(name(b"long", 100).await, None, "its token is over");
        assert!(store.end_sign_in(b"short").await.unwrap());
        assert!(!store.end_sign_in(b"short").await.unwrap());
        assert_eq!(name(b"short", 2).await, None);
        store.revoke_api_token("ci", Moment(3)).await.unwrap();
        assert_eq!(name(b"long", 3).await, None, "its token is revoked");
    }

    #[tokio::test]
    async fn a_token_has_so_many_sessions_and_no_more() {
        let (store, id, _dir) = store_with_a_token().await;
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
                    INSERT INTO sign_ins SELECT CAST(i AS BLOB), (SELECT token_id FROM api_tokens), i, 5000 FROM n";
        sqlx::query(fill).execute(&store.writer).await.unwrap();
        store.add_sign_in(&id, b"newest", Moment(2000), Moment(5000)).await.unwrap();
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM sign_ins").fetch_one(&store.reader).await.unwrap();
        let oldest: i64 = sqlx::query_scalar("SELECT min(created_at) FROM sign_ins")
            .fetch_one(&store.reader)
            .await
            .unwrap();
        assert_eq!((count, oldest), (SESSIONS_MAX, 2), "the oldest made room");
    }
}
