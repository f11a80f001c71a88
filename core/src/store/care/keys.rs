//! Keys: that what the tables of a state name is there, and that their rows can be read.
//!
//! A number stands for a collection or an origin all over the tables. A row whose number stands
//! for nothing is never found again, or worse, found by whoever is given that number next.

use std::collections::BTreeSet;

use redb::ReadableTable;

use super::finding::{Finding, Findings, Level};
use super::look::{RESCUE, guarded};
use super::rows::Subject;
use crate::error::Result;
use crate::store::budget::Budgets;
use crate::store::feed;
use crate::store::index;
use crate::store::invites;
use crate::store::journal;
use crate::store::once;
use crate::store::open::STATE;
use crate::store::peers;
use crate::store::roster;
use crate::store::tables::{self, Definition, db};
use crate::store::tape;

/// Tables whose keys begin with the number of a collection.
const OF_COLLECTIONS: [(Definition, &str); 10] = [
    (tables::HEADS, "heads"),
    (tables::VECTORS, "vectors"),
    (tables::DOCUMENTS, "documents"),
    (tables::RUNS, "runs"),
    (tables::CONFLICTS, "conflicts"),
    (tables::SETTLED, "settled"),
    (tables::FLOOR, "floor"),
    (tables::TRANSACTIONS, "transactions"),
    (tables::HASHES, "hashes"),
    (tables::FORKS, "forks"),
];

/// Examines the tables as such.
pub(super) fn check(subject: &Subject<'_>, quick: bool, findings: &mut Findings) {
    let mut part = |noun: &str, examine: &dyn Fn(&mut Vec<String>) -> Result<()>| {
        let mut wrong = Vec::new();
        if let Err(err) = guarded(|| examine(&mut wrong)) {
            wrong.push(format!("{noun} can't be read ({err})"));
        }
        for what in wrong {
            findings.push(Finding::new(Level::Damage, "table", STATE, what, RESCUE));
        }
    };
    part("the table of origins", &|wrong| origins(subject, wrong));
    part("the table of collections", &|wrong| collections(subject, wrong));
    for (definition, name) in OF_COLLECTIONS {
        part(&format!("the table {name}"), &|wrong| numbers(subject, definition, name, wrong));
    }
    part("the table of peers", &|_| peers::check(subject.read));
    part("the roster", &|_| roster::check(subject.read, subject.network).map(drop));
    part("the invitations", &|_| invites::list(subject.read).map(drop));
    part("the table of budgets", &|_| Budgets::check(subject.read));
    part("what checkpoints keep", &|wrong| tape::check(subject.read, subject.heads, !quick, wrong));
    part("the table of events", &|wrong| journal::check(subject.read, wrong));
    part("what changed documents held", &|wrong| {
        feed::check_values(subject.read, subject.heads, wrong)
    });
    part("the indexes", &|wrong| index::check(subject.read, subject.heads, wrong));
    part("the keys of writes", &|wrong| once::check(subject.read, wrong));
    part("the log of conflicts", &|wrong| journal::conflicts::check(subject.read, wrong));
    part("what is held back", &|wrong| {
        tape::check_holds(subject.read, subject.heads, !quick, wrong)
    });
    part("what is staged of snapshots", &|wrong| staged(subject, wrong));
}

/// Numbers of origins are given one after the other, each once.
fn origins(subject: &Subject<'_>, wrong: &mut Vec<String>) -> Result<()> {
    let table = subject.read.open_table(tables::ORIGINS).map_err(db)?;
    for (next, entry) in (0..).zip(table.iter().map_err(db)?) {
        let (key, value) = entry.map_err(db)?;
        let origin = tables::origin_of(value.value())?;
        let number = tables::u32_of(key.value())?;
        if number != next || subject.heads.origins.number(&origin) != Some(number) {
            wrong.push(format!(
                "origin number {next} is missing, or stands for two: rows name other authors than they were written by"
            ));
            return Ok(());
        }
    }
    Ok(())
}

/// A number of a collection was never given twice, nor will be.
fn collections(subject: &Subject<'_>, wrong: &mut Vec<String>) -> Result<()> {
    let next = tables::read(subject.read, tables::META, tables::META_NEXT_COLLECTION)?;
    let next = next.map_or(Ok(0), |bytes| tables::u32_of(&bytes))?;
    let mut seen = BTreeSet::new();
    for head in subject.heads.iter() {
        if head.number >= next || !seen.insert(head.number) {
            wrong.push(format!(
                "the number of collection '{}' is another's, or will be given again",
                head.name
            ));
        }
    }
    Ok(())
}

fn numbers(
    subject: &Subject<'_>,
    definition: Definition,
    name: &str,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let table = subject.read.open_table(definition).map_err(db)?;
    let known: BTreeSet<u32> = subject.heads.iter().map(|head| head.number).collect();
    let mut from = Vec::new();
    loop {
        let first = table.range(&from[..]..).map_err(db)?.next().transpose().map_err(db)?;
        let Some((key, _)) = first else { return Ok(()) };
        let Some(number) = key.value().first_chunk::<4>().map(|n| u32::from_be_bytes(*n)) else {
            wrong.push(format!("the table {name} has a key that is too short"));
            return Ok(());
        };
        if !known.contains(&number) {
            wrong.push(format!("the table {name} has rows of a collection that is not there"));
        }
        let Some(next) = number.checked_add(1) else { return Ok(()) };
        from = next.to_be_bytes().to_vec();
    }
}

/// What is staged belongs to a collection that is being joined.
fn staged(subject: &Subject<'_>, wrong: &mut Vec<String>) -> Result<()> {
    let table = subject.read.open_table(tables::STAGED).map_err(db)?;
    let mut from = Vec::new();
    loop {
        let first = table.range(&from[..]..).map_err(db)?.next().transpose().map_err(db)?;
        let Some((key, _)) = first else { return Ok(()) };
        let name = key.value().split(|byte| *byte == 0).next().unwrap_or_default();
        let known =
            std::str::from_utf8(name).is_ok_and(|name| subject.heads.joining.contains(name));
        if !known {
            wrong.push("documents are staged of a snapshot that nobody joins".to_owned());
        }
        from = [name, &[1]].concat();
    }
}
