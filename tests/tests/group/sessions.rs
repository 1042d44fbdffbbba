//! Orders down, reports up, through everything that can happen to a session in between.

use anyhow::{Context, Result, ensure};
use redeploy_agent::image::PullPolicy;
use redeploy_agent::lock::Lock;
use redeploy_agent::paths::DataDir;
use redeploy_agent::saga::Fault;
use redeploy_agent::session::{Note, RunError};
use redeploy_coordinator::moment::Moment;
use redeploy_coordinator::sessions::{Event, Said};
use redeploy_proto::v1::coordinator_message::Message;
use redeploy_proto::{RedeployId, v1};
use redeploy_tests::group::{Coordinator, Running, order};
use redeploy_tests::sandbox::Sandbox;
use redeploy_tests::{images, in_process};

/// Passes over everything until the order is written down on the host.
async fn accepted(coordinator: &mut Coordinator, id: RedeployId) -> Result<()> {
    coordinator
        .until("the acceptance", |event| match event {
            Event::Said { said: Said::Accepted(of), .. } if of == id => Some(()),
            Event::Said { .. } | Event::Connected { .. } | Event::Lost { .. } => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_redeployed_through_a_session_once_and_reported_until_acknowledged() -> Result<()> {
    let sandbox = Sandbox::new("through a session")?;
    let labels = ["--label", "io.redeploy.env=shop", "--label", "io.redeploy.group=cp"];
    let web = sandbox.run_subject("web", &labels, &images::subject_v1()?)?;
    let mut coordinator = Coordinator::start(sandbox.path()).await?;
    let host = coordinator.joined(&sandbox.data_dir()).await?;
    let agent = Running::start(&sandbox.data_dir()).await?;

    let (of, hello, open) = coordinator.connected().await?;
    ensure!(of == host && open.is_empty());
    let facts = hello.facts.context("no facts")?;
    ensure!(facts.cpus > 0 && facts.memory_total_bytes > 0 && facts.data_dir_free_bytes > 0, "{facts:?}");
    let inventory = hello.inventory.context("no inventory")?;
    let node = inventory.containers.iter().find(|node| node.name == web).context("not in the inventory")?;
    ensure!(node.env == "shop" && node.group == "cp" && node.state() == v1::ContainerState::Running);

    let id = RedeployId::generate();
    let mut check =
        v1::PreflightOrder { redeploy_id: id.to_string(), deadline_ms: 60_000, ..Default::default() };
    let redeploy = order(id, 1, &web, &images::subject_v2()?);
    (check.container, check.image, check.options) =
        (web.clone(), redeploy.image.clone(), redeploy.options.clone());
    coordinator.say(Message::Preflight(check))?;
    let preflight = coordinator
        .until("the preflight", |event| match event {
            Event::Said { said: Said::Preflight(_, preflight), .. } => Some(preflight),
            Event::Said { .. } | Event::Connected { .. } | Event::Lost { .. } => None,
        })
        .await?;
    ensure!(preflight.is_ok && preflight.plan_text.contains(&web), "{preflight:?}");

    // The same order twice is one redeploy.
    coordinator.say(Message::Redeploy(redeploy.clone()))?;
    coordinator.say(Message::Redeploy(redeploy.clone()))?;
    let report = coordinator.report(id).await?;
    ensure!(report.verdict() == v1::Verdict::Done && !report.is_local, "{report:?}");
    ensure!(report.node_id == 1 && report.generation == 1 && report.downtime_ms.is_some());
    ensure!(sandbox.http(&web)?.get("/version")?.text() == "v2\n");
    let stale = RedeployId::generate();
    coordinator.say(Message::Redeploy(order(stale, 1, &web, &images::subject_v1()?)))?;
    let refusal = coordinator.report(stale).await?;
    ensure!(
        refusal.verdict() == v1::Verdict::Refused && refusal.refusals[0].contains("generation"),
        "{refusal:?}"
    );

    // Not acknowledged, so it comes again with the next session; acknowledged, no more.
    ensure!(agent.stop().await?.is_ok());
    let agent = Running::start(&sandbox.data_dir()).await?;
    let (_, _, open) = coordinator.connected().await?;
    ensure!(open == [(id, true)], "{open:?}");
    ensure!(coordinator.report(id).await? == report);
    coordinator.acknowledge(id)?;
    coordinator.say(Message::Redeploy(redeploy))?;
    accepted(&mut coordinator, id).await?;
    ensure!(agent.stop().await?.is_ok());
    let agent = Running::start(&sandbox.data_dir()).await?;
    let (_, _, open) = coordinator.connected().await?;
    ensure!(open.is_empty(), "{open:?}");
    ensure!(agent.stop().await?.is_ok());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redeploy_goes_on_while_the_coordinator_is_away() -> Result<()> {
    let sandbox = Sandbox::new("coordinator away")?;
    let web = sandbox.run_subject("web", &[], &images::subject_v1()?)?;
    let mut coordinator = Coordinator::start(sandbox.path()).await?;
    let host = coordinator.joined(&sandbox.data_dir()).await?;
    let agent = Running::start(&sandbox.data_dir()).await?;
    coordinator.connected().await?;
    let id = RedeployId::generate();
    coordinator.say(Message::Redeploy(order(id, 1, &web, &images::subject_v2()?)))?;
    accepted(&mut coordinator, id).await?;

    let address = coordinator.stop().await;
    let data = redeploy_agent::paths::DataDir::new(&agent.data_dir);
    let report = data.redeploy(id).report();
    redeploy_tests::wait::until(redeploy_tests::wait::PATIENCE, "the redeploy to end", || {
        Ok(report.exists())
    })?;
    ensure!(sandbox.http(&web)?.get("/version")?.text() == "v2\n");

    let mut coordinator = Coordinator::restart(sandbox.path(), address).await?;
    let (of, _, open) = coordinator.connected().await?;
    ensure!(of == host && open == [(id, true)], "{open:?}");
    ensure!(coordinator.report(id).await?.verdict() == v1::Verdict::Done);
    ensure!(agent.stop().await?.is_ok());
    Ok(())
}

/// A host that says nothing is unknown to its coordinator, and that halts whatever it is part of.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_wait_for_a_local_command_but_orders_do() -> Result<()> {
    let sandbox = Sandbox::new("local command")?;
    let mut coordinator = Coordinator::start(sandbox.path()).await?;
    coordinator.joined(&sandbox.data_dir()).await?;
    let command = Lock::take(&DataDir::new(sandbox.data_dir()))?;
    let agent = Running::start(&sandbox.data_dir()).await?;
    coordinator.connected().await?;
    let id = RedeployId::generate();
    coordinator.say(Message::Redeploy(order(id, 1, "nobody", "none:1")))?;
    accepted(&mut coordinator, id).await?;
    let note = || Note::read(&DataDir::new(sandbox.data_dir()).redeploy(id));
    ensure!(note().is_some_and(|note| note.refusals.is_empty()), "{:?}", note());

    drop(command);
    ensure!(coordinator.report(id).await?.verdict() == v1::Verdict::Refused);
    ensure!(agent.stop().await?.is_ok());
    Ok(())
}

/// A parked container has its node's labels. Told as one that serves, it would become a node of the group.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_aside_in_the_middle_of_a_redeploy_is_not_in_the_inventory() -> Result<()> {
    let sandbox = Sandbox::new("set aside")?;
    let web = sandbox.run_subject("web", &[], &images::subject_v1()?)?;
    let mut coordinator = Coordinator::start(sandbox.path()).await?;
    coordinator.joined(&sandbox.data_dir()).await?;
    // Ends after the swap and before the commit, with everything as it is then.
    let stopped = in_process::agent(&sandbox.data_dir(), &[Fault::StopAt(14)]).await?;
    let request = in_process::request(&web, &images::subject_v2()?);
    let agent = Running::start(&sandbox.data_dir()).await?;
    coordinator.connected().await?;
    let ended = stopped.redeploy(RedeployId::generate(), &request, PullPolicy::Never, None).await;
    ensure!(ended.is_err(), "it was not stopped: {ended:?}");
    let names = sandbox.containers()?;
    ensure!(names.len() == 2 && names[1].starts_with(&format!("{web}.parked-")), "{names:?}");
    let new = sandbox.docker().inspect(&web)?["Id"].as_str().unwrap_or_default().to_owned();

    let inventory = coordinator
        .until("the inventory after the swap", |event| match event {
            Event::Said { said: Said::Inventory(inventory), .. }
                if inventory.containers.iter().any(|container| container.container_id == new) =>
            {
                Some(inventory)
            }
            Event::Said { .. } | Event::Connected { .. } | Event::Lost { .. } => None,
        })
        .await?;
    let ours: Vec<_> = inventory.containers.iter().filter(|one| one.name.starts_with(&web)).collect();
    ensure!(ours.len() == 1, "{ours:?}");
    ensure!(agent.stop().await?.is_ok());
    drop(stopped);
    sandbox.agent()?.run(&["recover"])?.expect_code(0).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_session_wins_and_a_revoked_host_is_cut_off() -> Result<()> {
    let sandbox = Sandbox::new("newest wins")?;
    let mut coordinator = Coordinator::start(sandbox.path()).await?;
    let host = coordinator.joined(&sandbox.data_dir()).await?;
    let first = Running::start(&sandbox.data_dir()).await?;
    coordinator.connected().await?;
    // The same host once more: a copy of its data directory.
    let copy = sandbox.path().join("copy");
    std::fs::create_dir(&copy)?;
    std::fs::copy(sandbox.data_dir().join("coordinator.json"), copy.join("coordinator.json"))?;
    let second = Running::start(&copy).await?;
    coordinator.connected().await?;
    ensure!(coordinator.sessions.connected() == 1);
    ensure!(first.stop().await?.is_ok());

    coordinator.store.revoke_host(&host, Moment::now()).await?;
    coordinator.sessions.cut(&host);
    let ended = second.ended().await?;
    ensure!(matches!(ended, Err(RunError::Revoked)), "{ended:?}");
    ensure!(coordinator.sessions.connected() == 0);
    Ok(())
}
