//! What an order asks of the host for containers that are made anew, and for those that are Compose's.
//!
//! Flows in: what was observed, a plan. Flows out: what only the engine knows about it. Must never change anything on the
//! host.

use redeploy_proto::RedeployId;

use super::{Agent, Refused};
use crate::compose::HostCompose;
use crate::image::{self, ImageError};
use crate::observe::Observed;
use crate::plan::{self, Anew, Incoming, Plan};
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

    /// Has somebody removed the old container, so that there is no way back? Not if we did and its stand-in has yet to
    /// take the name.
    pub(super) async fn is_parked_gone(&self, plan: &Plan) -> bool {
        let engine = self.engine.as_ref();
        matches!(steps::parked_by(engine, plan).await, Ok(None))
            && matches!(steps::awaits_parked_name(engine, plan).await, Ok(false))
    }
}
