//! One track's media worker: which should run, which does, and when to try again. At most one is alive.

use super::{Effect, WorkerId};
use crate::{
    media::{Failure, FailureKind, Flow, Order, Plan, Report, Started, VideoPlan, VideoSource},
    units::{BitRate, Time},
};
use std::time::Duration;

/// An encoder that keeps its bitrate is started anew for another one at most so often.
const ANEW: Duration = Duration::from_secs(10);
/// A worker that does not say anything for so long is wedged: it should four times a second.
const SILENT: Duration = Duration::from_millis(1400);
/// The same before its pipeline runs: slow boxes scan plugins the first time.
const SLOW_START: Duration = Duration::from_secs(15);
/// Called so much later than at the end of its patience, the loop was held up itself, and reports wait to be heard.
const LATE: Duration = Duration::from_millis(250);
/// What that is worth, once.
const PARDON: Duration = Duration::from_millis(500);
/// Without a raw picture or samples for so long, nothing is captured any more; at least of so many pictures.
const STALLED: Duration = Duration::from_secs(1);
const STALLED_PICTURES: u64 = 3;
/// The same before the first: cameras and receivers begin slowly.
const SLOW_DEVICE: Duration = Duration::from_secs(4);
/// From the third worker in a row that stood still, each is given twice the time of the one before, up to so many times as
/// much: on a box that is busy beyond its means, starting anew only makes it busier. One that runs for so long ends the row.
const MOST_PATIENCE: u32 = 8;
const WELL: Duration = Duration::from_secs(30);
/// An encoder that is fed and gives nothing for so long; and before its first, as it may look ahead.
const NOT_ENCODING: Duration = Duration::from_secs(1);
const SLOW_ENCODER: Duration = Duration::from_secs(5);
/// Pictures that an encoder may look ahead (x264's default is 40).
const LOOK_AHEAD: u64 = 60;
/// One that ran for so long shows that its device gives something, and a failure before it is over.
const AT_ONCE: Duration = Duration::from_secs(5);
/// So many that crashed before they ran well are a fault, not a loop.
const CRASHES: u32 = 5;
/// Then it is tried again after this time only.
const GIVEN_UP: Duration = Duration::from_secs(30);
/// A device that does not open is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);
/// A worker is ended by force after a second; one that is there all the same hangs in the kernel, in a driver. It is told,
const STUCK: Duration = Duration::from_secs(3);
/// and then another one is tried: of another input or encoder it may do.
const ABANDONED: Duration = Duration::from_secs(10);

/// The lane of one track.
#[derive(Debug, Default)]
pub struct Lane {
    worker: Option<Worker>,
    crashes: u32,
    retry_at: Time,
    /// Encoders of the board that crashed too often.
    skipped: Vec<String>,
    failure: Option<FailureKind>,
    /// Since when there is one without a break.
    failing: Option<Time>,
    /// Workers in a row that stood still.
    stood_still: u32,
    /// A worker was given up that could not be ended, and none has run well since.
    abandoned: bool,
}

#[derive(Debug)]
struct Worker {
    id: WorkerId,
    plan: Plan,
    encoding: bool,
    leaving: Option<Time>,
    bitrate_fixed: bool,
    /// Of how many pictures it encodes one.
    every: u32,
    /// The video bitrate that it was started with.
    begun_at: Option<BitRate>,
    started: Option<Started>,
    since: Time,
    heard: Time,
    /// How many times the usual patience it is given.
    patience: u32,
    /// Whether it was given more time, for the loop was late.
    pardoned: bool,
    /// What it said last of its pipeline; none: that does not run yet.
    flow: Option<Flow>,
    /// Why it has to go, when that is its own fault.
    trouble: Option<FailureKind>,
}

impl Worker {
    /// Whether its encoder has to begin anew for the bitrate of `wanted`, as it cannot change it while it runs. Each time
    /// costs viewers a held picture, so small changes are let be, and others done at most each 10 s.
    fn is_off(&self, wanted: &Plan, now: Time) -> bool {
        let (Some(wanted), Some(begun)) = (bitrate(wanted), self.begun_at) else { return false };
        let parts = wanted.bits() as f64 / begun.bits() as f64;
        self.bitrate_fixed && !(0.85..1.3).contains(&parts) && now.since(self.since) >= ANEW
    }

    /// Until when it has to say something.
    fn silent_at(&self) -> Time {
        self.heard + if self.flow.is_some() { SILENT * self.patience } else { SLOW_START }
    }

    /// What is wrong with it at `now`.
    fn judge(&mut self, now: Time) -> Option<FailureKind> {
        if now >= self.silent_at() {
            if self.pardoned || now.since(self.silent_at()) < LATE {
                return Some(FailureKind::Wedged);
            }
            self.pardoned = true;
            self.heard = now + PARDON - self.silent_at().since(self.heard);
        }
        let flow = self.flow?;
        let patience = if self.started.is_some() { self.slowest_capture() } else { SLOW_DEVICE };
        if flow.captured >= patience * self.patience {
            return Some(FailureKind::Stalled);
        }
        let patience = if flow.encoded {
            NOT_ENCODING.max(self.pictures(STALLED_PICTURES))
        } else {
            SLOW_ENCODER.max(self.pictures(LOOK_AHEAD))
        };
        (flow.waiting >= patience).then_some(FailureKind::EncoderStalled)
    }

    fn slowest_capture(&self) -> Duration {
        STALLED.max(self.pictures(STALLED_PICTURES))
    }

    /// The time that so many pictures take on their way to the encoder; none for sound.
    fn pictures(&self, number: u64) -> Duration {
        let mode = match &self.plan {
            Plan::Video(VideoPlan { source: VideoSource::V4l2 { mode, .. }, .. } | VideoPlan { mode, .. }) => *mode,
            Plan::Audio(_) | Plan::Still(_) => return Duration::ZERO,
        };
        Duration::from_nanos(number * u64::from(self.every) * mode.picture_rate().period())
    }
}

impl Worker {
    /// The encoder that it ran, if the board has another one that is there.
    fn replaceable(&self) -> Option<String> {
        let Plan::Video(plan) = &self.plan else { return None };
        let missing = self.started.as_ref().map(|started| &started.missing[..]).unwrap_or_default();
        let mut there =
            plan.encoders.iter().map(|encoder| &encoder.element).filter(|element| !missing.contains(element));
        let ran = self.started.as_ref().map(|started| &started.encoder).or(there.clone().next())?;
        there.any(|element| element != ran).then(|| ran.clone())
    }
}

impl Lane {
    /// Brings the lane to `wanted`, encoding or not. `next_id` names a new worker.
    pub fn reconcile(&mut self, wanted: Option<&Plan>, encode: bool, now: Time, next_id: &mut u64) -> Vec<Effect> {
        if let Some(worker) = self.worker.take_if(|worker| worker.leaving.is_some_and(|at| now.since(at) >= ABANDONED))
        {
            self.abandoned = true;
            let mut effects = vec![Effect::AbandonWorker { id: worker.id }];
            effects.extend(self.reconcile(wanted, encode, now, next_id));
            return effects;
        }
        let Some(worker) = &mut self.worker else {
            let Some(plan) = wanted.filter(|_| now >= self.retry_at) else { return Vec::new() };
            *next_id += 1;
            let id = WorkerId(*next_id);
            let worker = Worker {
                id,
                plan: plan.clone(),
                encoding: encode,
                leaving: None,
                bitrate_fixed: false,
                every: 1,
                begun_at: bitrate(plan),
                started: None,
                since: now,
                heard: now,
                patience: (1 << self.stood_still.saturating_sub(1).min(8)).min(MOST_PATIENCE),
                pardoned: false,
                flow: None,
                trouble: None,
            };
            self.worker = Some(worker);
            let start = Effect::StartWorker { id, plan: Box::new(plan.clone()) };
            return if encode { vec![start, Effect::Order { id, order: Order::Encode }] } else { vec![start] };
        };
        if worker.leaving.is_some() {
            return Vec::new();
        }
        let fits = wanted.is_some_and(|plan| same_but_bitrate(plan, &worker.plan) && !worker.is_off(plan, now))
            && (encode || !worker.encoding);
        let trouble = worker.judge(now);
        if !fits || trouble.is_some() {
            worker.leaving = Some(now);
            let id = worker.id;
            if fits && let Some(kind) = trouble {
                worker.trouble = trouble;
                self.stood_still += 1;
                self.note_failure(kind, now);
            }
            // One that says nothing hears nothing.
            let wedged = trouble == Some(FailureKind::Wedged);
            return vec![if wedged { Effect::KillWorker { id } } else { Effect::StopWorker { id } }];
        }
        let mut effects = Vec::new();
        if encode && !worker.encoding {
            worker.encoding = true;
            effects.push(Effect::Order { id: worker.id, order: Order::Encode });
        }
        if let (Some(Plan::Video(wanted)), Plan::Video(plan)) = (wanted, &mut worker.plan)
            && wanted.bitrate != plan.bitrate
            && !worker.bitrate_fixed
        {
            plan.bitrate = wanted.bitrate;
            effects.push(Effect::Order { id: worker.id, order: Order::Bitrate(wanted.bitrate) });
        }
        effects
    }

    /// Has the worker encode each `every`-th picture only.
    pub fn thin(&mut self, every: u32) -> Option<Effect> {
        let worker = self.worker.as_mut().filter(|worker| worker.leaving.is_none() && worker.every != every)?;
        worker.every = every;
        Some(Effect::Order { id: worker.id, order: Order::Thin(every) })
    }

    /// Takes what worker `id` says; false if it is not this lane's.
    pub fn hear(&mut self, id: WorkerId, report: &Report, now: Time) -> bool {
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.id == id) else { return false };
        (worker.heard, worker.pardoned) = (now, false);
        match report {
            Report::Started(started) => worker.started = Some(started.clone()),
            Report::BitrateFixed => {
                worker.bitrate_fixed = true;
                if let Plan::Video(plan) = &mut worker.plan {
                    plan.bitrate = worker.begun_at.unwrap_or(plan.bitrate);
                }
            }
            Report::Failed(Failure { kind, .. }) if worker.leaving.is_none() => {
                worker.trouble = Some(*kind);
                self.note_failure(*kind, now);
            }
            Report::Alive(flow) => {
                worker.flow = Some(*flow);
                if worker.started.is_some() && now.since(worker.since) > AT_ONCE && worker.judge(now).is_none() {
                    (self.failure, self.failing, self.abandoned) = (None, None, false);
                    if now.since(worker.since) > WELL {
                        (self.crashes, self.stood_still) = (0, 0);
                    }
                }
            }
            Report::Failed(_) | Report::Unit(_) | Report::Level(_) | Report::Picture(_) | Report::Preview(_) => {}
        }
        true
    }

    /// Worker `id` has ended; false if it is not this lane's.
    pub fn exited(&mut self, id: WorkerId, now: Time) -> bool {
        let Some(worker) = self.worker.take_if(|worker| worker.id == id) else { return false };
        if worker.leaving.is_some() && worker.trouble.is_none() {
            return true;
        }
        if now.since(worker.since) > WELL {
            self.crashes = 0;
        }
        match worker.trouble {
            Some(FailureKind::Device | FailureKind::Busy) => self.retry_at = now + RETRY,
            // At once when it ran before; a device that gives nothing from the start is not asked without a break.
            Some(FailureKind::Stalled) => {
                self.retry_at = if now.since(worker.since) > AT_ONCE { now } else { now + RETRY };
            }
            Some(FailureKind::NoEncoder | FailureKind::MissingElement | FailureKind::NotPcm | FailureKind::Picture) => {
                self.retry_at = now + GIVEN_UP;
            }
            // Another encoder would be given the same pictures.
            Some(FailureKind::Format) => self.count_crash(now),
            Some(FailureKind::Encoder | FailureKind::Other | FailureKind::EncoderStalled | FailureKind::Wedged)
            | None => {
                self.count_crash(now);
                if let Some(encoder) = worker.replaceable().filter(|_| self.crashes >= CRASHES) {
                    self.skipped.push(encoder);
                    (self.crashes, self.retry_at) = (0, now);
                }
            }
        }
        true
    }

    fn note_failure(&mut self, kind: FailureKind, now: Time) {
        self.failure = Some(kind);
        self.failing.get_or_insert(now);
    }

    fn count_crash(&mut self, now: Time) {
        self.crashes = (self.crashes + 1).min(CRASHES);
        self.retry_at = now
            + match self.crashes {
                CRASHES.. => GIVEN_UP,
                crashes => Duration::from_millis(100) * (1 << (crashes - 1)) - Duration::from_millis(100),
            };
    }

    /// Forgets failures: what the worker depends on has changed.
    pub fn forgive(&mut self) {
        self.skipped.clear();
        (self.crashes, self.retry_at) = (0, Time::ZERO);
        (self.failure, self.failing, self.stood_still) = (None, None, 0);
    }

    /// The next moment at which [`reconcile`](Self::reconcile) may have something to do.
    pub fn next_wake(&self) -> Option<Time> {
        match &self.worker {
            Some(Worker { leaving: Some(since), .. }) => Some(*since + ABANDONED),
            Some(worker) => Some(worker.silent_at()),
            None => Some(self.retry_at),
        }
    }

    /// Whether a worker cannot be ended, or could not and none has run well since.
    pub fn stuck(&self, now: Time) -> bool {
        self.abandoned
            || self.worker.as_ref().and_then(|worker| worker.leaving).is_some_and(|at| now.since(at) >= STUCK)
    }

    /// The worker that media may come from.
    pub fn live(&self) -> Option<WorkerId> {
        self.worker.as_ref().filter(|worker| worker.leaving.is_none()).map(|worker| worker.id)
    }

    /// Whether any worker process of this lane is there.
    pub fn is_empty(&self) -> bool {
        self.worker.is_none()
    }

    /// What the worker runs, once it does.
    pub fn started(&self) -> Option<&Started> {
        self.worker.as_ref().and_then(|worker| worker.started.as_ref())
    }

    /// What the worker was asked to do.
    pub fn plan(&self) -> Option<&Plan> {
        self.worker.as_ref().map(|worker| &worker.plan)
    }

    /// Whether it cannot change its bitrate while it runs.
    pub fn bitrate_fixed(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.bitrate_fixed)
    }

    /// The board's encoders to leave out.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The last failure that still stands.
    pub fn failure(&self) -> Option<FailureKind> {
        self.failure
    }

    /// How long there has been a failure without a break.
    pub fn failing_for(&self, now: Time) -> Duration {
        self.failing.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Whether it crashed so often that it is given up for a while, and does not run again yet.
    pub fn given_up(&self) -> bool {
        let encodes = |worker: &Worker| worker.flow.is_some_and(|flow| flow.encoded);
        self.crashes >= CRASHES && !self.worker.as_ref().is_some_and(encodes)
    }
}

fn bitrate(plan: &Plan) -> Option<BitRate> {
    match plan {
        Plan::Video(plan) => Some(plan.bitrate),
        Plan::Audio(_) | Plan::Still(_) => None,
    }
}

fn same_but_bitrate(one: &Plan, other: &Plan) -> bool {
    match (one, other) {
        (Plan::Video(one), Plan::Video(other)) => {
            let mut one = one.clone();
            one.bitrate = other.bitrate;
            one == *other
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests;
