//! An answer that may be long in coming, over a connection that proxies would cut if nothing came: blanks until it is there,
//! which JSON allows before a value.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

/// The answer as a body. Dropping it drops the wait, and nothing else.
pub(super) fn body(answer: impl Future<Output = Value> + Send + 'static, beat: Duration) -> Body {
    let mut beats = interval(beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let chunks = stream::unfold(Some((Box::pin(answer), beats)), async |waiting| {
        let (mut answer, mut beats) = waiting?;
        // The first beat is at once: whoever waits knows that the call was taken.
        let chunk = tokio::select! {
            biased;
            value = &mut answer => return Some((Ok::<_, Infallible>(Bytes::from(value.to_string())), None)),
            _ = beats.tick() => Bytes::from_static(b" "),
        };
        Some((Ok(chunk), Some((answer, beats))))
    });
    Body::from_stream(chunks)
}
