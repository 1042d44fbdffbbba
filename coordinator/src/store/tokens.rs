//! Join tokens and API tokens. Only hashes are stored: a token has 256 random bits, so a fast hash is enough.

use sqlx::FromRow;

use super::{Sqlite, StoreError, failed, unreadable};
use crate::ids::{EnvName, HostId};
use crate::moment::Moment;

/// How exactly it is known when a token was last used.
const USED_EVERY_MS: i64 = 60_000;

/// What the holder of an API token may do. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Deploy, within the token's environments.
    Deployer,
    /// Everything.
    Admin,
}

/// A join token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct JoinTokenRow {
    /// Its name.
    pub token_id: String,
    /// For people.
    pub comment: String,
    /// When it was made.
    pub created_at: i64,
    /// By whom.
    pub created_by: String,
    /// Until when it may be used.
    pub expires_at: i64,
    /// The host that used it.
    pub used_by: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// What became of the use of a join token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Used {
    /// It is the host's now: the given one, or the one of an earlier use with the same key.
    By(HostId),
    /// Wrong, expired, revoked, or used with another key. Who asks must not learn which.
    Refused,
}

/// An API token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTokenRow {
    /// Its name for ever.
    pub token_id: String,
    /// Its name for people, unique.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// In which environments; empty: in all.
    pub envs: Vec<EnvName>,
    /// When it was made.
    pub created_at: i64,
    /// Until when it may be used; 0: for ever.
    pub expires_at: i64,
    /// When it was last used; 0: never.
    pub used_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// A new API token.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// Unique.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Where.
    pub envs: Vec<EnvName>,
    /// 0: for ever.
    pub expires_at: i64,
}

// === impl Role ===

impl Role {
    /// The frozen word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
        }
    }

    /// From its word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Deployer, Self::Admin].into_iter().find(|role| role.word() == word)
    }
}

pub(super) type ApiTuple = (String, String, String, String, i64, i64, i64, Option<i64>);

const API: &str =
    "SELECT token_id, name, role, envs, created_at, expires_at, used_at, revoked_at FROM api_tokens";

pub(super) fn api_row(row: ApiTuple) -> Result<ApiTokenRow, StoreError> {
    let (token_id, name, role, envs, created_at, expires_at, used_at, revoked_at) = row;
    let envs = serde_json::from_str(&envs).map_err(unreadable(format!("API token {name}")))?;
    // A word this version does not know allows the least.
    let role = Role::of(&role).unwrap_or(Role::Viewer);
    Ok(ApiTokenRow { token_id, name, role, envs, created_at, expires_at, used_at, revoked_at })
}

impl Sqlite {
    /// Stores a new API token.
    ///
    /// # Errors
    /// [`StoreError`]; `Taken` if the name is.
    pub async fn add_api_token(
        &self,
        new: &NewApiToken,
        hash: &[u8],
        at: Moment,
    ) -> Result<ApiTokenRow, StoreError> {
        let token_id = uuid::Uuid::now_v7().simple().to_string();
        let envs = serde_json::to_string(&new.envs).map_err(unreadable("list of environments"))?;
        sqlx::query(
            "INSERT INTO api_tokens (token_id, hash, name, role, envs, created_at, expires_at, used_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
        )
        .bind(&token_id)
        .bind(hash)
        .bind(&new.name)
        .bind(new.role.word())
        .bind(envs)
        .bind(at.0)
        .bind(new.expires_at)
        .execute(&self.writer)
        .await
        .map_err(failed("make an API token of this name"))?;
        Ok(ApiTokenRow {
            token_id,
            name: new.name.clone(),
            role: new.role,
            envs: new.envs.clone(),
            created_at: at.0,
            expires_at: new.expires_at,
            used_at: 0,
            revoked_at: None,
        })
    }

    /// The API token with this hash, if it may be used now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn api_token(&self, hash: &[u8], now: Moment) -> Result<Option<ApiTokenRow>, StoreError> {
        let row: Option<ApiTuple> = sqlx::query_as(
            "SELECT token_id, name, role, envs, created_at, expires_at, used_at, revoked_at FROM api_tokens \
             WHERE hash = $1 AND revoked_at IS NULL AND (expires_at = 0 OR expires_at > $2)",
        )
        .bind(hash)
        .bind(now.0)
        .fetch_optional(&self.reader)
        .await
        .map_err(failed("look an API token up"))?;
        row.map(api_row).transpose()
    }

    /// Notes that a token was used. Once a minute is enough.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn api_token_used(&self, token: &ApiTokenRow, now: Moment) -> Result<(), StoreError> {
        if now.0.saturating_sub(token.used_at) < USED_EVERY_MS {
            return Ok(());
        }
        sqlx::query("UPDATE api_tokens SET used_at = $1 WHERE token_id = $2 AND used_at < $1")
            .bind(now.0)
            .bind(&token.token_id)
            .execute(&self.writer)
            .await
            .map_err(failed("note that an API token was used"))?;
        Ok(())
    }

    /// The name of the token with this hash, good or not, for the audit log.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn api_token_name(&self, hash: &[u8]) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT name FROM api_tokens WHERE hash = $1")
            .bind(hash)
            .fetch_optional(&self.reader)
            .await
            .map_err(failed("look an API token up"))
    }

    /// Whether a token that was good is good still.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn api_token_is_good(&self, token_id: &str, now: Moment) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM api_tokens WHERE token_id = $1 AND revoked_at IS NULL \
             AND (expires_at = 0 OR expires_at > $2)",
        )
        .bind(token_id)
        .bind(now.0)
        .fetch_optional(&self.reader)
        .await
        .map_err(failed("look an API token up"))?;
        Ok(found.is_some())
    }

    /// All API tokens.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn api_tokens(&self) -> Result<Vec<ApiTokenRow>, StoreError> {
        let rows: Vec<ApiTuple> =
            sqlx::query_as(API).fetch_all(&self.reader).await.map_err(failed("read API tokens"))?;
        rows.into_iter().map(api_row).collect()
    }

    /// Revokes an API token, by id or name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn revoke_api_token(&self, which: &str, at: Moment) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE api_tokens SET revoked_at = coalesce(revoked_at, $1) WHERE token_id = $2 OR name = $2",
        )
        .bind(at.0)
        .bind(which)
        .execute(&self.writer)
        .await
        .map_err(failed("revoke an API token"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Stores a new join token.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn add_join_token(&self, token: &JoinTokenRow, hash: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO join_tokens (token_id, hash, comment, created_at, created_by, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&token.token_id)
        .bind(hash)
        .bind(&token.comment)
        .bind(token.created_at)
        .bind(&token.created_by)
        .bind(token.expires_at)
        .execute(&self.writer)
        .await
        .map_err(failed("store a join token"))?;
        Ok(())
    }

    /// Uses a join token for a host. The same key may use it again, and gets the same host.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn use_join_token(
        &self,
        hash: &[u8],
        key: &[u8],
        host: &HostId,
        now: Moment,
    ) -> Result<Used, StoreError> {
        // One statement: of two uses at once, one is first.
        let used: Option<String> = sqlx::query_scalar(
            "UPDATE join_tokens SET used_key = $1, used_by = coalesce(used_by, $2) \
             WHERE hash = $3 AND revoked_at IS NULL AND expires_at > $4 AND (used_key IS NULL OR used_key = $1) \
             RETURNING used_by",
        )
        .bind(key)
        .bind(host.as_str())
        .bind(hash)
        .bind(now.0)
        .fetch_optional(&self.writer)
        .await
        .map_err(failed("use a join token"))?;
        Ok(used.and_then(|host| host.parse().ok()).map_or(Used::Refused, Used::By))
    }

    /// All join tokens.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn join_tokens(&self) -> Result<Vec<JoinTokenRow>, StoreError> {
        sqlx::query_as(
            "SELECT token_id, comment, created_at, created_by, expires_at, used_by, revoked_at FROM join_tokens \
             ORDER BY created_at",
        )
        .fetch_all(&self.reader)
        .await
        .map_err(failed("read join tokens"))
    }

    /// Revokes a join token.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn revoke_join_token(&self, token_id: &str, at: Moment) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE join_tokens SET revoked_at = coalesce(revoked_at, $1) WHERE token_id = $2")
                .bind(at.0)
                .bind(token_id)
                .execute(&self.writer)
                .await
                .map_err(failed("revoke a join token"))?;
        Ok(done.rows_affected() > 0)
    }
}
