//! What comes in too large numbers, too large, too slowly, or makes no sense: everybody else is served all the same.

use std::time::Duration;

use redeploy_coordinator::server::{Limits, Rate};
use redeploy_coordinator::sessions::{Settings, Strangers};
use redeploy_proto::v1;
use redeploy_proto::v1::agent_message::Message as Up;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::house::{House, PATIENCE, hello, message, until};
use crate::logs;

/// Quick to lose patience.
fn impatient() -> Limits {
    let strangers = Strangers { max: 8, stay: Duration::from_secs(2) };
    let sessions = Settings { patience: Duration::from_millis(300), strangers, ..Settings::default() };
    Limits { sessions, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_calls_too_often_is_told_when_to_come_again_and_others_are_served() {
    let house = House::new(Limits { calls: Rate { per_second: 2, burst: 5 }, ..Limits::default() }).await;
    let token = house.token("ci", v1::Role::Viewer, 0).await;
    let (mut eager, mut admin) = (house.operator(&token).await, house.admin().await);
    let mut refused = None;
    for _ in 0..20 {
        refused = refused.or(eager.who_am_i(v1::WhoAmIRequest {}).await.err());
    }
    let refused = refused.expect("twenty calls at once are too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let hint = refused.metadata().get("grpc-retry-pushback-ms").expect("a hint").to_str().unwrap();
    let hint = Duration::from_millis(hint.parse().unwrap());
    assert!(!hint.is_zero() && hint < PATIENCE, "{hint:?}");
    admin.who_am_i(v1::WhoAmIRequest {}).await.expect("another token is another caller");
    until("the token to be let in again", || {
        let mut eager = eager.clone();
        async move { eager.who_am_i(v1::WhoAmIRequest {}).await.is_ok() }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_bad_tokens_neither_fills_the_log_nor_keeps_a_good_one_out() {
    let house = House::new(Limits::default()).await;
    let mut stranger = house.operator("rda_nonsense").await;
    let mut codes = Vec::new();
    for _ in 0..60 {
        codes.push(stranger.list_hosts(v1::ListHostsRequest {}).await.unwrap_err().code());
    }
    assert_eq!(codes.first(), Some(&Code::Unauthenticated));
    assert_eq!(codes.last(), Some(&Code::ResourceExhausted));
    house.admin().await.list_hosts(v1::ListHostsRequest {}).await.expect("a good token comes through");
    let noted = house.audit().await.iter().filter(|row| row.who == "unknown").count();
    let answered = codes.iter().filter(|code| **code == Code::Unauthenticated).count();
    assert!(noted == answered && noted < 60, "{noted} lines for {answered} answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stalls_is_let_go_and_hosts_come_through_meanwhile() {
    let house = House::new(impatient()).await;
    let host = house.host("web-1").await;
    let mut silent = Vec::new();
    for words in [&b""[..], b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", &[0; 4096]] {
        let mut stranger = TcpStream::connect(house.server().agents()).await.unwrap();
        stranger.write_all(words).await.unwrap();
        silent.push(stranger);
    }
    // TLS, and then nothing, or not HTTP/2, or half of its first words.
    let mut after_tls = Vec::new();
    for words in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n"] {
        let mut stranger = house.silent_tls().await;
        stranger.write_all(words).await.unwrap();
        stranger.flush().await.unwrap();
        after_tls.push(stranger);
    }
    let session = house.session(&host, hello()).await.expect("a host comes through");
    for mut stranger in silent {
        gone(stranger.read_to_end(&mut Vec::new())).await;
    }
    for mut stranger in after_tls {
        gone(stranger.read_to_end(&mut Vec::new())).await;
    }
    drop(session);
}

/// Read to its end, well or badly.
async fn gone(reading: impl Future<Output = std::io::Result<usize>>) {
    // How it ends does not matter, only that it does.
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("it was not let go");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_hello_ends_and_so_does_a_guest_without_certificate_who_stays() {
    let house = House::new(impatient()).await;
    let host = house.host("web-1").await;
    let (up, queue) = tokio::sync::mpsc::channel(1);
    let mut client = house.agent(Some(&host)).await.unwrap();
    let refused = client.session(ReceiverStream::new(queue)).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused}");
    drop(up);

    // What speaks HTTP/2, and has no business here. It is asked whether it is there only after twenty seconds.
    let mut guest = house.silent_tls().await;
    guest.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    guest.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    guest.flush().await.unwrap();
    let mut said = Vec::new();
    let soon = tokio::time::timeout(PATIENCE / 2, guest.read_to_end(&mut said));
    let _ = soon.await.expect("it was not shown out");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_never_takes_every_place() {
    let sessions = Settings { handshakes_max: 6, patience: PATIENCE, ..Settings::default() };
    let house = House::new(Limits { sessions, ..Limits::default() }).await;
    let mut hoard = Vec::new();
    for _ in 0..20 {
        hoard.push(TcpStream::connect(house.server().agents()).await.unwrap());
    }
    // This address has its half; the next connection from it is closed at once.
    let mut more = TcpStream::connect(house.server().agents()).await.unwrap();
    gone(more.read_to_end(&mut Vec::new())).await;
    house.tls_from("127.0.0.2").await.expect("another address is let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dials_in_a_loop_is_slowed_down_and_others_are_not() {
    logs::keep();
    let sessions = Settings { hellos: Rate { per_second: 1, burst: 4 }, ..Settings::default() };
    let house = House::new(Limits { sessions, ..Limits::default() }).await;
    let (eager, other) = (house.host("eager").await, house.host("other").await);
    let mut ended = None;
    let mut held = Vec::new();
    for _ in 0..12 {
        match house.session(&eager, hello()).await {
            Ok(session) => held.push(session),
            Err(status) => ended = Some(status),
        }
    }
    let ended = ended.expect("twelve sessions at once are too many");
    assert_eq!(ended.code(), Code::ResourceExhausted, "{ended}");
    assert!(held.len() >= 2, "some were let in");
    house.session(&other, hello()).await.expect("another host is another bucket");
    // The newest one wins, and that is said.
    let newest = held.pop().unwrap();
    for session in held {
        assert_eq!(session.ended().await.code(), Code::Aborted);
    }
    newest
        .up
        .send(message(Up::Heartbeat(v1::Heartbeat { facts: Some(v1::HostFacts::default()) })))
        .await
        .unwrap();
    let said = logs::with(eager.host.as_str());
    assert!(said.iter().any(|line| line.contains("WARN") && line.contains("takes over")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_ends_the_session_and_nothing_else() {
    let house = House::new(Limits::default()).await;
    let (host, other) = (house.host("large").await, house.host("other").await);
    let mut witness = house.session(&other, hello()).await.unwrap();

    let name = "x".repeat(redeploy_proto::MESSAGE_BYTES_MAX + 1);
    let facts = v1::HostFacts { host_name: name, ..v1::HostFacts::default() };
    let huge = v1::Hello { facts: Some(facts), ..hello() };
    let refused = house.session(&host, huge).await.expect_err("it was taken");
    assert!(matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted), "{refused}");

    let many = Settings::default().inventory_max as usize + 1;
    let inventory =
        v1::Inventory { containers: vec![v1::ContainerFacts::default(); many], is_cut_short: false };
    let crowd = v1::Hello { inventory: Some(inventory.clone()), ..hello() };
    let refused = house.session(&host, crowd).await.expect_err("it was taken");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let session = house.session(&host, hello()).await.expect("a sound Hello is welcome");
    session.up.send(message(Up::Inventory(inventory))).await.unwrap();
    assert_eq!(session.ended().await.code(), Code::InvalidArgument);

    let comment = "x".repeat(redeploy_proto::MESSAGE_BYTES_MAX + 1);
    let request = v1::CreateJoinTokenRequest { comment, expires_in_ms: 0 };
    let refused = house.admin().await.create_join_token(request).await.unwrap_err();
    assert!(matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted), "{refused}");
    let quiet = tokio::time::timeout(Duration::from_millis(50), witness.down.message()).await;
    assert!(quiet.is_err(), "another host's session ended: {quiet:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_floods_its_session_is_read_slowly_and_holds_nobody_up() {
    let sessions = Settings { words: Rate { per_second: 10, burst: 5 }, ..Settings::default() };
    let house = House::new(Limits { sessions, ..Limits::default() }).await;
    let (eager, other) = (house.host("eager").await, house.host("other").await);
    let inventory = |name: &str| {
        let container = v1::ContainerFacts {
            name: name.to_owned(),
            env: "shop".to_owned(),
            group: "cp".to_owned(),
            ..v1::ContainerFacts::default()
        };
        message(Up::Inventory(v1::Inventory { containers: vec![container], is_cut_short: false }))
    };
    let flood = house.session(&eager, hello()).await.unwrap();
    for _ in 0..60 {
        let beat = v1::Heartbeat { facts: Some(v1::HostFacts::default()) };
        flood.up.send(message(Up::Heartbeat(beat))).await.unwrap();
    }
    flood.up.send(inventory("late")).await.unwrap();
    let calm = house.session(&other, hello()).await.unwrap();
    calm.up.send(inventory("soon")).await.unwrap();

    let mut seen: Vec<String> = Vec::new();
    let admin = house.admin().await;
    for wanted in ["soon", "late"] {
        until(wanted, || {
            let mut admin = admin.clone();
            async move {
                let nodes =
                    admin.list_nodes(v1::ListNodesRequest::default()).await.unwrap().into_inner().nodes;
                nodes.iter().any(|node| node.container.as_ref().is_some_and(|it| it.name == wanted))
            }
        })
        .await;
        seen.push(wanted.to_owned());
        let nodes =
            admin.clone().list_nodes(v1::ListNodesRequest::default()).await.unwrap().into_inner().nodes;
        assert_eq!(nodes.len(), seen.len(), "what was said after the flood came before: {nodes:?}");
    }
}
