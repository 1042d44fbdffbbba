//! verify: the new container proves itself. Running, same start, no restart for the settling time; healthy, if it
//! has a health check; the probe answered. A one-shot container that exits 0 has done its job.
//!
//! Undo: none, it only looks.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::runner::Runner;
use super::{StepError, last_words, probe};
use crate::docker::{Container, RunState};

/// How often the container is looked at.
const POLL: Duration = Duration::from_millis(200);

/// How long the engine may take to tell what has happened already.
const PAST_EVENTS: Duration = Duration::from_millis(500);

/// A health check may take this much longer than its own numbers say before the engine has judged it.
const HEALTH_SLACK: Duration = Duration::from_secs(10);

/// The container did not prove itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Its process ended.
    #[error("container {name} exited with code {code}{}", if *.oom { ", killed for want of memory" } else { "" })]
    Exited {
        /// Container.
        name: String,
        /// Exit code.
        code: i64,
        /// Did the kernel kill it for want of memory?
        oom: bool,
    },
    /// Its restart policy had to start it again.
    #[error("container {name} restarted within its settling time (last exit code {code})")]
    Restarted {
        /// Container.
        name: String,
        /// Exit code of the run before.
        code: i64,
    },
    /// Its process ended, and the engine removed it for that.
    #[error(
        "container {name} exited{} and, because it was started with --rm, the engine removed it{}",
        .code.map(|code| format!(" with code {code}")).unwrap_or_default(),
        if .code.is_some() { "" } else { ", its exit code with it" },
    )]
    Removed {
        /// Container.
        name: String,
        /// Exit code, if it was heard of.
        code: Option<i64>,
    },
    /// Its own health check says so.
    #[error("container {name} is unhealthy: {last}")]
    Unhealthy {
        /// Container.
        name: String,
        /// The last health check's output.
        last: String,
    },
    /// It was neither good nor bad when time was up.
    #[error("container {name} was not verified within {seconds} s: {waiting_for}")]
    TimedOut {
        /// Container.
        name: String,
        /// The deadline.
        seconds: u64,
        /// What was still missing.
        waiting_for: String,
    },
    /// Somebody froze or removed it.
    #[error("container {name} is {state:?}: somebody else acted on it")]
    Interfered {
        /// Container.
        name: String,
        /// What it does.
        state: RunState,
    },
}

/// What one look at a container tells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    /// Nothing against it, nothing missing but time and probe.
    Good,
    /// A one-shot container that did its job.
    Finished,
    /// Undecided, for this reason.
    Wait(&'static str),
}

pub(super) async fn apply(runner: &mut Runner) -> Result<(), StepError> {
    if !runner.plan().outgoing.alive {
        return Ok(());
    }
    let Some(incoming) = runner.find_incoming().await? else {
        return Err(gone(runner, runner.plan().incoming.name_before_swap()).await);
    };
    watch(runner, incoming.id(), true).await
}

/// After an undo: the old container runs again, and is healthy again if it was.
pub(super) async fn came_back(runner: &mut Runner, id: &str) -> Result<(), StepError> {
    let healthy = runner.plan().outgoing.was_healthy;
    watch(runner, id, healthy).await
}

/// Looks until the container is verified, has failed, or time is up. A forward watch can be cancelled.
async fn watch(runner: &Runner, id: &str, health_counts: bool) -> Result<(), StepError> {
    let plan = runner.plan();
    let name = plan.node.clone();
    let begun = Instant::now();
    let since_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0);
    let mut first = look_up(runner, id).await?;
    // On the way back its own policy may be just about to start it again.
    while runner.is_going_back()
        && first.state() == RunState::Restarting
        && begun.elapsed() < plan.verify.timeout()
    {
        tokio::time::sleep(POLL).await;
        first = look_up(runner, id).await?;
    }
    let timeout = plan.verify.timeout().max(health_window(&first));
    let mut probed = plan.verify.probe.is_none() || runner.is_going_back();
    loop {
        runner.stop_if_cancelled()?;
        let now = look_up(runner, id).await?;
        let waiting_for = match judge(&name, &first, &now, health_counts)? {
            // A one-shot container has nobody to answer a probe; one that is asked for is no one-shot.
            Look::Finished if !probed => {
                return Err(VerifyError::Exited { name, code: 0, oom: false }.into());
            }
            Look::Finished if was_killed(runner, id, since_ns).await? => {
                return Err(VerifyError::Interfered { name, state: now.state() }.into());
            }
            Look::Finished => return Ok(()),
            Look::Wait(reason) => reason,
            Look::Good if !probed => {
                probed = match &plan.verify.probe {
                    Some(probe) => probe::answers(runner.engine(), probe, &now).await,
                    None => true,
                };
                "the probe has not answered"
            }
            Look::Good if begun.elapsed() >= plan.verify.settle() => return Ok(()),
            Look::Good => "its settling time is not over",
        };
        if begun.elapsed() > timeout {
            let waiting_for = waiting_for.to_owned();
            return Err(VerifyError::TimedOut { name, seconds: timeout.as_secs(), waiting_for }.into());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Did somebody send it a signal since then? One that was stopped by hand also exits with 0, but has not done its job.
async fn was_killed(runner: &Runner, id: &str, since_ns: i64) -> Result<bool, StepError> {
    let mut events = runner.engine().events(since_ns).await?;
    let find = async {
        while let Some(event) = events.next().await {
            let event = event?;
            if event.container == id && event.action == "kill" {
                return Ok(true);
            }
        }
        Ok(false)
    };
    // The engine tells what has happened at once, and then waits for more.
    tokio::time::timeout(PAST_EVENTS, find).await.unwrap_or(Ok(false))
}

async fn look_up(runner: &Runner, id: &str) -> Result<Container, StepError> {
    let found = runner.engine().container(id).await?;
    let is_new = runner.plan().incoming.removes_itself() && !runner.is_going_back();
    let is_going = |found: &Container| matches!(found.state(), RunState::Removing | RunState::Dead);
    match found.filter(|found| !(is_new && is_going(found))) {
        Some(found) => Ok(found),
        None => Err(gone(runner, id).await),
    }
}

/// One that removes itself is gone because it ended; any other, because somebody removed it.
async fn gone(runner: &Runner, id: &str) -> StepError {
    let name = runner.plan().node.clone();
    if runner.plan().incoming.removes_itself() && !runner.is_going_back() {
        let code = last_words::exit_code(runner).await;
        return VerifyError::Removed { name, code }.into();
    }
    StepError::ContainerGone { name, id: id.to_owned() }
}

/// Pure: what two looks at a container tell.
fn judge(name: &str, first: &Container, now: &Container, health_counts: bool) -> Result<Look, VerifyError> {
    let name = name.to_owned();
    match now.state() {
        RunState::Running => {}
        RunState::Exited if now.exit_code() == 0 && is_one_shot(now) => return Ok(Look::Finished),
        RunState::Exited => {
            return Err(VerifyError::Exited { name, code: now.exit_code(), oom: now.oom_killed() });
        }
        RunState::Restarting => return Err(VerifyError::Restarted { name, code: now.exit_code() }),
        state @ (RunState::Created | RunState::Paused | RunState::Removing | RunState::Dead) => {
            return Err(VerifyError::Interfered { name, state });
        }
    }
    if now.started_at() != first.started_at() || now.restart_count() > first.restart_count() {
        return Err(VerifyError::Restarted { name, code: now.exit_code() });
    }
    match now.health() {
        _ if !health_counts => Ok(Look::Good),
        None | Some("healthy") => Ok(Look::Good),
        Some("unhealthy") => Err(VerifyError::Unhealthy { name, last: last_health_output(now) }),
        Some(_) => Ok(Look::Wait("its health check has not succeeded")),
    }
}

/// Does nothing start it again after it exits 0, and does nothing expect it to answer? One that is removed then leaves
/// nothing to show for it.
fn is_one_shot(container: &Container) -> bool {
    container.health().is_none()
        && !container.auto_remove()
        && matches!(container.restart_policy()["Name"].as_str(), None | Some("" | "no" | "on-failure"))
}

/// How long the engine may take to call it healthy or not: start period, then every retry.
fn health_window(container: &Container) -> Duration {
    let check = &container.raw()["Config"]["Healthcheck"];
    let nanos = |field: &str, default: Duration| match check[field].as_u64() {
        None | Some(0) => default,
        Some(nanos) => Duration::from_nanos(nanos),
    };
    if container.health().is_none() {
        return Duration::ZERO;
    }
    let retries =
        u32::try_from(check["Retries"].as_u64().filter(|n| *n > 0).unwrap_or(3)).unwrap_or(u32::MAX);
    // Docker's defaults: 30 s between checks, 30 s for each, no start period.
    let each =
        nanos("Interval", Duration::from_secs(30)).saturating_add(nanos("Timeout", Duration::from_secs(30)));
    nanos("StartPeriod", Duration::ZERO)
        .saturating_add(each.saturating_mul(retries))
        .saturating_add(HEALTH_SLACK)
}

/// The output of the last health check, in one line.
fn last_health_output(container: &Container) -> String {
    let log = container.raw()["State"]["Health"]["Log"].as_array().and_then(|log| log.last());
    let output = log.and_then(|last| last["Output"].as_str()).unwrap_or("its health check failed");
    let line: String =
        output.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    let code = log.and_then(|last| last["ExitCode"].as_i64()).unwrap_or(0);
    if line.is_empty() { format!("its health check exited with code {code}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn container(state: Value, policy: &str) -> Container {
        Container::new(json!({
            "State": state, "RestartCount": 0, "HostConfig": { "RestartPolicy": { "Name": policy } },
            "Config": { "Healthcheck": { "Interval": 1_000_000_000, "Timeout": 1_000_000_000, "Retries": 2 } },
        }))
    }

    fn running() -> Container {
        container(json!({ "Status": "running", "StartedAt": "t1" }), "no")
    }

    fn health(status: &str) -> Container {
        let log = json!([{ "ExitCode": 1, "Output": "no\nanswer" }]);
        container(
            json!({ "Status": "running", "StartedAt": "t1", "Health": { "Status": status, "Log": log } }),
            "no",
        )
    }

    fn look(now: &Container) -> Result<Look, VerifyError> {
        judge("web", &running(), now, true)
    }

    #[test]
    fn running_and_healthy_is_good_and_starting_waits() {
        assert_eq!(look(&running()), Ok(Look::Good));
        assert_eq!(look(&health("healthy")), Ok(Look::Good));
        assert!(matches!(look(&health("starting")), Ok(Look::Wait(_))));
    }

    #[test]
    fn unhealthy_fails_with_the_last_output_unless_it_was_so_before() {
        let error = look(&health("unhealthy")).unwrap_err();
        assert_eq!(error.to_string(), "container web is unhealthy: no answer");
        assert_eq!(judge("web", &running(), &health("unhealthy"), false), Ok(Look::Good));
    }

    #[test]
    fn a_one_shot_container_that_exits_0_is_done_and_any_other_exit_fails() {
        let exited = |code, policy| container(json!({ "Status": "exited", "ExitCode": code }), policy);
        assert_eq!(look(&exited(0, "no")), Ok(Look::Finished));
        assert_eq!(look(&exited(0, "on-failure")), Ok(Look::Finished));
        assert!(matches!(look(&exited(0, "always")), Err(VerifyError::Exited { code: 0, .. })));
        assert!(matches!(look(&exited(3, "no")), Err(VerifyError::Exited { code: 3, .. })));
    }

    #[test]
    fn a_restart_fails_however_it_shows() {
        let later = container(json!({ "Status": "running", "StartedAt": "t2" }), "always");
        assert!(matches!(look(&later), Err(VerifyError::Restarted { .. })));
        let between = container(json!({ "Status": "restarting", "ExitCode": 1 }), "always");
        assert!(matches!(look(&between), Err(VerifyError::Restarted { code: 1, .. })));
        let frozen = container(json!({ "Status": "paused" }), "no");
        assert!(matches!(look(&frozen), Err(VerifyError::Interfered { .. })));
    }

    #[test]
    fn the_health_window_covers_start_period_and_retries() {
        assert_eq!(health_window(&running()), Duration::ZERO);
        assert_eq!(health_window(&health("starting")), Duration::from_secs(4) + HEALTH_SLACK);
    }
}
