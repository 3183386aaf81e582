//! The bodies of RTMP audio, video and data messages: FLV tags without their header (Adobe "Video File Format" 10.1,
//! annex E.4; HEVC by "Enhanced RTMP" v1).

use super::{
    MediaInfo,
    amf::{self, Value},
};
use crate::{
    access_unit::{AccessUnit, CodecConfig, SAMPLE_RATE, Track},
    settings::Codec,
    units::Time,
};

/// Frame type in the upper half of the first byte: 1 is a key frame, 2 is not (E.4.3.1).
const KEY: u8 = 0x10;
const INTER: u8 = 0x20;
/// Enhanced RTMP: the first byte's highest bit says that a packet type and a FourCC follow.
const ENHANCED: u8 = 0x80;
const SEQUENCE_START: u8 = 0;
/// Coded frames with a composition time of zero, which is then not sent.
const CODED_FRAMES_X: u8 = 3;
/// AAC, and the constants that come with it: 44 kHz, 16 bit, stereo whatever the stream is (E.4.2.1).
const AAC: u8 = 0xaf;

/// What goes before an access unit's data in its message.
pub fn unit_prefix(unit: &AccessUnit) -> ([u8; 5], usize) {
    let frame = if unit.key { KEY } else { INTER };
    match *unit.config {
        CodecConfig::H264(_) => ([frame | 7, 1, 0, 0, 0], 5),
        CodecConfig::Hevc(_) => ([ENHANCED | frame | CODED_FRAMES_X, b'h', b'v', b'c', b'1'], 5),
        CodecConfig::Aac(_) => ([AAC, 1, 0, 0, 0], 2),
    }
}

/// The message that tells how to decode what follows.
pub fn sequence_header(config: &CodecConfig) -> Vec<u8> {
    let (prefix, record): (&[u8], _) = match config {
        CodecConfig::H264(record) => (&[KEY | 7, 0, 0, 0, 0], record),
        CodecConfig::Hevc(record) => (&[ENHANCED | KEY | SEQUENCE_START, b'h', b'v', b'c', b'1'], record),
        CodecConfig::Aac(record) => (&[AAC, 0], record),
    };
    [prefix, record].concat()
}

/// `onMetaData`, wrapped for a publisher (E.5).
pub fn metadata(media: &MediaInfo) -> Vec<u8> {
    let kilobits = |bits: u64| Value::Number(bits as f64 / 1000.0);
    // Enhanced RTMP: a codec without a number of its own is told by its FourCC.
    let video_codec = match media.codec {
        Codec::H264 => 7.0,
        Codec::Hevc => f64::from(u32::from_be_bytes(*b"hvc1")),
    };
    let pairs = [
        ("duration", Value::Number(0.0)),
        ("width", Value::Number(f64::from(media.mode.width))),
        ("height", Value::Number(f64::from(media.mode.height))),
        ("framerate", Value::Number(media.mode.picture_rate().hz())),
        ("videocodecid", Value::Number(video_codec)),
        ("videodatarate", kilobits(media.bitrate.bits())),
        ("audiocodecid", Value::Number(10.0)),
        ("audiodatarate", kilobits(media.audio_bitrate.bits())),
        ("audiosamplerate", Value::Number(SAMPLE_RATE as f64)),
        ("audiosamplesize", Value::Number(16.0)),
        ("audiochannels", Value::Number(2.0)),
        ("stereo", Value::Boolean(true)),
        ("encoder", Value::text(format!("Fieldcast {} ({})", env!("CARGO_PKG_VERSION"), media.encoder))),
    ];
    let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    amf::write_all(&[Value::text("@setDataFrame"), Value::text("onMetaData"), Value::Table(pairs)])
}

/// Turns capture times into message time stamps: milliseconds since the connection's first picture, modulo 2^32 (which
/// comes after 49.7 days), never stepping back within a track.
#[derive(Debug, Clone, Copy)]
pub struct Stamps {
    start: Time,
    last: [u64; 2],
}

impl Stamps {
    /// Time stamp zero is at `start`.
    pub fn new(start: Time) -> Self {
        Self { start, last: [0; 2] }
    }

    /// The time stamp of a unit; units before the start are at zero.
    pub fn stamp(&mut self, track: Track, time: Time) -> u32 {
        // Rounding keeps the error within half a millisecond, so that 29.97 Hz does not drift or cluster.
        let ms = (time.since(self.start).as_nanos() as u64).saturating_add(500_000) / 1_000_000;
        let last = &mut self.last[track as usize];
        *last = ms.max(*last);
        *last as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{BitRate, Mode, Rate};
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::{sync::Arc, time::Duration};

    fn prefix(config: CodecConfig, key: bool) -> Vec<u8> {
        let unit =
            AccessUnit { track: Track::Video, time: Time::ZERO, key, config: Arc::new(config), data: Bytes::new() };
        let (bytes, length) = unit_prefix(&unit);
        bytes[..length].to_vec()
    }

    #[test]
    fn tags_have_the_bytes_of_the_specifications() {
        let record = Bytes::from_static(b"\x01rec");
        assert_eq!(prefix(CodecConfig::H264(record.clone()), true), [0x17, 1, 0, 0, 0]);
        assert_eq!(prefix(CodecConfig::H264(record.clone()), false), [0x27, 1, 0, 0, 0]);
        assert_eq!(prefix(CodecConfig::Hevc(record.clone()), true), b"\x93hvc1");
        assert_eq!(prefix(CodecConfig::Hevc(record.clone()), false), b"\xa3hvc1");
        assert_eq!(prefix(CodecConfig::Aac(record.clone()), true), [0xaf, 1]);
        assert_eq!(sequence_header(&CodecConfig::H264(record.clone())), b"\x17\0\0\0\0\x01rec");
        assert_eq!(sequence_header(&CodecConfig::Hevc(record)), b"\x90hvc1\x01rec");
        assert_eq!(sequence_header(&CodecConfig::Aac(Bytes::from_static(&[0x11, 0x90]))), [0xaf, 0, 0x11, 0x90]);
    }

    #[test]
    fn metadata_tells_the_format() {
        let media = MediaInfo {
            mode: Mode::progressive(1280, 720, Rate::new(30000, 1001)),
            codec: Codec::Hevc,
            bitrate: BitRate::new(4_000_000),
            audio_bitrate: BitRate::new(128_000),
            encoder: "x265enc".into(),
        };
        let values = amf::read_all(&metadata(&media));
        assert_eq!(values[0].as_text(), Some("@setDataFrame"));
        let number = |name| values[2].get(name).and_then(Value::as_number);
        assert_eq!((number("width"), number("videodatarate")), (Some(1280.0), Some(4000.0)));
        assert_eq!(number("videocodecid"), Some(1_752_589_105.0));
        assert!((number("framerate").unwrap() - 29.97).abs() < 0.001);
    }

    #[test]
    fn time_stamps_go_on_over_the_32_bit_wrap() {
        let start = Time::from_millis(123_456);
        let mut stamps = Stamps::new(start);
        let wrap = Duration::from_millis(1 << 32);
        let at = |ms: i64| (start + wrap).shifted(ms * 1_000_000);
        let got: Vec<_> = [-40, -7, 0, 26, 59].iter().map(|ms| stamps.stamp(Track::Video, at(*ms))).collect();
        assert_eq!(got, [u32::MAX - 39, u32::MAX - 6, 0, 26, 59]);
        // The other track wraps for itself.
        assert_eq!(stamps.stamp(Track::Audio, at(-20)), u32::MAX - 19);
        assert_eq!(stamps.stamp(Track::Audio, at(1)), 1);
    }

    proptest! {
        #[test]
        fn stamps_are_near_the_truth_and_never_step_back(
            start in 0u64..1 << 60, steps in prop::collection::vec((any::<bool>(), 0u64..100_000_000), 1..100),
        ) {
            let (mut stamps, mut time, mut last) = (Stamps::new(Time::from_nanos(start)), start, [0u32; 2]);
            for (audio, step) in steps {
                let track = if audio { Track::Audio } else { Track::Video };
                time += step;
                let stamp = stamps.stamp(track, Time::from_nanos(time));
                prop_assert!((f64::from(stamp) - (time - start) as f64 / 1e6).abs() <= 0.5);
                prop_assert!(stamp >= last[track as usize]);
                last[track as usize] = stamp;
            }
        }
    }
}
