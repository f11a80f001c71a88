//! Notes: the same for everybody who stores them, and for every run with one seed. Knows no store,
//! so that `benches/iroh`, which is built without Littoral, makes the same ones.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Documents a transaction when loading.
pub(crate) const BATCH: u64 = 1000;
const TITLE_BYTES: usize = 24;
const BODY_BYTES: usize = 100;
const TAGS: u64 = 50;
const TAGS_EACH: usize = 3;

/// One note, as the stores that know no fields keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) done: bool,
    pub(crate) priority: i64,
    pub(crate) tags: BTreeSet<String>,
}

/// Numbers that look random and are the same in every run (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ (n >> 31)) % end
    }

    fn text(&mut self, len: usize) -> String {
        const LETTERS: &[u8; 22] = b"abcdefghilmnoprstuvwy ";
        (0..len).map(|_| char::from(LETTERS[self.below(22) as usize])).collect()
    }
}

pub(crate) fn id(n: u64) -> String {
    format!("note-{n:08}")
}

/// The note with this number.
pub(crate) fn note(seed: u64, n: u64) -> Note {
    let mut random = Seeded(seed ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03));
    let (title, body) = (random.text(TITLE_BYTES), random.text(BODY_BYTES));
    let (done, priority) = (random.below(2) == 0, random.below(5) as i64);
    let mut tags = BTreeSet::new();
    while tags.len() < TAGS_EACH {
        tags.insert(format!("tag-{:02}", random.below(TAGS)));
    }
    Note { title, body, done, priority, tags }
}
