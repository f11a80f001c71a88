//! Leaving a collection while a link is up.

mod common;

use common::link::Link;
use common::{NOTES, Replica, assert_same};

/// What the other side had heard from us before is no proof that we still hold it.
#[test]
fn a_collection_that_was_left_comes_back_over_the_same_link() {
    let (a, b) = (Replica::new(0), Replica::new(1));
    let mut link = Link::new(&a.store, &b.store);
    a.notes().set("left", "x", 1i64).unwrap();
    link.settle();
    assert_eq!(b.notes().len(), 1);
    assert!(a.store.leave(NOTES).unwrap());
    link.settle();
    b.notes().set("right", "y", 2i64).unwrap();
    link.settle();
    assert_eq!(link.closed(), None);
    assert_eq!(a.notes().len(), 2, "{:?}", link.events(0));
    assert_same(&[&a, &b]);
    a.notes().set("left", "x", 3i64).unwrap();
    link.settle();
    assert_same(&[&a, &b]);
}
