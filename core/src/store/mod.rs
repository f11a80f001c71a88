//! store

pub mod disk;
pub mod log;
