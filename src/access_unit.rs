//! The one thing that flows from the media workers through the timeline to every uplink: an encoded picture or sound frame.

use crate::units::Time;
use bytes::Bytes;
use std::sync::Arc;

/// Which of the two tracks of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Track {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// How to decode a track: what FLV calls the sequence header and MP4 the sample description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodecConfig {
    /// H.264: the `avcC` record (ISO/IEC 14496-15 5.3.3.1), always with 4-byte NAL lengths.
    H264(Bytes),
    /// HEVC: the `hvcC` record (ISO/IEC 14496-15 8.3.3.1), always with 4-byte NAL lengths.
    Hevc(Bytes),
    /// AAC: the AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1); the program is always AAC-LC, 48 kHz, stereo.
    Aac(Bytes),
}

/// One encoded picture or one AAC frame of 1024 samples.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessUnit {
    /// The track it belongs to.
    pub track: Track,
    /// When it was captured, on the monotonic clock; decoding and presentation time are one, as there are no B-frames.
    pub time: Time,
    /// Whether decoding can start here: an IDR picture, with its parameter sets in band; always true for sound.
    pub key: bool,
    /// How to decode it; a new `Arc` only when the configuration changed.
    pub config: Arc<CodecConfig>,
    /// Length-prefixed NAL units (4 bytes each), or one raw AAC frame.
    pub data: Bytes,
}

/// Sound samples a second in the program.
pub const SAMPLE_RATE: u64 = 48_000;
/// Samples in one AAC-LC frame (ISO/IEC 14496-3 4.5.2.1).
pub const FRAME_SAMPLES: u64 = 1024;
/// AudioSpecificConfig of the program's sound: AAC-LC, 48 kHz, stereo.
pub const AAC_CONFIG: [u8; 2] = [0x11, 0x90];
