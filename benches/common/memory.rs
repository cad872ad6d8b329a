//! How much memory this process has.

/// Bytes of this process that are in memory.
pub fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("its second number");
    // SAFETY: it only returns a number.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}
