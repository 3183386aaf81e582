//! What a trace lets pass, and one connection over it: the bottleneck's FIFO, the way there and back, TCP.

use std::{
    collections::{BTreeSet, VecDeque},
    fs, io,
    path::Path,
};

/// Bytes of a packet.
pub const PACKET: u64 = 1500;
/// Bytes that TCP with a small send buffer lets wait before the bottleneck; the rest waits in our queue.
const STANDING: u64 = 32 * 1024;

/// When packets may pass; it repeats.
#[derive(Debug, Clone)]
pub struct Trace {
    pub name: String,
    /// Bytes that may pass in each millisecond.
    pub slots: Vec<u32>,
    /// Share of packets that are lost on the way.
    pub loss: f64,
    /// The way there, from which ms of the trace on, ms; as much back. Empty: what the conditions say.
    pub delay: Vec<(u64, u64)>,
    /// A packet takes up to so much longer, ms.
    pub jitter: u64,
    /// Bytes that fit before the bottleneck; what comes when they are full is lost. Then TCP's window says how much is
    /// under way. None: a sender that lets [`STANDING`] wait there.
    pub buffer: Option<u64>,
    /// Bytes that a shaper lets pass at once after a pause; one packet where there is none.
    pub burst: u64,
    /// Whether it was recorded (or made) from a mobile network.
    pub mobile: bool,
}

impl Trace {
    /// A link of that name that is nothing but its capacity.
    fn plain(name: String, slots: Vec<u32>) -> Self {
        let delay = Vec::new();
        Self { name, slots, loss: 0.0, delay, jitter: 0, buffer: None, burst: PACKET, mobile: false }
    }

    /// A trace whose capacity in bit/s is `rate` of the second.
    pub fn of_rates(name: &str, seconds: f64, rate: impl Fn(f64) -> f64) -> Self {
        let (mut slots, mut due) = (Vec::new(), 0.0);
        for ms in 0..(seconds * 1e3) as u64 {
            due += rate(ms as f64 / 1e3) / 8e3;
            let packets = (due / PACKET as f64).floor();
            due -= packets * PACKET as f64;
            slots.push((packets * PACKET as f64) as u32);
        }
        Self::plain(name.into(), slots)
    }

    /// A file whose lines are the milliseconds at which one packet may pass.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let wrong = |line: &str| io::Error::other(format!("{}: no millisecond: {line:?}", path.display()));
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let times: Result<Vec<usize>, _> = lines.map(|line| line.parse().map_err(|_| wrong(line))).collect();
        let times = times?;
        let last = times.iter().max().copied().filter(|last| (1..=3_600_000).contains(last));
        let last = last.ok_or_else(|| wrong("of 1 ms to 1 h"))?;
        let mut slots = vec![0; last];
        for time in times {
            slots[time % last] += PACKET as u32;
        }
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { mobile: true, ..Self::plain(name, slots) })
    }

    /// One that was made from a seed.
    pub fn mobile(name: String, slots: Vec<u32>) -> Self {
        Self { mobile: true, ..Self::plain(name, slots) }
    }

    /// How long a comparison runs over it, s: all of it, again and again until a minute is full.
    pub fn seconds(&self) -> u64 {
        let once = self.slots.len() as u64;
        (once * 60_000u64.div_ceil(once) / 1000).min(600)
    }

    pub fn bytes_at(&self, ms: u64) -> u64 {
        u64::from(self.slots[(ms % self.slots.len() as u64) as usize])
    }

    /// Mean capacity from `ms` on, bit/s.
    pub fn mean(&self, ms: u64, span: u64) -> f64 {
        (ms..ms + span).map(|ms| self.bytes_at(ms)).sum::<u64>() as f64 * 8e3 / span as f64
    }
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    /// Its first byte's place in the stream.
    start: u64,
    length: u64,
    /// When it was given to the network the first time.
    sent: u64,
}

/// The network of one connection: a FIFO before the bottleneck, then a fixed way there and back.
///
/// Where the buffer has an end, so has TCP's window: it opens with what is acknowledged, at first quickly, and shrinks by
/// three tenths when something was lost, at most once in a round trip.
#[derive(Debug)]
pub struct Network {
    one_way: u64,
    delay: Vec<(u64, u64)>,
    repeats: u64,
    jitter: u64,
    loss: f64,
    buffer: Option<u64>,
    window: f64,
    opening: bool,
    shrunk: u64,
    burst: u64,
    tokens: u64,
    random: u64,
    fifo: VecDeque<Packet>,
    waiting: u64,
    /// Lost packets, sent again when the sender notices: a round trip after they would have passed.
    lost: VecDeque<(u64, Packet)>,
    /// On the way to the receiver.
    flying: VecDeque<(u64, Packet)>,
    /// Received beyond a gap.
    early: BTreeSet<(u64, u64)>,
    received: u64,
    /// On the way back: bytes received in a row, round trip.
    acks: VecDeque<(u64, u64, u64)>,
    sent: u64,
    repeated: u64,
    passed: u64,
    pub acked: u64,
    pub srtt: f64,
}

impl Network {
    pub fn new(one_way: u64, trace: &Trace) -> Self {
        Self {
            one_way,
            delay: trace.delay.clone(),
            repeats: trace.slots.len() as u64,
            jitter: trace.jitter,
            loss: trace.loss,
            buffer: trace.buffer,
            window: 10.0 * PACKET as f64,
            opening: true,
            shrunk: 0,
            burst: trace.burst,
            tokens: 0,
            random: 1,
            fifo: VecDeque::new(),
            waiting: 0,
            lost: VecDeque::new(),
            flying: VecDeque::new(),
            early: BTreeSet::new(),
            received: 0,
            acks: VecDeque::new(),
            sent: 0,
            repeated: 0,
            passed: 0,
            acked: 0,
            srtt: 2.0 * one_way as f64,
        }
    }

    /// What it would take from the sender now.
    pub fn room(&self) -> u64 {
        match self.buffer {
            Some(_) => (self.window as u64).saturating_sub(self.sent - self.acked),
            None => STANDING.saturating_sub(self.waiting),
        }
    }

    /// The way there, ms.
    fn way(&self, now: u64) -> u64 {
        let now = now % self.repeats;
        self.delay.iter().rev().find(|(from, _)| *from <= now).map_or(self.one_way, |(_, way)| *way)
    }

    /// The way there of one packet.
    fn flight(&mut self, now: u64) -> u64 {
        self.way(now) + (fraction(&mut self.random) * (self.jitter + 1) as f64) as u64
    }

    fn lose(&mut self, packet: Packet, now: u64) {
        // What was lost is noticed by what comes after it.
        let notice = (2 * self.way(now)).max(if self.buffer.is_some() { self.srtt as u64 } else { 0 });
        let at = self.lost.back().map_or(0, |(at, _)| *at).max(now + notice);
        self.lost.push_back((at, packet));
        if self.buffer.is_some() && now >= self.shrunk + self.srtt as u64 {
            (self.opening, self.shrunk) = (false, now);
            self.window = (0.7 * self.window).max(4.0 * PACKET as f64);
        }
    }

    /// Packets that had to be sent again.
    pub fn repeats_sent(&self) -> u64 {
        self.repeated
    }

    /// Takes bytes of the sender.
    pub fn send(&mut self, mut bytes: u64, now: u64) {
        while bytes > 0 {
            let length = bytes.min(PACKET);
            let packet = Packet { start: self.sent, length, sent: now };
            (self.sent, bytes) = (self.sent + length, bytes - length);
            if self.buffer.is_some_and(|buffer| self.waiting + length > buffer) {
                self.lose(packet, now);
            } else {
                self.fifo.push_back(packet);
                self.waiting += length;
            }
        }
    }

    /// Bytes that the sender has handed over.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes that have passed the bottleneck and were not lost.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// One millisecond in which `capacity` bytes may pass. Gives how many bytes have been received in a row by now.
    pub fn step(&mut self, capacity: u64, now: u64) -> u64 {
        while let Some((_, mut packet)) = pop_if(&mut self.lost, |(at, _)| *at <= now) {
            packet.sent = now;
            self.repeated += 1;
            self.waiting += packet.length;
            self.fifo.push_front(packet);
        }
        self.tokens = (self.tokens + capacity).min(self.burst.max(capacity));
        while let Some(packet) = pop_if(&mut self.fifo, |packet| packet.length <= self.tokens) {
            self.tokens -= packet.length;
            self.waiting -= packet.length;
            if fraction(&mut self.random) < self.loss {
                self.lose(packet, now);
            } else {
                self.passed += packet.length;
                let at = now + self.flight(now);
                let at = self.flying.back().map_or(at, |(last, _)| at.max(*last));
                self.flying.push_back((at, packet));
            }
        }
        while let Some((_, packet)) = pop_if(&mut self.flying, |(at, _)| *at <= now) {
            self.early.insert((packet.start, packet.length));
            while let Some((start, length)) = self.early.pop_first() {
                if start != self.received {
                    self.early.insert((start, length));
                    break;
                }
                self.received += length;
            }
            let at = now + self.way(now);
            let at = self.acks.back().map_or(at, |(last, _, _)| at.max(*last));
            self.acks.push_back((at, self.received, at - packet.sent));
        }
        while let Some((_, acked, rtt)) = pop_if(&mut self.acks, |(at, _, _)| *at <= now) {
            let came = (acked - self.acked) as f64;
            // A window that is not used does not open (RFC 2861).
            if (self.sent - self.acked) as f64 >= 0.5 * self.window {
                self.window += if self.opening { came } else { came * PACKET as f64 / self.window };
            }
            self.acked = acked;
            let rtt = rtt as f64;
            self.srtt += (rtt - self.srtt) / 8.0;
        }
        self.received
    }
}

/// Takes the first of `queue` if `ready` takes it.
pub fn pop_if<T>(queue: &mut VecDeque<T>, ready: impl FnOnce(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(ready) { queue.pop_front() } else { None }
}

/// The next of a fixed series of fractions from 0 to 1 (splitmix64).
pub fn fraction(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
