//! A registry password is in no file of the data directory as it is, and in no form once its deployment is over.

use std::path::Path;

use redeploy_coordinator::server::Limits;
use redeploy_proto::v1;

use crate::house::{House, hello, until};

const PASSWORD: &str = "correct-horse-battery-staple";

/// Every file below, with its content.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            // One that goes meanwhile holds nothing any more.
            found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        }
    }
    found
}

fn holding(dir: &Path, what: &[u8]) -> Vec<String> {
    let is_in = |content: &Vec<u8>| content.windows(what.len()).any(|window| window == what);
    files(dir).into_iter().filter(|(_, content)| is_in(content)).map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_password_is_sealed_while_it_is_needed_and_gone_afterwards() {
    let house = House::new(Limits::default()).await;
    let host = house.host("web-1").await;
    let mut admin = house.admin().await;
    let adopt = v1::AdoptNodeRequest {
        host: host.host.to_string(),
        container: "web".into(),
        env: "shop".into(),
        group: "cp".into(),
    };
    // Its host tells that there is such a container, and goes away.
    let web = v1::ContainerFacts { name: "web".into(), ..v1::ContainerFacts::default() };
    let inventory = Some(v1::Inventory { containers: vec![web], is_cut_short: false });
    let session = house.session(&host, v1::Hello { inventory, ..hello() }).await.unwrap();
    until("the container is known", || {
        let (mut admin, adopt) = (admin.clone(), adopt.clone());
        async move { admin.adopt_node(adopt).await.is_ok() }
    })
    .await;
    drop(session);
    let request = v1::CreateDeploymentRequest {
        idempotency_key: "k".into(),
        target: Some(v1::Target { env: "shop".into(), group: "cp".into(), node_id: 0 }),
        to: Some(v1::create_deployment_request::To::Image("registry.example/web:2".into())),
        login: Some(v1::RegistryLogin { user: "u".into(), password: PASSWORD.into() }),
        ..v1::CreateDeploymentRequest::default()
    };
    let made = admin.create_deployment(request).await.unwrap().into_inner();
    let store = house.store().await;
    let id = made.deployment_id.parse().unwrap();
    let sealed = store.sealed_login(id).await.unwrap().expect("it is kept for the agents");
    store.close().await;
    assert!(!holding(house.data_dir(), &sealed).is_empty(), "sealed, it is in the store");
    assert_eq!(holding(house.data_dir(), PASSWORD.as_bytes()), Vec::<String>::new());

    let action = v1::DeploymentActionRequest { deployment_id: made.deployment_id, comment: String::new() };
    admin.cancel_deployment(action).await.unwrap();
    until("what was sealed to be gone from the store and its log", || async {
        holding(house.data_dir(), &sealed).is_empty()
    })
    .await;
    assert_eq!(holding(house.data_dir(), PASSWORD.as_bytes()), Vec::<String>::new());
}
