//! Sessions: what clients that sign in get for an API token, and show instead of it from then on.
//!
//! Flows in: a caller whose token was looked up. Flows out: a text that stands for that token until it is signed out.
//! Must never give a session for a session: whoever found one could keep it alive for ever.

use super::{Api, Caller, Refusal};
use crate::moment::{Moment, Span};
use crate::store::{Secret, hash_of};

/// How every session begins, so that nobody takes one for a token.
const PREFIX: &str = "rds_";

/// How long one is good, if it is not signed out before.
pub(super) const SESSION_LIFE: Span = Span::minutes(7 * 24 * 60);

/// Is this a session rather than a token?
pub(super) fn is_session(text: &str) -> bool {
    text.starts_with(PREFIX)
}

impl Api {
    /// A session of the caller's token.
    pub(super) async fn sign_in(&self, caller: &Caller) -> Result<Secret, Refusal> {
        let done = self.signed_in(caller).await;
        self.audited(caller, "sign in", "", done).await
    }

    async fn signed_in(&self, caller: &Caller) -> Result<Secret, Refusal> {
        let secret = Secret::generate(PREFIX)?;
        let now = Moment::now();
        self.store.add_sign_in(&caller.token.token_id, &secret.hash(), now, now.after(SESSION_LIFE)).await?;
        Ok(secret)
    }

    /// Ends a session. A token that was shown instead of one stays good.
    pub(super) async fn sign_out(&self, caller: &Caller, text: &str) -> Result<(), Refusal> {
        let done = self.store.end_sign_in(&hash_of(text)).await.map(drop).map_err(Refusal::from);
        self.audited(caller, "sign out", "", done).await
    }
}
