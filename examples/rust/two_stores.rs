//! Two stores edit the same note apart, sync over QUIC, and settle the conflict.
//!
//! Run it with `cargo run -p littoral --example two_stores`.

use std::time::Duration;

use littoral::net::{Network, NetworkOptions, PeerAddress};
use littoral::{Field, Result, Store};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the whole story in a temporary directory.
pub(crate) fn main() -> Result<()> {
    let home = std::env::temp_dir().join(format!("littoral-example-{}", std::process::id()));
    let phone = Store::open(home.join("phone"))?;
    let hub = Store::open(home.join("hub"))?;
    story(&phone, &hub)?;
    phone.close()?;
    hub.close()?;
    std::fs::remove_dir_all(&home).ok();
    Ok(())
}

fn story(phone: &Store, hub: &Store) -> Result<()> {
    // Each lets the other in, by its key. The hub listens, the phone dials.
    hub.trust(phone.node_id())?;
    let listening = Network::start(hub, NetworkOptions::default())?;
    let port = listening.listen(([127, 0, 0, 1], 0).into())?.port();
    let address: PeerAddress = format!("127.0.0.1:{port}#{}", hub.node_id()).parse()?;

    let notes = phone.collection("notes")?;
    notes.set("n1", "title", "Low tide")?;
    notes.add("n1", "tags", "sea")?;

    let dialling = Network::start(phone, NetworkOptions::default())?;
    let link = dialling.connect(address)?;
    link.wait_synced(PATIENCE)?;

    // Out of reach of each other, both change the title.
    link.set_enabled(false);
    notes.set("n1", "title", "Low tide at noon")?;
    hub.collection("notes")?.set("n1", "title", "Low tide, bring boots")?;
    link.set_enabled(true);
    link.wait_synced(PATIENCE)?;

    for conflict in hub.conflicts()? {
        println!("{} {} is in conflict:", conflict.id, conflict.path);
        for side in &conflict.candidates {
            println!(
                "  {:?}, written by {} at {}",
                side.field.as_str(),
                side.dot.origin,
                side.time
            );
        }
        let both = Field::from("Low tide at noon, bring boots");
        hub.resolve(&conflict.collection, &conflict.id, conflict.path, &both)?;
    }
    // It was written at the hub, so it is the hub that knows when the phone has it.
    listening.wait_synced(PATIENCE)?;
    dialling.close();
    listening.close();

    let note = notes.get("n1")?.expect("it is here");
    println!("now everywhere: {:?}", note["title"].as_str());
    assert_eq!(note["title"], Field::from("Low tide at noon, bring boots"));
    assert!(phone.conflicts()?.is_empty());
    Ok(())
}
