//! Frames as they arrive on the streams of a link.

use littoral::sync::ask::Answer;
use littoral::sync::message::{Control, PROTOCOL_VERSION, Tail};

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
}

fn same(message: &Control, back: Option<Control>, frame: &[u8]) {
    match message {
        Control::Hello(hello) if hello.version != PROTOCOL_VERSION => {}
        _ => assert_eq!(back.as_ref(), Some(message), "{frame:?}"),
    }
}
