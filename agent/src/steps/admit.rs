//! admit: the balancer learns the new container's address if it changed, may send it sessions, and calls it up by its
//! own checks, made anew. Only then is the node verified.
//!
//! Undo: drained again, as far as the balancer answers: the old container must come back whatever the balancer does.
//! Proof of done: the balancer says that it is up.

use tokio::time::Instant;

use super::drain::{POLL, address_of, never_up, wait_for_silence};
use super::runner::Runner;
use super::verify::VerifyError;
use super::{Admitted, StepError, StepOutput};
use crate::balancer::{self, Balancer, Health};
use crate::docker::RunState;
use crate::explain::explain;
use crate::plan::BalancerPlan;

pub(super) async fn apply(runner: &mut Runner) -> Result<StepOutput, StepError> {
    let plan = runner.hands.plan.clone();
    let Some(plan) = &plan.balancer else { return Ok(StepOutput::Nothing) };
    let balancer = balancer::connect(&plan.socket);
    let seen = balancer.look(&plan.server).await?;
    let now = address_of(plan, &runner.incoming().await?)?;
    if let Some(address) = now.filter(|address| seen.address != Some(*address)) {
        balancer.set_address(&plan.server, address).await?;
    }
    if plan.admitted {
        if !(runner.known.admitted && seen.admitted) {
            if plan.checked {
                balancer.distrust(&plan.server).await?;
            }
            balancer.ready(&plan.server).await?;
        }
        wait_until_up(runner, balancer.as_ref(), plan).await?;
        runner.known.admitted = true;
    }
    Ok(StepOutput::Admitted(Admitted { address: now.filter(|address| plan.address != Some(*address)) }))
}

async fn wait_until_up(
    runner: &Runner,
    balancer: &dyn Balancer,
    plan: &BalancerPlan,
) -> Result<(), StepError> {
    let begun = Instant::now();
    loop {
        runner.stop_if_cancelled()?;
        let incoming = runner.incoming().await?;
        if incoming.state() != RunState::Running {
            let (name, code) = (runner.plan().node.clone(), incoming.exit_code());
            return Err(VerifyError::Exited { name, code, oom: incoming.oom_killed() }.into());
        }
        let is_late = begun.elapsed() >= plan.up_timeout();
        match balancer.look(&plan.server).await {
            Ok(seen) if seen.admitted && seen.health == Health::Up => return Ok(()),
            Ok(seen) if is_late => return Err(never_up(plan, seen.words).into()),
            Err(error) if is_late || !error.may_pass() => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(POLL).await;
    }
}

pub(super) async fn undo(runner: &mut Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    let Some(plan) = plan.balancer.as_ref().filter(|plan| plan.admitted) else { return Ok(()) };
    let balancer = balancer::connect(&plan.socket);
    let drained = match balancer.drain(&plan.server).await {
        Ok(()) => wait_for_silence(runner, balancer.as_ref(), plan).await.map(drop),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = drained {
        tracing::warn!(error = explain(&error), "the new container stops without being drained");
    }
    Ok(())
}
