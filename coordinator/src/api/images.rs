//! Which image each node gets: a whole reference for all, or a tag beside each node's own repository.

use std::collections::BTreeMap;

use prost::Message;
use redeploy_proto::v1;
use redeploy_proto::v1::create_deployment_request::To;

use super::Refusal;
use crate::deployment::Digest;
use crate::image_ref::{ImageRef, InvalidImage, Tag};
use crate::store::NodeRow;

impl From<InvalidImage> for Refusal {
    fn from(invalid: InvalidImage) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

/// The reference a node gets, without a digest.
pub(super) fn image_of(node: &NodeRow, request: &v1::CreateDeploymentRequest) -> Result<String, Refusal> {
    match &request.to {
        // A revert has none.
        None if request.target.is_none() => Ok(String::new()),
        None => Err(Refusal::Invalid("say which image or tag: neither was given".into())),
        Some(To::Image(image)) => Ok(image.parse::<ImageRef>()?.reference()),
        Some(To::Tag(tag)) => {
            let tag: Tag = tag.parse()?;
            let facts = node.facts.as_deref().unwrap_or_default();
            let facts = v1::ContainerFacts::decode(facts).unwrap_or_default();
            let (repository, _) = taken_apart(&facts.image);
            if repository.is_empty() {
                let text = format!("the image of node {} is not known, so a tag is not enough", node.node_id);
                return Err(Refusal::State(text));
            }
            Ok(format!("{repository}:{}", tag.as_str()))
        }
    }
}

/// The digest an operator gave counts from the start.
pub(super) fn fixed(request: &v1::CreateDeploymentRequest) -> Result<BTreeMap<String, Digest>, Refusal> {
    let Some(To::Image(image)) = &request.to else { return Ok(BTreeMap::new()) };
    let image: ImageRef = image.parse()?;
    let reference = image.reference();
    Ok(image.digest.map(|digest| (reference, Digest::Of(digest))).into_iter().collect())
}

/// Insists that the image is of the repository that each node runs, unless another is allowed. A node whose image is not
/// known by a name is not judged.
pub(super) fn check_change(nodes: &[NodeRow], request: &v1::CreateDeploymentRequest) -> Result<(), Refusal> {
    let Some(To::Image(image)) = request.to.as_ref().filter(|_| !request.allow_image_change) else {
        return Ok(());
    };
    let image: ImageRef = image.parse()?;
    for node in nodes {
        let facts = node.facts.as_deref().unwrap_or_default();
        let facts = v1::ContainerFacts::decode(facts).unwrap_or_default();
        let Ok(runs) = facts.image.parse::<ImageRef>() else { continue };
        if !runs.is_of_same_repository(&image) {
            return Err(Refusal::State(format!(
                "node {} runs {}, and {} is another repository: if that is meant, allow it (--allow-image-change)",
                node.node_id, facts.image, image.repository
            )));
        }
    }
    Ok(())
}

/// Repository and tag of an image as an engine names it, which is more than operators may write. No tag: empty.
pub(super) fn taken_apart(image: &str) -> (&str, &str) {
    let reference = image.split_once('@').map_or(image, |(reference, _)| reference);
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        Some(_) | None => (reference, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_what_stands_before_the_tag() {
        for (image, repository, tag) in [
            ("web:1.0", "web", "1.0"),
            ("web", "web", ""),
            ("r.example:5000/shop/web", "r.example:5000/shop/web", ""),
            ("r.example:5000/shop/web:1@sha256:ab", "r.example:5000/shop/web", "1"),
        ] {
            assert_eq!(taken_apart(image), (repository, tag));
        }
    }
}
