//! Single cases, one rule each.

use super::*;

fn reasons(settled: &Settled) -> Vec<String> {
    settled.explanation.nodes.values().map(ToString::to_string).collect()
}

fn well() -> Report {
    Report::Ended(Ended::Well)
}

#[test]
fn preflights_of_all_come_before_the_first_start_and_one_node_fixes_the_image() {
    let mut life = deployment(3, Phase::Queued, &NodeState::Waiting);
    let first = settle(&mut life, &fleet(3), T0);
    assert_eq!(
        first.errands.iter().map(|e| (e.node.0, e.kind)).collect::<Vec<_>>(),
        [(1, ErrandKind::Check)]
    );
    assert_eq!(reasons(&first)[1], "node 1 is asked first what the image is");

    tell(&mut life, &first.errands[0], &Report::CheckedWell(Digest::Of("sha256:1".into())), T0);
    let others = settle(&mut life, &fleet(3), T0);
    assert_eq!(others.errands.len(), 2, "{others:?}");
    tell(&mut life, &others.errands[0], &Report::CheckedWell(Digest::Of("sha256:2".into())), T0);
    let third = settle(&mut life, &fleet(3), T0);
    assert!(third.errands.is_empty(), "nothing starts before the last preflight");
    assert_eq!(reasons(&third)[0], "the preflight of 1 more is not over");
    tell(&mut life, &others.errands[1], &Report::CheckedWell(Digest::Of("sha256:1".into())), T0);

    let start = settle(&mut life, &fleet(3), T0);
    assert_eq!(
        start.errands.iter().map(|e| (e.node.0, e.kind)).collect::<Vec<_>>(),
        [(1, ErrandKind::Redeploy)]
    );
    assert_eq!(life.digest_of(&life.nodes[&NodeId(2)]), Some("sha256:1"), "the first word counts");
    assert_eq!(reasons(&start)[2], "node 1 goes first, one at a time");
}

#[test]
fn one_refusal_and_nothing_starts() {
    let mut life = deployment(2, Phase::Queued, &NodeState::Waiting);
    let first = settle(&mut life, &fleet(2), T0);
    tell(&mut life, &first.errands[0], &Report::CheckedWell(Digest::None), T0);
    let second = settle(&mut life, &fleet(2), T0);
    tell(&mut life, &second.errands[0], &Report::CheckedBadly("no room".into()), T0);
    let end = settle(&mut life, &fleet(2), T0);
    assert!(end.errands.is_empty());
    assert_eq!(life.phase, Phase::Refused);
}

#[test]
fn a_pause_follows_each_verified_node_but_the_last() {
    let mut life = deployment(2, Phase::Rolling, &NodeState::Ready);
    life.terms.delay = Span::seconds(30);
    let first = settle(&mut life, &fleet(2), T0);
    tell(&mut life, &first.errands[0], &well(), T0);
    let pause = settle(&mut life, &fleet(2), Moment(T0.0 + 1000));
    assert!(pause.errands.is_empty());
    assert_eq!(pause.wake_at, Some(T0.after(Span::seconds(30))));
    assert_eq!(reasons(&pause)[1], "pause after the last node, 29 s left");
    let second = settle(&mut life, &fleet(2), T0.after(Span::seconds(30)));
    tell(&mut life, &second.errands[0], &well(), T0.after(Span::seconds(31)));
    settle(&mut life, &fleet(2), T0.after(Span::seconds(31)));
    assert_eq!(life.phase, Phase::Done, "no pause after the last");
}

#[test]
fn the_first_failure_halts_and_resume_goes_on_with_the_next() {
    let mut life = deployment(3, Phase::Rolling, &NodeState::Ready);
    let first = settle(&mut life, &fleet(3), T0);
    tell(&mut life, &first.errands[0], &Report::Ended(Ended::Badly(undone())), T0);
    let halted = settle(&mut life, &fleet(3), T0);
    assert_eq!(life.phase, Phase::Halted { why: Halt::Failed { node: NodeId(1) } });
    assert_eq!(reasons(&halted)[1], "halted: node 1 failed");

    let mut retried = life.clone();
    let old_id = retried.nodes[&NodeId(1)].redeploy_id;
    retried.command(&Command::RetryFailed, T0, &mut fresh).unwrap();
    let again = settle(&mut retried, &fleet(3), T0);
    assert_eq!(again.errands[0].node, NodeId(1));
    assert_ne!(again.errands[0].id, old_id, "a new attempt has a new id");

    life.command(&Command::Resume, T0, &mut fresh).unwrap();
    for node in [2, 3] {
        let next = settle(&mut life, &fleet(3), T0);
        assert_eq!(next.errands[0].node, NodeId(node));
        tell(&mut life, &next.errands[0], &well(), T0);
    }
    settle(&mut life, &fleet(3), T0);
    assert_eq!(life.phase, Phase::Halted { why: Halt::Leftover }, "a failed node is never called done");
}

#[test]
fn the_policy_takes_finished_nodes_back_last_first_and_a_failure_there_halts() {
    let mut life = deployment(3, Phase::Rolling, &NodeState::Ready);
    life.terms.on_failure = OnFailure::Rollback;
    for at in 1..=2 {
        let next = settle(&mut life, &fleet(3), Moment(T0.0 + at));
        tell(&mut life, &next.errands[0], &well(), Moment(T0.0 + at));
    }
    let now = Moment(T0.0 + 3);
    let third = settle(&mut life, &fleet(3), now);
    tell(&mut life, &third.errands[0], &Report::Ended(Ended::Badly(undone())), now);
    let back = settle(&mut life, &fleet(3), now);
    assert_eq!(
        back.errands.iter().map(|e| (e.node.0, e.kind)).collect::<Vec<_>>(),
        [(2, ErrandKind::Revert)]
    );
    assert_eq!(reasons(&back)[0], "node 2 goes first, one at a time");

    let mut failing = life.clone();
    tell(&mut failing, &back.errands[0], &Report::Ended(Ended::Badly(undone())), now);
    assert!(settle(&mut failing, &fleet(3), now).errands.is_empty(), "it never recurses");
    assert_eq!(failing.phase, Phase::BackHalted { why: Halt::Failed { node: NodeId(2) } });

    tell(&mut life, &back.errands[0], &well(), now);
    let next = settle(&mut life, &fleet(3), now);
    assert_eq!(next.errands[0].node, NodeId(1));
    tell(&mut life, &next.errands[0], &well(), now);
    settle(&mut life, &fleet(3), now);
    assert_eq!(life.phase, Phase::RolledBack);
}

#[test]
fn a_silent_agent_halts_after_the_grace_period_and_its_word_is_taken_over_later() {
    let mut life = deployment(2, Phase::Rolling, &NodeState::Ready);
    let first = settle(&mut life, &fleet(2), T0);
    let mut silent = fleet(2);
    silent.hosts.insert(host(1), HostSeen::Silent { since: T0 });
    let waiting = settle(&mut life, &silent, T0.after(Span::seconds(29)));
    assert_eq!((life.phase.word(), waiting.wake_at), ("rolling", Some(T0.after(Span::seconds(30)))));
    settle(&mut life, &silent, T0.after(Span::seconds(30)));
    assert_eq!(life.phase, Phase::Halted { why: Halt::Unknown { node: NodeId(1) } });
    let refused = life.command(&Command::Resume, T0, &mut fresh).unwrap_err();
    assert_eq!(refused, CommandRefused::Unknown(NodeId(1)));

    tell(&mut life, &first.errands[0], &well(), T0.after(Span::seconds(60)));
    life.command(&Command::Resume, T0.after(Span::seconds(60)), &mut fresh).unwrap();
    let next = settle(&mut life, &fleet(2), T0.after(Span::seconds(60)));
    assert_eq!(next.errands[0].node, NodeId(2));
}

#[test]
fn a_stuck_node_counts_as_down() {
    let mut life = deployment(2, Phase::Rolling, &NodeState::Ready);
    let first = settle(&mut life, &fleet(2), T0);
    tell(&mut life, &first.errands[0], &Report::Ended(Ended::Badly(stuck())), T0);
    settle(&mut life, &fleet(2), T0);
    assert_eq!(life.command(&Command::Resume, T0, &mut fresh), Err(CommandRefused::NoRoom(NodeId(1))));
    tell(&mut life, &first.errands[0], &Report::Ended(Ended::Badly(undone())), T0);
    assert_eq!(life.command(&Command::Resume, T0, &mut fresh), Ok(()), "`recover` on its host made room");
}

#[test]
fn the_deadline_halts_and_a_cancel_undoes_what_is_under_way() {
    let mut life = deployment(2, Phase::Rolling, &NodeState::Ready);
    settle(&mut life, &fleet(2), T0);
    let late = life.deadline;
    assert!(settle(&mut life, &fleet(2), late).errands.is_empty());
    assert_eq!(life.phase, Phase::Halted { why: Halt::Deadline });
    life.command(&Command::Cancel, late, &mut fresh).unwrap();
    let told = settle(&mut life, &fleet(2), late);
    assert_eq!(told.errands.iter().map(|e| e.kind).collect::<Vec<_>>(), [ErrandKind::Cancel]);
    assert_eq!(life.phase, Phase::Cancelling);
    tell(&mut life, &told.errands[0], &Report::Ended(Ended::Badly(undone())), late);
    settle(&mut life, &fleet(2), late);
    assert_eq!(life.phase, Phase::Cancelled);
}

#[test]
fn a_queued_one_waits_for_the_one_ahead() {
    let mut life = deployment(1, Phase::Queued, &NodeState::Waiting);
    let ahead = DeploymentId::generate();
    let mut busy = fleet(1);
    busy.ahead = Some(ahead);
    let waiting = settle(&mut life, &busy, T0);
    assert!(waiting.errands.is_empty());
    assert!(reasons(&waiting)[0].contains(&ahead.short()));
    settle(&mut life, &fleet(1), T0);
    assert_eq!(life.phase, Phase::Checking);
}

#[test]
fn one_that_failed_makes_room_only_while_nobody_has_gone_on_with_it() {
    let failed = || NodeState::Failed { at: T0, failure: undone(), passed_over: false };
    let by_failure = || Phase::Halted { why: Halt::Failed { node: NodeId(1) } };
    let mut life = deployment(2, by_failure(), &failed());
    life.command(&Command::CancelFailed, T0, &mut fresh).unwrap();
    assert_eq!(life.phase, Phase::Cancelling);

    let mut resumed = deployment(2, by_failure(), &failed());
    resumed.command(&Command::RetryFailed, T0, &mut fresh).unwrap();
    let operators = Halt::Operator { who: "ann".into() };
    let at_work = NodeState::Running { since: T0, cancelled: false };
    let stuck = NodeState::Failed { at: T0, failure: stuck(), passed_over: false };
    for mut other in [
        resumed,
        deployment(2, Phase::Halted { why: operators }, &failed()),
        deployment(2, Phase::Halted { why: Halt::Deadline }, &failed()),
        deployment(2, by_failure(), &at_work),
        deployment(2, by_failure(), &stuck),
        deployment(2, Phase::Rolling, &NodeState::Ready),
    ] {
        let before = other.clone();
        let refused = other.command(&Command::CancelFailed, T0, &mut fresh).unwrap_err().to_string();
        assert!(refused.contains("only one that a failure halted"), "{refused}");
        assert_eq!(other, before);
    }
}
