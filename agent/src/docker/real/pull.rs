//! Pulling an image: a stream of messages of which any may be the error.
//!
//! Flows in: a reference and perhaps a login. Flows out: progress, then success or a failure sorted by what an
//! operator would do about it. Must never let the login out of the request.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;

use super::super::error::PullFailure;
use super::super::transport::next_within;
use super::super::{OnPull, PullProgress, RegistryLogin};
use super::{EngineError, RealEngine, streams};

/// How long a pull may go without any word. Unpacking reports too, so this is not the length of a pull.
const SILENCE: Duration = Duration::from_secs(600);

/// Docker Hub's name in credentials.
const HUB: &str = "https://index.docker.io/v1/";

impl RealEngine {
    pub(super) async fn pull_image(
        &self,
        repository: &str,
        tag_or_digest: &str,
        login: Option<&RegistryLogin>,
        on_progress: OnPull<'_>,
    ) -> Result<(), EngineError> {
        let mark = if tag_or_digest.contains(':') { '@' } else { ':' };
        let reference = format!("{repository}{mark}{tag_or_digest}");
        let action = format!("pull {reference}");
        let options = CreateImageOptionsBuilder::new().from_image(repository).tag(tag_or_digest).build();
        let login = login.map(|login| DockerCredentials {
            username: Some(login.user.clone()),
            password: Some(login.password.clone()),
            // The containerd image store sends a login to no other host than this.
            serveraddress: Some(registry_of(repository).to_owned()),
            ..DockerCredentials::default()
        });
        let mut messages = self.bollard.create_image(Some(options), None, login);
        let mut layers = Layers::default();
        while let Some(message) = next_within(SILENCE, &action, &mut messages).await? {
            let message = message.map_err(|error| self.pull_error(&reference, &action, error))?;
            if layers.note(message) {
                on_progress(layers.progress());
            }
        }
        Ok(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "bollard's errors, of which two come from the pull itself"
    )]
    fn pull_error(&self, reference: &str, action: &str, error: bollard::errors::Error) -> EngineError {
        use bollard::errors::Error as Bollard;
        let message = match error {
            Bollard::DockerStreamError { error } => error,
            Bollard::DockerResponseServerError { message, .. } => message,
            other => return streams::from_bollard(&self.client, action, other),
        };
        EngineError::Pull { reference: reference.to_owned(), reason: classify(&message), message }
    }
}

/// Bytes of each layer: done, total.
#[derive(Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// Takes one message in; was it about bytes?
    fn note(&mut self, message: CreateImageInfo) -> bool {
        let (Some(id), Some(status)) = (message.id, message.status) else { return false };
        match status.as_str() {
            "Downloading" => {
                let detail = message.progress_detail.unwrap_or_default();
                let count = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
                let (done, total) = (count(detail.current), count(detail.total));
                self.0.insert(id, (done, total.max(done)));
                true
            }
            "Download complete" | "Pull complete" => {
                self.0.get_mut(&id).is_some_and(|(done, total)| std::mem::replace(done, *total) != *total)
            }
            _ => false,
        }
    }

    fn progress(&self) -> PullProgress {
        self.0.values().fold(PullProgress::default(), |sum, (done, total)| PullProgress {
            bytes_total: sum.bytes_total.saturating_add(*total),
            bytes_done: sum.bytes_done.saturating_add(*done),
        })
    }
}

/// The registry a repository lives in, as credentials name it.
fn registry_of(repository: &str) -> &str {
    match repository.split_once('/') {
        Some(("docker.io" | "index.docker.io", _)) | None => HUB,
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        Some(_) => HUB,
    }
}

/// Sorts the engine's words. They are all it gives: the status is 200, 404 or 500 with little system.
fn classify(message: &str) -> PullFailure {
    const WRONG_PLATFORM: &[&str] =
        &["no matching manifest", "no match for platform", "does not match the specified platform"];
    const DENIED: &[&str] =
        &["denied", "unauthorized", "authentication required", "no basic auth", "forbidden"];
    const NOT_FOUND: &[&str] =
        &["manifest unknown", "not found", "name unknown", "no such image", "does not exist"];
    const UNAVAILABLE: &[&str] = &[
        "dial tcp",
        "connection refused",
        "connection reset",
        "no such host",
        "no route to host",
        "unreachable",
        "timeout",
        "deadline exceeded",
        "eof",
        "tls",
        "x509",
        "server gave http response",
        "toomanyrequests",
        "too many requests",
        "bad gateway",
        "service unavailable",
        "internal server error",
        "server misbehaving",
        "unexpected http code",
        "unexpected status",
        "broken pipe",
        "http: ",
    ];
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(WRONG_PLATFORM) {
        PullFailure::WrongPlatform
    } else if says(DENIED) {
        PullFailure::Denied
    } else if says(NOT_FOUND) {
        PullFailure::NotFound
    } else if says(UNAVAILABLE) {
        PullFailure::RegistryUnavailable
    } else {
        PullFailure::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn failures_are_sorted_by_the_engines_words() {
        let known = [
            ("manifest for a/b:9 not found: manifest unknown: manifest unknown", PullFailure::NotFound),
            (
                "pull access denied for x, repository does not exist or may require 'docker login': denied",
                PullFailure::Denied,
            ),
            (
                "Head \"https://r/v2/a/manifests/1\": unauthorized: authentication required",
                PullFailure::Denied,
            ),
            ("no matching manifest for linux/amd64 in the manifest list entries", PullFailure::WrongPlatform),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                PullFailure::RegistryUnavailable,
            ),
            (
                "Get \"https://r.invalid/v2/\": dial tcp: lookup r.invalid: no such host",
                PullFailure::RegistryUnavailable,
            ),
            ("toomanyrequests: You have reached your pull rate limit.", PullFailure::RegistryUnavailable),
            ("failed to register layer: no space left on device", PullFailure::Other),
        ];
        for (message, reason) in known {
            assert_eq!(classify(message), reason, "{message}");
        }
    }

    #[test]
    fn a_login_goes_to_the_repositorys_own_registry() {
        assert_eq!(registry_of("127.0.0.1:5000/a"), "127.0.0.1:5000");
        assert_eq!(registry_of("registry.example/a/b"), "registry.example");
        for hub in ["nginx", "library/nginx", "docker.io/library/nginx"] {
            assert_eq!(registry_of(hub), HUB, "{hub}");
        }
    }

    #[test]
    fn progress_sums_the_layers_and_never_runs_backwards() {
        let say = |id: &str, status: &str, bytes: Option<(i64, i64)>| CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: bytes
                .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
            ..CreateImageInfo::default()
        };
        let mut layers = Layers::default();
        assert!(!layers.note(say("a", "Pulling fs layer", None)));
        assert!(layers.note(say("a", "Downloading", Some((5, 10)))));
        assert!(layers.note(say("b", "Downloading", Some((7, -1)))));
        assert!(layers.note(say("a", "Download complete", None)));
        assert!(!layers.note(say("a", "Pull complete", None)));
        assert_eq!(layers.progress(), PullProgress { bytes_total: 17, bytes_done: 17 });
    }
}
