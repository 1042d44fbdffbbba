//! Generates the Rust side of `redeploy/v1/*.proto` with protox, so that no `protoc` is needed, and leaves the
//! descriptor set for reflection and for the test that compares it with the frozen copy.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use prost::Message;

const PROTOS: [&str; 3] =
    ["redeploy/v1/types.proto", "redeploy/v1/agent.proto", "redeploy/v1/operator.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for proto in PROTOS {
        println!("cargo::rerun-if-changed={proto}");
    }
    let files = protox::compile(PROTOS, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    File::create(out.join("redeploy.v1.bin"))?.write_all(&files.encode_to_vec())?;
    let mut names = tonic_prost_build::Config::new();
    // With its name a message finds its descriptor, from which its JSON form is made.
    names.enable_type_names();
    tonic_prost_build::configure()
        // Agent and coordinator bring their own connections, with the TLS they need.
        .build_transport(false)
        // Secrets must not be printed by accident; `src/v1.rs` writes these by hand.
        .skip_debug([
            "redeploy.v1.RegistryLogin",
            "redeploy.v1.EnrollRequest",
            "redeploy.v1.CreateJoinTokenResponse",
            "redeploy.v1.CreateApiTokenResponse",
        ])
        .compile_fds_with_config(files, names)?;
    Ok(())
}
