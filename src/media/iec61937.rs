//! Finds compressed sound (AC-3, DTS, ...) that comes as if it were PCM samples (pure; IEC 61937-1).
//!
//! An HDMI source that was not told otherwise may send such bursts, and most receivers pass them on as 16-bit samples
//! without a word: loud noise on air. Each burst starts with the words Pa and Pb in neighbouring channels.

const PA: u16 = 0xf872;
const PB: u16 = 0x4e1f;
/// Bursts come every 512 to 6144 frames; by chance the two words come once in a day of noise.
const WANTED: u32 = 3;
const WITHIN: u64 = 2 * 6144;

/// Looks at captured samples as they come.
#[derive(Debug, Default)]
pub struct Detector {
    last: u16,
    since_burst: u64,
    bursts: u32,
}

impl Detector {
    /// Takes the next samples, all channels in turn, `width` bytes each (little endian), their upper 16 bits at byte
    /// `upper`. Says whether they are compressed sound.
    pub fn take(&mut self, samples: &[u8], width: usize, upper: usize) -> bool {
        for sample in samples.chunks_exact(width.max(1)) {
            let Some(word) = sample.get(upper..upper + 2) else { return false };
            let word = u16::from_le_bytes([word[0], word[1]]);
            self.since_burst += 1;
            if word == PB && self.last == PA {
                self.bursts = if self.since_burst < 2 * WITHIN { self.bursts + 1 } else { 1 };
                self.since_burst = 0;
            }
            self.last = word;
        }
        self.bursts >= WANTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two channels of AC-3: a burst every 1536 frames with `noise` in between.
    fn ac3(bursts: usize, noise: u8) -> Vec<u16> {
        let mut words = Vec::new();
        for _ in 0..bursts {
            words.extend([PA, PB, 0x0001, 0x3000]);
            words.extend((4..1536 * 2).map(|n| (n as u16).wrapping_mul(257) ^ u16::from(noise)));
        }
        words
    }

    fn bytes(words: &[u16], pad: usize) -> Vec<u8> {
        words.iter().flat_map(|word| [vec![0; pad], word.to_le_bytes().to_vec()].concat()).collect()
    }

    #[test]
    fn compressed_sound_is_found_in_samples_of_any_width() {
        for pad in [0, 1, 2] {
            let mut detector = Detector::default();
            // As it comes from a device: 10 ms at a time.
            let found =
                bytes(&ac3(4, 9), pad).chunks(480 * 2 * (2 + pad)).any(|block| detector.take(block, 2 + pad, pad));
            assert!(found, "{pad}");
        }
    }

    #[test]
    fn the_words_by_chance_are_not_enough() {
        let mut detector = Detector::default();
        for _ in 0..10 {
            assert!(!detector.take(&bytes(&[PA, PB], 0), 2, 0));
            assert!(!detector.take(&vec![0; 48_000 * 4], 2, 0));
        }
    }

    proptest! {
        #[test]
        fn sound_is_not_taken_for_it(samples in prop::collection::vec(-30_000i16..18_000, 0..3000), width in 0usize..5, upper in 0usize..5) {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            // 0x4e1f is 19999: never reached here.
            prop_assert!(!Detector::default().take(&bytes, 2, 0));
            let _ = Detector::default().take(&bytes, width, upper);
        }
    }
}
