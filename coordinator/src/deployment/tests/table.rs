//! Every pair of a node's state and an agent's word: what it leads to, and that nothing else is possible.

use super::*;

fn states() -> Vec<NodeState> {
    let at = T0;
    vec![
        NodeState::Waiting,
        NodeState::Checking { since: at },
        NodeState::Ready,
        NodeState::Refused { why: "no".into() },
        NodeState::Running { since: at, cancelled: false },
        NodeState::Done { at },
        NodeState::Failed { at, failure: undone(), passed_over: false },
        NodeState::Failed { at, failure: stuck(), passed_over: false },
        NodeState::Unknown { since: at, doing: Doing::Redeploy },
        NodeState::Unknown { since: at, doing: Doing::Revert },
        NodeState::Reverting { since: at },
        NodeState::Reverted { at },
        NodeState::RevertFailed { at, failure: undone() },
        NodeState::RevertFailed { at, failure: stuck() },
    ]
}

fn words() -> Vec<(&'static str, Report)> {
    vec![
        ("checked well", Report::CheckedWell(Digest::None)),
        ("checked badly", Report::CheckedBadly("no".into())),
        ("at work", Report::AtWork),
        ("never begun", Report::NeverBegun),
        ("well", Report::Ended(Ended::Well)),
        ("undone", Report::Ended(Ended::Badly(undone()))),
        ("stuck", Report::Ended(Ended::Badly(stuck()))),
    ]
}

/// A state's word, with what tells apart the ones that share it.
fn name(state: &NodeState) -> String {
    match state {
        NodeState::Failed { failure, .. } | NodeState::RevertFailed { failure, .. } if failure.is_stuck() => {
            format!("{}(stuck)", state.word())
        }
        NodeState::Unknown { doing, .. } => format!("unknown({doing:?})").to_lowercase(),
        NodeState::Waiting
        | NodeState::Checking { .. }
        | NodeState::Ready
        | NodeState::Refused { .. }
        | NodeState::Running { .. }
        | NodeState::Done { .. }
        | NodeState::Failed { .. }
        | NodeState::Reverting { .. }
        | NodeState::Reverted { .. }
        | NodeState::RevertFailed { .. } => state.word().to_owned(),
    }
}

fn every_change() -> Vec<String> {
    let mut lines = Vec::new();
    for state in states() {
        for doing in [Doing::Redeploy, Doing::Revert] {
            for (word, report) in words() {
                let mut life = deployment(1, Phase::Halted { why: Halt::Deadline }, &state);
                let part = &life.nodes[&NodeId(1)];
                let id = if doing == Doing::Redeploy { part.redeploy_id } else { part.revert_id };
                if life.take_report(NodeId(1), id, &report, Moment(T0.0 + 1)) {
                    let next = name(&life.nodes[&NodeId(1)].state);
                    lines.push(format!("{} + {doing:?} {word} = {next}", name(&state)).to_lowercase());
                }
            }
        }
    }
    lines
}

#[test]
fn these_words_change_a_node_and_no_others() {
    let expected = "\
checking + redeploy checked well = ready
checking + redeploy checked badly = refused
ready + redeploy well = done
ready + redeploy undone = failed
ready + redeploy stuck = failed(stuck)
running + redeploy never begun = ready
running + redeploy well = done
running + redeploy undone = failed
running + redeploy stuck = failed(stuck)
done + revert well = reverted
done + revert undone = revert_failed
done + revert stuck = revert_failed(stuck)
failed(stuck) + redeploy well = done
failed(stuck) + redeploy undone = failed
unknown(redeploy) + redeploy at work = running
unknown(redeploy) + redeploy never begun = ready
unknown(redeploy) + redeploy well = done
unknown(redeploy) + redeploy undone = failed
unknown(redeploy) + redeploy stuck = failed(stuck)
unknown(revert) + revert at work = reverting
unknown(revert) + revert never begun = done
unknown(revert) + revert well = reverted
unknown(revert) + revert undone = revert_failed
unknown(revert) + revert stuck = revert_failed(stuck)
reverting + revert never begun = done
reverting + revert well = reverted
reverting + revert undone = revert_failed
reverting + revert stuck = revert_failed(stuck)
revert_failed(stuck) + revert well = reverted
revert_failed(stuck) + revert undone = revert_failed";
    assert_eq!(every_change().join("\n"), expected);
}

fn phases() -> Vec<Phase> {
    let why = Halt::Deadline;
    vec![
        Phase::Queued,
        Phase::Checking,
        Phase::Rolling,
        Phase::Halted { why: why.clone() },
        Phase::GoingBack,
        Phase::BackHalted { why },
        Phase::Done,
        Phase::Refused,
        Phase::Cancelling,
        Phase::Cancelled,
        Phase::RolledBack,
    ]
}

#[test]
fn these_commands_are_taken_in_these_phases() {
    let failed = NodeState::Failed { at: T0, failure: undone(), passed_over: false };
    let commands = [
        ("halt", Command::Halt { who: "ann".into() }),
        ("resume", Command::Resume),
        ("retry-failed", Command::RetryFailed),
        ("rollback", Command::Rollback),
        ("cancel", Command::Cancel),
        ("cancel-failed", Command::CancelFailed),
    ];
    let mut lines = Vec::new();
    for phase in phases() {
        for (word, command) in &commands {
            let mut life = deployment(2, phase.clone(), &failed);
            let before = life.clone();
            match life.command(command, T0, &mut fresh) {
                Ok(()) => lines.push(format!("{} + {word} = {}", phase.word(), life.phase.word())),
                Err(_) => assert_eq!(life, before, "a refused command changed something"),
            }
        }
    }
    let expected = "\
queued + cancel = cancelling
checking + halt = halted
checking + cancel = cancelling
rolling + halt = halted
rolling + cancel = cancelling
halted + halt = halted
halted + resume = rolling
halted + retry-failed = rolling
halted + rollback = going_back
halted + cancel = cancelling
going_back + halt = back_halted
going_back + rollback = going_back
going_back + cancel = cancelling
back_halted + halt = back_halted
back_halted + rollback = going_back
back_halted + cancel = cancelling
done + rollback = going_back
cancelling + cancel = cancelling
cancelling + cancel-failed = cancelling
cancelled + cancel = cancelled
cancelled + cancel-failed = cancelled";
    assert_eq!(lines.join("\n"), expected);
}
