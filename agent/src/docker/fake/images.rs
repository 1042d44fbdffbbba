//! The fake's images and its registry.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::error::PullFailure;
use super::super::{Image, PullProgress, RegistryLogin};
use super::state::State;
use super::{EngineError, refused};

/// An image as a test describes it.
#[derive(Debug, Clone)]
pub struct FakeImage {
    /// `repository:tag`.
    pub reference: String,
    /// Its `Config`, as in image inspect.
    pub config: Value,
    /// Its files: absolute path and contents. A path that ends in `/` is a directory.
    pub files: Vec<(String, Vec<u8>)>,
    /// What its containers do.
    pub behaviour: Behaviour,
    /// The processor it is made for.
    pub architecture: String,
}

/// What a container does when it is started.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// How it lives.
    pub on_start: OnStart,
    /// Files it writes at once: a path in a volume goes to that volume, another into its root.
    pub writes_on_start: Vec<(String, Vec<u8>)>,
    /// Files it writes, or with `None` deletes, when it is told to stop.
    pub writes_on_stop: Vec<(String, Option<Vec<u8>>)>,
    /// What it prints at every start.
    pub prints: String,
}

/// How a started container lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnStart {
    /// Until it is stopped; with a health check it is `starting` once and then `healthy`.
    #[default]
    Runs,
    /// Not at all: it ends with this code, and again after each restart of its policy.
    ExitsWith(i64),
    /// It runs and its health check fails.
    Unhealthy,
    /// It runs, is `starting` for the first two looks, then `healthy`.
    BecomesHealthy,
}

/// An image the engine has.
#[derive(Debug, Clone)]
pub(super) struct StoredImage {
    pub(super) image: FakeImage,
    pub(super) tags: BTreeSet<String>,
    pub(super) digests: BTreeSet<String>,
}

/// Everything pullable: reference or digest reference → image, or why not.
pub(super) type Registry = BTreeMap<String, Result<Pullable, PullFailure>>;

/// An image in the registry.
#[derive(Debug, Clone)]
pub(super) struct Pullable {
    pub(super) image: FakeImage,
    /// Who may have it; everybody if `None`.
    pub(super) login: Option<RegistryLogin>,
}

impl Default for FakeImage {
    fn default() -> Self {
        Self {
            reference: "fake/app:1".to_owned(),
            config: json!({ "Cmd": ["/bin/app"] }),
            files: Vec::new(),
            behaviour: Behaviour::default(),
            architecture: "amd64".to_owned(),
        }
    }
}

impl FakeImage {
    /// Its id: the same contents always have the same.
    #[must_use]
    pub fn id(&self) -> String {
        format!("sha256:{}", hex(&[&self.contents()]))
    }

    /// `repository@sha256:…`, by which a registry knows it.
    #[must_use]
    pub fn digest_reference(&self) -> String {
        let (repository, _) = split_reference(&self.reference);
        format!("{repository}@{}", self.digest())
    }

    /// `sha256:…` of its manifest.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex(&[b"manifest", &self.contents()]))
    }

    fn contents(&self) -> Vec<u8> {
        format!("{} {:?} {:?} {}", self.config, self.files, self.behaviour, self.architecture).into_bytes()
    }

    fn size(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| u64::try_from(bytes.len()).unwrap_or(0)).sum()
    }
}

impl StoredImage {
    fn inspect(&self, id: &str) -> Image {
        let image = &self.image;
        Image::new(json!({
            "Id": id, "RepoTags": self.tags, "RepoDigests": self.digests, "Parent": "", "Comment": "",
            "Created": "2026-01-01T00:00:00Z", "Config": image.config, "Architecture": image.architecture,
            "Os": "linux", "Size": image.size(),
            "RootFS": { "Type": "layers", "Layers": [format!("sha256:{}", hex(&[b"layer", &image.contents()]))] }
        }))
    }
}

impl State {
    /// Stores an image under its reference, taking that name from another that had it.
    pub(super) fn store_image(&mut self, image: FakeImage) -> String {
        let (id, digest) = (image.id(), image.digest_reference());
        self.give_tag(&id, &image.reference.clone(), || StoredImage {
            image,
            tags: BTreeSet::new(),
            digests: BTreeSet::new(),
        });
        if let Some(stored) = self.images.get_mut(&id) {
            stored.digests.insert(digest);
        }
        id
    }

    fn give_tag(&mut self, id: &str, tag: &str, image: impl FnOnce() -> StoredImage) {
        let tag = with_tag(tag);
        for stored in self.images.values_mut() {
            stored.tags.remove(&tag);
        }
        self.images.entry(id.to_owned()).or_insert_with(image).tags.insert(tag);
    }

    /// The id of the image a reference means.
    pub(super) fn image_id(&self, reference: &str) -> Option<String> {
        let full = format!("sha256:{}", reference.strip_prefix("sha256:").unwrap_or(reference));
        if self.images.contains_key(&full) {
            return Some(full);
        }
        let tag = with_tag(reference);
        // With both tag and digest, the engine looks by the digest alone.
        let digest = match reference.split_once('@') {
            Some((name, digest)) => format!("{}@{digest}", split_reference(name).0),
            None => reference.to_owned(),
        };
        let named = |stored: &StoredImage| stored.tags.contains(&tag) || stored.digests.contains(&digest);
        self.images.iter().find(|(_, stored)| named(stored)).map(|(id, _)| id.clone())
    }

    pub(super) fn inspect_image(&self, reference: &str) -> Option<Image> {
        let id = self.image_id(reference)?;
        self.images.get(&id).map(|stored| stored.inspect(&id))
    }

    /// Pulls from the registry; answers how many bytes came.
    pub(super) fn pull(
        &mut self,
        repository: &str,
        mark: &str,
        login: Option<&RegistryLogin>,
    ) -> Result<PullProgress, EngineError> {
        let separator = if mark.contains(':') { '@' } else { ':' };
        let reference = format!("{repository}{separator}{mark}");
        let failed = |reason: PullFailure| EngineError::Pull {
            reference: reference.clone(),
            reason,
            message: format!("the fake registry says: {reason:?}"),
        };
        let found = self.registry.get(&reference).cloned();
        let Pullable { image, login: wanted } =
            found.unwrap_or(Err(PullFailure::NotFound)).map_err(failed)?;
        let pair = |login: &RegistryLogin| (login.user.clone(), login.password.clone());
        if wanted.is_some() && wanted.as_ref().map(pair) != login.map(pair) {
            return Err(failed(PullFailure::Denied));
        }
        if image.architecture != self.architecture {
            return Err(failed(PullFailure::WrongPlatform));
        }
        let (id, bytes, digest) = (image.id(), image.size(), format!("{repository}@{}", image.digest()));
        let stored = StoredImage { image, tags: BTreeSet::new(), digests: BTreeSet::from([digest.clone()]) };
        if separator == ':' {
            self.give_tag(&id, &reference, || stored);
        } else {
            self.images.entry(id.clone()).or_insert(stored);
        }
        if let Some(stored) = self.images.get_mut(&id) {
            stored.digests.insert(digest);
        }
        Ok(PullProgress { bytes_total: bytes, bytes_done: bytes })
    }

    pub(super) fn tag(&mut self, image: &str, repository: &str, tag: &str) -> Result<(), EngineError> {
        let action = format!("tag image {image} as {repository}:{tag}");
        let id =
            self.image_id(image).ok_or_else(|| refused(&action, 404, format!("No such image: {image}")))?;
        let Some(copy) = self.images.get(&id).cloned() else { return Ok(()) };
        self.give_tag(&id, &format!("{repository}:{tag}"), || copy);
        Ok(())
    }

    pub(super) fn untag(&mut self, reference: &str) -> Result<(), EngineError> {
        let Some(id) = self.image_id(reference) else { return Ok(()) };
        let in_use = self.containers.values().any(|container| container.raw["Image"] == id.as_str());
        let Some(stored) = self.images.get_mut(&id) else { return Ok(()) };
        let mut tags = stored.tags.clone();
        let mut digests = stored.digests.clone();
        if reference.starts_with("sha256:") {
            tags.clear();
        }
        tags.remove(&with_tag(reference));
        digests.remove(reference);
        if !tags.is_empty() {
            stored.tags = tags;
            stored.digests = digests;
            return Ok(());
        }
        if in_use {
            let message =
                "conflict: unable to remove repository reference (must force) - a container is using it";
            return Err(refused(&format!("remove image {reference}"), 409, message));
        }
        self.images.remove(&id);
        Ok(())
    }
}

/// `repository:tag` or `repository@digest`, apart.
pub(super) fn split_reference(reference: &str) -> (&str, Option<&str>) {
    if let Some((repository, digest)) = reference.split_once('@') {
        return (repository, Some(digest));
    }
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (reference, None),
    }
}

fn with_tag(reference: &str) -> String {
    match split_reference(reference) {
        (_, Some(_)) => reference.to_owned(),
        (repository, None) => format!("{repository}:latest"),
    }
}

/// SHA-256 over parts, in hex.
pub(super) fn hex(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
