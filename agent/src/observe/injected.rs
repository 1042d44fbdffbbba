//! Files that Compose puts into a container between its creation and its first start: configs with a content of their own,
//! secrets from the environment. They are neither in the image nor mounted, and nobody puts them into a new container but
//! Compose.
//!
//! Flows in: a container, what was added to its root. Flows out: paths that may be such files. Pure.

use crate::docker::{Change, ChangeKind, Container, Image};
use crate::guest_path::GuestPath;
use crate::plan::compose_project;

/// Where secrets go, unless the compose file names another place.
const SECRETS: &str = "/run/secrets";

/// What may have been put into a container of Compose: what was added among the secrets, and in the root directory itself,
/// where configs go unless the compose file names another place.
pub(super) fn paths(container: &Container, image: Option<&Image>, changes: &[Change]) -> Vec<GuestPath> {
    let (Some(_), Ok(secrets)) = (compose_project(container, image), GuestPath::new(SECRETS)) else {
        return Vec::new();
    };
    let added = changes.iter().filter(|change| change.kind == ChangeKind::Added);
    let paths = added.filter_map(|change| GuestPath::new(&change.path).ok());
    paths.filter(|path| path.is_within(&secrets) || path.names().count() == 1).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_added_where_compose_puts_things_and_only_in_its_containers() {
        let container = |labels| Container::new(json!({ "Config": { "Labels": labels } }));
        let change = |path: &str, kind| Change { path: path.into(), kind };
        let changes = [
            change("/motd", ChangeKind::Added),
            change("/run/secrets/key", ChangeKind::Added),
            change("/run/secrets-not/key", ChangeKind::Added),
            change("/etc/app.conf", ChangeKind::Added),
            change("/entry", ChangeKind::Modified),
            change("/gone", ChangeKind::Deleted),
        ];
        let found = |labels| {
            let found = paths(&container(labels), None, &changes);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found(json!({ "com.docker.compose.project": "shop" })), ["/motd", "/run/secrets/key"]);
        assert_eq!(found(json!({})), [""; 0]);
    }
}
