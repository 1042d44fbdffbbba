//! Finished work, told to a collector of traces over OTLP: by coordinator and agent, each for its part of one trace.
//!
//! Flows in: [`Span`]s that are over, made from what is stored and not from what is running, so that a crash in between
//! loses none that is reported later. Flows out: batches to a collector, in the background. Must never hold up or fail
//! the work itself: a collector that is away costs the spans that do not fit into a bounded queue, and nothing else.

mod span;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};

pub use span::{Kind, Span, below};

/// A way to a collector.
pub struct Traces(BatchSpanProcessor);

/// Nothing can be told to this collector.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// No such address.
    #[error(
        "{0:?} is no address of a collector: write http://HOST:PORT, such as http://127.0.0.1:4317; for TLS let a collector on this machine pass it on"
    )]
    Address(String),
    /// The library refuses.
    #[error("traces cannot be sent to {address}")]
    Build {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
}

/// A collector's address, if it is one.
///
/// # Errors
/// [`TracesError::Address`]
pub fn address(text: &str) -> Result<String, TracesError> {
    let rest = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_plain = |rest: &&str| {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        !rest.is_empty() && !rest.starts_with(':') && rest.chars().all(is_fit)
    };
    let rest = rest.filter(is_plain).ok_or_else(|| TracesError::Address(text.to_owned()))?;
    Ok(format!("http://{rest}"))
}

impl Traces {
    /// To a collector at this address, in the name of a program. Within a runtime; whether anybody listens there is
    /// not asked.
    ///
    /// # Errors
    /// [`TracesError`]
    pub fn to(to: &str, program: &'static str, version: &'static str) -> Result<Self, TracesError> {
        let to = address(to)?;
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(&to).build();
        let exporter = exporter.map_err(|source| TracesError::Build { address: to, source })?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let version = KeyValue::new("service.version", version);
        processor
            .set_resource(&Resource::builder().with_service_name(program).with_attribute(version).build());
        Ok(Self(processor))
    }

    /// Tells of work that is over. Does not wait.
    pub fn tell(&self, spans: impl IntoIterator<Item = Span>) {
        for span in spans {
            self.0.on_end(span.into());
        }
    }

    /// Sends what has not been sent, and waits for that a little. Blocks.
    pub fn close(&self) {
        // The collector is away: nothing else is to be done about it.
        let _ = self.0.shutdown();
    }
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Traces")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_taken() {
        for (text, expected) in [
            ("http://127.0.0.1:4317", "http://127.0.0.1:4317"),
            ("http://collector.example:4317/", "http://collector.example:4317"),
            ("http://[::1]:4317", "http://[::1]:4317"),
        ] {
            assert_eq!(address(text).unwrap(), expected);
        }
        for bad in [
            "",
            "collector:4317",
            "https://collector:4317",
            "http://",
            "http://:4317",
            "http://a/b",
            "http://a b",
        ] {
            let error = address(bad).unwrap_err().to_string();
            assert!(error.contains("http://HOST:PORT"), "{error}");
        }
    }
}
