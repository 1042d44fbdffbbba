//! Who calls, and what they may.

use super::{Api, Refusal};
use crate::door;
use crate::ids::EnvName;
use crate::moment::Moment;
use crate::store::{ApiTokenRow, Role, hash_of};

/// Whoever holds a good token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token's name; stands in the audit log.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Where; empty: everywhere.
    pub envs: Vec<EnvName>,
    /// From where the call came.
    pub address: String,
    /// The token as it is stored.
    pub(super) token: ApiTokenRow,
}

impl Caller {
    pub(super) fn may_look(&self) -> Result<(), Refusal> {
        self.at_least(Role::Viewer)
    }

    pub(super) fn may_deploy(&self, env: &EnvName) -> Result<(), Refusal> {
        self.at_least(Role::Deployer)?;
        if self.role == Role::Admin || self.envs.is_empty() || self.envs.contains(env) {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!("token {} is not for environment {env}", self.name)))
    }

    pub(super) fn may_everything(&self) -> Result<(), Refusal> {
        self.at_least(Role::Admin)
    }

    fn at_least(&self, needed: Role) -> Result<(), Refusal> {
        if self.role >= needed {
            return Ok(());
        }
        let (name, role) = (&self.name, self.role.word());
        Err(Refusal::Forbidden(format!(
            "token {name} is a {role}'s; a token of role {} is needed",
            needed.word()
        )))
    }
}

/// Where a request comes from.
pub(super) fn address(extensions: &http::Extensions) -> String {
    let peer = extensions.get::<door::Caller>().and_then(|caller| caller.address);
    peer.map_or_else(|| "local".to_owned(), |address| address.to_string())
}

impl Api {
    /// The caller behind an `authorization` header.
    pub(crate) async fn authenticate(
        &self,
        header: Option<&str>,
        address: String,
    ) -> Result<Caller, Refusal> {
        let text = header.and_then(|header| header.strip_prefix("Bearer ")).ok_or(Refusal::Unknown)?;
        let token = self.store.api_token(&hash_of(text), Moment::now()).await?.ok_or(Refusal::Unknown)?;
        let (name, role, envs) = (token.name.clone(), token.role, token.envs.clone());
        Ok(Caller { name, role, envs, address, token })
    }
}
