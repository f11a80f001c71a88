//! This machine, as people call it.

use littoral::limits::MAX_MEMBER_NAME_BYTES;

/// What this machine is called, as a member's name; empty if it has no name.
pub(crate) fn name() -> String {
    let name: String = host_name().chars().filter(|c| !c.is_control()).collect();
    name[..name.floor_char_boundary(MAX_MEMBER_NAME_BYTES)].to_owned()
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}
