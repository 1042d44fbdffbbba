//! Join tokens and API tokens. Their texts are in the answer to their creation and nowhere else.

use redeploy_proto::v1;

use super::{Api, Caller, Refusal, names, refusal};
use crate::moment::Moment;
use crate::store::{ApiTokenRow, JoinTokenRow, NewApiToken, Role, Secret};

const HOUR_MS: u64 = 3_600_000;
const JOIN_MS_MAX: u64 = 7 * 24 * HOUR_MS;

fn later(span_ms: u64) -> i64 {
    Moment::now().0.saturating_add(i64::try_from(span_ms).unwrap_or(i64::MAX))
}

fn role_of(role: i32) -> Result<Role, Refusal> {
    match v1::Role::try_from(role) {
        Ok(v1::Role::Viewer) => Ok(Role::Viewer),
        Ok(v1::Role::Deployer) => Ok(Role::Deployer),
        Ok(v1::Role::Admin) => Ok(Role::Admin),
        Ok(v1::Role::Unspecified) | Err(_) => {
            Err(Refusal::Invalid("a role is needed: viewer, deployer or admin".into()))
        }
    }
}

pub(super) fn api_token(row: &ApiTokenRow) -> v1::ApiToken {
    let role = match row.role {
        Role::Viewer => v1::Role::Viewer,
        Role::Deployer => v1::Role::Deployer,
        Role::Admin => v1::Role::Admin,
    };
    v1::ApiToken {
        token_id: row.token_id.clone(),
        name: row.name.clone(),
        role: role.into(),
        envs: row.envs.iter().map(ToString::to_string).collect(),
        created_at_ms: row.created_at,
        expires_at_ms: row.expires_at,
        last_used_at_ms: row.used_at,
        is_revoked: row.revoked_at.is_some(),
    }
}

fn join_token(row: &JoinTokenRow) -> v1::JoinToken {
    v1::JoinToken {
        token_id: row.token_id.clone(),
        comment: row.comment.clone(),
        created_at_ms: row.created_at,
        expires_at_ms: row.expires_at,
        created_by: row.created_by.clone(),
        used_by_host_id: row.used_by.clone().unwrap_or_default(),
        is_revoked: row.revoked_at.is_some(),
    }
}

impl Api {
    pub(super) async fn create_api_token(
        &self,
        caller: &Caller,
        request: &v1::CreateApiTokenRequest,
    ) -> Result<v1::CreateApiTokenResponse, Refusal> {
        caller.may_everything()?;
        // It stands in the audit log and on terminals.
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        if !(1..=63).contains(&request.name.len()) || !request.name.chars().all(fits) {
            let rule = "a token needs a name of 1 to 63 letters, digits, `.`, `_`, `-` or `@`";
            return Err(Refusal::Invalid(rule.into()));
        }
        let envs: Result<Vec<_>, _> = request.envs.iter().map(|env| refusal::required(env)).collect();
        if request.role() == v1::Role::Admin && !request.envs.is_empty() {
            let rule = "an admin's token is for all environments: leave them out, or choose another role";
            return Err(Refusal::Invalid(rule.into()));
        }
        let expires_at = if request.expires_in_ms == 0 { 0 } else { later(request.expires_in_ms) };
        let new =
            NewApiToken { name: request.name.clone(), role: role_of(request.role)?, envs: envs?, expires_at };
        let secret = Secret::generate("rda_")?;
        let row = self.store.add_api_token(&new, &secret.hash(), Moment::now()).await?;
        Ok(v1::CreateApiTokenResponse { token: secret.reveal().to_owned(), info: Some(api_token(&row)) })
    }

    pub(super) async fn list_api_tokens(
        &self,
        caller: &Caller,
    ) -> Result<v1::ListApiTokensResponse, Refusal> {
        caller.may_everything()?;
        let tokens = self.store.api_tokens().await?.iter().map(api_token).collect();
        Ok(v1::ListApiTokensResponse { tokens })
    }

    pub(super) async fn revoke_api_token(
        &self,
        caller: &Caller,
        which: &str,
    ) -> Result<v1::ApiToken, Refusal> {
        caller.may_everything()?;
        self.store.revoke_api_token(which, Moment::now()).await?;
        let tokens = self.store.api_tokens().await?;
        let found = tokens.iter().find(|row| row.token_id == which || row.name == which);
        found.map(api_token).ok_or_else(|| {
            let all = tokens.iter().map(|row| row.name.as_str());
            Refusal::Missing(names::missing("API token", which, all))
        })
    }

    pub(super) async fn create_join_token(
        &self,
        caller: &Caller,
        request: &v1::CreateJoinTokenRequest,
    ) -> Result<v1::CreateJoinTokenResponse, Refusal> {
        caller.may_everything()?;
        let span = if request.expires_in_ms == 0 { HOUR_MS } else { request.expires_in_ms };
        if span > JOIN_MS_MAX {
            return Err(Refusal::Invalid("a join token is good for seven days at most".into()));
        }
        let (token, hash) = self.hosts.join_token()?;
        let row = JoinTokenRow {
            token_id: uuid::Uuid::now_v7().simple().to_string(),
            comment: request.comment.clone(),
            created_at: Moment::now().0,
            created_by: caller.name.clone(),
            expires_at: later(span),
            used_by: None,
            revoked_at: None,
        };
        self.store.add_join_token(&row, &hash).await?;
        Ok(v1::CreateJoinTokenResponse { token, info: Some(join_token(&row)) })
    }

    pub(super) async fn list_join_tokens(
        &self,
        caller: &Caller,
    ) -> Result<v1::ListJoinTokensResponse, Refusal> {
        caller.may_everything()?;
        let tokens = self.store.join_tokens().await?.iter().map(join_token).collect();
        Ok(v1::ListJoinTokensResponse { tokens })
    }

    pub(super) async fn revoke_join_token(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<v1::JoinToken, Refusal> {
        caller.may_everything()?;
        self.store.revoke_join_token(id, Moment::now()).await?;
        let tokens = self.store.join_tokens().await?;
        let found = tokens.iter().find(|row| row.token_id == id);
        found.map(join_token).ok_or_else(|| Refusal::Missing(format!("there is no join token {id:?}")))
    }
}
