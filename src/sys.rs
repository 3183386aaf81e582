//! What the operating system gives that no safe crate covers: thin, safe wrappers, the only place with `unsafe`.
#![allow(unsafe_code)]

pub mod encoder_controls;
pub mod framebuffer;
mod net;
pub mod srt;
pub mod v4l2;

pub use net::{ResolveError, TcpFigures, addresses, resolve, tcp_figures};

use crate::units::Time;
use std::{
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

/// The monotonic clock (CLOCK_MONOTONIC, clock_gettime(2)), on which everything is stamped.
pub fn now() -> Time {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Time::from_nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// Processor time that the calling thread has used (clock_gettime(2), CLOCK_THREAD_CPUTIME_ID).
pub fn processor_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// Calendar time since 1970 as the box believes it (clock_gettime(2), CLOCK_REALTIME); wrong while the clock is not set.
pub fn wall() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
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

/// Whether the kernel has Landlock, by which media workers are kept from files (landlock_create_ruleset(2)).
pub fn landlock_is_there() -> bool {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag, no attributes and a size of zero the call gives a number and touches no memory.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION) > 0 }
}

/// The descriptor of a serial port, to wait for it beside others: the crate gives only its number.
pub fn port_fd(port: &serialport::TTYPort) -> BorrowedFd<'_> {
    // SAFETY: the port owns its descriptor, keeps it open while it lives, and outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) }
}

/// Ends the process at once (`_exit(2)`): no destructor and no `atexit` handler runs, so that none of them can hang.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes any value, has no precondition and does not return.
    unsafe { libc::_exit(code) }
}
