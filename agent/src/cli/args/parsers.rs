//! Values of arguments, from text to what is meant. Each says what is allowed.

use std::path::Path;
use std::time::Duration;

use redeploy_agent::guest_path::GuestPath;
use redeploy_agent::image::ImageReference;

/// The longest a new container may take; the configuration has the same limits.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Text that says something.
pub(super) fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// A directory of this machine, made absolute.
pub(super) fn absolute(text: &str) -> Result<String, String> {
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    path.to_str().map(str::to_owned).ok_or_else(|| "the current directory's name is not UTF-8".to_owned())
}

/// A socket of this machine.
pub(super) fn socket(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.contains("://") {
        return Err(
            "only an engine on this very host can be worked with: give the path of its socket".to_owned()
        );
    }
    if Path::new(path).is_absolute() { Ok(path.to_owned()) } else { absolute(path) }
}

/// An image reference.
pub(super) fn image(text: &str) -> Result<String, String> {
    text.parse::<ImageReference>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A time with its unit.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let allowed = "a time from 1s to 24h with its unit, such as 90s or 5m";
    let time = humantime::parse_duration(text).map_err(|_| format!("allowed is {allowed}"))?;
    let range = Duration::from_secs(1)..=TIMEOUT_MAX;
    if range.contains(&time) { Ok(time) } else { Err(format!("out of range: allowed is {allowed}")) }
}

/// A path inside a container.
pub(super) fn guest_path(text: &str) -> Result<GuestPath, String> {
    GuestPath::new(text.as_bytes()).map_err(|error| error.to_string())
}
