//! The Rust examples, run.
#![cfg(feature = "net")]

#[path = "../../examples/rust/two_stores.rs"]
mod two_stores;

#[test]
fn two_stores_sync_and_settle_a_conflict() {
    two_stores::main().unwrap();
}
