//! The algebra, the named schedules, crashes and hostile input once more, over documents that
//! are cut into runs nearly everywhere.

#![allow(clippy::duplicate_mod, reason = "each of these is also a test of its own")]

#[path = "algebra.rs"]
mod algebra;
#[path = "conflict_log.rs"]
mod conflict_log;
#[path = "crash.rs"]
mod crash;
#[path = "hostile.rs"]
mod hostile;
#[path = "schedules.rs"]
mod schedules;
#[path = "tape.rs"]
mod tape;
#[path = "tape_by.rs"]
mod tape_by;
#[path = "tape_undo.rs"]
mod tape_undo;
