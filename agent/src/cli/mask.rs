//! Takes secrets out of a plan before it is printed as JSON: the one place where that is done.
//!
//! Flows in: a plan. Flows out: its JSON without the values of environment variables, labels, commands, health checks,
//! log options and volume driver options, where passwords and tokens are written. The plan on disk, readable by root only, keeps them: the
//! new container is made from it.

use redeploy_agent::plan::Plan;
use serde_json::{Map, Value};

/// Stands for a value.
const MASK: &str = "…";

/// The plan's fields, masked.
pub(crate) fn plan(plan: &Plan) -> Result<Map<String, Value>, serde_json::Error> {
    let mut value = serde_json::to_value(plan)?;
    mask_plan(&mut value);
    // A plan is a struct, so it is an object.
    Ok(if let Value::Object(fields) = value { fields } else { Map::new() })
}

/// A plan holds one more for each container that goes along.
fn mask_plan(plan: &mut Value) {
    for body in ["/incoming/new/recreation/body", "/outgoing/anew/recreation/body", "/outgoing/stand_in/body"]
    {
        plan.pointer_mut(body).into_iter().for_each(mask_body);
    }
    let dependents = plan.get_mut("dependents").and_then(Value::as_array_mut);
    dependents.into_iter().flatten().for_each(mask_plan);
}

fn mask_body(body: &mut Value) {
    for entry in body.get_mut("Env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some((name, _)) = entry.as_str().and_then(|entry| entry.split_once('=')) {
            *entry = Value::String(format!("{name}={MASK}"));
        }
    }
    mask_values(body.get_mut("Labels"));
    for field in ["Cmd", "Entrypoint"] {
        for word in body.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            *word = Value::String(MASK.to_owned());
        }
    }
    for word in
        body.pointer_mut("/Healthcheck/Test").and_then(Value::as_array_mut).into_iter().flatten().skip(1)
    {
        *word = Value::String(MASK.to_owned());
    }
    mask_values(body.pointer_mut("/HostConfig/LogConfig/Config"));
    let mounts = body.pointer_mut("/HostConfig/Mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        mask_values(mount.pointer_mut("/VolumeOptions/DriverConfig/Options"));
    }
}

fn mask_values(options: Option<&mut Value>) {
    for (_, value) in options.and_then(Value::as_object_mut).into_iter().flatten() {
        *value = Value::String(MASK.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::samples;

    #[test]
    fn names_stay_and_values_go() {
        let mut sample = samples::plan();
        let secret = serde_json::json!({
            "Env": ["PASSWORD=hunter2", "EMPTY=", "NAME_ONLY", "URL=a=b"],
            "Healthcheck": {"Test": ["CMD", "true"]},
            "HostConfig": {
                "LogConfig": {"Type": "splunk", "Config": {"splunk-token": "hunter2"}},
                "Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {
                    "Name": "local", "Options": {"o": "username=u,password=hunter2"}}}}],
            },
        });
        samples::set_body(&mut sample, secret.clone());
        samples::set_bodies_of_old(&mut sample, &secret);
        sample.dependents.push(sample.clone());
        let masked = Value::Object(plan(&sample).unwrap());
        let body = &masked["incoming"]["new"]["recreation"]["body"];
        assert_eq!(body["Env"], serde_json::json!(["PASSWORD=…", "EMPTY=…", "NAME_ONLY", "URL=…"]));
        assert_eq!(body["Healthcheck"]["Test"], serde_json::json!(["CMD", "…"]));
        assert_eq!(body["HostConfig"]["LogConfig"]["Config"]["splunk-token"], "…");
        assert_eq!(masked["outgoing"]["anew"]["recreation"]["body"], *body);
        assert_eq!(masked["outgoing"]["stand_in"]["body"], *body);
        assert_eq!(masked["dependents"][0]["incoming"]["new"]["recreation"]["body"], *body);
        assert!(!masked.to_string().contains("hunter2"), "{masked}");
        assert_eq!(masked["node"], sample.node);
    }
}
