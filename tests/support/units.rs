//! Real H.264 and AAC, made by ffmpeg and turned into what the program's timeline gives to an uplink.

use super::flv;
use bytes::{BufMut, Bytes, BytesMut};
use fieldcast::{
    access_unit::{AccessUnit, CodecConfig, Track},
    units::Time,
};
use std::{process::Command, sync::Arc};

/// Pictures a second of [`made`].
pub const RATE: u64 = 30;

/// `seconds` of a moving picture (320x180, 30/s, an IDR each second, no B-frames) with a tone, stamped from zero.
pub fn made(seconds: u32) -> Vec<AccessUnit> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.flv");
    let picture = format!("testsrc2=size=320x180:rate={RATE}:duration={seconds}");
    let tone = format!("sine=frequency=1000:sample_rate=48000:duration={seconds}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone]);
    ffmpeg.args("-c:v libx264 -preset ultrafast -tune zerolatency -bf 0 -g 30 -sc_threshold 0 -b:v 800k".split(' '));
    ffmpeg.args("-pix_fmt yuv420p -c:a aac -ac 2 -b:a 96k -f flv".split(' ')).arg(&path);
    assert!(ffmpeg.status().expect("ffmpeg").success());

    let (mut video, mut audio) = (None, None);
    let mut units = Vec::new();
    for (index, tag) in flv::tags(&std::fs::read(path).expect("made")).into_iter().enumerate() {
        // Not exactly on the millisecond, as captured media never is.
        let time = Time::from_nanos(u64::from(tag.timestamp) * 1_000_000 + index as u64 % 7 * 50_000);
        match (tag.kind, tag.body[1]) {
            (9, 0) => video = Some(Arc::new(CodecConfig::H264(Bytes::copy_from_slice(&tag.body[5..])))),
            (8, 0) => audio = Some(Arc::new(CodecConfig::Aac(Bytes::copy_from_slice(&tag.body[2..])))),
            (9, 1) => {
                let config = video.clone().expect("a sequence header first");
                let key = tag.body[0] >> 4 == 1;
                let data =
                    if key { with_parameter_sets(&config, &tag.body[5..]) } else { tag.body[5..].to_vec().into() };
                units.push(AccessUnit { track: Track::Video, time, key, config, data });
            }
            (8, 1) => {
                let config = audio.clone().expect("a sequence header first");
                let data = tag.body[2..].to_vec().into();
                units.push(AccessUnit { track: Track::Audio, time, key: true, config, data });
            }
            _ => {}
        }
    }
    assert_eq!(units.iter().filter(|unit| unit.track == Track::Video).count() as u64, RATE * u64::from(seconds));
    units
}

/// The program has its parameter sets in band at each IDR; ffmpeg's FLV has them in the `avcC` record only.
fn with_parameter_sets(config: &CodecConfig, picture: &[u8]) -> Bytes {
    let CodecConfig::H264(record) = config else { panic!("not H.264") };
    let mut data = BytesMut::new();
    let mut rest = &record[5..];
    for _ in 0..2 {
        let (count, mut sets) = (rest[0] & 0x1f, &rest[1..]);
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([sets[0], sets[1]]));
            data.put_u32(length as u32);
            data.put_slice(&sets[2..2 + length]);
            sets = &sets[2 + length..];
        }
        rest = sets;
    }
    data.put_slice(picture);
    data.freeze()
}

/// The unit `nanos` later.
pub fn later(unit: &AccessUnit, nanos: u64) -> Arc<AccessUnit> {
    Arc::new(AccessUnit { time: Time::from_nanos(unit.time.nanos() + nanos), ..unit.clone() })
}
