//! What of the media on one SRT connection has arrived (pure).

use super::ledger::{LITTLE_PATIENCE, PATIENCE};
use crate::units::Time;
use std::{collections::VecDeque, time::Duration};

/// The account of one connection, by SRT's send buffer: what has left it was acknowledged by the receiving program, as
/// nothing leaves it for being late.
///
/// The receiver also acknowledges what it gives up itself, since it came too late to be played; nothing tells of that. So on
/// a link that is overrun a part of what counts as arrived did not: the less libsrt holds, the smaller it is.
#[derive(Debug, Default)]
pub struct Receipts {
    /// Bytes of the transport stream, and the media that they carry.
    written: u64,
    media: u64,
    /// The capture time of the newest media.
    newest: Time,
    /// After so many bytes, so much media, up to this capture time.
    marks: VecDeque<(u64, u64, Time)>,
    /// Bytes that were acknowledged, and the media that was whole then.
    gone: u64,
    acknowledged: u64,
    /// The last mark that was passed.
    whole: (u64, u64),
    /// When something was last acknowledged, or given to an idle connection.
    moved: Time,
    /// Since then the path may have gone, until something moves.
    doubted: Option<Time>,
}

impl Receipts {
    /// `bytes` of the transport stream, which carry `media` bytes captured up to `time`, wait to be sent.
    pub fn put(&mut self, bytes: usize, media: usize, time: Time, now: Time) {
        if !self.is_outstanding() {
            self.moved = now;
        }
        self.written += bytes as u64;
        self.media += media as u64;
        self.newest = self.newest.max(time);
        self.marks.push_back((self.written, self.media, self.newest));
    }

    /// The capture time of the newest media.
    pub fn newest(&self) -> Time {
        self.newest
    }

    /// Media that was not acknowledged, in capture time: from the oldest unit to the newest.
    pub fn span(&self) -> Duration {
        self.marks.front().map_or(Duration::ZERO, |(.., oldest)| self.newest.since(*oldest))
    }

    /// All but the last `unacknowledged` bytes were acknowledged.
    pub fn observe(&mut self, unacknowledged: u64, now: Time) {
        let gone = self.written.saturating_sub(unacknowledged);
        if gone <= self.gone {
            return;
        }
        (self.gone, self.moved, self.doubted) = (gone, now, None);
        while let Some(&(end, media, _)) = self.marks.front().filter(|(end, ..)| *end <= gone) {
            (self.acknowledged, self.whole) = (media, (end, media));
            self.marks.pop_front();
        }
    }

    /// Media put on the connection.
    pub fn media(&self) -> u64 {
        self.media
    }

    /// Media that was acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The same with the acknowledged part of the next unit, for measuring.
    pub fn arrived(&self) -> u64 {
        let (from, before) = self.whole;
        let part = self
            .marks
            .front()
            .map_or(0, |&(end, media, _)| (media - before) * self.gone.saturating_sub(from) / (end - from).max(1));
        self.acknowledged + part
    }

    /// Whether something is under way.
    pub fn is_outstanding(&self) -> bool {
        self.written > self.gone
    }

    /// For how long nothing was acknowledged while something was under way.
    pub fn quiet(&self, now: Time) -> Duration {
        if self.is_outstanding() { now.since(self.moved) } else { Duration::ZERO }
    }

    /// The path may have gone: less patience until something moves.
    pub fn doubt(&mut self, now: Time) {
        self.doubted.get_or_insert(now);
    }

    /// Whether media is under way and nothing was acknowledged for too long. SRT itself gives a connection up when it has
    /// heard nothing at all, which a half-dead path keeps from happening.
    pub fn stalled(&self, now: Time) -> bool {
        let little = self.doubted.is_some_and(|since| now.since(since.max(self.moved)) >= LITTLE_PATIENCE);
        self.is_outstanding() && (little || now.since(self.moved) >= PATIENCE)
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
    fn counts_whole_units_that_left_the_buffer() {
        let mut receipts = Receipts::default();
        receipts.put(188 * 8, 1000, at(0), at(0));
        receipts.put(188 * 16, 2000, at(33), at(10));
        assert_eq!(receipts.span(), Duration::from_millis(33));
        receipts.observe(188 * 17, at(20));
        assert_eq!((receipts.acknowledged(), receipts.arrived()), (0, 875));
        receipts.observe(188 * 16, at(30));
        assert_eq!((receipts.acknowledged(), receipts.arrived()), (1000, 1000));
        assert_eq!(receipts.span(), Duration::ZERO, "one unit");
        receipts.observe(188 * 8, at(35));
        assert_eq!((receipts.acknowledged(), receipts.arrived()), (1000, 2000));
        receipts.observe(0, at(40));
        assert_eq!((receipts.acknowledged(), receipts.media()), (3000, 3000));
    }

    #[test]
    fn stalls_only_while_media_is_under_way() {
        let mut receipts = Receipts::default();
        assert!(!receipts.stalled(at(100_000)));
        receipts.put(188, 100, at(0), at(100_000));
        assert!(!receipts.stalled(at(103_999)) && receipts.stalled(at(104_000)));
        receipts.observe(0, at(104_000));
        assert!(!receipts.stalled(at(500_000)));
        receipts.put(188, 100, at(0), at(500_000));
        receipts.doubt(at(500_100));
        assert!(!receipts.stalled(at(502_000)) && receipts.stalled(at(502_100)));
    }

    proptest! {
        #[test]
        fn never_more_than_was_put_and_never_less_than_before(
            events in prop::collection::vec((any::<bool>(), 0u64..5000, 0u64..2000), 0..300),
        ) {
            let (mut receipts, mut now, mut last) = (Receipts::default(), 0, 0);
            for (put, bytes, step) in events {
                now += step;
                match put {
                    true => receipts.put(bytes as usize + 188, bytes as usize, at(now), at(now)),
                    false => receipts.observe(bytes, at(now)),
                }
                prop_assert!(receipts.acknowledged() >= last && receipts.acknowledged() <= receipts.media());
                prop_assert!(receipts.is_outstanding() || receipts.acknowledged() == receipts.media());
                prop_assert!((receipts.acknowledged()..=receipts.media()).contains(&receipts.arrived()));
                last = receipts.acknowledged();
            }
        }
    }
}
