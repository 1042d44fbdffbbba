//! Every name the agent gives to something on a host, in one place.

use redeploy_proto::RedeployId;

/// On every container the agent creates: the id of the redeploy that made it.
pub const REDEPLOY_LABEL: &str = "io.redeploy.id";

/// On every container the agent creates: the image as the operator wrote it.
pub const ORIGIN_LABEL: &str = "io.redeploy.image";

/// On a container of ours that is not simply the next one: what it was made for.
pub const MADE_LABEL: &str = "io.redeploy.made";

/// The archive of the preserved paths.
pub const STEM_PATHS: &str = "paths";

/// The archive of `/var/lib/jelastic`.
pub const STEM_JELASTIC: &str = "jelastic";

/// The archive of the whole root (`skipReinstall`).
pub const STEM_ROOT: &str = "root";

/// Names of containers and volumes that belong to one redeploy of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    node: String,
    short: String,
}

impl Names {
    /// The names for redeploy `id` of `node`.
    #[must_use]
    pub fn new(node: &str, id: RedeployId) -> Self {
        Self { node: node.to_owned(), short: id.short() }
    }

    /// The new container until the swap.
    #[must_use]
    pub fn temporary(&self) -> String {
        format!("{}.new-{}", self.node, self.short)
    }

    /// The old container after the swap. Made from the node's name, so parked names never nest.
    #[must_use]
    pub fn parked(&self) -> String {
        format!("{}.parked-{}", self.node, self.short)
    }

    /// The old container when the engine could not remove it wholly, and its stand-in needs its name.
    #[must_use]
    pub fn dead(&self) -> String {
        format!("{}.dead-{}", self.node, self.short)
    }

    /// The old container made anew, until it is whole.
    #[must_use]
    pub fn anew(&self) -> String {
        format!("{}.anew-{}", self.node, self.short)
    }

    /// The stand-in of the old container, once it is whole, until the old one is gone.
    #[must_use]
    pub fn stand_in(&self) -> String {
        format!("{}.stand-in-{}", self.node, self.short)
    }

    /// The same until its copy is whole.
    #[must_use]
    pub fn half_stand_in(&self) -> String {
        format!("{}.stand-in-half-{}", self.node, self.short)
    }

    /// The `index`th volume made because the old data is given up.
    #[must_use]
    pub fn fresh_volume(&self, index: usize) -> String {
        format!("{}.volume-{}-{index}", self.node, self.short)
    }
}

/// The archive of a volume or bind mount, from what it is called: safe as a file name, and unique by `index`.
#[must_use]
pub fn volume_stem(index: usize, name: &str) -> String {
    let safe = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' });
    let safe: String = safe.take(64).collect();
    format!("volume-{index}-{}", safe.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_from_the_node_and_the_id() {
        let names = Names::new("web", "0193a1b2-7c00-7000-8000-0123456789ab".parse().unwrap());
        assert_eq!(names.temporary(), "web.new-456789ab");
        assert_eq!(names.parked(), "web.parked-456789ab");
        assert_eq!(names.fresh_volume(2), "web.volume-456789ab-2");
    }

    #[test]
    fn a_stem_is_a_plain_file_name_whatever_the_volume_is_called() {
        assert_eq!(volume_stem(0, "pg data/../x"), "volume-0-pg_data_.._x");
        assert_eq!(volume_stem(3, &"a".repeat(200)).len(), "volume-3-".len() + 64);
    }
}
