//! The time-stamp counter.

/// The counter's value; 0 where there is none.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn ticks() -> u64 {
    #[expect(unsafe_code, reason = "the instruction has no safe form")]
    // SAFETY: every x86-64 processor has the instruction, and it reads a register only. Linux lets
    // programs use it unless they forbade it to themselves by prctl(PR_SET_TSC).
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn ticks() -> u64 {
    0
}

/// Returns whether the kernel keeps its own time by the counter, which it does only where the
/// counter runs evenly and alike on all cores.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) fn keeps_time() -> bool {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(super) fn keeps_time() -> bool {
    false
}
