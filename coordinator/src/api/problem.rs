//! Errors of HTTP answers, as RFC 9457 has them. What a handler refused comes as the gRPC status that [`Refusal`] became, so
//! there is one list of refusals for both; beside them stands only what HTTP alone can get wrong.
//!
//! [`Refusal`]: super::Refusal

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Status};

/// The form's name on the wire.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// How gRPC says when to come again, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Seconds, where a handler says "later" and not when.
const LATER: HeaderValue = HeaderValue::from_static("1");

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// One word for programs; frozen.
    code: &'static str,
    detail: String,
    retry_after: Option<HeaderValue>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after: None }
    }

    /// The request breaks a rule of its form.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", detail)
    }

    /// No route has this path.
    pub(super) fn no_route(path: &str) -> Self {
        let detail = format!("there is nothing at {path}: /api/v1/openapi.json lists what there is");
        Self::new(StatusCode::NOT_FOUND, "no_route", detail)
    }

    /// The path is right, the method is not; which are, the header `allow` says.
    pub(super) fn method_not_allowed(method: &http::Method) -> Self {
        let detail = format!("{method} is not possible here: the header `allow` says what is");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// The body is over the limit.
    pub(super) fn too_large(limit: usize) -> Self {
        let detail = format!("a request's body may have {limit} bytes at most");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// The body does not arrive.
    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the request's body did not arrive in time")
    }

    /// The body is of another type.
    pub(super) fn not_json() -> Self {
        let detail = "a request's body must be of the type application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail)
    }

    /// An answer that its reader cannot be given.
    pub(super) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the coordinator made an answer of another form",
        )
    }

    /// Not now.
    pub(super) fn unavailable(detail: &str) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Self { retry_after: Some(LATER), ..problem }
    }

    /// What happened, for people.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The JSON form, which an event stream carries too.
    pub(super) fn json(&self) -> Value {
        json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        })
    }

    /// Its JSON Schema.
    pub(super) fn schema() -> Value {
        json!({
            "type": "object",
            "description": "RFC 9457. `code` is for programs and does not change; `detail` is for people.",
            "required": ["type", "title", "status", "detail", "code"],
            "properties": {
                "type": { "type": "string", "const": "about:blank" },
                "title": { "type": "string" },
                "status": { "type": "integer", "minimum": 400, "maximum": 599 },
                "detail": { "type": "string" },
                "code": { "type": "string" },
            },
        })
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let (http, code) = http_of(status.code());
        let later = matches!(http, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let said = status.metadata().get(PUSHBACK).and_then(|ms| ms.to_str().ok()?.parse::<u64>().ok());
        let said = said.map(|ms| HeaderValue::from(ms.div_ceil(1000)));
        let retry_after = later.then(|| said.unwrap_or(LATER));
        Self { status: http, code, detail: status.message().to_owned(), retry_after }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.json().to_string();
        let mut response = (self.status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.extend(self.retry_after.map(|later| (RETRY_AFTER, later)));
        response
    }
}

/// What a gRPC code is in HTTP, and its word.
pub(super) fn http_of(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::Ok => (StatusCode::OK, "ok"),
        Code::Cancelled => (StatusCode::REQUEST_TIMEOUT, "cancelled"),
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid_argument"),
        Code::OutOfRange => (StatusCode::BAD_REQUEST, "out_of_range"),
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "permission_denied"),
        Code::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Code::AlreadyExists => (StatusCode::CONFLICT, "already_exists"),
        Code::FailedPrecondition => (StatusCode::CONFLICT, "failed_precondition"),
        Code::Aborted => (StatusCode::CONFLICT, "aborted"),
        Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "resource_exhausted"),
        Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "unimplemented"),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
        Code::Unknown => (StatusCode::INTERNAL_SERVER_ERROR, "unknown"),
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        Code::DataLoss => (StatusCode::INTERNAL_SERVER_ERROR, "data_loss"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_come_again_is_told_when() {
        let later = |status: Status| {
            let response = Problem::from(status).into_response();
            response.headers().get(RETRY_AFTER).map(|later| later.to_str().unwrap().to_owned())
        };
        let mut slow = Status::resource_exhausted("too many calls");
        slow.metadata_mut().insert(PUSHBACK, 1001_u64.into());
        assert_eq!(later(slow).as_deref(), Some("2"));
        assert_eq!(later(Status::unavailable("stopping")).as_deref(), Some("1"));
        assert_eq!(later(Status::not_found("it")), None);
    }

    #[test]
    fn every_refusal_is_the_callers_or_ours() {
        for code in 1..=16 {
            let (status, word) = http_of(Code::from(code));
            assert!(status.is_client_error() || status.is_server_error(), "{word}");
        }
    }
}
