//! The test picture's counter and flash, and the test sound's beep (pure). They are drawn over what GStreamer's test
//! sources make, so that what arrives at an ingest can be checked: no picture missing, and sound with its picture.

use crate::{access_unit::SAMPLE_RATE, units::Rate};

/// Cells along the top edge: white, black, 20 bits of the counter, 2 bits of their sum.
const CELLS: usize = 24;
const WHITE: u8 = 235;
const BLACK: u8 = 16;
/// How long flash and beep last, nanoseconds.
const FLASH: u64 = 100_000_000;
const SECOND: u64 = 1_000_000_000;

/// The counter of a picture captured at `time` (nanoseconds on the monotonic clock): steps by one for each picture.
pub fn counter(time: u64, rate: Rate) -> u32 {
    let (num, den) = (u128::from(rate.num), u128::from(rate.den) * u128::from(SECOND));
    (((u128::from(time) * num + den / 2) / den) & 0xf_ffff) as u32
}

/// Moves the stamps of pictures that come at a steady rate to whole multiples of their period on the clock, so that each
/// whole second that can have a picture has one.
#[derive(Debug)]
pub struct Cadence {
    rate: Rate,
    /// The first stamp, and its place among the multiples.
    first: Option<(u64, u64)>,
}

impl Cadence {
    /// For pictures at `rate`.
    pub fn new(rate: Rate) -> Self {
        Self { rate, first: None }
    }

    /// The stamp of the picture that GStreamer stamped `time`; less than a period earlier.
    pub fn stamp(&mut self, time: u64) -> u64 {
        let (num, den) = (u128::from(self.rate.num), u128::from(self.rate.den) * u128::from(SECOND));
        let (began, place) = *self.first.get_or_insert_with(|| (time, (u128::from(time) * num / den) as u64));
        let pictures = (u128::from(time.saturating_sub(began)) * num + den / 2) / den;
        ((u128::from(place) + pictures) * den / num) as u64
    }
}

/// Draws counter and flash into the luma plane of a picture captured at `time` nanoseconds.
///
/// A row of 24 cells starts at the top left corner, each width/32 by height/18 pixels: white, black, the counter's 20
/// bits (most significant first, white is one), the number of ones among them modulo 4 in 2 bits. The centre, from 3/8
/// to 5/8 of width and height, is white for 100 ms from each whole second and black otherwise. A plane that is too small
/// is left as it is.
pub fn draw(luma: &mut [u8], width: usize, height: usize, stride: usize, time: u64, rate: Rate) {
    let (cell_width, cell_height) = (width / 32, height / 18);
    if width > stride || luma.len() < stride * height.saturating_sub(1) + width {
        return;
    }
    let count = counter(time, rate);
    let bits = 1 << 23 | count << 2 | (count.count_ones() % 4);
    for row in luma.chunks_mut(stride).take(cell_height) {
        for (cell, pixels) in row[..CELLS * cell_width].chunks_exact_mut(cell_width.max(1)).enumerate() {
            pixels.fill(if bits >> (CELLS - 1 - cell) & 1 == 1 { WHITE } else { BLACK });
        }
    }
    // A picture that lasts longer than the flash still shows it: the first one at or after the whole second.
    let lit = time % SECOND < FLASH.max(rate.period());
    for row in luma.chunks_mut(stride).take(height * 5 / 8).skip(height * 3 / 8) {
        row[width * 3 / 8..width * 5 / 8].fill(if lit { WHITE } else { BLACK });
    }
}

/// Writes 16-bit stereo samples (little endian) that start at `time` nanoseconds: 1 kHz at -12 dBFS for 100 ms from each
/// whole second, silence otherwise.
pub fn beep(samples: &mut [u8], time: u64) {
    let start = ((u128::from(time) * u128::from(SAMPLE_RATE) + u128::from(SECOND / 2)) / u128::from(SECOND)) as u64;
    for (sample, position) in samples.as_chunks_mut::<4>().0.iter_mut().zip(start..) {
        let since = position % SAMPLE_RATE;
        let value = if since < SAMPLE_RATE / 10 { tone(since) } else { 0 };
        let [low, high] = value.to_le_bytes();
        *sample = [low, high, low, high];
    }
}

/// 1 kHz at -12 dBFS, `position` samples after it began.
fn tone(position: u64) -> i16 {
    const PERIOD: u64 = SAMPLE_RATE / 1000;
    let amplitude = f64::from(i16::MAX) * 10f64.powf(-12.0 / 20.0);
    let phase = (position % PERIOD) as f64 / PERIOD as f64;
    (amplitude * (std::f64::consts::TAU * phase).sin()).round() as i16
}

#[cfg(test)]
#[path = "../../tests/picture/mod.rs"]
mod picture;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NTSC: Rate = Rate::new(30_000, 1001);

    #[test]
    fn the_counter_steps_by_one() {
        for rate in [Rate::new(30, 1), NTSC, Rate::new(60, 1), Rate::new(24_000, 1001)] {
            let time = |n: u64| n * SECOND * u64::from(rate.den) / u64::from(rate.num);
            for n in 1_000_000..1_100_000 {
                assert_eq!(u64::from(counter(time(n), rate)), n & 0xf_ffff);
            }
        }
    }

    #[test]
    fn stamps_meet_whole_seconds() {
        for rate in [Rate::new(30, 1), Rate::new(24, 1), Rate::new(60, 1), Rate::new(25, 1)] {
            let mut cadence = Cadence::new(rate);
            let first = 3_679_194_491_045;
            let stamps: Vec<u64> =
                (0..200u64).map(|n| cadence.stamp(first + n * SECOND / u64::from(rate.num))).collect();
            assert!(first - stamps[0] < rate.period());
            assert!(stamps.contains(&3_680_000_000_000), "{rate}");
            let counters: Vec<u32> = stamps.iter().map(|&stamp| counter(stamp, rate)).collect();
            assert!(counters.windows(2).all(|pair| pair[1] == pair[0] + 1), "{rate}");
        }
    }

    #[test]
    fn the_flash_is_on_for_100_ms_from_each_whole_second() {
        let (width, height, rate) = (640, 360, Rate::new(30, 1));
        let shown = |ms: u64| {
            let mut luma = vec![90; width * height];
            draw(&mut luma, width, height, width, ms * 1_000_000, rate);
            picture::read(&luma, width, height, width).expect("a counter").flash
        };
        assert_eq!([999, 1000, 1099, 1100, 1500].map(shown), [false, true, true, false, false]);
    }

    #[test]
    fn the_beep_is_100_ms_of_1_khz_at_minus_12_db() {
        let mut samples = vec![1; 4 * 48_000];
        // Half a second before a whole second.
        beep(&mut samples, 7_500_000_000);
        let left: Vec<i16> = samples.as_chunks::<4>().0.iter().map(|s| i16::from_le_bytes([s[0], s[1]])).collect();
        assert!(left[..24_001].iter().chain(&left[28_800..]).all(|&sample| sample == 0));
        let beep = &left[24_000..28_800];
        assert_eq!(beep.iter().max(), Some(&8231));
        let crossings = beep.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert_eq!(crossings, 99);
        assert!(samples.as_chunks::<4>().0.iter().all(|s| s[..2] == s[2..]));
    }

    proptest! {
        #[test]
        fn what_is_drawn_reads_back(time in 0u64..1_000_000_000_000_000, width in 64usize..2000, height in 36usize..1200, pad in 0usize..64) {
            let stride = width + pad;
            let mut luma = vec![90; stride * height];
            draw(&mut luma, width, height, stride, time, NTSC);
            let card = picture::read(&luma, width, height, stride).expect("a counter");
            prop_assert_eq!(card.counter, counter(time, NTSC));
            prop_assert_eq!(card.flash, time % SECOND < FLASH);
            // Nothing else is touched.
            prop_assert_eq!(luma[(height - 1) * stride], 90);
        }

        #[test]
        fn any_plane_is_drawn_on_or_left(length in 0usize..5000, width in 0usize..200, height in 0usize..200, stride in 1usize..200) {
            draw(&mut vec![0; length], width, height, stride, 12, NTSC);
            beep(&mut vec![0; length], 12);
        }

        #[test]
        fn a_damaged_counter_is_not_read(bit in 2usize..24) {
            let (width, height) = (640, 360);
            let mut luma = vec![90; width * height];
            draw(&mut luma, width, height, width, 77_000_000_000, NTSC);
            for row in luma.chunks_mut(width).take(20) {
                for pixel in &mut row[bit * 20..bit * 20 + 20] {
                    *pixel = 251 - *pixel;
                }
            }
            prop_assert_eq!(picture::read(&luma, width, height, width), None);
        }
    }
}
