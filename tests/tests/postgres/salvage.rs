//! What an undo took back is not lost: the operator's commands of `docs/rescue.md` bring it to light beside the service.
//!
//! Flows in: the archives of a redeploy that was undone. Flows out: the rows that a server started on them has. Must
//! never touch the service or its data.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use redeploy_agent::paths::DataDir;
use redeploy_tests::engine::text_at;
use redeploy_tests::postgres::{DATA, Database, Storage, Version, connect};
use redeploy_tests::wait;

/// The difference beside the archive it is the difference to; as in the document.
const FROM_VOLUME: &str = r#"
    base=$(ls "$archives"/volume-0-*.failed.tar.gz); base=${base%.failed.tar.gz}
    put() { tar --extract --gzip --file "$1" --directory "$scratch" \
        --numeric-owner --same-owner --preserve-permissions --xattrs --xattrs-include='*' --acls; }
    put "$base.tar.gz"
    if [ -e "$base.failed.removed" ]; then
        (cd "$scratch" && xargs --null rm --recursive --force -- <"$base.failed.removed")
    fi
    put "$base.failed.tar.gz""#;

/// What was kept in the failed container's own file system, as a whole.
const FROM_INSIDE: &str = r#"
    tar --extract --gzip --file "$archives/paths.failed.tar.gz" --directory "$scratch" \
        --numeric-owner --same-owner --preserve-permissions --xattrs --xattrs-include='*' --acls"#;

/// The numbers of all rows that the server of this version has on what the last redeploy set aside.
pub(crate) fn rows(database: &Database, storage: Storage, version: Version) -> Result<BTreeSet<i64>> {
    let sandbox = database.sandbox();
    let archives = newest_archives(&sandbox.data_dir())?;
    let scratch = tempfile::tempdir()?;
    let (script, data) = match storage {
        Storage::Volume => (FROM_VOLUME, scratch.path().to_owned()),
        Storage::Inside => (FROM_INSIDE, scratch.path().join(DATA.trim_start_matches('/'))),
    };
    run(script, &archives, scratch.path())?;
    let mount = format!("{}:{DATA}", data.display());
    let docker = sandbox.docker();
    let server =
        sandbox.run("salvage", &["--stop-timeout=60", "--volume", &mount], &version.image()?, &[])?;
    wait::until(wait::PATIENCE, "a server on the archive", || {
        Ok(text_at(&docker.inspect(&server)?, "/State/Health/Status")? == "healthy")
    })
    .with_context(|| docker.logs(&server).unwrap_or_default())?;
    let found = connect(&server)?.query("SELECT number FROM rows", &[])?;
    let numbers = found.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>();
    docker.call(&["rm", "--force", "--volumes", &server])?;
    numbers
}

fn newest_archives(data: &Path) -> Result<PathBuf> {
    let data = DataDir::new(data);
    let names = std::fs::read_dir(data.redeploys())?.map(|entry| Ok(entry?.file_name()));
    let names: Vec<_> = names.collect::<Result<_>>()?;
    let newest = names.into_iter().max().context("nothing was redeployed")?;
    Ok(data.redeploys().join(newest).join("archives"))
}

#[expect(clippy::disallowed_methods, reason = "as an operator does")]
fn run(script: &str, archives: &Path, scratch: &Path) -> Result<()> {
    let mut shell = Command::new("bash");
    shell.args(["-eu", "-c", script]).env("archives", archives).env("scratch", scratch);
    let output = shell.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
