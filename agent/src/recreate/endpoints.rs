//! Networks: which one the container is created on, which are connected afterwards, and with what wishes.
//!
//! Only wishes are sent: addresses asked for, aliases, links, driver options, a user's MAC address. What a
//! running endpoint was given (addresses, ids, DNS names, a generated MAC address) is never sent back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::docker::{ApiVersion, Container};

use super::json::{pairs, says_nothing, short_id, text, texts};
use super::{Connect, Draft, Inputs, RecreateFinding, Source};

/// Where several endpoints, and MAC addresses in them, became possible.
const API_ENDPOINT_MAC: ApiVersion = ApiVersion { major: 1, minor: 44 };
/// Where aliases no longer list the short id.
const API_CLEAN_ALIASES: ApiVersion = ApiVersion { major: 1, minor: 45 };
/// Where endpoints got a gateway priority.
const API_GATEWAY_PRIORITY: ApiVersion = ApiVersion { major: 1, minor: 48 };

/// What the engine never tells of a container's networks, out of its own `config.v2.json` of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkRecord {
    /// MAC addresses the user asked for, by network name. The engine tells that of the first network only.
    pub wished_macs: BTreeMap<String, String>,
    /// Networks on which the address that looks like a wish was given by the engine: on the swarm's networks a
    /// running container's `IPAMConfig` holds whatever it was given.
    pub given_addresses: BTreeSet<String>,
}

impl NetworkRecord {
    /// Reads the record.
    #[must_use]
    pub fn of(config_v2: &Value) -> Self {
        let mut record = Self::default();
        for (network, endpoint) in pairs(&config_v2["NetworkSettings"]["Networks"]) {
            let mac = text(&endpoint["DesiredMacAddress"]);
            if !mac.is_empty() {
                record.wished_macs.insert(network.to_owned(), mac.to_owned());
            }
            if endpoint["IPAMOperational"].as_bool() == Some(true) {
                record.given_addresses.insert(network.to_owned());
            }
        }
        record
    }
}

/// Sends the endpoints.
pub(super) fn carry(inputs: &Inputs<'_>, draft: &mut Draft) {
    let networks = &inputs.old.container.raw()["NetworkSettings"]["Networks"];
    let mode = text(&inputs.host()["NetworkMode"]);
    let has_own = !inputs.borrows_network() && !matches!(mode, "host" | "none");
    if !has_own || inputs.config()["NetworkDisabled"].as_bool() == Some(true) {
        return;
    }
    let mut names: Vec<&str> = pairs(networks).map(|(name, _)| name).collect();
    names.sort_unstable();
    let primary = primary(mode, inputs, &names);
    let Some(first) = primary.or_else(|| names.first().copied()) else {
        let mode = mode.to_owned();
        draft.findings.push(RecreateFinding::PrimaryNetworkLeft { mode, instead: None });
        mac_of_config(inputs, draft);
        return;
    };
    if primary.is_none() {
        let (mode, instead) = (mode.to_owned(), Some(first.to_owned()));
        draft.findings.push(RecreateFinding::PrimaryNetworkLeft { mode, instead });
    }
    for name in &names {
        draft.user(format!("NetworkSettings.Networks[{name}]"));
        report_missing(name, inputs, draft);
    }
    draft.first_endpoint = Some((first.to_owned(), endpoint(first, true, inputs)));
    for name in names.iter().filter(|name| **name != first) {
        let endpoint = endpoint(name, false, inputs);
        draft.connects.push(Connect { network: (*name).to_owned(), endpoint });
    }
    mac_of_config(inputs, draft);
}

/// The network `NetworkMode` means, among those the container is on.
fn primary<'a>(mode: &str, inputs: &Inputs<'a>, names: &[&'a str]) -> Option<&'a str> {
    let mode = if matches!(mode, "" | "default") { "bridge" } else { mode };
    let networks = &inputs.old.container.raw()["NetworkSettings"]["Networks"];
    let by_name = names.iter().find(|name| **name == mode);
    let by_id = || {
        names.iter().find(|name| {
            let listed = inputs.around.networks.iter().find(|network| text(&network["Name"]) == **name);
            let id =
                listed.map_or_else(|| text(&networks[**name]["NetworkID"]), |network| text(&network["Id"]));
            !id.is_empty() && id.starts_with(mode)
        })
    };
    by_name.or_else(by_id).copied()
}

/// What the user wished for on this network.
fn endpoint(name: &str, first: bool, inputs: &Inputs<'_>) -> Value {
    let (api, record) = (inputs.around.engine.api, inputs.around.network_record);
    let endpoint = &inputs.old.container.raw()["NetworkSettings"]["Networks"][name];
    let mut sent = Map::new();
    let ipam: Map<String, Value> = pairs(&endpoint["IPAMConfig"])
        .filter(|(_, wish)| !says_nothing(wish) && !record.given_addresses.contains(name))
        .map(|(field, wish)| (field.to_owned(), wish.clone()))
        .collect();
    sent.insert("IPAMConfig".to_owned(), Value::Object(ipam));
    sent.insert("Aliases".to_owned(), json!(aliases(endpoint, inputs.old.container, api)));
    sent.insert("Links".to_owned(), endpoint["Links"].clone());
    sent.insert("DriverOpts".to_owned(), endpoint["DriverOpts"].clone());
    if api >= API_GATEWAY_PRIORITY {
        sent.insert("GwPriority".to_owned(), endpoint["GwPriority"].clone());
    }
    if api >= API_ENDPOINT_MAC {
        let wished = record.wished_macs.get(name).map(String::as_str);
        let of_config = Some(text(&inputs.config()["MacAddress"])).filter(|_| first);
        sent.insert("MacAddress".to_owned(), json!(wished.or(of_config).unwrap_or("")));
    }
    sent.retain(|_, wish| !says_nothing(wish));
    Value::Object(sent)
}

/// The user's aliases. Older engines add the container's short id and, behind it, its host name, and would
/// add them again.
pub(super) fn aliases<'a>(endpoint: &'a Value, container: &Container, api: ApiVersion) -> Vec<&'a str> {
    let aliases = texts(&endpoint["Aliases"]);
    let short = short_id(container.id());
    let hostname = text(&container.raw()["Config"]["Hostname"]);
    let added_from = aliases.iter().position(|alias| *alias == short).unwrap_or(aliases.len());
    aliases
        .into_iter()
        .enumerate()
        .filter(|(place, alias)| {
            let is_hostname = api < API_CLEAN_ALIASES && *place > added_from && *alias == hostname;
            *alias != short && !is_hostname
        })
        .map(|(_, alias)| alias)
        .collect()
}

/// Below API 1.44 the container as a whole has a MAC address; afterwards the first endpoint has it.
fn mac_of_config(inputs: &Inputs<'_>, draft: &mut Draft) {
    let mac = &inputs.config()["MacAddress"];
    if says_nothing(mac) {
        return;
    }
    if inputs.around.engine.api < API_ENDPOINT_MAC {
        draft.user("Config.MacAddress");
        draft.config.insert("MacAddress".to_owned(), mac.clone());
    } else {
        draft.source("Config.MacAddress", Source::User, "sent with the endpoint");
    }
}

fn report_missing(name: &str, inputs: &Inputs<'_>, draft: &mut Draft) {
    let is_known = |network: &&Value| text(&network["Name"]) == name || text(&network["Id"]) == name;
    if !inputs.around.networks.iter().any(|network| is_known(&network)) {
        draft.findings.push(RecreateFinding::NetworkNotFound { network: name.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::case;
    use super::*;

    /// An endpoint as it looks while it runs.
    fn running(aliases: Value) -> Value {
        json!({
            "IPAMConfig": {"IPv4Address": "10.0.0.9", "IPv6Address": ""}, "Links": ["db:store"], "Aliases": aliases,
            "NetworkID": "n", "EndpointID": "e", "Gateway": "10.0.0.1", "IPAddress": "10.0.0.9", "IPPrefixLen": 24,
            "MacAddress": "02:42:0a:00:00:09", "DriverOpts": {"a": "b"}, "DNSNames": ["web"], "GwPriority": 7,
        })
    }

    fn first(plan: &super::super::Recreation) -> Value {
        plan.body["NetworkingConfig"]["EndpointsConfig"].clone()
    }

    #[test]
    fn wishes_are_sent_and_runtime_values_are_not() {
        let case = case(json!({"Hostname": "named"}), json!({"NetworkMode": "one"}))
            .endpoints(json!({"one": running(json!(["web", "aaaaaaaaaaaa", "named"]))}));
        let wishes = json!({
            "IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["web"], "Links": ["db:store"],
            "DriverOpts": {"a": "b"},
        });
        assert_eq!(first(&case.plan()), json!({"one": wishes}));
        let mut with_priority = wishes.clone();
        with_priority["GwPriority"] = json!(7);
        // From 1.45 on the list is the user's, except that the short id is never anyone's wish.
        with_priority["Aliases"] = json!(["web", "named"]);
        assert_eq!(first(&case.api(48).plan()), json!({"one": with_priority}));
    }

    #[test]
    fn an_address_that_the_swarm_gave_is_not_a_wish() {
        let mut case = case(json!({}), json!({"NetworkMode": "one"}))
            .endpoints(json!({"one": running(json!(["web"])), "two": running(json!(["web"]))}));
        case.network_record = NetworkRecord::of(&json!({"NetworkSettings": {"Networks": {
            "one": {"IPAMOperational": true}, "two": {"IPAMOperational": false},
        }}}));
        let plan = case.plan();
        assert_eq!(first(&plan)["one"].get("IPAMConfig"), None);
        assert_eq!(plan.connects[0].endpoint["IPAMConfig"], json!({"IPv4Address": "10.0.0.9"}));
    }

    #[test]
    fn an_alias_of_twelve_digits_that_is_not_the_id_is_kept() {
        let networks = json!({"one": {"Aliases": ["bbbbbbbbbbbb", "aaaaaaaaaaaa"]}});
        let plan = case(json!({}), json!({"NetworkMode": "one"})).endpoints(networks).plan();
        assert_eq!(first(&plan), json!({"one": {"Aliases": ["bbbbbbbbbbbb"]}}));
    }

    #[test]
    fn the_network_of_the_mode_comes_first_and_the_rest_afterwards() {
        let networks = json!({"bridge": {}, "one": {"NetworkID": "one-id"}, "two": {"Aliases": ["t"]}});
        for (mode, at_create, later) in [
            ("default", "bridge", ["one", "two"]),
            ("two", "two", ["bridge", "one"]),
            ("one-id", "one", ["bridge", "two"]),
        ] {
            let plan = case(json!({}), json!({"NetworkMode": mode})).endpoints(networks.clone()).plan();
            assert_eq!(pairs(&first(&plan)).map(|(name, _)| name).collect::<Vec<_>>(), [at_create], "{mode}");
            let names: Vec<&str> = plan.connects.iter().map(|connect| connect.network.as_str()).collect();
            assert_eq!(names, later, "{mode}");
            assert_eq!(plan.findings, [], "{mode}");
        }
    }

    #[test]
    fn a_network_that_was_left_is_told() {
        let case =
            case(json!({}), json!({"NetworkMode": "default"})).endpoints(json!({"two": {}, "lost": {}}));
        let plan = case.plan();
        assert_eq!(first(&plan), json!({"lost": {}}));
        let (mode, instead) = ("default".to_owned(), Some("lost".to_owned()));
        let left = RecreateFinding::PrimaryNetworkLeft { mode: mode.clone(), instead };
        let lost = RecreateFinding::NetworkNotFound { network: "lost".to_owned() };
        assert_eq!(plan.findings, [left, lost]);
        let none = case.endpoints(json!({})).plan();
        assert_eq!(none.findings, [RecreateFinding::PrimaryNetworkLeft { mode, instead: None }]);
        assert_eq!(first(&none), json!({}));
    }

    #[test]
    fn a_mac_address_goes_where_the_api_wants_it() {
        let config = json!({"MacAddress": "02:00:00:00:00:01"});
        let networks =
            json!({"one": {"MacAddress": "02:42:00:00:00:02"}, "two": {"MacAddress": "02:42:00:00:00:03"}});
        let mut case = case(config.clone(), json!({"NetworkMode": "one"})).endpoints(networks);
        case.network_record = NetworkRecord::of(&json!({"NetworkSettings": {"Networks": {
            "one": {"DesiredMacAddress": ""}, "two": {"DesiredMacAddress": "02:00:00:00:00:09"},
        }}}));
        let plan = case.plan();
        assert_eq!((&plan.body["MacAddress"], first(&plan)), (&config["MacAddress"], json!({"one": {}})));
        let plan = case.api(44).plan();
        assert_eq!(plan.body.get("MacAddress"), None);
        assert_eq!(first(&plan), json!({"one": config}));
        assert_eq!(plan.connects[0].endpoint, json!({"MacAddress": "02:00:00:00:00:09"}));
    }

    #[test]
    fn without_a_network_of_its_own_nothing_is_sent() {
        for mode in ["host", "none", "container:peer"] {
            let case = case(json!({"MacAddress": "02:00:00:00:00:01"}), json!({"NetworkMode": mode}));
            let plan = case.endpoints(json!({"host": {}})).other("peer-id", "peer", json!([])).plan();
            assert_eq!((first(&plan), plan.connects.len()), (json!({}), 0), "{mode}");
            assert_eq!(plan.body.get("MacAddress"), None, "{mode}");
        }
    }
}
