//! The test tone as a decoder gives it.

use crate::rig::run;
use fieldcast::program::tone;
use std::f64::consts::{SQRT_2, TAU};

/// An AAC frame with its header (ISO/IEC 13818-7 6.2): AAC-LC, 48 kHz, stereo.
fn adts(frame: &[u8]) -> Vec<u8> {
    let [a, b] = ((frame.len() as u16 + 7) << 3).to_be_bytes();
    let low = (frame.len() + 7) as u8;
    // The length's 13 bits lie across three bytes.
    let header = [0xff, 0xf1, 0x4c, 0x80 | a >> 6, (a << 2) | b >> 6, low << 5 | 0x1f, 0xfc];
    [&header[..], frame].concat()
}

#[test]
fn it_is_one_clean_kilohertz_for_ever() {
    // Two seconds, from each of the three frames on.
    for first in 0..3 {
        let frames: Vec<u8> = (first..first + 96).flat_map(|slot| adts(tone::frame(slot))).collect();
        let arguments =
            ["-v", "error", "-xerror", "-f", "aac", "-i", "-", "-f", "f32le", "-ac", "2", "-ar", "48000", "-"];
        let bytes = run("ffmpeg", &arguments, &frames);
        let samples: Vec<[f64; 2]> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&[a, b, c, d, e, f, g, h]| {
                [[a, b, c, d], [e, f, g, h]].map(|side| f64::from(f32::from_le_bytes(side)))
            })
            .collect();
        assert!(samples.len() > 94 * 1024, "all frames are decoded: {}", samples.len());
        // Whole cycles, without the beginning, where a decoder has no frame before.
        let steady = &samples[2048..][..48 * 1800];
        for side in 0..2 {
            let turn = |n: usize| TAU * n as f64 / 48.0;
            let dot = |wave: fn(f64) -> f64| -> f64 {
                let products = steady.iter().enumerate().map(|(n, sample)| sample[side] * wave(turn(n)));
                products.sum::<f64>() * 2.0 / steady.len() as f64
            };
            let (sine, cosine) = (dot(f64::sin), dot(f64::cos));
            let level = 20.0 * sine.hypot(cosine).log10();
            assert!((level + 20.0).abs() < 0.1, "{level:.2} dBFS");
            let rest = |(n, sample): (usize, &[f64; 2])| {
                (sample[side] - sine * turn(n).sin() - cosine * turn(n).cos()) / sine.hypot(cosine)
            };
            // A click would be a peak in what is left.
            let peak = steady.iter().enumerate().map(|one| rest(one).abs()).fold(0.0, f64::max);
            let power: f64 = steady.iter().enumerate().map(|one| rest(one).powi(2)).sum();
            let noise = (power / steady.len() as f64).sqrt() * SQRT_2;
            assert!(peak < 0.001 && noise < 0.0005, "a peak of {peak:.5} and noise of {noise:.5}");
        }
    }
}
