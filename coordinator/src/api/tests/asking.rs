//! What is asked and changes nothing: plans, histories, events, the last redeploy of a node.

use super::whole::{report, say, whole};
use super::*;
use crate::moment::Moment;
use crate::sessions::Said;
use crate::store::{EventFilter, Ledger};

#[tokio::test]
async fn a_plan_asks_every_node_about_the_digest_the_first_one_found_and_stores_nothing() {
    let whole = whole(0).await;
    let api = &whole.room.api;
    let caller = whole.room.caller(Role::Deployer, &["live"]).await;
    let plan = api.plan(&caller, &deploy("live", "cp", "2")).await.unwrap();
    assert!(plan.is_ok);
    assert_eq!(plan.image.unwrap().digest, "sha256:1");
    let texts: Vec<&str> =
        plan.nodes.iter().map(|node| node.preflight.as_ref().unwrap().plan_text.as_str()).collect();
    assert_eq!(texts, ["asked about \"\"", "asked about \"sha256:1\"", "asked about \"sha256:1\""]);
    assert_eq!(plan.nodes[2].node.as_ref().unwrap().node_id, 5);
    assert_eq!(api.store.load().await.unwrap().0, [], "a plan is no deployment");
    let log = api.store.audit_log().await.unwrap();
    assert!(log.iter().any(|row| row.what == "plan" && row.target == "live/cp 2" && row.result == "ok"));

    let viewer = whole.room.caller(Role::Viewer, &[]).await;
    let refused = api.plan(&viewer, &deploy("live", "cp", "2")).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(_))));
}

#[tokio::test]
async fn a_plan_says_which_hosts_do_not_answer_and_never_waits_for_ever() {
    let room = room().await;
    let caller = room.caller(Role::Admin, &[]).await;
    let request = v1::CreateDeploymentRequest { deadline_ms: 1, ..deploy("shop", "cp", "2") };
    let plan = room.api.plan(&caller, &request).await.unwrap();
    assert!(!plan.is_ok);
    assert!(plan.nodes.iter().all(|node| node.problem.contains("host h1 is silent")), "{plan:?}");

    // Connected, and deaf; then its session ends.
    let host: HostId = "h1".parse().unwrap();
    room.api.views.connected(host.clone(), 7);
    let views = room.api.views.clone();
    let request = deploy("shop", "cp", "2");
    let planning = room.api.plan(&caller, &request);
    let ending = async {
        tokio::task::yield_now().await;
        // Until both nodes were asked, one after the other.
        loop {
            views.disconnected(&host, 7);
            tokio::task::yield_now().await;
        }
    };
    let plan = tokio::select! {
        plan = planning => plan.unwrap(),
        () = ending => unreachable!(),
    };
    assert!(plan.nodes.iter().all(|node| node.preflight.is_none() && !node.problem.is_empty()), "{plan:?}");
}

#[tokio::test]
async fn what_a_command_on_a_host_did_is_an_event_and_the_last_redeploy_of_its_node() {
    let whole = whole(0).await;
    let (api, host) = (&whole.room.api, "w1".parse::<HostId>().unwrap());
    let caller = whole.room.caller(Role::Viewer, &[]).await;
    let id = RedeployId::generate();
    let local = v1::Report {
        is_local: true,
        container: "web".into(),
        from_image: "web:1".into(),
        to_image: "web:9".into(),
        ended_at_ms: Moment::now().0,
        kind: v1::RedeployKind::Redeploy.into(),
        ..report(&id.to_string(), v1::Verdict::Done)
    };
    // Said again until acknowledged.
    for _ in 0..2 {
        say(&whole.agents, &host, Said::Report(id, Box::new(local.clone()))).await;
    }
    let events =
        api.store.events(&EventFilter { env: "live", ..EventFilter::default() }, 1000).await.unwrap();
    let told: Vec<_> = events.iter().filter(|event| event.kind == "node.local_redeploy").collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].node_id, told[0].host_id.as_str(), told[0].grp.as_str()), (3, "w1", "cp"));
    assert_eq!(told[0].text, "web: a command on its host, from web:1 to web:9: done");
    let node = api.get_node(&caller, 3).await.unwrap();
    assert_eq!(node.last_redeploy.as_ref().unwrap(), &local);
    assert_eq!(api.get_node(&caller, 4).await.unwrap().last_redeploy, None);

    // What ends otherwise later is told again.
    let stuck = v1::Report { verdict: v1::Verdict::Stuck.into(), ..local };
    say(&whole.agents, &host, Said::Report(id, Box::new(stuck.clone()))).await;
    let events =
        api.store.events(&EventFilter { env: "live", ..EventFilter::default() }, 1000).await.unwrap();
    assert!(events.last().is_some_and(|event| event.text.contains("is stuck, a human is needed")));
    // A container that is no node has no last redeploy, and still an event.
    let other = v1::Report { container: "db".into(), ..stuck };
    say(&whole.agents, &host, Said::Report(RedeployId::generate(), Box::new(other.clone()))).await;
    let events = api.store.events(&EventFilter::default(), 1000).await.unwrap();
    assert!(events.last().is_some_and(|event| event.node_id == 0 && event.text.starts_with("db: ")));

    // Of an order and a command the one that ended later counts.
    let admin = whole.room.caller(Role::Admin, &[]).await;
    let made = api.create(&admin, &deploy("live", "cp", "2")).await.unwrap();
    let done = whole.rests(&admin, &made.deployment_id, v1::DeploymentPhase::Done).await;
    let ended = api.get_node(&caller, 4).await.unwrap().last_redeploy.unwrap();
    assert_eq!(ended.redeploy_id, done.nodes[1].redeploy_id);
    assert_eq!(api.get_node(&caller, 3).await.unwrap().last_redeploy.unwrap().redeploy_id, id.to_string());
}

#[tokio::test]
async fn a_history_is_of_a_group_or_a_node_and_says_when_it_started_and_why() {
    let whole = whole(0).await;
    let api = &whole.room.api;
    let caller = whole.room.caller(Role::Admin, &[]).await;
    let request = v1::CreateDeploymentRequest { comment: "because".into(), ..deploy("live", "cp", "2") };
    let made = api.create(&caller, &request).await.unwrap();
    let done = whole.rests(&caller, &made.deployment_id, v1::DeploymentPhase::Done).await;
    assert!(done.started_at_ms >= done.created_at_ms && done.ended_at_ms >= done.started_at_ms, "{done:?}");
    assert_eq!(done.comment, "because");
    assert!(done.nodes.iter().all(|node| node.preflight.as_ref().is_none_or(|p| p.plan_text.is_empty())));

    let of = |env: &str, group: &str, node_id: u32| {
        let (env, group) = (env.to_owned(), group.to_owned());
        v1::ListDeploymentsRequest { env, group, node_id, ..v1::ListDeploymentsRequest::default() }
    };
    for (request, count) in
        [(of("live", "cp", 0), 1), (of("", "", 4), 1), (of("", "", 1), 0), (of("shop", "cp", 0), 0)]
    {
        assert_eq!(api.list(&caller, &request).await.unwrap().deployments.len(), count, "{request:?}");
    }
    for (request, expected) in [
        (of("lvie", "", 0), "the nearest is \"live\""),
        (of("live", "pc", 0), "the nearest is \"cp\""),
        (of("", "", 99), "there is no node 99; the nearest is 5"),
    ] {
        let refused = api.list(&caller, &request).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_named_with_the_nearest_that_does() {
    let room = room().await;
    let caller = room.caller(Role::Admin, &[]).await;
    let nodes = |env: &str, group: &str, host: &str| v1::ListNodesRequest {
        env: env.into(),
        group: group.into(),
        host_id: host.into(),
    };
    assert_eq!(room.api.list_nodes(&caller, &nodes("shop", "cp", "alpha")).await.unwrap().nodes.len(), 2);
    for (request, expected) in [
        (nodes("shpo", "", ""), "there is no environment \"shpo\"; the nearest is \"shop\""),
        (nodes("", "pc", ""), "there is no group \"pc\"; the nearest is \"cp\""),
        (nodes("", "", "alfa"), "there is no host \"alfa\"; the nearest is \"alpha\""),
    ] {
        let refused = room.api.list_nodes(&caller, &request).await.unwrap_err().to_string();
        assert_eq!(refused, expected);
    }
    let groups = room.api.list_groups(&caller, "shpo").await.unwrap_err().to_string();
    assert!(groups.contains("\"shop\""), "{groups}");
    let node = room.api.get_node(&caller, 7).await.unwrap_err().to_string();
    assert_eq!(node, "there is no node 7; the nearest is 2");
    let token = room.api.revoke_api_token(&caller, "Admn[]").await.unwrap_err().to_string();
    assert_eq!(token, "there is no API token \"Admn[]\"; the nearest is \"Admin[]\"");
    let events = v1::ListEventsRequest { env: "shpo".into(), ..v1::ListEventsRequest::default() };
    let events = room.api.list_events(&caller, &events).await.unwrap_err().to_string();
    assert!(events.contains("\"shop\""), "{events}");
}

#[tokio::test]
async fn the_newest_events_come_oldest_first() {
    let whole = whole(0).await;
    let api = &whole.room.api;
    let caller = whole.room.caller(Role::Admin, &[]).await;
    let made = api.create(&caller, &deploy("live", "cp", "2")).await.unwrap();
    whole.rests(&caller, &made.deployment_id, v1::DeploymentPhase::Done).await;
    let short = made.deployment_id[28..].to_owned();
    let asked = v1::ListEventsRequest { newest: 2, deployment_id: short, ..v1::ListEventsRequest::default() };
    let events = api.list_events(&caller, &asked).await.unwrap().events;
    assert_eq!(events.len(), 2);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert!(events[0].seq < events[1].seq && kinds.contains(&"deployment.done"), "{kinds:?}");
}
