//! Events that the broker does not have yet: they are kept while it cannot be reached, and delivered in order with their own
//! times.

use super::document::{Event, What};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The spool's file in the state folder.
pub const FILE: &str = "events.spool";
/// Events that are kept; of more the oldest are dropped, and counted.
const LONGEST: usize = 500;
/// By so much the numbers of a new run are ahead: the file may not have had the last ones.
const SKIP: u64 = 100;

/// The events, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spool {
    /// The next event's number.
    next: u64,
    /// How many were dropped since that was told.
    lost: u64,
    events: VecDeque<Event>,
    /// The broker did not take how many were lost: it is not told again before it takes an event.
    #[serde(skip)]
    mute: bool,
    /// How many of the events are on their way.
    #[serde(skip)]
    sent: usize,
    /// Whether the file has something else.
    #[serde(skip)]
    changed: bool,
}

impl Spool {
    /// Goes on where the last run ended.
    pub fn resume(&mut self) {
        self.next += SKIP;
        (self.sent, self.changed) = (0, true);
    }

    /// Notes what happened at `time`.
    pub fn add(&mut self, what: What, text: String, time: Option<Timestamp>) {
        // What is on its way, which is far less, has its place until the broker has it.
        while self.events.len() >= LONGEST {
            let oldest = self.events.remove(self.sent.min(LONGEST - 1));
            self.lose(oldest);
        }
        self.next += 1;
        self.events.push_back(Event { sequence: self.next, time, what, text });
        self.changed = true;
    }

    /// The next event to be sent, which is on its way from now on. How many were lost comes before those that were not.
    pub fn send(&mut self, now: Option<Timestamp>) -> Option<Event> {
        if self.lost > 0 && !self.mute {
            let what = What::EventsLost { count: self.lost };
            let text = format!("{} events were lost: the broker could not be reached, or did not take them", self.lost);
            self.next += 1;
            let told = Event { sequence: self.next, time: now, what, text };
            self.events.insert(self.sent, told);
            (self.lost, self.changed) = (0, true);
        }
        let event = self.events.get(self.sent)?.clone();
        self.sent += 1;
        Some(event)
    }

    /// The broker has the event with this number.
    pub fn delivered(&mut self, sequence: u64) {
        self.remove(sequence);
        self.mute = false;
    }

    /// The broker does not take the event with this number.
    pub fn refused(&mut self, sequence: u64) {
        let event = self.remove(sequence);
        self.mute |= event.as_ref().is_some_and(|event| matches!(event.what, What::EventsLost { .. }));
        self.lose(event);
    }

    fn remove(&mut self, sequence: u64) -> Option<Event> {
        let at = self.events.iter().position(|event| event.sequence == sequence)?;
        self.sent = self.sent.saturating_sub(usize::from(at < self.sent));
        self.changed = true;
        self.events.remove(at)
    }

    fn lose(&mut self, event: Option<Event>) {
        self.lost += match event.map(|event| event.what) {
            Some(What::EventsLost { count }) => count,
            Some(_) => 1,
            None => 0,
        };
    }

    /// The connection is gone: what was on its way may not have arrived.
    pub fn recall(&mut self) {
        (self.sent, self.mute) = (0, false);
    }

    /// Whether the file has something else; it is as if it were written now.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add(spool: &mut Spool) {
        spool.add(What::Started, "x".into(), None);
    }

    #[test]
    fn events_wait_and_keep_their_order() {
        let mut spool = Spool::default();
        (0..3).for_each(|_| add(&mut spool));
        let sent = |spool: &mut Spool| std::iter::from_fn(|| spool.send(None)).map(|event| event.sequence).collect();
        let first: Vec<u64> = sent(&mut spool);
        assert_eq!(first, [1, 2, 3]);
        spool.delivered(1);
        spool.recall();
        let again: Vec<u64> = sent(&mut spool);
        assert_eq!(again, [2, 3], "what the broker has is not sent again");
        let text = serde_json::to_string(&spool).expect("json");
        let mut later: Spool = serde_json::from_str(&text).expect("a spool");
        later.resume();
        add(&mut later);
        let all: Vec<u64> = sent(&mut later);
        assert_eq!(all, [2, 3, 104]);
    }

    #[test]
    fn of_too_many_the_oldest_are_dropped_and_counted() {
        let mut spool = Spool::default();
        (0..LONGEST + 3).for_each(|_| add(&mut spool));
        assert_eq!(spool.send(None).map(|event| event.what), Some(What::EventsLost { count: 3 }));
        assert_eq!(spool.send(None).map(|event| event.sequence), Some(4));
    }

    #[test]
    fn what_is_refused_is_counted_and_not_tried_without_end() {
        let mut spool = Spool::default();
        (0..2).for_each(|_| add(&mut spool));
        for sent in ["the first", "that it was lost", "the second"] {
            let event = spool.send(None).expect(sent);
            spool.refused(event.sequence);
        }
        assert_eq!((spool.send(None), spool.lost), (None, 2));
        add(&mut spool);
        let event = spool.send(None).expect("the third");
        assert_eq!((event.what, spool.send(None)), (What::Started, None));
        spool.delivered(event.sequence);
        assert_eq!(spool.send(None).map(|event| event.what), Some(What::EventsLost { count: 2 }));
    }

    proptest! {
        #[test]
        fn every_event_is_delivered_or_counted(steps in prop::collection::vec(0_u8..9, 0..3000)) {
            let (mut spool, mut added, mut had, mut lost, mut way) = (Spool::default(), 0, 0, 0, VecDeque::new());
            let take = |event: Event, had: &mut u64, lost: &mut u64| match event.what {
                What::EventsLost { count } => *lost += count,
                _ => *had += 1,
            };
            for step in steps {
                match step {
                    0..5 => { add(&mut spool); added += 1; }
                    5 => way.extend(spool.send(None)),
                    6 => if let Some(event) = way.pop_front() {
                        spool.delivered(event.sequence);
                        take(event, &mut had, &mut lost);
                    },
                    7 => if let Some(event) = way.pop_front() {
                        spool.refused(event.sequence);
                    },
                    _ => { spool.recall(); way.clear(); }
                }
                prop_assert!(spool.events.len() <= LONGEST + 1);
            }
            spool.recall();
            while let Some(event) = spool.send(None) {
                take(event, &mut had, &mut lost);
            }
            prop_assert_eq!(had + lost, added);
        }
    }
}
