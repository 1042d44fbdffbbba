//! swap: the old container takes its parked name, the new one takes the node's. Both are stopped: renaming a
//! running container on an attachable overlay network breaks the network's records.
//!
//! Undo: the reverse. Proof of done: the names are as planned.

use super::runner::Runner;
use super::{StepError, anew};

pub(super) async fn apply(runner: &mut Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    let incoming = runner.incoming().await?;
    // One that removed itself has left its name; its stand-in gets the parked one after the commit.
    if !plan.outgoing.removes_itself {
        let outgoing = runner.outgoing().await?;
        give_name(runner, outgoing.id(), outgoing.name(), &plan.outgoing.parked_name).await?;
    }
    give_name(runner, incoming.id(), incoming.name(), &plan.node).await
}

pub(super) async fn undo(runner: &mut Runner) -> Result<(), StepError> {
    let plan = runner.hands.plan.clone();
    if let Some(incoming) = runner.find_incoming().await? {
        let name = plan.incoming.name_before_swap();
        give_name(runner, incoming.id(), incoming.name(), name).await?;
    }
    let outgoing = anew::outgoing(runner).await?;
    give_name(runner, outgoing.id(), outgoing.name(), &plan.node).await
}

async fn give_name(runner: &Runner, id: &str, has: &str, gets: &str) -> Result<(), StepError> {
    if has == gets {
        return Ok(());
    }
    Ok(runner.engine().rename(id, gets).await?)
}
