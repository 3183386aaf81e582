//! What of the media on one connection has arrived, and what says so.

use crate::{status::AcknowledgedBy, units::Time};
use std::{collections::VecDeque, time::Duration};

/// After this long without a word from the ingest's program, the kernel's count is believed instead.
const WORD: Duration = Duration::from_secs(3);
/// Nothing of any kind for this long while media is under way: the connection is dead.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// The same after the box was told that its network changed: the old path is probably gone.
const LITTLE_PATIENCE: Duration = Duration::from_secs(2);
/// Positions remembered between two acknowledgements; beyond that every second one is forgotten.
const MARKS: usize = 512;
/// Pings remembered without an answer.
const PINGS: usize = 16;

/// The account of one connection. Counts media only: the bytes of access units.
///
/// Best proof first: an RTMP Acknowledgement counts the bytes that the ingest's program read; the answer to a ping
/// proves everything that was sent before the ping. TCP only proves that the ingest's host has the bytes, so its count is
/// used where the program says nothing for 3 s, and then only from what it was at that moment on: a frozen
/// program whose kernel goes on acknowledging must not look like one that never speaks.
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
    acks: bool,
    last_ack: Option<Time>,
    /// Value of each ping under way, with the media sent before it.
    pings: VecDeque<(u32, u64)>,
    /// Media that the program proved, and when it last did.
    proven: u64,
    word: Option<Time>,
    tcp: u64,
    /// What TCP had counted when the program fell silent.
    tcp_base: Option<u64>,
    acknowledged: u64,
    by: Option<AcknowledgedBy>,
    /// When something last moved, or media was put on an idle connection.
    moved: Time,
    /// The path may have gone, until something moves.
    doubted: bool,
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

    /// A ping with this value was put on the connection after all media so far.
    pub fn pinged(&mut self, value: u32) {
        if self.pings.len() == PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back((value, self.media));
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
        self.acks = true;
        self.last_ack = Some(now);
        let mut media = self.proven;
        while let Some(&(end, up_to)) = self.marks.front()
            && end <= self.counted
        {
            media = up_to;
            self.marks.pop_front();
        }
        self.prove(media, now);
    }

    /// The answer to a ping came.
    pub fn pong(&mut self, value: u32, now: Time) {
        if let Some(index) = self.pings.iter().position(|ping| ping.0 == value) {
            let media = self.pings[index].1;
            self.pings.drain(..=index);
            self.prove(media, now);
        }
    }

    fn prove(&mut self, media: u64, now: Time) {
        self.word = Some(now);
        self.tcp_base = None;
        if media > self.proven {
            self.proven = media;
            self.moved = now;
            self.doubted = false;
        }
        let by = if self.acks { AcknowledgedBy::RtmpAck } else { AcknowledgedBy::Ping };
        self.acknowledge(self.proven, by);
    }

    /// TCP has delivered this much of the media to the ingest's host.
    pub fn tcp(&mut self, media: u64, now: Time) {
        let media = media.min(self.media);
        if media > self.tcp {
            self.tcp = media;
            self.moved = now;
            self.doubted = false;
        }
        if self.word.is_some_and(|word| now.since(word) > WORD) {
            let base = *self.tcp_base.get_or_insert(self.tcp);
            if self.tcp > base {
                self.acknowledge(self.tcp, AcknowledgedBy::Tcp);
            }
        }
    }

    fn acknowledge(&mut self, media: u64, by: AcknowledgedBy) {
        if media > self.acknowledged {
            self.acknowledged = media;
            self.by = Some(by);
        }
    }

    /// Media acknowledged, and what told so; none before the first proof.
    pub fn acknowledged(&self) -> Option<(u64, AcknowledgedBy)> {
        self.by.map(|by| (self.acknowledged, by))
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
        self.moved = now;
        self.doubted = true;
    }

    fn outstanding(&self) -> u64 {
        self.media - self.arrived()
    }

    /// Whether media is under way and nothing of any kind moved for too long.
    pub fn stalled(&self, now: Time) -> bool {
        let patience = if self.doubted { LITTLE_PATIENCE } else { PATIENCE };
        self.outstanding() > 0 && now.since(self.moved) >= patience
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
        ledger.tcp(1000, at(100));
        ledger.tcp(1000, at(2900));
        assert_eq!(ledger.acknowledged(), None, "the program still may speak");
        ledger.tcp(1000, at(3100));
        ledger.put(1000, 1000, at(3200));
        ledger.tcp(2000, at(3300));
        assert_eq!(ledger.acknowledged(), Some((2000, AcknowledgedBy::Tcp)));
        // Once it speaks, its word counts.
        ledger.put(1000, 1000, at(3400));
        ledger.pinged(1);
        ledger.pong(1, at(3500));
        assert_eq!(ledger.acknowledged(), Some((3000, AcknowledgedBy::Ping)));
        // It freezes: the bytes that its kernel still took are no news, whenever they are looked at.
        ledger.put(1000, 1000, at(3600));
        ledger.tcp(4000, at(3700));
        for ms in (4000..11_000).step_by(250) {
            ledger.put(10, 10, at(ms));
            ledger.tcp(4000, at(ms));
            assert_eq!(ledger.acknowledged(), Some((3000, AcknowledgedBy::Ping)));
            assert!(!ledger.stalled(at(ms)));
        }
        assert!(ledger.stalled(at(12_000)));
    }

    #[test]
    fn stalls_only_while_media_is_under_way() {
        let mut ledger = Ledger::default();
        assert!(!ledger.stalled(at(100_000)));
        ledger.put(10, 10, at(100_000));
        assert!(!ledger.stalled(at(107_999)));
        assert!(ledger.stalled(at(108_000)));
        ledger.tcp(10, at(108_000));
        assert!(!ledger.stalled(at(500_000)));
        ledger.put(10, 10, at(500_000));
        ledger.doubt(at(500_100));
        assert!(!ledger.stalled(at(502_000)) && ledger.stalled(at(502_100)));
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
