//! The shapes of answers. Every one has `result`, `error`, `reason` and `source`. Pure.

use redeploy_proto::v1;
use serde_json::{Value, json};

use super::codes::{Code, Failed};

/// The head of every answer.
fn head(code: Code, error: &str) -> Value {
    json!({
        "result": code.number(),
        "error": error,
        "reason": code.reason(),
        "source": code.source(),
    })
}

/// Nothing went wrong, and there is nothing to tell.
pub(super) fn success() -> Value {
    head(Code::Done, "")
}

/// Nothing went wrong; the members of an object are told.
pub(super) fn with(more: Value) -> Value {
    joined(success(), more)
}

/// What went wrong.
pub(super) fn failure(failed: &Failed) -> Value {
    head(failed.code, &failed.error)
}

/// The same, with the members of an object.
pub(super) fn joined(mut answer: Value, more: Value) -> Value {
    if let (Some(answer), Value::Object(more)) = (answer.as_object_mut(), more) {
        answer.extend(more);
    }
    answer
}

/// A deployment goes on, and nobody waits for it.
pub(super) fn begun(deployment: &v1::Deployment) -> Value {
    with(json!({ "deploymentId": deployment.deployment_id }))
}
