//! The commands under a coordinator: join, run.
//!
//! Must never print a token.

use std::io::{BufRead, Read};
use std::sync::Arc;

use redeploy_agent::config::Config;
use redeploy_agent::docker::{EngineError, HostView, RealEngine};
use redeploy_agent::explain::explain;
use redeploy_agent::paths::DataDir;
use redeploy_agent::saga::Faults;
use redeploy_agent::session::{self, Means, RunError};
use redeploy_proto::JoinToken;
use redeploy_trace::Traces;
use tokio_util::sync::CancellationToken;

use super::args::JoinArgs;
use super::engine_room::NotOpened;
use super::manager::Manager;
use super::out::say;
use super::stopping::{Manner, listen};
use super::{Exit, Screen, wrong};

/// A token has 145.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Joins a coordinator.
pub(super) async fn join(args: &JoinArgs, config: &Config) -> Result<Exit, Exit> {
    let text = if args.token == "-" { first_line() } else { args.token.clone() };
    let token: JoinToken = text.parse().map_err(|error| wrong(&format!("--token: {error}")))?;
    must_be_root()?;
    let data = DataDir::new(&config.data_dir);
    match Box::pin(session::join(&data, &args.coordinator, &token)).await {
        Ok(identity) => {
            say(&format!(
                "Joined {} as host {}. `redeploy-agent run` takes its orders.",
                args.coordinator, identity.host_id
            ));
            Ok(Exit::Done)
        }
        Err(error) => Err(refused(&explain(&error))),
    }
}

/// Serves until a signal comes.
pub(super) async fn run(config: Config, screen: &Screen, faults: Faults) -> Result<Exit, Exit> {
    must_be_root()?;
    let progress = screen.start(&config, true);
    let traces = config.otlp_endpoint.as_deref();
    let traces = traces.map(|to| Traces::to(to, "redeploy-agent", env!("CARGO_PKG_VERSION"))).transpose();
    let traces = traces.map_err(|error| refused(&explain(&error)))?;
    let stop = CancellationToken::new();
    let listening =
        listen(Manner::StopServing, stop.clone(), progress).map_err(|error| refused(&error.to_string()))?;
    let data = DataDir::new(&config.data_dir);
    let engine = RealEngine::connect(&config.docker_socket, HostView::detect()).await;
    let engine = engine.map_err(|error: EngineError| refused(&explain(&error)))?;
    let means = Means { engine: Arc::new(engine), config, data, faults };
    let manager = Arc::new(Manager::new(traces));
    let alive = Manager::keep_alive(stop.clone());
    let ended: Result<(), RunError> =
        Box::pin(session::run_watched(means, stop, Arc::clone(&manager) as _)).await;
    manager.close().await;
    drop((listening, alive));
    ended.map(|()| Exit::Done).map_err(|error| refused(&explain(&error)))
}

fn must_be_root() -> Result<(), Exit> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(refused(&NotOpened::NotRoot.to_string())) }
}

fn refused(why: &str) -> Exit {
    say(&format!("redeploy-agent: {why}"));
    Exit::Refused
}

fn first_line() -> String {
    let mut line = String::new();
    // What cannot be read is no token; that is told where it is parsed.
    let _ = std::io::BufReader::new(std::io::stdin().lock().take(TOKEN_BYTES_MAX)).read_line(&mut line);
    line
}
