//! `jelastic`: a method of the Jelastic API as the vendor's command line calls it, with its option names and its way to end.
//!
//! Flows in: words of a command line. Flows out: the coordinator's answer on stdout, as the vendor's program prints it. Must
//! never look at what a method does: the coordinator knows that.

mod words;

use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::args::JelasticArgs;
use super::dial::Coordinator;
use super::exit::{Exit, Stop};
use super::text;
use words::Call;
pub(super) use words::linked;

/// Far more than any answer has.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What the arguments ask for; told before anybody is dialled.
pub(super) fn checked(args: JelasticArgs) -> Result<Call, Stop> {
    let mut call = Call::of(args.words)?;
    call.is_real_exit |= args.non_zero_exit_code;
    Ok(call)
}

/// Calls, waits for as long as it takes, prints.
pub(super) async fn call(at: &Coordinator, call: Call) -> Result<Exit, Stop> {
    let answer = answer_of(at, &call.path, call.form).await?;
    let exit = if call.is_real_exit { real(&answer) } else { Exit::Done };
    let printed = serde_json::to_string_pretty(&json!({ "response": answer }));
    // Line by line: within a line nothing may steer the terminal.
    printed.unwrap_or_default().lines().for_each(text::say);
    Ok(exit)
}

/// What the coordinator says to a form, however long it takes.
pub(super) async fn answer_of(at: &Coordinator, path: &str, form: String) -> Result<Value, Stop> {
    let answer = at.post(path, form).await?;
    let status = answer.status();
    let broken = |why: &str| Stop::from(tonic::Status::unavailable(why));
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|_| broken("the answer broke off"))?.to_bytes();
    serde_json::from_slice(&body).map_err(|_| {
        let why =
            format!("the answer is no JSON, with status {status}: is this a coordinator that has this API?");
        broken(&why)
    })
}

/// The exit code that other commands have for the same end. `reason` is the word of docs/jelastic-api.md.
pub(super) fn real(answer: &Value) -> Exit {
    if answer["result"] == 0 {
        return Exit::Done;
    }
    match answer["reason"].as_str().unwrap_or_default() {
        "stuck" | "silent" | "trouble" => Exit::Stuck,
        "undone" | "halted" => Exit::Halted,
        "cancelled" | "rolled_back" => Exit::Failed,
        "parameter" | "no_method" => Exit::Usage,
        _ => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_exit_code_is_that_of_other_commands() {
        for (result, reason, exit) in [
            (0, "", Exit::Done),
            (70010, "undone", Exit::Halted),
            (70011, "refused", Exit::Refused),
            (70012, "stuck", Exit::Stuck),
            (70016, "rolled_back", Exit::Failed),
            (70002, "parameter", Exit::Usage),
            (11, "no_environment", Exit::Refused),
            (70001, "session", Exit::Refused),
        ] {
            assert_eq!(real(&json!({ "result": result, "reason": reason })), exit, "{reason}");
        }
        assert_eq!(real(&json!({})), Exit::Refused);
    }
}
