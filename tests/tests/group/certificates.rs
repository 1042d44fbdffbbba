//! A host's certificate: renewed by its agent in time, without its session or its work taking note; and what an agent
//! says whose certificate has ended.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail, ensure};
use redeploy_agent::paths::DataDir;
use redeploy_agent::session::Identity;
use redeploy_coordinator::sessions::{Event, Said};
use redeploy_proto::v1::coordinator_message::Message;
use redeploy_proto::{RedeployId, v1};
use redeploy_tests::group::{Coordinator, Running, order};
use redeploy_tests::images;
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::wait::{self, PATIENCE};
use serde_json::Value;

/// Lets the agent believe that two thirds of its certificate's life will be over in two seconds.
#[expect(clippy::disallowed_methods, reason = "a test changes what the agent wrote")]
fn make_due_soon(data_dir: &Path) -> Result<()> {
    let path = data_dir.join("coordinator.json");
    let mut form: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let now = SystemTime::now();
    let issued = now - Duration::from_secs(198);
    let text = |time| humantime::format_rfc3339_millis(time).to_string();
    form["issued_at"] = text(issued).into();
    form["not_after"] = text(issued + Duration::from_secs(300)).into();
    Ok(std::fs::write(&path, serde_json::to_vec(&form)?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_in_the_middle_of_a_redeploy_and_of_its_session() -> Result<()> {
    let sandbox = Sandbox::new("renewed in the middle")?;
    let web = sandbox.run_subject("web", &[], &images::subject_v1()?)?;
    let mut coordinator = Coordinator::start(sandbox.path()).await?;
    let host = coordinator.joined(&sandbox.data_dir()).await?;
    let data = DataDir::new(sandbox.data_dir());
    let first = Identity::load(&data)?.certificate;
    make_due_soon(&sandbox.data_dir())?;
    let agent = Running::start_settling(&sandbox.data_dir(), Duration::from_secs(5)).await?;
    coordinator.connected().await?;
    let id = RedeployId::generate();
    coordinator.say(Message::Redeploy(order(id, 1, &web, &images::subject_v2()?)))?;
    wait::until(PATIENCE, "the renewal", || Ok(Identity::load(&data)?.certificate != first))?;
    ensure!(!data.redeploy(id).report().exists(), "the redeploy was over before the renewal");
    let report = coordinator
        .until("the report, in the same session", |event| match event {
            Event::Said { said: Said::Report(of, report), .. } if of == id => Some(Ok(*report)),
            Event::Connected { .. } | Event::Lost { .. } => Some(Err("the session did not stand")),
            Event::Said { .. } => None,
        })
        .await?;
    let Ok(report) = report else { bail!("{report:?}") };
    ensure!(report.verdict() == v1::Verdict::Done, "{report:?}");
    ensure!(Identity::load(&data)?.host_id == host.as_str());

    // The next session is with the new one.
    ensure!(agent.stop().await?.is_ok());
    let agent = Running::start(&sandbox.data_dir()).await?;
    let (of, ..) = coordinator.connected().await?;
    ensure!(of == host);
    ensure!(agent.stop().await?.is_ok());
    let noted = coordinator.store.audit_log().await?;
    let renewals = noted.iter().filter(|row| row.what == "renew certificate" && row.result == "ok").count();
    ensure!(renewals == 1, "{noted:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_certificate_has_ended_says_what_to_do_and_is_not_let_in() -> Result<()> {
    let sandbox = Sandbox::new("certificate ended")?;
    let coordinator = Coordinator::signing_for(sandbox.path(), Duration::from_secs(1)).await?;
    coordinator.joined(&sandbox.data_dir()).await?;
    let identity = Identity::load(&DataDir::new(sandbox.data_dir()))?;
    wait::until(PATIENCE, "the certificate to end", || {
        // A certificate counts whole seconds, and its last one to its end.
        let ended = SystemTime::from(identity.not_after) + Duration::from_secs(1);
        Ok(ended < SystemTime::now())
    })?;
    let agent = sandbox.agent()?.spawn(&["run"])?;
    wait::until(PATIENCE, "the agent to say it", || {
        let said = agent.stderr_so_far();
        let parts = ["certificate of this host has ended", "coordinator.json", "no session; dials again"];
        let missing: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
        ensure!(missing.is_empty(), "{missing:?} is missing: {said}");
        Ok(true)
    })?;
    ensure!(coordinator.sessions.connected() == 0);
    agent.terminate()?;
    agent.wait(PATIENCE)?.expect_code(0).map(drop)
}
