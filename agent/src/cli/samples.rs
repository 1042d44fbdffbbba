//! A plan, its records and its reports, for the tests of what people see.

use redeploy_agent::archive::Selection;
use redeploy_agent::plan::{Anew, Incoming, Plan, StandIn};
use redeploy_agent::report::{self, Leftovers, Report, Verdict};
use redeploy_agent::saga::{Event, Outcome, Reason, Record, State};
use redeploy_agent::steps::{REDEPLOY, Started, Step, StepOutput, Stopped};
use serde_json::{Value, json};

const ID: &str = "0193a1b2-7c00-7000-8000-0123456789ab";

/// A redeploy of `web` from `web:1` to `web:2`.
pub(crate) fn plan() -> Plan {
    serde_json::from_str(include_str!("samples/plan.json")).expect("the sample is a plan")
}

/// Gives the new container another create body.
pub(crate) fn set_body(plan: &mut Plan, body: Value) {
    match &mut plan.incoming {
        Incoming::New(new) => new.recreation.body = body,
        Incoming::Parked { .. } => panic!("the sample is a redeploy"),
    }
}

/// Gives it two more: for the old container made anew, and for its stand-in.
pub(crate) fn set_bodies_of_old(plan: &mut Plan, body: &Value) {
    let Incoming::New(new) = &plan.incoming else { panic!("the sample is a redeploy") };
    let mut recreation = new.recreation.clone();
    recreation.body = body.clone();
    plan.outgoing.anew = Some(Box::new(Anew { temporary_name: "web.anew-456789ab".to_owned(), recreation }));
    plan.outgoing.stand_in = Some(Box::new(StandIn {
        temporary_name: "web.stand-in-456789ab".to_owned(),
        body: body.clone(),
        selection: Selection { include: Vec::new(), exclude: Vec::new() },
        has_root: true,
    }));
}

/// The journal of one that went well, a second between records.
pub(crate) fn records() -> Vec<Record> {
    let mut events = forward(REDEPLOY.len());
    events.extend([Event::Committed, Event::Closed { outcome: Outcome::Done }]);
    dated(events)
}

/// The journal of one whose verification failed; `stuck` at the undo of the start, or not.
pub(crate) fn records_of_failure(stuck: bool) -> Vec<Record> {
    let mut events = forward(REDEPLOY.len() - 1);
    events.push(Event::Started { step: Step::Verify });
    let reason = Reason::Failed {
        step: Step::Verify,
        error: "the new container exited with code 1".to_owned(),
        interference: None,
    };
    events.push(Event::TurnedBack { reason });
    for step in REDEPLOY.iter().rev() {
        events.push(Event::Undoing { step: *step });
        if stuck && *step == Step::Start {
            events.push(Event::Stuck {
                step: *step,
                error: "the Docker Engine did not stop it within 10 s".to_owned(),
            });
            return dated(events);
        }
        let again =
            (*step == Step::Stop).then(|| "2026-01-31T12:00:26Z".parse().expect("the sample time is a time"));
        events.push(Event::Undone { step: *step, serving_since: again, note: None, notes: vec![] });
    }
    events.push(Event::Closed { outcome: Outcome::Undone });
    dated(events)
}

fn forward(steps: usize) -> Vec<Event> {
    let id = ID.parse().expect("the sample id is an id");
    let kind = redeploy_agent::saga::SagaKind::Redeploy;
    let mut events = vec![Event::Opened { version: 1, id, kind }];
    for step in REDEPLOY.iter().take(steps) {
        events.push(Event::Started { step: *step });
        events.push(Event::Done { step: *step, output: output(*step) });
    }
    events
}

fn output(step: Step) -> StepOutput {
    let at = |text: &str| Some(text.parse().expect("the sample time is a time"));
    let packed =
        json!({"archives": {"paths": {"rounds": 2, "entries": 1204, "bytes": 12_582_912, "skipped": []}}});
    let packed = || serde_json::from_value(packed.clone()).expect("the sample is an output");
    match step {
        Step::Create
        | Step::Prefill
        | Step::PutData
        | Step::Swap
        | Step::Verify
        | Step::Drain
        | Step::Admit => StepOutput::Nothing,
        Step::Capture => StepOutput::Packed(packed()),
        Step::Stop => StepOutput::Stopped(Stopped { asked_at: at("2026-01-31T12:00:08.2Z") }),
        Step::Settle => StepOutput::Settled(redeploy_agent::steps::Settled {
            last: packed(),
            backups: vec!["/etc/nginx.conf.backup".to_owned()],
        }),
        Step::Start => StepOutput::Started(Started { at: at("2026-01-31T12:00:13.9Z") }),
    }
}

fn dated(events: Vec<Event>) -> Vec<Record> {
    let record = |(seq, event): (u32, Event)| Record {
        seq,
        at: jiff::Timestamp::from_second(1_769_860_800 + i64::from(seq)).expect("the sample time is a time"),
        event,
    };
    (0..).zip(events).map(record).collect()
}

/// A report with this verdict.
pub(crate) fn report(verdict: Verdict) -> Report {
    let (records, state) = match verdict {
        Verdict::Done => (records(), State::Closed(Outcome::Done)),
        Verdict::DoneUntidy => (records(), State::Closed(Outcome::DoneUntidy)),
        Verdict::Undone => (records_of_failure(false), State::Closed(Outcome::Undone)),
        Verdict::Stuck => {
            let records = records_of_failure(true);
            (records, State::Stuck { left: 7, reason: Reason::Interrupted, error: String::new() })
        }
        Verdict::Unfinished => (dated(forward(2)), State::Forward { at: 2, begun: false }),
    };
    let mut report = report_of(&records, &state, verdict);
    if verdict == Verdict::Done {
        report.archives = serde_json::from_value(json!([
            {"file": "paths.tar.gz", "bytes": 3_145_728, "entries": 1204, "sha256": "ff", "skipped": [
                {"path": "/run/app.sock", "reason": "socket"}]},
            {"file": "volume-0-data.tar.gz", "bytes": 999, "entries": 1, "sha256": "ee", "skipped": []},
        ]))
        .expect("the sample is a list of archives");
    }
    report
}

fn report_of(records: &[Record], state: &State, verdict: Verdict) -> Report {
    let failed = matches!(verdict, Verdict::Undone | Verdict::Stuck);
    let leftovers = Leftovers {
        manifest: None,
        last_words: failed.then(|| "exit code 1\ncannot open /etc/app.conf\n".to_owned()),
        recovery_sheet: (verdict == Verdict::Stuck)
            .then(|| "Recovery sheet: redeploy of container web\n".to_owned()),
        dependents: Vec::new(),
    };
    report::report(&plan(), records, state, leftovers)
}
