//! TLS connections and nothing on top: what of an agent's memory is TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use redeploy_coordinator::pki::{Authority, server_config};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{agents, prepare};

/// Shakes hands as the coordinator does, and then only waits.
pub(crate) fn serve(room: &Path) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let authority = Authority::open(&room.join("coordinator/pki"), SystemTime::now())?;
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&authority, SystemTime::now())?));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening {}", listener.local_addr()?);
        loop {
            let (tcp, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                // Ends with the other side.
                let mut byte = [0];
                let _ = tls.read(&mut byte).await;
            });
        }
    })
}

/// Opens a connection for every identity and holds it.
pub(crate) fn dial(room: &Path, address: SocketAddr) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut held = Vec::new();
        for identity in prepare::identities(room)? {
            let mut tls = agents::connect(&agents::tls(room, &identity)?, address).await?;
            // The server's session tickets are part of what it keeps until they are sent.
            let _ = tokio::time::timeout(Duration::from_millis(1), tls.read_u8()).await;
            held.push(tls);
        }
        println!("connected");
        std::future::pending::<()>().await;
        Ok(())
    })
}
