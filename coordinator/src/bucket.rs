//! How often something may happen: so many times at once, then at a steady pace, for each key by itself.
//!
//! Flows in: a key, the time. Flows out: yes, or how long to wait. Must never remember more than a bounded number of
//! keys, nor take a caller's word for who it is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Keys that are remembered at once. Those whose bucket is full again are forgotten before.
const KEYS_MAX: usize = 65_536;

/// The key of the gRPC retry design under which a caller is told when to come again, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run. At least 1.
    pub per_second: u32,
    /// At once, after a pause. At least 1.
    pub burst: u32,
}

/// Not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

/// One bucket: the time at which it is full again is all there is to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    full_at: Instant,
}

/// A bucket for each key.
pub(crate) struct Buckets<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

// === impl Bucket ===

impl Bucket {
    /// A full one.
    pub(crate) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Wait> {
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        let filled_at = self.full_at.max(now) + each;
        let empty_for = filled_at.duration_since(now).saturating_sub(each * rate.burst.max(1));
        if empty_for.is_zero() {
            self.full_at = filled_at;
            Ok(())
        } else {
            Err(Wait(empty_for))
        }
    }
}

// === impl Buckets ===

impl<K: Eq + Hash> Buckets<K> {
    /// All full.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes one out of the key's bucket.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Wait> {
        // Nothing in here can panic half way.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEYS_MAX {
            buckets.retain(|_, bucket| bucket.full_at > now);
        }
        let is_crowded = buckets.len() >= KEYS_MAX;
        match buckets.entry(key) {
            Entry::Occupied(known) => known.into_mut().take(self.rate, now),
            // More strangers at once than can be told apart: all of them wait.
            Entry::Vacant(_) if is_crowded => Err(Wait(Duration::from_secs(1))),
            Entry::Vacant(vacant) => vacant.insert(Bucket::new(now)).take(self.rate, now),
        }
    }
}

/// The part of an address that one owner has: all of IPv4, the network half of IPv6.
pub(crate) fn owner_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// The answer to a caller who is to come again later.
pub(crate) fn exhausted(what: &str, Wait(wait): Wait) -> Status {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut status = Status::new(Code::ResourceExhausted, format!("{what}: try again in {ms} ms"));
    status.metadata_mut().insert(PUSHBACK, MetadataValue::from(ms));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[test]
    fn a_burst_is_let_through_then_the_pace_counts() {
        let (buckets, start) = (Buckets::new(RATE), Instant::now());
        for _ in 0..3 {
            assert_eq!(buckets.take("a", start), Ok(()));
        }
        assert_eq!(buckets.take("a", start), Err(Wait(Duration::from_millis(100))));
        assert_eq!(buckets.take("b", start), Ok(()), "each key has its own");
        // Who asks too early loses nothing by it.
        let later = start + Duration::from_millis(60);
        assert_eq!(buckets.take("a", later), Err(Wait(Duration::from_millis(40))));
        assert_eq!(buckets.take("a", start + Duration::from_millis(100)), Ok(()));
        assert_eq!(
            buckets.take("a", start + Duration::from_millis(100)),
            Err(Wait(Duration::from_millis(100)))
        );
        let rested = start + Duration::from_secs(9);
        assert_eq!(
            (0..9).filter(|_| buckets.take("a", rested).is_ok()).count(),
            3,
            "never more than a burst"
        );
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_those_at_rest_make_room() {
        let (buckets, start) = (Buckets::new(RATE), Instant::now());
        for key in 0..KEYS_MAX {
            assert_eq!(buckets.take(key, start), Ok(()));
        }
        assert!(buckets.take(KEYS_MAX, start).is_err());
        assert_eq!(buckets.take(0, start), Ok(()), "who is known is served");
        assert_eq!(buckets.take(KEYS_MAX, start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn an_owner_of_an_ipv6_network_is_one_owner() {
        let of = |text: &str| owner_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
