//! A request's path, query, headers and body, brought together as the message of its call. Each field may be said in one
//! place only, or everywhere the same.

use std::time::Duration;

use axum::body::Body;
use axum::extract::RawPathParams;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Map, Value};

use super::routes::{Route, Verb};
use crate::api::problem::Problem;
use crate::json;

/// Far more than any request needs.
pub(in crate::api) const BODY_BYTES_MAX: usize = 256 << 10;

/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// The header for the field of the same name.
pub(in crate::api) const IDEMPOTENCY_KEY: &str = "idempotency-key";
pub(in crate::api) const IDEMPOTENCY_FIELD: &str = "idempotency_key";

/// What a browser says when it connects again.
pub(in crate::api) const LAST_EVENT_ID: &str = "last-event-id";

/// The message of a call.
///
/// # Errors
/// [`Problem`]: what breaks the form, and where.
pub(super) async fn gather(
    route: &Route,
    of: &MessageDescriptor,
    path: &RawPathParams,
    parts: &Parts,
    body: Body,
) -> Result<DynamicMessage, Problem> {
    let mut given = match route.verb {
        Verb::Post => object(parts, body).await?,
        Verb::Get | Verb::Delete => Map::new(),
    };
    let query = parts.uri.query().unwrap_or_default();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        if route.verb != Verb::Get {
            return Err(Problem::invalid(format!("`{name}` stands in the query: this call takes none")));
        }
        put(&mut given, of, &name, &text)?;
    }
    for (name, text) in path {
        put(&mut given, of, name, text)?;
    }
    if of.get_field_by_name(IDEMPOTENCY_FIELD).is_some()
        && let Some(key) = header(&parts.headers, IDEMPOTENCY_KEY)?
    {
        put(&mut given, of, IDEMPOTENCY_FIELD, key)?;
    }
    if let Some(resume) = route.resume
        && let Some(last) = header(&parts.headers, LAST_EVENT_ID)?
    {
        // It is newer than what the address says, which stays the same when a browser connects again.
        given.remove(resume.after);
        put(&mut given, of, resume.after, last)?;
    }
    json::read(of, &given).map_err(|mistake| Problem::invalid(mistake.to_string()))
}

fn put(
    given: &mut Map<String, Value>,
    of: &MessageDescriptor,
    name: &str,
    text: &str,
) -> Result<(), Problem> {
    let value = of.get_field_by_name(name).map_or_else(|| text.into(), |field| json::scalar(&field, text));
    match given.insert(name.to_owned(), value.clone()) {
        Some(other) if other != value && !other.is_null() => {
            Err(Problem::invalid(format!("`{name}` is said twice, and not the same")))
        }
        Some(_) | None => Ok(()),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let text = headers.get(name).map(|value| value.to_str());
    text.transpose()
        .map_err(|_| Problem::invalid(format!("the header {name} has letters that it may not have")))
}

/// All of a body that has at most `max` bytes and is not too slow.
///
/// # Errors
/// [`Problem`]
pub(in crate::api) async fn bytes_of(body: Body, max: usize) -> Result<Bytes, Problem> {
    let said = axum::body::HttpBody::size_hint(&body).lower();
    if usize::try_from(said).is_ok_and(|said| said > max) {
        return Err(Problem::too_large(max));
    }
    let limited = Limited::new(body, max).collect();
    let collected = tokio::time::timeout(BODY_PATIENCE, limited).await.map_err(|_| Problem::too_slow())?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large(max)),
        Err(_) => Err(Problem::invalid("the request's body broke off")),
    }
}

/// A body that is not there is an empty object.
async fn object(parts: &Parts, body: Body) -> Result<Map<String, Value>, Problem> {
    let bytes = bytes_of(body, BODY_BYTES_MAX).await?;
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    if !is_json(&parts.headers) {
        return Err(Problem::not_json());
    }
    // The error tells the place, and nothing of what stands there: it may be a password.
    let value = json::parse(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let rule = "is not JSON, or has a name twice";
        Problem::invalid(format!("the request's body {rule}: see line {line}, column {column}"))
    })?;
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Problem::invalid("the request's body must be a JSON object"))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}
