//! Media that waits for the network: bounded in media time, so that a bad network costs pictures and never memory.

use crate::{
    access_unit::{AccessUnit, Track},
    units::Time,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// The media of one connection that was not given to it yet.
///
/// It begins, and goes on after drops, at an IDR picture; sound before the first one is skipped, since an ingest that
/// gets sound alone for a while shifts it against the picture. When a track holds more than the limit, pictures go by
/// whole GOPs, oldest first; sound goes last: it is a small part of the bytes and what viewers miss most.
#[derive(Debug)]
pub struct Queue {
    limit: Duration,
    video: VecDeque<Arc<AccessUnit>>,
    audio: VecDeque<Arc<AccessUnit>>,
    /// When the first picture was captured; none until it came.
    start: Option<Time>,
    /// The next picture that is let in has to be an IDR.
    key_wanted: bool,
    dropped_pictures: u64,
}

impl Queue {
    /// The most media that is kept: the rate controller has had its chance by then.
    pub const LIMIT: Duration = Duration::from_secs(2);

    /// An empty queue that waits for an IDR.
    pub fn new(limit: Duration) -> Self {
        let (video, audio) = (VecDeque::new(), VecDeque::new());
        Self { limit, video, audio, start: None, key_wanted: true, dropped_pictures: 0 }
    }

    /// Forgets what waits, for a new connection: it begins at a fresh IDR, not with stale media.
    pub fn restart(&mut self) {
        self.dropped_pictures += self.video.len() as u64;
        *self = Self { dropped_pictures: self.dropped_pictures, ..Self::new(self.limit) };
    }

    /// Takes a unit in, or skips it.
    pub fn push(&mut self, unit: Arc<AccessUnit>) {
        match unit.track {
            Track::Video => {
                if self.key_wanted && !unit.key {
                    // Before the first IDR nothing was promised; after it, this one is lost to the drop.
                    self.dropped_pictures += u64::from(self.start.is_some());
                    return;
                }
                self.key_wanted = false;
                self.start.get_or_insert(unit.time);
                self.video.push_back(unit);
                while span(&self.video) > self.limit {
                    self.drop_group();
                }
            }
            Track::Audio => {
                if self.start.is_none_or(|start| unit.time < start) {
                    return;
                }
                self.audio.push_back(unit);
                while span(&self.audio) > self.limit {
                    self.audio.pop_front();
                }
            }
        }
    }

    /// Drops the oldest GOP, or what is left of it.
    fn drop_group(&mut self) {
        self.video.pop_front();
        self.dropped_pictures += 1;
        while self.video.front().is_some_and(|unit| !unit.key) {
            self.video.pop_front();
            self.dropped_pictures += 1;
        }
        self.key_wanted = self.video.is_empty();
    }

    /// The next unit to send: the older one of both tracks.
    pub fn pop(&mut self) -> Option<Arc<AccessUnit>> {
        match (self.video.front(), self.audio.front()) {
            (Some(video), Some(audio)) if audio.time < video.time => self.audio.pop_front(),
            (Some(_), _) => self.video.pop_front(),
            (None, _) => self.audio.pop_front(),
        }
    }

    /// Units that wait.
    pub fn len(&self) -> usize {
        self.video.len() + self.audio.len()
    }

    /// Media that waits, bytes.
    pub fn bytes(&self) -> u64 {
        self.video.iter().chain(&self.audio).map(|unit| unit.data.len() as u64).sum()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.video.is_empty() && self.audio.is_empty()
    }

    /// Whether pictures are skipped until an IDR comes.
    pub fn wants_keyframe(&self) -> bool {
        self.key_wanted
    }

    /// Media that waits: from the oldest unit to the newest.
    pub fn waiting(&self) -> Duration {
        let ends = |end: fn(&VecDeque<Arc<AccessUnit>>) -> Option<&Arc<AccessUnit>>| {
            [end(&self.video), end(&self.audio)].into_iter().flatten().map(|unit| unit.time).collect::<Vec<_>>()
        };
        let (oldest, newest) = (ends(VecDeque::front).into_iter().min(), ends(VecDeque::back).into_iter().max());
        newest.unwrap_or_default().since(oldest.unwrap_or_default())
    }

    /// Pictures dropped since the queue was made.
    pub fn dropped_pictures(&self) -> u64 {
        self.dropped_pictures
    }
}

fn span(units: &VecDeque<Arc<AccessUnit>>) -> Duration {
    match (units.front(), units.back()) {
        (Some(oldest), Some(newest)) => newest.time.since(oldest.time),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_unit::CodecConfig;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn unit(track: Track, ms: u64, key: bool) -> Arc<AccessUnit> {
        let config = Arc::new(CodecConfig::H264(Bytes::new()));
        Arc::new(AccessUnit { track, time: Time::from_millis(ms), key, config, data: Bytes::new() })
    }
    fn video(ms: u64, key: bool) -> Arc<AccessUnit> {
        unit(Track::Video, ms, key)
    }
    fn audio(ms: u64) -> Arc<AccessUnit> {
        unit(Track::Audio, ms, true)
    }
    fn drain(queue: &mut Queue) -> Vec<(Track, u64)> {
        std::iter::from_fn(|| queue.pop()).map(|unit| (unit.track, unit.time.millis())).collect()
    }

    #[test]
    fn begins_at_an_idr_without_the_sound_before_it() {
        let mut queue = Queue::new(Queue::LIMIT);
        for unit in [audio(0), video(10, false), audio(20), video(50, true), audio(41), audio(62), video(83, false)] {
            queue.push(unit);
        }
        assert_eq!(drain(&mut queue), [(Track::Video, 50), (Track::Audio, 62), (Track::Video, 83)]);
        assert_eq!(queue.dropped_pictures(), 0);
        queue.push(video(90, false));
        queue.restart();
        assert!(queue.wants_keyframe());
        assert_eq!(queue.dropped_pictures(), 1);
        queue.push(audio(100));
        assert!(queue.is_empty());
    }

    #[test]
    fn drops_whole_groups_oldest_first_and_keeps_the_sound() {
        let mut queue = Queue::new(Duration::from_secs(5));
        (0..5100).step_by(100).for_each(|ms| {
            queue.push(video(ms, ms % 2000 == 0));
            queue.push(audio(ms));
        });
        assert_eq!(queue.dropped_pictures(), 0);
        queue.push(video(5100, false));
        // The group at 0 went, with all its 20 pictures and none of its sound.
        assert_eq!(queue.dropped_pictures(), 20);
        let left = drain(&mut queue);
        assert_eq!(left.iter().find(|(track, _)| *track == Track::Video), Some(&(Track::Video, 2000)));
        assert_eq!(left[0], (Track::Audio, 0));
    }

    #[test]
    fn a_group_longer_than_the_limit_is_given_up_until_the_next_idr() {
        let mut queue = Queue::new(Duration::from_secs(1));
        (0..1500).step_by(100).for_each(|ms| queue.push(video(ms, ms == 0)));
        assert!(queue.is_empty() && queue.wants_keyframe());
        assert_eq!(queue.dropped_pictures(), 15);
        queue.push(video(1500, true));
        assert_eq!(drain(&mut queue), [(Track::Video, 1500)]);
    }

    proptest! {
        /// Whatever comes and however slowly it goes: each picture that is sent follows the picture that was made
        /// before it or is an IDR, tracks stay in order, the bound holds, and no picture is lost without being counted.
        #[test]
        fn what_is_sent_can_be_decoded(
            steps in prop::collection::vec((prop_oneof![4 => Just(0u8), 4 => Just(1), 1 => Just(2), 2 => Just(3), 1 => Just(4)], 1u64..200), 0..400),
            limit in 300u64..3000,
        ) {
            let limit = Duration::from_millis(limit);
            let (mut queue, mut now, mut made, mut in_order) = (Queue::new(limit), 0, 0u64, None);
            let (mut sent, mut after_start, mut newest_audio) = (0u64, 0u64, None);
            for (action, step) in steps {
                now += step;
                match action {
                    0 | 2 => {
                        // The capture time of a picture doubles as its number.
                        let key = action == 2;
                        after_start += u64::from(key || after_start > 0);
                        made += 1;
                        let config = Arc::new(CodecConfig::H264(Bytes::copy_from_slice(&made.to_be_bytes())));
                        queue.push(Arc::new(AccessUnit { track: Track::Video, time: Time::from_millis(now), key, config, data: Bytes::new() }));
                    }
                    1 => queue.push(audio(now)),
                    _ => if let Some(unit) = queue.pop() {
                        if let (Track::Video, CodecConfig::H264(number)) = (unit.track, &*unit.config) {
                            let number = u64::from_be_bytes(number[..].try_into().unwrap());
                            prop_assert!(unit.key || in_order == Some(number - 1), "picture {number} after {in_order:?}");
                            in_order = Some(number);
                            sent += 1;
                        } else {
                            prop_assert!(in_order.is_some() || after_start > 0);
                            prop_assert!(newest_audio < Some(unit.time));
                            newest_audio = Some(unit.time);
                        }
                    }
                }
                prop_assert!(span(&queue.video) <= limit && span(&queue.audio) <= limit);
            }
            prop_assert_eq!(sent + queue.dropped_pictures() + queue.video.len() as u64, after_start);
        }
    }
}
