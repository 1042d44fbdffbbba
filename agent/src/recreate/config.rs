//! The plain fields of `Config`: what equals the old image's is left to the new one, the rest is the user's.
//!
//! Fields this program has never heard of are treated the same way, so that they survive.

use serde_json::{Map, Value, json};

use super::json::{clean_path, keys, pairs, says_nothing, short_id, text};
use super::{Draft, Inputs, RecreateFinding, Source};

/// Compose compares this label with the image's id and recreates the container when they differ.
const COMPOSE_IMAGE: &str = "com.docker.compose.image";

/// Sends the plain fields.
pub(super) fn carry(inputs: &Inputs<'_>, draft: &mut Draft) {
    for (field, value) in pairs(inputs.config()) {
        match field {
            // Other parts see to these.
            "Env" | "Entrypoint" | "Cmd" | "ArgsEscaped" | "Healthcheck" | "Image" => {}
            // Properties of images; and a container in the background has nobody attached.
            "OnBuild" | "Shell" | "AttachStdin" | "AttachStdout" | "AttachStderr" => {}
            "Labels" => labels(inputs, draft),
            "ExposedPorts" => exposed_ports(inputs, draft),
            "Volumes" => declared_volumes(inputs, draft),
            "Hostname" => hostname(inputs, draft),
            // Where it goes depends on the API: see `endpoints`.
            "MacAddress" => {}
            "WorkingDir" => {
                let image = text(&inputs.old_image()[field]);
                let inherited = !image.is_empty() && clean_path(text(value)) == clean_path(image);
                plain(field, value, inherited, draft);
            }
            _ => plain(field, value, *value == inputs.old_image()[field], draft),
        }
    }
    for field in ["AttachStdin", "AttachStdout", "AttachStderr"] {
        draft.config.insert(field.to_owned(), json!(false));
    }
    draft.config.insert("Image".to_owned(), json!(inputs.target.reference));
    draft.source("Config.Image", Source::Plan, "the new image");
}

fn plain(field: &str, value: &Value, inherited: bool, draft: &mut Draft) {
    // A grace period of zero seconds is something else than none given.
    let silent = if field == "StopTimeout" { value.is_null() } else { says_nothing(value) };
    if silent {
        return;
    }
    if inherited {
        draft.old_image(format!("Config.{field}"));
    } else {
        draft.user(format!("Config.{field}"));
        draft.config.insert(field.to_owned(), value.clone());
    }
}

fn labels(inputs: &Inputs<'_>, draft: &mut Draft) {
    let (image, new) = (&inputs.old_image()["Labels"], &inputs.new_image()["Labels"]);
    let (mut own, mut ambiguous) = (Map::new(), Vec::new());
    for (label, value) in pairs(&inputs.config()["Labels"]) {
        let field = format!("Config.Labels[{label}]");
        if *value == image[label] {
            draft.old_image(field);
            if *value != new[label] {
                ambiguous.push(label.to_owned());
            }
        } else if label == COMPOSE_IMAGE {
            draft.source(
                field,
                Source::Plan,
                "follows the new image, or compose would recreate it once more",
            );
            own.insert(label.to_owned(), json!(inputs.target.image.id()));
        } else {
            draft.user(field);
            own.insert(label.to_owned(), value.clone());
        }
    }
    if !ambiguous.is_empty() {
        draft.findings.push(RecreateFinding::AmbiguousLabels { names: ambiguous });
    }
    if !own.is_empty() {
        draft.config.insert("Labels".to_owned(), Value::Object(own));
    }
}

/// A published port counts as the user's even if the image exposes it: engines publish only what is exposed,
/// and the new image may no longer expose it.
fn exposed_ports(inputs: &Inputs<'_>, draft: &mut Draft) {
    if inputs.borrows_network() {
        return;
    }
    let (image, bound) = (&inputs.old_image()["ExposedPorts"], &inputs.host()["PortBindings"]);
    let is_own = |port: &str| image.get(port).is_none() || bound.get(port).is_some();
    set("ExposedPorts", &inputs.config()["ExposedPorts"], is_own, draft);
}

fn declared_volumes(inputs: &Inputs<'_>, draft: &mut Draft) {
    let image: Vec<String> = keys(&inputs.old_image()["Volumes"]).map(clean_path).collect();
    set("Volumes", &inputs.config()["Volumes"], |target| !image.contains(&clean_path(target)), draft);
}

/// A set the engine unites with the image's.
fn set(field: &str, value: &Value, is_own: impl Fn(&str) -> bool, draft: &mut Draft) {
    let mut own = Map::new();
    for (key, value) in pairs(value) {
        let name = format!("Config.{field}[{key}]");
        if is_own(key) {
            draft.user(name);
            own.insert(key.to_owned(), value.clone());
        } else {
            draft.old_image(name);
        }
    }
    if !own.is_empty() {
        draft.config.insert(field.to_owned(), Value::Object(own));
    }
}

fn hostname(inputs: &Inputs<'_>, draft: &mut Draft) {
    let (config, host) = (inputs.config(), inputs.host());
    let name = text(&config["Hostname"]);
    let field = "Config.Hostname";
    if name.is_empty() {
        return;
    }
    if name == short_id(inputs.old.container.id()) {
        return draft.source(field, Source::Daemon, "the old container's id");
    }
    if inputs.borrows_network() || text(&host["UTSMode"]) == "host" {
        return draft.source(field, Source::Daemon, "it belongs to whose namespace it lives in");
    }
    if text(&host["NetworkMode"]) == "host" {
        draft.findings.push(RecreateFinding::HostNameKept);
    }
    draft.user(field);
    draft.config.insert("Hostname".to_owned(), json!(name));
}

#[cfg(test)]
mod tests {
    use super::super::fixture::case;
    use super::*;

    #[test]
    fn what_the_image_brought_is_left_to_the_new_one() {
        let image = json!({
            "User": "1", "WorkingDir": "/srv/", "StopSignal": "SIGINT", "Labels": {"image": "1", "both": "1"},
            "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}, "Future": {"x": 1}, "OnBuild": ["x"],
        });
        let mut config = image.clone();
        config["WorkingDir"] = json!("/srv");
        config["Labels"]["user"] = json!("");
        config["Shell"] = json!(["/bin/sh"]);
        let plan =
            case(config, json!({})).images(image, json!({"Labels": {"image": "1", "both": "2"}})).plan();
        let fields: Vec<&str> = keys(&plan.body).collect();
        let sent = ["Labels", "AttachStdin", "AttachStdout", "AttachStderr", "Image", "HostConfig"];
        assert_eq!(fields, [&sent[..], &["NetworkingConfig"]].concat());
        assert_eq!(plan.body["Labels"], json!({"user": ""}));
        assert_eq!(plan.findings, [RecreateFinding::AmbiguousLabels { names: vec!["both".to_owned()] }]);
        assert_eq!(plan.body["Image"], json!("app@sha256:1"));
    }

    #[test]
    fn what_the_user_set_is_sent_even_if_nobody_here_knows_it() {
        let config = json!({
            "User": "2", "Domainname": "d", "Tty": true, "OpenStdin": true, "StdinOnce": true, "StopTimeout": 0,
            "NetworkDisabled": true, "Future": [1], "AttachStdout": true, "Volumes": {"/mine/": {}},
        });
        let body = case(config.clone(), json!({})).images(json!({"User": "1"}), json!({})).plan().body;
        for field in [
            "User",
            "Domainname",
            "Tty",
            "OpenStdin",
            "StdinOnce",
            "StopTimeout",
            "NetworkDisabled",
            "Future",
            "Volumes",
        ] {
            assert_eq!(body[field], config[field], "{field}");
        }
        assert_eq!(body["AttachStdout"], json!(false));
    }

    #[test]
    fn the_label_compose_compares_follows_the_image() {
        let body = case(json!({"Labels": {"com.docker.compose.image": "sha256:old"}}), json!({})).plan().body;
        assert_eq!(body["Labels"], json!({"com.docker.compose.image": "sha256:new"}));
        // None is made up where there was none.
        assert_eq!(case(json!({}), json!({})).plan().body.get("Labels"), None);
    }

    #[test]
    fn a_published_port_stays_exposed() {
        let exposed = json!({"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}});
        let host = json!({"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}});
        let body = case(exposed.clone(), host).images(exposed, json!({})).plan().body;
        assert_eq!(body["ExposedPorts"], json!({"80/tcp": {}}));
    }

    #[test]
    fn a_host_name_is_sent_where_it_is_the_users_and_allowed() {
        for (name, host, sent) in [
            ("aaaaaaaaaaaa", json!({}), None),
            ("own", json!({}), Some("own")),
            ("own", json!({"UTSMode": "host"}), None),
            ("own", json!({"NetworkMode": "host"}), Some("own")),
            ("own", json!({"NetworkMode": "container:peer-id"}), None),
        ] {
            let case = case(json!({"Hostname": name}), host.clone()).other("peer-id", "peer", json!([]));
            assert_eq!(case.plan().body["Hostname"].as_str(), sent, "{name} {host}");
        }
    }
}
