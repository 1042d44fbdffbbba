//! Takes what operators ask: a new deployment, an order about one that is there.

use std::sync::Arc;

use redeploy_proto::RedeployId;

use super::Core;
use super::turn::Turn;
use crate::deployment::{Command, Deployment, Phase};
use crate::driver::{Link, Login, Refused};
use crate::ids::DeploymentId;
use crate::moment::Moment;
use crate::store::{Ledger, NewDeployment};

impl<S: Ledger, K: Link> Core<S, K> {
    pub(super) fn create(
        &self,
        turn: &mut Turn,
        deployment: Deployment,
        new: NewDeployment,
        login: Option<Login>,
        queue: bool,
        reply: tokio::sync::oneshot::Sender<Result<Deployment, Refused>>,
    ) {
        if let Some(busy) = self.ahead_of(turn, &deployment).filter(|_| !queue)
            && let Some(ahead) = self.current(turn, busy)
        {
            let _gone = reply.send(Err(Refused::Busy { id: busy, phase: ahead.phase.word() }));
            return;
        }
        let id = deployment.id;
        turn.by.insert(id, deployment.created_by.clone());
        turn.new.insert(id, new);
        turn.logins.extend(login.map(|login| (id, login)));
        turn.changed.insert(id, deployment);
        turn.replies.push((reply, id));
    }

    pub(super) async fn command(
        &self,
        turn: &mut Turn,
        id: DeploymentId,
        command: &Command,
        by: String,
        reply: tokio::sync::oneshot::Sender<Result<Deployment, Refused>>,
        now: Moment,
    ) {
        if self.current(turn, id).is_none() {
            match self.ledger.load_one(id).await {
                Ok(Some(over)) => {
                    turn.changed.insert(id, over.clone());
                    turn.loaded.insert(id, over);
                }
                Ok(None) => {}
                Err(error) => {
                    let _gone = reply.send(Err(Refused::Store(Arc::new(error))));
                    return;
                }
            }
        }
        let busy = self.current(turn, id).filter(|d| d.phase.is_end()).and_then(|d| self.ahead_of(turn, d));
        let Some(deployment) = self.change(turn, id) else {
            let _gone = reply.send(Err(Refused::Unknown(id)));
            return;
        };
        let done = match busy {
            Some(busy) => Err(Refused::Busy { id: busy, phase: "not over" }),
            None => deployment.command(command, now, &mut RedeployId::generate).map_err(Refused::State),
        };
        match done {
            Ok(()) => {
                turn.by.insert(id, by);
                turn.replies.push((reply, id));
            }
            Err(refused) => {
                let _gone = reply.send(Err(refused));
            }
        }
    }

    /// The deployment that holds this one's group, if it is another one: any at work, or an older one in the queue.
    pub(super) fn ahead_of(&self, turn: &Turn, deployment: &Deployment) -> Option<DeploymentId> {
        self.ids(turn).into_iter().find(|id| {
            self.current(turn, *id).is_some_and(|other| {
                let same = other.env == deployment.env && other.group == deployment.group;
                let queued = other.phase == Phase::Queued;
                same && *id != deployment.id && !other.phase.is_end() && (!queued || *id < deployment.id)
            })
        })
    }
}
