//! The workload: notes, as Littoral keeps them.

#[path = "note.rs"]
mod made;

use littoral::{Field, Fields, Value};

pub(crate) use made::{BATCH, Note, Seeded, id, note};

impl Note {
    /// As Littoral keeps it.
    pub(crate) fn to_fields(&self) -> Fields {
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
