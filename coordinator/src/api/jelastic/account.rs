//! `users.authentication`: a session for an API token, and its end.

use serde_json::{Value, json};

use super::answer;
use super::codes::{Code, Failed};
use super::method::Method;
use super::params::Params;
use crate::api::sign_in::is_session;
use crate::api::{Api, Caller};

/// A session, for the API token that is given as `password`. Which name comes with it is not looked at: the token is the
/// secret.
///
/// # Errors
/// [`Code::Session`], [`Code::Parameter`]
pub(super) async fn sign_in(api: &Api, params: &Params, address: String) -> Result<Value, Failed> {
    // A session is no password. It gets the answer that every wrong one gets.
    let token = Some(params.required("password")?).filter(|token| !is_session(token)).unwrap_or_default();
    let caller = api.authenticate(Some(&format!("Bearer {token}")), address, Method::SignIn.noted()).await;
    let text = "the password is not a valid API token: make one with `redeployctl token create`";
    let wrong =
        |failed: Failed| if failed.code == Code::Session { Failed::new(Code::Session, text) } else { failed };
    let caller = caller.map_err(Failed::from).map_err(wrong)?;
    let session = api.sign_in(&caller).await?;
    let email = params.text("login").unwrap_or(&caller.name);
    let more = json!({ "session": session.reveal(), "name": caller.name, "email": email });
    Ok(answer::with(more))
}

/// The end of a session. An API token that was given in its place stays good.
///
/// # Errors
/// The store refused.
pub(super) async fn sign_out(api: &Api, caller: &Caller, params: &Params) -> Result<Value, Failed> {
    if let Some(session) = params.text("session").filter(|session| is_session(session)) {
        api.sign_out(caller, session).await?;
    }
    Ok(answer::success())
}
