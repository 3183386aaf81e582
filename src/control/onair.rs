//! The deliveries as the control core sees them. On air means acknowledged in the last 3 s, nothing less.

use super::{Now, UplinkId};
use crate::{
    settings::Source,
    status::{AcknowledgedBy, UplinkState, UplinkStats, UplinkStatus},
    units::Time,
    uplink::{Cause, Report, Stats},
};
use jiff::Timestamp;
use std::time::Duration;

/// Media acknowledged within this time is on air.
pub const FRESH: Duration = Duration::from_secs(3);
/// An uplink forces an IDR picture on all of them at most this often on one connection; meanwhile it waits for the next one
/// of the interval.
const FORCES: Duration = Duration::from_secs(10);
/// An uplink asked to end takes 1 s at most; if its report is lost, it is forgotten after this.
const CLOSING: Duration = Duration::from_secs(2);

/// One delivery.
#[derive(Debug)]
pub struct Uplink {
    /// Its number.
    pub id: UplinkId,
    /// Where it goes.
    pub source: Source,
    /// Since when it is being ended.
    pub closing: Option<Time>,
    /// Why the last try failed; none once media is acknowledged.
    pub cause: Option<Cause>,
    /// Its figures.
    pub stats: Stats,
    /// The region of its service that was chosen.
    region: Option<String>,
    retry_at: Option<Time>,
    /// When media was last acknowledged by anything, on this connection.
    acknowledged: Option<Time>,
    /// The same over all connections; at first, when the delivery began.
    heard: Time,
    /// The best proof of late, and when it came.
    proof: Option<(AcknowledgedBy, Time)>,
    bytes: u64,
    /// When it last had an IDR forced on this connection.
    forced: Option<Time>,
    shown: UplinkState,
    since: Option<Timestamp>,
}

impl Uplink {
    /// A delivery that begins.
    pub fn new(id: UplinkId, source: Source, now: Now) -> Self {
        Self {
            id,
            region: source.region.clone().filter(|region| region != "auto"),
            source,
            closing: None,
            cause: None,
            stats: Stats::default(),
            retry_at: None,
            acknowledged: None,
            heard: now.time,
            proof: None,
            bytes: 0,
            forced: None,
            shown: UplinkState::Connecting,
            since: now.wall,
        }
    }

    /// The region of its service that is used, where it has one and once it is known.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Takes what its task says.
    pub fn hear(&mut self, report: &Report, now: Now) {
        match report {
            Report::Region(region) => self.region = Some(region.clone()),
            Report::Connecting(_) => self.retry_at = None,
            // A new connection shows nothing before its first IDR, however soon after another it is.
            Report::Publishing { .. } => (self.retry_at, self.forced) = (None, None),
            Report::Acknowledged { bytes, by } if *bytes > self.bytes => {
                self.bytes = *bytes;
                (self.acknowledged, self.heard) = (Some(now.time), now.time);
                if self.proof.is_none_or(|(best, at)| *by <= best || now.time.since(at) > FRESH) {
                    self.proof = Some((*by, now.time));
                }
                self.cause = None;
            }
            Report::Acknowledged { .. } | Report::KeyframeWanted | Report::Link(_) | Report::Closed => {}
            Report::Failed { cause, retry_in } => {
                self.cause = Some(cause.clone());
                self.retry_at = Some(now.time + *retry_in);
                (self.acknowledged, self.proof) = (None, None);
            }
            Report::Stats(stats) => self.stats = *stats,
        }
        self.note_state(now);
    }

    /// Whether an IDR that it wants is worth forcing on every Source.
    pub fn forces_keyframe(&mut self, now: Time) -> bool {
        let may = self.forced.is_none_or(|at| now.since(at) >= FORCES);
        if may {
            self.forced = Some(now);
        }
        may
    }

    /// Keeps the moment of the last change of state.
    pub fn note_state(&mut self, now: Now) {
        let state = self.state(now.time);
        if state != self.shown {
            (self.shown, self.since) = (state, now.wall);
        }
    }

    /// Whether media was acknowledged in the last 3 s.
    pub fn on_air(&self, now: Time) -> bool {
        self.acknowledged.is_some_and(|at| now.since(at) <= FRESH)
    }

    /// When media was last acknowledged; before the first time, when the delivery began.
    pub fn heard(&self) -> Time {
        self.heard
    }

    /// Why it is not on air; none while it is, and while the first try is under way.
    pub fn trouble(&self, now: Time) -> Option<Cause> {
        // What was acknowledged and is not any more has stalled, before its connection is given up.
        let stalled = self.acknowledged.map(|_| Cause::Stalled);
        self.cause.clone().or(stalled).filter(|_| !self.on_air(now))
    }

    /// When [`on_air`](Self::on_air) ends if nothing more is acknowledged.
    pub fn stale_at(&self) -> Option<Time> {
        self.acknowledged.map(|at| at + FRESH + Duration::from_millis(1))
    }

    /// Whether it has been ending for too long.
    pub fn overdue(&self, now: Time) -> bool {
        self.closing.is_some_and(|since| now.since(since) > CLOSING)
    }

    /// When it is forgotten while it ends.
    pub fn overdue_at(&self) -> Option<Time> {
        self.closing.map(|since| since + CLOSING + Duration::from_millis(1))
    }

    fn state(&self, now: Time) -> UplinkState {
        match (&self.cause, self.retry_at) {
            _ if self.closing.is_some() => UplinkState::Idle,
            _ if self.on_air(now) => UplinkState::OnAir,
            (Some(cause), Some(_)) if cause.is_rejection() => UplinkState::Refused,
            (_, Some(_)) => UplinkState::Waiting,
            _ => UplinkState::Connecting,
        }
    }

    /// For the status.
    pub fn status(&self, now: Time) -> UplinkStatus {
        let state = self.state(now);
        UplinkStatus {
            source: self.source.name.clone(),
            region: self.region.clone(),
            state,
            retry_in_ms: self.retry_at.map(|at| at.since(now).as_millis() as u64),
            acknowledged_by: self.proof.filter(|_| self.on_air(now)).map(|(by, _)| by),
            since: self.since,
        }
    }

    /// For the status's figures.
    pub fn figures(&self) -> UplinkStats {
        UplinkStats {
            source: self.source.name.clone(),
            bitrate: self.stats.bitrate,
            queue_ms: self.stats.queue.as_millis() as u64,
            rtt_ms: self.stats.rtt.map(|rtt| rtt.as_millis() as u64),
            loss: self.stats.loss,
            acknowledged_bytes: self.stats.acknowledged_bytes,
            reconnects: self.stats.reconnects,
        }
    }
}
