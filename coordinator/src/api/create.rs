//! From a request to a complete deployment: every node, image and id is fixed here, or the request is refused.

use std::collections::BTreeMap;

use prost::Message;
use redeploy_proto::{RedeployId, v1};

use super::{Api, Caller, Refusal, images, names, refusal};
use crate::deployment::{Deployment, NodePart, NodeState, OnFailure, Options, Parallel, Phase, Terms};
use crate::driver::Login;
use crate::ids::{DeploymentId, EnvName, GroupName, HostId, NodeId};
use crate::moment::{Moment, Span};
use crate::store::{Idempotency, NewDeployment, NodeRow};

/// For the whole deployment, unless asked otherwise.
const BUDGET: Span = Span::minutes(75);
const BUDGET_MAX: Span = Span::minutes(7 * 24 * 60);
const DELAY_MAX: Span = Span::minutes(24 * 60);
/// Characters of a comment and of an idempotency key.
const TEXT_MAX: usize = 1024;

/// What a deployment is aimed at.
pub(super) struct Aim {
    env: EnvName,
    group: GroupName,
    nodes: Vec<NodeRow>,
}

impl Api {
    /// A new deployment, or the one the idempotency key made before.
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        request: &v1::CreateDeploymentRequest,
    ) -> Result<v1::Deployment, Refusal> {
        let done = self.create_unnoted(caller, request).await;
        let target = request.target.clone().unwrap_or_default();
        let target = format!("{}/{} {} {}", target.env, target.group, wanted(request), request.comment);
        self.audited(caller, "deploy", target.trim(), done).await
    }

    async fn create_unnoted(
        &self,
        caller: &Caller,
        request: &v1::CreateDeploymentRequest,
    ) -> Result<v1::Deployment, Refusal> {
        let target = request.target.clone().unwrap_or_default();
        let key = self.idempotency(caller, &request.idempotency_key, &request.encode_to_vec())?;
        // Before anything else: what it was aimed at may be forgotten by now.
        if let Some(made) = self.made_before(caller, key.as_ref()).await? {
            return Ok(made);
        }
        let aim = self.aim(caller, &target).await?;
        let deployment = self.deployment(caller, request, aim)?;
        self.begin(deployment, key, login(request), request.queue).await
    }

    /// The deployment a request asks for, complete, and not begun.
    pub(super) fn deployment(
        &self,
        caller: &Caller,
        request: &v1::CreateDeploymentRequest,
        aim: Aim,
    ) -> Result<Deployment, Refusal> {
        let now = Moment::now();
        images::check_change(&aim.nodes, request)?;
        Ok(Deployment {
            id: DeploymentId::generate(),
            terms: terms(request, aim.nodes.len(), self.grace)?,
            nodes: parts(&aim.nodes, request)?.into(),
            env: aim.env,
            group: aim.group,
            fixed: images::fixed(request)?,
            phase: Phase::Queued,
            created_at: now,
            started_at: None,
            deadline: now.after(BUDGET),
            last_verified: None,
            ended_at: None,
            created_by: caller.name.clone(),
            comment: comment(&request.comment)?,
        })
    }

    /// One node back to its parked container, as a deployment of its own.
    pub(crate) async fn revert(
        &self,
        caller: &Caller,
        request: &v1::RevertNodeRequest,
    ) -> Result<v1::Deployment, Refusal> {
        let done = self.revert_unnoted(caller, request).await;
        let target = format!("node {} {}", request.node_id, request.comment);
        self.audited(caller, "revert", target.trim(), done).await
    }

    async fn revert_unnoted(
        &self,
        caller: &Caller,
        request: &v1::RevertNodeRequest,
    ) -> Result<v1::Deployment, Refusal> {
        let target = v1::Target { node_id: request.node_id, ..v1::Target::default() };
        let key = self.idempotency(caller, &request.idempotency_key, &request.encode_to_vec())?;
        // Before anything else: what it was aimed at may be forgotten by now.
        if let Some(made) = self.made_before(caller, key.as_ref()).await? {
            return Ok(made);
        }
        let aim = self.aim(caller, &target).await?;
        let asked = request.options.clone().unwrap_or_default();
        let options = Options {
            restore_volumes: asked.volumes() == v1::VolumeData::Restore,
            verify_timeout: span(asked.verify_timeout_ms, BUDGET_MAX, "a verification")?,
            probe: asked.probe,
            ..Options::default()
        };
        let now = Moment::now();
        let mut nodes = parts(&aim.nodes, &v1::CreateDeploymentRequest::default())?;
        for part in nodes.values_mut() {
            part.state = NodeState::Done { at: now };
        }
        let deployment = Deployment {
            id: DeploymentId::generate(),
            env: aim.env,
            group: aim.group,
            terms: Terms {
                image: String::new(),
                parallel: Parallel::Nodes(1),
                delay: Span(0),
                on_failure: OnFailure::Halt,
                budget: BUDGET,
                grace: self.grace,
                options,
            },
            fixed: BTreeMap::new(),
            phase: Phase::GoingBack,
            created_at: now,
            started_at: Some(now),
            deadline: now.after(BUDGET),
            last_verified: None,
            ended_at: None,
            created_by: caller.name.clone(),
            comment: comment(&request.comment)?,
            nodes: nodes.into(),
        };
        self.begin(deployment, key, None, false).await
    }

    async fn begin(
        &self,
        deployment: Deployment,
        idempotency: Option<Idempotency>,
        login: Option<Login>,
        queue: bool,
    ) -> Result<v1::Deployment, Refusal> {
        let sealed = login.as_ref().map(|login| {
            let text = serde_json::to_vec(login).map_err(|error| Refusal::Trouble(Box::new(error)))?;
            self.sealer.seal(deployment.id, &text).map_err(Refusal::from)
        });
        let new = NewDeployment { idempotency, login: sealed.transpose()? };
        let made = self.driver.create(deployment, new, login, queue).await?;
        self.show(&made).await
    }

    /// The request may hold a password: its digest is made with our key, so that nobody can try passwords on it.
    fn idempotency(
        &self,
        caller: &Caller,
        key: &str,
        request: &[u8],
    ) -> Result<Option<Idempotency>, Refusal> {
        if key.len() > TEXT_MAX {
            return Err(Refusal::Invalid(format!("an idempotency key has at most {TEXT_MAX} characters")));
        }
        let (by, request) = (caller.name.clone(), self.sealer.digest(request));
        Ok((!key.is_empty()).then(|| Idempotency { by, key: key.to_owned(), request }))
    }

    async fn made_before(
        &self,
        caller: &Caller,
        key: Option<&Idempotency>,
    ) -> Result<Option<v1::Deployment>, Refusal> {
        let Some(key) = key else { return Ok(None) };
        match self.store.made_with(key, Moment::now()).await? {
            None => Ok(None),
            Some((id, request)) if request == key.request => {
                let made = crate::store::Ledger::load_one(&self.store, id).await?;
                match made {
                    // A token of this name may have been for more.
                    Some(made) => {
                        caller.may_deploy(&made.env)?;
                        self.show(&made).await.map(Some)
                    }
                    None => Ok(None),
                }
            }
            Some(_) => {
                Err(Refusal::Taken(format!("idempotency key {:?} was used for another request", key.key)))
            }
        }
    }

    /// The nodes a target means. The node wins over the group; neither is an error.
    pub(super) async fn aim(&self, caller: &Caller, target: &v1::Target) -> Result<Aim, Refusal> {
        let nodes = self.nodes_for(caller).await?;
        if target.node_id != 0 {
            return one_node(caller, target, nodes);
        }
        if target.group.is_empty() {
            return Err(Refusal::Invalid("say which node group or which node: neither was given".into()));
        }
        let env: EnvName = refusal::required(&target.env)?;
        let group: GroupName = refusal::required(&target.group)?;
        caller.may_deploy(&env)?;
        names::check(&nodes, env.as_str(), group.as_str())?;
        let is_in = |node: &NodeRow| node.env == env.as_str() && node.grp == group.as_str();
        let nodes = nodes.into_iter().filter(is_in).collect();
        Ok(Aim { env, group, nodes })
    }
}

fn one_node(caller: &Caller, target: &v1::Target, nodes: Vec<NodeRow>) -> Result<Aim, Refusal> {
    let id = target.node_id;
    let Some(node) = nodes.iter().find(|node| node.node_id == id).cloned() else {
        return Err(Refusal::Missing(names::missing_node(id, nodes.iter().map(|node| node.node_id))));
    };
    let (env, group): (EnvName, GroupName) = (refusal::required(&node.env)?, refusal::required(&node.grp)?);
    if !target.env.is_empty() && target.env != node.env {
        return Err(Refusal::Invalid(format!("node {id} is in environment {env}, not in {:?}", target.env)));
    }
    caller.may_deploy(&env)?;
    Ok(Aim { env, group, nodes: vec![node] })
}

/// A registry login, if one is given.
pub(super) fn login(request: &v1::CreateDeploymentRequest) -> Option<Login> {
    let login = request.login.clone().filter(|login| !login.user.is_empty());
    login.map(|login| Login { user: login.user, password: login.password })
}

fn comment(text: &str) -> Result<String, Refusal> {
    if text.len() > TEXT_MAX {
        return Err(Refusal::Invalid(format!("a comment has at most {TEXT_MAX} characters")));
    }
    Ok(text.to_owned())
}

/// The image or tag, as it was written.
pub(super) fn wanted(request: &v1::CreateDeploymentRequest) -> &str {
    match &request.to {
        Some(
            v1::create_deployment_request::To::Tag(text) | v1::create_deployment_request::To::Image(text),
        ) => text,
        None => "",
    }
}

fn span(ms: u64, max: Span, what: &str) -> Result<Span, Refusal> {
    let fits = u32::try_from(ms).ok().filter(|ms| *ms <= max.0).map(Span);
    fits.ok_or_else(|| Refusal::Invalid(format!("{what} may last {max} at most")))
}

fn terms(request: &v1::CreateDeploymentRequest, nodes: usize, grace: Span) -> Result<Terms, Refusal> {
    let strategy = request.strategy.unwrap_or_default();
    let budget = span(request.deadline_ms, BUDGET_MAX, "a deployment")?;
    let on_failure = match request.on_failure() {
        v1::FailurePolicy::Unspecified | v1::FailurePolicy::Halt => OnFailure::Halt,
        v1::FailurePolicy::Rollback => OnFailure::Rollback,
    };
    let options = request.options.clone().unwrap_or_default();
    Ok(Terms {
        image: wanted(request).to_owned(),
        parallel: parallel(&strategy, nodes)?,
        delay: span(strategy.delay_ms, DELAY_MAX, "a delay")?,
        on_failure,
        budget: if budget == Span(0) { BUDGET } else { budget },
        grace,
        options: Options {
            use_existing_volumes: options.use_existing_volumes.unwrap_or(true),
            skip_reinstall: options.skip_reinstall,
            archive_binds: options.archive_binds,
            verify_timeout: span(options.verify_timeout_ms, BUDGET_MAX, "a verification")?,
            pull_never: options.pull() == v1::PullPolicy::Never,
            probe: options.probe,
            restore_volumes: false,
        },
    })
}

fn parallel(strategy: &v1::Strategy, nodes: usize) -> Result<Parallel, Refusal> {
    use v1::{batches::Size, strategy::Kind};
    let size = match &strategy.kind {
        None | Some(Kind::Sequential(_)) => return Ok(Parallel::Nodes(1)),
        Some(Kind::AllAtOnce(_)) => return Ok(Parallel::All),
        Some(Kind::Batches(batches)) => batches.size,
    };
    match size {
        Some(Size::Nodes(count))
            if count >= 1 && usize::try_from(count).is_ok_and(|count| count <= nodes) =>
        {
            Ok(Parallel::Nodes(count))
        }
        Some(Size::Percent(percent)) if (1..=100).contains(&percent) => {
            Ok(Parallel::Percent(u8::try_from(percent).unwrap_or(100)))
        }
        Some(Size::Nodes(_)) | None => {
            Err(Refusal::Invalid(format!("a batch has 1 to {nodes} nodes here: the group has {nodes}")))
        }
        Some(Size::Percent(_)) => Err(Refusal::Invalid("a batch has 1% to 100% of the nodes".into())),
    }
}

fn parts(
    nodes: &[NodeRow],
    request: &v1::CreateDeploymentRequest,
) -> Result<BTreeMap<NodeId, NodePart>, Refusal> {
    let mut parts = BTreeMap::new();
    for node in nodes {
        let host: HostId = refusal::required(&node.host_id)?;
        let part = NodePart {
            node: NodeId(node.node_id),
            host,
            container: node.container.clone(),
            image: images::image_of(node, request)?,
            redeploy_id: RedeployId::generate(),
            revert_id: RedeployId::generate(),
            state: NodeState::Waiting,
        };
        parts.insert(part.node, part);
    }
    Ok(parts)
}
