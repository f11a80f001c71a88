//! What was kept off: how often, by kind. Counted since the network was started.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::ending::Ending;
use crate::sync::door::Offence;
use crate::sync::message::CloseCode;

/// How often somebody was kept off, by kind. What somebody did is counted once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeptOff {
    /// Handshakes of nodes that proved a key which is not trusted.
    pub unknown_keys: u64,
    /// Handshakes that failed in another way: no key, another protocol, or a caller that went.
    pub failed_handshakes: u64,
    /// Handshakes that took too long.
    pub slow_handshakes: u64,
    /// Handshakes that had to make room for others: too many were under way.
    pub crowded_handshakes: u64,
    /// Callers that had to show first that their address is their own.
    pub asked_for_address: u64,
    /// Links that were turned away: too many of one peer or in all, or cut here for now.
    pub turned_away: u64,
    /// Links that were ended since the peer broke the protocol of links, or of QUIC.
    pub breaches: u64,
    /// Links that were ended since they asked for more than a link carries, or did not take it.
    pub over_limit: u64,
    /// Links on which there was no hello in time.
    pub silent: u64,
    /// Links that were refused or ended since the peer's rights do not allow them.
    pub without_rights: u64,
    /// Collections that were halted on a link, by what was wrong with what the peer sent.
    pub halted: BTreeMap<Offence, u64>,
}

impl KeptOff {
    /// All counts by their names, as every door tells them: those above, and of halted
    /// collections `halted_` and what was wrong, where there were any.
    pub fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::from([
            ("unknown_keys", self.unknown_keys),
            ("failed_handshakes", self.failed_handshakes),
            ("slow_handshakes", self.slow_handshakes),
            ("crowded_handshakes", self.crowded_handshakes),
            ("asked_for_address", self.asked_for_address),
            ("turned_away", self.turned_away),
            ("breaches", self.breaches),
            ("over_limit", self.over_limit),
            ("silent", self.silent),
            ("without_rights", self.without_rights),
        ]);
        for (offence, count) in &self.halted {
            *all.entry(halted(*offence)).or_default() += count;
        }
        all
    }
}

fn halted(offence: Offence) -> &'static str {
    match offence {
        Offence::Invalid => "halted_invalid",
        Offence::Forked => "halted_forked",
        Offence::TooNew => "halted_too_new",
        Offence::Forbidden => "halted_forbidden",
        Offence::TooMuch => "halted_too_much",
        Offence::Other(_) => "halted_other",
    }
}

/// Counts what is kept off.
#[derive(Debug, Default)]
pub(super) struct Counts {
    failed_handshakes: AtomicU64,
    slow_handshakes: AtomicU64,
    crowded_handshakes: AtomicU64,
    asked_for_address: AtomicU64,
    turned_away: AtomicU64,
    breaches: AtomicU64,
    over_limit: AtomicU64,
    silent: AtomicU64,
    without_rights: AtomicU64,
    halted: Mutex<BTreeMap<Offence, u64>>,
}

impl Counts {
    pub(super) fn failed_handshake(&self) {
        add(&self.failed_handshakes);
    }

    pub(super) fn slow_handshake(&self) {
        add(&self.slow_handshakes);
    }

    pub(super) fn crowded_handshake(&self) {
        add(&self.crowded_handshakes);
    }

    pub(super) fn asked_for_address(&self) {
        add(&self.asked_for_address);
    }

    pub(super) fn turned_away(&self) {
        add(&self.turned_away);
    }

    /// A connection has ended: counts it, if the peer is why.
    pub(super) fn ended(&self, ending: &Ending) {
        match ending.code {
            _ if ending.by_peer => {}
            CloseCode::Protocol => add(&self.breaches),
            CloseCode::Limit => add(&self.over_limit),
            CloseCode::Timeout => add(&self.silent),
            CloseCode::Rights => add(&self.without_rights),
            _ => {}
        }
    }

    /// A collection was halted, since what the peer sent can't be taken.
    pub(super) fn halted(&self, offence: Offence) {
        *self.halted.lock().unwrap_or_else(PoisonError::into_inner).entry(offence).or_default() +=
            1;
    }

    /// All of it.
    pub(super) fn read(&self, unknown_keys: u64) -> KeptOff {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        KeptOff {
            unknown_keys,
            // A refused key is a handshake that failed, too.
            failed_handshakes: of(&self.failed_handshakes).saturating_sub(unknown_keys),
            slow_handshakes: of(&self.slow_handshakes),
            crowded_handshakes: of(&self.crowded_handshakes),
            asked_for_address: of(&self.asked_for_address),
            turned_away: of(&self.turned_away),
            breaches: of(&self.breaches),
            over_limit: of(&self.over_limit),
            silent: of(&self.silent),
            without_rights: of(&self.without_rights),
            halted: self.halted.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
