//! What happened to a store and its node, as JSON shapes.

use littoral::clock::Timestamp;
use littoral::limits::MAX_EVENT_PAGE;
use littoral::store::{Event, EventKind, EventPage};
use littoral::{Error, Result, Store};
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EventShape {
    /// Where to go on after it.
    pub(crate) number: u64,
    /// When it was noted, by the node's clock, RFC 3339.
    pub(crate) time: String,
    /// What kind of thing.
    pub(crate) kind: String,
    /// In which collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collection: Option<String>,
    /// The key of the node that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    /// How long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
    /// What there is to say about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) what: String,
}

impl From<&Event> for EventShape {
    fn from(event: &Event) -> EventShape {
        let healed = event.kind == EventKind::Healed;
        EventShape {
            number: event.number,
            time: Timestamp::from_millis(event.time_ms).to_string(),
            kind: event.kind.word().to_owned(),
            collection: event.collection.clone(),
            node: event.node.map(|node| node.to_string()),
            count: event.count.filter(|_| !healed),
            seconds: event.count.filter(|_| healed).map(|ms| ms as f64 / 1000.0),
            what: event.what.clone(),
        }
    }
}

/// Events from a number on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EventsPage {
    /// In the order in which they happened.
    pub(crate) events: Vec<EventShape>,
    /// The number to go on after.
    pub(crate) next: u64,
    /// Whether some before these are gone and were not asked for in time.
    pub(crate) missed: bool,
    /// Whether there may be more by now.
    #[serde(skip)]
    pub(crate) more: bool,
}

impl From<EventPage> for EventsPage {
    fn from(page: EventPage) -> EventsPage {
        let EventPage { events, next, missed, more } = page;
        EventsPage { events: events.iter().map(EventShape::from).collect(), next, missed, more }
    }
}

/// Which events somebody wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct WantedEvents {
    /// Of these kinds; none is all.
    pub(crate) kinds: Vec<EventKind>,
    /// At most so many at once.
    pub(crate) limit: Option<usize>,
}

impl WantedEvents {
    /// Of the kinds that a list of words with commas between names.
    pub(crate) fn of(words: Option<&str>) -> Result<WantedEvents> {
        let words = words.into_iter().flat_map(|words| words.split(','));
        let kinds = words.map(|word| word.trim().parse()).collect::<Result<_, Error>>()?;
        Ok(WantedEvents { kinds, limit: None })
    }

    /// Those after a number that are there.
    pub(crate) fn after(&self, store: &Store, since: u64) -> Result<EventsPage> {
        let limit = self.limit.unwrap_or(MAX_EVENT_PAGE);
        store.events(since, &self.kinds, limit).map(EventsPage::from)
    }
}
