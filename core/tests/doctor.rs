//! `doctor`: each puzzling state is explained, a healthy store is not talked about, and looking
//! changes nothing.

mod common;

use std::sync::Arc;

use common::{NOON, NOTES, Replica, Small, fields, key, meet, pull};
use littoral::store::disk::{Disk, MemDisk};
use littoral::store::{Finding, Level, LogBudget};
use littoral::txn::roster::{Right, Rights};
use littoral::{Field, Options};

fn options(replica: &Replica, seed: u8) -> Options {
    Options::new().key(key(seed)).layout(common::layout()).wall_clock(replica.wall.clone())
}

/// What is found of an open store and of its files, which must be the same where both can know.
fn found(seed: u8, replica: &Replica) -> Vec<Finding> {
    let open = replica.store.doctor().unwrap();
    replica.store.flush().unwrap();
    let cold = options(replica, seed).doctor_on(Arc::new(replica.disk.clone())).unwrap();
    let codes = |findings: &[Finding]| findings.iter().map(|f| f.code).collect::<Vec<_>>();
    assert_eq!(codes(&open), codes(&cold), "{open:#?} {cold:#?}");
    assert!(open.iter().all(|f| !f.what.is_empty() && !f.advice.is_empty()));
    open
}

fn assert_finds(findings: &[Finding], code: &str, level: Level, part: &str) {
    let finding = findings.iter().find(|finding| finding.code == code);
    let finding = finding.unwrap_or_else(|| panic!("no {code}: {findings:#?}"));
    assert!(finding.level == level && finding.what.contains(part), "{finding:#?}");
}

#[test]
fn nothing_is_said_of_a_healthy_store() {
    let a = Replica::new(0);
    assert_eq!(found(0, &a), []);
    a.notes().put("n", &fields([("title", Field::from("x"))])).unwrap();
    assert_eq!(found(0, &a), []);
}

#[test]
fn conflicts_clocks_and_writes_never_sent_are_explained() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.notes().set("n", "title", "here").unwrap();
    b.wall.set(NOON + 3_600_000);
    b.notes().set("n", "title", "there").unwrap();
    meet(&[&a, &b]);
    a.store.trust(b.store.node_id()).unwrap();
    a.store.collection("plans").unwrap().set("m", "x", 1i64).unwrap();
    let findings = found(0, &a);
    assert_finds(&findings, "conflicts", Level::Note, "1 documents");
    assert_finds(&findings, "unsent", Level::Note, "1 transactions");
    assert_finds(&findings, "clock", Level::Warning, &b.store.node_id().to_string());
    assert_eq!(findings[0].code, "clock", "the worst comes first");
}

#[test]
fn a_copy_is_explained() {
    let a = Replica::new(0);
    a.notes().set("n", "title", "x").unwrap();
    a.store.close().unwrap();
    // It lies elsewhere: nothing has noticed yet.
    let copy = a.disk.copy();
    let cold = options(&a, 0).doctor_on(Arc::new(copy.clone())).unwrap();
    assert_finds(&cold, "elsewhere", Level::Note, "taken for a copy");
    let copy = Replica::on(0, copy).unwrap();
    assert_finds(&found(0, &copy), "copied", Level::Note, "another incarnation");
    copy.notes().set("n", "title", "y").unwrap();
    assert_finds(&found(0, &copy), "incarnations", Level::Note, "2 incarnations");
}

#[test]
fn a_fork_is_explained_with_both_hashes() {
    // Two copies write on under one name, and each gives it away before they meet.
    let (a, p, q) = (Replica::new(0), Replica::new(1), Replica::new(2));
    a.notes().set("n", "title", "x").unwrap();
    let disk = a.disk.copy();
    let copy = options(&a, 0).moved(true).open_on(Arc::new(disk)).unwrap();
    a.notes().set("n", "title", "of one").unwrap();
    copy.collection(NOTES).unwrap().set("n", "title", "of the other").unwrap();
    copy.collection(NOTES).unwrap().set("n", "title", "of the other, again").unwrap();
    a.notes().set("n", "title", "of one, again").unwrap();
    pull(&p, &a);
    common::pull_in(&q.store, &copy, NOTES);
    assert_eq!(found(1, &p), []);
    let theirs = common::stream(&q.store, NOTES, &Default::default());
    let (_, bytes) = theirs.last().unwrap();
    let (_, first) = &theirs[0];
    // Alone, the second one of the copy's can't be traced; and it was never there.
    p.store.apply_remote(NOTES, vec![first.clone()]).unwrap();
    p.store.apply_remote(NOTES, vec![bytes.clone()]).unwrap_err();
    let findings = found(1, &p);
    assert_finds(&findings, "fork", Level::Warning, &a.store.node_id().to_string());
    let words: Vec<&str> = findings[0].what.split(' ').collect();
    let hashes = words.iter().filter(|w| w.len() == 32 && w.chars().all(|c| c.is_ascii_hexdigit()));
    assert_eq!(hashes.count(), 2, "{}", findings[0].what);
    // Traced, it needs nobody.
    p.store.apply_remote(NOTES, theirs.into_iter().map(|(_, bytes)| bytes).collect()).unwrap();
    assert_finds(&found(1, &p), "branches", Level::Note, "both went on");
}

#[test]
fn a_log_that_is_held_says_by_what() {
    let budget = LogBudget { bytes: 1 << 10, ..LogBudget::UNLIMITED };
    let a = Replica::small(0, Small { segment_bytes: 1 << 10, budget });
    a.store.trust(key(1).id()).unwrap();
    for n in 0..40i64 {
        a.notes().set("n", "n", n).unwrap();
    }
    let findings = a.store.doctor().unwrap();
    assert_finds(&findings, "log-held", Level::Note, "own writes to notes that no peer was given");
}

#[test]
fn a_store_that_refuses_writes_says_why() {
    let a = Replica::new(0);
    a.notes().set("n", "n", 1i64).unwrap();
    a.disk.full_after(0);
    a.notes().set("n", "n", 2i64).unwrap_err();
    a.disk.fail_no_more();
    let findings = a.store.doctor().unwrap();
    assert_finds(&findings, "poisoned", Level::Warning, "writes are refused");
}

#[test]
fn a_snapshot_under_way_a_newer_format_and_damage_are_told() {
    let a = Replica::new(0);
    a.notes().set("n", "n", 1i64).unwrap();
    a.store.stage("plans").unwrap();
    assert_finds(&found(0, &a), "snapshot", Level::Note, "until it is whole");
    a.store.close().unwrap();
    let newer = a.disk.copy();
    change_meta(&newer, b"format", &7u32.to_be_bytes());
    let told = options(&a, 0).doctor_on(Arc::new(newer)).unwrap();
    assert_finds(&told, "format-too-new", Level::Warning, "format 7");
    let damaged = a.disk.copy();
    let name = format!("log/{}", damaged.list("log").unwrap()[0]);
    damaged.open(&name, false).unwrap().write_at(40, &[0xff; 4]).unwrap();
    let told = options(&a, 0).doctor_on(Arc::new(damaged)).unwrap();
    assert!(told.iter().any(|finding| finding.level == Level::Damage), "{told:#?}");
}

fn change_meta(disk: &MemDisk, name: &[u8], value: &[u8]) {
    use littoral::store::disk::{Freeze, RedbFile};
    let file = RedbFile::new(disk.open("state.redb", false).unwrap(), Freeze::default());
    let database = redb::Database::builder().create_with_backend(file).unwrap();
    let txn = database.begin_write().unwrap();
    let definition: redb::TableDefinition<'static, &'static [u8], &'static [u8]> =
        redb::TableDefinition::new("meta");
    txn.open_table(definition).unwrap().insert(name, value).unwrap();
    txn.commit().unwrap();
}

#[test]
fn what_a_node_may_not_do_is_explained() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    a.store.found_roster("zero").unwrap();
    b.notes().set("n", "title", "too early").unwrap();
    assert_eq!(found(0, &a), []);
    b.store.join_roster(a.store.node_id()).unwrap();
    assert_finds(&found(1, &b), "roster-unheard", Level::Note, &a.store.node_id().to_string());
    b.store.add_statements(a.store.statements_beyond(&[])).unwrap();
    let findings = found(1, &b);
    assert_finds(&findings, "no-rights", Level::Warning, "may do nothing");
    assert_finds(&findings, "not-valid", Level::Warning, "1 transactions");
    a.store.grant(b.store.node_id(), "one", Rights::everywhere(Right::Write)).unwrap();
    b.store.add_statements(a.store.statements_beyond(&[])).unwrap();
    assert_eq!(found(1, &b), []);
}
