//! The lists that hold for every container, whatever its redeploy.conf says.
//!
//! Flows in: `defaults.toml`, embedded, or the agent's configuration. Flows out: three lists of paths.

use serde::{Deserialize, Serialize};

use crate::guest_path::GuestPath;

/// What is kept, left to the image, or left to the engine without anybody listing it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Kept when they exist.
    pub keep: Vec<GuestPath>,
    /// Image-owned even inside a kept directory, unless a line lists them.
    pub exclude: Vec<GuestPath>,
    /// Made by the engine for every container; they and what is below them can never be kept.
    pub engine_owned: Vec<GuestPath>,
}

impl Defaults {
    /// The lists this program was built with.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the file is part of the program, and a test parses it")]
    pub fn built_in() -> Self {
        toml::from_str(include_str!("defaults.toml")).expect("the embedded default lists are valid")
    }

    /// Does the engine make this path, or one it is in?
    #[must_use]
    pub fn is_engine_owned(&self, path: &GuestPath) -> bool {
        self.engine_owned.iter().any(|owned| path.is_within(owned))
    }
}
