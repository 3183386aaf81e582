mod demuxer;

use super::*;
use crate::access_unit::{AAC_CONFIG, CodecConfig};
use bytes::Bytes;
use demuxer::{Demuxer, WRAP, packet, presented};
use packet::PACKET;
use proptest::prelude::*;
use std::sync::Arc;

fn unit(track: Track, time: u64, key: bool, data: Vec<u8>) -> AccessUnit {
    let config = Arc::new(CodecConfig::Aac(Bytes::from_static(&AAC_CONFIG)));
    AccessUnit { track, time: Time::from_nanos(time), key, config, data: data.into() }
}

fn lengths(nals: &[Vec<u8>]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
}

/// Ticks of 90 kHz at `time` after the first unit.
fn ticks(time: u64) -> u64 {
    (time + 1_000 * MS) * 90 / MS % WRAP
}

/// A picture's NAL units or one frame of sound, some of them empty, some at the edges of a packet, some huge.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![24 => 0..400usize, 12 => 150..200usize, 4 => 8_180..8_190usize, 1 => 60_000..140_000usize];
    (length, any::<u8>()).prop_map(|(length, seed)| (0..length).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect())
}

#[derive(Debug, Clone)]
struct Step {
    /// Nanoseconds since the unit before.
    after: u64,
    /// How far the sound is behind the pictures.
    behind: u64,
    picture: Option<(bool, Vec<Vec<u8>>)>,
    frame: Vec<u8>,
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![8 => 0..50 * MS, 4 => Just(FRAME), 4 => Just(40 * MS), 1 => 0..4_000 * MS];
    let nals = prop::collection::vec(bytes(), 0..4);
    let picture = prop::option::of((any::<bool>(), nals));
    let behind = prop_oneof![Just(0), Just(100 * MS), 0..100 * MS];
    (after, behind, picture, bytes()).prop_map(|(after, behind, picture, frame)| Step { after, behind, picture, frame })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_units_come_out_as_they_went_in(
        steps in prop::collection::vec(step(), 1..60),
        begin in 0..u64::MAX / 100,
        age in prop_oneof![Just(0), 95_440_000 * MS..95_445_000 * MS],
        hevc in any::<bool>(),
    ) {
        let codec = if hevc { Codec::Hevc } else { Codec::H264 };
        let (delimiter, own) = if hevc { (vec![0x46, 1, 0x50], 35 << 1) } else { (vec![9, 0xf0], 9) };
        let mut muxer = Muxer::new(codec);
        let mut demuxer = Demuxer::default();
        let (mut pictures, mut frames, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        let mut out = Vec::new();
        let first = unit(Track::Video, begin, true, Vec::new());
        muxer.write(&first, &mut out);
        demuxer.read(START, &out);
        pictures.push((ticks(0), [&[0, 0, 0, 1][..], &delimiter].concat()));
        keys.push(true);
        // Sound may be behind the first picture.
        let mut now = age;
        for step in steps {
            // No two pictures have one time.
            now += step.after.max(1);
            let (time, written) = match step.picture {
                Some((key, nals)) => {
                    let kept = nals.iter().filter(|nal| nal.first().is_some_and(|first| {
                        if hevc { first & 0x7e != own } else { first & 0x1f != own }
                    }));
                    let es = std::iter::once(&delimiter).chain(kept).flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat());
                    pictures.push((ticks(now), es.collect::<Vec<u8>>()));
                    keys.push(key);
                    (now, unit(Track::Video, begin + now, key, lengths(&nals)))
                }
                None => {
                    let time = now.saturating_sub(step.behind);
                    if (1..=8_184).contains(&step.frame.len()) {
                        frames.push((ticks(time), step.frame.clone()));
                    }
                    (time, unit(Track::Audio, begin + time, true, step.frame))
                }
            };
            out.clear();
            muxer.write(&written, &mut out);
            demuxer.read(START + time, &out);
        }
        let map = [&[0xe1, 0, 0xf0, 0, if hevc { 0x24 } else { 0x1b }, 0xe1, 0, 0xf0, 0][..], &[0x0f, 0xe1, 1, 0xf0, 0]];
        prop_assert_eq!(&demuxer.map, &map.concat());
        prop_assert_eq!(demuxer.pictures(), pictures);
        let access: Vec<bool> = demuxer.access.iter().map(|&(key, _)| key).collect();
        prop_assert_eq!(access, keys);
        prop_assert!(demuxer.access.iter().all(|&(key, told)| told || !key), "tables before each IDR");

        let sound = demuxer.sound();
        let mut at = 0;
        for (stamp, pair) in &sound {
            prop_assert_eq!(*stamp, frames[at].0);
            prop_assert!(matches!(pair.len(), 1 | 2));
            for (number, frame) in pair.iter().enumerate() {
                prop_assert_eq!(frame, &frames[at].1);
                // Exactly enough to share the stamp: 1024 samples are 1920 ticks.
                let own = (frames[at].0 + WRAP - stamp) % WRAP;
                prop_assert!(own.abs_diff(number as u64 * 1_920) <= 181);
                at += 1;
            }
        }
        prop_assert!(at + 1 >= frames.len(), "one frame at most may wait");
    }
}

/// Pictures each `period` and sound `behind` them, for `seconds`; what a receiver finds.
fn steady(period: u64, behind: u64, seconds: u64) -> (Demuxer, usize) {
    let mut muxer = Muxer::new(Codec::H264);
    let mut units = Vec::new();
    // 3 Mbit/s and 128 kbit/s, each unit of another length.
    let size = |number: usize, mean: usize| mean * 9 / 10 + number * 37 % (mean / 5);
    for (number, time) in (0..seconds * 1_000 * MS).step_by(period as usize).enumerate() {
        let data = lengths(&[vec![0x41; size(number, (period * 375 / MS) as usize)]]);
        units.push((time, unit(Track::Video, 1_000 * MS + time, number % 60 == 0, data)));
    }
    for (number, time) in (0..seconds * 1_000 * MS).step_by(FRAME as usize).enumerate() {
        units.push((time + behind, unit(Track::Audio, 1_000 * MS + time, true, vec![1; size(number, 341)])));
    }
    units.sort_by_key(|&(arrives, _)| arrives);
    let (mut demuxer, mut out, mut bytes) = (Demuxer::default(), Vec::new(), 0);
    for (_, unit) in units {
        out.clear();
        muxer.write(&unit, &mut out);
        demuxer.read(unit.time.nanos(), &out);
        bytes += out.len();
    }
    (demuxer, bytes)
}

#[test]
fn no_stamp_is_passed_by_the_clock_while_sound_is_late() {
    let mut muxer = Muxer::new(Codec::H264);
    let mut out = Vec::new();
    for number in 0..200 {
        let time = 1_000 * MS + number * FRAME;
        muxer.write(&unit(Track::Video, time, false, lengths(&[vec![0x41; 100]])), &mut out);
        if number >= 5 {
            muxer.write(&unit(Track::Audio, time - 5 * FRAME, true, vec![1; 300]), &mut out);
        }
    }
    let (mut pcr, mut sounds) = (0, 0);
    for packet in out.chunks(PACKET).map(packet) {
        pcr = packet.pcr.unwrap_or(pcr);
        if packet.pid == AUDIO && packet.start {
            let payload = packet.payload.expect("a payload");
            let length = 6 + usize::from(u16::from_be_bytes([payload[4], payload[5]]));
            let pts = presented(0xc0, &[payload, &vec![0; length][payload.len().min(length)..]].concat()[..length]).0;
            // Sound 107 ms late whose first frame waited 21 ms for the second.
            assert!((pts * 300).abs_diff(pcr + 27_000 * (300 - 107 - 21)) < 60_000, "{pts} {pcr}");
            sounds += 1;
        }
    }
    assert_eq!(sounds, 97);
}

#[test]
fn what_a_program_costs_beside_its_media() {
    for (period, clocks, most) in
        [(20 * MS, 500, 170_000), (33_333_333, 300, 145_000), (40 * MS, 250, 145_000), (100 * MS, 300, 155_000)]
    {
        let (demuxer, bytes) = steady(period, 50 * MS, 10);
        // Each picture tells the clock; where they are seldom, packets between them do.
        assert!(demuxer.clocks.abs_diff(clocks) <= 2, "{} clocks at {period} ns", demuxer.clocks);
        assert_eq!(demuxer.jumps, 0);
        let sound = demuxer.sound().iter().flat_map(|(_, pair)| pair).map(Vec::len).sum::<usize>();
        let media = demuxer.pictures().iter().map(|(_, es)| es.len()).sum::<usize>() + sound;
        let beside = (bytes - media) * 8 / 10;
        assert!(beside < most, "{beside} bit/s at {period} ns");
    }
}

#[test]
fn a_pause_is_told_as_a_jump_of_the_clock() {
    let mut muxer = Muxer::new(Codec::H264);
    let mut demuxer = Demuxer::default();
    for (time, clocks, jumps) in [(0, 1, 0), (1_000, 31, 0), (1_020, 32, 0), (4_000, 33, 1), (4_040, 34, 1)] {
        let mut out = Vec::new();
        muxer.write(&unit(Track::Video, time * MS, false, lengths(&[vec![0x41]])), &mut out);
        demuxer.read((1_000 + time) * MS, &out);
        assert_eq!((demuxer.clocks, demuxer.jumps), (clocks, jumps), "at {time} ms");
    }
}

#[test]
fn lengths_that_do_not_add_up_end_a_picture() {
    let mut muxer = Muxer::new(Codec::H264);
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    let data = [&lengths(&[vec![0x41, 7]])[..], &[0, 0, 0, 9, 1]].concat();
    muxer.write(&unit(Track::Video, 5, false, data), &mut out);
    demuxer.read(START, &out);
    assert_eq!(demuxer.pictures(), [(90_000, vec![0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x41, 7])]);
}
