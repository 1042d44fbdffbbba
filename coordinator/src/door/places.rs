//! Places, of which no address gets more than its share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many places. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Places {
    max: usize,
    each: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// One place, until it is dropped.
pub(super) struct Place {
    owner: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(super) fn new(max: usize, each: usize) -> Self {
        Self { max, each, taken: Arc::default() }
    }

    /// One address never has more than half of them.
    pub(super) fn halved(max: usize) -> Self {
        Self::new(max, max.div_ceil(2))
    }

    /// A place, if there is one for this address.
    pub(super) fn take(&self, owner: IpAddr) -> Option<Place> {
        let mut taken = lock(&self.taken);
        let its = taken.by.get(&owner).copied().unwrap_or(0);
        if taken.all >= self.max || its >= self.each {
            return None;
        }
        taken.all += 1;
        taken.by.insert(owner, its + 1);
        Some(Place { owner, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        if let Some(its) = taken.by.get_mut(&self.owner) {
            *its -= 1;
            if *its == 0 {
                taken.by.remove(&self.owner);
            }
        }
    }
}

/// Nothing in here can panic half way.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_never_takes_all_and_what_is_given_back_is_free() {
        let places = Places::halved(4);
        let [here, there]: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let first = places.take(here).unwrap();
        let _second = places.take(here).unwrap();
        assert!(places.take(here).is_none(), "half is enough");
        let _others = [places.take(there).unwrap(), places.take(there).unwrap()];
        assert!(places.take("10.0.0.3".parse().unwrap()).is_none(), "all are taken");
        drop(first);
        assert!(places.take(here).is_some());
        assert!(lock(&places.taken).by.len() <= 2);
    }
}
