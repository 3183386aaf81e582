//! The bitrate that a link can carry now: one rule for RTMP and SRT.
//!
//! Each picture is a burst, so the time that bursts take to arrive measures the link all the while, also while it has
//! pauses. The rule asks the encoder for a share of the lower of what the last 100 ms and the last 400 ms measured, less
//! what drains the queue in 350 ms. An IDR that the encoder makes up for by itself is not counted as queue, and its lag
//! is made up for. There is nothing to ramp: when a faded link is back, the next pictures show it.
//!
//! A shaper that lets bursts pass at line speed would fool that measure. Where the link promised more than it then
//! carried, and carried the same several times, that is its *wall*: it is probed gently, and less and less often.
//!
//! While little is sent (a still picture, the slate) nothing is measured and nothing changes.

use crate::{
    units::{BitRate, Time},
    uplink::LinkSample,
};
use std::{collections::VecDeque, time::Duration};

/// Part of the measured rate that is used.
const SHARE: f64 = 0.92;
/// What waits is drained in this time, s.
const DRAIN: f64 = 0.35;
/// So much may wait, s of the link's rate: the tail of a picture.
const TOLERATED: f64 = 0.02;
/// Samples of the longer measure; the shorter is the last one.
const WINDOW: usize = 4;
/// Less than this of waiting measures nothing, s.
const LEAST_BUSY: f64 = 0.01;
/// What was asked for so far counts as so much time of measuring, s: a few small pictures prove little.
const PRIOR: f64 = 0.03;
/// An IDR is a loan of the encoder, which the pictures after it pay back: at most so much, s of its rate,
const LOAN: f64 = 0.2;
/// and within this time, s.
const PAID: f64 = 1.0;
/// Encoders come to within 1/e of a new bitrate in about this time (x264: 1,041 kbit/s in the 2 s after being set from
/// 3,000 to 800).
const LAG: f64 = 0.22;
/// Changes of less are not worth an order.
const STEP: f64 = 0.05;
/// More for each sample, or for each round trip if that takes longer, while the link shows no end at all.
const RAISE: f64 = 1.3;
/// Without any knowledge, a push starts with no more than this.
const UNKNOWN: BitRate = BitRate::new(2_500_000);
/// Time over which the usual rate is taken, s.
const USUAL: f64 = 20.0;

/// Between which video bitrates to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Lowest.
    pub min: BitRate,
    /// Top.
    pub max: BitRate,
}

impl Limits {
    fn clamp(self, rate: f64) -> f64 {
        rate.min(self.max.bits() as f64).max(self.min.bits() as f64)
    }
}

/// The rate of one uplink.
#[derive(Debug, Clone)]
pub struct Controller {
    limits: Limits,
    /// Sound, bit/s; it is never touched.
    audio: f64,
    /// What pictures should take, bit/s.
    target: f64,
    /// What the encoder is asked for: beyond the target while it lags behind.
    asked: f64,
    /// What the encoder makes of all pictures, as far as its lag is known.
    made: f64,
    /// Part of the pictures that it gets.
    share: f64,
    /// Bits beyond that which the encoder will save again.
    loan: f64,
    recent: VecDeque<Seen>,
    wall: Wall,
    usual: Option<f64>,
}

/// What is kept of a sample, s and bits.
#[derive(Debug, Clone, Copy)]
struct Seen {
    span: f64,
    busy: f64,
    arrived_busy: f64,
    offered: f64,
}

impl Controller {
    /// A push that begins. `known`: what this network carried before, if that is known.
    pub fn new(limits: Limits, known: Option<BitRate>, audio: BitRate) -> Self {
        let start = limits.clamp(known.unwrap_or(UNKNOWN).bits() as f64);
        Self {
            limits,
            audio: audio.bits() as f64,
            target: start,
            asked: start,
            made: start,
            share: 1.0,
            loan: 0.0,
            recent: VecDeque::new(),
            wall: Wall::default(),
            usual: None,
        }
    }

    /// The bitrate to ask the encoder for.
    pub fn rate(&self) -> BitRate {
        BitRate::new(self.asked as u64)
    }

    /// The video bitrate that the link has carried of late; none before it was measured.
    pub fn usual(&self) -> Option<BitRate> {
        self.usual.map(|usual| BitRate::new(usual as u64))
    }

    /// The operator changed the limits: they hold at once.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.target = limits.clamp(self.target);
        self.asked = limits.clamp(self.asked);
    }

    /// The encoder gets each `every`-th picture only. Encoders share their bitrate out to pictures, so that they make as much
    /// less.
    pub fn set_every(&mut self, every: u32) {
        self.share = 1.0 / f64::from(every.max(1));
    }

    /// A new connection: what the old one measured last was its end.
    pub fn restart(&mut self) {
        self.recent.clear();
        (self.wall.run, self.loan) = (None, 0.0);
        if let Some(usual) = self.usual {
            self.target = self.limits.clamp(usual);
            self.asked = self.target;
        }
    }

    /// Another network: what was learnt of the old one does not count; `known` is what this one carried before.
    pub fn forget(&mut self, known: Option<BitRate>) {
        self.usual = None;
        self.wall = Wall::default();
        self.recent.clear();
        self.target = self.limits.clamp(known.unwrap_or(UNKNOWN).bits() as f64);
        self.asked = self.target;
    }

    /// Takes what the uplink saw.
    pub fn take(&mut self, sample: &LinkSample, now: Time) {
        let span = sample.span.as_secs_f64();
        self.made += (self.asked - self.made) * (1.0 - (-span / LAG).exp());
        let seen = Seen {
            span,
            busy: sample.busy.as_secs_f64(),
            arrived_busy: sample.arrived_busy as f64 * 8.0,
            offered: sample.offered as f64 * 8.0,
        };
        let promised = self.measured(WINDOW);
        self.recent.push_back(seen);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
        let made = self.made * self.share;
        let beyond = seen.offered - (made + self.audio) * span;
        self.loan = (self.loan * (-span / PAID).exp() + beyond).clamp(0.0, LOAN * made);
        let way = sample.min_rtt.unwrap_or_default().as_secs_f64();
        let waiting = (sample.outstanding as f64 * 8.0 - (self.target + self.audio) * way).max(0.0);
        self.wall.note(seen, promised, now);

        let total = match (self.measured(WINDOW), self.measured(1)) {
            (Some(long), short) => {
                let link = short.map_or(long, |short| short.min(long));
                SHARE * link - (waiting - self.loan - TOLERATED * link).max(0.0) / DRAIN
            }
            (None, _) if self.fed() => (self.target + self.audio) * RAISE.powf((0.1 / way).clamp(0.4, 1.0)),
            (None, _) => self.target + self.audio,
        };
        self.target = self.limits.clamp((total.min(self.wall.limit(now))) - self.audio);
        let ahead = self.limits.clamp(2.0 * self.target - self.made);
        let at_limit = ahead == self.limits.clamp(0.0) || ahead == self.limits.clamp(f64::MAX);
        if (ahead / self.asked - 1.0).abs() > STEP || at_limit {
            self.asked = ahead;
        }
        if self.measured(WINDOW).is_some() && sample.arrived > 0 {
            let usual = self.usual.get_or_insert(self.target);
            *usual += (self.target - *usual) * (span / USUAL).min(1.0);
        }
    }

    /// Rate of the link over the last `samples`, bit/s; none while nothing waited for it.
    fn measured(&self, samples: usize) -> Option<f64> {
        let last = self.recent.iter().rev().take(samples);
        let (busy, bits) = last.fold((0.0, 0.0), |(busy, bits), seen| (busy + seen.busy, bits + seen.arrived_busy));
        (busy > LEAST_BUSY).then(|| (bits + PRIOR * (self.target + self.audio) / SHARE) / (busy + PRIOR))
    }

    /// Whether the encoder makes about what it is asked for; sound is not its.
    fn fed(&self) -> bool {
        let (span, offered) =
            self.recent.iter().fold((0.0, 0.0), |(span, bits), seen| (span + seen.span, bits + seen.offered));
        offered - self.audio * span > 0.5 * self.made * self.share * span
    }
}

/// A rate that the link keeps failing to exceed.
#[derive(Debug, Clone, Default)]
struct Wall {
    /// bit/s.
    level: f64,
    /// How often in a row it was met.
    met: u32,
    /// When it was last met.
    since: Time,
    run: Option<Run>,
}

/// Samples in a row without a pause of the link.
#[derive(Debug, Clone)]
struct Run {
    promised: f64,
    samples: u32,
    busy: f64,
    bits: f64,
    slowest: f64,
    fastest: f64,
}

impl Wall {
    /// Met so often, it is one.
    const CERTAIN: u32 = 3;
    /// Levels this near are the same, in parts.
    const SAME: f64 = 0.2;
    /// A shaper's rate varies by no more than this, in times.
    const STEADY: f64 = 2.2;
    /// The link promised so many times what it carried.
    const LIE: f64 = 1.3;
    /// Part of a sample in which media waits while the link has no pause.
    const FULL: f64 = 0.8;
    /// The first rest before the wall is probed, doubled once.
    const REST: Duration = Duration::from_secs(1);
    /// Then the limit grows by e in this time, s.
    const GROWTH: f64 = 3.0;

    fn note(&mut self, seen: Seen, promised: Option<f64>, now: Time) {
        if seen.busy >= Self::FULL * seen.span {
            match &mut self.run {
                // What passes first may be what a shaper had saved up.
                None => {
                    let promised = promised.unwrap_or(f64::MAX);
                    self.run =
                        Some(Run { promised, samples: 0, busy: 0.0, bits: 0.0, slowest: f64::MAX, fastest: 0.0 });
                }
                Some(run) => {
                    run.samples += 1;
                    run.busy += seen.busy;
                    run.bits += seen.arrived_busy;
                    let rate = seen.arrived_busy / seen.busy;
                    run.slowest = run.slowest.min(rate);
                    run.fastest = run.fastest.max(rate);
                }
            }
        } else if let Some(run) = self.run.take()
            && run.samples >= 2
        {
            let level = run.bits / run.busy;
            let steady = run.fastest <= Self::STEADY * run.slowest;
            if steady && run.promised > Self::LIE * level {
                let same = (level / self.level - 1.0).abs() < Self::SAME;
                self.met = if same { self.met + 1 } else { 1 };
                (self.level, self.since) = (level, now);
            }
        }
    }

    /// The most that is worth a try, bit/s.
    fn limit(&self, now: Time) -> f64 {
        if self.met < Self::CERTAIN {
            return f64::MAX;
        }
        let rest = Self::REST * (1 << (self.met - Self::CERTAIN).min(1));
        let past = now.since(self.since).saturating_sub(rest).as_secs_f64();
        self.level * (past / Self::GROWTH).exp()
    }
}

#[cfg(test)]
mod tests;
