//! What a terminal shows of a deployment: its own line, counts, and a line per node, as many as there is room for. Pure.

use redeploy_proto::v1;
use redeploy_proto::v1::NodePhase;

use super::speed::Speeds;
use crate::cli::summary::counts;
use crate::cli::text;

/// Of the terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Default for Size {
    /// Of a terminal that does not tell.
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

/// Head, counts, what is left out, and the line the cursor stands on.
const OTHER_ROWS: usize = 4;

/// Containers with longer names push the rest of their line to the right.
const NAME_COLUMNS_MAX: usize = 24;

pub(super) fn frame(deployment: &v1::Deployment, speeds: &Speeds, size: Size) -> Vec<String> {
    let room = size.rows.saturating_sub(OTHER_ROWS).max(1);
    let shown = chosen(deployment, room);
    let left_out = deployment.nodes.len() - shown.len();
    let row = |part: &&v1::DeploymentNode| {
        let speed = speeds.of(part.node_id);
        let container: String = part.container.chars().take(NAME_COLUMNS_MAX).collect();
        let detail = text::detail(part, speed.as_deref());
        vec![format!("{:>6}", part.node_id), container, text::node_phase(part), detail]
    };
    let mut lines = vec![text::head(deployment), format!("  {}", counts(deployment))];
    lines.extend(text::aligned(&shown.iter().map(row).collect::<Vec<_>>()));
    if left_out > 0 {
        lines.push(format!("  … and {left_out} more"));
    }
    lines.iter().map(|line| line.chars().take(size.columns).collect()).collect()
}

/// All nodes if there is room. Otherwise those where something happens come first, then the next ones; in the order
/// of their ids.
fn chosen(deployment: &v1::Deployment, room: usize) -> Vec<&v1::DeploymentNode> {
    let mut nodes: Vec<&v1::DeploymentNode> = deployment.nodes.iter().collect();
    if nodes.len() > room {
        nodes.sort_by_key(|part| rank(part.phase()));
        nodes.truncate(room);
        nodes.sort_by_key(|part| part.node_id);
    }
    nodes
}

fn rank(phase: NodePhase) -> u8 {
    match phase {
        NodePhase::Running | NodePhase::Reverting | NodePhase::Ordered => 0,
        NodePhase::Stuck | NodePhase::Unknown | NodePhase::Failed => 1,
        NodePhase::Waiting | NodePhase::Unspecified => 2,
        NodePhase::Done | NodePhase::Reverted => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(phases: &[NodePhase]) -> v1::Deployment {
        let part = |(phase, number): (&NodePhase, u32)| v1::DeploymentNode {
            node_id: number,
            container: format!("web-{number}"),
            phase: (*phase).into(),
            waits_for: if *phase == NodePhase::Waiting { "node 1 goes first".into() } else { String::new() },
            ..Default::default()
        };
        v1::Deployment {
            deployment_id: "456789ab".into(),
            target: Some(v1::Target { env: "shop".into(), group: "cp".into(), node_id: 0 }),
            image: Some(v1::ImageRef { reference: "web:2".into(), digest: String::new() }),
            phase: v1::DeploymentPhase::Running.into(),
            nodes: phases.iter().zip(1..).map(part).collect(),
            ..v1::Deployment::default()
        }
    }

    #[test]
    fn every_node_has_a_line_when_there_is_room() {
        let all = [NodePhase::Done, NodePhase::Running, NodePhase::Waiting];
        let lines = frame(&deployment(&all), &Speeds::default(), Size::default());
        let expected = [
            "456789ab shop/cp to web:2: running",
            "  1 of 3 done, 1 at work, 1 untouched",
            "     1  web-1  done",
            "     2  web-2  running",
            "     3  web-3  waiting  node 1 goes first",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn of_many_nodes_those_come_first_where_something_happens() {
        let mut phases = vec![NodePhase::Done; 50];
        phases.extend([NodePhase::Running, NodePhase::Waiting, NodePhase::Waiting]);
        let size = Size { rows: 7, columns: 20 };
        let lines = frame(&deployment(&phases), &Speeds::default(), size);
        assert!(lines.len() < size.rows && lines.iter().all(|line| line.chars().count() <= 20), "{lines:?}");
        assert!(
            lines[2].contains("51") && lines[3].contains("52") && lines[5].contains("50 more"),
            "{lines:?}"
        );
    }
}
