//! The notes: the same for everybody who keeps them and in every run.

use littoral::{Field, Fields, Value};

/// The collection.
pub(super) const NOTES: &str = "notes";
/// Notes of a transaction when loading.
pub(super) const BATCH: u64 = 1000;
const TAGS: u64 = 50;

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) title: String,
    pub(super) body: String,
    pub(super) done: bool,
    pub(super) priority: i64,
    pub(super) tags: Vec<String>,
}

/// The id of a note.
pub(super) fn id(n: u64) -> String {
    format!("note-{n:08}")
}

/// The note with this number: a title of 24 letters, a body of 100, three tags of 50.
pub(super) fn note(n: u64) -> Note {
    let mut random = Random(n.wrapping_mul(0xd1b5_4a32_d192_ed03));
    let (title, body) = (random.text(24), random.text(100));
    let (done, priority) = (random.below(2) == 0, random.below(5) as i64);
    let first = random.below(TAGS);
    let tags = (0..3).map(|at| format!("tag-{:02}", (first + at * 17) % TAGS)).collect();
    Note { title, body, done, priority, tags }
}

impl Note {
    /// As Littoral keeps it.
    pub(super) fn to_fields(&self) -> Fields {
        let tags = self.tags.iter().map(|tag| Value::from(tag.as_str())).collect();
        Fields::from([
            ("title".to_owned(), Field::from(self.title.as_str())),
            ("body".to_owned(), Field::from(self.body.as_str())),
            ("done".to_owned(), Field::from(self.done)),
            ("priority".to_owned(), Field::from(self.priority)),
            ("tags".to_owned(), Field::Set(tags)),
        ])
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
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
