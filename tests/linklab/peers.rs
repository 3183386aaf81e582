//! The published rules that ours is compared with, and one that knows the future.

use crate::{link::Trace, run::View};
use std::collections::VecDeque;

/// OBS Studio's dynamic bitrate (rtmp-stream.c, as read in 2026-08): what was sent in 1 to 2 s is the estimate; when a
/// picture is added and 200 ms of them wait, the encoder is set to it, or back to where it was before the last raise; a
/// tenth of the full rate more each 4 s. IDR pictures do not count as waiting.
#[derive(Debug)]
pub struct Obs {
    original: u64,
    current: u64,
    previous: u64,
    audio: u64,
    raise_at: Option<u64>,
    frames: VecDeque<(u64, u64)>,
    bytes: u64,
    estimate: u64,
}

impl Obs {
    const TRIGGER: u64 = 200;
    const RAISE: u64 = 4000;

    pub fn new(start: u64, max: u64, audio: u64) -> Self {
        let raise_at = (start < max).then_some(Self::RAISE);
        Self {
            original: max / 1000,
            current: start / 1000,
            previous: 0,
            audio: audio / 1000,
            raise_at,
            frames: VecDeque::new(),
            bytes: 0,
            estimate: 0,
        }
    }

    pub fn decide(&mut self, view: &View<'_>) -> u64 {
        for sent in view.sent {
            self.bytes += sent.bytes;
            self.frames.push_back((sent.begun, sent.bytes));
            let duration = sent.ended - self.frames[0].0;
            if duration >= 2000
                && let Some((_, bytes)) = self.frames.pop_front()
            {
                self.bytes -= bytes;
            }
            self.estimate = if duration >= 1000 { self.bytes * 1000 / duration * 8 / 1000 } else { 0 };
            if self.estimate > 0 {
                self.estimate = self.estimate.saturating_sub(self.audio).max(50);
            }
        }
        let Some((units, queue)) = view.added else { return self.current * 1000 };
        if self.raise_at.is_some_and(|at| view.now >= at) {
            self.previous = self.current;
            self.current = (self.current + self.original / 10).min(self.original);
            self.raise_at = (self.current < self.original).then_some(view.now + Self::RAISE);
        }
        if units >= 5 && queue.is_some_and(|queue| queue >= Self::TRIGGER) {
            self.lower(view.now);
        }
        self.current * 1000
    }

    fn lower(&mut self, now: u64) {
        let mut new = self.previous;
        if self.estimate > 0 && self.estimate < self.current {
            new = (self.estimate / 100 * 100).max(50);
            self.frames.clear();
            self.bytes = 0;
        }
        if new == 0 || new == self.current {
            return;
        }
        (self.current, self.previous, self.raise_at) = (new, 0, Some(now + Self::RAISE));
    }
}

/// BELABOX's belacoder (belacoder.c, 2023-10-08): round trip and send buffer against their own averages, each 20 ms.
#[derive(Debug)]
pub struct Belacoder {
    min: f64,
    max: f64,
    current: f64,
    bs_avg: f64,
    bs_jitter: f64,
    prev_bs: f64,
    rtt_avg: f64,
    rtt_delta: f64,
    prev_rtt: f64,
    rtt_min: f64,
    rtt_jitter: f64,
    throughput: f64,
    offered: u64,
    raise_at: u64,
    lower_at: u64,
}

impl Belacoder {
    const TICK: u64 = 20;
    /// SRT's latency, ms.
    const LATENCY: f64 = 2000.0;

    pub fn new(start: u64, min: u64, max: u64) -> Self {
        Self {
            min: min as f64,
            max: max as f64,
            current: start as f64,
            bs_avg: 0.0,
            bs_jitter: 0.0,
            prev_bs: 0.0,
            rtt_avg: 0.0,
            rtt_delta: 0.0,
            prev_rtt: 300.0,
            rtt_min: 200.0,
            rtt_jitter: 0.0,
            throughput: 0.0,
            offered: 0,
            raise_at: 0,
            lower_at: 0,
        }
    }

    pub fn decide(&mut self, view: &View<'_>) -> u64 {
        if view.now.is_multiple_of(Self::TICK) {
            self.tick(view);
        }
        // The encoder gets steps of 100 kbit/s.
        ((self.current / 1e5).floor() * 1e5).max(self.min) as u64
    }

    fn tick(&mut self, view: &View<'_>) {
        let (bs, rtt, now) = ((view.outstanding as f64 / 1316.0).ceil(), view.rtt.max(1.0), view.now);
        self.bs_avg = self.bs_avg * 0.99 + bs * 0.01;
        self.bs_jitter = (self.bs_jitter * 0.99).max(bs - self.prev_bs);
        self.prev_bs = bs;
        self.rtt_avg = if self.rtt_avg == 0.0 { rtt } else { self.rtt_avg * 0.99 + rtt * 0.01 };
        let delta = rtt - self.prev_rtt;
        self.rtt_delta = self.rtt_delta * 0.8 + delta * 0.2;
        self.prev_rtt = rtt;
        self.rtt_min *= 1.001;
        if rtt != 100.0 && rtt < self.rtt_min && self.rtt_delta < 1.0 {
            self.rtt_min = rtt;
        }
        self.rtt_jitter = (self.rtt_jitter * 0.99).max(delta);
        let passed = (view.offered - self.offered) as f64 * 8.0 / Self::TICK as f64 / 1e3;
        self.offered = view.offered;
        self.throughput = self.throughput * 0.97 + passed * 0.03;

        let bs_of_rtt = |rtt: f64| self.throughput * 1e6 / 8.0 * rtt / 1e3 / 1316.0;
        let bs_th3 = 4.0 * (self.bs_avg + self.bs_jitter);
        let bs_th2 =
            50f64.max(self.bs_avg + (3.0 * self.bs_jitter).max(self.bs_avg)).min(bs_of_rtt(Self::LATENCY / 2.0));
        let bs_th1 = 50f64.max(self.bs_avg + 2.5 * self.bs_jitter);
        let rtt_th_max = self.rtt_avg + (4.0 * self.rtt_jitter).max(self.rtt_avg * 0.15);
        let rtt_th_min = self.rtt_min + 1f64.max(2.0 * self.rtt_jitter);

        if self.current > self.min && (rtt >= Self::LATENCY / 3.0 || bs > bs_th3) {
            self.current = self.min;
            self.lower_at = now + 200;
        } else if now > self.lower_at && (rtt > Self::LATENCY / 5.0 || bs > bs_th2) {
            self.current -= 1e5 + self.current / 10.0;
            self.lower_at = now + 250;
        } else if now > self.lower_at && (rtt > rtt_th_max || bs > bs_th1) {
            self.current -= 1e5;
            self.lower_at = now + 200;
        } else if now > self.raise_at && rtt < rtt_th_min && self.rtt_delta < 0.01 {
            self.current += 3e4 + self.current / 30.0;
            self.raise_at = now + 500;
        }
        self.current = self.current.clamp(self.min, self.max);
    }
}

/// Knows the mean capacity of the next 500 ms, and drains what waits in the same time.
#[derive(Debug)]
pub struct Oracle {
    pub min: u64,
    pub max: u64,
    pub audio: u64,
}

impl Oracle {
    pub fn decide(&self, view: &View<'_>, trace: &Trace) -> u64 {
        let rate = trace.mean(view.now, 500) - view.waiting as f64 * 8.0 / 0.5 - self.audio as f64;
        rate.clamp(self.min as f64, self.max as f64) as u64
    }
}
