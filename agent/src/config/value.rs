//! Single values: from TOML or an environment variable to a type, and back to TOML.
//!
//! Flows in: one value as it was given. Flows out: the typed value, or a sentence that says what is wrong and what
//! is allowed.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;
use tracing::level_filters::LevelFilter;

use super::LogFormat;
use crate::balancer::Rule;
use crate::guest_path::GuestPath;

/// A value as somebody wrote it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    /// In the file, where it has a type.
    File(&'a DeValue<'a>),
    /// In a variable, where all is text.
    Env(&'a str),
}

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Given<'_> {
    fn text(&self, allowed: &str) -> Result<&str, String> {
        match self {
            Self::Env(text) => Ok(text),
            Self::File(value) => value
                .as_str()
                .ok_or_else(|| format!("this is of the type {}; allowed is {allowed}", value.type_str())),
        }
    }

    /// The digits of a whole number, with its radix.
    fn integer(&self, allowed: &str) -> Result<i128, String> {
        let number = match self {
            Self::Env(text) => text.trim().parse().ok(),
            Self::File(value) => match value.as_integer() {
                Some(integer) => i128::from_str_radix(integer.as_str(), integer.radix()).ok(),
                None => {
                    return Err(format!("this is of the type {}; allowed is {allowed}", value.type_str()));
                }
            },
        };
        number.ok_or_else(|| format!("this is not a whole number; allowed is {allowed}"))
    }

    /// A whole number within `range`.
    pub(super) fn whole(&self, range: RangeInclusive<u64>) -> Result<u64, String> {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.integer(&allowed)?;
        u64::try_from(number)
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("{number} is out of range; allowed is {allowed}"))
    }

    /// As [`Self::whole`], for smaller types.
    pub(super) fn whole_u32(&self, range: RangeInclusive<u32>) -> Result<u32, String> {
        let number = self.whole(u64::from(*range.start())..=u64::from(*range.end()))?;
        u32::try_from(number).map_err(|_| format!("{number} is out of range"))
    }

    pub(super) fn flag(&self) -> Result<bool, String> {
        const ALLOWED: &str = "true or false";
        match self {
            Self::Env("true") => Ok(true),
            Self::Env("false") => Ok(false),
            Self::Env(text) => Err(format!("{text:?} is neither; allowed is {ALLOWED}")),
            Self::File(value) => value
                .as_bool()
                .ok_or_else(|| format!("this is of the type {}; allowed is {ALLOWED}", value.type_str())),
        }
    }

    /// A path of this machine.
    pub(super) fn path(&self) -> Result<PathBuf, String> {
        const ALLOWED: &str = "an absolute path, such as \"/var/lib/redeploy\"";
        let text = self.text(ALLOWED)?;
        let path = PathBuf::from(text);
        if path.is_absolute() && !text.contains('\0') {
            Ok(path)
        } else {
            Err(format!("{text:?} is not an absolute path; allowed is {ALLOWED}"))
        }
    }

    /// A path of this machine, also written as a `unix://` address.
    pub(super) fn socket(&self) -> Result<PathBuf, String> {
        const ALLOWED: &str = "the absolute path of a socket, such as \"/var/run/docker.sock\"";
        match self.text(ALLOWED)?.strip_prefix("unix://") {
            Some(path) => Given::Env(path).path(),
            None => self.path(),
        }
        .map_err(|_| format!("this names no socket of this machine; allowed is {ALLOWED}"))
    }

    /// A time within `range`.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Result<Duration, String> {
        let (least, most) = (duration_text(*range.start()), duration_text(*range.end()));
        let allowed =
            format!("a time from \"{least}\" to \"{most}\" with its unit, such as \"90s\" or \"5m\"");
        let text = self.text(&allowed)?;
        let duration = humantime::parse_duration(text)
            .map_err(|_| format!("{text:?} is no time; allowed is {allowed}"))?;
        if range.contains(&duration) {
            Ok(duration)
        } else {
            Err(format!("{text:?} is out of range; allowed is {allowed}"))
        }
    }

    /// A number of bytes.
    pub(super) fn size(&self) -> Result<u64, String> {
        const ALLOWED: &str = "a number of bytes, or one with a unit, such as \"512MiB\" or \"1GiB\"";
        let size = match self {
            Self::File(value) if value.is_integer() => u64::try_from(self.integer(ALLOWED)?).ok(),
            Self::File(_) | Self::Env(_) => size_of(self.text(ALLOWED)?.trim()),
        };
        // TOML has no larger integers.
        size.filter(|size| i64::try_from(*size).is_ok())
            .ok_or_else(|| format!("this is no size, or out of range; allowed is {ALLOWED}"))
    }

    pub(super) fn log_level(&self) -> Result<LevelFilter, String> {
        const ALLOWED: &str = "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
        Ok(match self.text(ALLOWED)? {
            "off" => LevelFilter::OFF,
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            other => return Err(format!("{other:?} is no level; allowed is {ALLOWED}")),
        })
    }

    pub(super) fn log_format(&self) -> Result<LogFormat, String> {
        const ALLOWED: &str = "\"text\" or \"json\"";
        match self.text(ALLOWED)? {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("{other:?} is no form; allowed is {ALLOWED}")),
        }
    }

    /// A collector of traces; empty is none.
    pub(super) fn collector(&self) -> Result<Option<String>, String> {
        match self.text("\"http://HOST:PORT\", or \"\" for none")? {
            "" => Ok(None),
            text => redeploy_trace::address(text).map(Some).map_err(|error| error.to_string()),
        }
    }

    /// Where a balancer listens; empty is none.
    pub(super) fn balancer(&self) -> Result<String, String> {
        const ALLOWED: &str = "the absolute path of a socket, \"tcp://ADDRESS:PORT\", or \"\" for none";
        let text = self.text(ALLOWED)?;
        let is_tcp = text.strip_prefix("tcp://").is_some_and(|rest| {
            rest.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        });
        if text.is_empty() || is_tcp || (text.starts_with('/') && !text.contains('\0')) {
            Ok(text.to_owned())
        } else {
            Err(format!("{text:?} is no place where a balancer listens; allowed is {ALLOWED}"))
        }
    }

    /// A list of rules; in a variable with commas between them.
    pub(super) fn rules(&self) -> Result<Vec<Rule>, String> {
        const ALLOWED: &str = "a list of rules, such as [\"shop/cp = be_shop_cp/node{nodeId}\"]";
        match self {
            Self::Env(text) => text.split(',').map(Rule::parse).collect(),
            Self::File(value) => {
                let items = value.as_array().ok_or_else(|| {
                    format!("this is of the type {}; allowed is {ALLOWED}", value.type_str())
                })?;
                items.iter().map(|item| Rule::parse(Given::File(item.get_ref()).text(ALLOWED)?)).collect()
            }
        }
    }

    /// A path inside containers, below their root.
    pub(super) fn guest_path(&self) -> Result<GuestPath, String> {
        const ALLOWED: &str = "an absolute path inside containers, other than \"/\"";
        let text = self.text(ALLOWED)?;
        if !text.starts_with('/') {
            return Err(format!("{text:?} does not begin with \"/\"; allowed is {ALLOWED}"));
        }
        let path = GuestPath::new(text).map_err(|error| format!("{error}; allowed is {ALLOWED}"))?;
        if path.is_root() { Err(format!("{text:?} is everything; allowed is {ALLOWED}")) } else { Ok(path) }
    }
}

/// `"1GiB"`, `"1 GiB"`, `"1073741824"`; `None` if it is no size or does not fit.
fn size_of(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let factor = match unit.trim_start() {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

// === back to TOML ===

pub(super) fn string_toml(text: impl Into<String>) -> String {
    toml::Value::String(text.into()).to_string()
}

pub(super) fn duration_toml(duration: Duration) -> String {
    string_toml(duration_text(duration))
}

/// In the largest unit that says it without a fraction.
pub(super) fn size_toml(bytes: u64) -> String {
    match UNITS.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) if *factor > 1 => string_toml(format!("{}{unit}", bytes / factor)),
        Some(_) | None => bytes.to_string(),
    }
}

fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("10B", Some(10)),
            ("3 KiB", Some(3 << 10)),
            ("1GiB", Some(1 << 30)),
            ("2TiB", Some(2 << 40)),
            ("9000000TiB", None),
            ("99999999999999999999", None),
            ("9223372036854775808", None),
            ("-1", None),
            ("1GB", None),
            ("1.5GiB", None),
            ("GiB", None),
            ("", None),
        ] {
            assert_eq!(Given::Env(text).size().ok(), bytes, "{text:?}");
        }
        for (bytes, toml) in [(0, "0"), (1 << 30, "\"1GiB\""), (1536 << 20, "\"1536MiB\""), (1025, "1025")] {
            assert_eq!(size_toml(bytes), toml);
        }
    }
}
