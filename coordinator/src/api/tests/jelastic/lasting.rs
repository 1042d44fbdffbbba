//! Calls that last: a sign of life for proxies, clients that go away, calls that are repeated.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::api::jelastic::beating;

const PATIENCE: Duration = Duration::from_secs(30);
const ORDER: &str = "envName=shop&nodeGroup=cp&tag=2";

/// The first bytes of a call that lasts, with its body still to come.
async fn begun(port: &Port, form: &str) -> hyper::body::Incoming {
    let body = format!("session={}&{form}", port.token);
    let path = format!("{CONTROL}redeploycontainersbygroup");
    let response = port.begin(request(Method::POST, &path, "application/x-www-form-urlencoded", &body)).await;
    assert_eq!(response.status().as_u16(), 200);
    let mut body = response.into_body();
    let first = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.into_data().unwrap().as_ref(), b" ", "it was taken, and is not over");
    body
}

async fn whole_of(body: hyper::body::Incoming) -> Value {
    let rest = tokio::time::timeout(PATIENCE, body.collect()).await.expect("it does not end").unwrap();
    serde_json::from_slice(&rest.to_bytes()).unwrap()
}

async fn open(room: &Room) -> Vec<v1::Deployment> {
    let caller = room.caller(Role::Admin, &["shop"]).await;
    let only_open = v1::ListDeploymentsRequest { only_open: true, ..v1::ListDeploymentsRequest::default() };
    room.api.list(&caller, &only_open).await.unwrap().deployments
}

async fn cancel(room: &Room, id: &str) {
    let caller = room.caller(Role::Admin, &["shop", "cancel"]).await;
    let action = v1::DeploymentActionRequest { deployment_id: id.to_owned(), comment: String::new() };
    room.api.command(&caller, &action, "cancel", Command::Cancel).await.unwrap();
}

#[tokio::test]
async fn the_same_call_while_the_first_runs_joins_it_and_another_is_refused() {
    let room = room().await;
    let port = Port::open(&room).await;
    let first = begun(&port, ORDER).await;
    let second =
        begun(&port, &format!("{ORDER}&useExistingVolumes=1&login=u&password=p&isSequential=true")).await;
    let begun = control(&port, "redeploycontainersbygroup", &format!("{ORDER}&async=true")).await;
    for more in ["&isSequential=false", "&delay=1", "&useExistingVolumes=0", "&skipReinstall=1"] {
        let other = control(&port, "redeploycontainersbygroup", &format!("{ORDER}{more}")).await;
        assert_eq!(result(&other), (2212, "busy"), "{more}: {other}");
    }
    for other in ["envName=shop&nodeGroup=cp&tag=3", "envName=shop&nodeId=1&tag=2"] {
        assert_eq!(result(&control(&port, "redeploycontainers", other).await), (2212, "busy"), "{other}");
    }
    let open = open(&room).await;
    assert_eq!(open.len(), 1, "{open:?}");
    cancel(&room, &open[0].deployment_id).await;
    for body in [first, second] {
        let json = whole_of(body).await;
        assert_eq!(
            (result(&json), &json["deploymentId"]),
            ((70015, "cancelled"), &begun["deploymentId"]),
            "{json}"
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_away_changes_nothing() {
    let room = room().await;
    let port = Port::open(&room).await;
    drop(begun(&port, ORDER).await);
    let second = begun(&port, ORDER).await;
    let open = open(&room).await;
    assert_eq!((open.len(), open[0].phase()), (1, v1::DeploymentPhase::Preflight));
    cancel(&room, &open[0].deployment_id).await;
    assert_eq!(result(&whole_of(second).await), (70015, "cancelled"));
}

/// How long the proxy of the test waits for a word, and how often one comes.
const IDLE: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_millis(20);

/// Takes one connection to the server; cuts it when the server is silent for too long.
async fn impatient_proxy(to: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(to).await.unwrap().into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut buffer = [0; 4096];
        while let Ok(Ok(count)) = tokio::time::timeout(IDLE, from_server.read(&mut buffer)).await {
            if count == 0 || to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    });
    address
}

#[tokio::test]
async fn a_call_survives_a_proxy_that_cuts_what_is_silent() {
    let room = room().await;
    let token = room.token(Role::Admin, &[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = impatient_proxy(listener.local_addr().unwrap()).await;
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let routes = tonic::service::Routes::from(beating(&room.api, BEAT)).prepare();
    let server = tonic::transport::Server::builder().accept_http1(true).add_routes(routes);
    let server = tokio::spawn(server.serve_with_incoming(incoming));
    let tcp = TcpStream::connect(proxy).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let path = format!("{CONTROL}redeploycontainers?session={token}&{ORDER}");
    let mut body = sender.send_request(request(Method::GET, &path, "", "")).await.unwrap().into_body();
    // For longer than the proxy would wait.
    let since = tokio::time::Instant::now();
    while since.elapsed() < IDLE * 3 / 2 {
        let blank = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        assert!(blank.into_data().unwrap().iter().all(|byte| *byte == b' '));
    }
    let open = open(&room).await;
    cancel(&room, &open[0].deployment_id).await;
    assert_eq!(result(&whole_of(body).await), (70015, "cancelled"));
    server.abort();
}
