//! Keeps captured sound on the monotonic clock (pure).
//!
//! A sound card counts time by its own crystal, some 50 ppm off, and says when samples came only as well as the scheduler
//! lets it: late by milliseconds now and then, never early. Here each block of samples gets the stamp that its count says;
//! the least lateness over a quarter second says how far the count is off, which is made up by blocks one sample longer
//! or shorter, unheard. Where samples were lost the stamps jump by what is missing.

use crate::access_unit::SAMPLE_RATE;

/// Nanoseconds off the clock below which nothing is done.
const DEAD_BAND: i64 = 1_000_000;
/// Nanoseconds off the clock that are no drift: samples were lost, or the device started anew.
const JUMP: i64 = 20_000_000;
/// Samples over which the least lateness is taken.
const WINDOW: u64 = SAMPLE_RATE / 4;

/// What to do with a block of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When its first sample was captured, nanoseconds on the monotonic clock.
    pub time: u64,
    /// Samples that it has to have; one more or less than came, or as many.
    pub samples: usize,
    /// Whether it does not follow the block before it.
    pub gap: bool,
}

/// The sound's position on the clock.
#[derive(Debug, Default)]
pub struct Drift {
    /// Where counting began, and how much was counted since.
    anchor: Option<u64>,
    counted: u64,
    /// The window that is being measured: samples in it, and the least lateness.
    window: u64,
    least: Option<i64>,
    /// Samples still to be added (positive) or left out.
    owed: i64,
}

impl Drift {
    /// Takes `samples` samples that, by the device, begin at `stamp` nanoseconds.
    pub fn take(&mut self, stamp: u64, samples: usize) -> Step {
        let Some(expected) = self.anchor.map(|anchor| anchor + nanos(self.counted)) else {
            return self.restart(stamp, samples, false);
        };
        let late = stamp.cast_signed() - expected.cast_signed();
        // Nothing is early but by a jump.
        if late < -JUMP {
            return self.restart(stamp, samples, true);
        }
        let least = self.least.map_or(late, |least| least.min(late));
        self.least = Some(least);
        self.window += samples as u64;
        if self.window >= WINDOW {
            (self.window, self.least) = (0, None);
            if least > JUMP {
                return self.restart(expected + least.unsigned_abs(), samples, true);
            }
            // Half of it: one window's least lateness is itself late by a little.
            let off = if least.abs() < DEAD_BAND { 0 } else { least / 2 };
            self.owed = off * SAMPLE_RATE.cast_signed() / 1_000_000_000;
        }
        let change = if samples > 1 { self.owed.signum() } else { 0 };
        self.owed -= change;
        let samples = samples.saturating_add_signed(change as isize);
        self.counted += samples as u64;
        Step { time: expected, samples, gap: false }
    }

    fn restart(&mut self, stamp: u64, samples: usize, gap: bool) -> Step {
        *self = Self { anchor: Some(stamp), counted: samples as u64, ..Self::default() };
        Step { time: stamp, samples, gap }
    }
}

fn nanos(samples: u64) -> u64 {
    (u128::from(samples) * 1_000_000_000 / u128::from(SAMPLE_RATE)) as u64
}

/// Makes `samples` (16-bit stereo, little endian) `count` samples long, by straight lines between them.
pub fn stretch(samples: &[u8], count: usize) -> Vec<u8> {
    let input = samples.as_chunks::<4>().0;
    let Some(last) = input.len().checked_sub(1) else { return vec![0; count * 4] };
    let mut out = Vec::with_capacity(count * 4);
    for index in 0..count {
        let at = if count > 1 { index as f64 * last as f64 / (count - 1) as f64 } else { 0.0 };
        let (before, part) = ((at as usize).min(last), at.fract());
        let after = (before + 1).min(last);
        for channel in [0, 2] {
            let value = |at: usize| f64::from(i16::from_le_bytes([input[at][channel], input[at][channel + 1]]));
            let value = value(before) + (value(after) - value(before)) * part;
            out.extend_from_slice(&(value.round() as i16).to_le_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: usize = 480;

    /// A card whose crystal is off by `ppm`, read late by what `jitter` gives in turn; `lost` nanoseconds are missing
    /// after half of the blocks. Gives each step with the true capture time of its block.
    fn run(ppm: f64, jitter: &[u64], blocks: usize, lost: u64) -> Vec<(Step, u64)> {
        let mut drift = Drift::default();
        (0..blocks)
            .map(|n| {
                let played = n as f64 * 10e6 / (1.0 + ppm / 1e6);
                let truth = 5_000_000_000 + played as u64 + if n >= blocks / 2 { lost } else { 0 };
                (drift.take(truth + jitter[n % jitter.len()], BLOCK), truth)
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn stamps_follow_the_clock_without_a_gap(ppm in -300.0..300.0f64, jitter in prop::collection::vec(0u64..8_000_000, 3..20)) {
            let least = *jitter.iter().min().expect("jitter");
            let steps = run(ppm, &jitter, 12_000, 0);
            for pair in steps.windows(2) {
                let (step, next) = (pair[0].0, pair[1].0);
                prop_assert!(!next.gap);
                let length = nanos(step.samples as u64);
                prop_assert!(next.time.abs_diff(step.time + length) <= 1, "{step:?} {next:?}");
            }
            // After it settled, within 3 ms of the truth (and of the least lateness, which nothing can see through).
            for (step, truth) in &steps[1500..] {
                let off = step.time.cast_signed() - (truth + least).cast_signed();
                prop_assert!(off.abs() < 3_000_000, "{off} ns off");
            }
        }

        #[test]
        fn an_hour_at_200_ppm_stays_within_40_ms(fast in any::<bool>(), jitter in prop::collection::vec(0u64..8_000_000, 3..20)) {
            let blocks = 360_000;
            let steps = run(if fast { 200.0 } else { -200.0 }, &jitter, blocks, 0);
            let most = steps.iter().map(|(step, truth)| step.time.abs_diff(*truth)).max();
            prop_assert!(most < Some(12_000_000), "the lateness of reading and some milliseconds: {most:?}");
            // The counts were changed, and not only the stamps: viewers' players count samples.
            let samples: usize = steps.iter().map(|(step, _)| step.samples).sum();
            let owed = nanos(samples as u64).abs_diff(steps[blocks - 1].0.time - steps[0].0.time + 10_000_000);
            prop_assert!(owed < 2_000_000, "{samples} samples");
            prop_assert!(samples.abs_diff(blocks * BLOCK).abs_diff(34_560) < 1000, "720 ms of an hour: {samples}");
        }

        #[test]
        fn lost_sound_shows_as_a_gap(lost in 30_000_000u64..2_000_000_000, jitter in prop::collection::vec(0u64..5_000_000, 3..9)) {
            let steps = run(40.0, &jitter, 400, lost);
            let gaps: Vec<usize> = (0..400).filter(|&n| steps[n].0.gap).collect();
            prop_assert_eq!(gaps.len(), 1, "{:?}", gaps);
            prop_assert!((200..=250).contains(&gaps[0]), "within a quarter second, not at {}", gaps[0]);
            let (step, truth) = steps[399];
            prop_assert!(step.time.abs_diff(truth) < 6_000_000);
        }

        #[test]
        fn any_stamps_are_taken(stamps in prop::collection::vec((any::<u32>(), 0usize..3000), 0..50)) {
            let mut drift = Drift::default();
            for (stamp, samples) in stamps {
                let step = drift.take(u64::from(stamp), samples);
                prop_assert!(step.samples.abs_diff(samples) <= 1);
            }
        }
    }

    #[test]
    fn a_stalled_reader_that_lost_nothing_is_no_gap() {
        // 15 blocks come at once after 150 ms.
        let mut drift = Drift::default();
        for n in 0..300u64 {
            let due = 1_000_000_000 + n * 10_000_000;
            let read = if (100..115).contains(&n) { 1_000_000_000 + 115 * 10_000_000 } else { due };
            assert!(!drift.take(read, BLOCK).gap, "block {n}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_is_a_gap_at_once() {
        let mut drift = Drift::default();
        drift.take(1_000_000_000, BLOCK);
        assert_eq!(drift.take(500_000_000, BLOCK), Step { time: 500_000_000, samples: BLOCK, gap: true });
    }

    #[test]
    fn stretching_keeps_ends_and_shape() {
        let ramp: Vec<u8> =
            (0..480i16).flat_map(|n| [(n * 10).to_le_bytes(), (n * -10).to_le_bytes()].concat()).collect();
        for count in [479, 480, 481] {
            let out = stretch(&ramp, count);
            let left: Vec<i16> = out.as_chunks::<4>().0.iter().map(|s| i16::from_le_bytes([s[0], s[1]])).collect();
            assert_eq!((left.len(), left[0], left[count - 1]), (count, 0, 4790));
            assert!(left.windows(2).all(|pair| (9..=11).contains(&(pair[1] - pair[0]))));
        }
        assert_eq!(stretch(&ramp, 480), ramp);
        assert_eq!(stretch(&[], 2), [0; 8]);
    }
}
