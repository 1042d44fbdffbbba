//! What is open between `capture` and `settle`: archives being packed and directory handles. Nothing in here is needed
//! after a crash.
//!
//! Closing the last handle on a root takes the kernel as long as it has pages of it to forget: seconds for many GiB
//! where the root is a file system of its own (fuse-overlayfs). So that is done on another thread, and nobody waits for
//! the old root's while nothing serves. Must never leave a handle on a root whose container is about to be started.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;

use super::output::PackedArchive;
use crate::archive::{Capture, ImageNames};
use crate::docker::Hold;
use crate::rootfs::Root;

/// An archive being packed.
pub(super) struct OpenArchive {
    pub(super) capture: Capture,
    pub(super) root: Root,
    pub(super) packed: PackedArchive,
}

/// The stand-in of a container that removes itself, being filled.
pub(super) struct Filling {
    /// Of the whole old root.
    pub(super) archive: OpenArchive,
    /// The stand-in's.
    pub(super) to: Root,
}

/// See the module.
#[derive(Default)]
pub(super) struct Open {
    pub(super) archives: BTreeMap<String, OpenArchive>,
    pub(super) old_root: Option<Root>,
    pub(super) new_root: Option<Root>,
    pub(super) image_names: Option<ImageNames>,
    pub(super) stand_in: Option<Filling>,
    /// Let go last: then the engine removes the root that all of the above is about.
    pub(super) hold: Option<Box<dyn Hold>>,
    closing: Closing,
}

/// Roots that are being closed.
#[derive(Default)]
struct Closing(Vec<JoinHandle<()>>);

impl Open {
    /// Closes everything, and returns once it is closed.
    pub(super) async fn close(&mut self) {
        self.close_old_root_beside();
        self.close_new_root().await;
        let Self { closing, .. } = std::mem::take(self);
        closing.wait().await;
    }

    /// Lets go of the old root without waiting for it: the next to start is the new container. Whoever may start the
    /// old one closes everything before.
    pub(super) fn close_old_root_beside(&mut self) {
        self.closing.begin(self.old_root.take());
    }

    /// Lets go of the new root, and returns once it is closed.
    pub(super) async fn close_new_root(&mut self) {
        let mut closing = Closing::default();
        closing.begin(self.new_root.take());
        closing.wait().await;
    }
}

impl Closing {
    fn begin(&mut self, root: Option<Root>) {
        self.0.extend(root.map(|root| tokio::task::spawn_blocking(move || drop(root))));
    }

    async fn wait(self) {
        for closing in self.0 {
            if let Err(error) = closing.await {
                tracing::warn!(%error, "a root was not closed as it should");
            }
        }
    }
}
