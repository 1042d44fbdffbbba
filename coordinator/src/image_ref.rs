//! Image references as registries have them: `[registry[:port]/]repository[:tag][@digest]`.
//!
//! Flows in: text of operators. Flows out: its parts, or the rule it breaks. Grammar: OCI distribution specification,
//! "Pulling manifests", and image specification, "Digests". Must never guess: short names stay short.

use std::str::FromStr;

const NAME_CHARS_MAX: usize = 255;
const TAG_CHARS_MAX: usize = 128;

/// The registry of images whose names have none, by both its names.
const HUB: &str = "docker.io";
const HUB_INDEX: &str = "index.docker.io";

/// An image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// With registry and port.
    pub repository: String,
    /// Without the colon.
    pub tag: Option<String>,
    /// `sha256:…`
    pub digest: Option<String>,
}

/// A tag alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

/// The text is no image, or no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {rule}")]
pub struct InvalidImage {
    text: String,
    what: &'static str,
    rule: &'static str,
}

const TAG_RULE: &str = "a tag has 1 to 128 letters, digits, _ . - and does not begin with . or -";
const DIGEST_RULE: &str = "after @ stands a digest: sha256: and 64 lower-case hex digits";
const PART_RULE: &str = "a repository has lower-case letters, digits, and between them . _ __ or dashes, in parts \
                         separated by /";
const REGISTRY_RULE: &str = "a registry is a host name or address, with a port after a colon or without";

/// No error repeats more of what somebody wrote.
const QUOTED_CHARS: usize = 80;

fn bad(text: &str, what: &'static str, rule: &'static str) -> InvalidImage {
    InvalidImage { text: text.chars().take(QUOTED_CHARS).collect(), what, rule }
}

// === impl ImageRef ===

impl ImageRef {
    /// Without the digest.
    #[must_use]
    pub fn reference(&self) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.repository),
            None => self.repository.clone(),
        }
    }
}

impl FromStr for ImageRef {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, InvalidImage> {
        let bad = |rule| bad(text, "an image", rule);
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(bad(DIGEST_RULE));
        }
        let (path, last) = name.rsplit_once('/').map_or(("", name), |(path, last)| (path, last));
        let (last, tag) = match last.split_once(':') {
            Some((last, tag)) => (last, Some(tag)),
            None => (last, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad(TAG_RULE));
        }
        let repository = if path.is_empty() { last.to_owned() } else { format!("{path}/{last}") };
        // A slash at the beginning leaves an empty path, too.
        if name.starts_with('/') {
            return Err(bad(PART_RULE));
        }
        check_repository(&repository).map_err(bad)?;
        Ok(Self { repository, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }
}

// === impl Tag ===

impl Tag {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, InvalidImage> {
        if is_tag(text) {
            return Ok(Self(text.to_owned()));
        }
        let is_more = text.contains(['/', ':', '@']);
        let rule = if is_more { "it is more than a tag: give it as an image" } else { TAG_RULE };
        Err(bad(text, "a tag", rule))
    }
}

/// Whether both name one repository, whether or not they name the registry that engines take without a name.
#[must_use]
pub fn is_same_repository(one: &str, other: &str) -> bool {
    whole_name(one) == whole_name(other)
}

/// A repository with its registry. Engines take one without for Docker Hub's, and one without a path for its `library/`.
fn whole_name(repository: &str) -> String {
    let (registry, path) = match repository.split_once('/') {
        Some((first, rest)) if names_a_registry(first) => (first, rest),
        Some(_) | None => (HUB, repository),
    };
    match registry {
        HUB | HUB_INDEX if !path.contains('/') => format!("{HUB}/library/{path}"),
        HUB_INDEX => format!("{HUB}/{path}"),
        registry => format!("{registry}/{path}"),
    }
}

/// Only a first part that looks like one is a registry.
fn names_a_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

fn check_repository(name: &str) -> Result<(), &'static str> {
    if name.len() > NAME_CHARS_MAX {
        return Err("a repository has at most 255 characters");
    }
    let path = match name.split_once('/') {
        Some((first, rest)) if names_a_registry(first) => {
            if !is_registry(first) {
                return Err(REGISTRY_RULE);
            }
            rest
        }
        Some(_) | None => name,
    };
    if path.split('/').all(is_part) { Ok(()) } else { Err(PART_RULE) }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match is_address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            let fits = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            fits && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        }),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Runs of lower-case letters and digits, with one separator between two of them.
fn is_part(part: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(is_plain).filter(|between| !between.is_empty());
    let fits = |between: &str| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-');
    part.starts_with(is_plain) && part.ends_with(is_plain) && separators.into_iter().all(fits)
}

fn is_tag(tag: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=TAG_CHARS_MAX).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.chars().all(fits)
}

fn is_digest(digest: &str) -> bool {
    let hex = digest.strip_prefix("sha256:");
    hex.is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_falls_into_its_parts() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let whole = format!("r.example:5000/shop/web:1@{digest}");
        for (text, repository, tag) in [
            ("web", "web", None),
            ("web:1.0", "web", Some("1.0")),
            ("r.example:5000/shop/web", "r.example:5000/shop/web", None),
            ("localhost/a__b/c-d--e:x", "localhost/a__b/c-d--e", Some("x")),
            ("[::1]:5000/web:2", "[::1]:5000/web", Some("2")),
            (whole.as_str(), "r.example:5000/shop/web", Some("1")),
        ] {
            let image: ImageRef = text.parse().unwrap();
            assert_eq!((image.repository.as_str(), image.tag.as_deref()), (repository, tag), "{text}");
        }
        let image: ImageRef = whole.parse().unwrap();
        assert_eq!((image.reference().as_str(), image.digest), ("r.example:5000/shop/web:1", Some(digest)));
    }

    #[test]
    fn repositories_are_the_same_however_their_registry_is_written() {
        let is_same = |one, other| {
            assert_eq!(is_same_repository(one, other), is_same_repository(other, one));
            is_same_repository(one, other)
        };
        for (one, other) in [
            ("web", "web"),
            ("web", "docker.io/library/web"),
            ("library/web", "index.docker.io/web"),
            ("shop/web", "docker.io/shop/web"),
            ("r.example:5000/web", "r.example:5000/web"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("web", "shop/web"),
            ("web", "localhost/web"),
            ("r.example/web", "r.example:5000/web"),
            ("r.example/library/web", "r.example/web"),
            ("webs", "web"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused_with_the_rule() {
        let long = "x".repeat(300);
        for (text, rule) in [
            ("", "it is empty"),
            ("Web", "lower-case"),
            ("shop//web", "lower-case"),
            ("/web", "lower-case"),
            ("web/", "lower-case"),
            ("-web", "lower-case"),
            ("a..b", "lower-case"),
            ("web:", "a tag has"),
            ("web:-1", "a tag has"),
            ("web:a b", "a tag has"),
            ("r.example:0/web", "a registry"),
            ("r.example:x/web", "a registry"),
            ("-r.example/web", "a registry"),
            ("web@sha256:ab", "a digest"),
            (long.as_str(), "255"),
        ] {
            let error = text.parse::<ImageRef>().unwrap_err().to_string();
            assert!(error.contains(rule) && error.len() < 300, "{text}: {error}");
        }
        assert!("web:2".parse::<Tag>().unwrap_err().to_string().contains("more than a tag"));
        assert!("2.4_x-y".parse::<Tag>().is_ok());
        assert!("2\n4".parse::<Tag>().is_err());
    }
}
