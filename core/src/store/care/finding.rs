//! Findings: what is wrong with a store, what that means, and what to do about it.
//!
//! A finding has a code, for programs, which is stable, and a sentence, for people. The
//! sentence never holds the user's data; which document it is about is said beside it.

use std::collections::BTreeMap;
use std::fmt;

use crate::limits::MAX_FINDINGS_OF_A_KIND;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing, and harmless.
    Note,
    /// Somebody should look at it; nothing is damaged.
    Warning,
    /// The store contradicts itself or can't be read.
    Damage,
}

impl Level {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Damage => "damage",
        }
    }
}

/// Something that was found out about a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is, for programs: stable.
    pub code: &'static str,
    /// Where: a file, a collection.
    pub place: String,
    /// The document that it is about, if it is about one.
    pub document: Option<String>,
    /// What was found and what it means.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl Finding {
    pub(in crate::store) fn new(
        level: Level,
        code: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
        advice: &'static str,
    ) -> Finding {
        let (place, what) = (place.into(), what.into());
        Finding { level, code, place, document: None, what, advice }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.level.as_str(), self.place)?;
        if let Some(document) = &self.document {
            write!(f, "document '{document}': ")?;
        }
        write!(f, "{}; {}", self.what, self.advice)
    }
}

impl Finding {
    /// As JSON: `{"level", "code", "place", "document", "what", "advice"}`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "level": self.level.as_str(),
            "code": self.code,
            "place": self.place,
            "document": self.document,
            "what": self.what,
            "advice": self.advice,
        })
    }
}

/// Findings as they come, not too many of one kind.
#[derive(Debug, Default)]
pub(in crate::store) struct Findings {
    list: Vec<Finding>,
    of_a_kind: BTreeMap<&'static str, u64>,
}

impl Findings {
    pub(in crate::store) fn push(&mut self, finding: Finding) {
        let count = self.of_a_kind.entry(finding.code).or_default();
        *count += 1;
        if *count <= MAX_FINDINGS_OF_A_KIND {
            self.list.push(finding);
        }
    }

    /// How many there are so far.
    pub(in crate::store) fn count(&self) -> u64 {
        self.of_a_kind.values().sum()
    }

    /// The findings, the worst first, and how many more of their kinds there are.
    pub(in crate::store) fn finish(mut self) -> (Vec<Finding>, u64) {
        let more = self.count() - self.list.len() as u64;
        self.list.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        (self.list, more)
    }
}
