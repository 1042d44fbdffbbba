//! Which image is meant: references by the distribution specification's grammar, and what is done to have it here.
//!
//! Flows in: what the operator wrote. Flows out: an image on this host, fixed by its id. Must never touch a
//! container: everything here happens before the plan, so a failure refuses the redeploy with nothing touched.

mod reference;

use std::sync::Arc;

pub use reference::{ImageReference, InvalidReference};

use crate::docker::{Container, Engine, EngineError, EngineInfo, Image, PullFailure, RegistryLogin};
use crate::progress::Audience;

/// When a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum PullPolicy {
    /// Always, because tags move; an image that was built on this host and that no registry knows is used as it is.
    #[default]
    Auto,
    /// Never: the image on this host is used.
    Never,
}

/// An image that is here, and how we came by it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// What the operator wrote.
    pub reference: ImageReference,
    /// The image.
    pub image: Image,
    /// Its digest in the repository asked for, if it came from there.
    pub digest: Option<String>,
    /// What the operator should know.
    pub warning: Option<String>,
}

/// The image cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not a reference.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// Not on this host, and nobody was to be asked.
    #[error("image {reference} is not on this host: pull it, or let the agent pull it (--pull auto)")]
    NotHere {
        /// What the operator wrote.
        reference: String,
    },
    /// Made for other machines.
    #[error("image {reference} is made for {found}, this host is {wanted}: choose an image for {wanted}")]
    WrongPlatform {
        /// What the operator wrote.
        reference: String,
        /// Its platform.
        found: String,
        /// Ours.
        wanted: String,
    },
    /// No registry has it, and this engine does not tell where the image of that name came from.
    #[error(
        "{source}; an image {reference} is on this host, but this engine does not tell whether it was built here \
         or pulled once and may be out of date: --pull never uses it as it is"
    )]
    OriginUnknown {
        /// What the operator wrote.
        reference: String,
        /// Why it could not be pulled.
        source: EngineError,
    },
    /// The engine or the registry said no.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Has the image fetched, if a registry has it, and fixed by its id.
///
/// # Errors
/// [`ImageError`]; nothing but the engine's image store was changed.
pub async fn fetch(
    engine: &dyn Engine,
    info: &EngineInfo,
    text: &str,
    policy: PullPolicy,
    login: Option<&RegistryLogin>,
    audience: &Arc<dyn Audience>,
) -> Result<Fetched, ImageError> {
    let reference: ImageReference = text.parse()?;
    let here = engine.image(text).await?;
    let (image, warning) = match (policy, reference.pull_form()) {
        (PullPolicy::Auto, Some((repository, tag))) => {
            let told = text.to_owned();
            let on_progress = |progress: crate::docker::PullProgress| {
                audience.pulling(&told, progress.bytes_done, progress.bytes_total);
            };
            match (engine.pull(&repository, &tag, login, &on_progress).await, here) {
                (Ok(()), _) => (engine.image(text).await?, None),
                (Err(error), Some(image)) if failed_to_find(&error) => match origin(&image) {
                    Origin::Here => {
                        (Some(image), Some(format!("using the image built on this host: {error}")))
                    }
                    Origin::Registry => return Err(error.into()),
                    Origin::Unknown => {
                        return Err(ImageError::OriginUnknown { reference: text.to_owned(), source: error });
                    }
                },
                (Err(error), _) => return Err(error.into()),
            }
        }
        (PullPolicy::Auto, None) | (PullPolicy::Never, _) => (here, None),
    };
    let image = image.ok_or_else(|| ImageError::NotHere { reference: text.to_owned() })?;
    check_platform(text, &image, info)?;
    let digest = image.repo_digests().find_map(|digest| reference.digest_in(digest));
    Ok(Fetched { reference, image, digest, warning })
}

/// The image a container runs now, for one that is made anew from the same.
///
/// # Errors
/// [`ImageError::NotHere`] if the engine no longer has it.
pub async fn present(engine: &dyn Engine, container: &Container) -> Result<Fetched, ImageError> {
    let text = container.image_reference();
    let image = engine.image(container.image_id()).await?;
    let image = image.ok_or_else(|| ImageError::NotHere { reference: text.to_owned() })?;
    // Its name may have moved on to another image since; its id has not.
    let named = engine.image(text).await?.filter(|named| named.id() == image.id());
    let reference = match named {
        Some(_) => text.parse()?,
        None => image.id().parse()?,
    };
    Ok(Fetched { reference, image, digest: None, warning: None })
}

/// Did every registry fail to give the image, rather than the engine to take it?
fn failed_to_find(error: &EngineError) -> bool {
    match error {
        EngineError::Pull { reason, .. } => match reason {
            PullFailure::NotFound | PullFailure::Denied | PullFailure::RegistryUnavailable => true,
            PullFailure::WrongPlatform | PullFailure::Other => false,
        },
        EngineError::Unreachable { .. }
        | EngineError::Refused { .. }
        | EngineError::BadAnswer { .. }
        | EngineError::TimedOut { .. }
        | EngineError::TooOld { .. }
        | EngineError::NotLocal { .. }
        | EngineError::NotHeld { .. }
        | EngineError::NoRoot { .. } => false,
    }
}

/// Where an image on this host came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From no registry: it is what the operator means, whatever registries say about its name.
    Here,
    /// From a registry, where its name may have moved on.
    Registry,
    /// The engine does not tell.
    Unknown,
}

/// With the containerd store every image has a digest in each repository it is tagged in, whether or not it was ever
/// there; one sees it by the digest, which is also the image's id.
fn origin(image: &Image) -> Origin {
    let mut digests = image.repo_digests().filter_map(|named| named.split_once('@')).peekable();
    if digests.peek().is_none() {
        Origin::Here
    } else if digests.all(|(_, digest)| digest == image.id()) {
        Origin::Unknown
    } else {
        Origin::Registry
    }
}

fn check_platform(reference: &str, image: &Image, info: &EngineInfo) -> Result<(), ImageError> {
    let unknown = image.os().is_empty() || image.architecture().is_empty();
    if unknown || (image.os() == info.os && image.architecture() == info.architecture) {
        return Ok(());
    }
    Err(ImageError::WrongPlatform {
        reference: reference.to_owned(),
        found: format!("{}/{}", image.os(), image.architecture()),
        wanted: format!("{}/{}", info.os, info.architecture),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_containerd_store_does_not_tell_where_an_image_came_from() {
        let origin =
            |digests: &[&str]| origin(&Image::new(json!({ "Id": "sha256:1", "RepoDigests": digests })));
        assert_eq!(origin(&[]), Origin::Here);
        assert_eq!(origin(&["app@sha256:2"]), Origin::Registry);
        assert_eq!(origin(&["app@sha256:1", "other/app@sha256:1"]), Origin::Unknown);
    }
}
