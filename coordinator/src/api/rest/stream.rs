//! A stream of a call as server-sent events.
//!
//! ```text
//!   id: 17             only where a stream can be taken up again
//!   data: {…}          an update
//!   :                  nothing happened for a while
//!   event: end         the stream is over, as it should be: connecting again is of no use
//!   event: problem     it broke off: `data` says why
//! ```

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use prost_reflect::MessageDescriptor;
use tonic::Streaming;

use super::routes::Resume;
use crate::api::problem::Problem;
use crate::json;

/// Less than what proxies wait for.
const QUIET_MAX: Duration = Duration::from_secs(15);

pub(super) fn events(updates: Streaming<Vec<u8>>, of: MessageDescriptor, resume: Option<Resume>) -> Response {
    let events = stream::unfold(Some(updates), move |updates| {
        let of = of.clone();
        async move {
            let mut updates = updates?;
            Some(match updates.message().await {
                Ok(Some(update)) => match event(of, &update, resume) {
                    Some(event) => (event, Some(updates)),
                    None => (problem(&Problem::broken()), None),
                },
                Ok(None) => (Event::default().event("end").data("{}"), None),
                Err(status) => (problem(&status.into()), None),
            })
        }
    });
    let quiet = KeepAlive::new().interval(QUIET_MAX);
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(quiet).into_response()
}

fn event(of: MessageDescriptor, update: &[u8], resume: Option<Resume>) -> Option<Event> {
    let update = json::decoded(of, update)?;
    let id = resume.and_then(|resume| update.get(resume.id)).and_then(serde_json::Value::as_u64);
    let event = Event::default().data(update.to_string());
    Some(match id {
        Some(id) => event.id(id.to_string()),
        None => event,
    })
}

fn problem(problem: &Problem) -> Event {
    Event::default().event("problem").data(problem.json().to_string())
}
