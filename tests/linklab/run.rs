//! One rule over one trace, in virtual time of 1 ms.

use crate::{
    encoder::{Encoder, Model},
    link::{Network, Trace, pop_if},
    peers::{Belacoder, Obs, Oracle},
};
use bytes::Bytes;
use fieldcast::{
    access_unit::{AccessUnit, CodecConfig, Track},
    control::rate::{Controller, Limits},
    units::{BitRate, Time},
    uplink::{
        queue::Queue,
        sample::{OBSERVE, SAMPLE, Sampler},
    },
};
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

/// What all rules of a comparison share.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    pub encoder: Model,
    pub start: u64,
    pub min: u64,
    pub max: u64,
    /// Bit/s of sound beside the pictures; 0 for none.
    pub audio: u64,
    /// Pictures a second.
    pub pictures: u64,
    /// ms there, where the trace says nothing; as much back.
    pub one_way: u64,
    /// Media that the queue holds before whole GOPs go.
    pub queue: Duration,
}

impl Conditions {
    /// What is shown: an encoder as it is, sound, the queue's limit.
    pub const REAL: Self = Self {
        encoder: Model::REAL,
        start: 2_500_000,
        min: 300_000,
        max: 6_000_000,
        audio: 128_000,
        pictures: 30,
        one_way: 20,
        queue: Queue::LIMIT,
    };
    /// Those of the first cut, whose figures are known: one FIFO, an ideal encoder, no sound, nothing dropped.
    pub const FIRST_CUT: Self =
        Self { encoder: Model::IDEAL, audio: 0, queue: Duration::from_secs(3600), ..Self::REAL };
}

/// Who decides the bitrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    Ours,
    Obs,
    Belacoder,
    Oracle,
}

impl Rule {
    pub const ALL: [Self; 4] = [Self::Ours, Self::Obs, Self::Belacoder, Self::Oracle];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "fieldcast",
            Self::Obs => "obs",
            Self::Belacoder => "belacoder",
            Self::Oracle => "oracle",
        }
    }
}

/// What a rule can see; each published rule looks at its own part of it only.
#[derive(Debug)]
pub struct View<'a> {
    pub now: u64,
    /// At a picture, before it is added to the sender's queue: the units in it, and from the first picture in it that is
    /// no IDR to the last one, ms.
    pub added: Option<(usize, Option<u64>)>,
    /// Units that were handed to the network since the last look.
    pub sent: &'a [Sent],
    /// Bytes that were not acknowledged, the queue with them.
    pub outstanding: u64,
    /// Bytes before the bottleneck.
    pub waiting: u64,
    pub offered: u64,
    /// Round trip as SRT sees it, which hands all over at once: with the time in the queue.
    pub rtt: f64,
}

/// A unit that was handed to the network, and how long that took.
#[derive(Debug)]
pub struct Sent {
    pub begun: u64,
    pub ended: u64,
    pub bytes: u64,
}

enum Decider {
    Ours(Box<Controller>, Sampler),
    Obs(Obs),
    Belacoder(Belacoder),
    Oracle(Oracle),
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub utilisation: f64,
    /// Of a picture from the encoder to the receiver, ms.
    pub p50: u64,
    pub p95: u64,
    pub max: u64,
    pub dropped: usize,
    /// Share of pictures that came later than 1 s or never.
    pub late: f64,
    pub switches_per_minute: f64,
    /// The asked bitrate of each 100 ms, kbit/s.
    pub asked: Vec<u32>,
    /// The worst delay of pictures made in each second, ms; dropped ones count as the queue's limit.
    pub delays: Vec<u32>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} used, p95 {} ms, {} dropped", self.utilisation, self.p95, self.dropped)
    }
}

struct Pipe {
    queue: Queue,
    /// The unit that is being handed over: what is left of it, when it began, its size.
    current: Option<(u64, u64, u64)>,
    /// Pictures in the network: where they end in the stream, when they were made.
    under_way: VecDeque<(u64, u64)>,
    /// The same of pictures that were not acknowledged.
    unacked: VecDeque<(u64, u64)>,
    rtt: f64,
    written: u64,
    /// Bytes and units in the queue.
    queued: u64,
    /// Pictures in the queue: when they were made, and whether they are IDRs.
    pictures: VecDeque<(u64, bool)>,
    sent: Vec<Sent>,
}

impl Pipe {
    fn hand_over(&mut self, network: &mut Network, now: u64) {
        loop {
            if self.current.is_none() {
                let Some(unit) = self.queue.pop() else { return };
                let bytes = unit.data.len() as u64;
                self.written += bytes;
                if unit.track == Track::Video {
                    self.under_way.push_back((self.written, unit.time.millis() - ORIGIN));
                    self.unacked.push_back((self.written, unit.time.millis() - ORIGIN));
                }
                if unit.track == Track::Video {
                    self.pictures.pop_front();
                }
                self.queued -= bytes;
                self.current = Some((bytes, now, bytes));
            }
            let Some((left, begun, bytes)) = self.current.as_mut() else { return };
            let piece = (*left).min(network.room());
            network.send(piece, now);
            *left -= piece;
            if *left > 0 {
                return;
            }
            self.sent.push(Sent { begun: *begun, ended: now, bytes: *bytes });
            self.current = None;
        }
    }
}

const ORIGIN: u64 = 1_000_000;

fn at(ms: u64) -> Time {
    Time::from_millis(ORIGIN + ms)
}

/// Runs `rule` over `trace`.
pub fn run(rule: Rule, trace: &Trace, with: &Conditions) -> Outcome {
    let mut decider = match rule {
        Rule::Ours => {
            let limits = Limits { min: BitRate::new(with.min), max: BitRate::new(with.max) };
            let controller = Controller::new(limits, Some(BitRate::new(with.start)), BitRate::new(with.audio));
            Decider::Ours(Box::new(controller), Sampler::new(at(0)))
        }
        Rule::Obs => Decider::Obs(Obs::new(with.start, with.max, with.audio)),
        Rule::Belacoder => Decider::Belacoder(Belacoder::new(with.start, with.min, with.max)),
        Rule::Oracle => Decider::Oracle(Oracle { min: with.min, max: with.max, audio: with.audio }),
    };
    let mut network = Network::new(with.one_way, trace);
    let mut pipe = Pipe {
        queue: Queue::new(with.queue),
        current: None,
        under_way: VecDeque::new(),
        unacked: VecDeque::new(),
        rtt: 2.0 * with.one_way as f64,
        written: 0,
        queued: 0,
        pictures: VecDeque::new(),
        sent: Vec::new(),
    };
    let mut encoder = Encoder::new(with.encoder, with.start as f64);
    let (video, audio) = (Arc::new(CodecConfig::H264(Bytes::new())), Arc::new(CodecConfig::Aac(Bytes::new())));
    let (mut asked, mut switches, mut offered) = (with.start, 0u64, 0u64);
    let (mut sounds, mut births, mut arrivals) = (0u64, Vec::new(), Vec::new());
    let mut forced_at = None;
    let mut curve = Vec::new();
    let seconds = trace.seconds();
    let mut carried = 0;
    // After the last picture, what is under way may still arrive.
    let end = seconds * 1000;
    for now in 0..end + 20_000 {
        let mut added = None;
        while now < end && births.len() as u64 * 1000 <= now * with.pictures {
            let wants =
                pipe.queue.wants_keyframe() && !births.is_empty() && forced_at.is_none_or(|at| now - at >= 1000);
            if wants {
                forced_at = Some(now);
            }
            let (bytes, key) = encoder.picture(asked as f64, 1000.0 / with.pictures as f64, wants);
            births.push(now);
            offered += bytes;
            let (first, last) = (pipe.pictures.iter().find(|(_, key)| !key), pipe.pictures.back());
            added = Some((pipe.queue.len(), first.zip(last).map(|((first, _), (last, _))| last - first)));
            push(&mut pipe, &mut decider, Track::Video, key, bytes, &video, now);
        }
        while now < end && with.audio > 0 && sounds * 1024 <= now * 48 {
            let bytes = with.audio * 1024 / 48_000 / 8;
            sounds += 1;
            offered += bytes;
            push(&mut pipe, &mut decider, Track::Audio, true, bytes, &audio, now);
        }
        pipe.hand_over(&mut network, now);
        let passes = trace.bytes_at(now);
        let received = network.step(passes, now);
        pipe.hand_over(&mut network, now);
        if now + 1 == end {
            carried = network.passed();
        }
        while let Some((_, born)) = pop_if(&mut pipe.under_way, |(ends, _)| *ends <= received) {
            arrivals.push((born, now));
        }
        if now >= end {
            if pipe.under_way.is_empty() && pipe.queue.is_empty() {
                break;
            }
            continue;
        }
        let mut acked_now = None;
        while let Some((_, born)) = pop_if(&mut pipe.unacked, |(ends, _)| *ends <= network.acked) {
            acked_now = Some(born);
        }
        if let Some(born) = acked_now {
            pipe.rtt += ((now - born) as f64 - pipe.rtt) / 4.0;
        }
        let unsent = pipe.queued + pipe.current.map_or(0, |(left, _, _)| left);
        let view = View {
            now,
            added,
            sent: &pipe.sent,
            outstanding: pipe.queued + pipe.written - network.acked,
            waiting: unsent + network.sent() - network.passed(),
            offered,
            rtt: pipe.rtt,
        };
        let before = asked;
        match &mut decider {
            Decider::Ours(controller, sampler) => {
                if now.is_multiple_of(OBSERVE.as_millis() as u64) {
                    let rtt = Duration::from_micros((network.srtt * 1e3) as u64);
                    sampler.observe(pipe.written, network.acked, Some(rtt), network.repeats_sent(), at(now));
                }
                if now > 0 && now.is_multiple_of(SAMPLE.as_millis() as u64) {
                    let sample = sampler.take(at(now));
                    controller.take(&sample, at(now));
                    asked = controller.rate().bits();
                }
            }
            Decider::Obs(rule) => asked = rule.decide(&view),
            Decider::Belacoder(rule) => asked = rule.decide(&view),
            Decider::Oracle(rule) => asked = rule.decide(&view, trace),
        }
        pipe.sent.clear();
        switches += u64::from(asked != before);
        if now.is_multiple_of(100) {
            curve.push((asked / 1000) as u32);
        }
    }
    // Beyond the most that could be sent, capacity is of no use.
    let bound = (with.max + with.audio) as f64;
    let useful: f64 = (0..seconds).map(|second| trace.mean(second * 1000, 1000).min(bound) / 8.0).sum();
    // Instead of a picture that was dropped, viewers get the next one that comes.
    let mut next = arrivals.iter().peekable();
    let mut delays = Vec::new();
    let mut worst = vec![0u32; seconds as usize + 1];
    for born in &births {
        while next.next_if(|(arrived, _)| arrived < born).is_some() {}
        let delay = next.peek().map_or(end + 20_000, |(_, at)| *at) - born;
        delays.push(delay);
        let second = &mut worst[(born / 1000) as usize];
        *second = (*second).max(delay as u32);
    }
    let late = delays.iter().filter(|delay| **delay > 1000).count();
    delays.sort_unstable();
    let centile = |part: f64| delays.get((delays.len() as f64 * part) as usize).copied().unwrap_or(0);
    Outcome {
        utilisation: carried as f64 / useful,
        p50: centile(0.5),
        p95: centile(0.95),
        max: delays.last().copied().unwrap_or(0),
        dropped: births.len() - arrivals.len(),
        late: late as f64 / births.len() as f64,
        switches_per_minute: switches as f64 * 60.0 / seconds as f64,
        asked: curve,
        delays: worst,
    }
}

fn push(
    pipe: &mut Pipe,
    decider: &mut Decider,
    track: Track,
    key: bool,
    bytes: u64,
    config: &Arc<CodecConfig>,
    now: u64,
) {
    let unit =
        AccessUnit { track, time: at(now), key, config: config.clone(), data: Bytes::from(vec![0; bytes as usize]) };
    let dropped = pipe.queue.dropped_pictures();
    if track == Track::Video {
        pipe.pictures.push_back((now, key));
    }
    match decider {
        Decider::Ours(_, sampler) => sampler.push(Arc::new(unit), &mut pipe.queue, pipe.written, at(now)),
        _ => pipe.queue.push(Arc::new(unit)),
    }
    // Those that are dropped are the oldest, or the one that came.
    pipe.pictures.drain(..(pipe.queue.dropped_pictures() - dropped) as usize);
    pipe.queued = pipe.queue.bytes();
}
