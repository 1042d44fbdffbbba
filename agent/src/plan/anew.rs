//! How the outgoing container would be made anew, should it be gone when it is to come back: the same settings, its
//! own image, its own volumes. Pure.

use redeploy_proto::RedeployId;

use super::make;
use super::{Anew, MADE_LABEL, Names, Request};
use crate::image::Fetched;
use crate::observe::Observed;
use crate::recreate::Recreation;

/// On a container that stands for one that somebody removed.
pub const MADE_ANEW: &str = "anew";

/// How to make the observed container anew from `own`, its own image; `None` if that cannot be done.
#[must_use]
pub fn make_anew(id: RedeployId, observed: &Observed, own: &Fetched) -> Option<Box<Anew>> {
    let names = Names::new(observed.container.name(), id);
    let recreation = own_recreation(id, observed, own, &names, MADE_ANEW)?;
    Some(Box::new(Anew { temporary_name: names.anew(), recreation }))
}

/// The create body of the observed container itself, marked as made by us for this purpose.
fn own_recreation(
    id: RedeployId,
    observed: &Observed,
    own: &Fetched,
    names: &Names,
    made: &str,
) -> Option<Recreation> {
    let request = Request {
        container: observed.container.name().to_owned(),
        image: observed.container.image_reference().to_owned(),
        use_existing_volumes: true,
        skip_reinstall: false,
        archive_binds: false,
        verify_timeout: std::time::Duration::ZERO,
        probe: None,
    };
    // What speaks against making it anew was told when its successor was planned.
    let (mut recreation, _) = make::recreation(id, observed, own, &request, names).ok()?;
    recreation.body["Labels"][MADE_LABEL] = serde_json::Value::String(made.to_owned());
    recreation.sources.clear();
    recreation.findings.clear();
    Some(recreation)
}
