//! What the system says of this process. Memory is zero where it does not say (only Linux does).

use std::fs;
use std::time::Duration;

/// Processor time of this thread so far.
pub(crate) fn thread_time() -> Duration {
    clock(rustix::time::ClockId::ThreadCPUTime)
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

/// Processor time of all threads of this process so far.
pub(crate) fn process_time() -> Duration {
    clock(rustix::time::ClockId::ProcessCPUTime)
}

fn clock(id: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(id);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What is resident now.
pub(crate) fn resident_kib() -> u64 {
    status("VmRSS:")
}

/// The load of the machine over the last minute, as the system words it.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Bytes that a file or a directory takes on the disk.
pub(crate) fn disk_bytes(path: &std::path::Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path)?;
    let inside = match meta.is_dir() {
        true => fs::read_dir(path)?.map(|entry| disk_bytes(&entry?.path())).sum(),
        false => Ok(0),
    };
    Ok(inside? + if meta.is_dir() { 0 } else { meta.blocks() * 512 })
}
