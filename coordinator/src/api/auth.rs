//! Who calls, and what they may: one function for every door.
//!
//! Flows in: the `authorization` header, where the call came from, which call it is. Flows out: a [`Caller`], or a
//! refusal that tells a stranger nothing. Must never let a refused call go unnoted, nor a flood of them fill the disk.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use super::{Api, Refusal, sign_in};
use crate::bucket::{Buckets, Rate, owner_of};
use crate::door;
use crate::ids::EnvName;
use crate::moment::Moment;
use crate::store::{ApiTokenRow, AuditRow, Role, hash_of};

/// Refused calls of one peer that are looked at and noted one by one. More of them are only told to wait.
const REFUSED: Rate = Rate { per_second: 1, burst: 20 };

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

/// How often one may call.
pub struct Gate {
    calls: Buckets<String>,
    refused: Buckets<IpAddr>,
}

impl Gate {
    /// With this pace for each token.
    #[must_use]
    pub fn new(calls: Rate) -> Self {
        Self { calls: Buckets::new(calls), refused: Buckets::new(REFUSED) }
    }
}

impl Caller {
    pub(super) fn may_look(&self) -> Result<(), Refusal> {
        self.at_least(Role::Viewer)
    }

    /// Look at what belongs to no environment alone.
    pub(super) fn may_look_everywhere(&self) -> Result<(), Refusal> {
        self.may_look()?;
        self.is_for_all()
    }

    pub(super) fn may_deploy(&self, env: &EnvName) -> Result<(), Refusal> {
        self.at_least(Role::Deployer)?;
        if self.sees(env.as_str()) {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!("token {} is not for environment {env}", self.name)))
    }

    pub(super) fn may_everything(&self) -> Result<(), Refusal> {
        self.at_least(Role::Admin)?;
        self.is_for_all()
    }

    /// Whether its token is for this environment. What it is not for does not exist for it.
    pub(super) fn sees(&self, env: &str) -> bool {
        self.envs.is_empty() || self.envs.iter().any(|own| own.as_str() == env)
    }

    fn is_for_all(&self) -> Result<(), Refusal> {
        if self.envs.is_empty() {
            return Ok(());
        }
        let name = &self.name;
        Err(Refusal::Forbidden(format!("token {name} is for some environments only; one for all is needed")))
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
    /// The caller behind an `authorization` header, which holds a token or a session of one, for the call named `what`. A
    /// good token is let in however many bad ones come from the same address, and has a pace of its own.
    pub(crate) async fn authenticate(
        &self,
        header: Option<&str>,
        address: String,
        what: &str,
    ) -> Result<Caller, Refusal> {
        let text = header.and_then(|header| header.strip_prefix("Bearer "));
        let hash = text.map(hash_of);
        let now = Moment::now();
        let token = match (text, &hash) {
            (Some(text), Some(hash)) if sign_in::is_session(text) => self.store.signed_in(hash, now).await?,
            (_, Some(hash)) => self.store.api_token(hash, now).await?,
            (_, None) => None,
        };
        let Some(token) = token else { return Err(self.turn_away(hash.as_deref(), address, what).await) };
        self.gate.calls.take(token.token_id.clone(), Instant::now())?;
        if let Err(error) = self.store.api_token_used(&token, now).await {
            // Who may read may read, even from a store that cannot be written.
            tracing::warn!(error = &error as &dyn std::error::Error, "the use of a token was not noted");
        }
        let (name, role, envs) = (token.name.clone(), token.role, token.envs.clone());
        Ok(Caller { name, role, envs, address, token })
    }

    /// Whether whoever watches may go on: the token was not revoked and is not over.
    pub(crate) async fn stays(&self, caller: &Caller) -> Result<(), Refusal> {
        let is_good = self.store.api_token_is_good(&caller.token.token_id, Moment::now()).await?;
        if is_good { Ok(()) } else { Err(Refusal::Unknown) }
    }

    /// Notes who was refused. Whose token it was, if it was one, stands in the log and nowhere in the answer.
    async fn turn_away(&self, hash: Option<&[u8]>, address: String, what: &str) -> Refusal {
        if let Err(wait) = self.gate.refused.take(peer_of(&address), Instant::now()) {
            tracing::debug!(address, what, "too many calls without a good token");
            return wait.into();
        }
        let known = match hash {
            Some(hash) => self.store.api_token_name(hash).await.unwrap_or_default(),
            None => None,
        };
        let result = match (&known, hash) {
            (Some(_), _) => "refused: the token is revoked or has expired",
            (None, Some(_)) => "refused: there is no such token",
            (None, None) => "refused: no token",
        };
        let who = known.unwrap_or_else(|| "unknown".to_owned());
        tracing::warn!(who, address, what, result, "a call was refused");
        let row = AuditRow {
            at: Moment::now().0,
            who,
            what: what.to_owned(),
            target: String::new(),
            address,
            result: result.to_owned(),
        };
        match self.store.audit(&row).await {
            Ok(()) => Refusal::Unknown,
            Err(error) => error.into(),
        }
    }
}

/// Callers without an address share one.
fn peer_of(address: &str) -> IpAddr {
    let address = address.parse::<SocketAddr>().map(|address| address.ip());
    owner_of(address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))
}
