//! What the operating system gives that no safe crate covers; the only file with `unsafe`.
#![allow(unsafe_code)]

use crate::units::Time;

/// The monotonic clock (CLOCK_MONOTONIC, clock_gettime(2)).
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
