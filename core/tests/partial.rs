//! Partial replication: what a node does not want neither travels nor costs.

mod common;

use common::link::{Link, sync};
use common::{Replica, fields};
use littoral::Field;
use littoral::store::Collections;

fn with(seed: u8, names: &[&str]) -> Replica {
    let replica = Replica::new(seed);
    for name in names {
        let collection = replica.store.collection(name).unwrap();
        for at in 0..20 {
            collection.put(&format!("d{at}"), &fields([("x", Field::from(at))])).unwrap();
        }
    }
    replica
}

fn held(replica: &Replica) -> Vec<String> {
    replica.store.collections()
}

#[test]
fn only_what_both_want_travels() {
    let (a, b) = (with(0, &["notes", "photos", "tasks"]), with(1, &["drafts", "notes"]));
    b.store.want(Collections::only(["notes", "tasks"]).unwrap()).unwrap();
    sync(&a.store, &b.store);
    assert_eq!(held(&a), ["notes", "photos", "tasks"]);
    assert_eq!(held(&b), ["drafts", "notes", "tasks"]);
    // A collection that begins while the link is up.
    let mut link = Link::new(&a.store, &b.store);
    link.settle();
    a.store.collection("music").unwrap().put("m", &fields([("x", Field::from(1))])).unwrap();
    b.store.collection("plans").unwrap().put("m", &fields([("x", Field::from(1))])).unwrap();
    a.store.collection("tasks").unwrap().put("m", &fields([("x", Field::from(1))])).unwrap();
    link.settle();
    assert_eq!(link.closed(), None);
    assert_eq!(held(&a), ["music", "notes", "photos", "tasks"]);
    assert_eq!(held(&b), ["drafts", "notes", "plans", "tasks"]);
    assert_eq!(b.store.collection("tasks").unwrap().len(), 21);
}

#[test]
fn what_is_wanted_may_differ_by_peer() {
    let (hub, home, work) = (Replica::new(0), with(1, &["diary", "notes"]), with(2, &["notes"]));
    let (diary, all) = (Collections::only(["diary", "notes"]).unwrap(), Collections::All);
    hub.store.want(Collections::only(["notes"]).unwrap()).unwrap();
    hub.store.want_of(home.store.node_id(), diary.clone()).unwrap();
    sync(&hub.store, &home.store);
    sync(&hub.store, &work.store);
    assert_eq!(held(&hub), ["diary", "notes"]);
    assert_eq!(held(&work), ["notes"]);
    let trusted = hub.store.trusted().unwrap();
    assert_eq!((trusted.len(), &trusted[0].collections), (1, &diary));
    hub.store.want_of(work.store.node_id(), all).unwrap();
    sync(&hub.store, &work.store);
    assert_eq!(held(&work), ["diary", "notes"]);
}

#[test]
fn what_is_not_wanted_costs_nothing() {
    let (a, b) = (with(0, &["notes"]), Replica::new(1));
    b.store.want(Collections::only(["tasks"]).unwrap()).unwrap();
    let bytes = |a: &Replica| {
        let mut link = Link::new(&a.store, &b.store);
        link.settle();
        link.bytes
    };
    let few = bytes(&a);
    let notes = a.store.collection("notes").unwrap();
    (0..50).for_each(|at| notes.set("d1", "y", at).unwrap());
    assert_eq!(bytes(&a), few);
}
