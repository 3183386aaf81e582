//! How many samples a second really come from a sound card (pure).
//!
//! HDMI sound has the sample rate of whatever plays, and that changes without the card knowing: a card that only passes the
//! receiver's samples on calls 44,100 a second 48,000. The clock tells.

/// Rates that sound has.
const RATES: [u32; 7] = [32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000];
/// Nanoseconds over which samples are counted. Stamps are late by milliseconds, so that this is right to a percent.
const WINDOW: u64 = 1_000_000_000;
/// Parts per thousand that a count may be off a rate; the nearest two rates are 81 apart.
const TOLERANCE: u64 = 15;
/// Windows in a row that have to agree.
const AGREED: u32 = 2;

/// Counts samples against the clock.
#[derive(Debug)]
pub struct Pace {
    /// What the samples are taken for.
    rate: u32,
    /// When the window began, and the samples in it.
    window: Option<(u64, u64)>,
    /// What the last windows found, and how many of them in a row.
    found: Option<(u32, u32)>,
}

impl Pace {
    /// For sound that is taken to have `rate` samples a second.
    pub fn new(rate: u32) -> Self {
        Self { rate, window: None, found: None }
    }

    /// Takes `samples` samples that were read at `stamp` nanoseconds; gives the true rate when it turns out to be another one,
    /// which the sound is taken to have from then on.
    pub fn take(&mut self, stamp: u64, samples: usize) -> Option<u32> {
        let (begun, count) = self.window.get_or_insert((stamp, 0));
        let Some(passed) = stamp.checked_sub(*begun) else {
            // The clock of stamps never goes back but when the device starts anew.
            (self.window, self.found) = (None, None);
            return None;
        };
        if passed < WINDOW {
            *count += samples as u64;
            return None;
        }
        let measured = u128::from(*count) * 1_000_000_000 / u128::from(passed);
        self.window = Some((stamp, samples as u64));
        let near = |rate: &&u32| {
            let rate = u128::from(**rate);
            measured.abs_diff(rate) * 1000 <= rate * u128::from(TOLERANCE)
        };
        self.found = RATES.iter().find(near).map(|rate| match self.found {
            Some((before, times)) if before == *rate => (before, times + 1),
            _ => (*rate, 1),
        });
        let (rate, _) = self.found.filter(|(rate, times)| *times >= AGREED && *rate != self.rate)?;
        self.rate = rate;
        Some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Blocks of 480 samples at `rate` for `seconds`, stamped late by what `jitter` gives in turn: the rates found, and when.
    fn run(pace: &mut Pace, begin: u64, rate: f64, seconds: u64, jitter: &[u64]) -> Vec<(u64, u32)> {
        let blocks = (seconds as f64 * rate / 480.0) as usize;
        let told = (0..blocks).filter_map(|n| {
            let at = (n as f64 * 480.0 / rate * 1e9) as u64;
            pace.take(begin + at + jitter[n % jitter.len()], 480).map(|found| (at / 1_000_000, found))
        });
        told.collect()
    }

    #[test]
    fn each_change_of_the_rate_is_told_once_within_some_seconds() {
        let mut pace = Pace::new(48_000);
        let mut begin = 1 << 40;
        for (rate, told) in [(48_000, None), (44_100, Some(44_100)), (32_000, Some(32_000)), (48_000, Some(48_000))] {
            let found = run(&mut pace, begin, f64::from(rate), 20, &[0, 3_000_000, 1_000_000]);
            assert_eq!(found.iter().map(|(_, rate)| *rate).collect::<Vec<_>>(), told.into_iter().collect::<Vec<_>>());
            assert!(found.iter().all(|(at, _)| *at < 3200), "{found:?}");
            begin += 20_000_000_000;
        }
    }

    #[test]
    fn neither_a_crystal_nor_losses_nor_a_flood_are_another_rate() {
        for rate in [47_800.0, 48_200.0, 46_000.0, 40_000.0, 5_000_000.0] {
            assert_eq!(run(&mut Pace::new(48_000), 7, rate, 20, &[0]), [], "{rate}");
        }
    }

    proptest! {
        #[test]
        fn jitter_and_drift_are_never_taken_for_another_rate(
            ppm in -500.0..500.0f64, jitter in prop::collection::vec(0u64..9_000_000, 1..20), rate in prop::sample::select(RATES.to_vec()),
        ) {
            let true_rate = f64::from(rate) * (1.0 + ppm / 1e6);
            prop_assert_eq!(run(&mut Pace::new(rate), 1 << 33, true_rate, 15, &jitter), []);
        }

        #[test]
        fn any_stamps_are_taken(stamps in prop::collection::vec((any::<u64>(), 0usize..100_000), 0..50)) {
            let mut pace = Pace::new(48_000);
            for (stamp, samples) in stamps {
                pace.take(stamp, samples);
            }
        }
    }
}
