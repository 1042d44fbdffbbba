//! What a directory tree holds, down to the last attribute, and what differs between two of them.
//!
//! Flows in: a directory of the host, or one inside a running container. Flows out: a comparable value, and a list
//! of differences for people. Must never follow a symbolic link out of the tree or into another file system.

mod node;

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use walkdir::WalkDir;

use crate::engine::Docker;
pub use node::{Content, Node};

/// Everything below one directory, and the directory itself as the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// By path relative to the directory.
    pub nodes: BTreeMap<PathBuf, Node>,
}

impl Tree {
    /// Reads a tree of the host, such as a volume.
    ///
    /// # Errors
    /// Something in it could not be read, or changed meanwhile.
    pub fn of(directory: &Path) -> Result<Self> {
        let mut nodes = BTreeMap::new();
        let mut first_names = BTreeMap::new();
        for entry in WalkDir::new(directory).same_file_system(true).sort_by_file_name() {
            let entry = entry?;
            let path = entry.path().strip_prefix(directory)?.to_owned();
            let (mut node, identity) =
                Node::read(entry.path()).with_context(|| entry.path().display().to_string())?;
            node.same_file_as = first_names.entry(identity).or_insert_with(|| path.clone()).clone();
            nodes.insert(path, node);
        }
        Ok(Self { nodes })
    }

    /// Reads a directory of a running container. Links on the way to it are resolved inside the container; what is
    /// in other file systems mounted below it (volumes, `/proc`) is left out.
    ///
    /// # Errors
    /// The container does not run, there is no such directory, or as [`Tree::of`].
    pub fn of_container(docker: Docker, container: &str, directory: &str) -> Result<Self> {
        let root = docker.root(container)?;
        let root = rustix::fs::open(&root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        let directory = rustix::fs::openat2(
            &root,
            directory,
            OFlags::PATH | OFlags::DIRECTORY,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
        .with_context(|| format!("no directory {directory} in {container}"))?;
        Self::of(Path::new(&format!("/proc/self/fd/{}/", directory.as_raw_fd())))
    }

    /// The same tree without these paths and what is below them.
    #[must_use]
    pub fn without(mut self, paths: &[&str]) -> Self {
        self.nodes.retain(|path, _| !paths.iter().any(|gone| path.starts_with(gone)));
        self
    }

    /// The same tree with the times of directories forgotten: for trees in which names came or went on purpose.
    #[must_use]
    pub fn without_directory_times(mut self) -> Self {
        for node in self.nodes.values_mut().filter(|node| node.content == Content::Directory) {
            node.mtime_ns = 0;
        }
        self
    }

    /// One line for each difference, sorted by path; empty when both are the same.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, node) in &self.nodes {
            match other.nodes.get(path) {
                None => lines.push((path, format!("{}: gone", shown(path)))),
                Some(same) if same == node => {}
                Some(changed) => {
                    lines.push((path, format!("{}: {}", shown(path), node.changes(changed).join(", "))));
                }
            }
        }
        for path in other.nodes.keys().filter(|path| !self.nodes.contains_key(*path)) {
            lines.push((path, format!("{}: new", shown(path))));
        }
        lines.sort();
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// Insists that `other` is exactly this tree.
    ///
    /// # Errors
    /// It is not; the error lists the differences, seen from this tree.
    pub fn expect_same(&self, other: &Self) -> Result<()> {
        let lines = self.differences(other);
        ensure!(lines.is_empty(), "the trees differ:\n  {}", lines.join("\n  "));
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { "(itself)".to_owned() } else { path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    use rustix::fs::XattrFlags;

    fn sample(directory: &Path) {
        fs::create_dir(directory.join("dir")).unwrap();
        for name in ["plain", "dir/a", "dir/gone"] {
            fs::write(directory.join(name), name).unwrap();
        }
        fs::hard_link(directory.join("dir/a"), directory.join("dir/b")).unwrap();
        symlink("/nowhere", directory.join("link")).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        for name in ["plain", "dir/a", "dir/gone", "dir", ""] {
            fs::File::open(directory.join(name)).unwrap().set_modified(time).unwrap();
        }
        let link_time = rustix::fs::Timespec { tv_sec: 1_700_000_000, tv_nsec: 5 };
        let times = rustix::fs::Timestamps { last_access: link_time, last_modification: link_time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, directory.join("link"), &times, flags).unwrap();
    }

    fn two() -> (tempfile::TempDir, tempfile::TempDir) {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        sample(one.path());
        sample(two.path());
        (one, two)
    }

    #[test]
    fn two_trees_made_alike_are_the_same() {
        let (one, two) = two();
        Tree::of(one.path()).unwrap().expect_same(&Tree::of(two.path()).unwrap()).unwrap();
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        let (one, two) = two();
        let old = Tree::of(one.path()).unwrap();
        let at = |name: &str| two.path().join(name);
        fs::set_permissions(at("plain"), fs::Permissions::from_mode(0o4755)).unwrap();
        rustix::fs::setxattr(at("plain"), "user.note", b"\n", XattrFlags::empty()).unwrap();
        std::os::unix::fs::chown(at("dir"), Some(7), Some(8)).unwrap();
        fs::remove_file(at("dir/b")).unwrap();
        fs::copy(at("dir/a"), at("dir/b")).unwrap();
        fs::remove_file(at("dir/gone")).unwrap();
        fs::remove_file(at("link")).unwrap();
        symlink("/elsewhere", at("link")).unwrap();
        fs::write(at("new"), "").unwrap();

        let text = old.differences(&Tree::of(two.path()).unwrap()).join("\n");
        for expected in [
            "plain: mode 0644 -> 4755, xattrs [] -> [user.note=\\n]",
            "dir: owner 0:0 -> 7:8",
            "same file as \"dir/a\" -> \"dir/b\"",
            "dir/gone: gone",
            "link: is Link { target: \"/nowhere\" } -> Link { target: \"/elsewhere\" }",
            "new: new",
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }

    #[test]
    fn a_nanosecond_counts_and_directory_times_can_be_left_out() {
        let (one, two) = two();
        let later = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_790);
        fs::File::open(two.path().join("dir")).unwrap().set_modified(later).unwrap();
        let (one, two) = (Tree::of(one.path()).unwrap(), Tree::of(two.path()).unwrap());
        assert_eq!(one.differences(&two), ["dir: mtime 1700000000123456789 -> 1700000000123456790"]);
        one.clone().without(&["dir"]).expect_same(&two.clone().without(&["dir"])).unwrap();
        one.without_directory_times().expect_same(&two.without_directory_times()).unwrap();
    }
}
