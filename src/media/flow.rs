//! Whether a pipeline flows: when something was captured last, and whether the encoder answers (pure).

use super::Flow;
use crate::units::Time;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// Told by the pipeline's threads, read by the worker's. Times are nanoseconds on the monotonic clock.
#[derive(Debug)]
pub struct Gauge {
    captured: AtomicU64,
    on_air: AtomicBool,
    /// When something was captured on air of which nothing came out yet; zero: nothing is owed. What gets lost between
    /// capture and encoder is missed as well as what the encoder keeps.
    owed: AtomicU64,
    encoded: AtomicBool,
}

impl Gauge {
    /// A pipeline that starts at `now`.
    pub fn new(now: Time) -> Self {
        Self {
            captured: AtomicU64::new(now.nanos()),
            on_air: AtomicBool::new(false),
            owed: AtomicU64::new(0),
            encoded: AtomicBool::new(false),
        }
    }

    /// Something was captured.
    pub fn captured(&self, now: Time) {
        self.captured.store(now.nanos(), Ordering::Relaxed);
        if self.on_air() {
            let _ = self.owed.compare_exchange(0, now.nanos().max(1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// From now on what is captured is to be encoded.
    pub fn begin(&self) {
        self.on_air.store(true, Ordering::Relaxed);
    }

    /// Whether what is captured is to be encoded.
    pub fn on_air(&self) -> bool {
        self.on_air.load(Ordering::Relaxed)
    }

    /// Something came out. An encoder that looks ahead holds some back for good, so that this pays all debts.
    pub fn encoded(&self) {
        self.owed.store(0, Ordering::Relaxed);
        self.encoded.store(true, Ordering::Relaxed);
    }

    /// How it flows at `now`.
    pub fn read(&self, now: Time) -> Flow {
        let since = |nanos: u64| now.since(Time::from_nanos(nanos));
        let owed = self.owed.load(Ordering::Relaxed);
        Flow {
            captured: since(self.captured.load(Ordering::Relaxed)),
            waiting: if owed == 0 { Duration::ZERO } else { since(owed) },
            encoded: self.encoded.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_how_long_nothing_came_and_nothing_was_answered() {
        let at = Time::from_millis;
        let ms = Duration::from_millis;
        let gauge = Gauge::new(at(1000));
        assert_eq!(gauge.read(at(1700)), Flow { captured: ms(700), waiting: ms(0), encoded: false });
        gauge.captured(at(1750));
        assert_eq!(gauge.read(at(1800)).waiting, ms(0), "it is not on air");
        gauge.begin();
        gauge.captured(at(1767));
        gauge.captured(at(1800));
        assert_eq!(gauge.read(at(2000)), Flow { captured: ms(200), waiting: ms(233), encoded: false });
        gauge.encoded();
        assert_eq!(gauge.read(at(2000)), Flow { captured: ms(200), waiting: ms(0), encoded: true });
        gauge.captured(at(2100));
        gauge.captured(at(2133));
        assert_eq!(gauge.read(at(3100)).waiting, ms(1000), "from the first that has no answer");
    }
}
