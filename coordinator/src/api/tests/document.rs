//! The OpenAPI document beside what is served.

use http::Method;
use serde_json::{Value, json};

use super::web::Port;
use super::*;
use crate::api::rest::document::document;
use crate::api::rest::routes::{BASE, ROUTES, method};
use crate::json;
use redeploy_proto::v1::operator_service_server::SERVICE_NAME;

/// Everything documented: path, method in capitals, operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, verbs): (&String, &Value)| {
        let verbs = verbs.as_object().unwrap();
        verbs
            .iter()
            .map(|(verb, operation)| (path.clone(), verb.to_uppercase(), operation.clone()))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

/// A path with something in the place of its fields.
fn filled(path: &str) -> String {
    path.replace("{node_id}", "1").replace("{deployment_id}", "abcd1234").replace(['{', '}'], "")
}

#[test]
fn every_call_of_the_contract_has_one_route_and_every_route_a_call() {
    let service = json::service(SERVICE_NAME).unwrap();
    let mut calls: Vec<String> = service.methods().map(|method| method.name().to_owned()).collect();
    let mut routed: Vec<String> = ROUTES.iter().map(|route| route.rpc.to_owned()).collect();
    calls.sort();
    routed.sort();
    assert_eq!(calls, routed);
    for route in ROUTES {
        let input = method(route).unwrap().input();
        assert!(route.in_path().iter().all(|name| input.get_field_by_name(name).is_some()), "{route:?}");
    }
}

#[tokio::test]
async fn the_document_and_the_router_know_the_same() {
    let room = room().await;
    let port = Port::open(&room).await;
    let served = port.get("/api/v1/openapi.json").await.json();
    assert_eq!(served, document());
    assert_eq!(served["openapi"], "3.1.0");
    let operations = operations(&served);
    assert_eq!(operations.len(), ROUTES.len() + 4);
    for route in ROUTES {
        let path = format!("{BASE}{}", route.path);
        assert!(served["paths"][&path][route.verb.word()].is_object(), "{path} is not documented");
    }
    let mut ids: Vec<&Value> = operations.iter().map(|(_, _, operation)| &operation["operationId"]).collect();
    ids.sort_by_key(|id| id.to_string());
    ids.dedup();
    assert_eq!(ids.len(), operations.len(), "an id stands twice");
    for (path, verbs) in served["paths"].as_object().unwrap() {
        // What the router says is possible is what the document says.
        let refused = port.send(port.request(Method::PATCH, &filled(path), "")).await;
        refused.problem(405, "method_not_allowed");
        let mut allowed: Vec<&str> =
            refused.header("allow").split(',').filter(|verb| *verb != "HEAD").collect();
        allowed.sort_unstable();
        let mut documented: Vec<String> =
            verbs.as_object().unwrap().keys().map(|verb| verb.to_uppercase()).collect();
        documented.sort();
        assert_eq!(allowed, documented, "{path}");
    }
    for (path, verb, operation) in operations.iter().filter(|(path, _, _)| !path.ends_with("/watch")) {
        let verb = Method::from_bytes(verb.as_bytes()).unwrap();
        let answer = port.send(port.request(verb, &filled(path), "")).await;
        let status = answer.status.as_u16();
        if status < 400 {
            assert!(operation["responses"][status.to_string()].is_object(), "{path}: {answer:?}");
        } else {
            assert_ne!(answer.json()["code"], "no_route", "{path}");
            assert_ne!(answer.json()["code"], "internal", "{path}");
        }
    }
}

/// A validator of what the document says of something; unknown members are not allowed, whatever it says.
fn validator(document: &Value, what: &Value) -> jsonschema::Validator {
    let mut components = document["components"].clone();
    close(&mut components);
    let mut schema = what.clone();
    schema["components"] = components;
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    jsonschema::validator_for(&schema).unwrap()
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.contains_key("properties") && members.get("type") == Some(&json!("object")) {
                members.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fits(document: &Value, what: &Value, answer: &Value) {
    let errors: Vec<String> = validator(document, what)
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?} in {answer}");
}

#[tokio::test]
async fn real_answers_are_as_documented() {
    let whole = super::whole::whole(0).await;
    let port = Port::open(&whole.room).await;
    let document = document();
    let order = json!({
        "target": { "env": "live", "group": "cp" }, "tag": "2", "strategy": { "batches": { "percent": 50 } },
        "on_failure": "rollback", "options": { "pull": "never" }, "login": { "user": "u", "password": "p" },
    });
    let asked = document["paths"]["/api/v1/deployments"]["post"]["requestBody"]["content"]["application/json"]["schema"].clone();
    fits(&document, &asked, &order);
    assert!(
        !validator(&document, &asked).is_valid(&json!({ "tga": "2" })),
        "the validator refuses something"
    );
    assert!(!validator(&document, &asked).is_valid(&json!({ "on_failure": "panic" })));
    let made = port.post("/api/v1/deployments", &order).await;
    let id = made.json()["deployment_id"].as_str().unwrap().to_owned();
    let caller = whole.room.caller(Role::Viewer, &[]).await;
    whole.rests(&caller, &id, v1::DeploymentPhase::Done).await;
    let join = port.post("/api/v1/join-tokens", &json!({ "comment": "h9" })).await;
    let api = port.post("/api/v1/api-tokens", &json!({ "name": "ci", "role": "viewer" })).await;
    let mut seen = vec![
        ("/api/v1/deployments", "post", made),
        ("/api/v1/join-tokens", "post", join),
        ("/api/v1/api-tokens", "post", api),
    ];
    let one = format!("/api/v1/deployments/{id}");
    for (path, route) in [
        ("/api/v1/deployments", "/api/v1/deployments"),
        (one.as_str(), "/api/v1/deployments/{deployment_id}"),
        ("/api/v1/environments", "/api/v1/environments"),
        ("/api/v1/groups", "/api/v1/groups"),
        ("/api/v1/nodes", "/api/v1/nodes"),
        ("/api/v1/nodes/3", "/api/v1/nodes/{node_id}"),
        ("/api/v1/hosts", "/api/v1/hosts"),
        ("/api/v1/hosts/w1", "/api/v1/hosts/{host}"),
        ("/api/v1/events", "/api/v1/events"),
        ("/api/v1/join-tokens", "/api/v1/join-tokens"),
        ("/api/v1/api-tokens", "/api/v1/api-tokens"),
        ("/api/v1/whoami", "/api/v1/whoami"),
    ] {
        seen.push((route, "get", port.get(path).await));
    }
    for (route, verb, answer) in seen {
        let status = answer.status.as_u16();
        assert!(status < 300, "{route}: {answer:?}");
        let documented = &document["paths"][route][verb]["responses"][status.to_string()];
        let schema = &documented["content"][answer.header("content-type")]["schema"];
        assert!(schema.is_object(), "{verb} {route}: {documented}");
        fits(&document, schema, &answer.json());
    }
    let problem = port.get("/api/v1/nodes/99").await;
    fits(
        &document,
        &document["components"]["responses"]["Problem"]["content"]["application/problem+json"]["schema"],
        &problem.json(),
    );
}

#[test]
fn the_contracts_comments_are_in_the_document() {
    let document = document();
    let halt = &document["paths"]["/api/v1/deployments/{deployment_id}/halt"]["post"];
    assert_eq!(halt["description"], "Running nodes finish, no further node starts.");
    let body = &halt["requestBody"]["content"]["application/json"]["schema"]["properties"];
    assert_eq!(
        body.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["comment"],
        "the id stands in the path"
    );
    let schemas = &document["components"]["schemas"];
    let reason = schemas["Deployment"]["properties"]["reason"]["description"].as_str().unwrap();
    assert!(reason.starts_with("Why it is in this phase"), "{reason}");
    assert!(schemas["DeploymentPhase"]["enum"].as_array().unwrap().contains(&json!("rolling_back")));
    assert!(schemas["Deployment"]["required"].as_array().unwrap().contains(&json!("nodes")));
    assert_eq!(schemas["Strategy"]["additionalProperties"], false);
    // Secrets go in and never come out.
    assert!(!schemas["Deployment"].to_string().contains("login"));
}
