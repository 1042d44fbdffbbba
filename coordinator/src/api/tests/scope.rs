//! What a token for some environments sees: what it is not for does not exist for it.

use super::*;

/// A deployment in `shop`, which `stage`'s tokens must not see.
async fn shop_at_work() -> (Room, String) {
    let room = room().await;
    let admin = room.caller(Role::Admin, &[]).await;
    let made = room.api.create(&admin, &deploy("shop", "cp", "2")).await.unwrap();
    (room, made.deployment_id)
}

fn is_missing<T>(done: Result<T, Refusal>) -> bool {
    matches!(done, Err(Refusal::Missing(_)))
}

#[tokio::test]
async fn a_token_of_another_environment_sees_nothing() {
    let (room, id) = shop_at_work().await;
    let api = &room.api;
    for role in [Role::Viewer, Role::Deployer] {
        let other = room.caller(role, &["stage"]).await;
        assert_eq!(api.list_nodes(&other, &v1::ListNodesRequest::default()).await.unwrap().nodes, []);
        assert_eq!(api.list_environments(&other).await.unwrap().environments, []);
        assert_eq!(api.list_groups(&other, "").await.unwrap().groups, []);
        assert_eq!(api.list_hosts(&other).await.unwrap().hosts, []);
        let list = v1::ListDeploymentsRequest::default();
        assert_eq!(api.list(&other, &list).await.unwrap().deployments, []);
        let events = v1::ListEventsRequest::default();
        assert_eq!(api.list_events(&other, &events).await.unwrap().events, []);
        assert!(is_missing(api.get_node(&other, 1).await));
        assert!(is_missing(api.get_host(&other, "alpha").await));
        assert!(is_missing(api.get_host(&other, "h1").await));
        assert!(is_missing(api.get(&other, &id).await));
        let group = api.list_groups(&other, "shop").await.unwrap_err();
        assert!(matches!(&group, Refusal::Missing(text) if !text.contains("nearest")), "{group}");
        assert!(matches!(api.metrics(&other).await, Err(Refusal::Forbidden(_))));
        let halt = v1::DeploymentActionRequest { deployment_id: id.clone(), comment: String::new() };
        let who = Command::Halt { who: other.name.clone() };
        assert!(is_missing(api.command(&other, &halt, "halt", who).await));
    }
}

#[tokio::test]
async fn a_token_of_the_environment_sees_it() {
    let (room, id) = shop_at_work().await;
    let api = &room.api;
    let own = room.caller(Role::Viewer, &["stage", "shop"]).await;
    assert_eq!(api.list_nodes(&own, &v1::ListNodesRequest::default()).await.unwrap().nodes.len(), 2);
    assert_eq!(api.list_environments(&own).await.unwrap().environments.len(), 1);
    assert_eq!(api.list_hosts(&own).await.unwrap().hosts[0].nodes, 2);
    assert_eq!(api.get_host(&own, "alpha").await.unwrap().nodes, 2);
    assert_eq!(api.get(&own, &id).await.unwrap().deployment_id, id);
    assert_eq!(api.list(&own, &v1::ListDeploymentsRequest::default()).await.unwrap().deployments.len(), 1);
    let events = api.list_events(&own, &v1::ListEventsRequest::default()).await.unwrap().events;
    assert!(!events.is_empty() && events.iter().all(|event| event.env == "shop"), "{events:?}");
}

#[tokio::test]
async fn an_admin_is_for_all_environments() {
    let room = room().await;
    let admin = room.caller(Role::Admin, &[]).await;
    let mut asked = v1::CreateApiTokenRequest {
        name: "ann".into(),
        role: v1::Role::Admin.into(),
        envs: vec!["shop".into()],
        expires_in_ms: 0,
    };
    let refused = room.api.create_api_token(&admin, &asked).await.unwrap_err().to_string();
    assert!(refused.contains("for all environments"), "{refused}");
    asked.role = v1::Role::Viewer.into();
    room.api.create_api_token(&admin, &asked).await.unwrap();
    // One that an earlier version made.
    let scoped = room.caller(Role::Admin, &["shop"]).await;
    asked.name = "bob".into();
    assert!(matches!(room.api.create_api_token(&scoped, &asked).await, Err(Refusal::Forbidden(_))));
    assert!(matches!(
        room.api.create(&scoped, &deploy("stage", "cp", "2")).await,
        Err(Refusal::Forbidden(_))
    ));
}

#[tokio::test]
async fn a_group_names_the_deployment_at_work_and_not_one_that_waits() {
    let (room, id) = shop_at_work().await;
    let admin = room.caller(Role::Admin, &["shop"]).await;
    let queued = v1::CreateDeploymentRequest { queue: true, ..deploy("shop", "cp", "3") };
    room.api.create(&admin, &queued).await.unwrap();
    let groups = room.api.list_groups(&admin, "shop").await.unwrap().groups;
    assert_eq!(groups[0].open_deployment_id, id);
}
