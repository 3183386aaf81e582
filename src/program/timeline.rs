//! One continuous timeline out of workers that come and go.
//!
//! - A stamp is the capture time on the monotonic clock; on each track stamps increase strictly, by a millisecond at least,
//!   because that is what FLV can tell apart.
//! - The program begins at an IDR picture, and switches between workers at IDR pictures only. When pictures stop, the
//!   viewer's player holds the last one.
//! - Sound is a grid of 1024-sample units that begins with the first picture and never gaps. Live units take whole slots of
//!   it; a slot whose unit did not come in time is silence.
//! - A unit that leaves is never more than [`INTERLEAVE`] behind what left on the other track: pictures wait for the sound
//!   before them, and a picture that comes too late is stamped later.

use crate::{
    access_unit::{AAC_CONFIG, AccessUnit, CodecConfig, FRAME_SAMPLES, SAMPLE_RATE, Track},
    control::WorkerId,
    status::Showing,
    units::Time,
};
use bytes::Bytes;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// How far apart the two tracks may be when they leave.
pub const INTERLEAVE: Duration = Duration::from_millis(100);
/// A longer gap between pictures is shown as a hold.
pub const HOLD: Duration = Duration::from_millis(350);
/// How long a slot waits for its unit while live sound comes: capture buffer, encoder and scheduling.
const LIVE_PATIENCE: Duration = Duration::from_millis(250);
/// How long a slot waits while none comes: about what a picture takes.
const SILENT_PATIENCE: Duration = Duration::from_millis(50);
/// Sound that has not come for so long is not waited for.
const SOUND_LOST: Duration = Duration::from_millis(500);
/// FLV stamps are whole milliseconds.
const STEP: Duration = Duration::from_millis(1);
/// One AAC-LC frame of digital silence: 48 kHz, stereo, all spectral data zero (ISO/IEC 14496-3 4.4.2.1).
const SILENCE: [u8; 6] = [0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c];

/// The program's timeline, from the first picture after GO to the end of the push.
#[derive(Debug)]
pub struct Timeline {
    video: Video,
    /// None until the first picture.
    audio: Option<Grid>,
    sound_config: Arc<CodecConfig>,
}

#[derive(Debug, Default)]
struct Video {
    worker: Option<WorkerId>,
    config: Option<Arc<CodecConfig>>,
    /// Stamp of the last picture that left.
    last: Option<Time>,
    /// When the last picture came in.
    seen: Time,
    /// Pictures that wait for the sound before them.
    waiting: VecDeque<AccessUnit>,
}

#[derive(Debug)]
struct Grid {
    origin: Time,
    /// The next slot to fill.
    next: u64,
    /// Live sound, and when it last came.
    live: Option<(WorkerId, Time)>,
}

impl Grid {
    fn slot_time(&self, slot: u64) -> Time {
        // 1024 samples at 48 kHz are 64/3 ms: exact in integers, so the grid never drifts.
        let nanos = u128::from(slot) * u128::from(FRAME_SAMPLES) * 1_000_000_000 / u128::from(SAMPLE_RATE);
        self.origin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn last(&self) -> Option<Time> {
        self.next.checked_sub(1).map(|slot| self.slot_time(slot))
    }

    /// The slot nearest to `time`, none before the grid begins.
    fn nearest(&self, time: Time) -> Option<u64> {
        let half = slot_length() / 2;
        let since = (time + half).nanos().checked_sub(self.origin.nanos())?;
        let slot = u128::from(since) * u128::from(SAMPLE_RATE) / (u128::from(FRAME_SAMPLES) * 1_000_000_000);
        u64::try_from(slot).ok()
    }
}

fn slot_length() -> Duration {
    Duration::from_nanos(FRAME_SAMPLES * 1_000_000_000 / SAMPLE_RATE)
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// A timeline that waits for its first picture.
    pub fn new() -> Self {
        let sound_config = Arc::new(CodecConfig::Aac(Bytes::from_static(&AAC_CONFIG)));
        Self { video: Video::default(), audio: None, sound_config }
    }

    /// Takes a unit from `worker`; what is ready to leave is appended to `out`.
    pub fn push(&mut self, worker: WorkerId, unit: AccessUnit, now: Time, out: &mut Vec<AccessUnit>) {
        match unit.track {
            Track::Video => self.take_picture(worker, unit, now),
            Track::Audio => self.take_sound(worker, unit, now, out),
        }
        self.tick(now, out);
    }

    /// Lets time pass: silence fills what sound did not come, and pictures that waited for it leave.
    pub fn tick(&mut self, now: Time, out: &mut Vec<AccessUnit>) {
        let Some(grid) = &mut self.audio else { return };
        let comes = grid.live.is_some_and(|(_, seen)| now.since(seen) < SOUND_LOST);
        let patience = slot_length() + if comes { LIVE_PATIENCE } else { SILENT_PATIENCE };
        while grid.slot_time(grid.next) + patience <= now {
            out.push(silence(grid, &self.sound_config));
        }
        while let Some(picture) = self.video.waiting.front() {
            let after_last = self.video.last.map_or(Time::ZERO, |last| last + STEP);
            let beside_sound = grid.last().map_or(Time::ZERO, |last| last - INTERLEAVE);
            let time = picture.time.max(after_last).max(beside_sound);
            if time > grid.slot_time(grid.next) + INTERLEAVE {
                break;
            }
            self.video.last = Some(time);
            out.extend(self.video.waiting.pop_front().map(|picture| AccessUnit { time, ..picture }));
        }
    }

    /// When [`tick`](Self::tick) next has something to do, if no unit comes before.
    pub fn next_wake(&self) -> Option<Time> {
        let grid = self.audio.as_ref()?;
        let patience = if grid.live.is_some() { LIVE_PATIENCE } else { SILENT_PATIENCE };
        Some(grid.slot_time(grid.next) + slot_length() + patience)
    }

    /// The sound worker has gone: its slots are no longer waited for.
    pub fn sound_gone(&mut self, worker: WorkerId) {
        if let Some(grid) = &mut self.audio
            && grid.live.is_some_and(|(live, _)| live == worker)
        {
            grid.live = None;
        }
    }

    /// What viewers see; none before the first picture.
    pub fn showing(&self, now: Time) -> Option<Showing> {
        self.audio.as_ref()?;
        Some(if now.since(self.video.seen) > HOLD { Showing::Hold } else { Showing::Live })
    }

    fn take_picture(&mut self, worker: WorkerId, mut unit: AccessUnit, now: Time) {
        match self.video.worker {
            Some(current) if current == worker => {}
            Some(current) if current > worker => return,
            _ if !unit.key => return,
            _ => self.video.worker = Some(worker),
        }
        // A worker that came back with the same settings must not make every player start its decoder anew.
        match &self.video.config {
            Some(config) if **config == *unit.config => unit.config = config.clone(),
            _ => self.video.config = Some(unit.config.clone()),
        }
        unit.time = unit.time.min(now);
        self.video.seen = now;
        if self.audio.is_none() {
            self.audio = Some(Grid { origin: unit.time, next: 0, live: None });
        }
        self.video.waiting.push_back(unit);
    }

    fn take_sound(&mut self, worker: WorkerId, mut unit: AccessUnit, now: Time, out: &mut Vec<AccessUnit>) {
        let Some(grid) = &mut self.audio else { return };
        if *unit.config != *self.sound_config || unit.time > now + SOUND_LOST {
            return;
        }
        let joined = match grid.live {
            Some((live, _)) if live > worker => return,
            Some((live, _)) => live == worker,
            None => false,
        };
        let due = grid.slot_time(grid.next);
        let off = unit.time.since(due).max(due.since(unit.time));
        if !joined || off > slot_length() {
            let Some(slot) = grid.nearest(unit.time).filter(|slot| *slot >= grid.next) else { return };
            while grid.next < slot {
                out.push(silence(grid, &self.sound_config));
            }
        }
        grid.live = Some((worker, now));
        unit.time = grid.slot_time(grid.next);
        unit.config = self.sound_config.clone();
        grid.next += 1;
        out.push(unit);
    }
}

fn silence(grid: &mut Grid, config: &Arc<CodecConfig>) -> AccessUnit {
    let time = grid.slot_time(grid.next);
    grid.next += 1;
    AccessUnit { track: Track::Audio, time, key: true, config: config.clone(), data: Bytes::from_static(&SILENCE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn picture(time: Time, key: bool, config: u8) -> AccessUnit {
        let config = Arc::new(CodecConfig::H264(Bytes::from(vec![config])));
        AccessUnit { track: Track::Video, time, key, config, data: Bytes::from_static(b"picture") }
    }

    fn sound(time: Time) -> AccessUnit {
        let config = Arc::new(CodecConfig::Aac(Bytes::from_static(&AAC_CONFIG)));
        AccessUnit { track: Track::Audio, time, key: true, config, data: Bytes::from_static(b"sound") }
    }

    fn is_silence(unit: &AccessUnit) -> bool {
        unit.data[..] == SILENCE
    }

    fn sounds(out: &[AccessUnit]) -> Vec<&AccessUnit> {
        out.iter().filter(|unit| unit.track == Track::Audio).collect()
    }

    #[test]
    fn begins_at_an_idr_and_sound_never_leads() {
        let (mut timeline, mut out) = (Timeline::new(), Vec::new());
        timeline.push(WorkerId(1), sound(ms(1000)), ms(1070), &mut out);
        timeline.push(WorkerId(2), picture(ms(1010), false, 0), ms(1070), &mut out);
        assert!(out.is_empty() && timeline.showing(ms(1070)).is_none());
        timeline.push(WorkerId(2), picture(ms(1043), true, 0), ms(1080), &mut out);
        assert_eq!((out.len(), out[0].time), (1, ms(1043)));
        assert_eq!(timeline.showing(ms(1080)), Some(Showing::Live));
    }

    #[test]
    fn silence_fills_until_live_sound_joins_by_whole_units_and_after_it_goes() {
        let (mut timeline, mut out) = (Timeline::new(), Vec::new());
        timeline.push(WorkerId(1), picture(ms(1000), true, 0), ms(1010), &mut out);
        timeline.tick(ms(1300), &mut out);
        let filled = sounds(&out).len();
        assert!(filled >= 10 && sounds(&out).iter().all(|unit| is_silence(unit)));
        out.clear();
        for n in 0..20u64 {
            let captured = ms(1300) + slot_length() * n as u32;
            timeline.push(WorkerId(2), sound(captured), captured + Duration::from_millis(70), &mut out);
        }
        let live: Vec<_> = sounds(&out).into_iter().filter(|unit| !is_silence(unit)).collect();
        assert_eq!(live.len(), 20);
        let first = live[0].time;
        assert!(
            first.since(ms(1300)).max(ms(1300).since(first)) <= slot_length() / 2,
            "joined off the grid: {first:?}"
        );
        out.clear();
        timeline.sound_gone(WorkerId(2));
        timeline.tick(ms(1300) + slot_length() * 20 + Duration::from_millis(500), &mut out);
        assert!(out.len() > 15 && out.iter().all(is_silence));
    }

    #[test]
    fn a_dead_worker_is_held_and_its_successor_cuts_in_at_an_idr() {
        let (mut timeline, mut out) = (Timeline::new(), Vec::new());
        timeline.push(WorkerId(1), picture(ms(1000), true, 7), ms(1010), &mut out);
        let config = out[0].config.clone();
        assert_eq!(timeline.showing(ms(1400)), Some(Showing::Hold));
        timeline.push(WorkerId(3), picture(ms(1500), false, 7), ms(1510), &mut out);
        timeline.push(WorkerId(3), picture(ms(1533), true, 7), ms(1540), &mut out);
        timeline.push(WorkerId(1), picture(ms(1540), true, 7), ms(1545), &mut out);
        let times: Vec<_> = out.iter().filter(|unit| unit.track == Track::Video).map(|unit| unit.time).collect();
        assert_eq!(times, [ms(1000), ms(1533)]);
        let last = out.iter().rfind(|unit| unit.track == Track::Video).expect("a picture");
        assert!(Arc::ptr_eq(&config, &last.config), "an equal configuration is not a new one");
    }

    #[test]
    fn a_day_of_sound_stays_on_the_grid() {
        let grid = Grid { origin: ms(5), next: 0, live: None };
        let day = 24 * 3600 * SAMPLE_RATE / FRAME_SAMPLES;
        assert_eq!(grid.slot_time(day).since(ms(5)), Duration::from_secs(24 * 3600));
        assert_eq!(grid.nearest(grid.slot_time(day)), Some(day));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Picture { worker: u64, age: u64, key: bool, config: u8 },
        Sound { worker: u64, age: u64 },
        Gone(u64),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4u64, 0..400u64, any::<bool>(), 0..2u8)
                .prop_map(|(worker, age, key, config)| Step::Picture { worker, age, key, config }),
            4 => (0..4u64, 0..400u64).prop_map(|(worker, age)| Step::Sound { worker, age }),
            1 => (0..4u64).prop_map(Step::Gone),
            4 => (0..120u64).prop_map(Step::Pass),
            1 => (0..3000u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn stamps_hold_whatever_comes(steps in prop::collection::vec(step(), 1..300)) {
            let (mut timeline, mut out, mut now) = (Timeline::new(), Vec::new(), 100_000u64);
            for step in steps {
                match step {
                    Step::Picture { worker, age, key, config } =>
                        timeline.push(WorkerId(worker), picture(ms(now - age), key, config), ms(now), &mut out),
                    Step::Sound { worker, age } => timeline.push(WorkerId(worker + 10), sound(ms(now - age)), ms(now), &mut out),
                    Step::Gone(worker) => timeline.sound_gone(WorkerId(worker + 10)),
                    Step::Pass(ms_) => {
                        // The daemon wakes when asked to, so time passes in steps no longer than that.
                        let end = now + ms_;
                        while let Some(wake) = timeline.next_wake().filter(|wake| wake.millis() < end) {
                            let before = out.len();
                            now = now.max(wake.millis() + 1);
                            timeline.tick(ms(now), &mut out);
                            if out.len() == before && timeline.next_wake() == Some(wake) { break; }
                        }
                        now = end.max(now);
                        timeline.tick(ms(now), &mut out);
                    }
                }
            }
            let mut last = [None::<Time>; 2];
            let mut next_slot = None::<u64>;
            let mut started = false;
            let origin = out.iter().find(|unit| unit.track == Track::Audio).map(|unit| unit.time);
            for unit in &out {
                let (own, other) = match unit.track { Track::Video => (0, 1), Track::Audio => (1, 0) };
                if let Some(last) = last[own] {
                    prop_assert!(unit.time >= last + STEP, "stamps of a track increase by a millisecond");
                }
                if let Some(last) = last[other] {
                    prop_assert!(unit.time + INTERLEAVE >= last, "{:?} leaves {:?} after {:?}", unit.track, unit.time, last);
                }
                if unit.track == Track::Video && !started {
                    prop_assert!(unit.key, "the program begins at an IDR");
                    started = true;
                }
                if unit.track == Track::Audio {
                    let grid = Grid { origin: origin.expect("sound"), next: 0, live: None };
                    let slot = grid.nearest(unit.time).expect("on the grid");
                    prop_assert_eq!(grid.slot_time(slot), unit.time);
                    prop_assert!(next_slot.is_none_or(|next| next == slot), "sound never gaps");
                    next_slot = Some(slot + 1);
                }
                last[own] = Some(unit.time);
            }
            prop_assert!(out.iter().filter(|u| u.track == Track::Audio).count() == 0 || timeline.video.worker.is_some());
        }
    }
}
