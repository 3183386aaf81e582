//! The sound's peak meter: a peak stays for a second, so that a snapshot each second misses none.

use crate::units::Time;
use std::time::Duration;

/// How long a peak is gathered before it is shown.
const WINDOW: Duration = Duration::from_secs(1);

/// Peaks of each channel, dBFS.
#[derive(Debug, Default)]
pub struct Meter {
    shown: Vec<f64>,
    gathered: Vec<f64>,
    since: Time,
}

impl Meter {
    /// Takes peaks that were measured just now.
    pub fn take(&mut self, peaks: &[f64], now: Time) {
        if now.since(self.since) >= WINDOW || self.gathered.len() != peaks.len() {
            self.shown = std::mem::replace(&mut self.gathered, peaks.to_vec());
            self.since = now;
        }
        for (gathered, peak) in self.gathered.iter_mut().zip(peaks) {
            *gathered = gathered.max(*peak);
        }
    }

    /// The highest of the last second or two; empty without sound.
    pub fn peaks(&self) -> Vec<f64> {
        let both = self.gathered.iter().enumerate();
        both.map(|(channel, peak)| self.shown.get(channel).map_or(*peak, |shown| shown.max(*peak))).collect()
    }

    /// The sound has gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_peak_is_seen_for_a_second() {
        let mut meter = Meter::default();
        for tenth in 0..30 {
            let peak = if tenth == 5 { -12.0 } else { -120.0 };
            meter.take(&[peak, -60.0], Time::from_millis(10_000 + tenth * 100));
            let expected = if (5..20).contains(&tenth) { -12.0 } else { -120.0 };
            assert_eq!(meter.peaks(), [expected, -60.0], "after {tenth}00 ms");
        }
        meter.clear();
        assert!(meter.peaks().is_empty());
    }
}
