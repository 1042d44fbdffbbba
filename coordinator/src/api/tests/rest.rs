//! The REST API over real TLS.

use http::Method;
use serde_json::{Value, json};

use super::web::{Port, events};
use super::whole::whole;
use super::*;
use crate::json::of;
use crate::views::Containers;

fn order(tag: &str) -> Value {
    json!({ "target": { "env": "shop", "group": "cp" }, "tag": tag, "comment": "why not" })
}

#[tokio::test]
async fn a_deployment_is_made_seen_and_ordered_about_as_over_grpc() {
    let room = room().await;
    let port = Port::open(&room).await;
    let caller = room.caller(Role::Viewer, &[]).await;
    let made = port.post("/api/v1/deployments", &order("2")).await;
    assert_eq!((made.status.as_u16(), made.header("content-type")), (201, "application/json"), "{made:?}");
    let id = made.json()["deployment_id"].as_str().unwrap().to_owned();
    let place = format!("/api/v1/deployments/{id}");
    assert_eq!(made.header("location"), place);
    assert_eq!(
        (made.header("cache-control"), made.header("x-content-type-options")),
        ("no-store", "nosniff")
    );

    let seen = port.get(&place).await.json();
    let same = room.api.get(&caller, &id).await.unwrap();
    assert_eq!(seen, of(&same), "the answer is the gRPC message's form");
    assert_eq!((&seen["phase"], &seen["nodes"][1]["phase"]), (&json!("preflight"), &json!("waiting")));
    let short = port.get(&format!("/api/v1/deployments/{}", &id[28..])).await.json();
    assert_eq!(short["deployment_id"], json!(id));
    let http2 = port.begin_http2(port.request(Method::GET, &place, "")).await;
    assert_eq!(web::whole(http2).await.json()["deployment_id"], json!(id), "the same over HTTP/2");

    let busy = port.post("/api/v1/deployments", &order("3")).await.problem(409, "failed_precondition");
    assert!(busy.contains("`cancel`"), "{busy}");
    let halted = port.post(&format!("{place}/halt"), &json!({ "comment": "wait" })).await.json();
    assert_eq!(halted["phase"], "halted");
    let over = port.send(port.request(Method::POST, &format!("{place}/cancel"), "")).await.json();
    assert_eq!(over["phase"], "cancelled");
    let none = port.post(&format!("{place}/resume"), &json!({})).await.problem(409, "failed_precondition");
    assert!(!none.is_empty());

    let list = port.get("/api/v1/deployments?env=shop&page_size=1&only_open=false").await.json();
    assert_eq!(
        (&list["deployments"][0]["nodes"], list["deployments"].as_array().unwrap().len()),
        (&json!([]), 1)
    );
    let open = port.get("/api/v1/deployments?only_open=true").await.json();
    assert_eq!(open["deployments"], json!([]));
    let log = room.api.store.audit_log().await.unwrap();
    let lines: Vec<(&str, &str)> = log.iter().map(|row| (row.what.as_str(), row.target.as_str())).collect();
    assert_eq!(lines[0], ("deploy", "shop/cp 2 why not"));
    assert!(log.iter().all(|row| row.address.starts_with("127.0.0.1:")), "{log:?}");
    port.close().await;
}

#[tokio::test]
async fn every_other_resource_answers() {
    let room = room().await;
    let port = Port::open(&room).await;
    assert_eq!(port.get("/api/v1/environments").await.json()["environments"][0]["name"], "shop");
    assert_eq!(port.get("/api/v1/groups?env=shop").await.json()["groups"][0]["nodes"], 2);
    let nodes = port.get("/api/v1/nodes?group=cp").await.json();
    assert_eq!(nodes["nodes"][0]["container"]["image"], "r.example:5000/web:1");
    assert_eq!(port.get("/api/v1/nodes/2").await.json()["node_id"], 2);
    let asked = json!({ "host": "alpha", "container": "c", "env": "shop", "group": "db" });
    let unknown = port.post("/api/v1/nodes", &asked).await.problem(409, "failed_precondition");
    assert!(unknown.contains("host h1 is not connected"), "{unknown}");
    let mut told = Containers { names: vec!["web".to_owned(), "c".to_owned()], are_more: false };
    let host = "h1".parse().unwrap();
    room.api.views.containers(&host, told.clone());
    let mistyped = json!({ "host": "alpha", "container": "wbe", "env": "shop", "group": "db" });
    let missing = port.post("/api/v1/nodes", &mistyped).await.problem(404, "not_found");
    assert!(missing.contains("the nearest is \"web\""), "{missing}");
    // What a host could not tell may be there.
    told.are_more = true;
    room.api.views.containers(&host, told);
    assert_eq!(port.post("/api/v1/nodes", &mistyped).await.status.as_u16(), 200);
    let adopted = port.post("/api/v1/nodes", &asked).await;
    assert_eq!((adopted.status.as_u16(), &adopted.json()["is_adopted"]), (200, &json!(true)));
    let path = format!("/api/v1/nodes/{}", adopted.json()["node_id"]);
    let forgotten = port.send(port.request(Method::DELETE, &path, "")).await;
    assert_eq!((forgotten.status.as_u16(), forgotten.text.as_str()), (204, ""));
    port.get(&path).await.problem(404, "not_found");

    assert_eq!(port.get("/api/v1/hosts/alpha").await.json()["state"], "lost");
    let revoked = port.post("/api/v1/hosts/alpha/revoke", &json!({ "comment": "sold" })).await.json();
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(port.get("/api/v1/hosts").await.json()["hosts"].as_array().unwrap().len(), 1);

    let join = port.post("/api/v1/join-tokens", &json!({ "comment": "h9" })).await;
    assert_eq!(join.status.as_u16(), 201);
    let id = join.json()["info"]["token_id"].as_str().unwrap().to_owned();
    let revoked = port.post(&format!("/api/v1/join-tokens/{id}/revoke"), &json!({})).await.json();
    assert_eq!((&revoked["is_revoked"], &revoked["comment"]), (&json!(true), &json!("h9")));
    assert_eq!(port.get("/api/v1/join-tokens").await.json()["tokens"].as_array().unwrap().len(), 1);

    let asked = json!({ "name": "ci", "role": "deployer", "envs": ["shop"] });
    let made = port.post("/api/v1/api-tokens", &asked).await.json();
    let mut request = port.request(Method::GET, "/api/v1/whoami", "");
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    assert_eq!(port.send(request.clone()).await.json()["name"], "ci");
    port.post("/api/v1/api-tokens/ci/revoke", &json!({})).await.json();
    port.send(request).await.problem(401, "unauthenticated");
    let tokens = port.get("/api/v1/api-tokens").await.text;
    assert!(tokens.contains("\"ci\"") && !tokens.contains(made["token"].as_str().unwrap()), "{tokens}");

    let nobody = port.post("/api/v1/nodes/77/revert", &json!({ "options": { "volumes": "keep" } })).await;
    nobody.problem(404, "not_found");
    let reverted = port.post("/api/v1/nodes/1/revert", &json!({})).await;
    assert_eq!((reverted.status.as_u16(), &reverted.json()["kind"]), (201, &json!("revert")), "{reverted:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_a_problem_that_says_so() {
    let room = room().await;
    let port = Port::open(&room).await;
    let (get, post) = (Method::GET, Method::POST);
    let long = "x".repeat(300 << 10);
    let all = "/api/v1/deployments";
    for (method, path, body, status, code, detail) in [
        (&get, "/api/v1/nothing", "", 404, "no_route", "there is nothing at /api/v1/nothing"),
        (&get, "/api/v1/deployments/", "", 404, "no_route", "nothing at"),
        (&get, "/", "", 404, "no_route", "nothing at"),
        (&Method::PUT, all, "", 405, "method_not_allowed", "PUT"),
        (&get, "/api/v1/plans", "", 405, "method_not_allowed", "GET"),
        (&post, all, "{\"tga\":1}", 400, "invalid_argument", "`tga` is not known here"),
        (&post, all, "{\"queue\":1}", 400, "invalid_argument", "`queue` must be true or false"),
        (&post, all, "[]", 400, "invalid_argument", "must be a JSON object"),
        (&post, all, "{\"tag\": \n\"secret", 400, "invalid_argument", "line 2"),
        (&post, all, "\u{1}", 400, "invalid_argument", "is not JSON"),
        (&post, all, "{\"tag\":\"1\",\"tag\":\"2\"}", 400, "invalid_argument", "a name twice"),
        (&post, all, "{}", 400, "invalid_argument", "neither"),
        (&post, all, long.as_str(), 413, "too_large", "262144 bytes at most"),
        (&post, "/api/v1/deployments?x=1", "{}", 400, "invalid_argument", "stands in the query"),
        (&get, "/api/v1/deployments?x=1", "", 400, "invalid_argument", "`x` is not known here"),
        (
            &get,
            "/api/v1/deployments?page_size=-1",
            "",
            400,
            "invalid_argument",
            "`page_size` must be a whole number",
        ),
        (&get, "/api/v1/deployments?env=a&env=b", "", 400, "invalid_argument", "`env` is said twice"),
        (&get, "/api/v1/deployments/abcd1234", "", 404, "not_found", "there is no deployment"),
        (&get, "/api/v1/deployments/ab", "", 400, "invalid_argument", "four characters"),
        (&get, "/api/v1/deployments/%FF%FE1234", "", 404, "no_route", "nothing at"),
        (&get, "/api/v1/nodes/x", "", 400, "invalid_argument", "`node_id` must be a whole number"),
        (&get, "/api/v1/nodes/99", "", 404, "not_found", "there is no node 99"),
        (&get, "/api/v1/hosts/alfa", "", 404, "not_found", "the nearest is \"alpha\""),
        (&post, "/api/v1/nodes/1/revert", "{\"node_id\":2}", 400, "invalid_argument", "said twice"),
    ] {
        let answer = port.send(port.request(method.clone(), path, body)).await;
        let said = answer.problem(status, code);
        assert!(said.contains(detail), "{method} {path} {said}");
        assert!(!answer.text.contains("secret"), "what was sent is not told: {said}");
    }
    let allowed = port.send(port.request(Method::PUT, all, "")).await;
    let mut methods: Vec<&str> = allowed.header("allow").split(',').collect();
    methods.sort_unstable();
    assert_eq!(methods, ["GET", "HEAD", "POST"]);
    let mut request = port.request(post, all, "tag=2");
    request.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    port.send(request).await.problem(415, "not_json");
}

#[tokio::test]
async fn strangers_and_small_roles_are_refused_before_anything_is_read() {
    let room = room().await;
    let port = Port::open(&room).await;
    for bearer in ["", "Bearer nonsense", "Basic YTpi"] {
        let mut request = port.request(Method::POST, "/api/v1/deployments", "no JSON at all");
        request.headers_mut().insert("authorization", bearer.parse().unwrap());
        let answer = port.send(request).await;
        assert_eq!(answer.problem(401, "unauthenticated"), "a valid API token is needed");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let log = room.api.store.audit_log().await.unwrap();
    let noted: Vec<(&str, &str)> = log.iter().map(|row| (row.who.as_str(), row.what.as_str())).collect();
    assert_eq!(noted, [("unknown", "deploy"); 3], "noted under the same word as over gRPC");
    for (role, envs) in [(Role::Viewer, &["shop"][..]), (Role::Deployer, &["stage"][..])] {
        let bearer = format!("Bearer {}", room.token(role, envs).await);
        for (path, body) in [("/api/v1/deployments", order("2")), ("/api/v1/join-tokens", json!({}))] {
            let mut request = port.request(Method::POST, path, &body.to_string());
            request.headers_mut().insert("authorization", bearer.parse().unwrap());
            port.send(request).await.problem(403, "permission_denied");
        }
    }
}

#[tokio::test]
async fn a_flood_of_bad_tokens_is_told_when_to_come_again() {
    let room = room().await;
    let port = Port::open(&room).await;
    let mut request = port.request(Method::GET, "/api/v1/hosts", "");
    request.headers_mut().insert("authorization", "Bearer nonsense".parse().unwrap());
    let mut answer = port.send(request.clone()).await;
    for _ in 0..60 {
        answer = port.send(request.clone()).await;
    }
    assert_eq!(answer.header("retry-after"), "1");
    answer.problem(429, "resource_exhausted");
    assert_eq!(port.get("/api/v1/hosts").await.status.as_u16(), 200, "a good token comes through");
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_is_safe_to_repeat() {
    let room = room().await;
    let port = Port::open(&room).await;
    let keyed = |key: &str, body: &Value| {
        let mut request = port.request(Method::POST, "/api/v1/deployments", &body.to_string());
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let first = port.send(keyed("k1", &order("2"))).await.json();
    let again = port.send(keyed("k1", &order("2"))).await;
    assert_eq!((again.status.as_u16(), &again.json()["deployment_id"]), (201, &first["deployment_id"]));
    port.send(keyed("k1", &order("3"))).await.problem(409, "already_exists");
    let mut body = order("2");
    body["idempotency_key"] = json!("k1");
    let in_body = port.post("/api/v1/deployments", &body).await.json();
    assert_eq!(in_body["deployment_id"], first["deployment_id"], "header and body are one");
    let said = port.send(keyed("k2", &body)).await.problem(400, "invalid_argument");
    assert!(said.contains("`idempotency_key` is said twice"), "{said}");
    // Also when nothing of what it was aimed at is left.
    for node in [1, 2] {
        let forget = port.request(Method::DELETE, &format!("/api/v1/nodes/{node}"), "");
        assert_eq!(port.send(forget).await.status.as_u16(), 204);
    }
    port.send(keyed("k3", &order("2"))).await.problem(404, "not_found");
    let again = port.send(keyed("k1", &order("2"))).await;
    assert_eq!((again.status.as_u16(), &again.json()["deployment_id"]), (201, &first["deployment_id"]));
}

#[tokio::test]
async fn an_image_of_another_repository_is_refused_unless_it_is_allowed() {
    let room = room().await;
    let port = Port::open(&room).await;
    let mut asked = order("2");
    asked.as_object_mut().unwrap().remove("tag");
    asked["image"] = json!("r.example:5000/wbe:2");
    for path in ["/api/v1/plans", "/api/v1/deployments"] {
        let refused = port.post(path, &asked).await.problem(409, "failed_precondition");
        assert!(refused.contains("node 1 runs r.example:5000/web:1"), "{refused}");
        assert!(refused.contains("r.example:5000/wbe is another repository"), "{refused}");
    }
    asked["allow_image_change"] = json!(true);
    assert_eq!(port.post("/api/v1/deployments", &asked).await.status.as_u16(), 201);
}

#[tokio::test]
async fn a_deployment_is_watched_to_its_end_and_events_are_taken_up_again() {
    let whole = whole(0).await;
    let port = Port::open(&whole.room).await;
    let asked = json!({ "target": { "env": "live", "group": "cp" }, "tag": "2" });
    let id =
        port.post("/api/v1/deployments", &asked).await.json()["deployment_id"].as_str().unwrap().to_owned();
    let answer = port.get(&format!("/api/v1/deployments/{id}/watch")).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let seen = events(&answer.text);
    let (last, before) = seen.split_last().unwrap();
    assert_eq!(last.1, "end", "{answer:?}");
    let end = &before.last().unwrap().2["deployment"];
    assert_eq!((&end["phase"], &end["nodes"][2]["report"]["verdict"]), (&json!("done"), &json!("done")));
    port.get("/api/v1/deployments/abcd1234/watch").await.problem(404, "not_found");

    let list = port.get(&format!("/api/v1/events?deployment_id={id}")).await.json();
    let list = list["events"].as_array().unwrap().clone();
    assert!(list.len() > 4, "{list:?}");
    // A browser that saw the second event connects again with the address it had.
    let mut request =
        port.request(Method::GET, &format!("/api/v1/events/watch?deployment_id={id}&after_seq=0"), "");
    request.headers_mut().insert("last-event-id", list[1]["seq"].to_string().parse().unwrap());
    let mut body = port.begin(request).await.into_body();
    let mut text = String::new();
    while events(&text).len() < list.len() - 2 {
        let frame = tokio::time::timeout(
            std::time::Duration::from_secs(30),
            http_body_util::BodyExt::frame(&mut body),
        );
        let frame = frame.await.expect("events stopped coming").unwrap().unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let told = events(&text);
    assert_eq!(told.iter().map(|event| &event.2).collect::<Vec<_>>(), list[2..].iter().collect::<Vec<_>>());
    assert!(
        told.iter()
            .all(|(id, name, event)| event["seq"] == json!(id.parse::<u64>().unwrap()) && name.is_empty())
    );
    let bad = port.get("/api/v1/events/watch?after_seq=x").await.problem(400, "invalid_argument");
    assert!(bad.contains("`after_seq` must be"), "{bad}");
}
