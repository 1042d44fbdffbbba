//! Which methods there are: the one list, by the path clients call and the word the command line uses.
//!
//! Flows in: a path. Flows out: a method, or a failure that names the path.

use super::codes::{Code, Failed};

/// A method of the vendor's API that is answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    RedeployContainers,
    RedeployContainersByGroup,
    RedeployContainerById,
    GetContainerNodeTags,
    GetEnvInfo,
    GetEnvs,
    SignIn,
    SignOut,
}

pub(super) const ALL: [Method; 8] = [
    Method::RedeployContainers,
    Method::RedeployContainersByGroup,
    Method::RedeployContainerById,
    Method::GetContainerNodeTags,
    Method::GetEnvInfo,
    Method::GetEnvs,
    Method::SignIn,
    Method::SignOut,
];

/// No error repeats more of what somebody wrote.
const QUOTED_CHARS: usize = 80;

impl Method {
    /// The method a path means, in whatever case.
    ///
    /// # Errors
    /// [`Code::NoMethod`]
    pub(super) fn of(path: &str) -> Result<Self, Failed> {
        ALL.into_iter().find(|method| method.path().eq_ignore_ascii_case(path)).ok_or_else(|| {
            let path: String = path.chars().take(QUOTED_CHARS).collect();
            Failed::new(
                Code::NoMethod,
                format!("there is no method {path:?} here: docs/jelastic-api.md lists them"),
            )
        })
    }

    /// Its path. Source: the vendor's OpenAPI document, version 8.0.2.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::RedeployContainers => "/1.0/environment/control/rest/redeploycontainers",
            Self::RedeployContainersByGroup => "/1.0/environment/control/rest/redeploycontainersbygroup",
            Self::RedeployContainerById => "/1.0/environment/control/rest/redeploycontainerbyid",
            Self::GetContainerNodeTags => "/1.0/environment/control/rest/getcontainernodetags",
            Self::GetEnvInfo => "/1.0/environment/control/rest/getenvinfo",
            Self::GetEnvs => "/1.0/environment/control/rest/getenvs",
            Self::SignIn => "/1.0/users/authentication/rest/signin",
            Self::SignOut => "/1.0/users/authentication/rest/signout",
        }
    }

    /// What the audit log calls it when it was refused before its handler had it.
    pub(super) fn noted(self) -> &'static str {
        match self {
            Self::RedeployContainers | Self::RedeployContainersByGroup | Self::RedeployContainerById => {
                "deploy"
            }
            Self::GetContainerNodeTags => "GetContainerNodeTags",
            Self::GetEnvInfo => "GetEnvInfo",
            Self::GetEnvs => "GetEnvs",
            Self::SignIn => "sign in",
            Self::SignOut => "sign out",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_in_whatever_case_and_nothing_else_is() {
        for method in ALL {
            assert_eq!(Method::of(method.path()).unwrap(), method);
            assert_eq!(Method::of(&method.path().to_uppercase()).unwrap(), method);
        }
        let mixed = "/1.0/Environment/Control/REST/RedeployContainersByGroup";
        assert_eq!(Method::of(mixed).unwrap(), Method::RedeployContainersByGroup);
        for path in ["/1.0/environment/control/rest/startenv", "/1.0/a/b/c/d", &"x".repeat(9000)] {
            let failed = Method::of(path).unwrap_err();
            assert_eq!(failed.code, Code::NoMethod);
            assert!(failed.error.len() < 200, "{}", failed.error);
        }
    }
}
