//! Everything on the operators' port, by path: gRPC services, the REST routes, health and metrics. One place counts every
//! request and gives every answer the headers that keep it out of caches.
//!
//! Must never tell a stranger more than whether the coordinator is alive and ready.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use redeploy_proto::MESSAGE_BYTES_MAX;
use redeploy_proto::v1::operator_service_server::{OperatorServiceServer, SERVICE_NAME};
use tonic::Status;

use super::health::Health;
use super::problem::{Problem, http_of};
use super::{Api, Operator, health, jelastic, rest};
use crate::{json, metrics};

/// Whether the process serves.
pub(super) const HEALTH: &str = "/healthz";
/// Whether it can work.
pub(super) const READY: &str = "/readyz";
/// Counts for Prometheus.
pub(super) const METRICS: &str = "/metrics";

/// The standard service's name.
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";

/// The port's services cannot be put together: a defect of this program.
#[derive(Debug, thiserror::Error)]
pub enum Unservable {
    /// A route leads nowhere.
    #[error(transparent)]
    Route(#[from] rest::UnknownCall),
    /// The contract's descriptors are not readable.
    #[error("the contract cannot be told to those who ask for it")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The router of the whole port.
///
/// # Errors
/// [`Unservable`]
pub(super) fn router(api: &Arc<Api>, health: &Health) -> Result<Router, Unservable> {
    let service =
        OperatorServiceServer::new(Operator(api.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(redeploy_proto::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(SERVICE_NAME)
        .with_service_name(health::SERVICE)
        .with_service_name(REFLECTION)
        .build_v1()?;
    let grpc =
        tonic::service::Routes::new(service.clone()).add_service(health.service()).add_service(reflection);
    let (ready, measured, counted) = (api.clone(), api.clone(), api.clone());
    let router = grpc
        .into_axum_router()
        .reset_fallback()
        .merge(rest::router(api, &service)?)
        .merge(jelastic::router(api))
        .route(HEALTH, get(|| async { "ok\n" }))
        .route(READY, get(move || is_ready(ready.clone())))
        .route(METRICS, get(move |request| metrics_of(measured.clone(), request)))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(move |request, next| counted_answer(counted.clone(), request, next)));
    Ok(router)
}

async fn is_ready(api: Arc<Api>) -> Response {
    match health::ready(&api).await {
        Ok(()) => "ready\n".into_response(),
        Err(why) => Problem::unavailable(&why.to_string()).into_response(),
    }
}

async fn metrics_of(api: Arc<Api>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let text = async {
        let caller = rest::authenticate(&api, &parts, "metrics").await?;
        api.metrics(&caller).await.map_err(|refusal| Problem::from(Status::from(refusal)))
    };
    match text.await {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn nothing(request: Request) -> Response {
    if is_grpc(request.headers()) {
        return Status::unimplemented("there is no such service here").into_http::<axum::body::Body>();
    }
    Problem::no_route(request.uri().path()).into_response()
}

async fn wrong_method(request: Request) -> Response {
    Problem::method_not_allowed(request.method()).into_response()
}

fn is_grpc(headers: &http::HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

async fn counted_answer(api: Arc<Api>, request: Request, next: Next) -> Response {
    let route = route_of(&request);
    let is_grpc = is_grpc(request.headers());
    let mut response = next.run(request).await;
    let status = if is_grpc { grpc_status(response.headers()) } else { response.status() };
    api.views.tally.request(&route, is_grpc, status);
    if !is_grpc {
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// What an answer of gRPC is in HTTP. One that breaks off later counts as it began.
fn grpc_status(headers: &http::HeaderMap) -> StatusCode {
    Status::from_header_map(headers).map_or(StatusCode::OK, |status| http_of(status.code()).0)
}

/// A request's route, of which there are as many as the program has and no more, whatever strangers ask for.
fn route_of(request: &Request) -> String {
    let Some(matched) = request.extensions().get::<MatchedPath>() else { return "none".to_owned() };
    if !matched.as_str().contains("{*") {
        return matched.as_str().to_owned();
    }
    let mut parts = request.uri().path().trim_start_matches('/').splitn(2, '/');
    let (service, call) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let known =
        json::service(service).is_some_and(|service| service.methods().any(|known| known.name() == call));
    if known { call.to_owned() } else { service.to_owned() }
}
