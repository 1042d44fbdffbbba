//! The last words of a new container that failed: the end of its output and its exit code, in `new.log`.
//!
//! Flows in: the container, or what a witness heard of one that the engine removed when it ended (`--rm`). Flows out: a
//! file for a human. Must never keep the old container from coming back, nor the new one from starting: what cannot be
//! had is told in the log.

use std::time::Duration;

use super::StepError;
use super::runner::Runner;
use crate::docker::{Account, Container, EngineError};
use crate::durable;
use crate::explain::explain;

/// How much of a failed container's output is kept.
const LINES: u32 = 200;

/// How long the engine may take to let us listen. The old container still serves then.
const LISTEN_DEADLINE: Duration = Duration::from_secs(20);

/// How long the end of what a container said may take to come once that has ended.
const ACCOUNT_PATIENCE: Duration = Duration::from_secs(5);

/// Has a witness listen to a new container that the engine removes when it ends: nothing is left to ask about then. Done
/// before the old one stops, so that the downtime is not longer for it.
pub(super) async fn listen(runner: &mut Runner) {
    let plan = runner.plan();
    if !plan.incoming.removes_itself() || !plan.outgoing.alive || runner.witness.is_some() {
        return;
    }
    let listening = async {
        let incoming = runner.incoming().await?;
        Ok::<_, StepError>(runner.engine().witness(incoming.id()).await?)
    };
    let heard = match tokio::time::timeout(LISTEN_DEADLINE, listening).await {
        Ok(heard) => heard,
        Err(_) => {
            let action = "let us listen to the new container".to_owned();
            Err(EngineError::TimedOut { action, seconds: LISTEN_DEADLINE.as_secs() }.into())
        }
    };
    match heard {
        Ok(witness) => runner.witness = Some(witness),
        Err(error) => {
            tracing::warn!(error = explain(&error), "should the new container end, its last words are lost");
        }
    }
}

/// What is known of the end of a new container that is gone.
pub(super) async fn exit_code(runner: &Runner) -> Option<i64> {
    heard(runner).await?.exit_code
}

/// Keeps them, unless that was done before. `found` is the new container, if it is still there.
pub(super) async fn keep(runner: &Runner, found: Option<&Container>) {
    if let Err(error) = write(runner, found).await {
        tracing::warn!(error = explain(&error), "the failed container's last words could not be kept");
    }
}

async fn write(runner: &Runner, found: Option<&Container>) -> Result<(), StepError> {
    let path = runner.hands.dir.failed_log();
    if path.exists() {
        return Ok(());
    }
    let (logs, end) = match found {
        None => (None, None),
        // Asked in this order: one that ends in between is not said to have run on with these as its last words.
        Some(found) => {
            let logs = runner.engine().logs(found.id(), LINES).await;
            (Some(logs), runner.engine().container(found.id()).await?)
        }
    };
    let heard = match &end {
        Some(end) if end.is_alive() => None,
        Some(_) | None => heard(runner).await,
    };
    match text(logs, end.as_ref(), heard) {
        Some(text) => Ok(durable::write(&path, text.as_bytes())?),
        None => Ok(()),
    }
}

async fn heard(runner: &Runner) -> Option<Account> {
    let lines = usize::try_from(LINES).unwrap_or(usize::MAX);
    match &runner.witness {
        Some(witness) => Some(witness.account(lines, ACCOUNT_PATIENCE).await),
        None => None,
    }
}

/// Pure: what is written. Nothing is, of a container that is gone and that nobody listened to.
fn text(
    logs: Option<Result<String, EngineError>>,
    end: Option<&Container>,
    heard: Option<Account>,
) -> Option<String> {
    let head = match (end, &heard) {
        (Some(end), _) if end.is_alive() => "it still ran".to_owned(),
        (Some(end), _) => {
            let oom = if end.oom_killed() { ", killed for want of memory" } else { "" };
            format!("exit code {}{oom}", end.exit_code())
        }
        (None, Some(Account { exit_code: Some(code), .. })) => {
            format!("exit code {code}; the engine has removed it, and this was heard while it ran")
        }
        (None, Some(Account { exit_code: None, .. })) => {
            "exit code not known; it is removed, and this was heard while it ran".to_owned()
        }
        (None, None) => "exit code not known; it was removed".to_owned(),
    };
    let output = match (logs, heard) {
        (Some(Ok(logs)), None) => logs,
        // A log goes before its container does.
        (Some(Ok(logs)), Some(heard)) => {
            if logs.is_empty() {
                heard.output
            } else {
                logs
            }
        }
        (Some(Err(_)) | None, Some(heard)) => heard.output,
        // Some log drivers cannot be read.
        (Some(Err(error)), None) => format!("(its output cannot be read: {})\n", explain(&error)),
        (None, None) => return None,
    };
    Some(format!("# {head}\n{output}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn unreadable() -> Option<Result<String, EngineError>> {
        Some(Err(EngineError::Refused { action: "give logs".into(), status: 500, message: "none".into() }))
    }

    fn container(status: &str, code: i64) -> Container {
        Container::new(json!({ "State": { "Status": status, "ExitCode": code } }))
    }

    fn account(output: &str, exit_code: Option<i64>) -> Option<Account> {
        Some(Account { output: output.to_owned(), exit_code })
    }

    #[test]
    fn the_engines_own_word_counts_and_a_witness_where_there_is_none() {
        let logs = || Some(Ok("logged\n".to_owned()));
        let ended = container("exited", 3);
        assert_eq!(text(logs(), Some(&ended), None).unwrap(), "# exit code 3\nlogged\n");
        assert_eq!(
            text(logs(), Some(&ended), account("heard\n", Some(4))).unwrap(),
            "# exit code 3\nlogged\n"
        );
        assert_eq!(text(logs(), Some(&container("running", 0)), None).unwrap(), "# it still ran\nlogged\n");
        // Half removed: the log is gone first.
        let half = text(Some(Ok(String::new())), Some(&ended), account("heard\n", Some(3))).unwrap();
        assert_eq!(half, "# exit code 3\nheard\n");
        for logs in [None, unreadable()] {
            let gone = text(logs, None, account("heard\n", Some(4))).unwrap();
            assert!(gone.starts_with("# exit code 4;") && gone.ends_with("\nheard\n"), "{gone}");
        }
    }

    #[test]
    fn what_nobody_knows_is_not_made_up() {
        assert_eq!(text(None, None, None), None);
        let gone = text(unreadable(), None, None).unwrap();
        assert!(gone.starts_with("# exit code not known") && gone.contains("cannot be read"), "{gone}");
        let silent = text(None, None, account("", Some(0)));
        assert!(silent.is_some_and(|text| text.starts_with("# exit code 0;")));
    }
}
