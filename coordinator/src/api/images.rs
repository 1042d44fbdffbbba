//! Which image each node gets: a whole reference for all, or a tag beside each node's own repository.

use std::collections::BTreeMap;

use prost::Message;
use redeploy_proto::v1;
use redeploy_proto::v1::create_deployment_request::To;

use super::Refusal;
use crate::deployment::Digest;
use crate::image_ref::{ImageRef, InvalidImage, Tag, is_same_repository};
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
            let Some(image) = image_by_name(node) else {
                let text = format!("the image of node {} is not known, so a tag is not enough", node.node_id);
                return Err(Refusal::State(text));
            };
            let (repository, _) = taken_apart(&image);
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
        let Some(runs) = image_by_name(node) else { continue };
        if !is_same_repository(taken_apart(&runs).0, &image.repository) {
            return Err(Refusal::State(format!(
                "node {} runs {runs}, and {} is another repository: if that is meant, allow it (--allow-image-change)",
                node.node_id, image.repository
            )));
        }
    }
    Ok(())
}

/// The image that a node runs; `None` if that is not known, or only by its id, which is of no repository.
fn image_by_name(node: &NodeRow) -> Option<String> {
    let facts = v1::ContainerFacts::decode(node.facts.as_deref()?).ok()?;
    let (image, id) = (facts.image, facts.image_id);
    let is_id = image.starts_with("sha256:") || id.trim_start_matches("sha256:").starts_with(&image);
    (!is_id).then_some(image)
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
    fn an_image_that_is_known_only_by_its_id_has_no_name() {
        let runs = |image: &str, id: &str| {
            let facts = v1::ContainerFacts {
                image: image.into(),
                image_id: id.into(),
                ..v1::ContainerFacts::default()
            };
            image_by_name(&NodeRow { facts: Some(facts.encode_to_vec()), ..row() })
        };
        let id = format!("sha256:{}", "ab12".repeat(16));
        for unnamed in ["", "ab12ab12ab12", id.as_str()] {
            assert_eq!(runs(unnamed, &id), None, "{unnamed}");
        }
        assert_eq!(runs("ab12:1", &id).as_deref(), Some("ab12:1"));
        assert_eq!(runs("web", "").as_deref(), Some("web"));
        assert_eq!(image_by_name(&row()), None);
    }

    fn row() -> NodeRow {
        NodeRow {
            node_id: 1,
            env: "shop".into(),
            grp: "cp".into(),
            host_id: "h1".into(),
            container: "web".into(),
            adopted: false,
            generation: 0,
            present: true,
            seen_at: 0,
            facts: None,
        }
    }

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
