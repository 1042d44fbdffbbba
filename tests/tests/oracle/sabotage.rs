//! The proof must fail when a container is not what was planned, and must not tell secrets when it does.

use std::collections::BTreeMap;

use redeploy_agent::recreate::{Choices, Recreation, compare};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::rows::{Row, row};

const ROW: Row = row(
    "sabotaged",
    "--cap-add NET_ADMIN --cap-drop MKNOD -e OWN=hush -l own=hush --user 7 --hostname h --stop-timeout 0 \
     --network {net1} --network-alias one --ip {subnet}.70 -v {vol1}:/mine -v /anonymous --memory 64m \
     --security-opt systempaths=unconfined --health-retries 5 --ipc container:{peer} -p 127.0.0.1::80",
    "sleep 700",
)
.then(&["network connect --alias two {net2} {c}"])
.created();

/// Changes a body before it is sent, while the proof still goes by the plan.
type Sabotage = fn(&mut Recreation);

const SABOTAGES: &[(&str, Sabotage)] = &[
    ("HostConfig.CapAdd", |plan| plan.body["HostConfig"]["CapAdd"] = json!(null)),
    ("HostConfig.CapAdd", |plan| {
        plan.body["HostConfig"]["CapAdd"] = json!(["CAP_NET_ADMIN", "CAP_SYS_TIME"])
    }),
    ("HostConfig.CapDrop", |plan| plan.body["HostConfig"]["CapDrop"] = json!([])),
    ("HostConfig.Memory", |plan| plan.body["HostConfig"]["Memory"] = json!(33_554_432)),
    ("HostConfig.MaskedPaths", |plan| drop_field(&mut plan.body["HostConfig"], "MaskedPaths")),
    ("HostConfig.PortBindings", |plan| plan.body["HostConfig"]["PortBindings"] = json!({})),
    ("HostConfig.IpcMode", |plan| plan.body["HostConfig"]["IpcMode"] = json!("private")),
    ("HostConfig.RestartPolicy", |plan| plan.body["HostConfig"]["RestartPolicy"] = json!({"Name": "always"})),
    ("HostConfig.Privileged", |plan| plan.body["HostConfig"]["Privileged"] = json!(true)),
    ("HostConfig.Binds", |plan| plan.body["HostConfig"]["Binds"] = json!([])),
    ("Mounts[/anonymous]", |plan| plan.body["HostConfig"]["Mounts"] = json!([])),
    ("Config.Env[OWN]", |plan| plan.body["Env"] = json!(["OWN=hush-hush"])),
    ("Config.Env[MORE]", |plan| plan.body["Env"] = json!(["OWN=hush", "MORE=hush"])),
    ("Config.Env[OWN]", |plan| drop_field(&mut plan.body, "Env")),
    ("Config.Labels.own", |plan| plan.body["Labels"] = json!({"own": "hush-hush"})),
    ("Config.User", |plan| drop_field(&mut plan.body, "User")),
    ("Config.Hostname", |plan| drop_field(&mut plan.body, "Hostname")),
    ("Config.StopTimeout", |plan| drop_field(&mut plan.body, "StopTimeout")),
    ("Config.Cmd", |plan| plan.body["Cmd"] = json!(["sleep", "701"])),
    ("Config.Entrypoint", |plan| plan.body["Entrypoint"] = json!(["/bin/busybox"])),
    ("Config.Healthcheck.Retries", |plan| plan.body["Healthcheck"] = json!({"Retries": 6})),
    ("Config.Volumes./anonymous", |plan| drop_field(&mut plan.body, "Volumes")),
    ("Networks[", |plan| plan.connects.clear()),
    ("Networks[", |plan| plan.connects[0].endpoint = json!({"Aliases": ["three"]})),
    ("Networks[", |plan| {
        plan.body["NetworkingConfig"] = json!({"EndpointsConfig": {}});
    }),
];

fn drop_field(object: &mut Value, field: &str) {
    object.as_object_mut().expect("an object").remove(field).expect("a field to drop");
}

#[test]
fn every_sabotage_is_found_and_no_secret_is_told() {
    let bench = Bench::new("sabotage");
    let choices = Choices { keep_volumes: true, fresh_volume_names: BTreeMap::new() };
    let old = bench.make(&ROW, "old", 1).expect("an old container");
    let plan = bench.plan(&ROW, &old, &choices).expect("a plan");
    let image = bench.image(&ROW, 2).expect("the new image");
    for (field, sabotage) in SABOTAGES {
        let mut sabotaged = plan.clone();
        sabotage(&mut sabotaged);
        let created = bench.carry_out(&sabotaged, "ours").expect(field);
        let found = compare(&plan, &image, &created, &bench.engine);
        assert!(found.iter().any(|difference| difference.field.starts_with(field)), "{field}: {found:?}");
        assert!(!format!("{found:?}").contains("hush"), "{field}: {found:?}");
        bench.docker("rm -f {ours}").expect(field);
    }
    let honest = bench.carry_out(&plan, "ours").expect("a new container");
    assert_eq!(compare(&plan, &image, &honest, &bench.engine), []);
    let other_image = bench.image(&ROW, 1).expect("the old image");
    let found = compare(&plan, &other_image, &honest, &bench.engine);
    assert!(found.iter().any(|difference| difference.field == "Image"), "{found:?}");
}
