//! When something that nobody sees is tried again (pure but for the jitter).

use super::Trouble;
use crate::units::Time;
use std::time::Duration;

/// How long it is tried while network or API do not work. X counts its limits for 15 minutes.
const LONGEST: Duration = Duration::from_secs(20 * 60);
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(30);

/// How long is waited between tries.
pub(super) struct Patience {
    until: Time,
    pause: Duration,
}

impl Patience {
    pub(super) fn from(now: Time) -> Self {
        Self { until: now + LONGEST, pause: FIRST }
    }

    /// After how long it is tried again; none: it is not. Twice as long each time, up to 30 s, by half more or less;
    /// after [`Trouble::TooMany`] not before X's own time.
    pub(super) fn wait(&mut self, trouble: &Trouble, now: Time) -> Option<Duration> {
        if !trouble.passes() {
            return None;
        }
        let mut wait = self.pause.mul_f64(0.5 + fastrand::f64());
        if let Trouble::TooMany(least) = trouble {
            wait += *least;
        }
        self.pause = (self.pause * 2).min(LAST);
        (now + wait <= self.until).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_for_some_time() {
        let start = Time::from_nanos(5_000_000_000);
        let mut patience = Patience::from(start);
        assert_eq!(patience.wait(&Trouble::Revoked, start), None);
        let (mut now, mut tries) = (start, 0);
        while let Some(wait) = patience.wait(&Trouble::Unreachable, now) {
            assert!((FIRST / 2..=LAST * 2).contains(&wait));
            (now, tries) = (now + wait, tries + 1);
        }
        assert!((20..100).contains(&tries), "{tries}");
        assert!(now.since(start) > LONGEST - LAST * 2);
        let minute = Duration::from_secs(60);
        let wait = Patience::from(start).wait(&Trouble::TooMany(minute), start).expect("again");
        assert!((minute..minute + LAST).contains(&wait));
        assert_eq!(Patience::from(start).wait(&Trouble::TooMany(LONGEST), start), None);
    }
}
