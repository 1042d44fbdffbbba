//! The old file system under the new image's files.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::tree::*;
use crate::archive::{Applied, ApplyMode, Capture, ImageNames, RoundKind, Watch, apply};

struct Both {
    bench: Bench,
    mode: ApplyMode,
}

impl Both {
    fn new(bench: Bench) -> Self {
        let names = bench.archives().join("image-names");
        let mode = ApplyMode::Underlay(ImageNames::scan(&bench.new_handle(), &names, &Watch::new()).unwrap());
        Self { bench, mode }
    }

    fn apply(&self, capture: &Capture, number: u32) -> Applied {
        let to = self.bench.new_handle();
        apply(&self.bench.archives(), capture.line(), number, &to, &self.mode, &Watch::new()).unwrap()
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.bench.new_root().join(name)).ok()
    }
}

#[test]
fn the_images_files_win_and_the_users_fill_in_around_them() {
    let bench = Bench::new();
    for name in ["etc/both", "etc/mine", "etc/gone-later", "opt/mine/file", "blocked/by-a-file", "zz"] {
        put(&bench.old(), name, "old");
    }
    put(&bench.new_root(), "etc/both", "image");
    put(&bench.new_root(), "etc/image", "image");
    put(&bench.new_root(), "blocked", "a file in the image");
    chmod(&bench.new_root().join("etc"), 0o700);
    set_mtime(&bench.new_root().join("etc"), 1234, 5);
    for n in 0..600 {
        put(&bench.new_root(), &format!("many/{n}"), "image");
        put(&bench.old(), &format!("many/{}", n + 300), "old");
    }
    let both = Both::new(bench);
    let mut capture = both.bench.begin(everything());
    both.bench.round(&mut capture, RoundKind::Live);
    both.apply(&capture, 1);
    assert_eq!(both.read("etc/both").as_deref(), Some("image"));
    assert_eq!(both.read("etc/mine").as_deref(), Some("old"));
    assert_eq!(both.read("blocked").as_deref(), Some("a file in the image"));
    assert_eq!(
        (both.read("many/599").as_deref(), both.read("many/600").as_deref()),
        (Some("image"), Some("old"))
    );
    let etc = fs::metadata(both.bench.new_root().join("etc")).unwrap();
    assert_eq!((etc.mode() & 0o777, etc.mtime(), etc.mtime_nsec()), (0o700, 1234, 5));
    // What the user deletes later goes, unless the image has it too.
    for name in ["etc/gone-later", "etc/both"] {
        fs::remove_file(both.bench.old().join(name)).unwrap();
    }
    put(&both.bench.old(), "etc/mine", "changed");
    both.bench.round(&mut capture, RoundKind::Final);
    let applied = both.apply(&capture, 2);
    assert_eq!(applied.deleted, 1, "{applied:?}");
    assert_eq!(both.read("etc/both").as_deref(), Some("image"));
    assert_eq!((both.read("etc/mine").as_deref(), both.read("etc/gone-later")), (Some("changed"), None));
    let etc = fs::metadata(both.bench.new_root().join("etc")).unwrap();
    assert_eq!((etc.mtime(), etc.mtime_nsec()), (1234, 5));
}

#[test]
fn directories_that_are_links_in_the_image_are_filled_where_they_lead() {
    let bench = Bench::new();
    for name in ["bin/sh", "bin/mine", "bin/sub/mine", "bin/doomed"] {
        put(&bench.old(), name, "old");
    }
    put(&bench.new_root(), "usr/bin/sh", "image");
    symlink("usr/bin", bench.new_root().join("bin")).unwrap();
    let both = Both::new(bench);
    let mut capture = both.bench.begin(everything());
    both.bench.round(&mut capture, RoundKind::Live);
    both.apply(&capture, 1);
    assert_eq!(both.read("usr/bin/sh").as_deref(), Some("image"));
    assert_eq!(both.read("usr/bin/mine").as_deref(), Some("old"));
    assert_eq!(both.read("usr/bin/sub/mine").as_deref(), Some("old"));
    fs::remove_file(both.bench.old().join("bin/doomed")).unwrap();
    fs::remove_file(both.bench.old().join("bin/sh")).unwrap();
    put(&both.bench.old(), "bin/mine", "changed");
    both.bench.round(&mut capture, RoundKind::Final);
    both.apply(&capture, 2);
    assert_eq!(both.read("usr/bin/sh").as_deref(), Some("image"));
    assert_eq!((both.read("usr/bin/mine").as_deref(), both.read("usr/bin/doomed")), (Some("changed"), None));
}

#[test]
fn other_names_of_a_file_that_gave_way_keep_their_own_contents() {
    let bench = Bench::new();
    put(&bench.old(), "a", "old");
    for name in ["b", "c", "d"] {
        fs::hard_link(bench.old().join("a"), bench.old().join(name)).unwrap();
    }
    put(&bench.new_root(), "a", "image");
    put(&bench.new_root(), "c", "image");
    let both = Both::new(bench);
    let mut capture = both.bench.begin(everything());
    both.bench.round(&mut capture, RoundKind::Final);
    both.apply(&capture, 1);
    let got: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| both.read(name).unwrap()).collect();
    assert_eq!(got, ["image", "old", "image", "old"]);
    let inode = |name: &str| fs::metadata(both.bench.new_root().join(name)).unwrap().ino();
    assert_eq!(inode("b"), inode("d"));
}
