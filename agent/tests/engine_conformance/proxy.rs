//! A socket in front of the engine's that notes what is asked and how many connections are open.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

/// See above; ends when dropped.
pub(crate) struct Proxy {
    dir: tempfile::TempDir,
    /// Connections that are open now.
    pub(crate) open: Arc<AtomicUsize>,
    /// The first line of every request.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("docker.sock")).unwrap();
        let (open, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, lines) = (Arc::clone(&open), Arc::clone(&asked));
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (count, lines) = (Arc::clone(&count), Arc::clone(&lines));
                tokio::spawn(async move {
                    forward(client, &lines).await;
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { dir, open, asked, _server: AbortOnDropHandle::new(server) }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }
}

/// Until either side hangs up.
async fn forward(client: UnixStream, lines: &Mutex<Vec<String>>) {
    let Ok(engine) = UnixStream::connect(Path::new("/var/run/docker.sock")).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    let mut first = vec![0; 4096];
    let Ok(length) = from_client.read(&mut first).await else { return };
    first.truncate(length);
    let text = String::from_utf8_lossy(&first);
    lines.lock().unwrap().push(text.lines().next().unwrap_or("").to_owned());
    if to_engine.write_all(&first).await.is_err() {
        return;
    }
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_engine) => {}
        _ = tokio::io::copy(&mut from_engine, &mut to_client) => {}
    }
}
