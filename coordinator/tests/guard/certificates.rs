//! Certificates: renewed in time, and refused when they are over, revoked, or somebody else's.

use std::time::Duration;

use redeploy_coordinator::server::Limits;
use redeploy_proto::v1;
use tonic::Code;

use crate::house::{House, forged, hello, until};
use crate::logs;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_ended_is_refused_and_the_log_says_whose_and_what_to_do() {
    logs::keep();
    let limits = Limits { certificate_life: Duration::from_secs(3), ..Limits::default() };
    let house = House::new(limits).await;
    let host = house.host("short-lived").await;
    house.session(&host, hello()).await.expect("it is good for a while");
    let renewed = house.renew(&host).await.expect("it is renewed in time");
    assert_ne!(renewed.certificate, host.certificate);

    until("the certificate to end", || async {
        let refused = house.session(&host, hello()).await.err();
        refused.is_some_and(|status| status.code() != Code::ResourceExhausted)
    })
    .await;
    until("the log to say it", || async {
        logs::with(host.host.as_str()).iter().any(|line| line.contains("WARN") && line.contains("join again"))
    })
    .await;
    assert!(house.renew(&host).await.is_err(), "what has ended renews nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_host_neither_renews_nor_comes_again() {
    let house = House::new(Limits::default()).await;
    let host = house.host("revoked").await;
    let session = house.session(&host, hello()).await.unwrap();
    house.renew(&host).await.unwrap();
    house
        .admin()
        .await
        .revoke_host(v1::RevokeHostRequest { host: host.host.to_string(), comment: "lost".into() })
        .await
        .unwrap();
    assert_eq!(session.ended().await.code(), Code::PermissionDenied, "it is cut off at once");
    let refused = house.renew(&host).await.expect_err("it was renewed");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = house.session(&host, hello()).await.expect_err("it was let in");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_and_none_at_all_are_nobody() {
    logs::keep();
    let house = House::new(Limits::default()).await;
    let host = house.host("victim").await;
    let forged = forged(&host.host);
    assert!(house.session(&forged, hello()).await.is_err(), "a forged certificate was let in");
    assert!(house.renew(&forged).await.is_err());
    until("the log to say it", || async {
        logs::with(host.host.as_str()).iter().any(|line| line.contains("a certificate was refused"))
    })
    .await;
    let mut nobody = house.agent(None).await.unwrap();
    let refused = nobody.session(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = nobody.renew(v1::RenewRequest { csr: vec![1] }).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    house.session(&host, hello()).await.expect("the real one is let in");
}
