//! How far an upload or download is, how fast, and for how long still (pure).

use crate::{remote::message::Progress, units::Time};
use std::{collections::VecDeque, time::Duration};

/// The rate is that of so long.
const WINDOW: Duration = Duration::from_secs(10);
/// People are told at most so often.
const INTERVAL: Duration = Duration::from_millis(500);

/// The progress of one transfer.
pub(super) struct Meter {
    step: &'static str,
    of: Option<u64>,
    /// When how many bytes were done, as it was told.
    marks: VecDeque<(Time, u64)>,
}

impl Meter {
    /// Of `step`, such as "Uploading", which has `of` bytes.
    pub(super) fn new(step: &'static str, of: Option<u64>) -> Self {
        Self { step, of, marks: VecDeque::new() }
    }

    /// What to tell when `done` bytes are done; none: it was told just now. The first counts as where this run begins.
    pub(super) fn at(&mut self, done: u64, now: Time) -> Option<Progress> {
        let early = |last: &(Time, u64)| now.since(last.0) < INTERVAL && self.of != Some(done);
        if self.marks.back().is_some_and(early) {
            return None;
        }
        self.marks.push_back((now, done));
        while self.marks.get(1).is_some_and(|second| now.since(second.0) > WINDOW) {
            self.marks.pop_front();
        }
        let rate = self.marks.front().and_then(|(since, from)| {
            let (bytes, time) = (done.checked_sub(*from)?, now.since(*since).as_secs_f64());
            (bytes > 0 && time > 0.0).then(|| bytes as f64 / time)
        });
        let mut step = self.step.to_owned();
        if let Some(rate) = rate {
            step += &format!(", {:.1} MB/s", rate / 1e6);
            if let Some(left) = self.of.and_then(|of| of.checked_sub(done)).filter(|left| *left > 0) {
                step += &format!(", {} left", for_people(left as f64 / rate));
            }
        }
        Some(Progress { step, done: Some(done), of: self.of })
    }
}

fn for_people(seconds: f64) -> String {
    match seconds.ceil() as u64 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn rate_and_time_left_are_those_of_the_last_seconds() {
        let mut meter = Meter::new("Uploading", Some(100_000_000));
        let mut told = |done: u64, ms| meter.at(done * 1_000_000, at(ms)).map(|told| told.step);
        // 40 MB were there from before: they are no rate.
        assert_eq!(told(40, 0).as_deref(), Some("Uploading"));
        assert_eq!(told(41, 400), None);
        assert_eq!(told(42, 1000).as_deref(), Some("Uploading, 2.0 MB/s, 29 s left"));
        assert_eq!(told(62, 11_000).as_deref(), Some("Uploading, 2.0 MB/s, 19 s left"));
        assert_eq!(told(63, 21_500).as_deref(), Some("Uploading, 0.1 MB/s, 7 min left"));
        assert_eq!(told(100, 21_600).as_deref(), Some("Uploading, 3.6 MB/s"), "the last is always told");
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let mut meter = Meter::new("Downloading", None);
        let told = meter.at(5, at(0)).expect("told");
        assert_eq!((told.step.as_str(), told.done, told.of), ("Downloading", Some(5), None));
        assert_eq!(meter.at(0, at(1000)).expect("told").step, "Downloading");
        assert_eq!(meter.at(1000, at(2000)).expect("told").step, "Downloading, 0.0 MB/s");
        assert_eq!(for_people(1e30), format!("{} h", u64::MAX.div_ceil(3600)));
    }
}
