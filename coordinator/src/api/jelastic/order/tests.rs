//! Every row of the parameter table, each method's own, and each wrong form with its answer.

use super::*;

const ALL: [Method; 3] =
    [Method::RedeployContainers, Method::RedeployContainersByGroup, Method::RedeployContainerById];

fn read(method: Method, query: &str) -> Result<Asked, String> {
    asked(method, &Params::read(query, b"")).map_err(|wrong| wrong.to_string())
}

/// Of a call that is complete, with more parameters.
fn with(method: Method, more: &str) -> Asked {
    read(method, &format!("envName=shop&nodeGroup=cp&nodeId=7&tag=2&{more}"))
        .unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn node(id: u32, group: &str, image: &str) -> v1::Node {
    let container = Some(v1::ContainerFacts { image: image.into(), ..v1::ContainerFacts::default() });
    v1::Node { node_id: id, env: "shop".into(), group: group.into(), container, ..v1::Node::default() }
}

#[test]
fn what_each_method_needs_is_asked_for() {
    use Method::{
        RedeployContainerById as ById, RedeployContainers as Any, RedeployContainersByGroup as ByGroup,
    };
    let no_target = "say nodeGroup or nodeId: neither was given";
    for (method, query, wrong) in [
        (Any, "nodeGroup=cp&tag=2", "the parameter envName is missing"),
        (Any, "envName=&nodeGroup=cp&tag=2", "the parameter envName is missing"),
        (Any, "envName=shop&tag=2", no_target),
        (Any, "envName=shop&nodeGroup=&nodeId=&tag=2", no_target),
        (Any, "envName=shop&nodeGroup=cp", "the parameter tag is missing"),
        (Any, "envName=shop&nodeGroup=cp&tag=", "the parameter tag is missing"),
        (ByGroup, "envName=shop&nodeId=7&tag=2", "the parameter nodeGroup is missing"),
        (ById, "envName=shop&nodeGroup=cp&tag=2", "the parameter nodeId is missing"),
    ] {
        assert_eq!(read(method, query).err().as_deref(), Some(wrong), "{method:?} {query}");
    }
}

#[test]
fn a_node_wins_over_a_group_where_the_method_knows_both() {
    let group = Whom::Group("cp".into());
    assert_eq!(with(Method::RedeployContainers, "").whom, Whom::Node(7));
    assert_eq!(with(Method::RedeployContainerById, "").whom, Whom::Node(7));
    assert_eq!(with(Method::RedeployContainersByGroup, "").whom, group);
    // Nor does it matter what stands in a parameter that the method does not know.
    let odd = read(Method::RedeployContainersByGroup, "envName=shop&nodeGroup=cp&nodeId=x&tag=2");
    assert_eq!(odd.map(|asked| asked.whom), Ok(group));
    let request = with(Method::RedeployContainers, "").request();
    let target = v1::Target { env: "shop".into(), group: String::new(), node_id: 7 };
    assert_eq!((request.target, request.to), (Some(target), Some(To::Tag("2".into()))));
}

#[test]
fn options_are_the_safe_ones_unless_others_are_said() {
    for method in ALL {
        let plain = with(
            method,
            "useExistingVolumes=&skipReinstall=&login=&password=&manageDNSState=&async=&appid=1",
        );
        let request = plain.request();
        let options = request.options.unwrap();
        assert_eq!((options.use_existing_volumes, options.skip_reinstall), (Some(true), false));
        assert_eq!((request.login, plain.is_async, request.idempotency_key.as_str()), (None, false, ""));
        assert_eq!(request.comment, format!("Jelastic API: {method:?}"));
        let more = "useExistingVolumes=False&skipReinstall=1&login=u&password=p%20w&manageDNSState=TRUE&async=true\
                    &internal=true";
        let said = with(method, more);
        let request = said.request();
        let options = request.options.unwrap();
        assert_eq!((options.use_existing_volumes, options.skip_reinstall), (Some(false), true));
        assert_eq!(request.login, Some(v1::RegistryLogin { user: "u".into(), password: "p w".into() }));
        assert!(said.is_async);
    }
}

#[test]
fn only_a_group_has_a_sequence_and_a_pause() {
    let sequential = Some(Kind::Sequential(v1::Sequential {}));
    let at_once = Some(Kind::AllAtOnce(v1::AllAtOnce {}));
    for (more, kind, delay_ms) in [
        ("", sequential, 0),
        ("isSequential=true&delay=30", sequential, 30_000),
        ("delay=30", sequential, 30_000),
        ("isSequential=false&delay=30", at_once, 0),
        ("isSequential=0", at_once, 0),
        // The handler refuses it: that is longer than a day.
        ("delay=18446744073709551615", sequential, u64::MAX),
    ] {
        let strategy = with(Method::RedeployContainersByGroup, more).strategy;
        assert_eq!((strategy.kind, strategy.delay_ms), (kind, delay_ms), "{more}");
    }
    for method in [Method::RedeployContainers, Method::RedeployContainerById] {
        let strategy = with(method, "isSequential=false&delay=x").strategy;
        assert_eq!((strategy.kind, strategy.delay_ms), (sequential, 0));
    }
}

#[test]
fn each_wrong_form_is_named() {
    let id = "the parameter nodeId is not the id of a node: a number from 1";
    for (more, wrong) in [
        ("nodeId=x", id),
        ("nodeId=0", id),
        ("nodeId=-7", id),
        ("nodeId=7.0", id),
        ("nodeId=99999999999", id),
        ("useExistingVolumes=yes", "the parameter useExistingVolumes is not a boolean: write true or false"),
        ("skipReinstall=2", "the parameter skipReinstall is not a boolean"),
        ("manageDNSState=on", "the parameter manageDNSState is not a boolean"),
        ("async=maybe", "the parameter async is not a boolean"),
        ("login=u", "give login and password together"),
        ("password=pa55word", "give login and password together"),
        ("tag=a%20b", "neither a tag nor {image}:{tag}: \"a b\" is not a tag: a tag has 1 to 128"),
        ("tag=-x", "is not a tag"),
        ("tag=Web:2", "lower-case"),
        ("tag=:2", "lower-case"),
        ("tag=web:", "a tag has 1 to 128"),
        ("tag=r.example:5000/web", "there is no tag behind the image's name"),
        ("tag=web@sha256:12", "a digest"),
    ] {
        let query = format!("{more}&envName=shop&nodeGroup=cp&tag=2");
        let said = read(Method::RedeployContainers, &query).err().unwrap_or_default();
        assert!(said.contains(wrong) && !said.contains("pa55word"), "{more}: {said}");
    }
    let digest = format!("tag=web:2@sha256:{}", "ab".repeat(32));
    let said = read(Method::RedeployContainers, &format!("{digest}&envName=shop&nodeGroup=cp")).err();
    assert!(said.is_some_and(|said| said.contains("a digest is not possible here")));
    let by_group = |more: &str| {
        read(Method::RedeployContainersByGroup, &format!("envName=shop&nodeGroup=cp&tag=2&{more}"))
    };
    for (more, wrong) in [
        ("isSequential=x", "the parameter isSequential is not a boolean"),
        ("delay=-1", "the parameter delay is not a number of seconds from 0"),
        ("delay=30s", "the parameter delay is not a number of seconds from 0"),
        ("delay=0.5", "the parameter delay is not a number of seconds from 0"),
    ] {
        let said = by_group(more).err().unwrap_or_default();
        assert!(said.contains(wrong), "{more}: {said}");
    }
}

#[test]
fn an_image_beside_the_tag_must_be_the_one_that_the_nodes_have() {
    let nodes = [
        node(1, "cp", "jelastic/redis:5.0.3"),
        node(2, "cp", "jelastic/redis@sha256:12"),
        node(3, "db", "mysql:8"),
    ];
    let among = |query: &str| {
        let asked = read(Method::RedeployContainers, &format!("envName=shop&{query}")).unwrap();
        assert_eq!(asked.request().to, Some(To::Tag("5.0.5".into())));
        let found =
            asked.among(&nodes).map(|nodes| nodes.iter().map(|node| node.node_id).collect::<Vec<_>>());
        found.map_err(|failed| (failed.code, failed.error))
    };
    for tag in ["5.0.5", "jelastic/redis:5.0.5", "docker.io/jelastic/redis:5.0.5"] {
        assert_eq!(among(&format!("nodeGroup=cp&tag={tag}")), Ok(vec![1, 2]), "{tag}");
    }
    for tag in [
        "mysql:5.0.5",
        "library/mysql:5.0.5",
        "docker.io/library/mysql:5.0.5",
        "index.docker.io/library/mysql:5.0.5",
    ] {
        assert_eq!(among(&format!("nodeId=3&tag={tag}")), Ok(vec![3]), "{tag}");
    }
    for tag in ["redis:5.0.5", "r.example/jelastic/redis:5.0.5", "jelastic/redis2:5.0.5"] {
        let (code, error) = among(&format!("nodeGroup=cp&tag={tag}")).unwrap_err();
        assert_eq!(code, Code::Parameter, "{tag}");
        assert!(error.contains("node 1 is on image \"jelastic/redis\""), "{error}");
    }
}

#[test]
fn who_is_not_there_is_named_with_the_nearest() {
    let nodes = [node(3, "cp", "web:1"), node(9, "sqldb", "db:1")];
    for (query, nearest) in
        [("nodeGroup=pc", "the nearest is \"cp\""), ("nodeId=8", "there is no node 8; the nearest is 9")]
    {
        let asked = read(Method::RedeployContainers, &format!("envName=shop&tag=2&{query}")).unwrap();
        let failed = asked.among(&nodes).unwrap_err();
        assert_eq!(failed.code, Code::NotFound);
        assert!(
            failed.error.contains("environment shop") && failed.error.contains(nearest),
            "{}",
            failed.error
        );
    }
}
