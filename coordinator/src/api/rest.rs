//! The operators' API as JSON over HTTP. Every route is one call of the gRPC service, made in this process: a request is
//! turned into the call's message, the answer into JSON. So no rule stands here that the service does not have.
//!
//! ```text
//!   HTTP ─▶ route ─▶ token ─▶ input: path, query, headers, body ─▶ message ─▶ gRPC service
//!                                                  JSON, events, problem ◀────────┘
//! ```
//!
//! Flows in: HTTP requests. Flows out: JSON, server-sent events, problems. Must never know what a call does.

pub(super) mod document;
pub(super) mod input;
mod raw;
pub(super) mod routes;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use http::header::{CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode};
use prost::Message;
use prost_reflect::MethodDescriptor;
use redeploy_proto::v1::operator_service_server::{OperatorServiceServer, SERVICE_NAME};
use serde_json::Value;
use tonic::client::Grpc;

use super::problem::Problem;
use super::{Api, Caller, Operator, auth, called};
use crate::json;
use raw::Raw;
use routes::{BASE, ROUTES, Route};

/// A route leads to no call of the contract: a defect, found at the start.
#[derive(Debug, thiserror::Error)]
#[error("the route {path} leads to {rpc}, which the contract does not have")]
pub struct UnknownCall {
    path: &'static str,
    rpc: &'static str,
}

/// A route with its call.
#[derive(Debug)]
struct Bound {
    route: &'static Route,
    method: MethodDescriptor,
    call: PathAndQuery,
}

/// Answers requests of all routes.
#[derive(Clone)]
struct Rest {
    api: Arc<Api>,
    service: OperatorServiceServer<Operator>,
}

/// All routes under [`BASE`], the document of them too.
///
/// # Errors
/// [`UnknownCall`]
pub(super) fn router(
    api: &Arc<Api>,
    service: &OperatorServiceServer<Operator>,
) -> Result<Router, UnknownCall> {
    let rest = Rest { api: api.clone(), service: service.clone() };
    let mut router = Router::new();
    for route in ROUTES {
        let bound = Arc::new(Bound::of(route)?);
        let rest = rest.clone();
        let answer = move |path, request| answer(rest.clone(), bound.clone(), path, request);
        router = router.route(&format!("{BASE}{}", route.path), on(route.verb.filter(), answer));
    }
    let text: Arc<str> = document::document().to_string().into();
    let document = move || async move { (json_type(), text.to_string()) };
    Ok(router.route(document::PATH, axum::routing::get(document)))
}

impl Bound {
    fn of(route: &'static Route) -> Result<Self, UnknownCall> {
        let unknown = || UnknownCall { path: route.path, rpc: route.rpc };
        let method = routes::method(route).ok_or_else(unknown)?;
        let call = PathAndQuery::try_from(format!("/{SERVICE_NAME}/{}", route.rpc));
        Ok(Self { route, method, call: call.map_err(|_| unknown())? })
    }
}

type Params = Result<RawPathParams, RawPathParamsRejection>;

async fn answer(rest: Rest, bound: Arc<Bound>, path: Params, request: Request) -> Response {
    // Boxed: it holds a call of every kind.
    Box::pin(rest.attempt(&bound, path, request)).await.unwrap_or_else(IntoResponse::into_response)
}

impl Rest {
    async fn attempt(&self, bound: &Bound, path: Params, request: Request) -> Result<Response, Problem> {
        let (parts, body) = request.into_parts();
        // Before anything of the request is read: strangers get nothing but that.
        let caller = authenticate(&self.api, &parts, called::word_of(bound.route.rpc)).await?;
        let path = path.map_err(|_| Problem::no_route(parts.uri.path()))?;
        let input = input::gather(bound.route, &bound.method.input(), &path, &parts, body).await?;
        let mut call = tonic::Request::new(input.encode_to_vec());
        call.extensions_mut().insert(caller);
        let mut service = Grpc::new(self.service.clone()).max_decoding_message_size(usize::MAX);
        let Ok(()) = service.ready().await;
        let (of, to) = (bound.method.output(), bound.call.clone());
        if bound.method.is_server_streaming() {
            let updates = service.server_streaming(call, to, Raw).await?.into_inner();
            return Ok(stream::events(updates, of, bound.route.resume));
        }
        let answer: Vec<u8> = service.unary(call, to, Raw).await?.into_inner();
        let is_nothing = of.fields().len() == 0;
        let answer = json::decoded(of, &answer).ok_or_else(Problem::broken)?;
        Ok(match bound.route.makes {
            _ if is_nothing => StatusCode::NO_CONTENT.into_response(),
            Some(place) => (StatusCode::CREATED, location(place, &answer), body_of(&answer)).into_response(),
            None => body_of(&answer).into_response(),
        })
    }
}

/// Who calls: the same for every route, and the same as for gRPC.
pub(super) async fn authenticate(api: &Api, parts: &Parts, what: &str) -> Result<Caller, Problem> {
    let header = parts.headers.get(http::header::AUTHORIZATION).and_then(|header| header.to_str().ok());
    let address = auth::address(&parts.extensions);
    Ok(api.authenticate(header, address, what).await.map_err(tonic::Status::from)?)
}

fn json_type() -> [(http::HeaderName, &'static str); 1] {
    [(CONTENT_TYPE, "application/json")]
}

fn body_of(answer: &Value) -> impl IntoResponse {
    (json_type(), answer.to_string())
}

/// Where what was made can be found: `{field}` stands for a field of the answer.
fn location(place: &str, answer: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some((before, field)) = place.strip_suffix('}').and_then(|place| place.split_once('{')) else {
        return headers;
    };
    let id = answer.get(field).and_then(Value::as_str).unwrap_or_default();
    let place = HeaderValue::try_from(format!("{BASE}{before}{id}"));
    headers.extend(place.ok().map(|place| (LOCATION, place)));
    headers
}
