//! What the operating system gives that no safe crate covers; the only place with `unsafe`.

pub mod v4l2;

use crate::units::Time;

/// The monotonic clock (CLOCK_MONOTONIC, clock_gettime(2)).
pub fn now() -> Time {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Time::from_nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}
