//! What N replicas cost each of them: a model, beside runs of real stores and real sessions.
//!
//! Each run links N stores on disks in memory as a star, as a tree in which each has eight below
//! it, or all with all, and counts stream bytes. The model is made of four sizes that a run of two
//! replicas gives, and of counting; `docs/SCALE.md` says how. What cannot be run is the model's
//! alone.

use std::sync::Arc;

use littoral::limits::{MAX_OUTLINE_BUCKETS, OUTLINE_ABOVE};
use littoral::store::disk::MemDisk;
use littoral::txn::NodeKey;
use littoral::{Options, Store};

use crate::world::{Said, World};
use crate::{NOTES, Result};

const FAN_OUT: usize = 8;
/// Replicas of the runs, unless others are asked for.
const SIZES: [usize; 5] = [2, 8, 32, 100, 200];
/// What is worked out and not run.
const BEYOND: [usize; 3] = [1_000, 10_000, 100_000];
/// All of a mesh write only up to here: the bytes go by the fourth power.
const MESH_WRITERS: usize = 32;
/// Of the others.
const WRITERS: usize = 100;
/// Bytes that a transaction takes for each origin that it has heard of since the one before: the
/// origin's name, and a dependency with its number, its sequence and its hash.
const DEPENDENCY_BYTES: f64 = 36.0 + 1.0 + 1.0 + 16.0;
/// Bytes of an entry of a vector as it is told.
const ENTRY_BYTES: f64 = 60.0;
/// Bytes of an outline and its answers besides digests and entries.
const OUTLINE_BYTES: f64 = 95.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Star,
    Tree,
    Mesh,
}

impl Shape {
    const ALL: [Shape; 3] = [Shape::Star, Shape::Tree, Shape::Mesh];

    fn name(self) -> &'static str {
        match self {
            Shape::Star => "star",
            Shape::Tree => "tree",
            Shape::Mesh => "mesh",
        }
    }

    fn links(self, n: usize) -> Vec<(usize, usize)> {
        match self {
            Shape::Star => (1..n).map(|leaf| (0, leaf)).collect(),
            Shape::Tree => (1..n).map(|child| ((child - 1) / FAN_OUT, child)).collect(),
            Shape::Mesh => (1..n).flat_map(|b| (0..b).map(move |a| (a, b))).collect(),
        }
    }

    /// Links of the replica that has most.
    fn most_links(self, n: f64) -> f64 {
        match self {
            Shape::Star | Shape::Mesh => n - 1.0,
            Shape::Tree => (n - 1.0).min(FAN_OUT as f64 + 1.0),
        }
    }

    /// How often a change crosses a link, in all.
    fn crossings(self, n: f64) -> f64 {
        match self {
            Shape::Star | Shape::Tree => n - 1.0,
            // All hear of it from its writer at once, and each tells all that it does not know to
            // hold it.
            Shape::Mesh => (n - 1.0) * (n - 1.0),
        }
    }

    /// How often it comes or goes at the replica that has most to do.
    fn busiest(self, n: f64) -> f64 {
        match self {
            Shape::Star | Shape::Tree => self.most_links(n),
            // Each but the writer gets it from all others, and sends it to all but the writer.
            Shape::Mesh => (n - 1.0) + (n - 2.0),
        }
    }
}

/// What a run shows, in stream bytes.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Of a change by one replica, over all links; then those of the replica with most to do.
    one: f64,
    busiest: f64,
    /// Of a change, over all links, when all write in turn and have heard of each other.
    all: Option<f64>,
    /// A link that comes up: when nothing differs, and when one change does.
    equal: f64,
    differs: f64,
    /// Origins of the vector then.
    origins: usize,
}

/// The sizes that the model is made of.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// A change on its tail, and its acknowledgement.
    change: f64,
    ack: f64,
    /// A link that comes up, when nothing differs.
    equal: f64,
    /// The same when one change does, without vectors and the change.
    differs: f64,
}

/// `-- scale [N,N,..]`
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let sizes = match args.next() {
        None => SIZES.to_vec(),
        Some(list) => list.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?,
    };
    let pair = measure(Shape::Star, 2)?;
    let model = pair.1;
    println!(
        "model: a change {:.0} B, its acknowledgement {:.0} B, a link that comes up {:.0} B when nothing differs, {:.0} B and vectors when something does\n",
        model.change, model.ack, model.equal, model.differs
    );
    println!("each figure: measured / model; bytes of streams, acknowledgements included\n");
    println!(
        "| shape | replicas | a change, all links | the same, busiest replica | a change when all write | a link comes up, equal | one change apart |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for shape in Shape::ALL {
        for &n in &sizes {
            let (measured, _) = measure(shape, n)?;
            let guess = model.guess(shape, n as f64, measured.origins as f64);
            let both =
                |measured: f64, guess: f64| format!("{} / {}", whole(measured), whole(guess));
            let all = measured.all.map_or("-".to_owned(), |all| both(all, guess.all));
            println!(
                "| {} | {n} | {} | {} | {all} | {} | {} |",
                shape.name(),
                both(measured.one, guess.one),
                both(measured.busiest, guess.busiest),
                both(measured.equal, guess.equal),
                both(measured.differs, guess.differs),
            );
        }
    }
    println!("\nthe model beyond what was run, all of them writers\n");
    println!(
        "| shape | replicas | most links of one | a change, all links | busiest replica | a change when all write | a link comes up, one change apart |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for shape in Shape::ALL {
        for n in BEYOND.map(|n| n as f64) {
            let guess = model.guess(shape, n, n);
            println!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                shape.name(),
                whole(n),
                whole(shape.most_links(n)),
                whole(guess.one),
                whole(guess.busiest),
                whole(guess.all),
                whole(guess.differs),
            );
        }
    }
    Ok(())
}

/// What the model says.
struct Guess {
    one: f64,
    busiest: f64,
    all: f64,
    equal: f64,
    differs: f64,
}

impl Sizes {
    fn guess(&self, shape: Shape, n: f64, origins: f64) -> Guess {
        let crossing = self.change + self.ack;
        let heard = self.change + (n - 1.0) * DEPENDENCY_BYTES;
        Guess {
            one: shape.crossings(n) * crossing,
            busiest: shape.busiest(n) * crossing,
            all: shape.crossings(n) * (heard + self.ack),
            equal: self.equal,
            differs: self.differs + vectors(origins) + crossing,
        }
    }
}

/// Bytes by which two sides tell each other vectors that differ in one entry: whole, or above
/// `OUTLINE_ABOVE` entries by digests of buckets of at most 128 and the one that differs.
fn vectors(origins: f64) -> f64 {
    if origins <= OUTLINE_ABOVE as f64 {
        return 2.0 * ENTRY_BYTES * origins;
    }
    let buckets = (origins / 128.0).log2().ceil().exp2().clamp(4.0, MAX_OUTLINE_BUCKETS as f64);
    2.0 * (OUTLINE_BYTES + 16.0 * buckets + ENTRY_BYTES * origins / buckets)
}

fn measure(shape: Shape, n: usize) -> Result<(Measured, Sizes)> {
    let stores = (0..n).map(store).collect::<Result<Vec<_>>>()?;
    let links = shape.links(n);
    let mut world = link_all(&stores, &links)?;
    let last = n - 1;
    // The first change opens streams, the second hears of nobody new.
    change(&stores, &mut world, last)?;
    change(&stores, &mut world, last)?;
    let (before, busy) = (world.said(), busiest(&world, n));
    change(&stores, &mut world, last)?;
    let said = world.said().since(before);
    let one = said.bytes() as f64;
    let busiest_bytes = busiest(&world, n).iter().zip(&busy).map(|(now, then)| now - then).max();
    let writers = if shape == Shape::Mesh { MESH_WRITERS } else { WRITERS };
    let (mut all, mut origins) = (None, 1);
    if n <= writers {
        let round =
            |world: &mut World<'_>| (0..n).try_for_each(|store| change(&stores, world, store));
        round(&mut world)?;
        let before = world.said();
        round(&mut world)?;
        all = Some(world.said().since(before).bytes() as f64 / n as f64);
        origins = n;
    }
    drop(world);
    let equal = link_all(&stores, &links)?;
    let equal_bytes = equal.said().bytes() as f64 / links.len() as f64;
    drop(equal);
    // One link of the last alone, after it has written.
    set(&stores[last])?;
    let (a, b) = *links.last().ok_or("there is a link")?;
    let mut apart = World::pair(&stores[a], &stores[b]);
    apart.run()?;
    let differs = apart.said().bytes() as f64;
    drop(apart);
    stores.iter().try_for_each(Store::close)?;
    let measured = Measured {
        one,
        busiest: busiest_bytes.unwrap_or_default() as f64,
        all,
        equal: equal_bytes,
        differs,
        origins,
    };
    let (change, ack) = (said.tails as f64, said.control as f64);
    let vectors = vectors(origins as f64);
    let sizes =
        Sizes { change, ack, equal: equal_bytes, differs: differs - vectors - change - ack };
    Ok((measured, sizes))
}

fn store(n: usize) -> Result<Store> {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(n as u64).to_be_bytes());
    let options = Options::new().key(NodeKey::from_seed(seed)).cache_bytes(1 << 20);
    Ok(options.open_on(Arc::new(MemDisk::new()))?)
}

fn link_all<'a>(stores: &'a [Store], links: &[(usize, usize)]) -> Result<World<'a>> {
    let mut world = World::new(stores.iter().collect());
    links.iter().for_each(|(a, b)| world.link(*a, *b));
    world.run()?;
    Ok(world)
}

fn change(stores: &[Store], world: &mut World<'_>, at: usize) -> Result<()> {
    set(&stores[at])?;
    world.committed(at);
    world.run()
}

/// Sets the one field of the store's own document.
fn set(store: &Store) -> Result<()> {
    let id = store.node_id().short().to_string();
    let value = store.stats()?.position.0;
    Ok(store.write(|txn| txn.set(NOTES, &id, "priority", value))?)
}

/// What each has said and was told, in bytes.
fn busiest(world: &World<'_>, n: usize) -> Vec<u64> {
    let both = |(out, back): (Said, Said)| out.bytes() + back.bytes();
    (0..n).map(|store| both(world.said_by(store))).collect()
}

/// A number with separators.
fn whole(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
