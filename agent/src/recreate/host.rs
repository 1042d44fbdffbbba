//! `HostConfig`: passed on as raw JSON, so that fields nobody here knows survive, with few exceptions.

use serde_json::{Value, json};

use super::json::{pairs, says_nothing, text, texts};
use super::{Draft, Inputs, Peer, RecreateError, RecreateFinding, Source, peers};

/// Sends the host configuration, volumes excepted.
///
/// # Errors
/// [`RecreateError::PeerGone`]
pub(super) fn carry(inputs: &Inputs<'_>, draft: &mut Draft) -> Result<(), RecreateError> {
    for (field, value) in pairs(inputs.host()) {
        match field {
            // See `volumes`.
            "Binds" | "Mounts" | "VolumesFrom" => {}
            "NetworkMode" | "IpcMode" | "PidMode" => mode(field, value, inputs, draft)?,
            "Links" => links(inputs, draft)?,
            _ if is_the_daemons(field, value, inputs) => {
                if !says_nothing(value) {
                    draft.source(format!("HostConfig.{field}"), Source::Daemon, "");
                }
            }
            _ => pass(field, value, draft),
        }
    }
    report_ephemeral_ports(inputs, draft);
    Ok(())
}

/// As it is: null, [] and {} are not the same to every field.
fn pass(field: &str, value: &Value, draft: &mut Draft) {
    if !says_nothing(value) {
        // An inspect does not tell what was asked for from what the engine filled in.
        draft.source(
            format!("HostConfig.{field}"),
            Source::User,
            "or the engine's default when it was created",
        );
    }
    draft.host.insert(field.to_owned(), value.clone());
}

/// Settings the engine made up, and such as it would refuse beside a borrowed network.
fn is_the_daemons(field: &str, value: &Value, inputs: &Inputs<'_>) -> bool {
    let engine = inputs.around.engine;
    match field {
        // The size of a terminal that is long gone.
        "ConsoleSize" => true,
        "Runtime" => says_nothing(value) || text(value) == engine.default_runtime,
        // -1 says "not set"; control groups v2 know no such thing, so engines on them refuse any value.
        "MemorySwappiness" => {
            value.as_i64() == Some(-1) || (engine.cgroup_version >= 2 && value.as_i64() == Some(0))
        }
        // Options and search domains of name servers have no effect there, but do not conflict.
        "PortBindings" | "PublishAllPorts" | "Dns" | "ExtraHosts" => {
            inputs.borrows_network() && !says_nothing(value)
        }
        _ => false,
    }
}

fn mode(field: &str, value: &Value, inputs: &Inputs<'_>, draft: &mut Draft) -> Result<(), RecreateError> {
    let Some(peer) = peers::of_mode(text(value)) else {
        pass(field, value, draft);
        return Ok(());
    };
    let peer = find_peer(&format!("HostConfig.{field}"), peer, inputs)?;
    draft.source(format!("HostConfig.{field}"), Source::User, format!("lives in that of {}", peer.name));
    draft.host.insert(field.to_owned(), json!(format!("container:{}", peer.name)));
    if !draft.peers.contains(&peer) {
        draft.peers.push(peer);
    }
    Ok(())
}

fn links(inputs: &Inputs<'_>, draft: &mut Draft) -> Result<(), RecreateError> {
    let links = texts(&inputs.host()["Links"]);
    if links.is_empty() || inputs.borrows_network() {
        return Ok(());
    }
    let mut sent = Vec::new();
    for link in links {
        let (source, alias) = peers::of_link(link);
        let peer = find_peer("HostConfig.Links", source, inputs)?;
        sent.push(format!("{}:{alias}", peer.name));
    }
    // The engine answers in any order.
    sent.sort();
    draft.user("HostConfig.Links");
    draft.host.insert("Links".to_owned(), json!(sent));
    Ok(())
}

fn find_peer(field: &str, peer: &str, inputs: &Inputs<'_>) -> Result<Peer, RecreateError> {
    peers::find(peer, inputs.around.containers)
        .map(|found| Peer { id: found.id().to_owned(), name: found.name().to_owned() })
        .ok_or_else(|| RecreateError::PeerGone {
            container: inputs.old.container.name().to_owned(),
            field: field.to_owned(),
            peer: peer.to_owned(),
        })
}

/// Host ports the engine picks, from all or from a range.
fn report_ephemeral_ports(inputs: &Inputs<'_>, draft: &mut Draft) {
    if inputs.borrows_network() || text(&inputs.host()["NetworkMode"]) == "host" {
        return;
    }
    let bindings = &inputs.host()["PortBindings"];
    let chosen = |port: &Value| matches!(text(port), "" | "0") || text(port).contains('-');
    let is_ephemeral = |bindings: &Value| match bindings.as_array() {
        Some(list) if !list.is_empty() => list.iter().any(|binding| chosen(&binding["HostPort"])),
        _ => true,
    };
    let mut ports: Vec<String> = pairs(bindings)
        .filter(|(_, bindings)| is_ephemeral(bindings))
        .map(|(port, _)| port.to_owned())
        .collect();
    if inputs.host()["PublishAllPorts"].as_bool() == Some(true) {
        let exposed = pairs(&inputs.config()["ExposedPorts"]).map(|(port, _)| port.to_owned());
        ports.extend(exposed.filter(|port| bindings.get(port).is_none()));
    }
    if !ports.is_empty() {
        ports.sort();
        draft.findings.push(RecreateFinding::EphemeralPorts { ports });
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::case;
    use super::*;

    #[test]
    fn everything_passes_but_what_the_engine_made_up() {
        let host = json!({
            "CapAdd": ["CAP_X"], "Devices": null, "MaskedPaths": [], "Future": {"a": [1]}, "ShmSize": 1,
            "Runtime": "runc", "ConsoleSize": [24, 80], "MemorySwappiness": -1, "RestartPolicy": {"Name": "no"},
            "AutoRemove": true, "CgroupnsMode": "host", "NetworkMode": "none",
        });
        let mut case = case(json!({}), host.clone());
        let sent = case.plan().body["HostConfig"].clone();
        for (field, value) in pairs(&host) {
            let is_dropped = ["Runtime", "ConsoleSize", "MemorySwappiness"].contains(&field);
            assert_eq!(sent.get(field), Some(value).filter(|_| !is_dropped), "{field}");
        }
        case.container["HostConfig"] = json!({"Runtime": "kata", "MemorySwappiness": 0});
        assert_eq!(case.plan().body["HostConfig"], case.container["HostConfig"]);
        case.engine.cgroup_version = 2;
        assert_eq!(case.plan().body["HostConfig"], json!({"Runtime": "kata"}));
    }

    #[test]
    fn modes_that_point_at_a_container_point_at_its_name() {
        let host =
            json!({"NetworkMode": "container:peer-id", "PidMode": "container:peer", "IpcMode": "host"});
        let plan = case(json!({}), host).other("peer-id", "peer", json!([])).plan();
        let sent = json!({"NetworkMode": "container:peer", "PidMode": "container:peer", "IpcMode": "host"});
        assert_eq!(plan.body["HostConfig"], sent);
        assert_eq!(plan.peers, [Peer { id: "peer-id".to_owned(), name: "peer".to_owned() }]);
        let gone = case(json!({}), json!({"IpcMode": "container:gone"})).try_plan().unwrap_err();
        assert!(
            matches!(&gone, RecreateError::PeerGone { field, .. } if field == "HostConfig.IpcMode"),
            "{gone}"
        );
    }

    #[test]
    fn beside_a_borrowed_network_nothing_is_sent_that_would_be_refused() {
        let config = json!({
            "Hostname": "peer-host", "MacAddress": "02:00:00:00:00:01", "ExposedPorts": {"80/tcp": {}},
        });
        let host = json!({
            "NetworkMode": "container:peer-id", "Dns": ["192.0.2.1"], "ExtraHosts": ["a:192.0.2.2"],
            "PortBindings": {"80/tcp": [{}]}, "PublishAllPorts": true, "Links": ["/x:/web/x"], "DnsOptions": [],
        });
        let plan = case(config, host).other("peer-id", "peer", json!([])).plan();
        assert_eq!(plan.body["HostConfig"], json!({"NetworkMode": "container:peer", "DnsOptions": []}));
        for field in ["Hostname", "MacAddress", "ExposedPorts"] {
            assert_eq!(plan.body.get(field), None, "{field}");
        }
        assert_eq!(plan.findings, []);
    }

    #[test]
    fn links_are_rewritten_to_the_form_the_engine_takes() {
        let host = json!({"Links": ["/db:/web/store", "/db:/web/db"]});
        let plan = case(json!({}), host.clone()).other("db-id", "db", json!([])).plan();
        assert_eq!(plan.body["HostConfig"]["Links"], json!(["db:db", "db:store"]));
        assert!(matches!(case(json!({}), host).try_plan(), Err(RecreateError::PeerGone { .. })));
    }

    #[test]
    fn host_ports_of_the_engines_choice_are_named() {
        let bindings = json!({
            "80/tcp": [{"HostPort": ""}], "81/tcp": [{"HostPort": "8000-8010"}], "82/tcp": [{"HostPort": "82"}],
            "83/tcp": [{"HostPort": "0"}],
        });
        let config = json!({"ExposedPorts": {"82/tcp": {}, "90/udp": {}}});
        let ports = |host: Value| match &case(config.clone(), host).plan().findings[..] {
            [RecreateFinding::EphemeralPorts { ports }, ..] => ports.clone(),
            _ => Vec::new(),
        };
        assert_eq!(ports(json!({"PortBindings": bindings})), ["80/tcp", "81/tcp", "83/tcp"]);
        let all = json!({"PortBindings": bindings, "PublishAllPorts": true});
        assert_eq!(ports(all), ["80/tcp", "81/tcp", "83/tcp", "90/udp"]);
        assert_eq!(ports(json!({"NetworkMode": "host", "PublishAllPorts": true})), Vec::<String>::new());
    }
}
