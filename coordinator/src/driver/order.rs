//! An order as an agent gets it.

use redeploy_proto::{RedeployId, TraceParent};
use serde::{Deserialize, Serialize};

use crate::deployment::{Deployment, Errand, ErrandKind, NodePart, Options};
use crate::ids::NodeId;
use crate::moment::{Moment, Span};

/// A registry login. Does not print its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}, …)", self.user)
    }
}

/// An order, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Chosen once.
    pub id: RedeployId,
    /// Where it hangs in the trace of its deployment.
    pub trace: TraceParent,
    /// For this node.
    pub node: NodeId,
    /// Its container's name.
    pub container: String,
    /// What is to be done.
    pub kind: OrderKind,
    /// From its receipt on.
    pub deadline: Span,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderKind {
    /// Plan and check.
    Preflight {
        /// The image.
        image: Image,
        /// How.
        options: Options,
    },
    /// Redeploy.
    Redeploy {
        /// Greater than that of every earlier order for the node.
        generation: u64,
        /// The image.
        image: Image,
        /// How.
        options: Options,
    },
    /// The parked container back.
    Revert {
        /// As above.
        generation: u64,
        /// How.
        options: Options,
    },
    /// Stop and undo.
    Cancel,
}

/// Which image, and how to get at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// As the operator wrote it.
    pub reference: String,
    /// Empty: not known yet, or to no registry.
    pub digest: String,
    /// For its registry.
    pub login: Option<Login>,
}

/// Puts an order together from what is stored.
pub(super) fn order(
    deployment: &Deployment,
    part: &NodePart,
    errand: Errand,
    generation: u64,
    login: Option<&Login>,
    now: Moment,
) -> Order {
    let options = || deployment.terms.options.clone();
    let image = || Image {
        reference: part.image.clone(),
        digest: deployment.digest_of(part).unwrap_or_default().to_owned(),
        login: login.cloned(),
    };
    let kind = match errand.kind {
        ErrandKind::Check => OrderKind::Preflight { image: image(), options: options() },
        ErrandKind::Redeploy => OrderKind::Redeploy { generation, image: image(), options: options() },
        ErrandKind::Revert => OrderKind::Revert { generation, options: options() },
        ErrandKind::Cancel => OrderKind::Cancel,
    };
    // 0 would mean none.
    let deadline = now.until(deployment.deadline).max(Span::seconds(1));
    let trace = TraceParent::of_deployment(deployment.id.uuid()).of_order(errand.id.uuid());
    Order { id: errand.id, trace, node: part.node, container: part.container.clone(), kind, deadline }
}
