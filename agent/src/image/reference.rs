//! Image references: `[registry[:port]/]repository[:tag][@digest]`, or an image id.
//!
//! Grammar: OCI distribution specification, "Pulling manifests" (names, tags), and the image specification
//! (digests). Short names mean Docker Hub, as everywhere in Docker; the engine expands them, not we.

use std::fmt;
use std::str::FromStr;

/// What the operator wrote, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageReference {
    /// A name in some registry.
    Named {
        /// With registry and port, without tag.
        repository: String,
        /// `latest` when neither tag nor digest were given.
        tag: Option<String>,
        /// `sha256:…`
        digest: Option<String>,
    },
    /// An image of this host.
    Id(String),
}

/// The text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image reference: {rule}")]
pub struct InvalidReference {
    text: String,
    rule: &'static str,
}

/// A reference's limit, as the distribution specification's registries have it.
const NAME_CHARS_MAX: usize = 255;
const TAG_CHARS_MAX: usize = 128;

impl ImageReference {
    /// Repository and tag or digest, as a pull wants them; `None` for an id.
    #[must_use]
    pub fn pull_form(&self) -> Option<(String, String)> {
        match self {
            Self::Named { repository, tag, digest } => {
                let tag = digest.as_deref().or(tag.as_deref()).unwrap_or("latest");
                Some((repository.clone(), tag.to_owned()))
            }
            Self::Id(_) => None,
        }
    }

    /// The digest in `repo_digest` (`repository@sha256:…`) if that is this repository.
    #[must_use]
    pub fn digest_in(&self, repo_digest: &str) -> Option<String> {
        let (theirs, digest) = repo_digest.split_once('@')?;
        match self {
            Self::Named { repository, .. } if same_repository(repository, theirs) => Some(digest.to_owned()),
            Self::Named { .. } | Self::Id(_) => None,
        }
    }

    /// What goes into the new container's configuration: the name, with the digest it was fixed to.
    #[must_use]
    pub fn pinned(&self, digest: Option<&str>) -> String {
        match (self, digest) {
            (Self::Named { repository, tag, .. }, Some(digest)) => match tag {
                Some(tag) => format!("{repository}:{tag}@{digest}"),
                None => format!("{repository}@{digest}"),
            },
            _ => self.to_string(),
        }
    }
}

/// `redis`, `library/redis` and `docker.io/library/redis` are one.
fn same_repository(a: &str, b: &str) -> bool {
    fn full(name: &str) -> String {
        let name =
            name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
        name.strip_prefix("library/").unwrap_or(name).to_owned()
    }
    full(a) == full(b)
}

// === impl ImageReference ===

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |rule| InvalidReference { text: text.to_owned(), rule };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if is_digest(text) || (text.len() >= 12 && text.len() <= 64 && is_hex(text) && !text.contains(':')) {
            return Ok(Self::Id(text.to_owned()));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(bad("after @ stands a digest: sha256: and 64 lower-case hex digits"));
        }
        let last_part = name.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match name[last_part..].split_once(':') {
            Some((last, tag)) => (&name[..last_part + last.len()], Some(tag)),
            None => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("a tag has 1 to 128 letters, digits, _ . - and does not begin with . or -"));
        }
        check_repository(repository).map_err(bad)?;
        let tag = match (tag, digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, None) => Some("latest".to_owned()),
            (None, Some(_)) => None,
        };
        Ok(Self::Named { repository: repository.to_owned(), tag, digest: digest.map(str::to_owned) })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Named { repository, tag, digest } => {
                f.write_str(repository)?;
                if let Some(tag) = tag {
                    write!(f, ":{tag}")?;
                }
                if let Some(digest) = digest {
                    write!(f, "@{digest}")?;
                }
                Ok(())
            }
        }
    }
}

fn check_repository(name: &str) -> Result<(), &'static str> {
    if name.len() > NAME_CHARS_MAX {
        return Err("a repository has at most 255 characters");
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    let first_is_registry = parts.len() > 1
        && parts.first().is_some_and(|first| first.contains(['.', ':']) || *first == "localhost");
    if first_is_registry {
        check_registry(parts.remove(0))?;
    }
    if parts.iter().all(|part| is_path_part(part)) {
        Ok(())
    } else {
        Err("repository parts are lower-case letters and digits, with single . _ __ or - between them")
    }
}

fn check_registry(text: &str) -> Result<(), &'static str> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err("a registry's port is a number from 1 to 65535");
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if host.split('.').all(is_label) {
        Ok(())
    } else {
        Err("a registry is a host name, with a port if need be")
    }
}

fn is_path_part(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends_well = bytes.first().is_some_and(|b| is_word(*b)) && bytes.last().is_some_and(|b| is_word(*b));
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let separators = separators.filter(|separator| !separator.is_empty());
    let all_known = separators
        .into_iter()
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-'));
    ends_well && all_known
}

fn is_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    bytes.len() <= TAG_CHARS_MAX
        && bytes.first().is_some_and(|b| is_word(*b))
        && bytes.iter().all(|b| is_word(*b) || matches!(b, b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && is_hex(hex))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn named(repository: &str, tag: Option<&str>, digest: Option<&str>) -> ImageReference {
        ImageReference::Named {
            repository: repository.into(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        }
    }

    #[test]
    fn every_form_is_taken_apart() {
        let by_digest = format!("r.example:5000/team/app@{DIGEST}");
        let both = format!("app:v1@{DIGEST}");
        for (text, meant) in [
            ("redis", named("redis", Some("latest"), None)),
            ("redis:7.2-alpine", named("redis", Some("7.2-alpine"), None)),
            ("localhost:5000/app", named("localhost:5000/app", Some("latest"), None)),
            ("r.example/a/b__c.d-e:x", named("r.example/a/b__c.d-e", Some("x"), None)),
            (by_digest.as_str(), named("r.example:5000/team/app", None, Some(DIGEST))),
            (both.as_str(), named("app", Some("v1"), Some(DIGEST))),
            (DIGEST, ImageReference::Id(DIGEST.into())),
            ("0123456789ab", ImageReference::Id("0123456789ab".into())),
        ] {
            assert_eq!(text.parse::<ImageReference>().unwrap(), meant, "{text}");
        }
    }

    #[test]
    fn malformed_ones_are_refused_with_the_rule() {
        for text in [
            "",
            "App",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:-x",
            "a@sha256:12",
            "a b",
            "a:b:c",
            "a___b",
            "-a",
            "a-",
            "host:99999/a",
            "ho_st.x/a",
            "a@",
            "a\n",
        ] {
            let error = text.parse::<ImageReference>().unwrap_err();
            assert!(error.to_string().contains("is not an image reference: "), "{text}");
        }
        assert!("a".repeat(256).parse::<ImageReference>().is_err());
        assert!(format!("a:{}", "t".repeat(129)).parse::<ImageReference>().is_err());
    }

    #[test]
    fn a_reference_is_pinned_to_its_digest_and_keeps_its_tag() {
        let reference: ImageReference = "team/app:v2".parse().unwrap();
        assert_eq!(reference.pinned(Some(DIGEST)), format!("team/app:v2@{DIGEST}"));
        assert_eq!(reference.pinned(None), "team/app:v2");
        assert_eq!(reference.digest_in(&format!("docker.io/team/app@{DIGEST}")).as_deref(), Some(DIGEST));
        assert_eq!(reference.digest_in(&format!("other/app@{DIGEST}")), None);
    }
}
