//! The proof, on hand-written answers: what it explains and what it must find.

use super::super::fixture::{Case, case};
use super::*;

const NEW_ID: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

/// What an engine would make of the plan: the body, merged, with its own additions.
fn created(case: &Case, plan: &Recreation) -> Value {
    let mut config = Value::Object(expected_config(&plan.body, &case.new_image["Config"]));
    if says_nothing(&config["Hostname"]) {
        config["Hostname"] = json!("cccccccccccc");
    }
    let mut host = plan.body["HostConfig"].clone();
    host["Runtime"] = json!("runc");
    host["ConsoleSize"] = json!([0, 0]);
    let mut networks = plan.body["NetworkingConfig"]["EndpointsConfig"].clone();
    for connect in &plan.connects {
        networks[&connect.network] = connect.endpoint.clone();
    }
    json!({
        "Id": NEW_ID, "Name": "/new", "Image": "sha256:new", "Config": config, "HostConfig": host,
        "NetworkSettings": {"Networks": networks}, "Mounts": [],
    })
}

fn fields(case: &Case, plan: &Recreation, created: Value) -> Vec<String> {
    let image = Image::new(case.new_image.clone());
    let found = compare(plan, &image, &Container::new(created), &case.engine);
    found.into_iter().map(|difference| difference.field).collect()
}

#[test]
fn the_engines_own_additions_are_explained() {
    let host = json!({
        "NetworkMode": "one", "PidMode": "container:peer-id", "Links": ["/peer:/web/store"], "Tmpfs": {"/t": ""},
    });
    let config = json!({"Env": ["A=1", "B"], "Cmd": ["run"], "Labels": {"empty": ""}});
    let new = json!({"Env": ["A=2", "B=2", "C=3"], "Entrypoint": ["/e"], "Cmd": ["x"], "OnBuild": ["y"]});
    let case = case(config, host)
        .images(json!({}), new)
        .endpoints(json!({"one": {"Aliases": ["w"]}, "two": {}}))
        .other("peer-id", "peer", json!([]));
    let plan = case.plan();
    let mut engines = created(&case, &plan);
    assert_eq!(engines["Config"]["Env"], json!(["A=1", "B", "C=3"]));
    assert_eq!(engines["Config"]["Entrypoint"], json!(["/e"]));
    assert_eq!(engines["Config"]["Cmd"], json!(["run"]));
    engines["HostConfig"]["PidMode"] = json!("container:peer-id");
    engines["HostConfig"]["Links"] = json!(["/peer:/new/store"]);
    engines["HostConfig"]["MemorySwappiness"] = json!(null);
    let endpoint =
        json!({"Aliases": ["w", "cccccccccccc"], "IPAMConfig": {}, "NetworkID": "n", "Links": null});
    engines["NetworkSettings"]["Networks"]["one"] = endpoint;
    assert_eq!(fields(&case, &plan, engines), Vec::<String>::new());
}

#[test]
fn what_says_something_by_being_there_is_missed() {
    let host = json!({"Tmpfs": {"/t": ""}, "Init": false, "MaskedPaths": [], "NetworkMode": "default"});
    let case = case(json!({"Labels": {"empty": ""}, "StopTimeout": 0, "Volumes": {"/v": {}}}), host);
    let plan = case.plan();
    let whole = created(&case, &plan);
    assert_eq!(fields(&case, &plan, whole.clone()), Vec::<String>::new());
    for (path, field) in [
        ("/HostConfig/Tmpfs", "HostConfig.Tmpfs./t"),
        ("/HostConfig/Init", "HostConfig.Init"),
        ("/HostConfig/MaskedPaths", "HostConfig.MaskedPaths"),
        ("/Config/Labels", "Config.Labels.empty"),
        ("/Config/StopTimeout", "Config.StopTimeout"),
        ("/Config/Volumes", "Config.Volumes./v"),
    ] {
        let mut sabotaged = whole.clone();
        *sabotaged.pointer_mut(path).unwrap() = Value::Null;
        assert_eq!(fields(&case, &plan, sabotaged), [field]);
    }
}

#[test]
fn what_this_engine_makes_of_old_words_is_explained() {
    let host = json!({
        "NetworkMode": "default", "CapAdd": ["net_admin", "ALL"], "RestartPolicy": {"Name": ""},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
    });
    let case = case(json!({}), host);
    let plan = case.plan();
    let mut engines = created(&case, &plan);
    engines["HostConfig"]["NetworkMode"] = json!("bridge");
    engines["HostConfig"]["CapAdd"] = json!(["ALL", "CAP_NET_ADMIN"]);
    engines["HostConfig"]["RestartPolicy"] = json!({"Name": "no", "MaximumRetryCount": 0});
    engines["HostConfig"]["LogConfig"]["Config"]["max-file"] = json!("3");
    let core = json!({"Name": "core", "Soft": 0, "Hard": 0});
    engines["HostConfig"]["Ulimits"].as_array_mut().unwrap().push(core);
    assert_eq!(fields(&case, &plan, engines.clone()), Vec::<String>::new());

    engines["HostConfig"]["LogConfig"]["Config"]["max-size"] = json!("2m");
    engines["HostConfig"]["Ulimits"][0]["Soft"] = json!(2);
    engines["HostConfig"]["RestartPolicy"]["Name"] = json!("always");
    let mut found = fields(&case, &plan, engines);
    found.sort();
    let expected =
        ["HostConfig.LogConfig.Config.max-size", "HostConfig.RestartPolicy.Name", "HostConfig.Ulimits"];
    assert_eq!(found, expected);
}

#[test]
fn what_nobody_planned_is_found() {
    let case = case(json!({}), json!({"NetworkMode": "default"}));
    let plan = case.plan();
    for (path, value, field) in [
        ("/HostConfig/Privileged", json!(true), "HostConfig.Privileged"),
        ("/HostConfig/Future", json!({"x": 1}), "HostConfig.Future.x"),
        ("/HostConfig/Runtime", json!("kata"), "HostConfig.Runtime"),
        ("/Config/Hostname", json!("other"), "Config.Hostname"),
        ("/Config/Env", json!(["A=1"]), "Config.Env[A]"),
        ("/Config/MacAddress", json!("02:00:00:00:00:01"), "Config.MacAddress"),
        ("/NetworkSettings/Networks/two", json!({}), "Networks[two]"),
        ("/Image", json!("sha256:old"), "Image"),
        ("/Mounts", json!([{"Type": "bind", "Destination": "/x"}]), "Mounts[/x]"),
    ] {
        let mut engines = created(&case, &plan);
        let (parent, key) = path.rsplit_once('/').unwrap();
        engines.pointer_mut(parent).unwrap()[key] = value;
        assert_eq!(fields(&case, &plan, engines), [field]);
    }
}

#[test]
fn a_mac_address_of_an_endpoint_is_proved_by_the_container() {
    let case = case(json!({"MacAddress": "02:00:00:00:00:0A"}), json!({"NetworkMode": "one"}))
        .endpoints(json!({"one": {}}))
        .api(47);
    let plan = case.plan();
    let mut engines = created(&case, &plan);
    engines["NetworkSettings"]["Networks"]["one"]["MacAddress"] = json!("");
    assert_eq!(fields(&case, &plan, engines.clone()), ["Config.MacAddress"]);
    engines["Config"]["MacAddress"] = json!("02:00:00:00:00:0a");
    assert_eq!(fields(&case, &plan, engines), Vec::<String>::new());
}

#[test]
fn volumes_are_proved_by_what_is_mounted() {
    let case = case(json!({}), json!({"NetworkMode": "default", "Binds": ["named:/data:z"]}));
    let plan = case.plan();
    let mut engines = created(&case, &plan);
    assert_eq!(fields(&case, &plan, engines.clone()), ["Mounts[/data]"]);
    engines["Mounts"] = json!([{"Type": "volume", "Name": "other", "Destination": "/data"}]);
    assert_eq!(fields(&case, &plan, engines.clone()), ["Mounts[/data]"]);
    engines["Mounts"][0]["Name"] = json!("named");
    assert_eq!(fields(&case, &plan, engines), Vec::<String>::new());
}

#[test]
fn no_secret_is_told() {
    let config = json!({"Env": ["A=hush"], "Labels": {"l": "hush"}, "Cmd": ["hush"]});
    let options = json!({"DriverConfig": {"Options": {"o": "password=hush"}}});
    let mount = json!({"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": options});
    let log = json!({"Type": "splunk", "Config": {"splunk-token": "hush"}});
    let case = case(config, json!({"Mounts": [mount], "LogConfig": log}));
    let plan = case.plan();
    let bare = json!({"Id": NEW_ID, "Config": {"Env": ["A=hush-hush"]}, "HostConfig": {}});
    let found = compare(&plan, &Image::new(case.new_image.clone()), &Container::new(bare), &case.engine);
    let told = serde_json::to_string(&found).unwrap();
    assert!(found.len() >= 6 && !told.contains("hush"), "{told}");
}
