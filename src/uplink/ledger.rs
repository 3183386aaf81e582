//! What of the media on one connection has arrived, and what says so.

use crate::{status::AcknowledgedBy, units::Time};
use std::{collections::VecDeque, time::Duration};

/// After this long without a word from the ingest's program, the kernel's count is believed instead.
const WORD: Duration = Duration::from_secs(3);
/// The same where the next Acknowledgement is known not to be due: before the one before it is too old for on air.
const EXPECTED_WORD: Duration = Duration::from_millis(2500);
/// Nothing of any kind for this long while media is under way: the connection is dead. Five seconds are what a loss may
/// take to be noticed; a path that was gone for so long is found sooner by a new connection than by TCP's next retry.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// The same after the box was told that its network changed: the old path is probably gone.
pub const LITTLE_PATIENCE: Duration = Duration::from_secs(2);
/// An ingest's host has had a ping, or what makes an Acknowledgement due, for this long, and its program, which answered or
/// acknowledged before, says nothing: it hangs.
pub const SILENCE: Duration = Duration::from_secs(4);
/// Positions remembered between two acknowledgements; beyond that every second one is forgotten.
const MARKS: usize = 512;
/// Pings remembered without an answer.
const PINGS: usize = 16;
/// The steps between so many Acknowledgements say how often this ingest sends one; fewer may be chance.
const STEPS: (usize, usize) = (2, 3);
/// What was proven by something better so long ago is not shown as proven by less: arrival is looked at each 250 ms, and
/// the answer to a ping would hide the Acknowledgement that came just before it.
const BETTER: Duration = Duration::from_millis(300);

/// The account of one connection. Counts media only: the bytes of access units.
///
/// Best proof first: an RTMP Acknowledgement counts the bytes that the ingest's program read; the answer to a ping
/// proves everything that was sent before the ping. TCP only proves that the ingest's host has the bytes, so its count is
/// used where the program says nothing for 3 s and never answered a ping, and then only from what it was at that moment
/// on: a frozen program whose kernel goes on acknowledging must not look like one that never speaks. For the same reason
/// it is not used once an Acknowledgement is due: one that comes each second is missed before those 3 s are over, while
/// an ingest that counts by some millions, whatever it is asked for, is not called off air in between.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Bytes put on the connection, handshake included.
    written: u64,
    /// Media among them.
    media: u64,
    /// After so many bytes of the connection, so much media.
    marks: VecDeque<(u64, u64)>,
    /// Bytes of the connection that Acknowledgements counted.
    counted: u64,
    sequence: u32,
    last_ack: Option<Time>,
    /// Bytes between the last Acknowledgements, while media flowed.
    steps: VecDeque<u64>,
    /// Since when TCP has delivered what makes the next Acknowledgement due; none before.
    due: Option<Time>,
    /// Bytes that TCP has delivered.
    delivered: u64,
    /// Pings under way, oldest first.
    pings: VecDeque<Ping>,
    /// It has answered a ping: one without an answer means something.
    answers: bool,
    /// Media that the program proved, and when it last did.
    proven: u64,
    word: Option<Time>,
    tcp: u64,
    /// What TCP had counted when the program fell silent.
    tcp_base: Option<u64>,
    acknowledged: u64,
    /// What proved it, and when.
    by: Option<(AcknowledgedBy, Time)>,
    /// When something last moved, or media was put on an idle connection.
    moved: Time,
    /// Since when the path may have gone; none once something moved.
    doubted: Option<Time>,
}

#[derive(Debug)]
struct Ping {
    value: u32,
    /// Media before it.
    media: u64,
    /// Bytes of the connection up to its end.
    end: u64,
    /// When TCP was seen to have delivered it.
    delivered: Option<Time>,
}

impl Ledger {
    /// `bytes` were put on the connection, among them `media`.
    pub fn put(&mut self, bytes: usize, media: usize, now: Time) {
        if media > 0 {
            if self.outstanding() == 0 {
                self.moved = now;
            }
            // The program gets its 3 s from the first media on.
            self.word.get_or_insert(now);
        }
        self.written += bytes as u64;
        self.media += media as u64;
        if media > 0 {
            if self.marks.len() == MARKS {
                let mut keep = false;
                self.marks.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
            self.marks.push_back((self.written, self.media));
        }
    }

    /// A ping with this value has just been put on the connection.
    pub fn pinged(&mut self, value: u32) {
        if self.pings.len() == PINGS {
            // The oldest one stays: it tells for how long there has been no answer.
            self.pings.remove(1);
        }
        self.pings.push_back(Ping { value, media: self.media, end: self.written, delivered: None });
    }

    /// An Acknowledgement came. Its sequence number counts modulo 2^32, and some servers count anew now and then
    /// (nginx-rtmp at 0xf0000000).
    pub fn ack(&mut self, sequence: u32, now: Time) {
        let step = u64::from(sequence.wrapping_sub(self.sequence));
        // More than was sent since the last one: a new count, which began at some point after that.
        let step = if step > self.written - self.counted { u64::from(sequence) } else { step };
        self.sequence = sequence;
        if step == 0 || step > self.written - self.counted {
            return;
        }
        self.counted += step;
        if self.last_ack.is_some() && self.media > 0 {
            self.steps.push_back(step);
            self.steps.drain(..self.steps.len().saturating_sub(STEPS.1));
        }
        (self.last_ack, self.due) = (Some(now), None);
        let mut media = self.proven;
        while let Some(&(end, up_to)) = self.marks.front()
            && end <= self.counted
        {
            media = up_to;
            self.marks.pop_front();
        }
        self.prove(media, AcknowledgedBy::RtmpAck, now);
    }

    /// Bytes after which the ingest acknowledges at the latest, where that is known.
    fn usual_step(&self) -> Option<u64> {
        self.steps.iter().copied().max().filter(|_| self.steps.len() >= STEPS.0)
    }

    /// The answer to a ping came.
    pub fn pong(&mut self, value: u32, now: Time) {
        if let Some(index) = self.pings.iter().position(|ping| ping.value == value) {
            let media = self.pings[index].media;
            self.pings.drain(..=index);
            self.answers = true;
            self.prove(media, AcknowledgedBy::Ping, now);
        }
    }

    fn prove(&mut self, media: u64, by: AcknowledgedBy, now: Time) {
        self.word = Some(now);
        self.tcp_base = None;
        if media > self.proven {
            self.proven = media;
            self.moved = now;
            self.doubted = None;
        }
        self.acknowledge(self.proven, by, now);
    }

    /// TCP has delivered all but the last `behind` bytes to the ingest's host.
    pub fn tcp(&mut self, behind: u64, now: Time) {
        self.delivered = self.delivered.max(self.written.saturating_sub(behind));
        for ping in self.pings.iter_mut().filter(|ping| ping.end <= self.delivered) {
            ping.delivered.get_or_insert(now);
        }
        if self.usual_step().is_some_and(|step| self.delivered >= self.counted + step) {
            self.due.get_or_insert(now);
        }
        // Whatever is on the way may all be media: what is left over has surely arrived.
        let media = self.media.saturating_sub(behind);
        if media > self.tcp {
            self.tcp = media;
            self.moved = now;
            self.doubted = None;
        }
        let wait = if self.usual_step().is_some() { EXPECTED_WORD } else { WORD };
        if !self.answers && self.due.is_none() && self.word.is_some_and(|word| now.since(word) > wait) {
            let base = *self.tcp_base.get_or_insert(self.tcp);
            if self.tcp > base {
                self.acknowledge(self.tcp, AcknowledgedBy::Tcp, now);
            }
        }
    }

    fn acknowledge(&mut self, media: u64, by: AcknowledgedBy, now: Time) {
        if media <= self.acknowledged {
            return;
        }
        self.acknowledged = media;
        if self.by.is_none_or(|(better, at)| by <= better || now.since(at) > BETTER) {
            self.by = Some((by, now));
        }
    }

    /// Media acknowledged, and what told so; none before the first proof.
    pub fn acknowledged(&self) -> Option<(u64, AcknowledgedBy)> {
        self.by.map(|(by, _)| (self.acknowledged, by))
    }

    /// Media that has reached the ingest by any account, if only its host.
    pub fn arrived(&self) -> u64 {
        self.proven.max(self.tcp)
    }

    /// Media put on the connection.
    pub fn media(&self) -> u64 {
        self.media
    }

    /// Whether the ingest has sent an Acknowledgement within `span`; if not, a ping is worth its bytes.
    pub fn acked_within(&self, span: Duration, now: Time) -> bool {
        self.last_ack.is_some_and(|at| now.since(at) <= span)
    }

    /// The path may have gone: less patience until something moves.
    pub fn doubt(&mut self, now: Time) {
        self.doubted.get_or_insert(now);
    }

    fn outstanding(&self) -> u64 {
        self.media - self.arrived()
    }

    /// Whether media is under way and nothing of any kind moved for too long, or the ingest's program hangs while its
    /// kernel takes more.
    pub fn stalled(&self, now: Time) -> bool {
        let little = self.doubted.is_some_and(|since| now.since(since.max(self.moved)) >= LITTLE_PATIENCE);
        self.outstanding() > 0 && (little || now.since(self.moved) >= PATIENCE) || self.hangs(now)
    }

    fn hangs(&self, now: Time) -> bool {
        let asked = self.pings.front().and_then(|ping| ping.delivered).filter(|_| self.answers);
        // Late by a whole step: what came in one burst after an outage may still be read.
        let late = self.usual_step().is_some_and(|step| self.delivered >= self.counted + 2 * step);
        let silent = |since: Time| now.since(since.max(self.word.unwrap_or(since))) >= SILENCE;
        asked.is_some_and(silent) || self.due.filter(|_| late).is_some_and(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(1_000_000 + ms)
    }

    #[test]
    fn acknowledgements_count_whole_media_messages_only() {
        let mut ledger = Ledger::default();
        ledger.put(3073 + 500, 0, at(0));
        ledger.put(1020, 1000, at(10)); // ends at 4593
        ledger.put(2020, 2000, at(20)); // ends at 6613
        ledger.ack(4592, at(30));
        assert_eq!(ledger.acknowledged(), None);
        ledger.ack(4593, at(40));
        assert_eq!(ledger.acknowledged(), Some((1000, AcknowledgedBy::RtmpAck)));
        ledger.ack(6612, at(50));
        assert_eq!(ledger.acknowledged(), Some((1000, AcknowledgedBy::RtmpAck)));
        ledger.ack(6613, at(60));
        assert_eq!(ledger.acknowledged(), Some((3000, AcknowledgedBy::RtmpAck)));
    }

    #[test]
    fn a_count_that_wraps_starts_anew_or_lies_is_understood() {
        let mut ledger = Ledger::default();
        for step in 0..20_000u64 {
            ledger.put(1_000_000, 1_000_000, at(step));
            let sequence = ((step + 1) * 1_000_000 % (1 << 32)) as u32;
            ledger.ack(sequence, at(step));
        }
        assert_eq!(ledger.acknowledged().map(|a| a.0), Some(20_000_000_000), "over the 32-bit wrap");
        let mut ledger = Ledger::default();
        ledger.put(1_000_000, 1_000_000, at(0));
        ledger.ack(1_000_000, at(1));
        ledger.put(600_000, 600_000, at(2));
        ledger.ack(600_000, at(3)); // nginx-rtmp after its reset
        assert_eq!(ledger.acknowledged().map(|a| a.0), Some(1_600_000));
        ledger.ack(4_000_000_000, at(4));
        assert_eq!(ledger.acknowledged().map(|a| a.0), Some(1_600_000));
    }

    #[test]
    fn an_answered_ping_proves_what_was_sent_before_it() {
        let mut ledger = Ledger::default();
        ledger.put(100, 100, at(0));
        ledger.pinged(1);
        ledger.put(100, 100, at(10));
        ledger.pinged(2);
        ledger.pong(7, at(20));
        assert_eq!(ledger.acknowledged(), None);
        ledger.pong(1, at(30));
        assert_eq!(ledger.acknowledged(), Some((100, AcknowledgedBy::Ping)));
        ledger.pong(1, at(40));
        ledger.pong(2, at(40));
        assert_eq!(ledger.acknowledged(), Some((200, AcknowledgedBy::Ping)));
    }

    #[test]
    fn tcp_is_believed_only_where_the_program_says_nothing() {
        let mut ledger = Ledger::default();
        ledger.put(1000, 1000, at(0));
        ledger.tcp(0, at(100));
        ledger.tcp(0, at(2900));
        assert_eq!(ledger.acknowledged(), None, "the program still may speak");
        ledger.tcp(0, at(3100));
        ledger.put(1000, 1000, at(3200));
        ledger.tcp(0, at(3300));
        assert_eq!(ledger.acknowledged(), Some((2000, AcknowledgedBy::Tcp)));
        // Once it speaks, its word counts.
        ledger.put(1000, 1000, at(3400));
        ledger.pinged(1);
        ledger.pong(1, at(3500));
        assert_eq!(ledger.acknowledged(), Some((3000, AcknowledgedBy::Ping)));
        // It freezes: the bytes that its kernel goes on taking are no news, whenever they are looked at.
        ledger.put(18, 0, at(3600));
        ledger.pinged(2);
        for ms in (3750..7750).step_by(250) {
            ledger.put(10, 10, at(ms));
            ledger.tcp(0, at(ms));
            assert_eq!(ledger.acknowledged(), Some((3000, AcknowledgedBy::Ping)));
            assert!(!ledger.stalled(at(ms)));
        }
        assert!(ledger.stalled(at(7750)));
    }

    #[test]
    fn a_ping_that_was_not_delivered_or_an_ingest_that_never_answers_is_no_hang() {
        let mut ledger = Ledger::default();
        ledger.put(118, 100, at(0));
        ledger.pinged(1);
        for ms in (0..60_000).step_by(500) {
            ledger.put(10, 10, at(ms));
            ledger.tcp(0, at(ms));
            assert!(!ledger.stalled(at(ms)), "it never answered");
        }
        ledger.pong(1, at(60_000));
        ledger.put(40_018, 40_000, at(60_000));
        ledger.pinged(2);
        for ms in (60_250..75_000).step_by(250) {
            ledger.tcp(40_018 - (ms - 60_000), at(ms));
            assert!(!ledger.stalled(at(ms)), "slow, and the ping is still on its way");
        }
        ledger.tcp(0, at(75_000));
        ledger.ack(100, at(76_000));
        assert!(!ledger.stalled(at(79_900)), "an Acknowledgement is a word too");
        assert!(ledger.stalled(at(80_000)));
    }

    /// An ingest that acknowledges each `step` bytes, answers no ping and gets `rate` bytes each 100 ms; it freezes at
    /// `frozen` ms, while its kernel goes on. What the ledger said each 100 ms: media acknowledged by what, and stalled.
    fn acknowledging(step: u64, rate: u64, frozen: u64, end: u64) -> Vec<(Option<(u64, AcknowledgedBy)>, bool)> {
        let (mut ledger, mut acked) = (Ledger::default(), 0);
        ledger.pinged(1);
        let mut said = Vec::new();
        for ms in (0..end).step_by(100) {
            ledger.put(rate as usize, rate as usize, at(ms));
            ledger.tcp(0, at(ms));
            if ms < frozen && ledger.written - acked >= step {
                acked = ledger.written;
                ledger.ack(acked as u32, at(ms));
            }
            said.push((ledger.acknowledged(), ledger.stalled(at(ms))));
        }
        said
    }

    #[test]
    fn an_ingest_that_acknowledges_and_answers_no_ping_is_noticed_when_it_freezes() {
        // As asked, each second, at 40 kbit/s and at 4 Mbit/s; and one that takes two.
        for (step, rate) in [(8192, 500), (500_000, 50_000), (16_000, 800)] {
            let said = acknowledging(step, rate, 10_000, 40_000);
            let last = said[99].0;
            let stalled = said.iter().position(|(_, stalled)| *stalled).expect("noticed");
            assert!((140..=180).contains(&stalled), "{step}: {stalled}");
            assert!(said[100..].iter().all(|(acknowledged, _)| *acknowledged == last), "its kernel is not believed");
            assert_eq!(last.map(|(_, by)| by), Some(AcknowledgedBy::RtmpAck));
        }
    }

    #[test]
    fn an_ingest_that_acknowledges_rarely_is_on_air_all_the_same() {
        // 2.5 MB at 1 Mbit/s: each 20 s.
        let said = acknowledging(2_500_000, 12_500, u64::MAX, 120_000);
        assert!(said.iter().all(|(_, stalled)| !stalled));
        for (index, pair) in said.windows(28).enumerate().skip(600) {
            assert!(pair[27].0 > pair[0].0, "nothing for 2.7 s at {index}");
        }
    }

    #[test]
    fn a_few_acknowledgements_at_the_start_promise_no_more() {
        let mut ledger = Ledger::default();
        ledger.put(3000, 0, at(0));
        ledger.ack(3000, at(0));
        ledger.put(5000, 5000, at(10));
        ledger.ack(8000, at(20));
        for ms in (100..60_000).step_by(100) {
            ledger.put(5000, 5000, at(ms));
            ledger.tcp(0, at(ms));
            assert!(!ledger.stalled(at(ms)));
        }
        assert_eq!(ledger.acknowledged().map(|(_, by)| by), Some(AcknowledgedBy::Tcp));
    }

    #[test]
    fn what_proved_it_is_told_and_not_what_once_did() {
        let mut ledger = Ledger::default();
        ledger.put(1000, 1000, at(0));
        ledger.ack(1000, at(10));
        let mut ping = |ms: u64| {
            ledger.put(118, 100, at(ms));
            ledger.pinged(ms as u32);
            ledger.pong(ms as u32, at(ms + 20));
            ledger.acknowledged()
        };
        assert_eq!(ping(100), Some((1100, AcknowledgedBy::RtmpAck)), "within one look");
        assert_eq!(ping(500), Some((1200, AcknowledgedBy::Ping)));
        assert_eq!(ping(5000), Some((1300, AcknowledgedBy::Ping)));
    }

    #[test]
    fn an_outage_whose_bytes_come_in_one_burst_is_no_hang() {
        let (mut ledger, mut acked) = (Ledger::default(), 0);
        for ms in (0..30_000).step_by(100) {
            ledger.put(50_000, 50_000, at(ms));
            let away = (10_000..13_900).contains(&ms);
            if !away {
                ledger.tcp(0, at(ms));
                // The program's word takes another round trip.
                if ledger.written - acked >= 500_000 && ms != 13_900 {
                    acked = ledger.written;
                    ledger.ack(acked as u32, at(ms));
                }
            }
            assert!(!ledger.stalled(at(ms)), "at {ms}");
        }
    }

    #[test]
    fn stalls_only_while_media_is_under_way() {
        let mut ledger = Ledger::default();
        assert!(!ledger.stalled(at(100_000)));
        ledger.put(10, 10, at(100_000));
        assert!(!ledger.stalled(at(103_999)));
        assert!(ledger.stalled(at(104_000)));
        ledger.tcp(0, at(104_000));
        assert!(!ledger.stalled(at(500_000)));
        ledger.put(10, 10, at(500_000));
        ledger.doubt(at(500_100));
        ledger.doubt(at(501_000));
        assert!(!ledger.stalled(at(502_000)) && ledger.stalled(at(502_100)));
        ledger.tcp(0, at(502_100));
        ledger.put(10, 10, at(600_000));
        ledger.doubt(at(603_000));
        assert!(!ledger.stalled(at(603_999)) && ledger.stalled(at(604_000)), "doubt gives no more time");
    }

    proptest! {
        #[test]
        fn never_more_than_was_sent_and_never_less_than_before(
            events in prop::collection::vec((0u8..5, any::<u32>(), 0u64..2000), 0..300),
        ) {
            let (mut ledger, mut now, mut last) = (Ledger::default(), 0, 0);
            for (event, value, step) in events {
                now += step;
                match event {
                    0 => ledger.put((value % 5000) as usize + 7, (value % 5000) as usize, at(now)),
                    1 => ledger.ack(value % 100_000, at(now)),
                    2 => ledger.pinged(value % 8),
                    3 => ledger.pong(value % 8, at(now)),
                    _ => ledger.tcp(u64::from(value % 100_000), at(now)),
                }
                let acknowledged = ledger.acknowledged().map_or(0, |a| a.0);
                prop_assert!(acknowledged >= last && acknowledged <= ledger.media());
                last = acknowledged;
            }
        }
    }
}
