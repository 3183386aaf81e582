//! What the operating system gives that no safe crate covers: thin, safe wrappers, the only place with `unsafe`.
#![allow(unsafe_code)]

pub mod encoder_controls;
pub mod v4l2;

use crate::units::Time;

/// The monotonic clock (CLOCK_MONOTONIC, clock_gettime(2)), on which everything is stamped.
pub fn now() -> Time {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Time::from_nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// Whether the kernel says that a time server keeps the clock (adjtimex(2)); none when it may not be asked, as under
/// systemd's `ProtectClock=`.
pub fn clock_is_synchronised() -> Option<bool> {
    // SAFETY: `timex` is plain data, for which all zeroes is a value; modes = 0 asks and changes nothing.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&mut timex)
    };
    (state >= 0).then_some(state != libc::TIME_ERROR)
}

/// Ends the process at once (`_exit(2)`): no destructor and no `atexit` handler runs, so that none of them can hang.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes any value, has no precondition and does not return.
    unsafe { libc::_exit(code) }
}
