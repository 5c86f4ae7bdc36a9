//! How much memory this machine has, and how much of it this process holds.

/// Kept in memory where the machine does not say what it has.
const FALLBACK: u64 = 4 << 30;

/// Bytes of outputs, networks included, that may stay in memory: half of what the machine has.
pub(crate) fn budget() -> u64 {
    total().map_or(FALLBACK, |bytes| bytes / 2)
}

/// Bytes that runs may use: what programs can still take, within the limit of the control group.
pub(crate) fn limit() -> Option<u64> {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok());
    [available(), group].into_iter().flatten().min()
}

/// Bytes of this process that are in memory, mapped weights included; `None` where the system does not tell.
pub(crate) fn resident() -> Option<u64> {
    // `statm` has the same number in pages, and the size of a page takes a system call to know.
    field("/proc/self/status", "VmRSS:")
}

/// Bytes that the machine has, where it says so.
pub(crate) fn total() -> Option<u64> {
    field("/proc/meminfo", "MemTotal:")
}

/// Bytes that programs can still take, where the machine says so.
pub(crate) fn available() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// A number of bytes from a file of Linux, where it stands behind a name, in units of 1,024.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_some_of_the_memory_there_is() {
        let (resident, total) = (resident().unwrap(), total().unwrap());
        assert!(resident > 0 && resident < total, "{resident} of {total}");
    }
}
