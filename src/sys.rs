//! The only place with `unsafe`: thin, safe wrappers around system calls that no crate wraps.
#![allow(unsafe_code)]

pub mod encoder_controls;

use crate::units::Time;

/// Reads the monotonic clock (CLOCK_MONOTONIC), on which everything is stamped.
pub fn now() -> Time {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Time::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Ends the process at once (`_exit(2)`): no destructor and no `atexit` handler runs, so that none of them can hang.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes any value, has no precondition and does not return.
    unsafe { libc::_exit(code) }
}
