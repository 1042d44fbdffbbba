//! What an order asks of the host for containers that are made anew, and for those that are Compose's.
//!
//! Flows in: what was observed, a plan. Flows out: what only the engine knows about it. Must never change anything on the
//! host.

use redeploy_proto::RedeployId;

use super::{Agent, Refused};
use crate::balancer;
use crate::compose::HostCompose;
use crate::docker::Container;
use crate::image::{self, ImageError};
use crate::observe::Observed;
use crate::plan::{self, Anew, Incoming, Plan, Refusal};
use crate::steps;

impl Agent {
    pub(super) fn compose(&self) -> HostCompose {
        HostCompose { socket: self.config.docker_socket.clone(), scratch: self.data.scratch() }
    }

    /// How the container would be made anew, if the engine still has its image.
    pub(super) async fn anew(
        &self,
        id: RedeployId,
        observed: &Observed,
    ) -> Result<Option<Box<Anew>>, Refused> {
        match image::present(self.engine.as_ref(), &observed.container).await {
            Ok(own) => Ok(plan::make_anew(id, observed, &own)),
            Err(ImageError::Engine(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Asks the balancer about the node, if a rule says that it is behind one.
    pub(super) async fn add_balancer(&self, plan: &mut Plan, container: &Container) -> Option<Refusal> {
        let labels = plan::labels_of(container);
        let rule = self.config.balancer_servers.iter().find(|rule| rule.is_about(labels))?;
        if self.config.balancer_socket.is_empty() || !plan.outgoing.alive {
            return None;
        }
        let refuse = |detail: String| Some(Refusal::Balancer { node: container.name().to_owned(), detail });
        let server = match rule.fill(labels) {
            Ok(server) => server,
            Err(error) => return refuse(error.to_string()),
        };
        match balancer::connect(&self.config.balancer_socket).look(&server).await {
            Ok(seen) => {
                let (made, warning) = plan::make_balancer(&self.config, server, &seen, container);
                plan.balancer = Some(made);
                plan.warnings.extend(warning);
                None
            }
            Err(error) => refuse(error.to_string()),
        }
    }

    /// The image of a container that is made anew, by its id if its name has moved on since.
    pub(super) async fn fix_image(&self, plan: &mut Plan) -> Result<(), Refused> {
        let Incoming::New(new) = &mut plan.incoming else { return Ok(()) };
        let reference = new.recreation.body["Image"].as_str().unwrap_or_default();
        let named = self.engine.image(reference).await?;
        if named.is_none_or(|named| named.id() != new.image_id) {
            new.recreation.body["Image"] = new.image_id.clone().into();
        }
        Ok(())
    }

    /// Counts the roots that are copied for this plan: the old one into its stand-in, and that of a stand-in into the
    /// container that comes back.
    pub(super) async fn add_copies(&self, plan: &mut Plan) -> Result<(), Refused> {
        let stand_in = plan.outgoing.stand_in.as_ref().filter(|stand_in| stand_in.has_root);
        let parked_as = stand_in.map(|_| plan.outgoing.id.clone());
        let comes_from = match &plan.incoming {
            Incoming::New(new) => new.root_from.as_ref().filter(|from| from.has_root),
            Incoming::Parked { .. } => None,
        };
        for id in parked_as.into_iter().chain(comes_from.map(|from| from.id.clone())) {
            match self.engine.written_bytes(&id).await? {
                Some(bytes) => plan.space.add_copy(bytes),
                None => plan.warnings.push(format!(
                    "the engine does not tell how much is in container {id}: the room for a copy of its root is not \
                     counted"
                )),
            }
        }
        Ok(())
    }

    /// What is to be said of containers of this node that the engine could not remove.
    pub(super) async fn dead(&self, plan: &Plan) -> Vec<String> {
        // A report does not depend on it.
        let dead = steps::dead(self.engine.as_ref(), &self.data, &plan.node).await.unwrap_or_default();
        let told = |name: String| {
            format!(
                "container {name} is dead: the engine could not remove it. It cannot start; its removal is tried again \
                 after the next redeploy and by `redeploy-agent prune`"
            )
        };
        dead.into_iter().map(told).collect()
    }

    /// Has somebody removed the old container, so that there is no way back? Not if we did and its stand-in has yet to
    /// take the name.
    pub(super) async fn is_parked_gone(&self, plan: &Plan) -> bool {
        let engine = self.engine.as_ref();
        matches!(steps::parked_by(engine, plan).await, Ok(None))
            && matches!(steps::awaits_parked_name(engine, plan).await, Ok(false))
    }
}
