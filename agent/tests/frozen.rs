//! What lies on users' disks: journals, plans and manifests of every version ever written must still be read, and
//! mean what they meant.
//!
//! The fixtures are what an agent wrote, with neutral ids and names. One that fails here is never changed to fit the
//! code: the code must read it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use redeploy_agent::archive::Manifest;
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan::{Incoming, Into, Plan, Source};
use redeploy_agent::report::{Leftovers, Report, Verdict, report};
use redeploy_agent::saga::{Event, Outcome, Reason, Record, SagaKind, State, read_journal, state_of};
use redeploy_agent::session::{Identity, IdentityError, Note};
use redeploy_agent::steps::{Step, StepOutput, steps_of};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A host that has joined a coordinator of version 1, and has two orders.
fn joined() -> DataDir {
    DataDir::new(fixture("joined-v1"))
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn plan(name: &str) -> Plan {
    let text = std::fs::read_to_string(fixture(name)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A journal as the agent reads it: its records, where it stands, and what a report of it says.
fn replay(name: &str) -> (Vec<Record>, State, Report) {
    let path = fixture(name);
    let records = read_journal(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let Some(Event::Opened { version: 1, kind, .. }) = records.first().map(|record| &record.event) else {
        panic!("{name} does not begin as a journal of version 1");
    };
    let plan = match kind {
        SagaKind::Redeploy => plan("plan-v1/redeploy.json"),
        SagaKind::Revert => plan("plan-v1/revert.json"),
    };
    let state = state_of(&path, &records, steps_of(*kind)).unwrap();
    let report = report(&plan, &records, &state, Leftovers::default());
    (records, state, report)
}

#[test]
fn a_done_redeploy() {
    let (records, state, report) = replay("journal-v1/done.journal");
    assert_eq!(state, State::Closed(Outcome::Done));
    assert_eq!(report.verdict, Verdict::Done);
    assert_eq!(report.downtime_ms, Some(719));
    assert_eq!(report.backups, ["/etc/php.ini.backup"]);
    let outputs: Vec<&StepOutput> = records.iter().filter_map(output_of).collect();
    assert!(
        matches!(
            outputs.as_slice(),
            [
                StepOutput::Created(_),
                StepOutput::Packed(_),
                StepOutput::Packed(_),
                StepOutput::Stopped(_),
                StepOutput::Settled(_),
                StepOutput::Nothing,
                StepOutput::Started(_),
                StepOutput::Nothing,
            ]
        ),
        "{outputs:#?}"
    );
}

fn output_of(record: &Record) -> Option<&StepOutput> {
    let Event::Done { output, .. } = &record.event else { return None };
    Some(output)
}

#[test]
fn an_undone_redeploy() {
    let (_, state, report) = replay("journal-v1/undone.journal");
    assert_eq!(state, State::Closed(Outcome::Undone));
    assert_eq!(report.verdict, Verdict::Undone);
    assert!(report.backups.is_empty(), "they went with the new container: {:?}", report.backups);
    let reason = report.failure.unwrap().reason;
    assert!(reason.starts_with("step verify failed"), "{reason}");
    assert!(report.steps.iter().all(|step| step.undo_ms.is_some()), "{:?}", report.steps);
    assert!(report.downtime_ms.is_some());
}

#[test]
fn an_interrupted_redeploy_waits_for_recover() {
    let (_, state, report) = replay("journal-v1/interrupted.journal");
    let swap = steps_of(SagaKind::Redeploy).iter().position(|step| *step == Step::Swap).unwrap();
    assert_eq!(state, State::Forward { at: swap, begun: true });
    assert_eq!(report.verdict, Verdict::Unfinished);
}

#[test]
fn a_recovered_redeploy() {
    let (records, state, report) = replay("journal-v1/recovered.journal");
    assert_eq!(state, State::Closed(Outcome::Undone));
    assert_eq!(report.verdict, Verdict::Undone);
    assert!(records.iter().any(|record| record.event == Event::Resumed));
    assert!(records.iter().any(|record| record.event == Event::TurnedBack { reason: Reason::Interrupted }));
}

#[test]
fn a_stuck_redeploy() {
    let (_, state, report) = replay("journal-v1/stuck.journal");
    assert!(
        matches!(state, State::Stuck { reason: Reason::Failed { step: Step::Verify, .. }, .. }),
        "{state:?}"
    );
    assert_eq!(report.verdict, Verdict::Stuck);
    assert!(report.backups.is_empty(), "{:?}", report.backups);
    let stuck = report.failure.unwrap().stuck.unwrap();
    assert!(stuck.starts_with("undo of swap failed"), "{stuck}");
}

#[test]
fn a_done_revert() {
    let (_, state, report) = replay("journal-v1/reverted.journal");
    assert_eq!(state, State::Closed(Outcome::Done));
    assert_eq!((report.verdict, report.kind), (Verdict::Done, SagaKind::Revert));
}

#[test]
fn a_plan_of_a_redeploy() {
    let plan = plan("plan-v1/redeploy.json");
    assert_eq!((plan.version, plan.kind, plan.node.as_str()), (1, SagaKind::Redeploy, "web"));
    assert_eq!(plan.outgoing.restart_policy["Name"], "always");
    let Incoming::New(new) = &plan.incoming else { panic!("{:?}", plan.incoming) };
    assert_eq!(new.recreation.body["Labels"]["io.redeploy.id"], plan.id.to_string());
    assert_eq!(plan.archives[0].source, Source::Root { into: Into::Replace });
    assert_eq!(plan.archives[1].source, Source::Volume { name: "shop".into(), shared: true });
    assert_eq!(plan.backups[0].to.to_string(), "/etc/php.ini.backup");
    assert!(plan.dependents.is_empty(), "a plan without dependents does not mention them");
}

#[test]
fn a_plan_of_a_revert() {
    let plan = plan("plan-v1/revert.json");
    assert_eq!((plan.version, plan.kind), (1, SagaKind::Revert));
    let Incoming::Parked { restart_policy, image, .. } = &plan.incoming else {
        panic!("{:?}", plan.incoming)
    };
    assert_eq!((restart_policy["Name"].as_str(), image.as_str()), (Some("always"), "web:1"));
}

#[test]
fn a_manifest() {
    let manifest = Manifest::load(&fixture("manifest-v1/manifest.json")).unwrap();
    let stems: Vec<&str> = manifest.archives.iter().map(|line| line.stem.as_str()).collect();
    assert_eq!(stems, ["paths", "volume-0-shop"]);
    assert!(manifest.archives.iter().all(|line| line.sealed && line.rounds.len() == 1));
}

#[test]
fn an_order() {
    let order = |id: &str| {
        let dir = joined().redeploy(id.parse().unwrap());
        (Note::read(&dir).unwrap(), json_of(&dir.order()))
    };
    let (note, text) = order("0193a1b2-7c00-7000-8000-00000000000a");
    assert_eq!((note.version, note.node_id, note.generation), (1, 7, 12));
    assert_eq!((note.container.as_str(), note.kind), ("web", SagaKind::Redeploy));
    assert_eq!(note.accepted_at.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(note.refusals, Vec::<String>::new(), "one that was not refused does not mention refusals");
    assert_eq!(serde_json::to_value(&note).unwrap(), text, "it is written as it was");

    let (refused, text) = order("0193a1b2-7c00-7000-8000-00000000000b");
    assert_eq!((refused.kind, refused.generation), (SagaKind::Revert, 13));
    assert_eq!(refused.refusals, ["container web has no parked container to go back to"]);
    assert_eq!(serde_json::to_value(&refused).unwrap(), text);
}

#[test]
fn an_identity() {
    let identity = Identity::load(&joined()).unwrap();
    assert_eq!(identity.coordinator.to_string(), "https://coordinator.example:7443");
    assert_eq!(identity.host_id, "0193a1b2-7c00-7000-8000-000000000001");
    assert!(identity.key.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8, PEM");
    assert_eq!(
        (identity.certificate.as_slice(), identity.ca.as_slice()),
        (&b"a certificate"[..], &b"a CA"[..])
    );
    let times = [identity.joined_at, identity.issued_at, identity.not_after].map(|at| at.to_string());
    assert_eq!(times, ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2027-01-02T00:00:00Z"]);

    // It is written as it was, and of another version it is not read at all.
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    identity.store(&data).unwrap();
    let mut text = json_of(&data.coordinator());
    assert_eq!(text, json_of(&joined().coordinator()));
    text["version"] = json!(2);
    redeploy_agent::durable::write(&data.coordinator(), text.to_string().as_bytes()).unwrap();
    assert!(matches!(Identity::load(&data), Err(IdentityError::Damaged { .. })));
}
