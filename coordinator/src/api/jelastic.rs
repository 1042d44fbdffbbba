//! The operators' API as control planes, scripts and add-ons of Jelastic (Virtuozzo Application Platform) call it. Every
//! call is one or more calls of the gRPC service, made in this process, so no rule stands here that the service does not
//! have.
//!
//! ```text
//!   HTTP ─▶ method ─▶ params: query and form ─▶ session ─▶ request ─▶ gRPC service
//!                            HTTP 200, JSON with `result` ◀─ answer ◀───────┘
//! ```
//!
//! Flows in: HTTP requests of any form that clients of the vendor's send. Flows out: HTTP 200, whatever happened, because
//! they take every other status for a broken connection. Must never begin a deployment in a way of its own, and never
//! repeat a session or password in an answer.

mod account;
mod answer;
mod codes;
mod environment;
mod lasting;
mod method;
mod order;
mod outcome;
mod params;
mod redeploy;
mod service;
mod tags;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use self::codes::{Code, Failed};
use self::method::Method;
use self::params::Params;
use self::service::Service;
use super::rest::input;
use super::{Api, Operator, auth};

/// Every method has this form; a pattern, so that requests are counted under one name.
const ROUTE: &str = "/1.0/{group}/{class}/{rest}/{method}";

/// How often a call that lasts gives a sign of life: less than what proxies wait for.
const BEAT: Duration = Duration::from_secs(15);

/// All methods.
pub(super) fn router(api: &Arc<Api>) -> Router {
    beating(api, BEAT)
}

/// The same, with another beat.
pub(in crate::api) fn beating(api: &Arc<Api>, beat: Duration) -> Router {
    let api = api.clone();
    // Boxed: it holds a call of every kind.
    let respond = move |request| Box::pin(respond(api.clone(), beat, request));
    Router::new().route(ROUTE, get(respond.clone()).post(respond))
}

/// Of a body. It is read before it is known who calls, because the session may stand in it.
const BODY_BYTES_MAX: usize = 16 << 10;

/// What a call comes to.
enum Answer {
    /// At once.
    Now(Value),
    /// When a deployment is over.
    Later(Body),
}

async fn respond(api: Arc<Api>, beat: Duration, request: Request) -> Response {
    let body = match attempt(api, beat, request).await {
        Ok(Answer::Now(value)) => value.to_string().into(),
        Ok(Answer::Later(body)) => body,
        Err(failed) => answer::failure(&failed).to_string().into(),
    };
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn attempt(api: Arc<Api>, beat: Duration, request: Request) -> Result<Answer, Failed> {
    let (parts, body) = request.into_parts();
    let method = Method::of(parts.uri.path())?;
    let bytes = input::bytes_of(body, BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|problem| Failed::new(Code::Parameter, problem.detail()))?;
    let params = Params::read(parts.uri.query().unwrap_or_default(), &bytes);
    let address = auth::address(&parts.extensions);
    if method == Method::SignIn {
        return account::sign_in(&api, &params, address).await.map(Answer::Now);
    }
    let header = parts.headers.get(http::header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    let said = params.text("session").map(|session| format!("Bearer {session}"));
    let caller = api.authenticate(said.as_deref().or(header), address, method.noted()).await?;
    let service = Service::new(Operator(api.clone()), caller);
    Ok(Answer::Now(match method {
        Method::RedeployContainers | Method::RedeployContainersByGroup | Method::RedeployContainerById => {
            let asked = order::asked(method, &params)?;
            let made = Box::pin(redeploy::begin(&service, &asked)).await?;
            if asked.is_async {
                return Ok(Answer::Now(answer::begun(&made)));
            }
            let end = async move { outcome::told(redeploy::end(&service, made).await) };
            return Ok(Answer::Later(lasting::body(end, beat)));
        }
        Method::GetContainerNodeTags => tags::of_node(&service, &params).await?,
        Method::GetEnvInfo => environment::one(&service, params.required("envName")?).await?,
        Method::GetEnvs => environment::all(&service).await?,
        Method::SignOut => account::sign_out(&api, service.caller(), &params).await?,
        // It has no session yet, and was answered above.
        Method::SignIn => answer::success(),
    }))
}
