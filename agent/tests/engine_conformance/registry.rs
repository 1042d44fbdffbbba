//! The least registry an engine can pull from: one image, one for another processor, and the same behind a login.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::fixture::{Registry, login};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The first byte of a client that wants to speak TLS.
const TLS_HANDSHAKE: u8 = 22;

/// Path → type and bytes.
type Pages = BTreeMap<String, (&'static str, Vec<u8>)>;

/// Serves `layer` as `good:1` until the answer is dropped: openly, and from another port for a login.
pub(crate) async fn serve(layer: &[u8]) -> Registry {
    let (pages, digest) = pages(layer);
    let pages = Arc::new(pages);
    let login = login();
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", login.user, login.password));
    let (host, open) = listen(Arc::clone(&pages), None).await;
    let (locked, closed) = listen(pages, Some(format!("Basic {pair}"))).await;
    let good = (format!("{host}/good"), "1".to_owned(), digest);
    Registry { host, good, locked: (format!("{locked}/good"), login), _servers: vec![open, closed] }
}

async fn listen(pages: Arc<Pages>, key: Option<String>) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&pages), key.clone()));
        }
    });
    (host, AbortOnDropHandle::new(server))
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn pages(layer: &[u8]) -> (Pages, String) {
    let diff = digest(layer);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/bin/busybox", "true"] },
        "rootfs": { "type": "layers", "diff_ids": [diff] }
    });
    let config = config.to_string().into_bytes();
    let describe = |media: &str, bytes: &[u8]| json!({ "mediaType": media, "size": bytes.len(), "digest": digest(bytes) });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": describe("application/vnd.docker.container.image.v1+json", &config),
        "layers": [describe("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)]
    });
    let manifest = manifest.to_string().into_bytes();
    let mut elsewhere: Value = describe(MANIFEST, &manifest);
    elsewhere["platform"] = json!({ "architecture": "s390x", "os": "linux" });
    let list =
        json!({ "schemaVersion": 2, "mediaType": LIST, "manifests": [elsewhere] }).to_string().into_bytes();
    let name = digest(&manifest);
    let pages = BTreeMap::from([
        ("/v2/".to_owned(), ("application/json", b"{}".to_vec())),
        ("/v2/good/manifests/1".to_owned(), (MANIFEST, manifest.clone())),
        (format!("/v2/good/manifests/{name}"), (MANIFEST, manifest)),
        (format!("/v2/good/blobs/{}", digest(&config)), ("application/octet-stream", config)),
        (format!("/v2/good/blobs/{diff}"), ("application/octet-stream", layer.to_vec())),
        (format!("/v2/other/manifests/{}", digest(&list)), (LIST, list.clone())),
        ("/v2/other/manifests/1".to_owned(), (LIST, list)),
    ]);
    (pages, name)
}

/// One connection: requests without bodies, one after the other.
async fn answer(stream: TcpStream, pages: Arc<Pages>, key: Option<String>) {
    let mut stream = BufReader::new(stream);
    // An engine that tries TLS first goes on without it if it is answered as a plain server does.
    if stream.fill_buf().await.is_ok_and(|begun| begun.first() == Some(&TLS_HANDSHAKE)) {
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nthis is plain HTTP\n").await;
        return;
    }
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => head.push(line),
            }
        }
        let request = head.first().cloned().unwrap_or_default();
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let shown = head.iter().find_map(|line| line.strip_prefix("Authorization: ")).map(str::trim);
        let (status, media, body) = match pages.get(path) {
            _ if key.is_some() && key.as_deref() != shown => error("401 Unauthorized", "UNAUTHORIZED"),
            Some((media, bytes)) => ("200 OK", *media, bytes.clone()),
            None => error("404 Not Found", "MANIFEST_UNKNOWN"),
        };
        let digest = digest(&body);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {}\r\nDocker-Content-Digest: {digest}\r\n\
             WWW-Authenticate: Basic realm=\"test\"\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\r\n",
            body.len()
        );
        let body = if method == "HEAD" { Vec::new() } else { body };
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err() {
            return;
        }
    }
}

fn error(status: &'static str, code: &str) -> (&'static str, &'static str, Vec<u8>) {
    let message = code.to_lowercase().replace('_', " ");
    let body = json!({ "errors": [{ "code": code, "message": message }] });
    (status, "application/json", body.to_string().into_bytes())
}
