//! What is done because time passes: figures, timers and the service manager's watchdog.

use super::Daemon;
use crate::{
    control::{Event, heat::Heat},
    media::supervisor::Worker,
    notify,
    program::timeline::Timeline,
    state::ClockFloor,
    status::Stats,
    sys,
    units::Time,
};
use std::time::Duration;
use tokio::time::Instant;

/// Figures are taken and shown this often,
const SECOND: Duration = Duration::from_secs(1);
/// and this often while nothing goes on that they could tell of.
const AT_REST: Duration = Duration::from_secs(5);

impl Daemon {
    /// When something has to be done although nothing happens.
    pub(super) fn next_wake(&self) -> Instant {
        let now = sys::now();
        let wakes = [
            Some(self.next_measure(now)),
            self.control_wake,
            self.timeline.as_ref().and_then(Timeline::next_wake),
            self.watchdog.map(|(_, next)| next),
            self.held.until(),
        ];
        let wake = wakes.into_iter().flatten().min().unwrap_or(now);
        Instant::now() + wake.since(now)
    }

    fn next_measure(&self, now: Time) -> Time {
        self.measured + if self.control.at_rest(now) { AT_REST } else { SECOND }
    }

    pub(super) fn wake(&mut self) {
        let now = sys::now();
        self.tick_timeline(now);
        if let Some((interval, next)) = &mut self.watchdog
            && *next <= now
        {
            *next = now + *interval;
            notify::alive();
        }
        if self.held.until().is_some_and(|until| until <= now) {
            tracing::warn!("the disk is slow: answers no longer wait for the intent to be written");
            self.release();
        }
        let due = self.next_measure(now) <= now;
        if due {
            self.measured = now;
            let heat = self.measure(now);
            self.look_at_input(now);
            self.look_at_brought();
            self.look_for_sticks();
            self.handle(Event::Heat(heat));
        }
        self.hide_pin(now);
        if due || self.control_wake.is_some_and(|wake| wake <= now) {
            self.handle(Event::Tick);
        }
    }

    /// Takes the host's figures, and keeps the time for a start without a clock; gives how hot it is.
    pub(super) fn measure(&mut self, now: Time) -> Heat {
        let mut pids = vec![std::process::id()];
        pids.extend(self.workers.values().filter_map(Worker::pid));
        let figures = self.host.sample(now, &pids);
        self.figures = Stats {
            temperature_c: figures.temperature_c,
            heat_headroom_c: figures.headroom_c,
            throttled: figures.throttled,
            cpu: figures.cpu,
            memory_bytes: figures.memory_bytes,
            disk_free_bytes: figures.disk_free_bytes,
            clock: self.figures.clock,
            ..Stats::default()
        };
        self.figures.clock = Some(self.judge_clock(figures.clock, now));
        let wall = self.now().wall.filter(|_| self.figures.clock == Some("synchronised"));
        if let Some(wall) = wall.filter(|wall| self.floor.is_due(*wall)) {
            let saved = self.floor.note(wall);
            self.files.keep(ClockFloor::FILE, saved);
        }
        Heat { headroom: figures.headroom_c, throttled: figures.throttled_by_heat }
    }
}
