//! How we come to speak with an engine: its address, the API version, and that every request names it.
//!
//! Pure. Must never let an engine choose the version: its newest may mean something else than we do.

use std::path::{Path, PathBuf};

use bollard::BollardRequest;
use serde_json::Value;

use super::super::transport::bad_answer;
use super::super::{API_MAX, API_MIN, ApiVersion, EngineError};

/// `path` or `unix:///path` as an absolute path.
pub(super) fn unix_path(address: &Path) -> Result<PathBuf, EngineError> {
    let path = address.to_str().and_then(|text| text.strip_prefix("unix://")).map_or(address, Path::new);
    if path.is_absolute() && path.to_str().is_some() {
        return Ok(path.to_owned());
    }
    Err(EngineError::NotLocal { address: address.display().to_string() })
}

/// The API version to speak with an engine whose newest is in this `/version` answer.
pub(super) fn settle_api(version: &Value) -> Result<ApiVersion, EngineError> {
    let named = version["ApiVersion"].as_str().unwrap_or("");
    let newest = named.split_once('.').and_then(|(major, minor)| {
        Some(ApiVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
    });
    let newest = newest
        .ok_or_else(|| bad_answer("give its version", format!("{named:?} is no API version such as 1.41")))?;
    if newest < API_MIN {
        let version = version["Version"].as_str().unwrap_or("of unknown version").to_owned();
        return Err(EngineError::TooOld { version, api: named.to_owned() });
    }
    Ok(newest.min(API_MAX))
}

/// Puts right what bollard 0.21 leaves out: the API version in the path, and base64url in the login header
/// (it writes plain base64, whose `+` and `/` the engine does not decode).
pub(super) fn name_version(mut request: BollardRequest, api: ApiVersion) -> BollardRequest {
    let login = request.headers().get("x-registry-auth").and_then(|value| value.to_str().ok());
    let login = login.map(|login| login.replace('+', "-").replace('/', "_"));
    if let Some(mut login) = login.and_then(|login| http::HeaderValue::from_str(&login).ok()) {
        login.set_sensitive(true);
        request.headers_mut().insert("x-registry-auth", login);
    }
    let mut parts = request.uri().clone().into_parts();
    let asked = parts.path_and_query.as_ref().map_or("/", http::uri::PathAndQuery::as_str);
    parts.path_and_query = format!("/v{api}{}", without_version(asked)).parse().ok().or(parts.path_and_query);
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// Cuts a leading `/v1.53` off, should another bollard send one.
fn without_version(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v") else { return path };
    match rest.find('/') {
        Some(end) if rest[..end].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => &rest[end..],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_unix_sockets_are_taken() {
        assert_eq!(unix_path(Path::new("unix:///run/d.sock")).unwrap(), Path::new("/run/d.sock"));
        assert_eq!(unix_path(Path::new("/run/d.sock")).unwrap(), Path::new("/run/d.sock"));
        for refused in ["tcp://10.0.0.1:2375", "ssh://host", "http://x", "run/d.sock", ""] {
            assert!(matches!(unix_path(Path::new(refused)), Err(EngineError::NotLocal { .. })), "{refused}");
        }
    }

    #[test]
    fn the_api_is_the_engines_newest_between_our_limits() {
        let settle = |api: &str| settle_api(&json!({ "Version": "x", "ApiVersion": api }));
        assert_eq!(settle("1.41").unwrap(), API_MIN);
        assert_eq!(settle("1.47").unwrap().to_string(), "1.47");
        assert_eq!(settle("1.54").unwrap(), API_MAX);
        assert!(matches!(settle("1.40"), Err(EngineError::TooOld { .. })));
        assert!(matches!(settle("none"), Err(EngineError::BadAnswer { .. })));
    }

    #[test]
    fn requests_of_bollard_get_our_version_and_a_base64url_login() {
        for asked in ["unix://2f72/images/create?fromImage=a", "unix://2f72/v1.53/images/create?fromImage=a"]
        {
            let mut request = BollardRequest::new(bollard::body_full(bytes::Bytes::new()));
            *request.uri_mut() = asked.parse().unwrap();
            request.headers_mut().insert("x-registry-auth", "a+b/c=".parse().unwrap());
            let request = name_version(request, API_MIN);
            assert_eq!(request.uri().to_string(), "unix://2f72/v1.41/images/create?fromImage=a");
            assert_eq!(request.headers()["x-registry-auth"], "a-b_c=");
            assert!(request.headers()["x-registry-auth"].is_sensitive());
        }
        assert_eq!(without_version("/volumes/x"), "/volumes/x");
    }
}
