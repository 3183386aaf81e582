//! When to try the broker again.

use crate::units::Time;
use std::time::Duration;

/// The first wait, doubled after each failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest: fifty boxes that wait for a broker must not be what keeps it down.
const LONGEST: Duration = Duration::from_secs(30);
/// A connection that holds for so long was a good one: its loss is a new beginning.
const GOOD: Duration = Duration::from_secs(60);
/// One that is ended by the broker within this was not wanted.
const SHORT: Duration = Duration::from_secs(10);
/// After so many of those in a row another client has the same id: each throws the other out.
const THROWN_OUT: u32 = 3;

/// Waits between the attempts. It never gives up.
#[derive(Debug)]
pub struct Retry {
    failures: u32,
    /// Short connections in a row.
    short: u32,
    connected: Option<Time>,
    due: Time,
}

impl Retry {
    /// Tries at once.
    pub fn new(now: Time) -> Self {
        Self { failures: 0, short: 0, connected: None, due: now }
    }

    /// The broker has let the box in at `now`.
    pub fn connected(&mut self, now: Time) {
        self.connected = Some(now);
    }

    /// The connection, or the attempt at one, failed at `now`; `at_once`: the other version is worth a try. `random` is from 0
    /// to 1: it halves the wait at most, so that many boxes do not come back at the same moment. True: it looks as if
    /// another client threw the box out.
    pub fn lost(&mut self, now: Time, at_once: bool, random: f64) -> bool {
        let lasted = self.connected.take().map(|connected| now.since(connected));
        if lasted.is_some_and(|lasted| lasted >= GOOD) {
            self.failures = 0;
        }
        self.short = if lasted.is_some_and(|lasted| lasted < SHORT) { self.short + 1 } else { 0 };
        let wait = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        let wait = wait.mul_f64(1.0 - 0.5 * random.clamp(0.0, 1.0));
        // A broker that knows neither version gets no more attempts than any other.
        self.due = now + if at_once && self.failures == 0 { Duration::ZERO } else { wait };
        self.failures = self.failures.saturating_add(1);
        self.short >= THROWN_OUT
    }

    /// The network changed.
    pub fn at_once(&mut self, now: Time) {
        (self.failures, self.due) = (0, now);
    }

    /// When the next attempt is due.
    pub fn due(&self) -> Time {
        self.due
    }

    /// Whether it is due at `now`.
    pub fn is_due(&self, now: Time) -> bool {
        self.due <= now
    }

    /// When the connection will have been a good one.
    pub fn holds_at(&self) -> Option<Time> {
        self.connected.map(|connected| connected + GOOD)
    }

    /// Whether it is a good one at `now`.
    pub fn has_held(&self, now: Time) -> bool {
        self.holds_at().is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn waits(retry: &mut Retry, random: f64, count: usize) -> Vec<u128> {
        let mut now = at(0);
        let mut wait = || {
            retry.lost(now, false, random);
            let wait = retry.due().since(now);
            now = retry.due();
            wait.as_millis()
        };
        (0..count).map(|_| wait()).collect()
    }

    #[test]
    fn waits_double_with_jitter_and_begin_anew_after_a_good_connection() {
        assert_eq!(waits(&mut Retry::new(at(0)), 0.0, 7), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(waits(&mut Retry::new(at(0)), 1.0, 3), [500, 1000, 2000]);
        let mut retry = Retry::new(at(0));
        waits(&mut retry, 0.0, 9);
        retry.connected(at(100_000));
        assert!(!retry.has_held(at(159_999)) && retry.has_held(at(160_000)));
        retry.lost(at(170_000), false, 0.0);
        assert_eq!(retry.due(), at(171_000));
    }

    #[test]
    fn the_other_version_is_tried_at_once_but_not_for_ever() {
        let mut retry = Retry::new(at(0));
        retry.lost(at(10), true, 0.0);
        assert!(retry.is_due(at(10)));
        retry.lost(at(20), true, 0.0);
        assert!(!retry.is_due(at(1000)));
        retry.at_once(at(30));
        assert!(retry.is_due(at(30)));
    }

    #[test]
    fn who_is_thrown_out_again_and_again_has_a_rival() {
        let mut retry = Retry::new(at(0));
        let mut thrown_out = Vec::new();
        for round in 0..4 {
            retry.connected(at(round * 1000));
            thrown_out.push(retry.lost(at(round * 1000 + 500), false, 0.0));
        }
        assert_eq!(thrown_out, [false, false, true, true]);
        assert!(!retry.lost(at(9000), false, 0.0), "it was not let in");
    }
}
