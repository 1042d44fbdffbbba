//! What the three redeploy methods ask for, as a request of the contract. Pure.
//!
//! Flows in: parameters; then the nodes of their environment. Flows out: [`Asked`]; then the one request that makes a
//! deployment. Rules of the contract (names, tags, spans) stay with the handler that has them.

use redeploy_proto::v1;
use redeploy_proto::v1::create_deployment_request::To;
use redeploy_proto::v1::strategy::Kind;

use super::codes::{Code, Failed};
use super::method::Method;
use super::params::{Params, Wrong};
use crate::api::images::taken_apart;
use crate::api::names;
use crate::image_ref::is_same_repository;
use crate::image_ref::{ImageRef, Tag};

/// Every deployment that is begun here has a comment that begins so.
pub(super) const COMMENT: &str = "Jelastic API: ";

/// What a call asks for. Does not print itself: it may hold a password.
#[derive(Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) env: String,
    pub(super) whom: Whom,
    pub(super) to: Wanted,
    pub(super) strategy: v1::Strategy,
    pub(super) options: v1::RedeployOptions,
    login: Option<v1::RegistryLogin>,
    /// Answer as soon as it is begun.
    pub(super) is_async: bool,
    comment: String,
}

/// Which nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    Group(String),
    Node(u32),
}

/// Which image: a tag, and if it was said the repository that every node must have already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    repository: Option<String>,
    pub(super) tag: String,
}

/// What a method's parameters ask for.
///
/// # Errors
/// [`Wrong`]: the first parameter that breaks a rule.
pub(super) fn asked(method: Method, params: &Params) -> Result<Asked, Wrong> {
    let env = params.required("envName")?.to_owned();
    let whom = whom(method, params)?;
    let to = wanted(params.required("tag")?)?;
    // Whether a node is drained is said by its host's agent, and not by a call.
    params.boolean("manageDNSState")?;
    Ok(Asked {
        env,
        whom,
        to,
        strategy: strategy(method, params)?,
        options: v1::RedeployOptions {
            use_existing_volumes: Some(params.boolean("useExistingVolumes")?.unwrap_or(true)),
            skip_reinstall: params.boolean("skipReinstall")?.unwrap_or(false),
            ..v1::RedeployOptions::default()
        },
        login: login(params)?,
        is_async: params.boolean("async")?.unwrap_or(false),
        comment: format!("{COMMENT}{method:?}"),
    })
}

/// A node wins over a group where the method knows both; neither is an error.
fn whom(method: Method, params: &Params) -> Result<Whom, Wrong> {
    let node = || params.number("nodeId", "the id of a node: a number from 1");
    let missing = match method {
        Method::RedeployContainersByGroup => Wrong::Missing("nodeGroup"),
        Method::RedeployContainerById => Wrong::Missing("nodeId"),
        Method::RedeployContainers
        | Method::GetContainerNodeTags
        | Method::GetEnvInfo
        | Method::GetEnvs
        | Method::SignIn
        | Method::SignOut => Wrong::NoTarget,
    };
    let node = if method == Method::RedeployContainersByGroup { None } else { node()? };
    let group = params.text("nodeGroup").filter(|_| method != Method::RedeployContainerById);
    match (node, group) {
        (Some(0), _) => Err(Wrong::NoNumber { name: "nodeId", what: "the id of a node: a number from 1" }),
        (Some(node), _) => Ok(Whom::Node(node)),
        (None, Some(group)) => Ok(Whom::Group(group.to_owned())),
        (None, None) => Err(missing),
    }
}

/// `TAG` or `IMAGE:TAG`.
fn wanted(text: &str) -> Result<Wanted, Wrong> {
    let no_tag = |error: &dyn std::fmt::Display| Wrong::NoTag(error.to_string());
    if !text.contains(['/', ':', '@']) {
        let tag: Tag = text.parse().map_err(|error| no_tag(&error))?;
        return Ok(Wanted { repository: None, tag: tag.as_str().to_owned() });
    }
    let image: ImageRef = text.parse().map_err(|error| no_tag(&error))?;
    match (image.tag, image.digest) {
        (Some(tag), None) => Ok(Wanted { repository: Some(image.repository), tag }),
        (None, None) => Err(no_tag(&"there is no tag behind the image's name")),
        (_, Some(_)) => Err(no_tag(&"a digest is not possible here, but with `image` of our own API")),
    }
}

/// Only one method knows more than "one after the other, without a pause". Not said is that, too.
fn strategy(method: Method, params: &Params) -> Result<v1::Strategy, Wrong> {
    let sequential = |delay_ms| v1::Strategy { kind: Some(Kind::Sequential(v1::Sequential {})), delay_ms };
    if method != Method::RedeployContainersByGroup {
        return Ok(sequential(0));
    }
    let seconds: Option<u64> = params.number("delay", "a number of seconds from 0")?;
    match params.boolean("isSequential")? {
        Some(false) => Ok(v1::Strategy { kind: Some(Kind::AllAtOnce(v1::AllAtOnce {})), delay_ms: 0 }),
        Some(true) | None => Ok(sequential(seconds.unwrap_or_default().saturating_mul(1000))),
    }
}

fn login(params: &Params) -> Result<Option<v1::RegistryLogin>, Wrong> {
    match (params.text("login"), params.text("password")) {
        (Some(user), Some(password)) => {
            Ok(Some(v1::RegistryLogin { user: user.to_owned(), password: password.to_owned() }))
        }
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(Wrong::HalfALogin),
    }
}

impl Asked {
    /// Those of an environment's nodes that are meant.
    ///
    /// # Errors
    /// [`Code::NotFound`]; [`Code::Parameter`] if one has another repository than was said.
    pub(super) fn among<'a>(&self, nodes: &'a [v1::Node]) -> Result<Vec<&'a v1::Node>, Failed> {
        let meant: Vec<&v1::Node> = nodes.iter().filter(|node| self.means(node)).collect();
        if meant.is_empty() {
            return Err(Failed::new(Code::NotFound, self.missing(nodes)));
        }
        for node in &meant {
            self.to.fits(node)?;
        }
        Ok(meant)
    }

    fn means(&self, node: &v1::Node) -> bool {
        match &self.whom {
            Whom::Group(group) => node.group == *group,
            Whom::Node(id) => node.node_id == *id,
        }
    }

    fn missing(&self, nodes: &[v1::Node]) -> String {
        match &self.whom {
            Whom::Group(group) => {
                let what = format!("group of environment {} called", self.env);
                names::missing(&what, group, nodes.iter().map(|node| node.group.as_str()))
            }
            Whom::Node(id) => {
                let ids = nodes.iter().map(|node| node.node_id);
                format!("in environment {}: {}", self.env, names::missing_node(*id, ids))
            }
        }
    }

    /// The request that makes the deployment.
    pub(super) fn request(&self) -> v1::CreateDeploymentRequest {
        let (group, node_id) = match &self.whom {
            Whom::Group(group) => (group.clone(), 0),
            Whom::Node(id) => (String::new(), *id),
        };
        v1::CreateDeploymentRequest {
            target: Some(v1::Target { env: self.env.clone(), group, node_id }),
            to: Some(To::Tag(self.to.tag.clone())),
            options: Some(self.options.clone()),
            login: self.login.clone(),
            strategy: Some(self.strategy),
            comment: self.comment.clone(),
            ..v1::CreateDeploymentRequest::default()
        }
    }
}

impl Wanted {
    /// Each node keeps its repository; whoever names one must name that.
    fn fits(&self, node: &v1::Node) -> Result<(), Failed> {
        let Some(said) = &self.repository else { return Ok(()) };
        let image = node.container.as_ref().map(|facts| facts.image.as_str()).unwrap_or_default();
        let (has, _) = taken_apart(image);
        if is_same_repository(has, said) {
            return Ok(());
        }
        let text = format!(
            "node {} is on image {has:?}, and {said:?} was asked for: only the tag can change here",
            node.node_id
        );
        Err(Failed::new(Code::Parameter, text))
    }
}

#[cfg(test)]
mod tests;
