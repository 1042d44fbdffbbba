//! Log lines, on stderr, above the live list if there is one.

use std::io::{self, Write};

use indicatif::MultiProgress;
use redeploy_agent::config::LogFormat;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::units::tame;

/// Logs from here on. `screen` is where the live list is drawn.
pub(crate) fn start(level: LevelFilter, format: LogFormat, color: bool, screen: MultiProgress) {
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(Above { screen });
    let lines = match format {
        LogFormat::Text => lines.with_ansi(color).boxed(),
        LogFormat::Json => lines.with_ansi(false).json().flatten_event(true).boxed(),
    };
    // Fails only if logging was started before, in the same process.
    let _ = tracing_subscriber::registry().with(lines).with(ours(level)).try_init();
}

/// What other crates say in detail may hold request headers, and those hold passwords: only their warnings count.
fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("redeploy_agent", level)
}

/// What is logged at: the configuration's level, and more with `-v`.
pub(crate) fn level(configured: LevelFilter, verbose: u8) -> LevelFilter {
    let asked = match verbose {
        0 => return configured,
        1 => LevelFilter::DEBUG,
        2.. => LevelFilter::TRACE,
    };
    configured.max(asked)
}

/// Writes above the live list.
#[derive(Clone)]
struct Above {
    screen: MultiProgress,
}

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.screen.suspend(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl<'a> MakeWriter<'a> for Above {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A message on stderr, above the live list.
pub(crate) fn say(screen: &MultiProgress, text: &str) {
    let _ = screen.suspend(|| writeln!(io::stderr().lock(), "{}", tame(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_never_tell_details() {
        let filter = ours(LevelFilter::TRACE);
        assert!(filter.would_enable("redeploy_agent::saga", &tracing::Level::TRACE));
        assert!(filter.would_enable("hyper", &tracing::Level::WARN));
        assert!(!filter.would_enable("hyper", &tracing::Level::INFO));
        assert!(!ours(LevelFilter::OFF).would_enable("hyper", &tracing::Level::ERROR));
    }

    #[test]
    fn verbose_never_logs_less() {
        assert_eq!(level(LevelFilter::WARN, 0), LevelFilter::WARN);
        assert_eq!(level(LevelFilter::INFO, 1), LevelFilter::DEBUG);
        assert_eq!(level(LevelFilter::TRACE, 1), LevelFilter::TRACE);
        assert_eq!(level(LevelFilter::OFF, 9), LevelFilter::TRACE);
    }
}
