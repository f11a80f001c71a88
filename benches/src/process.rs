//! What the system says of this process. Zero where it does not say (only Linux does).

use std::fs;
use std::time::Duration;

/// Processor time of this thread so far.
pub(crate) fn thread_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// The most memory that was resident since [`forget_peak`].
pub(crate) fn peak_kib() -> u64 {
    status("VmHWM:")
}

/// Makes what is resident now the peak; gives it.
pub(crate) fn forget_peak() -> u64 {
    // Where this is refused the peak is that of the whole run, which only overstates.
    let _ = fs::write("/proc/self/clear_refs", "5");
    status("VmRSS:")
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
