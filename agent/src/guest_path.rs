//! A path inside a container's root, as text: absolute, normalised, never climbing.
//!
//! Flows in: bytes from redeploy.conf, inspect answers and archives. Flows out: names that `rootfs` may hand
//! to the kernel. Must never touch a file system: what a name *means* is decided by the kernel inside the
//! container's root, not by text.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The kernel's own limit for a path (`PATH_MAX`, limits.h), without the final NUL.
pub const PATH_BYTES_MAX: usize = 4095;

/// An absolute, normalised path inside a container: one `/` between names, no `.`, no `..`, no NUL, no
/// trailing slash. The root itself is `/`. Bytes, because file names are bytes.
///
/// In JSON a path that is UTF-8 is a plain string; another one is `{"hex": "…"}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GuestPath(Vec<u8>);

/// Why bytes cannot name anything inside a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGuestPath {
    /// Nothing there.
    #[error("the path is empty")]
    Empty,
    /// A NUL byte cannot be part of a name.
    #[error("the path {0:?} holds a NUL byte")]
    Nul(String),
    /// `..` is refused rather than interpreted.
    #[error("the path {0:?} holds \"..\": write the path it means")]
    Climbs(String),
    /// Longer than the kernel takes.
    #[error("the path has {0} bytes; the kernel takes {PATH_BYTES_MAX}")]
    TooLong(usize),
}

impl GuestPath {
    /// The root of the container.
    #[must_use]
    pub fn root() -> Self {
        Self(b"/".to_vec())
    }

    /// Normalises `bytes`; a relative path is taken from the root.
    ///
    /// # Errors
    /// [`InvalidGuestPath`] says which rule was broken.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidGuestPath> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(InvalidGuestPath::Empty);
        }
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        if bytes.contains(&0) {
            return Err(InvalidGuestPath::Nul(shown()));
        }
        let mut path = Vec::with_capacity(bytes.len() + 1);
        for name in bytes.split(|b| *b == b'/') {
            match name {
                b"" | b"." => {}
                b".." => return Err(InvalidGuestPath::Climbs(shown())),
                name => {
                    path.push(b'/');
                    path.extend_from_slice(name);
                }
            }
        }
        if path.is_empty() {
            path.push(b'/');
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(InvalidGuestPath::TooLong(path.len()));
        }
        Ok(Self(path))
    }

    /// Is it the root itself?
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0 == b"/"
    }

    /// The bytes, beginning with `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same without the leading `/`: the form in which names stand in an archive. Empty for the root.
    #[must_use]
    pub fn relative(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0[1..]))
    }

    /// The names from the root down.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|name| !name.is_empty())
    }

    /// The last name; `None` for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        self.names().last()
    }

    /// The directory it is in; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let slash = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..slash.max(1)].to_vec()))
    }

    /// This directory's entry `name`.
    ///
    /// # Errors
    /// As [`GuestPath::new`].
    pub fn join(&self, name: &[u8]) -> Result<Self, InvalidGuestPath> {
        let mut path = self.0.clone();
        path.push(b'/');
        path.extend_from_slice(name);
        Self::new(path)
    }

    /// Is it `other`, or somewhere below it? By whole names: `/ab` is not in `/a`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root()
            || (self.0.starts_with(&other.0) && matches!(self.0.get(other.0.len()), None | Some(b'/')))
    }
}

// === impl GuestPath ===

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii().to_string().replace("\\'", "'"))
    }
}

impl fmt::Debug for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Directories come right before what is in them: `/a`, `/a/x`, `/a-b`. The order of every walk.
impl Ord for GuestPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.names().cmp(other.names())
    }
}

impl PartialOrd for GuestPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire {
    Text(String),
    Hex { hex: String },
}

impl Serialize for GuestPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Wire::Text(text.to_owned()),
            Err(_) => Wire::Hex { hex: self.0.iter().map(|b| format!("{b:02x}")).collect() },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GuestPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match Wire::deserialize(deserializer)? {
            Wire::Text(text) => Self::new(text).map_err(D::Error::custom),
            Wire::Hex { hex } => {
                let byte = |pair: &[u8]| {
                    std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
                };
                let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
                let bytes = bytes.ok_or_else(|| D::Error::custom("a path's hex form is not hex"))?;
                Self::new(bytes).map_err(D::Error::custom)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> GuestPath {
        GuestPath::new(text).unwrap()
    }

    #[test]
    fn slashes_and_dots_are_normalised() {
        for (given, meant) in [
            ("/opt//etc/", "/opt/etc"),
            ("var/spool", "/var/spool"),
            ("/./a/.", "/a"),
            ("///", "/"),
            ("/", "/"),
        ] {
            assert_eq!(path(given).as_bytes(), meant.as_bytes(), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_a_path_is_refused() {
        assert_eq!(GuestPath::new(""), Err(InvalidGuestPath::Empty));
        assert!(matches!(GuestPath::new("/a/../b"), Err(InvalidGuestPath::Climbs(_))));
        assert!(matches!(GuestPath::new("/a\0b"), Err(InvalidGuestPath::Nul(_))));
        assert!(matches!(GuestPath::new("x".repeat(5000)), Err(InvalidGuestPath::TooLong(5001))));
        assert!(GuestPath::new("/a/..b/...").is_ok());
    }

    #[test]
    fn within_goes_by_whole_names() {
        assert!(path("/a/b").is_within(&path("/a")));
        assert!(path("/a").is_within(&path("/a")));
        assert!(path("/a").is_within(&GuestPath::root()));
        assert!(!path("/ab").is_within(&path("/a")));
        assert!(!path("/a").is_within(&path("/a/b")));
    }

    #[test]
    fn order_puts_a_directory_before_its_contents_and_those_before_its_neighbour() {
        let mut paths = [path("/a-b"), path("/a/x"), path("/a"), path("/")];
        paths.sort();
        assert_eq!(paths, [path("/"), path("/a"), path("/a/x"), path("/a-b")]);
    }

    #[test]
    fn json_keeps_every_byte() {
        for bytes in [&b"/etc/app.conf"[..], b"/caf\xe9/\xff", b"/new\nline"] {
            let path = GuestPath::new(bytes).unwrap();
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<GuestPath>(&json).unwrap(), path, "{json}");
        }
    }

    #[test]
    fn parent_and_name() {
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), Some(GuestPath::root()));
        assert_eq!(GuestPath::root().parent(), None);
        assert_eq!(path("/a/b").file_name(), Some(&b"b"[..]));
    }
}
