//! Handshakes of those who dial us, as long as they are under way.
//!
//! Anybody can begin one, so their number is bounded; and since whoever begins one may leave it
//! unfinished, a newcomer is not turned away when there are too many: the oldest goes, of the
//! address that has most. An honest caller needs a round trip or two; who wants to keep it out
//! has to begin enough handshakes in that time, each from an address at which it gets answers.
//!
//! Addresses that nobody has shown to be their own are no reason to push anybody out: those
//! handshakes are few, and counted apart, and who comes when they are taken has to show that.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::{MAX_HANDSHAKES, MAX_HANDSHAKES_OF_ADDRESS, MAX_UNVALIDATED_HANDSHAKES};

/// All handshakes under way.
#[derive(Debug, Default)]
pub(super) struct Knocks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// In the order in which they began.
    under_way: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Whose it is, if the address was shown to be the caller's own.
    from: Option<u64>,
    /// Dropped to push it out.
    _stays: oneshot::Sender<()>,
}

/// One handshake. Dropping it makes room.
#[derive(Debug)]
pub(super) struct Knock {
    knocks: Arc<Knocks>,
    id: u64,
    pushed_out: oneshot::Receiver<()>,
}

impl Knocks {
    /// Room for a handshake; `None` if the caller has to show first that its address is its own.
    pub(super) fn enter(self: &Arc<Knocks>, from: IpAddr, validated: bool) -> Option<Knock> {
        let from = validated.then(|| network_of(from));
        let mut state = self.state();
        match from {
            None if state.of(None) >= MAX_UNVALIDATED_HANDSHAKES => return None,
            None => {}
            Some(_) => state.make_room(from),
        }
        let id = state.next;
        state.next += 1;
        let (stays, pushed_out) = oneshot::channel();
        state.under_way.insert(id, Waiting { from, _stays: stays });
        Some(Knock { knocks: Arc::clone(self), id, pushed_out })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&self, from: Option<u64>) -> usize {
        self.under_way.values().filter(|waiting| waiting.from == from).count()
    }

    /// Pushes out the oldest of an address that has its share, or, if all room is taken, of the
    /// one that has most.
    fn make_room(&mut self, from: Option<u64>) {
        let validated = self.under_way.len() - self.of(None);
        let crowd = match self.of(from) >= MAX_HANDSHAKES_OF_ADDRESS {
            true => from,
            false if validated >= MAX_HANDSHAKES => self.largest(),
            false => return,
        };
        let oldest = self.under_way.iter().find(|(_, waiting)| waiting.from == crowd);
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.under_way.remove(&id);
        }
    }

    fn largest(&self) -> Option<u64> {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for from in self.under_way.values().filter_map(|waiting| waiting.from) {
            *counts.entry(from).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(from, _)| from)
    }
}

impl Knock {
    /// Returns when this handshake has to make room for another.
    pub(super) async fn pushed_out(&mut self) {
        let _ = (&mut self.pushed_out).await;
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        self.knocks.state().under_way.remove(&self.id);
    }
}

/// What an address is counted by: whoever has one of IPv6 has 2^64.
fn network_of(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ip(n: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, n).into()
    }

    fn is_pushed_out(knock: &mut Knock) -> bool {
        knock.pushed_out.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn of_one_address_the_oldest_makes_room() {
        let knocks = Arc::new(Knocks::default());
        let mut first = knocks.enter(ip(1), true).unwrap();
        let mut rest: Vec<Knock> =
            (1..MAX_HANDSHAKES_OF_ADDRESS).map(|_| knocks.enter(ip(1), true).unwrap()).collect();
        let mut other = knocks.enter(ip(2), true).unwrap();
        assert!(!is_pushed_out(&mut first));
        rest.push(knocks.enter(ip(1), true).unwrap());
        assert!(is_pushed_out(&mut first) && !is_pushed_out(&mut other));
        assert!(!rest.iter_mut().any(is_pushed_out));
    }

    #[test]
    fn when_all_room_is_taken_the_largest_crowd_makes_some() {
        let knocks = Arc::new(Knocks::default());
        let mut quiet = knocks.enter(ip(200), true).unwrap();
        let mut crowd = Vec::new();
        for n in 0..MAX_HANDSHAKES as u8 - 1 {
            crowd.push(knocks.enter(ip(n / 10), true).unwrap());
        }
        let mut last = knocks.enter(ip(201), true).unwrap();
        assert_eq!(crowd.iter_mut().filter_map(|k| is_pushed_out(k).then_some(())).count(), 1);
        assert!(!is_pushed_out(&mut quiet) && !is_pushed_out(&mut last));
        drop((quiet, crowd, last));
        assert!(knocks.state().under_way.is_empty());
    }

    #[test]
    fn forged_addresses_push_nobody_out() {
        let knocks = Arc::new(Knocks::default());
        let mut shown = knocks.enter(ip(1), true).unwrap();
        let forged: Vec<Option<Knock>> = (0..100).map(|_| knocks.enter(ip(1), false)).collect();
        assert_eq!(forged.iter().flatten().count(), MAX_UNVALIDATED_HANDSHAKES);
        assert!(!is_pushed_out(&mut shown));
        let more = (0..MAX_HANDSHAKES_OF_ADDRESS - 1).map(|_| knocks.enter(ip(1), true).unwrap());
        let _more: Vec<Knock> = more.collect();
        assert!(!is_pushed_out(&mut shown), "its share is not used up by forgers");
    }
}
