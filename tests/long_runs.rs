//! Fifty days on air in virtual time: what counts in 32-bit milliseconds passes 24.8 days (the sign) and 49.7 days (the
//! wrap) unseen, and the sound's grid is as exact at the end as at the beginning.

use bytes::Bytes;
use fieldcast::{
    access_unit::{AAC_CONFIG, AccessUnit, CodecConfig, FRAME_SAMPLES, SAMPLE_RATE, Track},
    control::WorkerId,
    program::timeline::{INTERLEAVE, Timeline},
    units::Time,
    uplink::{
        chunk::{Reader, Writer, kind},
        flv::Stamps,
        queue::Queue,
    },
};
use std::{sync::Arc, time::Duration};

const SECOND: Duration = Duration::from_secs(1);
/// Ages of the program around which there are live pictures and sound, with a break: 24.8 and 49.7 days.
const EDGES: [Duration; 2] = [Duration::from_millis(1 << 31), Duration::from_millis(1 << 32)];

/// A program on air, and what arrives at an ingest.
struct Push {
    timeline: Timeline,
    out: Vec<AccessUnit>,
    queue: Queue,
    stamps: Stamps,
    begun: Time,
    now: Time,
    worker: u64,
    picture: Arc<CodecConfig>,
    sound: Arc<CodecConfig>,
    /// Sound units so far, and of each track the last capture time and stamp.
    units: u64,
    last: [Option<(Time, u32)>; 2],
    writer: Writer,
    reader: Reader,
    wire: bytes::BytesMut,
    arrived: [Vec<u32>; 2],
}

impl Push {
    fn new(begun: Time) -> Self {
        Self {
            timeline: Timeline::new(),
            out: Vec::new(),
            queue: Queue::new(2 * SECOND),
            stamps: Stamps::new(begun),
            begun,
            now: begun,
            worker: 1,
            picture: Arc::new(CodecConfig::H264(Bytes::from_static(&[1, 2]))),
            sound: Arc::new(CodecConfig::Aac(Bytes::from_static(&AAC_CONFIG))),
            units: 0,
            last: [None; 2],
            writer: Writer::default(),
            reader: Reader::default(),
            wire: bytes::BytesMut::new(),
            arrived: [Vec::new(), Vec::new()],
        }
    }

    fn unit(&mut self, track: Track, time: Time, key: bool) {
        let config = if track == Track::Video { &self.picture } else { &self.sound }.clone();
        let unit = AccessUnit { track, time, key, config, data: Bytes::from_static(&[0; 6]) };
        self.timeline.push(WorkerId(self.worker), unit, self.now, &mut self.out);
    }

    /// `time` of live pictures, an IDR each second, and of live sound.
    fn live(&mut self, time: Duration) {
        let (from, pictures) = (self.now, time.as_millis() * 30 / 1000);
        let mut sounds = 0u64;
        for n in 0..pictures {
            let captured = from + Duration::from_nanos(n as u64 * 1_000_000_000 / 30);
            self.now = captured + Duration::from_millis(20);
            self.unit(Track::Video, captured, n % 30 == 0);
            while from + sound_time(sounds) <= captured {
                self.unit(Track::Audio, from + sound_time(sounds), true);
                sounds += 1;
            }
            self.arrive(true);
        }
    }

    /// Nothing comes from the input until `time`.
    fn idle_until(&mut self, time: Time, watch: bool) {
        while self.now < time {
            self.now = (self.now + if watch { SECOND / 10 } else { 600 * SECOND }).min(time);
            self.timeline.tick(self.now, &mut self.out);
            self.arrive(watch);
        }
    }

    /// Takes what left the timeline through the queue to the wire, and checks it.
    fn arrive(&mut self, watch: bool) {
        for unit in self.out.drain(..) {
            let track = unit.track as usize;
            if unit.track == Track::Audio {
                let exact = self.begun + sound_time(self.units);
                assert!(unit.time.nanos().abs_diff(exact.nanos()) <= 1, "unit {} at {:?}", self.units, unit.time);
                self.units += 1;
            }
            let other = self.last[1 - track].map_or(unit.time, |(time, _)| time);
            let behind = other.since(unit.time);
            assert!(behind <= INTERLEAVE, "{behind:?} behind the other track");
            let stamp = self.stamps.stamp(unit.track, unit.time);
            if let Some((time, before)) = self.last[track] {
                assert!(unit.time > time, "{:?} after {time:?}", unit.time);
                let step = stamp.wrapping_sub(before);
                let true_step = unit.time.since(time).as_millis();
                assert!((1..1 << 31).contains(&step) && u128::from(step).abs_diff(true_step) <= 1, "{before} {stamp}");
            }
            self.last[track] = Some((unit.time, stamp));
            // Days of silence need not go through the queue.
            if watch {
                self.queue.push(Arc::new(unit));
            }
        }
        while let Some(unit) = self.queue.pop() {
            let (time, stamp) = self.last[unit.track as usize].expect("it left");
            let stamp = stamp.wrapping_sub(time.since(unit.time).as_millis() as u32);
            let kind = if unit.track == Track::Video { kind::VIDEO } else { kind::AUDIO };
            self.writer.write(kind, 1, stamp, &[&unit.data], &mut self.wire);
        }
        self.reader.push(&self.wire.split());
        while let Some(message) = self.reader.next_message().expect("well formed") {
            self.arrived[usize::from(message.kind != kind::VIDEO)].push(message.timestamp);
        }
    }
}

fn sound_time(unit: u64) -> Duration {
    Duration::from_nanos((u128::from(unit * FRAME_SAMPLES) * 1_000_000_000 / u128::from(SAMPLE_RATE)) as u64)
}

#[test]
fn fifty_days_are_as_exact_at_the_end_as_at_the_beginning() {
    // On a box that is up for 24.8 days: its own clock passes 49.7 days when the program is 24.8 days old.
    let mut push = Push::new(Time::ZERO + EDGES[0]);
    push.live(5 * SECOND);
    for edge in EDGES {
        let edge = push.begun + edge;
        push.idle_until(edge - 20 * SECOND, false);
        push.arrived = [Vec::new(), Vec::new()];
        // Another worker each time, and a break of three seconds right over the edge.
        push.worker += 1;
        push.live(19 * SECOND);
        push.idle_until(edge + 2 * SECOND, true);
        push.worker += 1;
        push.live(20 * SECOND);
        for (stamps, least) in push.arrived.iter().zip([39 * 30 - 2, 41 * 46]) {
            assert!(stamps.len() >= least, "{} arrived", stamps.len());
            assert!(stamps.windows(2).all(|pair| (1..4000).contains(&pair[1].wrapping_sub(pair[0]))), "at {edge:?}");
        }
    }
    // Sound never paused: each unit of fifty days is there.
    let age = push.now.since(push.begun);
    assert!(sound_time(push.units).abs_diff(age) < SECOND, "{} units in {age:?}", push.units);
}
