//! Manifests: understood or refused, and what was understood is the same after being stored.

use std::path::Path;

use redeploy_agent::archive::Manifest;

use super::Target;

pub(crate) const TARGET: Target = Target {
    name: "manifest",
    check,
    words: &[
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"true",
        b"-0.5",
        b"\"version\":1,",
        b"\"archives\":[]",
        b"\"/..\"",
        b"\"\\u0000\"",
        b"\"../../etc/passwd\"",
        b"{\"a\":{\"a\":{\"a\":",
        b"[[[[[[[[[[[[[[[[",
        b"\xff",
    ],
    mend: |_| {},
};

fn check(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes, Path::new("manifest.json")) else { return };
    let stored = serde_json::to_vec_pretty(&manifest).unwrap();
    let again = Manifest::parse(&stored, Path::new("manifest.json")).unwrap();
    assert_eq!(again, manifest);
    for line in &manifest.archives {
        assert!(manifest.archive(&line.stem).is_some());
    }
}
