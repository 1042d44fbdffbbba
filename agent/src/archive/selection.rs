//! Which paths an archive is to hold, and what was left out of it and why. Pure.

use serde::{Deserialize, Serialize};

use crate::guest_path::GuestPath;

/// What to keep. Rules: trees and single files; an exclusion always wins, also over an inclusion inside it;
/// inclusions inside other ones add nothing. Paths are compared as text: a path that reaches an excluded place
/// through a symbolic link is another path. The parents of an included path may be links inside the root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Trees and files to keep; `/` is the whole root.
    pub include: Vec<GuestPath>,
    /// Subtrees left out: mount points, what the engine owns, what belongs to the image.
    pub exclude: Vec<GuestPath>,
}

/// Something that is not in the archive though the selection names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Where it is.
    pub path: GuestPath,
    /// Why.
    pub reason: SkipReason,
}

/// Why something is not in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Another mount begins there.
    Mount,
    /// A socket means nothing without its process.
    Socket,
    /// Devices are the host's.
    Device,
    /// It could not be read in a round that was not the last; the last one tries again.
    Unreadable,
}

impl Selection {
    /// The inclusions that count: sorted, none inside another, none excluded.
    pub(super) fn roots(&self) -> Vec<GuestPath> {
        let mut include = self.include.clone();
        include.sort();
        let mut roots: Vec<GuestPath> = Vec::new();
        for path in include {
            let inside = roots.last().is_some_and(|root| path.is_within(root));
            if !inside && !self.excludes(&path) {
                roots.push(path);
            }
        }
        roots
    }

    /// Is `path` left out?
    pub(super) fn excludes(&self, path: &GuestPath) -> bool {
        self.exclude.iter().any(|left_out| path.is_within(left_out))
    }

    /// The inclusion `path` belongs to; `None` for a mere parent of one.
    pub(super) fn root_of<'a>(roots: &'a [GuestPath], path: &GuestPath) -> Option<&'a GuestPath> {
        let after = roots.partition_point(|root| root <= path);
        let candidate = roots.get(after.checked_sub(1)?)?;
        path.is_within(candidate).then_some(candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Vec<GuestPath> {
        texts.iter().map(|text| GuestPath::new(text).unwrap()).collect()
    }

    #[test]
    fn inclusions_inside_others_and_inside_exclusions_do_not_count() {
        let selection = Selection {
            include: paths(&["/b/c", "/a", "/b", "/b-c", "/a", "/x/y/z"]),
            exclude: paths(&["/x/y", "/a/cache"]),
        };
        assert_eq!(selection.roots(), paths(&["/a", "/b", "/b-c"]));
        assert!(selection.excludes(&GuestPath::new("/a/cache/1").unwrap()));
        assert!(!selection.excludes(&GuestPath::new("/a/cache-1").unwrap()));
    }

    #[test]
    fn every_path_belongs_to_one_inclusion_or_none() {
        let roots = paths(&["/a", "/b/c"]);
        let root_of = |text: &str| Selection::root_of(&roots, &GuestPath::new(text).unwrap()).cloned();
        assert_eq!(root_of("/a/x/y"), Some(roots[0].clone()));
        assert_eq!(root_of("/b/c"), Some(roots[1].clone()));
        assert_eq!(root_of("/b"), None);
        assert_eq!(root_of("/"), None);
        assert_eq!(root_of("/b/cd"), None);
    }
}
