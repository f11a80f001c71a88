//! Frames as they arrive on the streams of a link.

use littoral::id::{Hash, Head, NodeId, Origin, ShortHash};
use littoral::limits::MAX_MEMBER_NAME_BYTES;
use littoral::sync::ask::Answer;
use littoral::sync::joining::{Guest, Host, Message as Joining};
use littoral::sync::message::{Control, PROTOCOL_VERSION, Tail};
use littoral::sync::outline::Outline;
use littoral::txn::joining::{JoinRefusal, JoinRequest, Welcome};
use littoral::txn::roster::{Right, Rights};
use littoral::txn::ticket::TicketSecret;

use super::stores::{key, scope};

/// Any frame, type first.
pub fn message(data: &[u8]) {
    if let Ok(message) = Control::from_frame(data) {
        let frame = message.to_frame();
        match &message {
            // Control characters in a reason become spaces.
            Control::Bye { .. } | Control::Halt { .. } => {}
            // Of another version only the beginning is read.
            Control::Hello(hello) if hello.version != PROTOCOL_VERSION => {}
            _ => assert_eq!(&frame[4..], data),
        }
        same(&message, Control::from_frame(&frame[4..]).ok(), &frame);
    }
    if let Ok(message) = Tail::from_frame(data) {
        let frame = message.to_frame();
        assert_eq!(&frame[4..], data);
    }
    if let Ok(answer) = Answer::from_frame(data) {
        let frame = answer.to_frame();
        if !matches!(answer, Answer::Gone(_)) {
            assert_eq!(&frame[4..], data);
        }
        assert_eq!(Answer::from_frame(&frame[4..]).ok(), Some(answer));
    }
    if let Ok(message) = Joining::from_frame(data) {
        let frame = message.to_frame();
        if !matches!(message, Joining::Bye { .. } | Joining::Join { request: None, .. }) {
            assert_eq!(&frame[4..], data);
        }
        assert_eq!(Joining::from_frame(&frame[4..]).ok(), Some(message));
    }
    join(data);
}

/// Anything, as it arrives at both sides of joining: a first frame, and what comes after it.
fn join(data: &[u8]) {
    let (_, mut guest) = Guest::begin(request(None));
    let mut host = Host::new(key(0).id(), key(1).id());
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes();
    for bytes in [&length[..], data, data] {
        if let Some(Ok(request)) = host.hear(bytes) {
            assert!(request.name.len() <= MAX_MEMBER_NAME_BYTES);
        }
        if let Some(Err(parting)) = guest.hear(bytes) {
            Joining::from_frame(&parting.to_frame()[4..]).expect("its own bytes");
        }
    }
}

fn request(founder: Option<NodeId>) -> JoinRequest {
    let secret = TicketSecret::from_bytes([3; 16]);
    JoinRequest { secret, network: scope().network, founder, name: "phone".to_owned() }
}

/// How a long vector is told, without the lengths of frames.
pub(super) fn outline_seeds() -> Vec<Vec<u8>> {
    let (collection, vector) = (|| "notes".to_owned(), Hash([8; 32]));
    let buckets = vec![ShortHash([9; 16]); 4];
    let head = Head { seq: 7, hash: ShortHash([1; 16]) };
    let origin = Origin { node: key(0).id(), incarnation: 3 };
    let messages = [
        Control::Outline { collection: collection(), outline: Outline { vector, buckets } },
        Control::Pick { collection: collection(), vector, buckets: vec![0, 3] },
        Control::Picked {
            collection: collection(),
            digest: vector,
            vector: [(origin, head)].into_iter().collect(),
        },
    ];
    messages.map(|message| message.to_frame()[4..].to_vec()).to_vec()
}

/// The frames of joining, without their lengths.
pub(super) fn joining_seeds() -> Vec<Vec<u8>> {
    let join = |founder| Guest::begin(request(founder)).0;
    let welcome = Welcome {
        founder: key(0).id(),
        inviter: "hub".to_owned(),
        rights: Rights::only(Right::Write, ["notes"]),
        statements: vec![vec![1, 2, 3]],
    };
    let host = Host::new(key(0).id(), key(1).id());
    let refused = host.answer(Err(JoinRefusal::Used)).expect_err("a refusal");
    let frames = [
        join(None),
        join(Some(key(0).id())),
        Joining::Welcome(welcome).to_frame(),
        refused.to_frame(),
    ];
    frames.map(|frame| frame[4..].to_vec()).to_vec()
}

fn same(message: &Control, back: Option<Control>, frame: &[u8]) {
    match message {
        Control::Hello(hello) if hello.version != PROTOCOL_VERSION => {}
        _ => assert_eq!(back.as_ref(), Some(message), "{frame:?}"),
    }
}
