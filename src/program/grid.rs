//! The program's sound: a grid of 1024-sample units that begins with the first picture and never gaps.

use super::tone;
use crate::{
    access_unit::{AAC_CONFIG, AccessUnit, CodecConfig, FRAME_SAMPLES, SAMPLE_RATE, Track},
    control::WorkerId,
    units::Time,
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// How long a slot waits for its unit while live sound comes: capture buffer, encoder and scheduling.
const LIVE_PATIENCE: Duration = Duration::from_millis(250);
/// How long a slot waits while none comes: about what a picture takes.
const SILENT_PATIENCE: Duration = Duration::from_millis(50);
/// Sound that has not come for so long is not waited for.
const SOUND_LOST: Duration = Duration::from_millis(500);
/// One AAC-LC frame of digital silence: 48 kHz, stereo, all spectral data zero (ISO/IEC 14496-3 4.4.2.1).
pub const SILENCE: [u8; 6] = [0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c];

/// What is heard instead of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Nothing.
    Silence,
    /// The test tone.
    Tone,
}

/// The grid.
#[derive(Debug)]
pub struct Grid {
    origin: Time,
    /// The next slot to fill.
    next: u64,
    /// Live sound, and when it last came.
    live: Option<(WorkerId, Time)>,
    config: Arc<CodecConfig>,
}

/// How long a slot lasts.
pub fn slot_length() -> Duration {
    Duration::from_nanos(FRAME_SAMPLES * 1_000_000_000 / SAMPLE_RATE)
}

impl Grid {
    /// A grid whose first slot is at `origin`.
    pub fn new(origin: Time) -> Self {
        Self { origin, next: 0, live: None, config: Arc::new(CodecConfig::Aac(Bytes::from_static(&AAC_CONFIG))) }
    }

    /// When this slot is heard.
    pub fn slot_time(&self, slot: u64) -> Time {
        // 1024 samples at 48 kHz are 64/3 ms: exact in integers, so the grid never drifts.
        let nanos = u128::from(slot) * u128::from(FRAME_SAMPLES) * 1_000_000_000 / u128::from(SAMPLE_RATE);
        self.origin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When the next slot is heard.
    pub fn due(&self) -> Time {
        self.slot_time(self.next)
    }

    /// The slot that left last.
    pub fn last(&self) -> Option<Time> {
        self.next.checked_sub(1).map(|slot| self.slot_time(slot))
    }

    /// The slot nearest to `time`, none before the grid begins.
    pub fn nearest(&self, time: Time) -> Option<u64> {
        let half = slot_length() / 2;
        let since = (time + half).nanos().checked_sub(self.origin.nanos())?;
        let slot = u128::from(since) * u128::from(SAMPLE_RATE) / (u128::from(FRAME_SAMPLES) * 1_000_000_000);
        u64::try_from(slot).ok()
    }

    /// Fills the slots whose unit did not come in time.
    pub fn fill(&mut self, instead: Option<Instead>, now: Time, out: &mut Vec<AccessUnit>) {
        let comes = instead.is_none() && self.live.is_some_and(|(_, seen)| now.since(seen) < SOUND_LOST);
        let patience = slot_length() + if comes { LIVE_PATIENCE } else { SILENT_PATIENCE };
        while self.due() + patience <= now {
            out.push(self.filler(instead));
        }
    }

    /// When [`fill`](Self::fill) has something to do, if no unit comes before.
    pub fn next_wake(&self, instead: Option<Instead>) -> Time {
        let comes = instead.is_none() && self.live.is_some();
        self.due() + slot_length() + if comes { LIVE_PATIENCE } else { SILENT_PATIENCE }
    }

    /// This worker's units are no longer waited for.
    pub fn gone(&mut self, worker: WorkerId) {
        self.live.take_if(|(live, _)| *live == worker);
    }

    /// Takes a live unit; it joins by whole slots, the first time at the nearest one.
    pub fn take(&mut self, worker: WorkerId, mut unit: AccessUnit, now: Time, out: &mut Vec<AccessUnit>) {
        if *unit.config != *self.config || unit.time > now + SOUND_LOST {
            return;
        }
        let joined = match self.live {
            Some((live, _)) if live > worker => return,
            Some((live, _)) => live == worker,
            None => false,
        };
        let due = self.due();
        let off = unit.time.since(due).max(due.since(unit.time));
        if !joined || off > slot_length() {
            let Some(slot) = self.nearest(unit.time).filter(|slot| *slot >= self.next) else {
                // Its slot is filled already: from now on they are waited for, and one that follows finds its slot.
                self.live = Some((worker, now));
                return;
            };
            while self.next < slot {
                out.push(self.filler(None));
            }
        }
        self.live = Some((worker, now));
        unit.time = self.due();
        unit.config = self.config.clone();
        self.next += 1;
        out.push(unit);
    }

    fn filler(&mut self, instead: Option<Instead>) -> AccessUnit {
        let data = match instead {
            Some(Instead::Tone) => Bytes::from_static(tone::frame(self.next)),
            Some(Instead::Silence) | None => Bytes::from_static(&SILENCE),
        };
        let time = self.due();
        self.next += 1;
        AccessUnit { track: Track::Audio, time, key: true, config: self.config.clone(), data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_sound_stays_on_the_grid() {
        let start = Time::from_millis(5);
        let grid = Grid::new(start);
        let day = 24 * 3600 * SAMPLE_RATE / FRAME_SAMPLES;
        assert_eq!(grid.slot_time(day).since(start), Duration::from_secs(24 * 3600));
        assert_eq!(grid.nearest(grid.slot_time(day)), Some(day));
    }
}
