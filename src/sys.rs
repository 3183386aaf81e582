//! The only place with `unsafe`: thin, safe wrappers around system calls that no crate wraps.
#![allow(unsafe_code)]

pub mod v4l2;

use crate::units::Time;

/// The monotonic clock, on which everything is stamped.
pub fn now() -> Time {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Time::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
