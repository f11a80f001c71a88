//! What the demo edits on both sides of the cut, and how that looks.

use littoral::value::{Value, field_to_json};
use littoral::{Field, Path, Result, Store};

use super::COLLECTION;

/// A document that phone and laptop edit without knowing of each other.
pub(super) struct Edit {
    /// What both do.
    pub(super) case: &'static str,
    /// The document.
    pub(super) id: &'static str,
    /// The field that is looked at; none for the document as a whole.
    field: Option<&'static str>,
    /// What the phone does.
    pub(super) phone: Act,
    /// What the laptop does.
    pub(super) laptop: Act,
}

/// Something done to a document.
pub(super) enum Act {
    /// Give it another title.
    Title(&'static str),
    /// Add to and remove from its tags.
    Tags(&'static [&'static str], &'static [&'static str]),
    /// Count views.
    Views(i64),
    /// Delete it.
    Delete,
}

/// The views that each of these documents has before the cut.
const VIEWS: i64 = 10;

/// The document whose title both write: the one that ends in conflict.
pub(super) const TITLED: &str = "boston-ma";

/// The four cases.
pub(super) const EDITS: [Edit; 4] = [
    Edit {
        case: "title on both",
        id: TITLED,
        field: Some("title"),
        phone: Act::Title("Boston Long Wharf"),
        laptop: Act::Title("Boston Harbor"),
    },
    Edit {
        case: "tags on both",
        id: "key-west-fl",
        field: Some("tags"),
        phone: Act::Tags(&["reef"], &[]),
        laptop: Act::Tags(&["ferry"], &["reference"]),
    },
    Edit {
        case: "counter on both",
        id: "honolulu-hi",
        field: Some("views"),
        phone: Act::Views(3),
        laptop: Act::Views(4),
    },
    Edit {
        case: "delete against edit",
        id: "seattle-wa",
        field: None,
        phone: Act::Delete,
        laptop: Act::Title("Seattle Ferry"),
    },
];

impl Act {
    /// Does it.
    pub(super) fn carry_out(&self, store: &Store, id: &str) -> Result<()> {
        store.write(|txn| match self {
            Act::Title(title) => txn.set(COLLECTION, id, "title", *title),
            Act::Views(by) => txn.increment(COLLECTION, id, "views", *by),
            Act::Delete => txn.delete(COLLECTION, id).map(drop),
            Act::Tags(add, remove) => {
                add.iter().try_for_each(|tag| txn.add(COLLECTION, id, "tags", *tag))?;
                remove.iter().try_for_each(|tag| txn.remove(COLLECTION, id, "tags", *tag).map(drop))
            }
        })
    }

    /// What it does, for people.
    pub(super) fn describe(&self) -> String {
        let signed = |sign: char, tags: &[&str]| {
            tags.iter().map(|tag| format!("{sign}{tag}")).collect::<Vec<_>>()
        };
        match self {
            Act::Title(title) => format!("\"{title}\""),
            Act::Views(by) => format!("+{by}"),
            Act::Delete => "deletes it".to_owned(),
            Act::Tags(add, remove) => {
                let tags = [signed('+', add), signed('-', remove)].concat();
                tags.join(" ")
            }
        }
    }
}

impl Edit {
    /// What it is about, as a store shows it.
    pub(super) fn look(&self, store: &Store) -> Result<String> {
        let document = store.collection(COLLECTION)?.get(self.id)?;
        Ok(match (document, self.field) {
            (None, _) => "(deleted)".to_owned(),
            (Some(document), Some(name)) => document.get(name).map(shown).unwrap_or_default(),
            (Some(document), None) => match document.fields().len() {
                1 => document
                    .get("title")
                    .map(|title| format!("only the title: {}", shown(title)))
                    .unwrap_or_default(),
                count => format!("{count} fields"),
            },
        })
    }
}

/// Gives the documents that will be edited a counter.
pub(super) fn count_views(store: &Store) -> Result<()> {
    store.write(|txn| {
        EDITS.iter().try_for_each(|edit| {
            txn.set(COLLECTION, edit.id, Path::from("views"), Field::Counter(VIEWS))
        })
    })
}

fn shown(field: &Field) -> String {
    match field {
        Field::Value(Value::Text(text)) => format!("\"{text}\""),
        Field::Counter(sum) => sum.to_string(),
        Field::Set(elements) => {
            let texts = elements.iter().map(|element| element.as_str().unwrap_or("?"));
            texts.collect::<Vec<_>>().join(" ")
        }
        field => field_to_json(field).to_string(),
    }
}
