//! Whether a system that was just installed is good: it has a few minutes to show that what worked before works now.

use crate::units::Time;
use std::{collections::BTreeSet, time::Duration};

/// The new system is given up when it has not shown all of it by then, from the daemon's start.
pub const DEADLINE: Duration = Duration::from_secs(240);
/// So long the control loop has to have beaten without a pause.
pub const BEATS: Duration = Duration::from_secs(10);
/// It beats each second; a pause longer than this is one.
const PAUSE: Duration = Duration::from_secs(3);
/// After a verdict that could not be carried out it is given again.
const AGAIN: Duration = Duration::from_secs(5);

/// A system on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    begun: Time,
    /// Inputs whose device was there before and is not known to be there now.
    missing: BTreeSet<String>,
    /// The Source whose ingest was reachable before and is not known to be now.
    unreached: Option<String>,
    ready: bool,
    /// When the beats without a pause began, and the last one.
    beats: Option<(Time, Time)>,
    /// When it was said last that it is good.
    said: Option<Time>,
    /// It was given up; nothing changes that.
    over: bool,
    /// Why the service that keeps the slots does not take the verdict.
    refused: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Mark the system as good.
    Good,
    /// Go back to the old one: why.
    Bad(String),
}

impl Trial {
    /// Of a system in which `inputs` have to be there, and the ingest of Source `ingest` reachable.
    pub fn new(inputs: BTreeSet<String>, ingest: Option<String>, now: Time) -> Self {
        Self {
            begun: now,
            missing: inputs,
            unreached: ingest,
            ready: false,
            beats: None,
            said: None,
            over: false,
            refused: None,
        }
    }

    /// The service manager was told that the daemon is ready.
    pub fn ready(&mut self) {
        self.ready = true;
    }

    /// The control loop has come round.
    pub fn beat(&mut self, now: Time) {
        let first = match self.beats {
            Some((first, last)) if now.since(last) <= PAUSE => first,
            _ => now,
        };
        self.beats = Some((first, now));
    }

    /// The device of `input` is there and can be opened.
    pub fn there(&mut self, input: &str) {
        self.missing.remove(input);
    }

    /// An ingest was reached.
    pub fn reached(&mut self) {
        self.unreached = None;
    }

    /// The Source whose ingest has still to be reached.
    pub fn unreached(&self) -> Option<&str> {
        self.unreached.as_deref()
    }

    /// That it is good could not be marked: in words, why.
    pub fn refuse(&mut self, why: String) {
        self.refused = Some(why);
    }

    /// What is to be done now; each verdict is given once, but for [`Verdict::Good`], which is given again while it is not known
    /// to have been carried out.
    pub fn judge(&mut self, now: Time) -> Option<Verdict> {
        if self.over {
            return None;
        }
        let why = self.lacks();
        if now.since(self.begun) >= DEADLINE {
            self.over = true;
            let marked =
                || format!("it could not be marked as good: {}", self.refused.as_deref().unwrap_or("no answer"));
            return Some(Verdict::Bad(why.unwrap_or_else(marked)));
        }
        let rested = self.said.is_none_or(|said| now.since(said) >= AGAIN);
        if why.is_some() || !rested {
            return None;
        }
        self.said = Some(now);
        Some(Verdict::Good)
    }

    /// When it has something to say at the latest.
    pub fn next_wake(&self) -> Time {
        self.begun + DEADLINE
    }

    /// What has not been shown yet; none: all was.
    fn lacks(&self) -> Option<String> {
        if !self.ready {
            return Some("The new system did not get ready".into());
        }
        if self.beats.is_none_or(|(first, last)| last.since(first) < BEATS) {
            return Some("The new system's control loop hangs".into());
        }
        if let Some(input) = self.missing.first() {
            return Some(format!("The new system does not find the input {input}, which was there before"));
        }
        let source = self.unreached.as_ref()?;
        Some(format!("The new system does not reach the ingest of {source}, which was reachable before"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: u64) -> Time {
        Time::from_millis(second * 1000)
    }

    fn trial() -> Trial {
        Trial::new(BTreeSet::from(["hdmi".to_owned()]), Some("Main".into()), at(0))
    }

    #[test]
    fn it_is_good_when_all_that_was_is_again() {
        let mut trial = trial();
        trial.ready();
        trial.there("hdmi");
        trial.reached();
        for second in 1..11 {
            trial.beat(at(second));
            assert_eq!(trial.judge(at(second)), None, "{second}");
        }
        trial.beat(at(11));
        assert_eq!(trial.judge(at(11)), Some(Verdict::Good));
        assert_eq!((trial.judge(at(12)), trial.judge(at(16))), (None, Some(Verdict::Good)), "said again");
        trial.refuse("no bus".into());
        let given_up = Verdict::Bad("it could not be marked as good: no bus".into());
        assert_eq!((trial.judge(at(240)), trial.judge(at(241))), (Some(given_up), None));
    }

    #[test]
    fn what_is_lacking_is_said() {
        let why = |work: &dyn Fn(&mut Trial)| {
            let mut trial = trial();
            work(&mut trial);
            match trial.judge(at(240)) {
                Some(Verdict::Bad(why)) => why,
                other => panic!("{other:?}"),
            }
        };
        let beats = |trial: &mut Trial| (1..240).for_each(|second| trial.beat(at(second)));
        assert!(why(&|_| ()).contains("ready"));
        assert!(why(&|trial| trial.ready()).contains("hangs"));
        // Eighty beats with a pause after each four.
        let halting = |trial: &mut Trial| {
            trial.ready();
            (0..200).filter(|second| second % 10 < 4).for_each(|second| trial.beat(at(second)));
        };
        assert!(why(&halting).contains("hangs"));
        let without_input = |trial: &mut Trial| {
            trial.ready();
            beats(trial);
            trial.there("camera");
        };
        assert!(why(&without_input).contains("input hdmi"));
        let without_ingest = |trial: &mut Trial| {
            trial.ready();
            beats(trial);
            trial.there("hdmi");
        };
        assert!(why(&without_ingest).contains("ingest of Main"));
    }

    proptest! {
        /// Against the sentence that it stands for.
        #[test]
        fn it_is_never_good_before_all_of_it_and_never_both(steps in prop::collection::vec((0_u8..6, 1_u64..8), 1..120)) {
            let mut trial = trial();
            let (mut now, mut ready, mut input, mut ingest, mut beats) = (0, false, false, false, Vec::new());
            let (mut good, mut bad) = (0, 0);
            for (step, pause) in steps {
                match step {
                    0 => { ready = true; trial.ready(); }
                    1 => { input = true; trial.there("hdmi"); }
                    2 => { ingest = true; trial.reached(); }
                    3 => trial.refuse("busy".into()),
                    4 => trial.there("camera"),
                    _ => {}
                }
                beats.push(now);
                trial.beat(at(now));
                let run = beats.iter().rev().zip(beats.iter().rev().skip(1)).take_while(|(later, sooner)| *later - *sooner <= 3).count();
                let lasted = beats[beats.len() - 1] - beats[beats.len() - 1 - run];
                match trial.judge(at(now)) {
                    Some(Verdict::Good) => {
                        prop_assert!(ready && input && ingest && lasted >= 10 && now < 240);
                        good += 1;
                        prop_assert_eq!(bad, 0, "not after it was given up");
                    }
                    Some(Verdict::Bad(_)) => { prop_assert!(now >= 240); bad += 1; }
                    None => prop_assert!(now < 240 || bad == 1, "there is a verdict at the deadline"),
                }
                now += pause;
            }
            prop_assert!(bad <= 1 && good <= 120);
        }
    }
}
