//! What a member can try: the node lets it in, and hears what it says.

use littoral::id::{Dot, Hash, Head, Position, ShortHash, Vector};
use littoral::sync::ask::Question;
use littoral::sync::door::Offence;
use littoral::sync::message::{CloseCode, Control, Hello, Tail};
use littoral::sync::outline::Outline;
use littoral::txn::snapshot::Span;
use quinn::VarInt;

use super::Attack;
use super::quic::{Manner, dial, endpoint};
use super::speaker::{Said, Speaker, have, hello, invented, origin, said_hello, write};

/// Something that is a breach: said on a fresh link after the hellos, it ends that link.
pub(crate) async fn breaches(attack: Attack, says: impl AsyncFn(&mut Speaker)) -> String {
    let mut reason = String::new();
    while attack.last() < 4 {
        let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
        attack.tried();
        says(&mut speaker).await;
        let (code, why) = speaker.ended().await;
        assert_eq!(code, CloseCode::Protocol, "{why}");
        reason = why;
    }
    reason
}

/// A hello byte by byte, one for each time that the node tells its status, and never the last.
pub(crate) async fn says_nothing(attack: Attack) -> String {
    let mut speaker = Speaker::silent(attack.at, attack.manner()).await;
    attack.tried();
    let names = (0..4096).map(|n| format!("slow{n}")).collect();
    let frame = Control::Hello(Hello { wanted: Some(names), ..said_hello() }).to_frame();
    for byte in frame[..frame.len() - 1].chunks(1) {
        if !speaker.is_up() || !speaker.shout(byte).await {
            break;
        }
        attack.looks().await;
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

/// Zeros, packed: a few hundred bytes that become as many mebibytes.
fn zeros(mebibytes: usize) -> Vec<u8> {
    // Zstandard by hand: magic, no checksum, a window of 1 MiB, blocks of one byte repeated.
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50];
    let blocks = 8 * mebibytes;
    for n in 1..=blocks {
        let header = (u32::from(n == blocks) | 1 << 1 | (128 << 10) << 3).to_le_bytes();
        out.extend_from_slice(&header[..3]);
        out.push(0);
    }
    out
}

/// Packed frames that become as much as a frame may have and are nothing, that become more than
/// they say, and that say at once to be larger than a frame may be.
pub(crate) async fn bombs(attack: Attack) -> String {
    breaches(attack.clone(), async move |speaker| {
        let (says, has) = match attack.last() % 3 {
            0 => (16, 16),
            1 => (16, 1024),
            _ => (1024, 1024),
        };
        let mut body = vec![24];
        let mut left: u64 = says << 20;
        while left >= 0x80 {
            body.push(left as u8 | 0x80);
            left >>= 7;
        }
        body.push(left as u8);
        body.extend(zeros(has));
        let mut tail = speaker.tail("notes").await;
        write(&mut tail, &[&(body.len() as u32).to_be_bytes()[..], &body].concat()).await;
    })
    .await
}

/// Says in short what it holds, over and over, each time something else, and never the rest.
pub(crate) async fn outlines(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    while attack.goes_on(500) {
        let n = attack.tried();
        let bucket = ShortHash([n as u8; 16]);
        let outline = Outline { vector: Hash([n as u8; 32]), buckets: vec![bucket; 4096] };
        let collection = "notes".to_owned();
        let message = Control::Outline { collection, number: n + 1, outline };
        if !speaker.say(&message).await {
            return speaker.ended().await.1;
        }
    }
    speaker.stays("answered each time").await
}

/// Counts can promise much, too.
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
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    attack.tried();
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
        let whose = attack.honest.iter().chain([&attack.hub]);
        let vector: Vector = whose.map(|node| (origin(*node), head)).collect();
        assert!(speaker.say(&have("notes", vector)).await, "{:?}", speaker.ended().await);
    }
    speaker.stays("nobody else is told less").await
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
    while attack.tried() < 4 {
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

/// Most of the streams that are allowed (QUIC gives room back by the thousand), each with the
/// beginning of something; then ever more.
pub(crate) async fn streams(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    speaker.say(&have("notes", Vector::new())).await;
    let mut open = Vec::new();
    while open.len() < 6000 {
        attack.tried();
        let Some(mut stream) = speaker.stream().await else { return speaker.ended().await.1 };
        write(&mut stream, &[0]).await;
        open.push(stream);
    }
    while attack.goes_on(6001) {
        for mut stream in open.drain(3000..) {
            let _ = stream.reset(VarInt::from_u32(0));
        }
        while open.len() < 6000 {
            attack.tried();
            let Some(mut stream) = speaker.stream().await else { return speaker.ended().await.1 };
            write(&mut stream, &[0, 0]).await;
            open.push(stream);
        }
    }
    speaker.stays("stays").await
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
    speaker.stays("stays").await
}

/// Begins a large frame and goes on byte by byte.
pub(crate) async fn slow_tail(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let mut tail = speaker.tail("notes").await;
    write(&mut tail, &(16u32 << 20).to_be_bytes()).await;
    while attack.goes_on(20) {
        attack.tried();
        assert!(write(&mut tail, &[17]).await);
        attack.looks().await;
    }
    speaker.stays("stays").await
}

/// Views that are asked for and not used, and questions in plenty, each within what is allowed.
pub(crate) async fn asks(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    speaker.say(&have("bulk", Vector::new())).await;
    while attack.goes_on(4) {
        let number = attack.tried();
        let collection = || "bulk".to_owned();
        let mut all =
            Control::Ask { collection: collection(), number, question: Question::View }.to_frame();
        for _ in 0..15 {
            let span = Span { start: String::new(), end: None };
            let question = Question::Pieces { span, per: 1 };
            all.extend(Control::Ask { collection: collection(), number, question }.to_frame());
        }
        speaker.shout(&all).await;
        // It takes up what comes next when it has answered all of these.
        speaker.stays("answered").await;
    }
    speaker.stays("all are answered").await
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
        assert!(speaker.shout(&frame).await, "{:?}", speaker.ended().await);
    }
    speaker.stays("stays").await
}

/// Many members at once; how many of them the node has told to go.
async fn together<F>(attack: &Attack, one: impl Fn(Attack) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let mut all = tokio::task::JoinSet::new();
    attack.crowd().for_each(|member| drop(all.spawn(one(member))));
    all.join_all().await.into_iter().filter(|ended| *ended).count()
}

/// Members that have the node begin all it holds anew, again and again, and say the roster and ask
/// for views; and that read nothing of it. Little is made ready for who takes nothing.
pub(crate) async fn never_reads(attack: Attack) -> String {
    let ended = together(&attack, |one: Attack| async move {
        let manner = Manner { window: 1024, ..one.manner() };
        let mut speaker = Speaker::greet(one.at, manner).await;
        let known = Control::Known { hashes: Vec::new() }.to_frame();
        let roster = Control::Roster { founder: one.hub, digest: Hash([1; 32]) }.to_frame();
        let restart = have("bulk", Vector::new()).to_frame();
        let view =
            Control::Ask { collection: "bulk".to_owned(), number: 1, question: Question::View };
        let said = [restart, known.repeat(64), roster.repeat(64), view.to_frame()].concat();
        while one.goes_on(200) {
            one.tried();
            if !speaker.shout(&said).await {
                let (code, why) = speaker.ended().await;
                assert_eq!(code, CloseCode::Limit, "{why}");
                return true;
            }
        }
        false
    });
    format!("{} of {} ended, little is held", ended.await, Attack::CROWD)
}

/// Lets the node open no stream, and has it begin some thousand, again and again.
pub(crate) async fn gives_no_streams(attack: Attack) -> String {
    let manner = Manner { streams: 0, ..attack.manner() };
    let mut speaker = Speaker::greet(attack.at, manner).await;
    attack.tried();
    let haves = (0..4000).map(|n| have(&format!("s{n}"), Vector::new()).to_frame());
    let haves: Vec<u8> = haves.flatten().collect();
    while speaker.shout(&haves).await {}
    let (code, why) = speaker.ended().await;
    assert_eq!(code, CloseCode::Limit, "{why}");
    why
}

/// Members that begin many large frames and end none: each holds less than a link may, and all
/// together more than the node gives to all. Some have to go, and others may stay.
pub(crate) async fn unfinished_frames(attack: Attack) -> String {
    const FRAMES: usize = 6;
    const FRAME: u32 = 16 << 20;
    let ended = together(&attack, |one: Attack| async move {
        let mut speaker = Speaker::listen(one.at, one.manner()).await;
        let part = vec![0; 1 << 20];
        let mut begun = Vec::new();
        for n in 0..FRAMES {
            let collection = format!("u{n}");
            let has_said = |said: &Said| said.haves.contains_key(&collection);
            speaker.say(&have(&collection, Vector::new())).await;
            if !speaker.hears("the node says what it holds", has_said).await {
                break;
            }
            let Some(mut tail) = speaker.stream().await else { break };
            let first = Tail::Tail { collection: collection.clone() }.to_frame();
            write(&mut tail, &[first, FRAME.to_be_bytes().to_vec(), vec![17]].concat()).await;
            for _ in 1..FRAME >> 20 {
                one.tried();
                write(&mut tail, &part).await;
            }
            begun.push(tail);
        }
        // All hold what they hold until some were told to go.
        one.is_counted("over_limit").await;
        !speaker.is_up()
    });
    let ended = ended.await;
    assert!(ended > 0, "none was told to go");
    format!("{ended} of {} ended", Attack::CROWD)
}

/// Names of branches without end.
pub(crate) async fn branches(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    speaker.say(&have("notes", Vector::new())).await;
    while attack.goes_on(20) {
        let n = attack.tried();
        let branches = vec![n as u8; 4 << 20];
        let said = Control::Branches { collection: "notes".to_owned(), branches };
        assert!(speaker.say(&said).await, "{:?}", speaker.ended().await);
    }
    speaker.until("it is halted", |said| said.halts.contains_key("notes")).await;
    speaker.stays("the collection is halted").await
}

/// More collections than a link carries, by a writer who may begin them.
pub(crate) async fn collections(attack: Attack) -> String {
    let mut speaker = Speaker::listen(attack.at, attack.manner()).await;
    let all = 5000;
    for n in 0..all {
        attack.tried();
        assert!(speaker.say(&have(&format!("c{n}"), Vector::new())).await);
    }
    let least = all - littoral::limits::MAX_LINK_COLLECTIONS;
    let turned_down = |said: &Said| said.halts.values().filter(|o| **o == Offence::TooMuch).count();
    speaker.until("the rest is turned down", |said| turned_down(said) >= least).await;
    speaker.stays("the rest is turned down").await
}
