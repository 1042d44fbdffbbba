//! Tokens that are wrong, over, used or revoked: the same answer to all of them, and a line about each.

use redeploy_coordinator::server::Limits;
use redeploy_proto::v1;
use tonic::{Code, Status};

use crate::house::{House, PATIENCE, hello, until};

fn same(refused: &[Status]) {
    for status in refused {
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert_eq!(status.message(), refused[0].message(), "the answers differ, so one can learn from them");
        assert!(status.metadata().keys().count() == refused[0].metadata().keys().count(), "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_to_be_learned_from_the_refusal_of_an_api_token() {
    let house = House::new(Limits::default()).await;
    let revoked = house.token("revoked", v1::Role::Admin, 0).await;
    let over = house.token("over", v1::Role::Admin, 1).await;
    let which = v1::RevokeApiTokenRequest { token_id: "revoked".into() };
    house.admin().await.revoke_api_token(which).await.unwrap();
    until("the token to expire", || async {
        house.operator(&over).await.list_hosts(v1::ListHostsRequest {}).await.is_err()
    })
    .await;
    let mut refused = Vec::new();
    for token in ["", "rda_wrong", &revoked, &over] {
        let call = house.operator(token).await.list_hosts(v1::ListHostsRequest {}).await;
        refused.push(call.unwrap_err());
    }
    same(&refused);
    // Whoever may read the audit log learns whose it was.
    let log = house.audit().await;
    for who in ["unknown", "revoked", "over"] {
        let line = log.iter().find(|row| row.who == who && row.what == "ListHosts").expect(who);
        assert!(line.result.starts_with("refused"), "{line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_to_be_learned_from_the_refusal_of_a_join_token() {
    let house = House::new(Limits::default()).await;
    let [first, second] = [rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap()];
    let used = house.join_token(0).await.token;
    let joined = house.enroll(&used, &first, "a").await.unwrap();
    let again = house.enroll(&used, &first, "a").await.unwrap();
    assert_eq!(joined.host_id, again.host_id, "a lost answer costs nothing");
    let revoked = house.join_token(0).await;
    let id = v1::RevokeJoinTokenRequest { token_id: revoked.info.unwrap().token_id };
    house.admin().await.revoke_join_token(id).await.unwrap();
    let over = house.join_token(1).await.token;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let mut refused = Vec::new();
    for token in ["", "rdj_wrong", &used, &revoked.token, &over] {
        refused.push(house.enroll(token, &second, "b").await.unwrap_err());
    }
    same(&refused);
    let noted = house.audit().await.iter().filter(|row| row.what == "join" && row.result != "ok").count();
    assert_eq!(noted, refused.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_with_a_token_that_is_revoked_sees_no_more() {
    let house = House::new(Limits::default()).await;
    let token = house.token("watcher", v1::Role::Viewer, 0).await;
    let request = v1::WatchEventsRequest::default();
    let mut events = house.operator(&token).await.watch_events(request).await.unwrap().into_inner();
    let which = v1::RevokeApiTokenRequest { token_id: "watcher".into() };
    house.admin().await.revoke_api_token(which).await.unwrap();
    // Something happens.
    let host = house.host("web-1").await;
    let _session = house.session(&host, hello()).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE * 2, async {
        loop {
            match events.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it just ended"),
                Err(status) => return status,
            }
        }
    });
    assert_eq!(ended.await.expect("it goes on").code(), Code::Unauthenticated);
}
