//! The four loops over every step of every saga, on the fake engine and on the real one: each step repeated, each
//! step failed before and after its effect, each undo repeated, the process stopped at each journal record and
//! `recover` run.
//!
//! After each, the invariant (DESIGN 7.1, 7.2): the service is the old container or the new one, complete, and
//! every byte the user asked to keep is where it belongs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "loops/fake.rs"]
mod fake;
#[path = "loops/invariant.rs"]
mod invariant;
#[path = "loops/real.rs"]
mod real;
#[path = "loops/stage.rs"]
mod stage;

use real::By;
use redeploy_agent::report::Verdict;
use redeploy_agent::saga::Fault;
use redeploy_agent::steps::{REDEPLOY, REVERT, Step};
use stage::{Order, Stage};

/// Every fault that one run of a saga can meet, and how the run must end.
fn faults_of(steps: &[Step]) -> Vec<(Vec<Fault>, Verdict)> {
    let mut faults = vec![(vec![], Verdict::Done)];
    for step in steps {
        faults.push((vec![Fault::Repeat(*step)], Verdict::Done));
        faults.push((vec![Fault::FailBefore(*step)], Verdict::Undone));
        faults.push((vec![Fault::FailAfter(*step)], Verdict::Undone));
        faults.push((vec![Fault::FailAfter(*step), Fault::RepeatUndo], Verdict::Undone));
    }
    faults
}

/// One run with faults, the invariant, and a second run without: nothing may be left in its way.
async fn run_with(stage: &dyn Stage, order: Order, faults: &[Fault], wanted: Verdict) {
    invariant::prepare(stage, order).await;
    let report = stage.run(order, faults).await.unwrap();
    assert_eq!(report.verdict, wanted, "{order:?} with {faults:?}: {report:#?}");
    invariant::check(stage, order, wanted, &format!("{order:?} with {faults:?}")).await;
    if wanted == Verdict::Undone {
        let report = stage.run(order, &[]).await.unwrap();
        assert_eq!(report.verdict, Verdict::Done, "again after {faults:?}: {report:#?}");
        invariant::check(stage, order, Verdict::Done, &format!("again after {faults:?}")).await;
    }
}

/// One of several tests that share the records of a saga.
#[derive(Clone, Copy)]
struct Share {
    first: u32,
    of: usize,
}

const ALL: Share = Share { first: 0, of: 1 };

/// Stops the process at every record of a share in turn, takes over, and checks. `extra` faults send it back first.
async fn stop_everywhere(
    make: impl Fn() -> Box<dyn Stage>,
    order: Order,
    extra: &[Fault],
    at_least: u32,
    share: Share,
) {
    for seq in (share.first..).step_by(share.of) {
        let stage = make();
        invariant::prepare(stage.as_ref(), order).await;
        let faults: Vec<Fault> = extra.iter().copied().chain([Fault::StopAt(seq)]).collect();
        let what = format!("{order:?} stopped at record {seq} ({extra:?})");
        if stage.run(order, &faults).await.is_some() {
            assert!(seq >= at_least, "{what}: only {seq} records, the loop lost its subject");
            return;
        }
        let verdict = stage.recover().await.unwrap_or_else(|| invariant::ended(stage.as_ref()));
        assert!(matches!(verdict, Verdict::Done | Verdict::Undone), "{what}: {verdict:?}");
        invariant::check(stage.as_ref(), order, verdict, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_redeploy_with_every_fault() {
    for (faults, wanted) in faults_of(REDEPLOY) {
        run_with(&fake::stage(), Order::Redeploy, &faults, wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_revert_with_every_fault() {
    for order in [Order::RevertKeep, Order::RevertRestore] {
        for (faults, wanted) in faults_of(REVERT) {
            run_with(&fake::stage(), order, &faults, wanted).await;
        }
    }
}

/// A container of a Compose project is parked as a stand-in and made anew by a revert.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_composed_with_every_fault() {
    let last = [Step::Verify];
    let of_revert = [Step::Create, Step::Prefill, Step::Swap, Step::Verify];
    for (order, steps) in [(Order::Redeploy, &last[..]), (Order::RevertRestore, &of_revert[..])] {
        for (faults, wanted) in faults_of(steps) {
            run_with(&fake::composed(), order, &faults, wanted).await;
        }
    }
}

/// A container that removes itself is gone after its stop, and is made anew by an undo as well as by a revert.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_removed_with_every_fault() {
    let of_revert = [Step::Stop, Step::Settle, Step::Verify];
    for (order, steps) in [(Order::Redeploy, REDEPLOY), (Order::RevertRestore, &of_revert[..])] {
        for (faults, wanted) in faults_of(steps) {
            run_with(&fake::removed(), order, &faults, wanted).await;
        }
    }
}

async fn fake_removed_stops(order: Order) {
    let stage = || -> Box<dyn Stage> { Box::new(fake::removed()) };
    stop_everywhere(stage, order, &[], 16, ALL).await;
    stop_everywhere(stage, order, &FAILS_LAST, 30, ALL).await;
}

async fn fake_composed_stops(order: Order) {
    let stage = || -> Box<dyn Stage> { Box::new(fake::composed()) };
    stop_everywhere(stage, order, &[], 16, ALL).await;
    stop_everywhere(stage, order, &FAILS_LAST, 30, ALL).await;
}

async fn fake_stops(order: Order) {
    let stage = || -> Box<dyn Stage> { Box::new(fake::stage()) };
    stop_everywhere(stage, order, &[], 16, ALL).await;
    stop_everywhere(stage, order, &FAILS_LAST, 30, ALL).await;
}

/// Each record in turn is lost to a full disk: what serves then is whole, and `recover` says so once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fake_journal_full_at_every_record() {
    for order in [Order::Redeploy, Order::RevertRestore] {
        for extra in [&[][..], &[Fault::FailAfter(Step::Verify)]] {
            for seq in 1.. {
                let stage = fake::stage();
                invariant::prepare(&stage, order).await;
                let faults: Vec<Fault> = extra.iter().copied().chain([Fault::JournalFullAt(seq)]).collect();
                let what = format!("{order:?}, record {seq} lost ({extra:?})");
                let report = stage.run(order, &faults).await;
                if report.as_ref().is_some_and(|report| report.verdict != Verdict::Unfinished) {
                    assert!(seq >= 18, "{what}: the loop lost its subject");
                    break;
                }
                let wanted = if report.is_some() { Verdict::Undone } else { Verdict::Done };
                invariant::check(&stage, order, wanted, &what).await;
                let verdict = stage.recover().await.unwrap();
                assert_eq!(verdict, wanted, "{what}");
                invariant::check(&stage, order, wanted, &format!("{what}, then recovered")).await;
            }
        }
    }
}

// The real engine takes seconds for each run: one test per step and per kind of stop, so that they share the cores.

async fn real_faults_of(order: Order, step: Step) {
    let steps = [step];
    for (faults, wanted) in faults_of(&steps).into_iter().skip(1) {
        run_with(&real::stage("loops", By::Code), order, &faults, wanted).await;
    }
}

async fn real_kills(order: Order, extra: &[Fault], at_least: u32, first: u32) {
    let stage = || -> Box<dyn Stage> { Box::new(real::stage("kills", By::Program)) };
    stop_everywhere(stage, order, extra, at_least, Share { first, of: 4 }).await;
}

/// Everything is done and must be undone.
const FAILS_LAST: [Fault; 1] = [Fault::FailAfter(Step::Verify)];

macro_rules! sagas {
    ($($name:ident: $run:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $run.await;
        }
    )*};
}

sagas! {
    fake_stops_redeploy: fake_stops(Order::Redeploy);
    fake_stops_revert_keep: fake_stops(Order::RevertKeep);
    fake_stops_revert_restore: fake_stops(Order::RevertRestore);
    fake_stops_composed_redeploy: fake_composed_stops(Order::Redeploy);
    fake_stops_composed_revert: fake_composed_stops(Order::RevertRestore);
    fake_stops_removed_redeploy: fake_removed_stops(Order::Redeploy);
    fake_stops_removed_revert: fake_removed_stops(Order::RevertRestore);
    real_redeploy_create: real_faults_of(Order::Redeploy, Step::Create);
    real_redeploy_capture: real_faults_of(Order::Redeploy, Step::Capture);
    real_redeploy_prefill: real_faults_of(Order::Redeploy, Step::Prefill);
    real_redeploy_stop: real_faults_of(Order::Redeploy, Step::Stop);
    real_redeploy_settle: real_faults_of(Order::Redeploy, Step::Settle);
    real_redeploy_swap: real_faults_of(Order::Redeploy, Step::Swap);
    real_redeploy_start: real_faults_of(Order::Redeploy, Step::Start);
    real_redeploy_verify: real_faults_of(Order::Redeploy, Step::Verify);
    real_revert_capture: real_faults_of(Order::RevertRestore, Step::Capture);
    real_revert_stop: real_faults_of(Order::RevertRestore, Step::Stop);
    real_revert_settle: real_faults_of(Order::RevertRestore, Step::Settle);
    real_revert_put_data: real_faults_of(Order::RevertRestore, Step::PutData);
    real_revert_swap: real_faults_of(Order::RevertRestore, Step::Swap);
    real_revert_start: real_faults_of(Order::RevertRestore, Step::Start);
    real_revert_verify: real_faults_of(Order::RevertRestore, Step::Verify);
    real_kill_redeploy_0: real_kills(Order::Redeploy, &[], 18, 0);
    real_kill_redeploy_1: real_kills(Order::Redeploy, &[], 18, 1);
    real_kill_redeploy_2: real_kills(Order::Redeploy, &[], 18, 2);
    real_kill_redeploy_3: real_kills(Order::Redeploy, &[], 18, 3);
    real_kill_failing_redeploy_0: real_kills(Order::Redeploy, &FAILS_LAST, 34, 0);
    real_kill_failing_redeploy_1: real_kills(Order::Redeploy, &FAILS_LAST, 34, 1);
    real_kill_failing_redeploy_2: real_kills(Order::Redeploy, &FAILS_LAST, 34, 2);
    real_kill_failing_redeploy_3: real_kills(Order::Redeploy, &FAILS_LAST, 34, 3);
    real_kill_revert_0: real_kills(Order::RevertRestore, &[], 20, 0);
    real_kill_revert_1: real_kills(Order::RevertRestore, &[], 20, 1);
    real_kill_revert_2: real_kills(Order::RevertRestore, &[], 20, 2);
    real_kill_revert_3: real_kills(Order::RevertRestore, &[], 20, 3);
    real_kill_failing_revert_0: real_kills(Order::RevertRestore, &FAILS_LAST, 36, 0);
    real_kill_failing_revert_1: real_kills(Order::RevertRestore, &FAILS_LAST, 36, 1);
    real_kill_failing_revert_2: real_kills(Order::RevertRestore, &FAILS_LAST, 36, 2);
    real_kill_failing_revert_3: real_kills(Order::RevertRestore, &FAILS_LAST, 36, 3);
}
