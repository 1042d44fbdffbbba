//! What the table cannot say: cases where the successor must differ from a fresh container, or be refused.

use std::collections::BTreeMap;

use redeploy_agent::recreate::{Choices, DependentKind, RecreateFinding, compare, dependents, own_volumes};
use serde_json::json;

use crate::bench::Bench;
use crate::normal::text;
use crate::rows::row;

fn keeping() -> Choices {
    Choices { keep_volumes: true, fresh_volume_names: BTreeMap::new() }
}

#[test]
fn what_equals_the_old_image_takes_the_new_images_value_and_is_named() {
    let bench = Bench::new("ambiguous");
    let row =
        row("ambiguous", "-e PATH=/bin -l l.changed=v1 -l com.docker.compose.image=sha256:old", "sleep 700");
    let old = bench.make(&row, "old", 1).unwrap();
    let plan = bench.plan(&row, &old, &keeping()).unwrap();
    let has = |wanted: &RecreateFinding| plan.findings.contains(wanted);
    let names = ["PATH", "OLDONLY", "CHANGED"].map(str::to_owned).to_vec();
    assert!(has(&RecreateFinding::AmbiguousEnv { names }), "{:?}", plan.findings);
    let names = ["l.changed", "l.old"].map(str::to_owned).to_vec();
    assert!(has(&RecreateFinding::AmbiguousLabels { names }), "{:?}", plan.findings);
    assert!(has(&RecreateFinding::CommandMeetsNewEntrypoint), "{:?}", plan.findings);

    let ours = bench.carry_out(&plan, "ours").unwrap();
    let image = bench.image(&row, 2).unwrap();
    assert_eq!(compare(&plan, &image, &ours, &bench.engine), []);
    assert_eq!(ours.label("l.changed"), Some("v2"));
    assert_eq!(ours.label("com.docker.compose.image"), Some(image.id()));
    assert!(ours.raw()["Config"]["Env"].as_array().unwrap().contains(&json!("PATH=/bin:/usr/bin")));
}

#[test]
fn volumes_given_up_are_replaced_by_the_named_ones() {
    let bench = Bench::new("fresh");
    let row = row(
        "fresh",
        "-v {vol1}:/mine:nocopy -v /anonymous --mount type=volume,dst=/mounted -v {dir}:/bound \
         --volumes-from {peer} --tmpfs /fleeting",
        "sleep 700",
    );
    let old = bench.make(&row, "old", 1).unwrap();
    let all = [old.clone(), bench.seen("{peer}").unwrap()];
    let mut targets: Vec<(String, bool)> =
        own_volumes(&old, &all).into_iter().map(|own| (own.target, own.anonymous)).collect();
    targets.sort();
    let expected =
        [("/anonymous", true), ("/data", true), ("/mine", false), ("/mounted", true), ("/olddata", true)];
    assert_eq!(targets, expected.map(|(target, anonymous)| (target.to_owned(), anonymous)));

    let missing = Choices { keep_volumes: false, fresh_volume_names: BTreeMap::new() };
    assert!(bench.plan(&row, &old, &missing).unwrap_err().contains("/mine"));

    let name = |target: &str| bench.fill(&format!("{{prefix}}-fresh{}", target.replace('/', "-")));
    let fresh_volume_names = targets.iter().map(|(target, _)| (target.clone(), name(target))).collect();
    let choices = Choices { keep_volumes: false, fresh_volume_names };
    let plan = bench.plan(&row, &old, &choices).unwrap();
    let ours = bench.carry_out(&plan, "ours").unwrap();
    assert_eq!(compare(&plan, &bench.image(&row, 2).unwrap(), &ours, &bench.engine), []);
    let mounted = ours.raw()["Mounts"].as_array().unwrap();
    let volume_at = |target: &str| {
        mounted
            .iter()
            .find(|mount| mount["Destination"] == target)
            .map(|mount| text(&mount["Name"]).to_owned())
    };
    for target in ["/anonymous", "/data", "/mine", "/mounted"] {
        assert_eq!(volume_at(target), Some(name(target)), "{target}");
    }
    // Only the old image wanted it; the new image ships nothing there.
    assert_eq!(volume_at("/olddata"), None);
    // Another container's stays the other container's.
    let theirs = bench.seen("{peer}").unwrap();
    assert_eq!(volume_at("/shared").as_deref(), theirs.raw()["Mounts"][0]["Name"].as_str());
}

#[test]
fn leaning_containers_are_found_and_survive_a_change_of_id() {
    let bench = Bench::new("leaning");
    let row = row(
        "leaning",
        "--network container:{peer} --pid container:{peer} --volumes-from {peer}",
        "sleep 700",
    );
    let old = bench.make(&row, "old", 1).unwrap();
    let peer = bench.seen("{peer}").unwrap();
    let kinds: Vec<DependentKind> =
        dependents(&peer, &[peer.clone(), old.clone()]).into_iter().map(|leaning| leaning.kind).collect();
    assert_eq!(kinds, [DependentKind::Network, DependentKind::Pid, DependentKind::VolumesFrom]);

    let plan = bench.plan(&row, &old, &keeping()).unwrap();
    let by_name = bench.fill("container:{peer}");
    assert_eq!(plan.body["HostConfig"]["NetworkMode"], json!(by_name));
    assert_eq!(plan.body["HostConfig"]["PidMode"], json!(by_name));
    assert_eq!(plan.body["HostConfig"]["VolumesFrom"], json!([peer.name()]));
    let ours = bench.carry_out(&plan, "ours").unwrap();
    assert_eq!(ours.raw()["HostConfig"]["NetworkMode"], json!(format!("container:{}", peer.id())));
}

#[test]
fn a_second_redeploy_changes_nothing_more() {
    let bench = Bench::new("twice");
    let row =
        row("twice", "-v /anonymous -e OWN=1 -l own=1 --network {net1} --network-alias one --hostname h", "");
    let old = bench.make(&row, "old", 1).unwrap();
    let first = bench.plan(&row, &old, &keeping()).unwrap();
    let first = bench.carry_out(&first, "ours").unwrap();
    let images = [bench.image(&row, 2).unwrap(), bench.image(&row, 2).unwrap()];
    let again = bench.plan_from(&first, &images[0], &images[1], &row, &keeping()).unwrap();
    bench.docker("rm -f {old}").unwrap();
    let second = bench.carry_out(&again, "fresh").unwrap();
    let settings = |seen: &redeploy_agent::docker::Container| {
        let mut settings = crate::normal::settings(seen.raw());
        // Volumes have become named ones: compare them by name, all of them.
        settings["Mounts"] = seen.raw()["Mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| (text(&mount["Destination"]).to_owned(), mount["Name"].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        settings
    };
    assert_eq!(crate::normal::differences("", &settings(&first), &settings(&second)), Vec::<String>::new());
    // What the engine made for a volume of v2 has got a name now; the rest is as it was.
    let specs = |seen: &redeploy_agent::docker::Container| {
        seen.raw()["HostConfig"]["Mounts"].as_array().cloned().unwrap_or_default()
    };
    assert!(specs(&second).starts_with(&specs(&first)), "{:?}", specs(&second));
    assert_eq!(specs(&second).len(), specs(&first).len() + 1);
}
