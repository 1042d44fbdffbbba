//! Containers that lean on the one that is replaced: they hold its id, which dies with it. Each is made anew from its
//! own image with its whole file system carried over, in the same saga, forwards and back. Pure.

use jiff::Timestamp;

use super::archives::mount_targets;
use super::make;
use super::{ArchivePlan, Backup, Coverage, Ground, Into, Plan, Request, STEM_ROOT, Source, Space};
use crate::archive::Selection;
use crate::guest_path::GuestPath;
use crate::observe::Observed;
use crate::recreate::{self, Dependent, DependentKind, RecreateError};

/// Those that must be made anew: the engine stores the id of what they live in or are linked to. One that only
/// mounts the same volumes goes on with them.
#[must_use]
pub fn carried(dependents: Vec<Dependent>) -> Vec<Dependent> {
    let mut carried: Vec<Dependent> = Vec::new();
    for dependent in dependents {
        let needs = match dependent.kind {
            DependentKind::Network | DependentKind::Ipc | DependentKind::Pid | DependentKind::Link => true,
            DependentKind::VolumesFrom => false,
        };
        if needs && carried.iter().all(|known| known.id != dependent.id) {
            carried.push(dependent);
        }
    }
    carried
}

/// What is archived of a dependent: all of its root but what the engine owns and what is mounted.
#[must_use]
pub fn dependent_archives(observed: &Observed) -> Vec<ArchivePlan> {
    if observed.inside.read_only {
        return Vec::new();
    }
    let mut exclude = observed.inside.engine_owned.clone();
    exclude.extend(mount_targets(&observed.container));
    exclude.sort();
    exclude.dedup();
    let selection = Selection { include: vec![GuestPath::root()], exclude };
    let source = Source::Root { into: Into::Replace };
    vec![ArchivePlan { stem: STEM_ROOT.to_owned(), source, selection }]
}

/// The plan of one dependent of `primary`.
///
/// # Errors
/// [`RecreateError`]: it cannot be recreated.
pub fn make_dependent(
    primary: &Plan,
    now: Timestamp,
    ground: Ground<'_>,
    archives: Vec<ArchivePlan>,
    space: Space,
) -> Result<Plan, RecreateError> {
    let request = Request {
        container: ground.observed.container.name().to_owned(),
        image: ground.observed.container.image_reference().to_owned(),
        use_existing_volumes: true,
        skip_reinstall: false,
        archive_binds: false,
        verify_timeout: primary.verify.timeout(),
        probe: None,
    };
    let mut plan = make::make(primary.id, now, ground, &request, archives, space)?;
    plan.backups = Vec::<Backup>::new();
    plan.coverage = Coverage::default();
    plan.preserve = crate::preserve::PreserveList::nothing();
    if let super::Incoming::New(new) = &mut plan.incoming {
        recreate::lean_on(&mut new.recreation, &primary.node, primary.incoming.name_before_swap());
    }
    Ok(plan)
}
