//! Random lives of a deployment: agents that do, fail, fall silent and come back, operators who press everything.
//! The invariants are looked at after every event. `decide` is never shown what the agents really do.

use proptest::prelude::*;

use super::*;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// An agent ends what it was told: 0 well, 1 undone, 2 stuck, 3 refused.
    End(u32, u8),
    /// A host falls silent or comes back.
    Flip(u32),
    /// Time passes.
    Pass(u32),
    /// An operator orders something.
    Press(u8),
}

fn event(nodes: u32) -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..=nodes, prop_oneof![5 => Just(0_u8), 1 => 1..4_u8]).prop_map(|(node, how)| Event::End(node, how)),
        1 => (1..=nodes).prop_map(Event::Flip),
        2 => (1..40_u32).prop_map(Event::Pass),
        1 => (0..5_u8).prop_map(Event::Press),
    ]
}

fn parallel() -> impl Strategy<Value = Parallel> {
    prop_oneof![
        (1..4_u32).prop_map(Parallel::Nodes),
        (1..=100_u8).prop_map(Parallel::Percent),
        Just(Parallel::All)
    ]
}

struct Life {
    deployment: Deployment,
    fleet: Fleet,
    now: Moment,
    /// What agents were told and have not ended.
    open: BTreeMap<NodeId, Errand>,
}

impl Life {
    fn settle(&mut self) {
        let before = self.deployment.clone();
        let settled = settle(&mut self.deployment, &self.fleet, self.now);
        self.check(&before, &settled);
        for errand in settled.errands {
            if errand.kind != ErrandKind::Cancel {
                self.open.insert(errand.node, errand);
            }
        }
    }

    fn check(&self, before: &Deployment, settled: &Settled) {
        let life = &self.deployment;
        let started: Vec<NodeId> =
            settled.errands.iter().filter(|e| e.kind == ErrandKind::Redeploy).map(|e| e.node).collect();
        let taken_down =
            settled.errands.iter().any(|e| matches!(e.kind, ErrandKind::Redeploy | ErrandKind::Revert));
        assert!(!taken_down || life.down() <= life.allowed_down(), "more down than allowed: {life:#?}");
        let fresh_failure = |part: &NodePart| {
            matches!(part.state, NodeState::Failed { passed_over: false, .. } | NodeState::Unknown { .. })
        };
        if before.nodes.values().any(fresh_failure) {
            assert!(started.is_empty(), "started after a failure: {started:?}");
        }
        let touched = |state: &NodeState| {
            !matches!(state, NodeState::Waiting | NodeState::Checking { .. } | NodeState::Refused { .. })
        };
        if !started.is_empty() {
            assert!(life.nodes.values().all(|part| touched(&part.state)), "started before all preflights");
        }
        assert_eq!(settled.explanation.nodes.len(), life.nodes.len(), "a node without a reason");
        let (again, _) = decide(life, &self.fleet, self.now);
        assert!(again.moves.is_empty(), "settled, yet {:?}", again.moves);
        let working = matches!(life.phase, Phase::Checking | Phase::Rolling | Phase::GoingBack);
        assert!(!working || settled.wake_at.is_some_and(|at| at > self.now), "nothing would wake {life:#?}");
        for (node, reason) in &settled.explanation.nodes {
            assert!(*reason != Reason::Moves, "{node} is said to move in {life:#?}");
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::End(node, how) => self.end(NodeId(*node), *how),
            Event::Flip(node) => self.flip(*node),
            Event::Pass(seconds) => self.now = self.now.after(Span::seconds(*seconds)),
            Event::Press(button) => self.press(*button),
        }
        self.settle();
    }

    fn end(&mut self, node: NodeId, how: u8) {
        let Some(errand) = self.open.remove(&node) else { return };
        let failure = match how {
            1 => undone(),
            2 => stuck(),
            _ => Failure { verdict: Verdict::Refused, why: "busy".into() },
        };
        let report = match (errand.kind, how) {
            (ErrandKind::Check, 0) => Report::CheckedWell(Digest::None),
            (ErrandKind::Check, _) => Report::CheckedBadly("no".into()),
            (_, 0) => Report::Ended(Ended::Well),
            (_, _) => Report::Ended(Ended::Badly(failure)),
        };
        self.deployment.take_report(errand.node, errand.id, &report, self.now);
        // Every word comes twice.
        let before = self.deployment.clone();
        let changed = self.deployment.take_report(errand.node, errand.id, &report, self.now);
        assert!(!changed && before == self.deployment, "a repeated word changed something: {report:?}");
    }

    fn flip(&mut self, node: u32) {
        let seen = match self.fleet.host(&host(node)) {
            HostSeen::Connected => HostSeen::Silent { since: self.now },
            HostSeen::Silent { .. } => HostSeen::Connected,
        };
        self.fleet.hosts.insert(host(node), seen);
    }

    fn press(&mut self, button: u8) {
        let command = match button {
            0 => Command::Halt { who: "ann".into() },
            1 => Command::Resume,
            2 => Command::RetryFailed,
            3 => Command::Rollback,
            _ => Command::Cancel,
        };
        let _refused = self.deployment.command(&command, self.now, &mut fresh);
    }
}

fn life(nodes: u32, parallel: Parallel, policy: OnFailure) -> Life {
    let mut life = deployment(nodes, Phase::Queued, &NodeState::Waiting);
    life.terms.parallel = parallel;
    life.terms.on_failure = policy;
    life.terms.delay = Span::seconds(5);
    Life { deployment: life, fleet: fleet(nodes), now: T0, open: BTreeMap::new() }
}

proptest! {
    #[test]
    fn whatever_happens_the_rules_hold_and_it_comes_to_rest(
        parallel in parallel(),
        policy in prop_oneof![Just(OnFailure::Halt), Just(OnFailure::Rollback)],
        events in proptest::collection::vec(event(6), 0..120),
    ) {
        let mut life = life(6, parallel, policy);
        life.settle();
        for event in &events {
            life.happen(event);
        }
        // From here on nobody does anything: time alone must bring it to rest.
        for _ in 0..10 {
            life.happen(&Event::Pass(75 * 60));
        }
        let phase = &life.deployment.phase;
        prop_assert!(
            phase.is_end() || matches!(phase, Phase::Halted { .. } | Phase::BackHalted { .. }),
            "never came to rest: {phase:?}"
        );
    }

    #[test]
    fn agents_that_always_succeed_bring_it_to_its_end_in_the_order_of_ids(parallel in parallel()) {
        let mut life = life(7, parallel, OnFailure::Halt);
        let mut order = Vec::new();
        life.settle();
        for _ in 0..200 {
            let next = life.open.values().next().copied();
            match next {
                Some(errand) => {
                    if errand.kind == ErrandKind::Redeploy {
                        order.push(errand.node);
                    }
                    life.happen(&Event::End(errand.node.0, 0));
                }
                None => life.happen(&Event::Pass(1)),
            }
        }
        prop_assert_eq!(&life.deployment.phase, &Phase::Done);
        prop_assert!(order.is_sorted() && order.len() == 7, "{:?}", order);
    }

    #[test]
    fn a_halt_and_a_resumption_at_any_point_change_nothing_about_what_starts(stop in 0_usize..40) {
        let mut life = life(5, Parallel::Nodes(1), OnFailure::Halt);
        let mut order = Vec::new();
        life.settle();
        for turn in 0..120 {
            if turn == stop && !life.deployment.phase.is_end() {
                life.happen(&Event::Press(0));
                prop_assert_eq!(life.deployment.phase.word(), "halted");
                life.happen(&Event::Press(1));
            }
            let next = life.open.values().next().copied();
            match next {
                Some(errand) => {
                    if errand.kind == ErrandKind::Redeploy {
                        order.push(errand.node.0);
                    }
                    life.happen(&Event::End(errand.node.0, 0));
                }
                None => life.happen(&Event::Pass(1)),
            }
        }
        prop_assert_eq!(&life.deployment.phase, &Phase::Done);
        prop_assert_eq!(order, vec![1, 2, 3, 4, 5]);
    }
}
