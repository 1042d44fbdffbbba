//! The form, on messages of the contract.

use proptest::prelude::*;
use redeploy_proto::v1;
use serde_json::json;

use super::*;

fn message(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(&format!("redeploy.v1.{name}")).unwrap()
}

fn taken(name: &str, json: Value) -> Result<Value, String> {
    let members = json.as_object().unwrap();
    read(&message(name), members).map(|made| object(&made)).map_err(|mistake| mistake.to_string())
}

#[test]
fn a_deployment_is_written_with_every_field_and_small_words() {
    let node = v1::DeploymentNode { node_id: 3, phase: v1::NodePhase::Stuck.into(), ..Default::default() };
    let batches = v1::Batches { size: Some(v1::batches::Size::Percent(25)) };
    let strategy = v1::Strategy { kind: Some(v1::strategy::Kind::Batches(batches)), delay_ms: 5 };
    let deployment = v1::Deployment {
        deployment_id: "d".into(),
        phase: v1::DeploymentPhase::RollingBack.into(),
        strategy: Some(strategy),
        nodes: vec![node],
        deadline_at_ms: 1_700_000_000_000,
        ..Default::default()
    };
    let json = of(&deployment);
    assert_eq!(json["phase"], "rolling_back");
    assert_eq!(json["strategy"], json!({ "batches": { "percent": 25 }, "delay_ms": 5 }));
    assert_eq!(json["deadline_at_ms"], 1_700_000_000_000_i64);
    assert_eq!((&json["reason"], &json["options"]), (&json!(""), &Value::Null));
    assert_eq!((&json["nodes"][0]["phase"], &json["nodes"][0]["report"]), (&json!("stuck"), &Value::Null));
    let report = of(&v1::Report { downtime_ms: Some(0), ..Default::default() });
    assert_eq!(report["downtime_ms"], 0);
    assert_eq!(of(&v1::Report::default())["downtime_ms"], Value::Null);
    assert_eq!(of(&v1::Deployment { phase: 99, ..Default::default() })["phase"], "unspecified");
}

#[test]
fn what_breaks_the_form_is_named_with_its_place() {
    for (name, json, expected) in [
        (
            "CreateDeploymentRequest",
            json!({ "tga": "2" }),
            "`tga` is not known here: there may be idempotency_key,",
        ),
        ("CreateDeploymentRequest", json!({ "tag": 2 }), "`tag` must be a text"),
        (
            "CreateDeploymentRequest",
            json!({ "tag": "2", "image": "web:2" }),
            "`image` cannot stand beside `tag`",
        ),
        ("CreateDeploymentRequest", json!({ "target": [] }), "`target` must be an object"),
        (
            "CreateDeploymentRequest",
            json!({ "strategy": { "delay_ms": -1 } }),
            "`strategy.delay_ms` must be a whole number from 0",
        ),
        (
            "CreateDeploymentRequest",
            json!({ "strategy": { "batches": { "nodes": 1.5 } } }),
            "`strategy.batches.nodes` must be",
        ),
        (
            "CreateDeploymentRequest",
            json!({ "target": { "node_id": 4_294_967_296_u64 } }),
            "from 0 to 4294967295",
        ),
        ("CreateDeploymentRequest", json!({ "on_failure": "panic" }), "one of unspecified, halt, rollback"),
        ("CreateDeploymentRequest", json!({ "on_failure": "HALT" }), "one of unspecified, halt, rollback"),
        ("CreateDeploymentRequest", json!({ "queue": "true" }), "`queue` must be true or false"),
        ("CreateApiTokenRequest", json!({ "envs": "shop" }), "`envs` must be a list"),
        ("CreateApiTokenRequest", json!({ "envs": ["shop", 1] }), "`envs.1` must be a text"),
        ("ForgetNodeResponse", json!({ "x": 1 }), "there may be nothing"),
    ] {
        let mistake = taken(name, json).unwrap_err();
        assert!(mistake.contains(expected), "{mistake}");
    }
}

#[test]
fn null_and_absent_are_not_set() {
    let read = taken("RedeployOptions", json!({ "use_existing_volumes": null, "pull": "never" })).unwrap();
    assert_eq!(read["use_existing_volumes"], Value::Null);
    assert_eq!(read["pull"], "never");
    let chosen = taken("CreateDeploymentRequest", json!({ "tag": null, "image": "web:2" })).unwrap();
    assert_eq!((chosen.get("tag"), &chosen["image"]), (None, &json!("web:2")));
}

#[test]
fn a_name_that_stands_twice_is_refused_at_any_depth() {
    let all = br#"{"a":[1,-2,1.5,"x",null,true,{"b":{}}]}"#;
    assert_eq!(parse(all).unwrap(), serde_json::from_slice::<Value>(all).unwrap());
    for twice in
        [&br#"{"tag":"1","tag":"1"}"#[..], br#"{"a":[{"b":1,"c":2,"b":3}]}"#, br#"{"a":1,"\u0061":2}"#]
    {
        assert!(parse(twice).is_err(), "{}", String::from_utf8_lossy(twice));
    }
    assert!(
        parse(b"{} {}").is_err() && parse(b"").is_err() && parse("{\"a\":".repeat(9999).as_bytes()).is_err()
    );
}

/// No word may depend on a prefix that is not there, and nothing may need a type that JSON lacks.
#[test]
fn every_message_and_enum_of_the_contract_has_a_form() {
    for of in POOL.all_enums() {
        let prefix = prefix(&of);
        assert!(of.values().all(|value| value.name().starts_with(&prefix)), "{}", of.full_name());
    }
    let service = service("redeploy.v1.OperatorService").unwrap();
    let mut schemas = Schemas::new(service.methods().map(|method| method.input()));
    for method in service.methods() {
        for of in [method.input(), method.output()] {
            schemas.message(&of);
            let empty = read(&of, &serde_json::Map::new()).unwrap();
            let written = object(&empty);
            assert!(written.is_object(), "{}", of.full_name());
        }
    }
    let text = Value::Object(schemas.into_components()).to_string();
    assert!(!text.contains("base64") && !text.contains("\"number\""), "a type without a form");
    assert!(
        text.contains("Ends it")
            || text.contains("where it is aimed")
            || text.contains("Unique in the whole platform")
    );
}

proptest! {
    /// What is written can be read, and is the same again.
    #[test]
    fn requests_survive_the_way_there_and_back(
        env in ".{0,8}", node_id: u32, delay_ms: u64, nodes in proptest::option::of(0_u32..9), policy in 0..3_i32,
        volumes: Option<bool>, queue: bool,
    ) {
        let size = nodes.map(v1::batches::Size::Nodes);
        let kind = Some(v1::strategy::Kind::Batches(v1::Batches { size }));
        let request = v1::CreateDeploymentRequest {
            target: Some(v1::Target { env, group: String::new(), node_id }),
            strategy: Some(v1::Strategy { kind, delay_ms }),
            options: Some(v1::RedeployOptions { use_existing_volumes: volumes, ..Default::default() }),
            on_failure: policy,
            queue,
            ..Default::default()
        };
        let json = of(&request);
        let read = read(&message("CreateDeploymentRequest"), json.as_object().unwrap()).unwrap();
        prop_assert_eq!(read.encode_to_vec(), request.encode_to_vec());
    }
}
