//! Manifests in every form that the vendor documents or that add-ons use, each with the exact calls it makes.

use serde_json::json;

use super::*;
use crate::cli::apply::yaml::read;

fn known(set: &[(&str, &str)]) -> Known {
    let node = |id: u32, group: &str| json!({ "id": id, "nodeGroup": group });
    let nodes = [node(3, "bl"), node(5, "cp"), node(6, "cp"), node(9, "sqldb")];
    let settings = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Known { info: json!({ "env": { "envName": "shop" }, "nodes": nodes }), settings, ..Known::default() }
}

/// Each call as `line METHOD name=value …`, each other action as `line skipped NAME`.
fn steps_with(text: &str, set: &[(&str, &str)]) -> Result<Vec<String>, Mistake> {
    let shown = |step: Step| match step {
        Step::Skipped { line, action } => format!("{line} skipped {action}"),
        Step::Call { line, method, params } => {
            let params: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{line} {method} {}", params.join(" "))
        }
    };
    Ok(plan(&read(text)?, known(set))?.into_iter().map(shown).collect())
}

fn steps(text: &str) -> Vec<String> {
    steps_with(text, &[]).unwrap_or_else(|mistake| panic!("{mistake}\n{text}"))
}

#[test]
fn a_method_with_the_keys_beside_it() {
    let manifest = "type: update\nonInstall:\n  api: environment.control.RedeployContainers\n  nodeGroup: cp\n  tag: 1.10\n";
    assert_eq!(steps(manifest), ["3 RedeployContainers envName=shop nodeGroup=cp tag=1.10"]);
}

#[test]
fn a_method_with_keys_below_it() {
    let manifest = "onInstall:\n  - env.control.RedeployContainers:\n      nodeGroup: cp\n      tag: latest\n      useExistingVolumes: true\n";
    assert_eq!(
        steps(manifest),
        ["2 RedeployContainers envName=shop nodeGroup=cp tag=latest useExistingVolumes=true"]
    );
    let long = "onInstall:\n  environment.control.RedeployContainersByGroup:\n    envName: other\n    nodeGroup: cp\n    tag: 2\n    isSequential: true\n    delay: 30\n";
    assert_eq!(
        steps(long),
        ["2 RedeployContainersByGroup envName=other nodeGroup=cp tag=2 isSequential=true delay=30"]
    );
}

#[test]
fn a_list_below_a_method_is_a_call_each() {
    let manifest = "onInstall:\n  env.control.RedeployContainerById:\n    - nodeId: 5\n      tag: a\n    - nodeId: 6\n      tag: b\n";
    let expected = [
        "2 RedeployContainerById envName=shop nodeId=5 tag=a",
        "2 RedeployContainerById envName=shop nodeId=6 tag=b",
    ];
    assert_eq!(steps(manifest), expected);
}

#[test]
fn a_selector_says_where() {
    let one = "onInstall:\n  - api [cp]: environment.control.RedeployContainers\n    tag: 2\n";
    assert_eq!(steps(one), ["2 RedeployContainers envName=shop tag=2 nodeGroup=cp"]);
    let many = "onInstall:\n  env.control.RedeployContainers [cp, bl, 9]:\n    tag: 2\n";
    assert_eq!(
        steps(many),
        [
            "2 RedeployContainers envName=shop tag=2 nodeGroup=cp",
            "2 RedeployContainers envName=shop tag=2 nodeGroup=bl",
            "2 RedeployContainers envName=shop tag=2 nodeId=9",
        ]
    );
    let all = "onInstall:\n  api[*]: env.control.RedeployContainersByGroup\n  tag: 2\n";
    let groups: Vec<String> = ["bl", "cp", "sqldb"]
        .iter()
        .map(|group| format!("2 RedeployContainersByGroup envName=shop tag=2 nodeGroup={group}"))
        .collect();
    assert_eq!(steps(all), groups);
}

#[test]
fn a_method_may_be_a_key_of_its_own() {
    let manifest = "onInstall:\n  - api:\n      - method: environment.control.RedeployContainers\n        params:\n          nodeGroup: bl\n          tag: 7\n      - method: environment.control.StopEnv\n";
    assert_eq!(
        steps(manifest),
        ["3 RedeployContainers envName=shop nodeGroup=bl tag=7", "7 skipped environment.control.StopEnv"]
    );
}

#[test]
fn a_loop_goes_over_the_nodes_of_a_group() {
    let manifest = "onInstall:\n  forEach(nodes.cp):\n    api: environment.control.RedeployContainers\n    nodeId: ${@i.id}\n    tag: 2\n    useExistingVolumes: true\n    skipReinstall: false\n    internal: true\n";
    let call = |id: u32| {
        format!(
            "3 RedeployContainers envName=shop nodeId={id} tag=2 useExistingVolumes=true skipReinstall=false internal=true"
        )
    };
    assert_eq!(steps(manifest), [call(5), call(6)]);
    let all = "onInstall:\n  - forEach(nodes):\n      - env.control.RedeployContainerById: { nodeId: \"${@i.id}\", tag: 2 }\n";
    assert_eq!(steps(all).len(), 4);
    assert_eq!(
        steps("onInstall:\n  forEach(nodes.cache):\n    - env.control.RedeployContainerById: {tag: 2}\n"),
        [""; 0]
    );
}

#[test]
fn actions_are_called_by_name_with_and_without_parameters() {
    let manifest = "globals:\n  tag: 3\nonInstall:\n  - redeployAll\n  - one:\n      group: sqldb\n      to: 8\n  - one: {group: bl, to: \"${globals.tag}\"}\nactions:\n  redeployAll:\n    - api [cp]: env.control.RedeployContainers\n      tag: ${globals.tag}\n  one:\n    env.control.RedeployContainers:\n      nodeGroup: ${this.group}\n      tag: ${this.to}\n";
    assert_eq!(
        steps(manifest),
        [
            "11 RedeployContainers envName=shop tag=3 nodeGroup=cp",
            "14 RedeployContainers envName=shop nodeGroup=sqldb tag=8",
            "14 RedeployContainers envName=shop nodeGroup=bl tag=3",
        ]
    );
    assert_eq!(
        steps("onInstall: go\nactions:\n  go:\n    env.control.RedeployContainers: {nodeId: 5, tag: 2}\n")
            .len(),
        1
    );
}

#[test]
fn settings_come_from_the_command_line_or_the_manifest() {
    let manifest = "settings:\n  fields:\n    - name: tag\n      default: latest\n    - {name: nodeGroup, default: cp}\nonInstall:\n  api: environment.control.RedeployContainers\n  nodeGroup: {nodeGroup}\n  tag: ${settings.tag}\n";
    assert_eq!(steps(manifest), ["7 RedeployContainers envName=shop nodeGroup=cp tag=latest"]);
    let set = steps_with(manifest, &[("tag", "2.5"), ("nodeGroup", "bl")]).unwrap();
    assert_eq!(set, ["7 RedeployContainers envName=shop nodeGroup=bl tag=2.5"]);
}

#[test]
fn a_manifest_may_be_json() {
    let manifest = r#"{ "type": "update", "onInstall": [
  { "api [cp]": "environment.control.RedeployContainers", "tag": "${settings.t:1}", "useExistingVolumes": false }
] }"#;
    assert_eq!(
        steps(manifest),
        ["2 RedeployContainers envName=shop tag=1 useExistingVolumes=false nodeGroup=cp"]
    );
}

#[test]
fn who_calls_is_not_the_manifests_to_say() {
    let manifest = "onInstall:\n  api: environment.control.RedeployContainers\n  session: ${session}\n  appid: ${env.appid}\n  nodeId: ${nodes.cp.first.id}\n  tag: 2\n";
    assert_eq!(steps(manifest), ["2 RedeployContainers envName=shop nodeId=5 tag=2"]);
}

#[test]
fn other_actions_are_skipped_by_line() {
    let manifest = "onInstall:\n  - cmd [cp]: echo ${user.email}\n  - script: |\n      return 1\n  - if (${settings.x}):\n      env.control.RedeployContainers: {tag: 1}\n  - env.control.RestartNodes [cp]\n  - nothing\n  - env.control.RedeployContainers: {nodeGroup: cp, tag: 2}\nonAfterRedeployContainer [cp]:\n  - cmd: true\n";
    assert_eq!(
        steps(manifest),
        [
            "2 skipped cmd",
            "3 skipped script",
            "5 skipped if",
            "7 skipped env.control.RestartNodes",
            "8 skipped nothing",
            "9 RedeployContainers envName=shop nodeGroup=cp tag=2",
            "10 skipped onAfterRedeployContainer [cp]",
        ]
    );
}

#[test]
fn what_cannot_be_carried_out_as_written_is_named_by_line() {
    for (manifest, line, rule) in [
        ("type: install\n", 1, "there is no onInstall"),
        (
            "onInstall:\n  env.control.RedeployContainers:\n    tag: ${globals.none}\n",
            3,
            "`${globals.none}` has no value",
        ),
        ("onInstall:\n  env.control.RedeployContainers:\n    tag: [1]\n", 3, "a parameter must be a text"),
        ("onInstall:\n  env.control.RedeployContainers:\n    tag: {none}\n", 3, "`{none}` has no value"),
        ("onInstall:\n  forEach(env.x):\n    - a\n", 2, "only a loop over"),
        ("onInstall: a\nactions:\n  a: b\n  b: a\n", 3, "without end"),
        ("globals:\n  tag: ${settings.none}\nonInstall: []\n", 2, "has no value"),
    ] {
        let mistake = steps_with(manifest, &[]).unwrap_err();
        assert!(mistake.line == line && mistake.rule.contains(rule), "{manifest}\n{mistake}");
    }
}

#[test]
fn a_small_manifest_cannot_become_a_large_plan() {
    let level = |n: u32| format!("  a{n}: [{}]\n", vec![format!("a{}", n + 1); 30].join(", "));
    let manifest = format!("onInstall: a0\nactions:\n{}  a9: []\n", (0..9).map(level).collect::<String>());
    let mistake = steps_with(&manifest, &[]).unwrap_err();
    assert!(mistake.rule.contains("more than 10000 actions"), "{mistake}");
}
