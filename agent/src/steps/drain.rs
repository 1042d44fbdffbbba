//! drain: the balancer sends the old container no new sessions, and those it has end, or their time is over.
//!
//! Undo: the balancer sends sessions to the old container again, at the address it has now, and calls it up if it was.
//! Proof of done: the balancer says so.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::runner::Runner;
use super::{Drained, StepError, StepOutput};
use crate::balancer::{self, Balancer, BalancerError, Health};
use crate::docker::Container;
use crate::plan::{BalancerPlan, NetworkOf};

/// How often the balancer is asked.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// One that is being reloaded answers again within this.
const AWAY: Duration = Duration::from_secs(5);

pub(super) async fn apply(runner: &mut Runner) -> Result<StepOutput, StepError> {
    let plan = runner.hands.plan.clone();
    let Some(plan) = &plan.balancer else { return Ok(StepOutput::Nothing) };
    if !plan.admitted {
        return Ok(StepOutput::Drained(Drained { sessions_left: 0 }));
    }
    let balancer = balancer::connect(&plan.socket);
    runner.known.drain_ordered.get_or_insert(false);
    match balancer.drain(&plan.server).await {
        // Not even sent: there is nothing to take back.
        Err(error @ BalancerError::Unreachable { .. }) => return Err(error.into()),
        result => {
            runner.known.drain_ordered = Some(true);
            result?;
        }
    }
    let sessions_left = wait_for_silence(runner, balancer.as_ref(), plan).await?;
    Ok(StepOutput::Drained(Drained { sessions_left }))
}

/// Waits until the server has no sessions, or their time is over; gives how many are left.
pub(super) async fn wait_for_silence(
    runner: &Runner,
    balancer: &dyn Balancer,
    plan: &BalancerPlan,
) -> Result<u64, StepError> {
    let begun = Instant::now();
    let mut answered = begun;
    loop {
        runner.stop_if_cancelled()?;
        match balancer.look(&plan.server).await {
            Ok(seen) if seen.sessions == 0 => return Ok(0),
            Ok(seen) if begun.elapsed() >= plan.drain_timeout() => return Ok(seen.sessions),
            Ok(_) => answered = Instant::now(),
            Err(error) if error.may_pass() && answered.elapsed() < AWAY => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(POLL).await;
    }
}

pub(super) async fn undo(runner: &mut Runner) -> Result<(), StepError> {
    let saga = runner.hands.plan.clone();
    let Some(plan) = &saga.balancer else { return Ok(()) };
    if runner.known.drain_ordered == Some(false) {
        return Ok(());
    }
    let old = runner.outgoing().await?;
    // The same run has been up all the time; another must be found up anew.
    let is_same_run = old.started_at() == saga.outgoing.started_at;
    let begun = Instant::now();
    loop {
        let result = put_back(plan, &old, is_same_run, begun).await;
        match result {
            Err(error) if error.may_pass() && begun.elapsed() < plan.up_timeout() => {
                tokio::time::sleep(POLL).await;
            }
            Err(source) => {
                return Err(StepError::LeftOut {
                    server: plan.server.to_string(),
                    by_hand: plan.by_hand(),
                    source: Box::new(source),
                });
            }
            Ok(()) => return Ok(()),
        }
    }
}

async fn put_back(
    plan: &BalancerPlan,
    old: &Container,
    same: bool,
    begun: Instant,
) -> Result<(), BalancerError> {
    let balancer = balancer::connect(&plan.socket);
    let seen = balancer.look(&plan.server).await?;
    if let Some(address) = address_of(plan, old)?.filter(|address| seen.address != Some(*address)) {
        balancer.set_address(&plan.server, address).await?;
    }
    if !plan.admitted {
        return Ok(());
    }
    if !seen.admitted {
        if plan.checked && !same {
            balancer.distrust(&plan.server).await?;
        }
        balancer.ready(&plan.server).await?;
    }
    let is_up_enough = |health: Health| health == Health::Up || !plan.was_up;
    loop {
        let seen = balancer.look(&plan.server).await?;
        if seen.admitted && is_up_enough(seen.health) {
            return Ok(());
        }
        if begun.elapsed() >= plan.up_timeout() {
            return Err(never_up(plan, seen.words));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Where the balancer finds a container; `None` if that is not the container's own address.
pub(super) fn address_of(
    plan: &BalancerPlan,
    container: &Container,
) -> Result<Option<IpAddr>, BalancerError> {
    let Some(network) = &plan.network else { return Ok(None) };
    match NetworkOf(container).address(network, plan.address) {
        Some(address) => Ok(Some(address)),
        None => Err(BalancerError::NoAddress {
            container: container.name().to_owned(),
            network: network.clone(),
            server: plan.server.clone(),
        }),
    }
}

pub(super) fn never_up(plan: &BalancerPlan, words: String) -> BalancerError {
    let (socket, server) = (plan.socket.clone(), plan.server.clone());
    BalancerError::NeverUp { socket, server, seconds: plan.up_timeout().as_secs(), words }
}
