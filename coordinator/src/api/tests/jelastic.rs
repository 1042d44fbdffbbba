//! The Jelastic API over real TLS: as clients of the vendor's send it, with agents that answer or never do.

mod lasting;

use http::{Method, Request};
use serde_json::{Value, json};

use super::web::Port;
use super::whole::whole;
use super::*;
use http_body_util::Full;

const CONTROL: &str = "/1.0/environment/control/rest/";
const ACCOUNT: &str = "/1.0/users/authentication/rest/";

fn request(method: Method, path: &str, kind: &str, body: &str) -> Request<Full<bytes::Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "coordinator");
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    request.header("content-type", kind).body(body.into()).unwrap()
}

/// A form, as most clients send it.
async fn post(port: &Port, path: &str, form: &str) -> Value {
    let form = request(Method::POST, path, "application/x-www-form-urlencoded", form);
    let answer = port.send(form).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/json"),
        "{answer:?}"
    );
    let json = answer.json();
    for key in ["error", "reason", "source"] {
        assert!(json[key].is_string(), "{key}: {json}");
    }
    json
}

async fn control(port: &Port, method: &str, form: &str) -> Value {
    post(port, &format!("{CONTROL}{method}"), &format!("session={}&{form}", port.token)).await
}

/// The code and its word.
fn result(json: &Value) -> (u64, &str) {
    (json["result"].as_u64().unwrap(), json["reason"].as_str().unwrap())
}

#[tokio::test]
async fn a_group_is_redeployed_however_the_call_is_written() {
    let whole = whole(0).await;
    let port = Port::open(&whole.room).await;
    let token = port.token.clone();
    let all = format!("envName=live&nodeGroup=cp&tag=2&useExistingVolumes=True&session={token}");
    let by_group = format!("{CONTROL}redeploycontainersbygroup");
    let upper = "/1.0/Environment/Control/REST/RedeployContainers".to_owned();
    let json_body = json!({ "envName": "live", "nodeGroup": "cp", "tag": "2", "session": token }).to_string();
    for (method, path, kind, body) in [
        (Method::POST, by_group.clone(), "application/x-www-form-urlencoded", all.clone()),
        (Method::GET, format!("{by_group}?{all}"), "", String::new()),
        (Method::POST, format!("{upper}?{all}"), "application/json", String::new()),
        (
            Method::POST,
            format!("{by_group}?tag=2&session={token}"),
            "text/plain",
            "envName=live&nodeGroup=cp".into(),
        ),
        (Method::POST, by_group.clone(), "application/json", json_body),
        (Method::POST, format!("{by_group}?envName=&appid=cluster"), "", all.clone()),
    ] {
        let answer = port.send(request(method, &path, kind, &body)).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), result(&json)), (200, (0, "")), "{path}: {json}");
        let nodes = json["responses"].as_array().unwrap();
        assert_eq!(nodes.iter().map(|node| node["nodeid"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(
            nodes[0]["out"].as_str().unwrap().starts_with("Node has been successfully updated from image")
        );
        assert_eq!((&json["error"], &nodes[2]["result"]), (&json!(""), &json!(0)));
    }
    let one = control(&port, "redeploycontainerbyid", "envName=live&nodeId=4&tag=3").await;
    assert_eq!((result(&one), one["responses"].as_array().unwrap().len()), ((0, ""), 1));
    let log = whole.room.api.store.audit_log().await.unwrap();
    let deploys: Vec<&str> =
        log.iter().filter(|row| row.what == "deploy").map(|row| row.target.as_str()).collect();
    assert_eq!(deploys.len(), 7);
    assert_eq!(deploys[0], "live/cp 2 Jelastic API: RedeployContainersByGroup");
}

#[tokio::test]
async fn a_failure_is_told_node_by_node_and_the_next_call_replaces_it() {
    let whole = whole(3).await;
    let port = Port::open(&whole.room).await;
    let failed = control(&port, "redeploycontainers", "envName=live&nodeGroup=cp&tag=broken").await;
    assert_eq!(result(&failed), (70010, "undone"), "{failed}");
    let words: Vec<&str> =
        failed["responses"].as_array().unwrap().iter().map(|node| node["reason"].as_str().unwrap()).collect();
    assert_eq!(words, ["", "undone", "not_begun"]);
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("node 4 web: verify failed; 1 of 3 done"), "{error}");

    // For one of the nodes only.
    let again = control(&port, "redeploycontainers", "envName=live&nodeId=5&tag=2").await;
    assert_eq!(result(&again), (0, ""), "{again}");
    let caller = whole.room.caller(Role::Viewer, &[]).await;
    let first = whole.room.api.get(&caller, failed["deploymentId"].as_str().unwrap()).await.unwrap();
    assert_eq!(first.phase(), v1::DeploymentPhase::Cancelled);

    // One that an operator ordered is the operator's.
    let operator = whole.room.caller(Role::Admin, &["live"]).await;
    let made = whole.room.api.create(&operator, &deploy("live", "cp", "broken")).await.unwrap();
    whole.rests(&caller, &made.deployment_id, v1::DeploymentPhase::Halted).await;
    let busy = control(&port, "redeploycontainers", "envName=live&nodeGroup=cp&tag=2").await;
    assert_eq!(result(&busy), (2212, "busy"), "{busy}");
    assert!(busy["error"].as_str().unwrap().contains("is halted"), "{busy}");
}

#[tokio::test]
async fn what_cannot_be_done_has_its_code_and_a_text() {
    let room = room().await;
    let port = Port::open(&room).await;
    let viewer = room.token(Role::Viewer, &[]).await;
    let other = room.token(Role::Deployer, &["stage"]).await;
    for (session, method, form, code, text) in [
        (
            &*port.token,
            "redeploycontainers",
            "envName=shpo&nodeGroup=cp&tag=2",
            11,
            "the nearest is \"shop\"",
        ),
        (&port.token, "redeploycontainers", "envName=shop&nodeGroup=pc&tag=2", 5, "the nearest is \"cp\""),
        (&port.token, "redeploycontainers", "envName=shop&nodeId=9&tag=2", 5, "the nearest is 2"),
        (&port.token, "redeploycontainers", "envName=shop&tag=2", 70002, "neither was given"),
        (
            &port.token,
            "redeploycontainers",
            "envName=shop&nodeId=1&tag=db:2",
            70002,
            "only the tag can change",
        ),
        (
            &port.token,
            "redeploycontainersbygroup",
            "envName=shop&nodeGroup=cp&tag=2&delay=90000",
            70002,
            "a delay may",
        ),
        (&viewer, "redeploycontainers", "envName=shop&nodeGroup=cp&tag=2", 8202, "a token of role deployer"),
        // What a token is not for does not exist for it.
        (&other, "redeploycontainers", "envName=shop&nodeGroup=cp&tag=2", 11, "no environment \"shop\""),
        ("rda_wrong", "getenvinfo", "envName=shop", 70001, "sign in again"),
        ("", "getenvinfo", "envName=shop", 70001, "sign in again"),
        ("rds_wrong", "getenvs", "", 70001, "sign in again"),
        (&port.token, "getenvinfo", "", 70002, "envName is missing"),
        (&port.token, "getenvinfo", "envName=other", 11, "the nearest is"),
        (&port.token, "getcontainernodetags", "envName=shop", 70002, "nodeId is missing"),
        (&port.token, "getcontainernodetags", "envName=shop&nodeId=7", 5, "the nearest is 2"),
        (&port.token, "startenv", "envName=shop", 70003, "no method"),
    ] {
        let said = post(&port, &format!("{CONTROL}{method}"), &format!("session={session}&{form}")).await;
        let error = said["error"].as_str().unwrap();
        assert!(said["result"] == code && error.contains(text), "{method} {form}: {said}");
    }
    let long = "x".repeat(17 << 10);
    let said = control(&port, "getenvs", &format!("a={long}")).await;
    assert_eq!(result(&said), (70002, "parameter"));
    let path = format!("{CONTROL}redeploycontainers?session={other}&envName=shop&nodeGroup=cp&tag=2");
    assert_eq!(post(&port, &path, "").await["result"], 11);
}

#[tokio::test]
async fn a_session_stands_for_its_token_until_it_is_signed_out() {
    let room = room().await;
    let port = Port::open(&room).await;
    let token = room.token(Role::Deployer, &["shop"]).await;
    let sign_in = |password: &str| format!("login=ann@example.com&password={password}&appid=cluster");
    let signed = post(&port, &format!("{ACCOUNT}signin"), &sign_in(&token)).await;
    assert_eq!((result(&signed), &signed["email"]), ((0, ""), &json!("ann@example.com")), "{signed}");
    let session = signed["session"].as_str().unwrap().to_owned();
    let info = async |session: &str| {
        post(&port, &format!("{CONTROL}getenvinfo"), &format!("session={session}&envName=shop")).await
    };
    assert_eq!(result(&info(&session).await), (0, ""));
    // With the header instead, and on the other doors.
    let mut whoami = request(Method::GET, "/api/v1/whoami", "", "");
    whoami.headers_mut().insert("authorization", format!("Bearer {session}").parse().unwrap());
    assert_eq!(port.send(whoami).await.json()["name"], signed["name"]);

    for password in ["rda_wrong", &session, "", "x y"] {
        let refused = post(&port, &format!("{ACCOUNT}signin"), &sign_in(password)).await;
        let expected = if password.is_empty() { (70002, "parameter") } else { (70001, "session") };
        assert_eq!(result(&refused), expected, "{refused}");
        assert!(refused["session"].is_null());
    }
    assert_eq!(
        result(&post(&port, &format!("{ACCOUNT}signout"), &format!("session={session}")).await),
        (0, "")
    );
    assert_eq!(result(&info(&session).await), (70001, "session"));
    assert_eq!(
        result(&post(&port, &format!("{ACCOUNT}signout"), &format!("session={token}")).await),
        (0, "")
    );
    assert_eq!(result(&info(&token).await), (0, ""), "a token stays good");

    let second = post(&port, &format!("{ACCOUNT}signin"), &sign_in(&token)).await;
    let second = second["session"].as_str().unwrap();
    let id = room.api.store.api_tokens().await.unwrap();
    let id = id.iter().find(|row| row.role == Role::Deployer).unwrap().token_id.clone();
    room.api.store.revoke_api_token(&id, Moment::now()).await.unwrap();
    assert_eq!(result(&info(second).await), (70001, "session"), "its token is revoked");
    let log = room.api.store.audit_log().await.unwrap();
    let signs: Vec<&str> =
        log.iter().map(|row| row.what.as_str()).filter(|what| what.starts_with("sign")).collect();
    assert_eq!(signs, ["sign in", "sign in", "sign in", "sign in", "sign out", "sign in"]);
    assert!(!format!("{log:?}").contains(&token) && !format!("{log:?}").contains(&session));
}

#[tokio::test]
async fn environments_are_shown_with_what_clients_read() {
    let room = room().await;
    let port = Port::open(&room).await;
    let info = control(&port, "GetEnvInfo", "envName=shop").await;
    assert_eq!((&info["env"]["envName"], &info["env"]["status"]), (&json!("shop"), &json!(5)));
    assert_eq!(info["nodeGroups"][0]["name"], "cp");
    assert_eq!(info["nodes"][1]["id"], 2);
    assert_eq!(info["nodes"][1]["customitem"]["dockerName"], "r.example:5000/web");
    let all = control(&port, "getenvs", "").await;
    assert_eq!(all["infos"].as_array().unwrap().len(), 1);
    assert_eq!((&all["infos"][0]["env"], &all["infos"][0]["result"]), (&info["env"], &json!(0)));
    let tags = control(&port, "getcontainernodetags", "envName=shop&nodeId=1").await;
    assert_eq!(tags["object"], json!(["1"]));
    let begun = control(&port, "redeploycontainers", "envName=shop&nodeGroup=cp&tag=2&async=true").await;
    assert_eq!(result(&begun), (0, ""));
    assert_eq!(control(&port, "getenvinfo", "envName=shop").await["env"]["status"], 12);
    let tags = control(&port, "getcontainernodetags", "envName=shop&nodeId=1").await;
    assert_eq!(tags["object"], json!(["1", "2"]));
}
