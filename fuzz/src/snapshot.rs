//! Snapshots: the head of a view, documents as they travel, and joining them.

use std::collections::BTreeMap;

use ed25519_dalek::Signer;
use littoral::Field;
use littoral::crdt::{Body, Cell, Layout, LtHash, Row, join as algebra};
use littoral::id::{Dot, Hash, Origin, Seq};
use littoral::limits::MAX_SEQ;
use littoral::txn::snapshot::{Newest, Staged, ViewHead, pack, unpack};
use littoral::txn::{Branches, Proof};

use super::formats::{show, show_any};
use super::input::Input;
use super::stores::{self, NOTES, key, scope};

/// The head of a view: as it is, and with the signature of the one who serves it.
pub fn head(data: &[u8]) {
    let server = key(0);
    let _ = ViewHead::verify(data, scope(), &server.id());
    let signed = sign_head(data);
    if let Ok(head) = ViewHead::verify(&signed, scope(), &server.id()) {
        assert_eq!(head.sign(scope(), &server), signed, "a head has one form");
    }
}

/// As `docs/FORMAT.md` says, not as the product does it.
fn sign_head(body: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key("littoral v1 snapshot");
    hasher.update(&scope().network.0);
    hasher.update(&[NOTES.len() as u8]);
    hasher.update(NOTES.as_bytes());
    hasher.update(body);
    let key = ed25519_dalek::SigningKey::from_bytes(&key(0).seed());
    [body, &key.sign(hasher.finalize().as_bytes()).to_bytes()].concat()
}

/// One document as it travels.
pub fn document(data: &[u8]) {
    let Ok(row) = unpack(data) else { return };
    show_any(&row);
    if algebra::check(&row, |_| true).is_err() {
        return;
    }
    show(&row);
    assert_eq!(unpack(&pack(&row)).expect("its own bytes"), row);
    let theirs = algebra::Side { row: &row, covers: |dot: &Dot| dot.seq.is_multiple_of(2) };
    let nothing = Row::default();
    let ours = algebra::Side { row: &nothing, covers: |dot: &Dot| dot.seq.is_multiple_of(3) };
    let joined = algebra::join(&ours, &theirs);
    let alive = |cell: &&Cell| !cell.stamp.dot.seq.is_multiple_of(3);
    assert!(joined.cells().iter().eq(row.cells().iter().filter(alive)));
}

/// Some documents, each with its length before it, joined by a store that holds others.
///
/// The head is made to fit them: what is tried is whether anything that passes the checks of a
/// snapshot can harm the store.
pub fn join(data: &[u8]) {
    let mut input = Input(data);
    let local = input.byte();
    let mut documents: BTreeMap<String, Row> = BTreeMap::new();
    while !input.is_empty() && documents.len() < 8 {
        let id = format!("n{}", input.byte() % 6);
        let Ok(row) = unpack(input.chunk()) else { continue };
        if algebra::check(&row, |dot| dot.seq <= MAX_SEQ).is_ok() && !row.is_empty() {
            documents.insert(id, row);
        }
    }
    let store = stores::new(9);
    let notes = store.collection(NOTES).expect("a legal name");
    for n in 0..local % 4 {
        notes.set(&format!("n{n}"), "mine", i64::from(n)).expect("a write");
    }
    let head = head_of(&documents);
    store.stage(NOTES).expect("staging begins");
    let mut staged: Vec<Staged> = documents
        .iter()
        .map(|(id, row)| Staged { id: id.clone(), packed: Some(pack(row)) })
        .collect();
    for n in (0..local % 4).map(|n| format!("n{n}")).filter(|id| !documents.contains_key(id)) {
        staged.push(Staged { id: n, packed: None });
    }
    store.stage_documents(NOTES, &head, &staged).expect("they were checked");
    let joined = store.join(NOTES, &head, key(0).id()).expect("nothing speaks against it");
    assert!(joined, "the head fits the documents");
    store.check_rows().expect("all that is kept beside the rows fits them");
    for id in documents.keys() {
        if let Some(document) = notes.get(id).expect("a document") {
            let (fields, version) = (document.fields().clone(), document.version());
            let _ = notes.put(id, (&fields, &version));
        }
        let _ = notes.increment(id, "mine", 1);
        let _ = notes.set(id, ["deep", "er"], Field::from("x"));
    }
    let _ = notes.delete("n0");
    store.check_rows().expect("also after writing");
}

/// A head that covers what the documents name.
fn head_of(documents: &BTreeMap<String, Row>) -> ViewHead {
    let mut newest: BTreeMap<Origin, Seq> = BTreeMap::new();
    let mut note = |origin: Origin, seq: Seq| {
        let entry = newest.entry(origin).or_default();
        *entry = seq.max(*entry);
    };
    let mut cells = LtHash::new();
    for (id, row) in documents {
        for cell in row.cells() {
            note(cell.stamp.dot.origin, cell.stamp.dot.seq);
            if let Body::Counter(counter) = &cell.body {
                note(cell.stamp.dot.origin, counter.seq);
                counter.settled_by.keys().for_each(|dot| note(dot.origin, dot.seq));
            }
        }
        for run in Layout::default().rows(row.cells()) {
            cells.add(&Row::digest_of(run, id));
        }
    }
    let proof = Proof { content: Hash([1; 32]), signature: [2; 64] };
    let vector = newest
        .into_iter()
        .map(|(origin, seq)| (origin, Newest { seq, hash: Hash([3; 32]), proof }))
        .collect();
    let (branches, documents) = (Branches::default(), documents.len() as u64);
    ViewHead { branches, vector, past: BTreeMap::new(), cells: cells.digest(), documents }
}
