//! The algebra, the named schedules, crashes and hostile input once more, over documents that
//! are cut into runs nearly everywhere.

#[path = "algebra.rs"]
mod algebra;
#[path = "common/mod.rs"]
mod common;
#[path = "crash.rs"]
mod crash;
#[path = "hostile.rs"]
mod hostile;
#[path = "schedules.rs"]
mod schedules;
