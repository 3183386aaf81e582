//! What a delivery sees of its link, gathered for the rate controller (pure).

use super::queue::Queue;
use crate::{access_unit::AccessUnit, units::Time};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// What an uplink saw of its link since the sample before; the rate controller decides on these, 5 to 10 a second.
///
/// RTMP and SRT fill it alike. *Arrived* is what the transport says the peer's host has: with TCP all but `SIOCOUTQ`, with
/// SRT what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkSample {
    /// The time that it covers.
    pub span: Duration,
    /// Media taken in meanwhile, bytes.
    pub offered: u64,
    /// Media that arrived meanwhile, bytes.
    pub arrived: u64,
    /// Media that has not arrived, bytes: in our queue, in the kernel, on the way.
    pub outstanding: u64,
    /// How long ago the oldest of it was taken in; zero when all has arrived.
    pub delay: Duration,
    /// The part of `span` in which media waited for the link. Only then does what arrives measure the link.
    pub busy: Duration,
    /// Media that arrived in that part, bytes.
    pub arrived_busy: u64,
    /// Round trip, smoothed; none while unknown.
    pub rtt: Option<Duration>,
    /// The round trip that the path itself takes: what is on the way for so long does not wait.
    pub min_rtt: Option<Duration>,
    /// Pictures that were dropped meanwhile, as they waited for too long.
    pub dropped_pictures: u64,
}

/// How often [`Sampler::observe`] is to be called while media is under way.
pub const OBSERVE: Duration = Duration::from_millis(10);
/// How often a sample is to be taken.
pub const SAMPLE: Duration = Duration::from_millis(100);
/// The last segments of a picture may wait for a delayed acknowledgement (RFC 1122, 4.2.3.2), so they tell nothing.
const TAIL: u64 = 3000;
/// What was offered is remembered for this long at most; the queue holds less.
const MEMORY: Duration = Duration::from_secs(12);
/// The path takes the shortest round trip of this time, looked for in parts; only time in which nothing waits with us counts.
/// The rate controller empties a queue in the network sooner; what does not shrink meanwhile, though less is sent, is a longer
/// path: another network, a handover, lasting jitter.
const ROUND_TRIPS: Duration = Duration::from_millis(1000);
const PART: Duration = Duration::from_millis(100);
/// It counts so many times less while what arrives is no pictures with pauses between them: that is what a queue looks like,
/// which at the lowest bitrate takes its time to go.
const SLOWLY: u32 = 4;
/// What arrived is forgotten in about this time, s.
const FADE: f64 = 0.5;

/// Makes samples out of observations of one connection.
#[derive(Debug)]
pub struct Sampler {
    /// What had been offered since the connection began, by when.
    offers: VecDeque<(Time, u64)>,
    offered: u64,
    arrived: u64,
    rtt: Option<Duration>,
    /// The shortest smoothed round trip of each part of late, with what `free` was when the part began.
    shortest: VecDeque<(Duration, Duration)>,
    /// The time in which all media had been given away.
    free: Duration,
    /// Packets that were sent again, and when the last one was.
    repeated: u64,
    lost: Option<Time>,
    /// What arrived of late, and the part of it that came at once after a pause, bytes; it fades.
    flow: f64,
    bursts: f64,
    /// No more than sound arrived in the last step.
    paused: bool,
    observed: Time,
    backlogged: bool,
    begun: Time,
    sample: LinkSample,
}

impl Sampler {
    /// A connection that begins.
    pub fn new(now: Time) -> Self {
        Self {
            offers: VecDeque::new(),
            offered: 0,
            arrived: 0,
            rtt: None,
            shortest: VecDeque::new(),
            free: Duration::ZERO,
            repeated: 0,
            lost: None,
            flow: 0.0,
            bursts: 0.0,
            paused: true,
            observed: now,
            backlogged: false,
            begun: now,
            sample: LinkSample::default(),
        }
    }

    /// Puts `unit` into the queue of the connection, to which `sent` bytes of media have been given so far.
    pub fn push(&mut self, unit: Arc<AccessUnit>, queue: &mut Queue, sent: u64, now: Time) {
        let (bytes, before, dropped) = (unit.data.len(), queue.bytes(), queue.dropped_pictures());
        queue.push(unit);
        self.offer(bytes, now);
        let gone = before + bytes as u64 - queue.bytes();
        if gone > 0 {
            self.drop_from_queue(queue.dropped_pictures() - dropped, gone, sent);
        }
    }

    /// Media of `bytes` was taken into the queue.
    fn offer(&mut self, bytes: usize, now: Time) {
        let bytes = bytes as u64;
        self.offered += bytes;
        self.sample.offered += bytes;
        match self.offers.back_mut() {
            Some((at, total)) if *at == now => *total = self.offered,
            _ => self.offers.push_back((now, self.offered)),
        }
    }

    /// `pictures` of `bytes` in all were dropped from the queue's old end, before which only `sent` bytes had left it.
    fn drop_from_queue(&mut self, pictures: u64, bytes: u64, sent: u64) {
        self.sample.dropped_pictures += pictures;
        let bytes = bytes.min(self.offered.saturating_sub(sent));
        self.offered -= bytes;
        for (_, total) in &mut self.offers {
            *total = (*total).min(sent.max(total.saturating_sub(bytes)));
        }
    }

    /// Since the connection began the transport has taken `sent` bytes of media, of which `arrived` have arrived; `rtt` is
    /// the smoothed round trip. `repeated` packets had to be sent again.
    pub fn observe(&mut self, sent: u64, arrived: u64, rtt: Option<Duration>, repeated: u64, now: Time) {
        if repeated > self.repeated {
            (self.repeated, self.lost) = (repeated, Some(now));
        }
        self.rtt = rtt.or(self.rtt);
        if let Some(rtt) = rtt {
            self.note_round_trip(rtt);
        }
        let arrived = arrived.clamp(self.arrived, self.offered);
        let came = arrived - self.arrived;
        // What was offered a round trip ago and is not acknowledged has waited: the link had no pause.
        // Behind a lost packet all waits for it for another round trip, and the link has had no part in that.
        let path = self.path().unwrap_or_default();
        let lost = self.lost.is_some_and(|at| now.since(at) <= path);
        let way = if lost { path * 2 } else { path };
        let due = self.offered_by(now - way);
        let backlogged = arrived + TAIL < due;
        let step = now.since(self.observed);
        let fade = (-step.as_secs_f64() / FADE).exp();
        self.flow = self.flow * fade + came as f64;
        self.bursts = self.bursts * fade + if self.paused && came > TAIL { came as f64 } else { 0.0 };
        self.paused = came <= TAIL / 2;
        if self.offered <= sent {
            self.free += if self.bursts > 0.5 * self.flow { step } else { step / SLOWLY };
        }
        self.sample.arrived += came;
        if self.backlogged || backlogged || came > TAIL {
            // A burst makes the link busy in the middle of the step, and its end lies anywhere after that.
            let first = self.offers.iter().find(|(_, total)| *total > self.arrived + TAIL);
            let since = match (self.backlogged, first) {
                (false, Some((at, _))) => self.observed.max(*at + way),
                _ => self.observed,
            };
            let busy = now.since(since.max(self.begun));
            self.sample.busy += if backlogged { busy } else { busy / 2 };
            self.sample.arrived_busy += came;
        }
        (self.observed, self.arrived, self.backlogged) = (now, arrived, backlogged);
        while self.offers.len() > 1 && now.since(self.offers[1].0) > MEMORY {
            self.offers.pop_front();
        }
    }

    /// The time since the last sample.
    pub fn age(&self, now: Time) -> Duration {
        now.since(self.begun)
    }

    /// Takes the sample of the time since the one before.
    pub fn take(&mut self, now: Time) -> LinkSample {
        let oldest = self.offers.iter().find(|(_, total)| *total > self.arrived);
        let sample = LinkSample {
            span: now.since(self.begun),
            outstanding: self.offered - self.arrived,
            delay: oldest.map_or(Duration::ZERO, |(at, _)| now.since(*at)),
            rtt: self.rtt,
            min_rtt: self.path(),
            ..self.sample
        };
        (self.begun, self.sample) = (now, LinkSample::default());
        sample
    }

    /// What had been offered by `time`.
    fn offered_by(&self, time: Time) -> u64 {
        let later = self.offers.partition_point(|(at, _)| *at <= time);
        match later {
            0 => self.offers.front().map_or(0, |_| self.arrived),
            later => self.offers[later - 1].1,
        }
    }

    fn note_round_trip(&mut self, rtt: Duration) {
        while self.shortest.front().is_some_and(|(since, _)| self.free - *since >= ROUND_TRIPS) {
            self.shortest.pop_front();
        }
        match self.shortest.back_mut() {
            Some((since, shortest)) if self.free - *since < PART => *shortest = rtt.min(*shortest),
            _ => self.shortest.push_back((self.free, rtt)),
        }
    }

    fn path(&self) -> Option<Duration> {
        self.shortest.iter().map(|(_, rtt)| *rtt).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(1_000_000 + ms)
    }
    const RTT: Option<Duration> = Some(Duration::from_millis(40));

    /// A link of `rate` bytes a millisecond and a round trip of 40 ms that gets `picture` bytes each 40 ms for a second.
    fn sample_of(rate: u64, picture: usize) -> LinkSample {
        let (mut sampler, mut waiting, mut arrived) = (Sampler::new(at(0)), 0, 0);
        let mut sent = VecDeque::from(vec![0; 40]);
        for ms in 0..1000 {
            if ms % 40 == 0 {
                sampler.offer(picture, at(ms));
                waiting += picture as u64;
            }
            let passed = waiting.min(rate);
            waiting -= passed;
            sent.push_back(passed);
            arrived += sent.pop_front().unwrap_or(0);
            if ms % 10 == 9 {
                sampler.observe(u64::MAX, arrived, RTT, 0, at(ms));
            }
        }
        sampler.take(at(1000))
    }

    fn measured(sample: &LinkSample) -> f64 {
        sample.arrived_busy as f64 / sample.busy.as_secs_f64() / 1e3
    }

    #[test]
    fn the_link_is_measured_while_media_waits_for_it() {
        // It is asked for twice of what it can carry.
        let behind = sample_of(500, 40_000);
        assert!(behind.busy > Duration::from_millis(900), "{behind:?}");
        assert!((485.0..515.0).contains(&measured(&behind)), "{behind:?}");
        assert!((450..550).contains(&(behind.delay.as_millis() as u64)) && behind.outstanding > 480_000, "{behind:?}");
        // Half of what it can carry: the pictures' own bursts still measure it, roughly.
        let ahead = sample_of(500, 10_000);
        assert!((100..=600).contains(&(ahead.busy.as_millis() as u64)), "{ahead:?}");
        assert!((350.0..=750.0).contains(&measured(&ahead)), "{ahead:?}");
        assert!(ahead.delay <= Duration::from_millis(60), "{ahead:?}");
    }

    #[test]
    fn a_static_picture_measures_nothing() {
        let sample = sample_of(500, 140);
        assert_eq!((sample.busy, sample.arrived_busy), (Duration::ZERO, 0));
        assert_eq!(sample.offered, 25 * 140);
    }

    #[test]
    fn dropped_media_is_not_waited_for() {
        let mut sampler = Sampler::new(at(0));
        sampler.offer(1000, at(0));
        sampler.offer(5000, at(100));
        sampler.offer(7000, at(200));
        sampler.drop_from_queue(3, 5000, 1000);
        sampler.observe(1000, 1000, RTT, 0, at(300));
        let sample = sampler.take(at(300));
        assert_eq!((sample.outstanding, sample.delay, sample.dropped_pictures), (7000, Duration::from_millis(100), 3));
        sampler.observe(8000, 8000, RTT, 0, at(400));
        let sample = sampler.take(at(400));
        assert_eq!((sample.outstanding, sample.delay, sample.arrived), (0, Duration::ZERO, 7000));
    }

    /// The path's round trip each 100 ms, of which 40 ms become 120 after 4 s; a picture arrives at once, or bit by bit.
    fn paths(bursts: bool, sent: u64) -> Vec<u128> {
        let (mut sampler, mut arrived, mut paths) = (Sampler::new(at(0)), 0, Vec::new());
        sampler.offer(10_000_000, at(0));
        for step in 0..1000 {
            arrived += match (bursts, step % 4) {
                (false, _) => 2500,
                (true, 0) => 10_000,
                (true, _) => 0,
            };
            let rtt = Duration::from_millis(if step < 400 { 40 } else { 120 });
            sampler.observe(sent, arrived, Some(rtt), 0, at(step * 10));
            if step % 10 == 9 {
                paths.extend(sampler.take(at(step * 10)).min_rtt.map(|path| path.as_millis()));
            }
        }
        paths
    }

    #[test]
    fn a_longer_path_is_told_from_a_queue() {
        let after = |paths: Vec<u128>| paths.iter().skip(40).position(|path| *path == 120);
        let quickly = after(paths(true, u64::MAX)).expect("known");
        assert!((8..=12).contains(&quickly), "{quickly} tenths");
        let slowly = after(paths(false, u64::MAX)).expect("known");
        assert!((35..=50).contains(&slowly), "{slowly} tenths");
        assert_eq!(after(paths(true, 0)), None, "while media waits with us, it is a queue");
    }

    #[test]
    fn what_waits_behind_a_lost_packet_does_not_wait_for_the_link() {
        for (repeated, busy) in [(0, true), (1, false)] {
            let mut sampler = Sampler::new(at(0));
            sampler.observe(0, 0, RTT, 0, at(0));
            sampler.offer(10_000, at(0));
            for ms in 1..=5 {
                sampler.observe(u64::MAX, 0, RTT, repeated, at(ms * 10));
            }
            assert_eq!(sampler.take(at(50)).busy > Duration::ZERO, busy);
        }
    }

    proptest! {
        #[test]
        fn sums_hold_whatever_happens(steps in prop::collection::vec((0u8..4, 0u64..20_000, 0u64..300), 1..300)) {
            let (mut sampler, mut now, mut last) = (Sampler::new(at(0)), 0, 0);
            let (mut offered, mut arrived, mut dropped) = (0, 0, 0);
            for (action, value, step) in steps {
                now += step;
                match action {
                    0 => { sampler.offer(value as usize, at(now)); }
                    1 => sampler.observe(value * 4, value * 3, RTT, 0, at(now)),
                    2 => {
                        let before = sampler.offered;
                        sampler.drop_from_queue(1, value, sampler.arrived + value / 2);
                        dropped += before - sampler.offered;
                    }
                    _ => {
                        let sample = sampler.take(at(now));
                        prop_assert_eq!(sample.span, Duration::from_millis(now - last));
                        prop_assert!(sample.busy <= sample.span);
                        prop_assert!(sample.arrived_busy <= sample.arrived);
                        offered += sample.offered;
                        arrived += sample.arrived;
                        prop_assert_eq!(offered, arrived + dropped + sample.outstanding);
                        prop_assert!(sample.outstanding > 0 || sample.delay == Duration::ZERO);
                        last = now;
                    }
                }
            }
        }
    }
}
