//! The fake's directories: container roots and volumes as plain files, and what changed in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use super::super::{Change, ChangeKind};

/// Where `path`, absolute in the guest, lies under `root`. Only names count: no `..`, no root.
pub(super) fn inside(root: &Path, path: &str) -> PathBuf {
    let names = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    names.fold(root.to_owned(), |at, name| at.join(name))
}

/// Writes one file and the directories above it; a path that ends in `/` is a directory.
pub(super) fn put(root: &Path, path: &str, bytes: &[u8]) -> io::Result<()> {
    let at = inside(root, path);
    if path.ends_with('/') {
        return std::fs::create_dir_all(at);
    }
    if let Some(parent) = at.parent() {
        std::fs::create_dir_all(parent)?;
    }
    File::create(at)?.write_all(bytes)
}

/// Is the directory without entries (or not there)?
pub(super) fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}

/// Does this process hold a directory open that is `directory` or lies in it?
pub(super) fn is_held_open(directory: &Path) -> bool {
    let Ok(canonical) = directory.canonicalize() else { return false };
    let Ok(handles) = std::fs::read_dir("/proc/self/fd") else { return false };
    handles
        .filter_map(Result::ok)
        .filter_map(|handle| std::fs::read_link(handle.path()).ok())
        .any(|target| target.starts_with(&canonical))
}

/// The root compared with the image's files, in the engine's way: a changed entry makes the directories above
/// it modified, and only the topmost entry of a deleted tree is listed.
pub(super) fn changes(root: &Path, image: &[(String, Vec<u8>)]) -> Vec<Change> {
    let shipped = entries_of(image);
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1).into_iter().filter_map(Result::ok) {
        let Ok(relative) = entry.path().strip_prefix(root) else { continue };
        let path = Path::new("/").join(relative);
        let kind = match shipped.get(&path) {
            None => Some(ChangeKind::Added),
            Some(Some(bytes)) if std::fs::read(entry.path()).ok().as_ref() != Some(bytes) => {
                Some(ChangeKind::Modified)
            }
            Some(_) => None,
        };
        if let Some(kind) = kind {
            note(&mut found, &shipped, path, kind);
        }
    }
    for path in shipped.keys() {
        let is_gone = |path: &Path| inside(root, &path.to_string_lossy()).symlink_metadata().is_err();
        let below_gone = path.parent().is_some_and(|parent| parent != Path::new("/") && is_gone(parent));
        if is_gone(path) && !below_gone {
            note(&mut found, &shipped, path.clone(), ChangeKind::Deleted);
        }
    }
    found.into_iter().map(|(path, kind)| Change { path: path.to_string_lossy().into_owned(), kind }).collect()
}

/// Bytes of the files that the image does not have, or has otherwise.
pub(super) fn changed_bytes(root: &Path, image: &[(String, Vec<u8>)]) -> u64 {
    let there = |change: Change| std::fs::symlink_metadata(inside(root, &change.path)).ok();
    let files = changes(root, image).into_iter().filter_map(there).filter(std::fs::Metadata::is_file);
    files.map(|file| file.len()).sum()
}

/// Every path an image has: files with their bytes, directories without.
fn entries_of(image: &[(String, Vec<u8>)]) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut entries = BTreeMap::new();
    for (path, bytes) in image {
        let at = inside(Path::new("/"), path);
        for above in at.ancestors().skip(1).filter(|above| *above != Path::new("/")) {
            entries.entry(above.to_owned()).or_insert(None);
        }
        let contents = (!path.ends_with('/')).then(|| bytes.clone());
        entries.insert(at, contents);
    }
    entries
}

fn note(
    found: &mut BTreeMap<PathBuf, ChangeKind>,
    shipped: &BTreeMap<PathBuf, Option<Vec<u8>>>,
    path: PathBuf,
    kind: ChangeKind,
) {
    for above in path.ancestors().skip(1).filter(|above| shipped.contains_key(*above)) {
        found.entry(above.to_owned()).or_insert(ChangeKind::Modified);
    }
    found.insert(path, kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_never_leave_the_root() {
        assert_eq!(inside(Path::new("/r"), "/../../etc/./x"), Path::new("/r/etc/x"));
    }

    #[test]
    fn changes_are_listed_as_the_engine_does() {
        let dir = tempfile::tempdir().unwrap();
        let image = [("/etc/a".to_owned(), b"1".to_vec()), ("/etc/b".to_owned(), b"2".to_vec())];
        for (path, bytes) in &image {
            put(dir.path(), path, bytes).unwrap();
        }
        assert_eq!(changes(dir.path(), &image), []);
        put(dir.path(), "/etc/a", b"other").unwrap();
        put(dir.path(), "/new/c", b"3").unwrap();
        std::fs::remove_file(dir.path().join("etc/b")).unwrap();
        let listed: Vec<(String, ChangeKind)> =
            changes(dir.path(), &image).into_iter().map(|change| (change.path, change.kind)).collect();
        let is = |path: &str, kind| (path.to_owned(), kind);
        let expected = [
            is("/etc", ChangeKind::Modified),
            is("/etc/a", ChangeKind::Modified),
            is("/etc/b", ChangeKind::Deleted),
            is("/new", ChangeKind::Added),
            is("/new/c", ChangeKind::Added),
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn an_open_directory_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_held_open(dir.path()));
        let handle = File::open(dir.path()).unwrap();
        assert!(is_held_open(dir.path()));
        drop(handle);
        assert!(!is_held_open(dir.path()));
    }
}
