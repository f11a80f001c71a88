//! What a member can try that may write, or says it may: transactions and statements of the roster,
//! genuine ones, forged ones, and too many.

use std::collections::BTreeSet;

use littoral::clock::Timestamp;
use littoral::id::{Dot, Head, Origin, ShortHash, Vector};
use littoral::limits::{MAX_CLOCK_LEAD_MS, MAX_VOUCHES_OF_MEMBER};
use littoral::sync::door::Offence;
use littoral::sync::message::Control;
use littoral::txn::roster::{
    Grant, Right, Rights, RosterScope, Says, Statement, Succession, Vouch,
};
use littoral::{ErrorKind, Field, Fields, Store};

use super::members::breaches;
use super::speaker::{Author, Said, Speaker, have, network, txns, write};
use super::{Attack, wait_until};

const NOTES: &str = "notes";

/// Transactions in the name of another, and one that was changed.
pub(crate) async fn forged_dots(attack: Attack) -> String {
    while attack.last() < 4 {
        let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
        let mut forged = Author::new(&attack.key(), NOTES).write(20);
        match attack.tried() % 2 {
            0 => forged.bytes[1..33].copy_from_slice(attack.honest[0].as_bytes()),
            _ => *forged.bytes.last_mut().unwrap() ^= 1,
        }
        let mut tail = speaker.tail(NOTES).await;
        write(&mut tail, &txns(1, &[&forged])).await;
        let halted = |said: &Said| said.halts.get(NOTES) == Some(&Offence::Invalid);
        speaker.until("the collection is halted", halted).await;
        speaker.stays("the collection is halted").await;
    }
    "the collection is halted".to_owned()
}

/// Timestamps from the far future: taken, since they may be an honest mistake. Nobody's clock
/// follows them, and whoever has seen such a value overwrites it like any other.
pub(crate) async fn future(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut author = Author::new(&attack.key(), NOTES);
    let mut tail = speaker.tail(NOTES).await;
    for position in 1..=20 {
        attack.tried();
        let signed = author.write_at(Timestamp::from_millis((1 << 47) + position), 20);
        write(&mut tail, &txns(position, &[&signed])).await;
    }
    speaker.acked(NOTES, 20).await;
    let (id, [one, other]) = (author.document(1), attack.stores.clone());
    let (mut changes, seen) = (one.changes(Some(one.position())), id.clone());
    let holder = one.clone();
    wait_until(move || shows(&holder, &seen).is_some()).await;
    put(&one, &id, "mine").await;
    let (holder, seen) = (other.clone(), id.clone());
    wait_until(move || shows(&holder, &seen).as_deref() == Some("mine")).await;
    assert!(other.collection(NOTES).unwrap().get(&id).unwrap().unwrap().conflicts().is_empty());
    // What the node and the honest one write from now on, they write now.
    attack.put_at_the_node("written-by-the-node").await;
    let latest = now_ms() + MAX_CLOCK_LEAD_MS;
    let mut left = BTreeSet::from([id, "written-by-the-node".to_owned()]);
    wait_until(move || {
        while let Some(change) = changes.next(std::time::Duration::ZERO).unwrap() {
            let theirs = change.time.millis() >= 1 << 47;
            if !theirs && left.remove(&change.id) {
                assert!(change.time.millis() <= latest, "a clock has followed: {}", change.time);
            }
        }
        left.is_empty()
    })
    .await;
    let key = attack.key().id().to_string();
    assert!(attack.doctor().contains(&format!("node {key} has written at")));
    speaker.stays("taken, overwritten, reported").await
}

/// The same genuine transactions over and over, also when somebody has deleted what they wrote.
pub(crate) async fn replays(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut author = Author::new(&attack.key(), NOTES);
    let written: Vec<_> = (0..50).map(|_| author.write(100)).collect();
    let written: Vec<_> = written.iter().collect();
    let mut tail = speaker.tail(NOTES).await;
    write(&mut tail, &txns(1, &written)).await;
    speaker.acked(NOTES, 1).await;
    let (first, last, stores) = (author.document(1), author.document(50), attack.stores.clone());
    let (deletes, holder, seen) = (first.clone(), stores.clone(), last.clone());
    wait_until(move || holder.iter().all(|store| shows(store, &seen).is_some())).await;
    let one = stores[0].clone();
    again(move || one.collection(NOTES).unwrap().delete(&deletes).map(drop)).await;
    let (other, deleted) = (stores[1].clone(), first.clone());
    wait_until(move || shows(&other, &deleted).is_none()).await;
    let mut position = 1;
    while attack.goes_on(20) {
        attack.tried();
        position += 1;
        write(&mut tail, &txns(position, &written)).await;
        speaker.acked(NOTES, position.saturating_sub(50)).await;
    }
    speaker.acked(NOTES, position).await;
    let held = stores.iter().all(|store| shows(store, &last).is_some());
    let back = stores.iter().any(|store| shows(store, &first).is_some());
    assert!(held && !back && !attack.node_shows(&first).await, "what was deleted is back");
    speaker.stays("taken once; what was deleted stays so").await
}

/// Two transactions under one number, each over another link: both are kept, and it is reported.
pub(crate) async fn equivocates(attack: Attack) -> String {
    let mut author = Author::new(&attack.key(), NOTES);
    let shared = author.write(10);
    let other = author.alternative(Timestamp::from_millis(1_700_000_000_001), 30);
    let one = author.write(20);
    attack.tried();
    let mut first = Speaker::listen(attack.at, attack.manner()).await;
    let mut tail = first.tail(NOTES).await;
    write(&mut tail, &txns(7, &[&shared, &one])).await;
    first.acked(NOTES, 7).await;
    drop(first);
    attack.tried();
    let mut second = Speaker::listen(attack.at, attack.manner()).await;
    let head = Head { seq: 2, hash: other.hash.short() };
    let vector: Vector = [(author.as_origin, head)].into_iter().collect();
    second.say(&have(NOTES, vector)).await;
    let differs = |said: &Said| said.differs.contains_key(NOTES);
    second.until("the node says where the histories differ", differs).await;
    let last = Dot { origin: author.as_origin, seq: 1 };
    second.say(&Control::Shared { collection: NOTES.to_owned(), last }).await;
    let mut tail = second.begin(NOTES).await;
    write(&mut tail, &txns(8, &[&other])).await;
    let (asks, key) = (attack.clone(), attack.key().id().to_string());
    wait_until(move || asks.doctor().contains(&format!("({key}) has forked"))).await;
    // Everywhere: what both sides wrote in the document is there as a conflict.
    let (id, stores) = (author.document(2), attack.stores.clone());
    wait_until(move || {
        stores.iter().all(|store| {
            let found = store.collection(NOTES).unwrap().get(&id).unwrap();
            let sides = |conflict: &littoral::Conflict| conflict.candidates.len();
            found.is_some_and(|document| document.conflicts().iter().map(sides).eq([2]))
        })
    })
    .await;
    "both kept everywhere, and reported".to_owned()
}

/// A writer that writes what it may as fast as the node takes it, where the honest write too.
pub(crate) async fn writes(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut author = Author::new(&attack.key(), NOTES);
    let mut tail = speaker.tail(NOTES).await;
    let mut sent = 0_u64;
    while attack.goes_on(300) {
        attack.tried();
        sent += 1;
        let signed = author.write(1000);
        write(&mut tail, &txns(sent, &[&signed])).await;
        speaker.acked(NOTES, sent.saturating_sub(500)).await;
    }
    speaker.acked(NOTES, sent).await;
    speaker.stays("all of it is taken").await
}

/// A reader that writes. Until it knows the same roster as the node, it may just know more.
pub(crate) async fn reader_writes(attack: Attack) -> String {
    attack.tried();
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    speaker.until("the node names its roster", |said| said.roster.is_some()).await;
    let digest = speaker.heard(|said| said.roster).expect("it is here");
    speaker.say(&Control::Roster { founder: attack.hub, digest }).await;
    let signed = Author::new(&attack.key(), NOTES).write(20);
    let halted = |said: &Said| said.halts.get(NOTES) == Some(&Offence::Forbidden);
    // It might not have known what it may do: it is asked again before the node gives up.
    while !speaker.heard(halted) {
        let mut tail = speaker.tail(NOTES).await;
        let before = speaker.heard(|said| said.asked.get(NOTES).copied());
        write(&mut tail, &txns(1, &[&signed])).await;
        let answers = |said: &Said| halted(said) || said.asked.get(NOTES).copied() > before;
        speaker.until("the node asks again, or halts the collection", answers).await;
    }
    speaker.stays("the collection is halted").await
}

fn scope(attack: &Attack) -> RosterScope {
    RosterScope { network: network(), founder: attack.hub }
}

/// Vouches for what does not exist, each another one: so many of a member are kept, and no more.
pub(crate) async fn vouches(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let before = known(&attack, &mut speaker, 0).await;
    let full = before + MAX_VOUCHES_OF_MEMBER;
    while attack.goes_on(MAX_VOUCHES_OF_MEMBER as u64 + 500) {
        let statements = (0..100).map(|_| {
            let n = attack.tried();
            let origin = Origin { node: attack.key().id(), incarnation: n as u32 };
            let head = Head { seq: 1, hash: ShortHash([1; 16]) };
            let vouch = Vouch { collection: NOTES.to_owned(), origin, head };
            Statement::sign(Says::Vouch(vouch), scope(&attack), &attack.key()).unwrap().bytes
        });
        let statements = statements.collect();
        assert!(
            speaker.say(&Control::Statements { statements }).await,
            "{:?}",
            speaker.ended().await
        );
    }
    let kept = known(&attack, &mut speaker, full).await;
    assert_eq!(kept, full);
    speaker.stays("4,096 are kept").await
}

/// How many statements the node knows, once that are at least so many.
async fn known(attack: &Attack, speaker: &mut Speaker, least: usize) -> usize {
    for n in 0.. {
        let answers = speaker.heard(|said| said.known.len());
        let mut digest = littoral::id::Hash([9; 32]);
        digest.0[0] = n as u8;
        speaker.say(&Control::Roster { founder: attack.hub, digest }).await;
        speaker.until("the node says what it knows", |said| said.known.len() > answers).await;
        let known = speaker.heard(|said| said.known.last().copied()).expect("it was said");
        if known >= least {
            return known;
        }
    }
    unreachable!()
}

/// Grants by one who is no admin.
pub(crate) async fn grants(attack: Attack) -> String {
    breaches(attack.clone(), async move |speaker| {
        let grant = Grant {
            after: BTreeSet::new(),
            time_ms: 1,
            member: attack.key().id(),
            name: "me".to_owned(),
            rights: Rights::everywhere(Right::Admin),
        };
        let signed = Statement::sign(Says::Grant(grant), scope(&attack), &attack.key()).unwrap();
        speaker.say(&Control::Statements { statements: vec![signed.bytes] }).await;
    })
    .await
}

/// Successions that nobody signed: of another's key, by a key of the attacker's; for a key whose
/// holder has not agreed; and with a signature that belongs to another one.
pub(crate) async fn successions(attack: Attack) -> String {
    breaches(attack.clone(), async move |speaker| {
        let (scope, us) = (scope(&attack), attack.key());
        let signed = |time_ms| {
            let heir = littoral::txn::NodeKey::from_seed([0x77; 32]);
            let succession = Succession::new(BTreeSet::new(), time_ms, scope, us.id(), &heir);
            Statement::sign(Says::Succession(succession), scope, &us).unwrap().bytes
        };
        let (mut forged, other) = (signed(1), signed(2));
        let (issuer, heir) = (34..66, 75..107);
        match attack.last() % 3 {
            0 => forged[issuer].copy_from_slice(attack.honest[0].as_bytes()),
            1 => forged[heir].copy_from_slice(attack.honest[0].as_bytes()),
            _ => {
                let signature = forged.len() - 64;
                forged[signature..].copy_from_slice(&other[signature..]);
            }
        }
        speaker.say(&Control::Statements { statements: vec![forged] }).await;
    })
    .await
}

/// Statements that are none.
pub(crate) async fn no_statements(attack: Attack) -> String {
    breaches(attack, async |speaker| {
        speaker.say(&Control::Statements { statements: vec![vec![1; 200]; 1000] }).await;
    })
    .await
}

/// Says that its roster is another, over and over: the node answers with all it knows, the last.
pub(crate) async fn rosters(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    while attack.goes_on(100) {
        let n = attack.tried();
        let digest = littoral::id::Hash([n as u8; 32]);
        let said = speaker.say(&Control::Roster { founder: attack.hub, digest }).await;
        assert!(said, "{:?}", speaker.ended().await);
    }
    speaker.stays("stays").await
}

/// What a store shows of the text of an attacker, or of who has overwritten it.
fn shows(store: &Store, id: &str) -> Option<String> {
    let found = store.collection(NOTES).unwrap().get(id).unwrap()?;
    found.get("v").and_then(|field| field.as_str()).map(str::to_owned)
}

async fn put(store: &Store, id: &str, text: &str) {
    let fields = Fields::from([("v".to_owned(), Field::from(text))]);
    let (notes, id) = (store.collection(NOTES).unwrap(), id.to_owned());
    again(move || notes.put(&id, &fields)).await;
}

/// Writes; a fork that is noticed meanwhile has it done again.
async fn again(write: impl Fn() -> littoral::Result<()> + Send + 'static) {
    let written = tokio::task::spawn_blocking(move || {
        while let Err(error) = write() {
            assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
        }
    });
    written.await.unwrap();
}

fn now_ms() -> u64 {
    use littoral::clock::WallClock;
    littoral::clock::SystemClock.now_ms()
}
