//! Images that cannot be had, or not be run here.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use anyhow::{Result, ensure};
use redeploy_tests::engine::Docker;
use redeploy_tests::images;
use redeploy_tests::operator::Operator;
use redeploy_tests::sandbox::Sandbox;
use sha2::{Digest, Sha256};

use crate::untouched::{Snapshot, redeploy_refused, refused};

#[test]
fn an_image_that_is_not_here_or_nowhere_or_not_for_us() -> Result<()> {
    let sandbox = Sandbox::new("images")?;
    let web = sandbox.run("web", &[], &images::busybox_v1()?, &[])?;
    redeploy_refused(
        &sandbox,
        &web,
        "redeploy-test/no-such:image",
        &["redeploy-test/no-such:image", "pull"],
    )?;
    let operator = Operator::new(&sandbox)?;
    let before = Snapshot::of(&sandbox)?;
    for bad in ["Upper/Case", "a b", "", "tag:", "sha256:", "x@sha256:12", "-rm", "http://x/y"] {
        let complaint = operator.redeploy(&web, bad, &[])?.misunderstood()?;
        ensure!(complaint.contains("--image"), "{complaint}");
    }
    ensure!(Snapshot::of(&sandbox)? == before, "something was touched");
    refused(&sandbox, &["127.0.0.1:1/x:y", "connection refused"], || {
        operator.redeploy(&web, "127.0.0.1:1/x:y", &["--pull=auto"])
    })?;
    let denying = denying_registry()?;
    // With the containerd store the registry's own words are lost.
    let words = if has_containerd_store()? { "403 Forbidden" } else { "not for you" };
    refused(&sandbox, &[&denying, words], || operator.redeploy(&web, &denying, &["--pull=auto"]))
}

#[test]
fn an_image_of_this_host_whose_registry_does_not_answer() -> Result<()> {
    let sandbox = Sandbox::new("made here")?;
    let docker = sandbox.docker();
    let web = sandbox.run("web", &[], &images::busybox_v1()?, &[])?;
    let name = format!("127.0.0.1:1/{}-{}:1", sandbox.prefix().to_lowercase(), std::process::id());
    docker.call(&["tag", &images::busybox_v2()?, &name])?;
    let operator = Operator::new(&sandbox)?;
    // Engines with the containerd store do not tell that it was made here; so they are told what to do.
    let proved = if has_containerd_store()? {
        refused(&sandbox, &["--pull never"], || operator.redeploy(&web, &name, &["--pull=auto"]))
            .and_then(|()| operator.redeploy(&web, &name, &["--pull=never"])?.done().map(drop))
    } else {
        operator.redeploy(&web, &name, &["--pull=auto"])?.done().and_then(|report| {
            let warned = report.warnings.iter().any(|warning| warning.contains("built on this host"));
            ensure!(warned, "{:?}", report.warnings);
            Ok(())
        })
    };
    drop(operator);
    for container in sandbox.containers()? {
        docker.call(&["rm", "--force", "--volumes", &container])?;
    }
    docker.call(&["rmi", "--force", &name])?;
    proved
}

#[test]
fn an_image_for_another_kind_of_machine() -> Result<()> {
    let sandbox = Sandbox::new("platform")?;
    let web = sandbox.run("web", &[], &images::busybox_v1()?, &[])?;
    let other = if std::env::consts::ARCH == "aarch64" { "amd64" } else { "arm64" };
    let name = foreign_image(other)?;
    redeploy_refused(&sandbox, &web, &name, &["made for", &format!("linux/{other}")])
}

/// An empty image for another architecture, as `docker save` would have written it.
fn foreign_image(architecture: &str) -> Result<String> {
    let name = format!("redeploy-test/foreign:{architecture}");
    let layer = tar::Builder::new(Vec::new()).into_inner()?;
    let digest: String = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect();
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": { "Cmd": ["/none"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] }, "history": [{}],
    });
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
    let mut archive = tar::Builder::new(Vec::new());
    for (path, contents) in [
        ("config.json", serde_json::to_vec(&config)?),
        ("layer.tar", layer),
        ("manifest.json", serde_json::to_vec(&manifest)?),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(contents.len())?);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, contents.as_slice())?;
    }
    Docker.call_with(&["load"], &archive.into_inner()?)?;
    Ok(name)
}

/// Is this an engine that keeps its images in containerd?
fn has_containerd_store() -> Result<bool> {
    Ok(Docker.call(&["info", "--format", "{{.Driver}}"])? == "overlayfs")
}

/// An image in a registry that lets nobody in. It answers as long as the test's process lives.
fn denying_registry() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            // The engine tries TLS first; what it gets makes it speak plainly.
            let _ = BufReader::new(&stream).read_line(&mut line);
            let body = r#"{"errors":[{"code":"DENIED","message":"not for you"}]}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    Ok(format!("127.0.0.1:{port}/private/app:1"))
}
