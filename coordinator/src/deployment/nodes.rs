//! The nodes of a deployment, by id. A copy shares every node with its original until one of them changes it, so that a
//! turn of the driver costs what changed and not what there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NodePart;
use crate::ids::NodeId;

/// Nodes by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nodes(BTreeMap<NodeId, Arc<NodePart>>);

impl Nodes {
    /// One of them.
    #[must_use]
    pub fn get(&self, node: &NodeId) -> Option<&NodePart> {
        self.0.get(node).map(Arc::as_ref)
    }

    /// One of them, to change it.
    pub fn get_mut(&mut self, node: &NodeId) -> Option<&mut NodePart> {
        self.0.get_mut(node).map(Arc::make_mut)
    }

    /// All, in the order of their ids.
    pub fn values(&self) -> impl Iterator<Item = &NodePart> {
        self.0.values().map(Arc::as_ref)
    }

    /// All ids.
    pub fn keys(&self) -> impl Iterator<Item = &NodeId> {
        self.0.keys()
    }

    /// Those that are not as they were.
    pub fn changed_since<'a>(&'a self, before: Option<&Self>) -> impl Iterator<Item = &'a NodePart> {
        let same = move |part: &Arc<NodePart>| before.is_some_and(|b| b.0.get(&part.node) == Some(part));
        self.0.values().filter(move |part| !same(part)).map(Arc::as_ref)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts one in the place of the one before.
    pub fn put(&mut self, part: NodePart) {
        self.0.insert(part.node, Arc::new(part));
    }

    /// All, to change them; none is shared afterwards.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut NodePart> {
        self.0.values_mut().map(Arc::make_mut)
    }
}

impl FromIterator<NodePart> for Nodes {
    fn from_iter<I: IntoIterator<Item = NodePart>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| (part.node, Arc::new(part))).collect())
    }
}

impl From<BTreeMap<NodeId, NodePart>> for Nodes {
    fn from(parts: BTreeMap<NodeId, NodePart>) -> Self {
        parts.into_values().collect()
    }
}

#[cfg(test)]
impl std::ops::Index<&NodeId> for Nodes {
    type Output = NodePart;

    fn index(&self, node: &NodeId) -> &NodePart {
        self.get(node).expect("a node of this deployment")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::NodeState;
    use redeploy_proto::RedeployId;

    fn part(node: u32) -> NodePart {
        NodePart {
            node: NodeId(node),
            host: "h".parse().unwrap(),
            container: "c".into(),
            image: "web:2".into(),
            redeploy_id: RedeployId::generate(),
            revert_id: RedeployId::generate(),
            state: NodeState::Waiting,
        }
    }

    #[test]
    fn a_copy_changes_alone_and_what_changed_is_told() {
        let before: Nodes = (1..=3).map(part).collect();
        let mut after = before.clone();
        assert_eq!(after.changed_since(Some(&before)).count(), 0);
        assert_eq!(after.changed_since(None).count(), 3);
        after.get_mut(&NodeId(2)).unwrap().state = NodeState::Ready;
        assert_eq!(before[&NodeId(2)].state, NodeState::Waiting);
        assert_eq!(after.changed_since(Some(&before)).map(|part| part.node.0).collect::<Vec<_>>(), [2]);
        // Back as it was is not changed, even if it is no longer shared.
        after.get_mut(&NodeId(2)).unwrap().state = NodeState::Waiting;
        assert_eq!(after.changed_since(Some(&before)).count(), 0);
    }
}
