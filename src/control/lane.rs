//! One track's media worker: which should run, which does, and when to try again. At most one is alive.

use super::{Effect, WorkerId};
use crate::{
    media::{Failure, FailureKind, Order, Plan, Report, Started},
    units::Time,
};
use std::time::Duration;

/// A worker that does not say anything for so long is stuck.
const SILENT: Duration = Duration::from_secs(3);
/// The same before its pipeline runs: slow boxes scan plugins the first time.
const SLOW_START: Duration = Duration::from_secs(15);
/// A worker that ends sooner has crashed at once.
const AT_ONCE: Duration = Duration::from_secs(5);
/// So many in a row are a fault, not a loop.
const CRASHES: u32 = 5;
/// Then it is tried again after this time only.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// The lane of one track.
#[derive(Debug, Default)]
pub struct Lane {
    worker: Option<Worker>,
    crashes: u32,
    retry_at: Time,
    /// Encoders of the board that crashed too often.
    skipped: usize,
    failure: Option<FailureKind>,
}

#[derive(Debug)]
struct Worker {
    id: WorkerId,
    plan: Plan,
    encoding: bool,
    leaving: bool,
    bitrate_fixed: bool,
    started: Option<Started>,
    since: Time,
    heard: Time,
}

impl Lane {
    /// Brings the lane to `wanted`, encoding or not. `next_id` names a new worker.
    pub fn reconcile(&mut self, wanted: Option<&Plan>, encode: bool, now: Time, next_id: &mut u64) -> Vec<Effect> {
        let Some(worker) = &mut self.worker else {
            let Some(plan) = wanted.filter(|_| now >= self.retry_at) else { return Vec::new() };
            *next_id += 1;
            let id = WorkerId(*next_id);
            let worker = Worker {
                id,
                plan: plan.clone(),
                encoding: encode,
                leaving: false,
                bitrate_fixed: false,
                started: None,
                since: now,
                heard: now,
            };
            self.worker = Some(worker);
            let start = Effect::StartWorker { id, plan: Box::new(plan.clone()) };
            return if encode { vec![start, Effect::Order { id, order: Order::Encode }] } else { vec![start] };
        };
        if worker.leaving {
            return Vec::new();
        }
        let stuck = now.since(worker.heard) > if worker.started.is_some() { SILENT } else { SLOW_START };
        let fits = wanted.is_some_and(|plan| same_but_bitrate(plan, &worker.plan)) && (encode || !worker.encoding);
        if stuck || !fits {
            worker.leaving = true;
            let id = worker.id;
            if stuck {
                self.count_crash(now);
            }
            return vec![Effect::StopWorker { id }];
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

    /// Takes what worker `id` says; false if it is not this lane's.
    pub fn hear(&mut self, id: WorkerId, report: &Report, now: Time) -> bool {
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.id == id) else { return false };
        worker.heard = now;
        match report {
            Report::Started(started) => worker.started = Some(started.clone()),
            Report::BitrateFixed => worker.bitrate_fixed = true,
            Report::Failed(Failure { kind, .. }) => self.failure = Some(*kind),
            Report::Unit(_) | Report::Alive | Report::Level(_) | Report::Preview(_) => {
                if now.since(worker.since) > AT_ONCE {
                    (self.crashes, self.failure) = (0, None);
                }
            }
        }
        true
    }

    /// Worker `id` has ended; false if it is not this lane's.
    pub fn exited(&mut self, id: WorkerId, encoders: usize, now: Time) -> bool {
        let Some(worker) = self.worker.take_if(|worker| worker.id == id) else { return false };
        if worker.leaving {
            return true;
        }
        match self.failure {
            Some(FailureKind::Device | FailureKind::Busy) => self.retry_at = now + Duration::from_secs(1),
            Some(FailureKind::NoEncoder | FailureKind::MissingElement | FailureKind::NotPcm) => {
                self.retry_at = now + GIVEN_UP;
            }
            Some(FailureKind::Format | FailureKind::Encoder | FailureKind::Other) | None => {
                if now.since(worker.since) > AT_ONCE {
                    self.crashes = 0;
                }
                self.count_crash(now);
                if self.crashes >= CRASHES && self.skipped + 1 < encoders {
                    (self.skipped, self.crashes, self.retry_at) = (self.skipped + 1, 0, now);
                }
            }
        }
        true
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
        (self.crashes, self.skipped, self.retry_at, self.failure) = (0, 0, Time::ZERO, None);
    }

    /// The next moment at which [`reconcile`](Self::reconcile) may have something to do.
    pub fn next_wake(&self) -> Option<Time> {
        match &self.worker {
            Some(worker) if worker.leaving => None,
            Some(worker) => {
                let patience = if worker.started.is_some() { SILENT } else { SLOW_START };
                Some(worker.heard + patience + Duration::from_millis(1))
            }
            None => Some(self.retry_at),
        }
    }

    /// The worker that media may come from.
    pub fn live(&self) -> Option<WorkerId> {
        self.worker.as_ref().filter(|worker| !worker.leaving).map(|worker| worker.id)
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

    /// How many of the board's encoders to leave out.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The last failure that still stands.
    pub fn failure(&self) -> Option<FailureKind> {
        self.failure
    }

    /// Whether it crashed so often that it is given up for a while.
    pub fn given_up(&self) -> bool {
        self.crashes >= CRASHES
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
