//! Which request is which call of the contract: the one list, from which the router and the OpenAPI document are made.

use axum::routing::MethodFilter;
use prost_reflect::MethodDescriptor;
use redeploy_proto::v1::operator_service_server::SERVICE_NAME;

use crate::json;

/// Where every route begins.
pub(in crate::api) const BASE: &str = "/api/v1";

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Verb {
    Get,
    Post,
    Delete,
}

/// One route. `{field}` in a path is a field of the call's request.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Route {
    pub(in crate::api) verb: Verb,
    /// After [`BASE`].
    pub(in crate::api) path: &'static str,
    pub(in crate::api) rpc: &'static str,
    /// It makes something, which can be found there; `{field}` is a field of the answer.
    pub(in crate::api) makes: Option<&'static str>,
    /// A stream that can be taken up again.
    pub(in crate::api) resume: Option<Resume>,
}

/// How a stream is taken up again.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Resume {
    /// The field of an update that numbers it.
    pub(in crate::api) id: &'static str,
    /// The field of the request that says after which number to begin.
    pub(in crate::api) after: &'static str,
}

const SEQ: Resume = Resume { id: "seq", after: "after_seq" };

pub(in crate::api) const ROUTES: &[Route] = &[
    get("/deployments", "ListDeployments"),
    post("/deployments", "CreateDeployment").makes("/deployments/{deployment_id}"),
    get("/deployments/{deployment_id}", "GetDeployment"),
    get("/deployments/{deployment_id}/watch", "WatchDeployment"),
    post("/deployments/{deployment_id}/halt", "HaltDeployment"),
    post("/deployments/{deployment_id}/resume", "ResumeDeployment"),
    post("/deployments/{deployment_id}/retry-failed", "RetryFailed"),
    post("/deployments/{deployment_id}/cancel", "CancelDeployment"),
    post("/deployments/{deployment_id}/rollback", "RollbackDeployment"),
    post("/plans", "PlanDeployment"),
    get("/environments", "ListEnvironments"),
    get("/groups", "ListGroups"),
    get("/nodes", "ListNodes"),
    post("/nodes", "AdoptNode"),
    get("/nodes/{node_id}", "GetNode"),
    delete("/nodes/{node_id}", "ForgetNode"),
    post("/nodes/{node_id}/revert", "RevertNode").makes("/deployments/{deployment_id}"),
    get("/hosts", "ListHosts"),
    get("/hosts/{host}", "GetHost"),
    post("/hosts/{host}/revoke", "RevokeHost"),
    get("/events", "ListEvents"),
    get("/events/watch", "WatchEvents").resumes(SEQ),
    get("/join-tokens", "ListJoinTokens"),
    post("/join-tokens", "CreateJoinToken").makes("/join-tokens"),
    post("/join-tokens/{token_id}/revoke", "RevokeJoinToken"),
    get("/audit", "ListAudit"),
    get("/api-tokens", "ListApiTokens"),
    post("/api-tokens", "CreateApiToken").makes("/api-tokens"),
    post("/api-tokens/{token_id}/revoke", "RevokeApiToken"),
    get("/whoami", "WhoAmI"),
];

/// The call a route leads to.
pub(in crate::api) fn method(route: &Route) -> Option<MethodDescriptor> {
    let service = json::service(SERVICE_NAME)?;
    service.methods().find(|method| method.name() == route.rpc)
}

const fn get(path: &'static str, rpc: &'static str) -> Route {
    Route { verb: Verb::Get, path, rpc, makes: None, resume: None }
}

const fn post(path: &'static str, rpc: &'static str) -> Route {
    Route { verb: Verb::Post, path, rpc, makes: None, resume: None }
}

const fn delete(path: &'static str, rpc: &'static str) -> Route {
    Route { verb: Verb::Delete, path, rpc, makes: None, resume: None }
}

impl Route {
    const fn makes(self, place: &'static str) -> Self {
        Self { makes: Some(place), ..self }
    }

    const fn resumes(self, resume: Resume) -> Self {
        Self { resume: Some(resume), ..self }
    }

    /// The fields that stand in the path.
    pub(in crate::api) fn in_path(&self) -> Vec<&'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
    }
}

impl Verb {
    pub(super) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    /// As OpenAPI names it.
    pub(in crate::api) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }
}
