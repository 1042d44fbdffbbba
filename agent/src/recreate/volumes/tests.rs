//! Volumes, on hand-written answers.

use super::super::fixture::{ANONYMOUS, Case, case};
use super::*;

fn volume(name: &str, target: &str) -> Value {
    json!({"Type": "volume", "Name": name, "Destination": target, "Driver": "local", "RW": true})
}

fn giving_up(mut case: Case, names: &[(&str, &str)]) -> Case {
    let names = names.iter().map(|(target, name)| ((*target).to_owned(), (*name).to_owned()));
    case.choices = super::super::Choices { keep_volumes: false, fresh_volume_names: names.collect() };
    case
}

#[test]
fn an_anonymous_volume_is_mounted_by_name_and_only_once() {
    let declared = json!({"Volumes": {"/data": {}, "/mine/": {}, "/bound": {}}});
    let host = json!({"Binds": ["/host:/bound:ro"], "Tmpfs": {"/fleeting": ""}});
    let mounts = json!([
        volume(ANONYMOUS, "/data"),
        volume(ANONYMOUS, "/mine"),
        {"Type": "bind", "Source": "/host", "Destination": "/bound"},
    ]);
    // The image declared /data, and the new one does not: kept all the same.
    let plan =
        case(declared, host).images(json!({"Volumes": {"/data": {}}}), json!({})).mounts(mounts).plan();
    let by_name = |target: &str| json!({"Type": "volume", "Source": ANONYMOUS, "Target": target});
    assert_eq!(plan.body["HostConfig"]["Mounts"], json!([by_name("/data"), by_name("/mine")]));
    assert_eq!(plan.body["HostConfig"]["Binds"], json!(["/host:/bound:ro"]));
    assert_eq!(plan.body["Volumes"], json!({"/mine/": {}, "/bound": {}}));
}

#[test]
fn anonymous_binds_and_mounts_get_their_name_and_keep_their_options() {
    let host = json!({
        "Binds": ["/anonymous", "named:/named:nocopy"],
        "Mounts": [{"Type": "volume", "Target": "/data/", "VolumeOptions": {"NoCopy": true}}],
    });
    let mounts =
        json!([volume(ANONYMOUS, "/anonymous"), volume("named", "/named"), volume(ANONYMOUS, "/data"),]);
    let sent = case(json!({}), host.clone()).mounts(mounts).plan().body["HostConfig"].clone();
    assert_eq!(sent["Binds"], json!([format!("{ANONYMOUS}:/anonymous"), "named:/named:nocopy"]));
    let expected = json!([{
        "Type": "volume", "Target": "/data/", "VolumeOptions": {"NoCopy": true}, "Source": ANONYMOUS,
    }]);
    assert_eq!(sent["Mounts"], expected);
    assert!(matches!(case(json!({}), host).try_plan(), Err(RecreateError::VolumeUnknown { .. })));
}

#[test]
fn volumes_of_another_container_stay_its_own() {
    let theirs = volume(ANONYMOUS, "/shared");
    let config = json!({"Volumes": {"/shared": {}}});
    let host = json!({"VolumesFrom": ["peer-id:ro"]});
    let plan = case(config, host.clone())
        .mounts(json!([theirs.clone()]))
        .other("peer-id", "peer", json!([theirs]))
        .plan();
    assert_eq!(plan.body["HostConfig"], json!({"VolumesFrom": ["peer:ro"]}));
}

#[test]
fn volumes_of_a_container_that_is_gone_are_mounted_one_by_one() {
    let mut theirs = volume("shared", "/shared");
    theirs["RW"] = json!(false);
    let host = json!({"VolumesFrom": ["gone"], "Binds": ["named:/named"]});
    let bound = json!({"Type": "bind", "Source": "/host", "Destination": "/bound", "RW": true});
    let plan = case(json!({}), host).mounts(json!([theirs, volume("named", "/named"), bound])).plan();
    let expected = json!({
        "Binds": ["named:/named"],
        "Mounts": [
            {"Type": "volume", "Source": "shared", "Target": "/shared", "ReadOnly": true},
            {"Type": "bind", "Source": "/host", "Target": "/bound"},
        ],
    });
    assert_eq!(plan.body["HostConfig"], expected);
    assert_eq!(plan.findings, [RecreateFinding::VolumesFromGone { peer: "gone".to_owned() }]);
}

#[test]
fn volumes_given_up_get_the_chosen_names() {
    let host = json!({
        "Binds": ["named:/named:z", "/host:/bound"],
        "Mounts": [{"Type": "volume", "Source": "remote", "Target": "/remote",
                    "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"type": "nfs"}}}}],
    });
    let mounts = json!([
        volume("named", "/named"),
        volume("remote", "/remote"),
        volume(ANONYMOUS, "/data"),
        volume(ANONYMOUS, "/only-old"),
    ]);
    let images = json!({"Volumes": {"/data": {}, "/only-old": {}}});
    let case = case(images.clone(), host).images(images, json!({"Volumes": {"/data": {}}})).mounts(mounts);
    let case = giving_up(case, &[("/named", "n1"), ("/data", "n2"), ("/remote", "n3"), ("/only-old", "n4")]);
    let plan = case.plan();
    let sent = &plan.body["HostConfig"];
    assert_eq!(sent["Binds"], json!(["n1:/named:z", "/host:/bound"]));
    assert_eq!(sent["Mounts"][0]["Source"], json!("remote"), "its data is not on this host");
    assert_eq!(sent["Mounts"][1], json!({"Type": "volume", "Source": "n2", "Target": "/data"}));
    assert_eq!(sent["Mounts"].as_array().map(Vec::len), Some(2));
    let error = giving_up(case, &[]).try_plan().unwrap_err();
    assert!(matches!(&error, RecreateError::NoFreshVolume { target, .. } if target == "/named"), "{error}");
}

#[test]
fn options_of_another_kind_of_mount_are_dropped_where_they_are_refused() {
    let mount =
        json!({"Type": "bind", "Source": "/h", "Target": "/t", "BindOptions": {}, "VolumeOptions": {}});
    let host = json!({"Mounts": [mount.clone()]});
    let sent =
        |minor| case(json!({}), host.clone()).api(minor).plan().body["HostConfig"]["Mounts"][0].clone();
    assert_eq!(sent(41), mount);
    assert_eq!(sent(42), json!({"Type": "bind", "Source": "/h", "Target": "/t", "BindOptions": {}}));
}

#[test]
fn a_volume_only_the_new_image_declares_is_told() {
    let plan = case(json!({}), json!({})).images(json!({}), json!({"Volumes": {"/new": {}}})).plan();
    assert!(plan.findings.contains(&RecreateFinding::NewImageVolume { target: "/new".to_owned() }));
}
