//! `redeploy-coordinator`: sequences the agents of node groups.
//!
//! Flows in: arguments and the environment. Flows out: two served ports, log lines on stderr, an exit code. Everything
//! in between is in `server`.

mod service;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use redeploy_coordinator::admin_token;
use redeploy_coordinator::moment::Span;
use redeploy_coordinator::open_files;
use redeploy_coordinator::server::{Limits, Rate, Server, Settings, admin_token_file, ca_file};
use redeploy_coordinator::store::Plan;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// It was asked to stop, and stopped.
const DONE: u8 = 0;
/// It did not start.
const REFUSED: u8 = 2;
/// It ended by itself: its log says why.
const BROKEN: u8 = 3;
/// Arguments are wrong.
const USAGE: u8 = 64;

const HELP: &str = "\
The first start makes, in the data directory: store.db (the store), seal.key (for registry logins), pki/ca.key and
pki/ca.crt (the certificate authority), and admin.token (an API token of role admin). Operators need pki/ca.crt and
a token; hosts need a join token of `redeployctl host token`.

Exit codes:
  0   stopped by SIGTERM or Ctrl-C
  2   not started, or no token made: the reason says what to do
  3   ended by itself: the log says why
  64  the arguments are wrong";

/// Sequences the agents of node groups: takes operators' orders, tells agents, halts at the first failure.
#[derive(Debug, Parser)]
#[command(name = "redeploy-coordinator", version, after_help = HELP, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// Where the store, keys and certificates are kept; used by one coordinator at a time
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "REDEPLOY_COORDINATOR_DATA_DIR",
        default_value = "/var/lib/redeploy-coordinator"
    )]
    data_dir: PathBuf,

    /// Where agents dial: join and sessions, mutual TLS
    #[arg(long, value_name = "IP:PORT", env = "REDEPLOY_COORDINATOR_LISTEN", default_value = "0.0.0.0:7443")]
    listen: SocketAddr,

    /// Where operators call: gRPC and HTTP/JSON over TLS, with API tokens
    #[arg(
        long,
        value_name = "IP:PORT",
        env = "REDEPLOY_COORDINATOR_API_LISTEN",
        default_value = "127.0.0.1:7444"
    )]
    api_listen: SocketAddr,

    /// How long a host may be silent before its node counts as unknown and its deployment halts
    #[arg(long, value_name = "TIME", default_value = "1min", value_parser = grace)]
    grace: Span,

    /// How many calls a second one API token may make in the long run; five times as many at once
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls_per_second: u32,

    /// How long the certificate of a host is good for; its agent renews it after two thirds of that
    #[arg(long, value_name = "TIME", default_value = "90days", value_parser = life)]
    certificate_life: Duration,

    /// What is logged: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", env = "REDEPLOY_COORDINATOR_LOG_LEVEL", default_value = "info")]
    log_level: LevelFilter,

    /// How it is logged, on stderr: lines for people, or one JSON object a line
    #[arg(long, value_name = "FORM", env = "REDEPLOY_COORDINATOR_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// A collector of traces, OTLP over gRPC; none unless it is given
    #[arg(long, value_name = "http://HOST:PORT", env = "REDEPLOY_COORDINATOR_OTLP_ENDPOINT", value_parser = collector)]
    otlp_endpoint: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn collector(text: &str) -> Result<String, String> {
    redeploy_trace::address(text).map_err(|error| error.to_string())
}

/// What else can be done than to serve.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Make another admin token, when the first is lost; also beside a running coordinator
    ///
    /// Writes it to a file of the data directory and prints where. Tokens made before stay good: see `redeployctl token
    /// list` and `token revoke`.
    AdminToken,
}

fn grace(text: &str) -> Result<Span, String> {
    let time: Duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let ms = u32::try_from(time.as_millis()).ok().filter(|ms| (1000..=86_400_000).contains(ms));
    ms.map(Span).ok_or_else(|| "must be between one second and one day".to_owned())
}

fn life(text: &str) -> Result<Duration, String> {
    let time: Duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_secs(600)..=Duration::from_secs(825 * 86_400);
    if range.contains(&time) { Ok(time) } else { Err("must be between ten minutes and 825 days".to_owned()) }
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Whoever closed the pipe has read enough.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { DONE });
        }
    };
    if args.listen == args.api_listen && args.listen.port() != 0 {
        eprintln!("redeploy-coordinator: --listen and --api-listen must differ: both are {}", args.listen);
        return ExitCode::from(USAGE);
    }
    log(args.log_level, args.log_format);
    if let Some(hosts) = open_files::raise() {
        tracing::info!(hosts, "so many hosts and operators may be connected: `LimitNOFILE=` sets it");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("redeploy-coordinator: cannot start its threads: {error}");
            return ExitCode::from(REFUSED);
        }
    };
    ExitCode::from(runtime.block_on(async {
        match args.verb {
            None => serve(&args).await,
            Some(Verb::AdminToken) => another_admin_token(&args).await,
        }
    }))
}

async fn another_admin_token(args: &Args) -> u8 {
    match admin_token::make(&args.data_dir).await {
        Ok(made) => {
            // Whoever closed the pipe finds it in the directory.
            let _ = writeln!(std::io::stdout(), "token {}", made.file.display());
            DONE
        }
        Err(error) => {
            eprintln!("redeploy-coordinator: {}", explain(&error));
            REFUSED
        }
    }
}

/// What other crates say in detail may hold request headers, and those hold tokens: only their warnings count.
fn log(level: LevelFilter, format: LogFormat) {
    let ours =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("redeploy_coordinator", level);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Fails only if logging was started before, in the same process.
    let _ = tracing_subscriber::registry().with(lines).with(ours).try_init();
}

async fn serve(args: &Args) -> u8 {
    let dies = match Plan::ordered(&|name| std::env::var(name).ok()) {
        Ok(dies) => dies,
        Err(error) => {
            eprintln!("redeploy-coordinator: {error}");
            return USAGE;
        }
    };
    let settings = Settings {
        data_dir: args.data_dir.clone(),
        listen: args.listen,
        api_listen: args.api_listen,
        grace: args.grace,
        limits: Limits {
            calls: Rate { per_second: args.calls_per_second, burst: args.calls_per_second.saturating_mul(5) },
            certificate_life: args.certificate_life,
            ..Limits::default()
        },
        otlp: args.otlp_endpoint.clone(),
        dies,
    };
    // Before anything is started, so that a signal during the start is not lost.
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                eprintln!("redeploy-coordinator: cannot listen to signals: {error}");
                return REFUSED;
            }
        };
    let mut server = match Box::pin(Server::start(&settings)).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("redeploy-coordinator: {}", explain(&error));
            return REFUSED;
        }
    };
    tell(&settings, &server);
    service::ready();
    let pulse = server.pulse();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = service::keep_alive(&pulse) => {}
        () = server.fell() => {
            tracing::error!("the driver ended by itself");
            return BROKEN;
        }
    }
    service::stopping();
    tracing::info!("stopping; agents go on with what they have begun");
    server.stop().await;
    DONE
}

/// One line per thing a person or program has to know to use it.
fn tell(settings: &Settings, server: &Server) {
    let (agents, operators) = (server.agents(), server.operators());
    let (token, ca) = (admin_token_file(&settings.data_dir), ca_file(&settings.data_dir));
    // What `redeployctl login --ca-fingerprint` wants.
    let fingerprint: String = server.ca_fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    let (ca, token) = (ca.display(), token.display());
    let lines = format!(
        "agents {agents}\noperators {operators}\nca {ca}\nfingerprint {fingerprint}\ntoken {token}\n"
    );
    let mut out = std::io::stdout().lock();
    // Nobody has to read it.
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
    tracing::info!(%agents, %operators, "ready");
}

/// An error with its causes, in one line.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
