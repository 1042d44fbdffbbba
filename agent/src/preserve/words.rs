//! What each kind of finding says: what happened, what comes of it, what to do.

use std::borrow::Cow;

use super::finding::FindingKind;
use super::{CONF_BYTES_MAX, ENTRIES_MAX};

/// One or two full sentences that follow the path in question.
pub(super) fn sentence(kind: &FindingKind) -> Cow<'static, str> {
    match kind {
        FindingKind::MoreFindings { count } => {
            format!("there are {count} more findings; settle those shown, then check again.").into()
        }
        FindingKind::Duplicate { first_line } => {
            format!("line {first_line} lists the same path; one of the two can go.").into()
        }
        FindingKind::AlreadyKept { by } => format!("it is kept as part of {by}; the line can go.").into(),
        FindingKind::KeptAndBackup { by } => format!(
            "{by} is kept, so the file stays as it is and no .backup copy is made; remove the \
             line of the one you do not want."
        )
        .into(),
        FindingKind::PartlyExcluded { excluded } => format!(
            "it is kept except {excluded}, which comes from the new image; list {excluded} too if \
             you want the old one."
        )
        .into(),
        FindingKind::InsideVolume { volume } => {
            format!("it is on the volume {volume}, whose data stays anyway; the line can go.").into()
        }
        FindingKind::TooLong => format!(
            "the file is larger than {} KiB and was read only so far: a container with it is not redeployed, \
             because what else it lists is not known; shorten it by listing directories instead of their files.",
            CONF_BYTES_MAX / 1024
        )
        .into(),
        FindingKind::TooManyEntries => format!(
            "this line and new paths after it are not kept, because {ENTRIES_MAX} paths are \
             listed before it; list directories instead of their files."
        )
        .into(),
        FindingKind::Relative => {
            "it does not begin with \"/\" and was taken from the root; write the full path.".into()
        }
        FindingKind::UnknownHome => {
            "it is not kept, because the home of the image's user is not known; write the full \
             path instead of ${home}."
                .into()
        }
        FindingKind::HomeIsRoot => {
            "it is not kept, because the home of the image's user is \"/\", where the image's own \
             files are; write the full path instead of ${home}."
                .into()
        }
        FindingKind::Variable => {
            "it is not kept, because only ${home} at the beginning of a path is understood; write \
             the path that is meant."
                .into()
        }
        FindingKind::Climbs => {
            "it is not kept, because it holds \"..\"; write the path that is meant.".into()
        }
        FindingKind::Nul => {
            "it is not kept, because it holds a NUL byte; save the file as plain text, one path a \
             line."
                .into()
        }
        FindingKind::PathTooLong => {
            "it is not kept, because it is longer than any path can be; put each path on a line \
             of its own."
                .into()
        }
        FindingKind::Root => {
            "the whole file system cannot be kept by a line; list what matters, or redeploy with \
             skipReinstall."
                .into()
        }
        FindingKind::EngineOwned => {
            "it is not kept, because the engine makes it anew for every container; remove the \
             line."
                .into()
        }
        FindingKind::BackupWithoutPath => {
            "no path follows \"backup:\"; write \"backup:/path/of/the/file\".".into()
        }
        FindingKind::LooksGlued => {
            "it was taken as one path, but looks like two in one line; put each on a line of its \
             own."
                .into()
        }
        FindingKind::LooksCommented => {
            "it was taken as one path; if a comment was meant, put it on a line of its own that \
             begins with \"#\"."
                .into()
        }
        FindingKind::Wildcard => {
            "it was taken literally, because wildcards are not understood; list the directory or \
             each file."
                .into()
        }
        FindingKind::Missing => {
            "there is nothing at this path, so nothing is kept; check the spelling and that two \
             paths were not joined into one line, or remove the line."
                .into()
        }
        FindingKind::BackupIsDirectory => {
            "no .backup copy is made, because it is a directory and \"backup:\" is for files; \
             list the directory without \"backup:\" to keep it, or the files in it."
                .into()
        }
        FindingKind::SpecialFile => {
            "it is not kept, because it is a socket, a pipe or a device; remove the line, the \
             program that uses it makes it anew."
                .into()
        }
        FindingKind::Symlink => {
            "it is a symbolic link: the link is taken, not what it points to; list that path as \
             well if its content matters."
                .into()
        }
    }
}
