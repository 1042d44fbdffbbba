//! `login`, `whoami`, and the commands about contexts.
//!
//! Must never keep a token that was not tried, nor show one.

use std::io::{BufRead, IsTerminal};

use redeploy_proto::v1;
use serde_json::json;

use super::args::{ContextVerb, Global, LoginArgs, Output};
use super::contexts::{Context, Shelf};
use super::dial::{self, Coordinator, ask, certificates, given_token};
use super::exit::{Exit, Stop};
use super::json;
use super::text::{say, table, word};
use super::trust::{Trust, pem};

/// Asks who the token belongs to, and keeps both.
pub(super) async fn login(global: &Global, args: LoginArgs) -> Result<Exit, Stop> {
    let (host, port) = dial::address(&args.address)?;
    let shelf = shelf()?;
    let token = match given_token(global)? {
        Some(token) => token,
        None => secret("API token: ")?,
    };
    let (trust, given) = trust(global, &args)?;
    let (config, shown) = dial::tls(trust)?;
    let shown_host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let coordinator = format!("{shown_host}:{port}");
    let at = Coordinator::connect(&coordinator, config, &token).await?;
    let me = at.client().who_am_i(ask(v1::WhoAmIRequest {})).await?.into_inner();
    let found = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_ref().map(pem);
    let ca = given.or(found).ok_or_else(|| Stop::refused("the coordinator showed no CA"))?;
    let name = args.name.unwrap_or(host);
    shelf.change(|all| {
        all.contexts.insert(name.clone(), Context { coordinator: coordinator.clone(), ca, token });
        all.current = Some(name.clone());
        Ok(())
    })?;
    match global.output() {
        Output::Json => {
            json::line_with(&me, "context", json!({ "name": name, "coordinator": coordinator }));
        }
        Output::Table => {
            say(&format!("context {name}: {coordinator}, as {}", described(&me)));
            eprintln!("kept in {}; commands are for it from now on", shelf.path().display());
        }
    }
    Ok(Exit::Done)
}

/// Whom to believe, and the certificates if they are known already.
fn trust(global: &Global, args: &LoginArgs) -> Result<(Trust, Option<String>), Stop> {
    if let Some(fingerprint) = args.ca_fingerprint {
        return Ok((Trust::Fingerprint(fingerprint.0), None));
    }
    let path = global.ca.clone();
    let path = path.ok_or_else(|| {
        Stop::usage("how is the coordinator known? Give --ca FILE or --ca-fingerprint HEX, which it prints at its start")
    })?;
    let text = certificates(&path)?;
    let trust = Trust::of_pem(text.as_bytes());
    Ok((trust.map_err(|why| Stop::usage(format!("--ca {}: {why}", path.display())))?, Some(text)))
}

/// One line of stdin; from a terminal without showing it.
pub(super) fn secret(prompt: &str) -> Result<String, Stop> {
    let failed = |error: std::io::Error| Stop::usage(format!("cannot read a secret from stdin: {error}"));
    let text = if std::io::stdin().is_terminal() {
        eprint!("{prompt}");
        console::Term::stderr().read_secure_line().map_err(failed)?
    } else {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        line
    };
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() {
        Err(Stop::usage("the first line of stdin is empty: a secret is read from it"))
    } else {
        Ok(text)
    }
}

pub(super) async fn whoami(at: &Coordinator, output: Output) -> Result<Exit, Stop> {
    let me = at.client().who_am_i(ask(v1::WhoAmIRequest {})).await?.into_inner();
    match output {
        Output::Json => json::line(&me),
        Output::Table => say(&described(&me)),
    }
    Ok(Exit::Done)
}

fn described(token: &v1::ApiToken) -> String {
    let role = word(token.role().as_str_name(), "ROLE_");
    let envs = if token.envs.is_empty() { "all environments".to_owned() } else { token.envs.join(", ") };
    let until = match token.expires_at_ms {
        0 => String::new(),
        at => format!(", until {}", super::units::moment(at)),
    };
    format!("{} ({role}, {envs}{until})", token.name)
}

pub(super) fn context(verb: ContextVerb, output: Output) -> Result<Exit, Stop> {
    let shelf = shelf()?;
    match verb {
        ContextVerb::List => list(&shelf, output)?,
        ContextVerb::Use { name } => shelf.change(|all| {
            if !all.contexts.contains_key(&name) {
                return Err(all.missing(&name));
            }
            all.current = Some(name);
            Ok(())
        })?,
        ContextVerb::Remove(args) => shelf.change(|all| {
            if all.contexts.remove(&args.name).is_none() {
                return Err(all.missing(&args.name));
            }
            if all.current.as_ref() == Some(&args.name) {
                all.current = None;
            }
            Ok(())
        })?,
    }
    Ok(Exit::Done)
}

fn list(shelf: &Shelf, output: Output) -> Result<(), Stop> {
    let all = shelf.read()?;
    let is_current = |name: &String| all.current.as_ref() == Some(name);
    match output {
        Output::Json => all.contexts.iter().for_each(|(name, context)| {
            let (coordinator, current) = (&context.coordinator, is_current(name));
            json::own(&json!({ "context": name, "coordinator": coordinator, "is_current": current }));
        }),
        Output::Table => {
            let head = ["", "CONTEXT", "COORDINATOR"].map(str::to_owned).to_vec();
            let row = |(name, context): (&String, &Context)| {
                let mark = if is_current(name) { "*" } else { "" };
                vec![mark.to_owned(), name.clone(), context.coordinator.clone()]
            };
            table(&std::iter::once(head).chain(all.contexts.iter().map(row)).collect::<Vec<_>>());
        }
    }
    Ok(())
}

fn shelf() -> Result<Shelf, Stop> {
    Shelf::of_user()
        .ok_or_else(|| Stop::usage("neither XDG_CONFIG_HOME nor HOME is an absolute path: where to keep it?"))
}
