//! Which call it is: put beside every request of the operators' port, because refusals are noted under the call's
//! name before its handler has it.

use http::Request;

/// The calls that change something, with the word the audit log has for each. Frozen: people search for them.
pub(super) const CHANGING: [(&str, &str); 14] = [
    ("CreateDeployment", "deploy"),
    ("HaltDeployment", "halt"),
    ("ResumeDeployment", "resume"),
    ("RetryFailed", "retry-failed"),
    ("CancelDeployment", "cancel"),
    ("RollbackDeployment", "rollback"),
    ("RevertNode", "revert"),
    ("AdoptNode", "adopt node"),
    ("ForgetNode", "forget node"),
    ("RevokeHost", "revoke host"),
    ("CreateJoinToken", "create join token"),
    ("RevokeJoinToken", "revoke join token"),
    ("CreateApiToken", "create API token"),
    ("RevokeApiToken", "revoke API token"),
];

/// A request's path; only its last part is the call's name.
#[derive(Debug, Clone)]
pub(super) struct Called(String);

impl Called {
    /// What the audit log calls it.
    pub(super) fn word(&self) -> &str {
        word_of(self.0.rsplit('/').next().unwrap_or_default())
    }
}

/// What the audit log calls a call of the contract.
pub(super) fn word_of(call: &str) -> &str {
    CHANGING.iter().find(|(name, _)| *name == call).map_or(call, |(_, word)| word)
}

/// Keeps the path where the handler finds it.
pub(super) fn note<B>(mut request: Request<B>) -> Request<B> {
    let called = Called(request.uri().path().to_owned());
    request.extensions_mut().insert(called);
    request
}
