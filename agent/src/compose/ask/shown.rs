//! What Compose is shown: the project's files, in which the image is another, as copies in a directory of our own.
//!
//! Flows in: a service and an image. Flows out: paths, locked against being swept away. Must never open anything but
//! regular files of a sane size: to open anything else may already do something.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde_json::json;

use super::super::{Service, Way};
use super::Asked;
use crate::durable;

/// No compose file comes near.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What is made before Compose is run.
pub(super) struct Shown {
    /// What it is shown.
    pub(super) files: Vec<PathBuf>,
    /// Where it runs.
    pub(super) cwd: PathBuf,
    /// Keeps the copies from being swept away meanwhile.
    _lock: std::fs::File,
}

/// Writes the copies to `dir`.
///
/// # Errors
/// [`Asked`]: a file is none that may be opened, or says nothing of the image.
pub(super) fn show(dir: &Path, service: &Service, image: &str, way: Way) -> Result<Shown, Asked> {
    for file in service.files.iter().chain(&service.env_file) {
        read(file)?;
    }
    durable::create_dir(dir).map_err(|error| Asked { detail: error.to_string() })?;
    let lock = std::fs::File::open(dir).map_err(|error| unreadable(dir, &error))?;
    flock(&lock, FlockOperation::NonBlockingLockShared).map_err(|error| unreadable(dir, &error.into()))?;
    let files = write_files(dir, service, image, way)?;
    Ok(Shown { files, cwd: existing(&service.dir).to_owned(), _lock: lock })
}

/// The files to be shown, written to `dir` as far as they are not the project's own.
fn write_files(dir: &Path, service: &Service, image: &str, way: Way) -> Result<Vec<PathBuf>, Asked> {
    let failed = |error: &dyn std::error::Error| Asked { detail: error.to_string() };
    let write = |name: String, text: &str| {
        let path = dir.join(name);
        durable::write(&path, text.as_bytes()).map(|()| path).map_err(|error| failed(&error))
    };
    match way {
        Way::OneMore => {
            // JSON is YAML.
            let text = json!({ "services": { service.name.as_str(): { "image": image } } }).to_string();
            let named = write("image.yml".to_owned(), &text)?;
            Ok(service.files.iter().cloned().chain([named]).collect())
        }
        Way::Edited => {
            let (mut files, mut edited) = (Vec::new(), 0);
            for (index, file) in service.files.iter().enumerate() {
                let (text, lines) = with_image(&read(file)?, &service.image, image);
                edited += lines;
                files.push(write(format!("{index}.yml"), &text)?);
            }
            match edited {
                0 => Err(Asked { detail: format!("no compose file has image {}", service.image) }),
                _ => Ok(files),
            }
        }
    }
}

/// A regular file of a sane size. To open anything else may already do something.
fn read(path: &Path) -> Result<String, Asked> {
    let failed = |error: std::io::Error| unreadable(path, &error);
    let name = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let name = std::fs::File::from(name.map_err(|error| failed(error.into()))?);
    let found = name.metadata().map_err(failed)?;
    if !found.is_file() || found.size() > FILE_BYTES_MAX {
        return Err(Asked {
            detail: format!("{} is no regular file of at most {FILE_BYTES_MAX} bytes", path.display()),
        });
    }
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let very_file = format!("/proc/self/fd/{}", name.as_raw_fd());
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(very_file).map_err(failed)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Asked {
    Asked { detail: format!("{} cannot be read: {error}", path.display()) }
}

/// Pure: the text with every `image: OLD` as `image: NEW`, and how many there were.
fn with_image(text: &str, old: &str, new: &str) -> (String, usize) {
    let mut lines = 0;
    let edit = |line: &str| {
        let Some((before, value)) = line.split_once("image:") else { return line.to_owned() };
        let is_key = before.chars().all(|c| c == ' ');
        let value = value.split(" #").next().unwrap_or(value).trim();
        let bare = value.trim_matches(|c| c == '"' || c == '\'');
        if is_key && bare == old {
            lines += 1;
            format!("{before}image: \"{new}\"")
        } else {
            line.to_owned()
        }
    };
    let edited: Vec<String> = text.lines().map(edit).collect();
    (edited.join("\n") + "\n", lines)
}

/// The project's directory may be gone; Compose says so better than we do.
fn existing(dir: &Path) -> &Path {
    if dir.is_dir() { dir } else { Path::new("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_edited_where_a_user_would() {
        let text =
            "services:\n  web:\n    image: 'a:1' # ours\n  db:\n    image: a:10\n    x: \"image: a:1\"\n";
        let edited = "services:\n  web:\n    image: \"a:2\"\n  db:\n    image: a:10\n    x: \"image: a:1\"\n";
        assert_eq!(with_image(text, "a:1", "a:2"), (edited.to_owned(), 1));
        assert_eq!(with_image("image: ${TAG}\n", "a:1", "a:2").1, 0);
    }
}
