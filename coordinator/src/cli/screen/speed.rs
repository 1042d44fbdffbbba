//! How fast nodes are, from what their agents said last. Pure: the agents' own clocks are used.

use std::collections::HashMap;
use std::time::Duration;

use redeploy_proto::v1;

use crate::cli::units;

/// Of each node, what it works on since when.
#[derive(Debug, Default)]
pub(super) struct Speeds {
    pieces: HashMap<u32, Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    /// Redeploy, step and thing.
    of: (String, String, String),
    /// Where it was first seen.
    began: (u64, i64),
    /// Where it is.
    now: (u64, i64),
}

impl Speeds {
    pub(super) fn take(&mut self, deployment: &v1::Deployment) {
        for part in &deployment.nodes {
            match &part.progress {
                Some(progress) => self.progress(part.node_id, progress),
                None => drop(self.pieces.remove(&part.node_id)),
            }
        }
    }

    fn progress(&mut self, node: u32, progress: &v1::Progress) {
        let of = (progress.redeploy_id.clone(), progress.step.clone(), progress.what.clone());
        let now = (progress.done_bytes, progress.at_ms);
        let piece = self.pieces.entry(node).or_insert_with(|| Piece { of: of.clone(), began: now, now });
        // Each round of each thing counts from nothing.
        if piece.of != of || now.0 < piece.now.0 {
            *piece = Piece { of, began: now, now };
        }
        piece.now = now;
    }

    /// `35 MiB/s`, once there is enough to tell from.
    pub(super) fn of(&self, node: u32) -> Option<String> {
        let piece = self.pieces.get(&node)?;
        let ms = u64::try_from(piece.now.1.checked_sub(piece.began.1)?).ok()?;
        units::speed(piece.now.0.checked_sub(piece.began.0)?, Duration::from_millis(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_of_one_piece_of_work_and_needs_time() {
        let mut speeds = Speeds::default();
        let mut at = |what: &str, done_bytes: u64, at_ms: i64| {
            let what = what.to_owned();
            let progress = v1::Progress { what, done_bytes, at_ms, ..v1::Progress::default() };
            let part =
                v1::DeploymentNode { node_id: 1, progress: Some(progress), ..v1::DeploymentNode::default() };
            speeds.take(&v1::Deployment { nodes: vec![part], ..v1::Deployment::default() });
            speeds.of(1)
        };
        assert_eq!(at("paths", 1 << 20, 1000), None);
        assert_eq!(at("paths", 3 << 20, 2000).as_deref(), Some("2.0 MiB/s"));
        assert_eq!(at("paths", 0, 3000), None, "a new round");
        assert_eq!(at("volume", 9 << 20, 9000), None, "another piece");
        assert_eq!(at("volume", 9 << 20, 1), None, "a clock that was set back");
    }
}
