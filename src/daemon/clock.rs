//! What time it is: by the system's clock where that can be believed, else by what a web server said.

use super::Daemon;
use crate::{
    clock::Dated,
    control::Now,
    status::{Fault, Severity},
    sys,
    units::Time,
};
use jiff::Timestamp;
use std::time::Duration;

/// Time servers are usually reached within this; before it is over, a clock that is not set is no fault.
const PATIENCE: Duration = Duration::from_secs(60);

impl Daemon {
    /// The present, for decisions and for people.
    pub(super) fn now(&self) -> Now {
        let time = sys::now();
        let wall = match self.figures.clock {
            Some("synchronised" | "battery") => Some(Timestamp::now()),
            Some("http") => self.dates.known().and_then(|dated| dated.wall(time)),
            _ => None,
        };
        Now { time, wall }
    }

    /// What to call the clock that the host calls `word`, at `now`. While nothing has set it, web servers are asked; what they say
    /// is what times are shown and certificates judged by, and the system's clock stays as it is.
    pub(super) fn judge_clock(&mut self, word: &'static str, now: Time) -> &'static str {
        let floor = Timestamp::from_second(self.trust.floor().as_secs().cast_signed()).unwrap_or(Timestamp::UNIX_EPOCH);
        // A battery that is empty sets the clock to a time long ago.
        let set = word == "synchronised" || word == "battery" && Timestamp::now() >= floor;
        let learnt: Option<Dated> = if set {
            self.dates.forget();
            None
        } else {
            self.dates.ask(&self.layers.settings().clock.servers(), floor, &self.trust, now);
            self.dates.known()
        };
        self.trust.learn(learnt);
        let word = match learnt {
            _ if set => word,
            Some(_) => "http",
            None => "not-set",
        };
        let faults: Vec<Fault> =
            (word == "not-set" && now.since(self.begun) >= PATIENCE).then(not_set).into_iter().collect();
        if self.found.get("clock").map_or(0, Vec::len) != faults.len() {
            self.found.insert("clock", faults);
            self.tell();
        }
        word
    }
}

fn not_set() -> Fault {
    Fault {
        code: "clock-not-set",
        severity: Severity::Notice,
        text: "The clock is not set: times are not shown".into(),
        advice: "Let the box reach a time server (NTP), or name a web server in clock.http".into(),
        since: None,
    }
}
