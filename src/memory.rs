//! How much memory this machine has.

/// Kept in memory where the machine does not say what it has.
const FALLBACK: u64 = 4 << 30;

/// Bytes of outputs, networks included, that may stay in memory: half of what the machine has.
pub(crate) fn budget() -> u64 {
    total().map_or(FALLBACK, |bytes| bytes / 2)
}

/// Bytes that the machine has, where it says so.
pub(crate) fn total() -> Option<u64> {
    entry("MemTotal:")
}

/// Bytes that programs can still take, where the machine says so.
pub(crate) fn available() -> Option<u64> {
    entry("MemAvailable:")
}

/// An entry of Linux's `/proc/meminfo`.
fn entry(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
