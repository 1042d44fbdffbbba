//! What agents told about orders, only to be shown: how far they are, what their preflights found.
//!
//! Flows in: words of hosts about orders. Flows out: the newest of each. Must never grow without limit, whatever a host
//! tells about orders that it was never given.

use std::collections::{HashMap, VecDeque};

use redeploy_proto::{RedeployId, v1};

use crate::ids::HostId;
use crate::sessions::CONTAINERS_MAX;

/// Orders of one host of which something is kept: each of its containers may be at work.
const ORDERS_PER_HOST_MAX: usize = CONTAINERS_MAX as usize;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Told {
    orders: HashMap<RedeployId, Order>,
    /// The orders of each host, in the order in which they were first told of.
    of_host: HashMap<HostId, VecDeque<RedeployId>>,
}

#[derive(Debug)]
struct Order {
    host: HostId,
    progress: Option<v1::Progress>,
    preflight: Option<v1::Preflight>,
}

impl Told {
    pub(super) fn progress(&mut self, host: &HostId, id: RedeployId, progress: v1::Progress) {
        if let Some(order) = self.place(host, id) {
            order.progress = Some(progress);
        }
    }

    pub(super) fn preflight(&mut self, host: &HostId, id: RedeployId, preflight: v1::Preflight) {
        if let Some(order) = self.place(host, id) {
            order.preflight = Some(preflight);
        }
    }

    pub(super) fn progress_of(&self, id: RedeployId) -> Option<v1::Progress> {
        self.orders.get(&id).and_then(|order| order.progress.clone())
    }

    pub(super) fn preflight_of(&self, id: RedeployId) -> Option<v1::Preflight> {
        self.orders.get(&id).and_then(|order| order.preflight.clone())
    }

    pub(super) fn forget(&mut self, id: RedeployId) {
        let Some(order) = self.orders.remove(&id) else { return };
        if let Some(ids) = self.of_host.get_mut(&order.host) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.of_host.remove(&order.host);
            }
        }
    }

    /// Where something about an order is kept; the host's oldest makes room. `None`: it is another host's.
    fn place(&mut self, host: &HostId, id: RedeployId) -> Option<&mut Order> {
        if !self.orders.contains_key(&id) {
            let ids = self.of_host.entry(host.clone()).or_default();
            if ids.len() >= ORDERS_PER_HOST_MAX
                && let Some(oldest) = ids.pop_front()
            {
                self.orders.remove(&oldest);
            }
            ids.push_back(id);
            self.orders.insert(id, Order { host: host.clone(), progress: None, preflight: None });
        }
        self.orders.get_mut(&id).filter(|order| order.host == *host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_tells_of_orders_without_end_costs_no_more_and_hides_nobody_elses() {
        let [honest, other] = ["h1", "h2"].map(|host| host.parse::<HostId>().unwrap());
        let mut told = Told::default();
        let known = RedeployId::generate();
        let word = |step: &str| v1::Progress { step: step.to_owned(), ..v1::Progress::default() };
        told.progress(&honest, known, word("capture"));
        for _ in 0..10 * ORDERS_PER_HOST_MAX {
            told.progress(&other, RedeployId::generate(), word("nonsense"));
            told.preflight(&other, RedeployId::generate(), v1::Preflight::default());
        }
        assert!(told.orders.len() <= ORDERS_PER_HOST_MAX + 1, "{}", told.orders.len());
        told.progress(&other, known, word("not mine"));
        assert_eq!(told.progress_of(known).unwrap().step, "capture");
        told.forget(known);
        assert!(told.progress_of(known).is_none() && !told.of_host.contains_key(&honest));
    }
}
