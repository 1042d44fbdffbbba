//! What else is on the operators' port: gRPC, its health and reflection, plain health, metrics.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use redeploy_proto::v1::operator_service_client::OperatorServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::web::Port;
use super::whole::whole;
use super::*;

fn plain(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "coordinator").body(Full::default()).unwrap()
}

async fn channel(port: &Port) -> Channel {
    let io = std::sync::Mutex::new(Some(TokioIo::new(port.dial(b"h2").await)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let io = io.lock().unwrap().take();
        async move { io.ok_or(std::io::Error::other("one connection only")) }
    });
    Endpoint::from_static("http://coordinator").connect_with_connector(connector).await.unwrap()
}

#[tokio::test]
async fn grpc_with_health_and_reflection_is_on_the_same_port() {
    let room = room().await;
    let port = Port::open(&room).await;
    let channel = channel(&port).await;
    let mut request = tonic::Request::new(v1::WhoAmIRequest {});
    request.metadata_mut().insert("authorization", format!("Bearer {}", port.token).parse().unwrap());
    let who = OperatorServiceClient::new(channel.clone()).who_am_i(request).await.unwrap().into_inner();
    assert_eq!(who.role(), v1::Role::Admin);
    let stranger =
        OperatorServiceClient::new(channel.clone()).who_am_i(v1::WhoAmIRequest {}).await.unwrap_err();
    assert_eq!(stranger.code(), tonic::Code::Unauthenticated);

    let mut health = HealthClient::new(channel.clone());
    let ask = |service: &str| HealthCheckRequest { service: service.into() };
    let mut watched = health.watch(ask("redeploy.v1.OperatorService")).await.unwrap().into_inner();
    while watched.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    assert_eq!(health.check(ask("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    assert_eq!(health.check(ask("nobody")).await.unwrap_err().code(), tonic::Code::NotFound);

    use reflection::server_reflection_request::MessageRequest;
    use reflection::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1 as reflection;
    let asked = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = reflection::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::iter([asked])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    // What agents call is not here.
    let known =
        ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "redeploy.v1.OperatorService"];
    assert_eq!(names, known);
    let mut request = port.request(Method::POST, "/redeploy.v1.AgentService/Enroll", "");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    assert_eq!(port.send(request).await.header("grpc-status"), "12");
    port.close().await;
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn health_needs_no_token_and_tells_when_the_driver_is_gone() {
    let room = room().await;
    let port = Port::open(&room).await;
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = port.send(plain(path)).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, text));
    }
    room.api.store.clone().close().await;
    let said = port.send(plain("/readyz")).await.problem(503, "unavailable");
    assert!(said.contains("store"), "{said}");
    room.stop.cancel();
    let wait = async {
        while room.api.driver.runs() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    let said = port.send(plain("/readyz")).await.problem(503, "unavailable");
    assert!(said.contains("driver"), "{said}");
    assert_eq!(port.send(plain("/healthz")).await.status.as_u16(), 200);
}

#[tokio::test]
async fn metrics_count_without_names_that_strangers_choose() {
    let whole = whole(0).await;
    let port = Port::open(&whole.room).await;
    port.send(plain("/metrics")).await.problem(401, "unauthenticated");
    let caller = whole.room.caller(Role::Deployer, &["live"]).await;
    let login = v1::RegistryLogin { user: "u".into(), password: "pa55word".into() };
    let order = v1::CreateDeploymentRequest { login: Some(login), ..deploy("live", "cp", "2") };
    let made = whole.room.api.create(&caller, &order).await.unwrap();
    whole.rests(&caller, &made.deployment_id, v1::DeploymentPhase::Done).await;
    for stranger in ["/api/v1/x1", "/x2", "/redeploy.v1.OperatorService/x3", "/grpc.health.v1.Health/x4"] {
        port.get(stranger).await;
    }
    port.get("/api/v1/nodes/77").await.problem(404, "not_found");
    let viewer = whole.room.token(Role::Viewer, &[]).await;
    let mut request = plain("/metrics");
    request.headers_mut().insert("authorization", format!("Bearer {viewer}").parse().unwrap());
    let answer = port.send(request).await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"), "{answer:?}");
    for line in [
        concat!("redeploy_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "redeploy_deployments{phase=\"done\"} 1",
        "redeploy_nodes{state=\"absent\"} 2",
        "redeploy_hosts{state=\"connected\"} 3",
        "redeploy_hosts{state=\"lost\"} 1",
        "redeploy_hosts{state=\"revoked\"} 0",
        "redeploy_deployments{phase=\"halted\"} 0",
        "redeploy_downtime_seconds_count{kind=\"redeploy\"} 3",
        "redeploy_redeploys_total{kind=\"redeploy\",verdict=\"done\"} 3",
        "redeploy_requests_total{route=\"/api/v1/nodes/{node_id}\",protocol=\"http\",class=\"4xx\"} 1",
        "redeploy_requests_total{route=\"/metrics\",protocol=\"http\",class=\"4xx\"} 1",
        "redeploy_requests_total{route=\"none\",protocol=\"http\",class=\"4xx\"} 2",
    ] {
        assert!(answer.text.contains(&format!("{line}\n")), "{line} is not in\n{}", answer.text);
    }
    for secret in ["pa55word", &viewer, &port.token, "x1", "x2", "x3", "x4", "live"] {
        assert!(!answer.text.contains(secret), "{secret} is in\n{}", answer.text);
    }
    assert!(answer.text.ends_with("# EOF\n"));
    let documented = crate::api::rest::document::document();
    let documented = &documented["paths"]["/metrics"]["get"]["responses"]["200"]["content"];
    assert!(documented[answer.header("content-type")].is_object(), "{documented}");
}

/// What is no request, on either protocol, ends that connection and nothing else.
#[tokio::test]
async fn garbage_after_the_handshake_harms_nobody() {
    let room = room().await;
    let port = Port::open(&room).await;
    for garbage in [
        &b"\x00\x01\x02\x03\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nzzzzzzzzzzzz",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut tls = port.dial(b"http/1.1").await;
        tls.write_all(garbage).await.unwrap();
        let mut said = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(30), tls.read_to_end(&mut said)).await;
        // With or without a word, and with or without a farewell of TLS.
        let _ = ended.expect("it is kept open");
    }
    // A head that never ends, over its limit.
    let mut tls = port.dial(b"http/1.1").await;
    let _ = tls.write_all(b"GET / HTTP/1.1\r\n").await;
    let filler = format!("x: {}\r\n", "y".repeat(64 << 10));
    while tls.write_all(filler.as_bytes()).await.is_ok() {}
    assert_eq!(port.send(plain("/healthz")).await.status.as_u16(), 200);
}
