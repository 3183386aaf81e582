//! What heat takes from the program, before the board slows itself down to a halt (pure).
//!
//! It is taken in steps: the bitrate first, which costs the encoder and the radio, then every second picture, which costs
//! everything. The size of the picture stays: it cannot change without a break. Each step gets the time to show in the
//! temperature. What was taken comes back slowly, one step at a time, and each time that this turned out to be too early it is
//! waited for longer: a box that is just too hot settles on a step instead of going up and down.

use super::{
    Control,
    fault::{self, Notice},
};
use crate::units::{BitRate, Time};
use std::time::Duration;

/// What the box says of its heat, once a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Heat {
    /// How much warmer it may get before the board slows down, degrees Celsius; below 0 beyond that; none: not known.
    pub headroom: Option<f64>,
    /// Whether heat slows the processor down already.
    pub throttled: bool,
}

/// Parts of the bitrate of before the heat that the steps leave.
const SHARES: [f64; 3] = [0.75, 0.5, 0.35];
/// Every second picture goes on top of them.
const HALF: usize = SHARES.len() + 1;
/// So near to its limit it is hot, °C,
const NEAR: f64 = 3.0;
/// and so far from it cool again. Between the two nothing changes.
const FAR: f64 = 8.0;
/// A processor that is slowed down so far from any limit is so for another reason, such as a power plan, °C.
const UNRELATED: f64 = 15.0;
/// A step has this time to show in the temperature: a heat sink takes some ten seconds.
const STEP: Duration = Duration::from_secs(20);
/// The same beyond the limit, where the board is being slowed down.
const HURRY: Duration = Duration::from_secs(5);
/// It has to be cool for so long before a step is taken back,
const COOL: Duration = Duration::from_secs(60);
/// and at most for so long after that was too early again and again.
const COOL_AT_MOST: Duration = Duration::from_secs(32 * 60);
/// After so long without heat all of that is forgotten.
const WELL: Duration = Duration::from_secs(30 * 60);
/// Fewer pictures a second than this do not look like moving pictures, and some encoders do not survive less.
const LEAST_PICTURES: u32 = 10;

/// Decides what heat takes.
#[derive(Debug)]
pub struct Governor {
    /// 0: nothing; up to [`HALF`].
    step: usize,
    /// What the bitrate was before the first step.
    before: BitRate,
    /// When it was stepped down last, and when a step was taken back last.
    taken: Option<Time>,
    returned: Option<Time>,
    /// Since when it is cool without a break.
    cool: Option<Time>,
    /// How long that has to last.
    patience: Duration,
}

impl Default for Governor {
    fn default() -> Self {
        Self { step: 0, before: BitRate::new(0), taken: None, returned: None, cool: None, patience: COOL }
    }
}

impl Governor {
    /// Takes what the box says; `bitrate` is what is encoded at `now`.
    pub fn take(&mut self, heat: Heat, bitrate: BitRate, now: Time) {
        let throttled = heat.throttled && heat.headroom.is_none_or(|headroom| headroom < UNRELATED);
        let within = |degrees: f64| heat.headroom.is_some_and(|headroom| headroom <= degrees);
        if throttled || within(NEAR) {
            self.cool = None;
            let rest = if within(0.0) { HURRY } else { STEP };
            if self.step < HALF && self.taken.is_none_or(|at| now.since(at) >= rest) {
                self.step_down(bitrate, now);
            }
        } else if throttled || within(FAR) {
            self.cool = None;
        } else {
            let since = *self.cool.get_or_insert(now);
            if self.step > 0 && now.since(since) >= self.patience {
                self.step -= 1;
                (self.returned, self.cool) = (Some(now), Some(now));
            }
            if self.step == 0 && self.taken.max(self.returned).is_none_or(|at| now.since(at) >= WELL) {
                self.patience = COOL;
            }
        }
    }

    fn step_down(&mut self, bitrate: BitRate, now: Time) {
        if self.step == 0 {
            self.before = bitrate;
        }
        // What came back was too much; large boxes take a while to show that.
        if self.returned.take().is_some_and(|at| now.since(at) < WELL.max(2 * self.patience)) {
            self.patience = (2 * self.patience).min(COOL_AT_MOST);
        }
        self.step += 1;
        self.taken = Some(now);
    }

    /// The most that the bitrate may be; none: it is not hot.
    pub fn cap(&self) -> Option<BitRate> {
        let share = SHARES.get(self.step.checked_sub(1)?.min(SHARES.len() - 1))?;
        Some(BitRate::new((self.before.bits() as f64 * share) as u64))
    }

    /// Whether every second picture is to be left out.
    pub fn halves(&self) -> bool {
        self.step >= HALF
    }
}

impl Control {
    /// The box says how hot it is.
    pub(super) fn note_heat(&mut self, heat: Heat, now: Time) {
        let bitrate = self.bitrate(now);
        self.heat.take(heat, bitrate, now);
    }

    /// Of how many pictures one is encoded: 2 where heat halves them and enough are left.
    pub(super) fn every(&self) -> u32 {
        let survives = self.usual_encoder().and_then(|encoder| encoder.min_rate);
        let least = survives.unwrap_or(0).max(LEAST_PICTURES);
        let enough = self.output_mode().rate.hz() / 2.0 >= f64::from(least);
        if self.heat.halves() && enough { 2 } else { 1 }
    }

    /// What people are told of it.
    pub(super) fn hot(&self) -> Option<Notice> {
        self.heat.cap()?;
        Some(fault::hot(self.pushing(), self.every() > 1))
    }
}

#[cfg(test)]
mod tests;
