//! When to try again.

use crate::uplink::Cause;
use std::time::Duration;

/// The first wait, doubled after each failure.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait in the first minute: who has just been on air wants to be back, and a try costs next to nothing.
const SHORT: Duration = Duration::from_secs(2);
/// How long is waited in all before waits grow on.
const MINUTE: Duration = Duration::from_secs(60);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(10);
/// After a rejection of a key that never worked: an ingest may lock out who insists.
const REJECTED: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one: its loss is a new beginning.
const GOOD: Duration = Duration::from_secs(10);

/// Waits between the attempts of one uplink. It never gives up.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
    /// All waits since the last success or reset.
    waited: Duration,
    worked: bool,
}

impl Backoff {
    /// Media was acknowledged: from now on a rejection means that the ingest has trouble, not that the key is wrong.
    pub fn worked(&mut self) {
        self.worked = true;
    }

    /// The network changed: past failures say nothing any more.
    pub fn reset(&mut self) {
        (self.failures, self.waited) = (0, Duration::ZERO);
    }

    /// How long to wait after a failure for `cause`, where media had flowed for `lasted`. `random` is from 0 to 1: it
    /// shortens the wait by up to a quarter, so that many boxes do not come back at the same moment.
    pub fn after(&mut self, cause: &Cause, lasted: Duration, random: f64) -> Duration {
        if lasted >= GOOD {
            self.reset();
        }
        let longest = if self.waited < MINUTE { SHORT } else { LONGEST };
        let wait = if cause.is_rejection() && !self.worked {
            REJECTED
        } else {
            FIRST.saturating_mul(1 << self.failures.min(16)).min(longest)
        };
        let jitter = if self.failures == 0 { 0.0 } else { 0.25 * random.clamp(0.0, 1.0) };
        let wait = wait.mul_f64(1.0 - jitter);
        self.failures = self.failures.saturating_add(1);
        self.waited += wait;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waits(backoff: &mut Backoff, cause: &Cause, count: usize) -> Vec<u128> {
        (0..count).map(|_| backoff.after(cause, Duration::ZERO, 0.0).as_millis()).collect()
    }

    #[test]
    fn doubles_up_to_two_seconds_then_to_ten_and_begins_anew() {
        let mut backoff = Backoff::default();
        assert_eq!(waits(&mut backoff, &Cause::Refused, 6), [250, 500, 1000, 2000, 2000, 2000]);
        assert!(waits(&mut backoff, &Cause::Refused, 27).iter().all(|wait| *wait == 2000), "short for a minute");
        assert_eq!(waits(&mut backoff, &Cause::Refused, 2), [10_000, 10_000]);
        backoff.reset();
        assert_eq!(waits(&mut backoff, &Cause::NoNetwork, 2), [250, 500]);
        assert_eq!(backoff.after(&Cause::Stalled, Duration::from_secs(3), 0.0).as_millis(), 1000);
        assert_eq!(backoff.after(&Cause::Stalled, Duration::from_secs(60), 0.0).as_millis(), 250);
    }

    #[test]
    fn a_rejection_waits_long_only_while_the_key_never_worked() {
        let mut backoff = Backoff::default();
        for cause in [Cause::KeyRejected, Cause::WrongApp, Cause::NameInUse] {
            assert_eq!(backoff.after(&cause, Duration::ZERO, 0.0), REJECTED);
        }
        backoff.reset();
        backoff.worked();
        assert_eq!(waits(&mut backoff, &Cause::NameInUse, 3), [250, 500, 1000]);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_promised(randoms in prop::collection::vec(-1.0f64..2.0, 1..100)) {
            let mut backoff = Backoff::default();
            for random in randoms {
                let wait = backoff.after(&Cause::Refused, Duration::ZERO, random);
                prop_assert!(wait >= FIRST && wait <= LONGEST);
            }
        }
    }
}
