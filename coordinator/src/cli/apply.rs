//! `apply`: the redeploy actions of a Cloud Scripting manifest, as calls of the Jelastic API, one after the other.
//!
//! ```text
//!   file ─▶ yaml ─▶ plan (places) ─▶ calls ─▶ coordinator
//! ```
//!
//! Flows in: a manifest's file, an environment. Flows out: the answers on stdout, skipped actions on stderr. Must never begin
//! before the whole manifest was understood, nor go on after a call that failed.

mod places;
mod plan;
mod yaml;

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::args::ApplyArgs;
use super::dial::Coordinator;
use super::exit::{Exit, Stop};
use super::jelastic::{answer_of, real};
use super::text::{say, tame};
use places::Known;
use plan::Step;
use yaml::Node;

/// Far more than any manifest has.
const FILE_BYTES_MAX: u64 = 1 << 20;

const CONTROL: &str = "/1.0/environment/control/rest/";

/// A manifest that was read.
pub(super) struct Manifest {
    node: Node,
    args: ApplyArgs,
}

/// Reads the file; told before anybody is dialled.
pub(super) fn read(args: ApplyArgs) -> Result<Manifest, Stop> {
    let wrong = |why: &dyn std::fmt::Display| Stop::usage(format!("{}: {why}", args.file.display()));
    let text = limited(&args.file).map_err(|error| wrong(&error))?;
    let node = yaml::read(&text).map_err(|mistake| wrong(&mistake))?;
    Ok(Manifest { node, args })
}

fn limited(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let size = std::fs::File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if size as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

/// Looks at the environment, plans, and calls.
pub(super) async fn apply(at: &Coordinator, manifest: Manifest) -> Result<Exit, Stop> {
    let Manifest { node, args } = manifest;
    let info = post(at, "GetEnvInfo", &[("envName".to_owned(), args.env.clone())]).await?;
    if info["result"] != 0 {
        return Err(Stop { exit: real(&info), text: info["error"].as_str().unwrap_or_default().to_owned() });
    }
    let settings = args.set.iter().cloned().collect();
    let steps = plan::plan(&node, Known { info, settings, ..Known::default() });
    let steps = steps.map_err(|mistake| Stop::usage(format!("{}: {mistake}", args.file.display())))?;
    let mut skipped = 0;
    for step in &steps {
        if let Step::Skipped { line, action } = step {
            eprintln!("{}", tame(&format!("skipped, line {line}: {action}")));
            skipped += 1;
        }
    }
    if args.strict && skipped > 0 {
        return Err(Stop::refused(format!(
            "{skipped} actions are no redeploys, and --strict was given: nothing was begun"
        )));
    }
    for step in &steps {
        let Step::Call { line, method, params } = step else { continue };
        if args.dry_run {
            say(&shown(*line, method, params).to_string());
            continue;
        }
        let answer = post(at, method, params).await?;
        say(&json!({ "line": line, "method": method, "response": answer }).to_string());
        if answer["result"] != 0 {
            return Ok(real(&answer));
        }
    }
    Ok(Exit::Done)
}

async fn post(at: &Coordinator, method: &str, params: &[(String, String)]) -> Result<Value, Stop> {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    answer_of(at, &format!("{CONTROL}{}", method.to_ascii_lowercase()), form).await
}

/// A call as `--dry-run` prints it. A password is not printed.
fn shown(line: usize, method: &str, params: &[(String, String)]) -> Value {
    let value = |(name, value): &(String, String)| {
        let value = if name.eq_ignore_ascii_case("password") { "…" } else { value };
        (name.clone(), Value::from(value))
    };
    let params: serde_json::Map<String, Value> = params.iter().map(value).collect();
    json!({ "line": line, "method": method, "params": params })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let params =
            [("tag", "2"), ("password", "pa55word")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let shown = shown(3, "RedeployContainers", &params).to_string();
        assert!(shown.contains("\"tag\":\"2\"") && !shown.contains("pa55word"), "{shown}");
    }

    #[test]
    fn a_file_of_more_than_a_mebibyte_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.jps");
        crate::durable::write(&file, "#".repeat((1 << 20) + 1).as_bytes()).unwrap();
        assert!(limited(&file).unwrap_err().to_string().contains("1 MiB"));
    }
}
