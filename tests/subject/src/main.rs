//! The subject: a small web application that lives as process 1 of a container made `FROM scratch`, so that
//! tests and the demo have something of their own to redeploy.
//!
//! Flows in: environment variables that an image or a user sets, HTTP requests. Flows out: pages, files written
//! anywhere in its container. Must never run outside a throw-away container: whoever reaches its port may read
//! and write every file it sees.

mod app;
mod http;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const USAGE: &str = "usage: subject [serve | health | sleep | exit CODE | write-loop PATH]";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("subject: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["serve"] => serve(),
        ["health"] => Ok(if http::is_healthy(port()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        ["sleep"] => {
            exit_on_signals()?;
            loop {
                std::thread::park();
            }
        }
        ["exit", code] => Ok(ExitCode::from(code.parse().unwrap_or(1))),
        ["write-loop", path] => {
            exit_on_signals()?;
            write_loop(Path::new(path))
        }
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(64))
        }
    }
}

/// Serves until a signal comes, unless `FAIL_START` forbids it; `START_DELAY_MS` plays a slow start.
fn serve() -> io::Result<ExitCode> {
    exit_on_signals()?;
    if let Some(code) = number("FAIL_START").and_then(|code| u8::try_from(code).ok()) {
        eprintln!("subject: told to fail by FAIL_START");
        return Ok(ExitCode::from(code));
    }
    std::thread::sleep(Duration::from_millis(number("START_DELAY_MS").unwrap_or(0)));
    let port = port();
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("subject {} listens on port {port}", app::version());
    http::serve(&listener, app::answer)
}

/// Process 1 gets no default action for signals: without this, a stop takes the whole grace period.
fn exit_on_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            std::process::exit(0);
        }
    });
    Ok(())
}

/// Appends `1`, `2`, … each on its line and synced, going on after the last whole line of an earlier run.
/// Whoever reads the file later can tell whether a line that was once durable got lost.
fn write_loop(path: &Path) -> io::Result<ExitCode> {
    let mut next = match std::fs::read_to_string(path) {
        Ok(text) => text.lines().filter_map(|line| line.parse::<u64>().ok()).max().unwrap_or(0) + 1,
        Err(_) => 1,
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    loop {
        file.write_all(format!("{next}\n").as_bytes())?;
        file.sync_data()?;
        next += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn port() -> u16 {
    number("PORT").and_then(|port| u16::try_from(port).ok()).unwrap_or(8080)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
