//! A child that ends when its parent does, however that ends.

/// Has the kernel end this process when `parent`, which started it, ends.
pub fn end_with(parent: u32) {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and touches no memory; getppid takes nothing.
    let now_under = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid()
    };
    // It ended before the kernel was asked.
    if u32::try_from(now_under) != Ok(parent) {
        std::process::exit(1);
    }
}
