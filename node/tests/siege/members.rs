//! What a member can try: the node lets it in, and hears what it says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use littoral::clock::Timestamp;
use littoral::id::{Dot, Hash, Head, Origin, Position, ShortHash, Vector};
use littoral::sync::ask::Question;
use littoral::sync::message::{CloseCode, Control, Tail};
use littoral::txn::roster::{Grant, Right, Rights, RosterScope, Says, Statement, Vouch};
use littoral::txn::snapshot::Span;
use quinn::VarInt;

use super::quic::{Manner, dial, endpoint};
use super::speaker::{Author, Speaker, have, hello, invented, network, origin, txns, write};
use super::{Attack, wait_until};

/// Something that is a breach: said on a fresh link after the hellos, it ends that link.
async fn breaches(attack: Attack, says: impl AsyncFn(&mut Speaker)) -> String {
    let mut reason = String::new();
    while attack.tries_again() {
        let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
        says(&mut speaker).await;
        let (code, why) = speaker.ended().await;
        assert_eq!(code, CloseCode::Protocol, "{why}");
        reason = why;
    }
    reason
}

pub(crate) async fn says_nothing(attack: Attack) -> String {
    attack.tried();
    let mut speaker = Speaker::silent(attack.at, attack.manner()).await;
    let frame = hello().to_frame();
    // Byte by byte, and never the last.
    for byte in frame[..frame.len() - 1].chunks(1) {
        if !speaker.shout(byte).await || !speaker.is_up() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (code, why) = speaker.ended().await;
    assert_eq!(code, CloseCode::Timeout);
    why
}

pub(crate) async fn giant_frames(attack: Attack) -> String {
    breaches(attack, async |speaker| {
        speaker.shout(&u32::MAX.to_be_bytes()).await;
    })
    .await
}

pub(crate) async fn giant_frames_on_tails(attack: Attack) -> String {
    breaches(attack, async |speaker| {
        let mut tail = speaker.tail("notes").await;
        write(&mut tail, &u32::MAX.to_be_bytes()).await;
    })
    .await
}

/// The protocol has no compression, so no few bytes become many; but counts can promise much.
pub(crate) async fn promises(attack: Attack) -> String {
    breaches(attack.clone(), async move |speaker| {
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        let name = [&[5][..], b"notes"].concat();
        let body = match attack.last() % 4 {
            0 => [&[2][..], &name, &huge].concat(),
            1 => [&[7][..], &name, &[1; 44], &huge].concat(),
            2 => [&[11][..], &huge].concat(),
            _ => [&[12][..], &huge].concat(),
        };
        speaker.shout(&[&(body.len() as u32).to_be_bytes()[..], &body].concat()).await;
    })
    .await
}

/// A vector that names ten million origins, or 100,001: more than a message may.
pub(crate) async fn forged_vectors(attack: Attack) -> String {
    breaches(attack.clone(), async move |speaker| {
        let count: u32 = if attack.last().is_multiple_of(2) { 10_000_000 } else { 100_001 };
        let mut leb = Vec::new();
        let mut left = count;
        while left >= 0x80 {
            leb.push(left as u8 | 0x80);
            left >>= 7;
        }
        leb.push(left as u8);
        let mut body = [&[2, 5][..], b"notes", &leb].concat();
        body.resize(body.len() + 60 * count.min(100_001) as usize, 1);
        speaker.shout(&[&(body.len() as u32).to_be_bytes()[..], &body].concat()).await;
    })
    .await
}

pub(crate) async fn many_vectors(attack: Attack) -> String {
    attack.tried();
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let vector = invented(100_000);
    for n in 0..12 {
        speaker.say(&have(&format!("v{n}"), vector.clone())).await;
    }
    let (code, why) = speaker.ended().await;
    assert_eq!(code, CloseCode::Limit, "{why}");
    why
}

/// Claims to hold all that anybody ever wrote: nobody else is told less for that.
pub(crate) async fn claims_all(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    while attack.goes_on(200) {
        let n = attack.tried();
        let head = Head { seq: (1 << 45) + n, hash: ShortHash([n as u8; 16]) };
        let vector: Vector = attack.honest.iter().map(|node| (origin(*node), head)).collect();
        speaker.say(&have("notes", vector)).await;
    }
    let up = if speaker.is_up() { "stays" } else { "ended" };
    up.to_owned()
}

pub(crate) async fn acks_the_unsent(attack: Attack) -> String {
    breaches(attack, async |speaker| {
        speaker.tail("notes").await;
        let (collection, position) = ("notes".to_owned(), Position(u64::MAX));
        speaker.say(&Control::Ack { collection, position }).await;
    })
    .await
}

pub(crate) async fn half_closed(attack: Attack) -> String {
    breaches(attack, async |speaker| {
        let mut tail = speaker.tail("notes").await;
        write(&mut tail, &Tail::CaughtUp.to_frame()[..3]).await;
        let _ = tail.finish();
    })
    .await
}

pub(crate) async fn second_hello(attack: Attack) -> String {
    breaches(attack, async |speaker| {
        speaker.say(&hello()).await;
    })
    .await
}

pub(crate) async fn ends_control(attack: Attack) -> String {
    let mut why = String::new();
    while attack.tries_again() {
        let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
        let _ = speaker.control.finish();
        why = speaker.ended().await.1;
    }
    why
}

/// Connects again and again with one key.
pub(crate) async fn connections(attack: Attack) -> String {
    let from = endpoint();
    let mut kept = Vec::new();
    while attack.goes_on(60) {
        attack.tried();
        let mut dials = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (from, at, manner) = (from.clone(), attack.at, attack.manner());
            dials.spawn(async move { dial(&from, at, &manner).await });
        }
        while let Some(dialled) = dials.join_next().await {
            kept.extend(dialled.unwrap().ok());
        }
        kept.retain(|connection| connection.close_reason().is_none());
    }
    "the newest is kept".to_owned()
}

/// Most of the streams that are allowed (QUIC gives room back by the thousand), each with the beginning of something; then ever more.
pub(crate) async fn streams(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    speaker.say(&have("notes", Vector::new())).await;
    let mut open = Vec::new();
    for _ in 0..6000 {
        attack.tried();
        let mut stream = speaker.stream().await.expect("the link is up");
        write(&mut stream, &[0]).await;
        open.push(stream);
    }
    while attack.goes_on(6001) {
        for mut stream in open.drain(3000..) {
            let _ = stream.reset(VarInt::from_u32(0));
        }
        for _ in 0..3000 {
            attack.tried();
            let mut stream = speaker.stream().await.expect("the link is up");
            write(&mut stream, &[0, 0]).await;
            open.push(stream);
        }
    }
    if speaker.is_up() { "stays".to_owned() } else { speaker.ended().await.1 }
}

/// Frames of five bytes, as many as go through.
pub(crate) async fn tiny_frames(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut tail = speaker.tail("notes").await;
    let frame = Tail::CaughtUp.to_frame();
    while attack.goes_on(20_000) {
        attack.tried();
        if !write(&mut tail, &frame).await {
            tail = speaker.tail("notes").await;
        }
    }
    "stays".to_owned()
}

/// Begins a large frame and goes on byte by byte.
pub(crate) async fn slow_tail(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut tail = speaker.tail("notes").await;
    write(&mut tail, &(16u32 << 20).to_be_bytes()).await;
    while attack.goes_on(5) {
        attack.tried();
        write(&mut tail, &[17]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    "stays".to_owned()
}

/// Views that are asked for and not used, and questions in plenty, each within what is allowed.
pub(crate) async fn asks(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    speaker.say(&have("bulk", Vector::new())).await;
    let mut number = 0;
    while attack.goes_on(200) {
        number = attack.tried();
        let collection = || "bulk".to_owned();
        speaker
            .say(&Control::Ask { collection: collection(), number, question: Question::View })
            .await;
        for _ in 0..15 {
            let span = Span { start: String::new(), end: None };
            let question = Question::Pieces { span, per: 1 };
            speaker.say(&Control::Ask { collection: collection(), number, question }).await;
        }
    }
    if speaker.is_up() { format!("stays after {number} views") } else { speaker.ended().await.1 }
}

pub(crate) async fn asks_too_much(attack: Attack) -> String {
    breaches(attack, async |speaker| {
        speaker.say(&have("bulk", Vector::new())).await;
        let ask = |question| Control::Ask { collection: "bulk".to_owned(), number: 1, question };
        let mut all = ask(Question::View).to_frame();
        for _ in 0..5000 {
            let span = Span { start: String::new(), end: None };
            all.extend(ask(Question::List { span }).to_frame());
        }
        speaker.shout(&all).await;
    })
    .await
}

/// Says that histories differ, with as many hashes as are allowed.
pub(crate) async fn differs(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    speaker.say(&have("notes", Vector::new())).await;
    let from = Dot { origin: origin(attack.key().id()), seq: 16_384 };
    let hashes = vec![ShortHash([3; 16]); 16_384];
    let frame = Control::Differs { collection: "notes".to_owned(), from, hashes }.to_frame();
    while attack.goes_on(20) {
        attack.tried();
        if !speaker.shout(&frame).await {
            return speaker.ended().await.1;
        }
    }
    "stays".to_owned()
}

/// Has the node begin all it holds anew, again and again, and reads nothing of it.
pub(crate) async fn never_reads(attack: Attack) -> String {
    let manner = Manner { window: 1024, ..attack.manner() };
    let mut speaker = Speaker::greet(attack.at, manner).await;
    let known = Control::Known { hashes: Vec::new() }.to_frame();
    let restart = have("bulk", Vector::new()).to_frame();
    loop {
        attack.tried();
        let said = [restart.as_slice(), &known.repeat(64)].concat();
        if !speaker.shout(&said).await {
            let (code, why) = speaker.ended().await;
            assert_eq!(code, CloseCode::Limit, "{why}");
            return why;
        }
    }
}

/// Lets the node open no stream, and has it begin some thousand, again and again.
pub(crate) async fn gives_no_streams(attack: Attack) -> String {
    let manner = Manner { streams: 0, ..attack.manner() };
    let mut speaker = Speaker::greet(attack.at, manner).await;
    let haves = (0..4000).map(|n| have(&format!("s{n}"), Vector::new()).to_frame());
    let haves: Vec<u8> = haves.flatten().collect();
    loop {
        attack.tried();
        if !speaker.shout(&haves).await {
            let (code, why) = speaker.ended().await;
            assert_eq!(code, CloseCode::Limit, "{why}");
            return why;
        }
    }
}

/// Transactions in the name of another, and one that was changed.
pub(crate) async fn forged_dots(attack: Attack) -> String {
    while attack.tries_again() {
        let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
        let mut forged = Author::new(&attack.key(), "notes").write(20);
        match attack.last() % 2 {
            0 => forged.bytes[1..33].copy_from_slice(attack.honest[0].as_bytes()),
            _ => *forged.bytes.last_mut().unwrap() ^= 1,
        }
        let mut tail = speaker.tail("notes").await;
        write(&mut tail, &txns(1, &[&forged])).await;
        attack.is_counted("halted_invalid").await;
    }
    "the collection is halted".to_owned()
}

/// A timestamp from the far future: taken, but nobody's clock follows.
pub(crate) async fn future(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut author = Author::new(&attack.key(), "notes");
    let mut tail = speaker.tail("notes").await;
    for position in 1..=20 {
        attack.tried();
        let signed = author.write_at(Timestamp::from_millis((1 << 47) + position), 20);
        write(&mut tail, &txns(position, &[&signed])).await;
    }
    "taken; no clock follows".to_owned()
}

/// The same genuine transactions, over and over.
pub(crate) async fn replays(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut author = Author::new(&attack.key(), "notes");
    let written: Vec<_> = (0..50).map(|_| author.write(100)).collect();
    let frame = txns(1, &written.iter().collect::<Vec<_>>());
    let mut tail = speaker.tail("notes").await;
    while attack.goes_on(20) {
        attack.tried();
        if !write(&mut tail, &frame).await {
            return speaker.ended().await.1;
        }
    }
    "taken once".to_owned()
}

/// Two transactions under one number, each to another link.
pub(crate) async fn equivocates(attack: Attack) -> String {
    let mut author = Author::new(&attack.key(), "notes");
    let shared = author.write(10);
    let other = author.alternative(Timestamp::from_millis(1_700_000_000_001), 30);
    let one = author.write(20);
    attack.tried();
    let mut first = Speaker::listen(attack.at, attack.manner()).await;
    let mut tail = first.tail("notes").await;
    write(&mut tail, &txns(7, &[&shared, &one])).await;
    let heard = Arc::clone(&first.heard);
    wait_until(move || heard.acked.load(Ordering::Relaxed) == 7).await;
    attack.tried();
    let mut second = Speaker::listen(attack.at, attack.manner()).await;
    let head = Head { seq: 2, hash: other.hash.short() };
    let vector: Vector = [(author.as_origin, head)].into_iter().collect();
    second.say(&have("notes", vector)).await;
    let last = Dot { origin: author.as_origin, seq: 1 };
    second.say(&Control::Shared { collection: "notes".to_owned(), last }).await;
    let mut tail = second.stream().await.unwrap();
    write(&mut tail, &Tail::Tail { collection: "notes".to_owned() }.to_frame()).await;
    write(&mut tail, &txns(8, &[&other])).await;
    let (asks, key) = (attack.clone(), attack.key().id().to_string());
    wait_until(move || asks.doctor().contains(&format!("({key}) has forked"))).await;
    "both kept, and reported".to_owned()
}

/// A writer that writes what it may, as fast as it is taken, and minds the windows.
pub(crate) async fn writes(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut author = Author::new(&attack.key(), "flood");
    let mut tail = speaker.tail("flood").await;
    let mut sent = 0;
    while attack.goes_on(200) {
        sent += 1;
        attack.tried();
        let signed = author.write(1000);
        if !write(&mut tail, &txns(sent, &[&signed])).await {
            return speaker.ended().await.1;
        }
        while sent > speaker.heard.acked.load(Ordering::Relaxed) + 500 && speaker.is_up() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    "stays".to_owned()
}

/// A reader that writes.
pub(crate) async fn reader_writes(attack: Attack) -> String {
    attack.tried();
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let heard = Arc::clone(&speaker.heard);
    wait_until(move || heard.roster.lock().unwrap().is_some()).await;
    let digest = speaker.heard.roster.lock().unwrap().expect("it is here");
    speaker.say(&Control::Roster { founder: attack.hub, digest }).await;
    let signed = Author::new(&attack.key(), "notes").write(20);
    // It might not have known what it may do: it is asked again before the node gives up.
    for _ in 0..20 {
        let mut tail = speaker.tail("notes").await;
        write(&mut tail, &txns(1, &[&signed])).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    attack.is_counted("halted_forbidden").await;
    "the collection is halted".to_owned()
}

fn scope(attack: &Attack) -> RosterScope {
    RosterScope { network: network(), founder: attack.hub }
}

/// Vouches for what does not exist, each another one.
pub(crate) async fn vouches(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    while attack.goes_on(6000) {
        let statements = (0..100).map(|_| {
            let n = attack.tried();
            let origin = Origin { node: attack.key().id(), incarnation: n as u32 };
            let head = Head { seq: 1, hash: ShortHash([1; 16]) };
            let vouch = Vouch { collection: "notes".to_owned(), origin, head };
            Statement::sign(Says::Vouch(vouch), scope(&attack), &attack.key()).unwrap().bytes
        });
        let statements = statements.collect();
        if !speaker.say(&Control::Statements { statements }).await {
            return speaker.ended().await.1;
        }
    }
    "stays; 4,096 are kept".to_owned()
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

/// Statements that are none.
pub(crate) async fn no_statements(attack: Attack) -> String {
    breaches(attack, async |speaker| {
        speaker.say(&Control::Statements { statements: vec![vec![1; 200]; 1000] }).await;
    })
    .await
}

/// Says that its roster is another, over and over: the node answers each time with all it knows.
pub(crate) async fn rosters(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    while attack.goes_on(100) {
        let n = attack.tried();
        let digest = Hash([n as u8; 32]);
        if !speaker.say(&Control::Roster { founder: attack.hub, digest }).await {
            return speaker.ended().await.1;
        }
    }
    "stays".to_owned()
}

/// Names of branches without end.
pub(crate) async fn branches(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    speaker.say(&have("notes", Vector::new())).await;
    while attack.goes_on(20) {
        let n = attack.tried();
        let branches = vec![n as u8; 4 << 20];
        let said = Control::Branches { collection: "notes".to_owned(), branches };
        if !speaker.say(&said).await {
            return speaker.ended().await.1;
        }
    }
    "the collection is halted".to_owned()
}

/// More collections than a link carries, by a writer who may begin them.
pub(crate) async fn collections(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    for n in 0..5000 {
        attack.tried();
        speaker.say(&have(&format!("c{n}"), Vector::new())).await;
    }
    assert!(speaker.is_up());
    "the rest is turned down".to_owned()
}
