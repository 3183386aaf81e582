//! Updates of the whole system: what is taken, when the box is restarted for it, and whether what came up then is good.

mod record;
mod trouble;
mod version;

pub use record::{Kept, Own, Record, Resumed};
pub use trouble::{Bundle, Trouble};

use super::{
    Control, Effect, Now, RequestId, Restart, fault,
    trial::{Trial, Verdict},
};
use crate::{
    command::{Answer, Reason, UpdateFrom},
    settings::Source,
    status::{FirmwareLast, FirmwareResult, FirmwareState, FirmwareStatus, Severity, SignalState},
    units::Time,
};
use serde_json::json;
use std::time::Duration;

/// An ingest that the new system has to reach is tried so often.
const REACH: Duration = Duration::from_secs(10);

/// What is to be done about an update; [`Told`] answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Get the bundle and look at it: [`Told::Progress`], [`Told::Fetched`].
    Fetch {
        /// The command.
        request: RequestId,
        /// From where.
        from: UpdateFrom,
    },
    /// Keep the record, then install what was got: [`Told::Progress`], [`Told::Installed`].
    Install(Box<Kept>),
    /// Delete what was got.
    Discard,
    /// Keep the record, now that it is installed: [`Told::Recorded`].
    Record(Box<Kept>),
    /// Keep the record as it is now and put the new system on trial: [`Told::Leaving`].
    Leave(Box<Kept>),
    /// Wait until RAUC has ended what the daemon does not remember, and keep the old system: [`Told::Undone`].
    Undo,
    /// Restart the box once everything is ended.
    Restart,
    /// Try whether this Source's ingest can be reached: [`Told::Reached`].
    Reach(Box<Source>),
    /// Mark the running system as good: [`Told::Confirmed`].
    Confirm,
    /// Mark the running system as bad, and keep why: [`Told::GivenUp`].
    GiveUp(String),
    /// Keep what came of it; no system is on trial any more.
    Keep(Box<Kept>),
    /// Answer who asked for it before the box was restarted.
    Answer(Answer),
}

/// What edges tell of an update.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the large one is told once")]
pub enum Told {
    /// What the daemon found when it started; told once.
    Here {
        /// What runs; none: this is no image that can be updated.
        own: Option<Own>,
        /// The update before.
        resumed: Resumed,
        /// What came of the one before that.
        last: Option<FirmwareLast>,
    },
    /// The service manager was told that the daemon is ready.
    Ready,
    /// A USB stick with a bundle is there, or is no more.
    Stick(bool),
    /// How far it is.
    Progress {
        /// What is being done.
        state: FirmwareState,
        /// Percents of it; none: nobody knows.
        percent: Option<u8>,
    },
    /// The bundle was got and looked at.
    Fetched {
        /// What it is.
        result: Result<Bundle, Trouble>,
        /// What bundles this box takes.
        compatible: String,
    },
    /// It is installed.
    Installed(Result<(), Trouble>),
    /// What has to be known of the new system is on the disk.
    Recorded(Result<(), Trouble>),
    /// Nothing keeps the box from being restarted.
    Leaving,
    /// RAUC does nothing any more, and the old system is the one that is started.
    Undone,
    /// Whether an ingest could be reached.
    Reached(bool),
    /// The running system is marked as good, or why not.
    Confirmed(Result<(), String>),
    /// What could be done to go back was done.
    GivenUp,
}

/// An update that is being done.
#[derive(Debug)]
struct Run {
    /// Who waits for the answer; none: it was given.
    request: Option<RequestId>,
    /// Whether it may interrupt a push.
    forced: bool,
    downgrade: bool,
    stage: Stage,
    percent: Option<u8>,
    /// The new version, once it is known.
    to: Option<String>,
    /// Whether the primary Source's ingest could be reached.
    reached: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Downloading,
    Checking,
    Installing,
    Recording,
    /// It is installed, and a push may go on that it must not interrupt.
    Installed,
    Restarting,
    /// RAUC is at what the daemon does not remember.
    Undoing,
}

impl Run {
    /// One that was begun before the daemon started.
    fn again(record: Record, stage: Stage) -> Self {
        Self {
            request: None,
            forced: false,
            downgrade: false,
            stage,
            percent: None,
            to: Some(record.to),
            reached: record.ingest.is_some(),
        }
    }
}

/// All that is known of updates.
#[derive(Debug, Default)]
pub(super) struct Update {
    own: Option<Own>,
    last: Option<FirmwareLast>,
    stick: bool,
    run: Option<Run>,
    pub(super) trial: Option<(Record, Trial)>,
    /// When the ingest was tried last that has to be reached.
    tried: Option<Time>,
}

impl Control {
    /// `update`.
    pub(super) fn update(
        &mut self,
        request: RequestId,
        from: UpdateFrom,
        (confirm, downgrade): (bool, bool),
    ) -> Result<Vec<Effect>, Answer> {
        let refuse = |text: &str| Err(Answer::failed(Reason::WrongState, text));
        if self.update.own.is_none() {
            let text = "This system is no image that can be updated as a whole (there is no RAUC): update its packages";
            return Err(Answer::failed(Reason::NoUpdater, text));
        }
        if self.update.run.is_some() {
            return refuse("An update is running already: the status says how far it is");
        }
        if self.update.trial.is_some() {
            return refuse(
                "The system is new and on trial: wait some minutes until the status says that it is confirmed",
            );
        }
        if self.pushing() && !confirm {
            return Err(Answer::not_confirmed("This restarts the box and interrupts the push for some minutes"));
        }
        self.update.run = Some(Run {
            request: Some(request),
            forced: confirm,
            downgrade,
            stage: Stage::Downloading,
            percent: None,
            to: None,
            reached: false,
        });
        let mut effects = vec![Effect::Update(Act::Fetch { request, from })];
        if !self.pushing()
            && let Ok(source) = self.known_source("", None)
        {
            effects.push(Effect::Update(Act::Reach(Box::new(source))));
        }
        Ok(effects)
    }

    /// What edges tell.
    pub(super) fn note_update(&mut self, told: Told, now: Now, effects: &mut Vec<Effect>) {
        let mut act = |act| effects.push(Effect::Update(act));
        match told {
            Told::Here { own, resumed, last } => {
                (self.update.own, self.update.last) = (own, last);
                self.resume_update(resumed, now, effects);
            }
            Told::Ready => self.update.trial.iter_mut().for_each(|(_, trial)| trial.ready()),
            Told::Stick(there) => self.update.stick = there,
            Told::Progress { state, percent } => {
                if let Some(run) = &mut self.update.run {
                    run.percent = percent;
                    if run.stage == Stage::Downloading && state == FirmwareState::Checking {
                        run.stage = Stage::Checking;
                    }
                }
            }
            Told::Fetched { result, compatible } => {
                let Some((run, own)) = self.update.run.as_mut().zip(self.update.own.as_ref()) else { return };
                let judged = result.and_then(|bundle| {
                    Trouble::judge(&own.version, &compatible, &bundle, run.downgrade).map(|()| bundle.version)
                });
                match judged {
                    Ok(version) => {
                        (run.stage, run.percent, run.to) = (Stage::Installing, None, Some(version));
                        if let Some(kept) = self.record(false, now.time) {
                            act(Act::Install(Box::new(kept)));
                        }
                    }
                    Err(trouble) => self.fail_update(&trouble, now, effects),
                }
            }
            Told::Installed(Ok(())) => {
                let kept = self.record(true, now.time);
                if let Some((run, kept)) = self.update.run.as_mut().zip(kept) {
                    (run.stage, run.percent) = (Stage::Recording, None);
                    act(Act::Record(Box::new(kept)));
                }
            }
            Told::Recorded(Ok(())) => {
                let pushing = self.pushing();
                if let Some(run) = &mut self.update.run {
                    run.stage = Stage::Installed;
                    let restarts = if pushing && !run.forced { "when the push has ended" } else { "now" };
                    let answer = Answer::Successful { result: json!({ "version": run.to, "restarts": restarts }) };
                    effects.extend(run.request.take().map(|request| Effect::Answer { request, answer }));
                }
            }
            Told::Undone => {
                if let Some(run) = self.update.run.take_if(|run| run.stage == Stage::Undoing) {
                    let answer = self.break_off(run.to.unwrap_or_default(), now, effects);
                    effects.push(Effect::Update(Act::Answer(answer)));
                }
            }
            Told::Installed(Err(trouble)) | Told::Recorded(Err(trouble)) => self.fail_update(&trouble, now, effects),
            Told::Reached(reached) => {
                if let Some(run) = &mut self.update.run {
                    run.reached |= reached;
                }
                if let Some((_, trial)) = self.update.trial.as_mut().filter(|_| reached) {
                    trial.reached();
                }
            }
            Told::Confirmed(Ok(())) => {
                let Some((record, _)) = self.update.trial.take() else { return };
                act(Act::Answer(Answer::Successful { result: json!({ "version": record.to }) }));
                self.keep_last(record.to, FirmwareResult::Confirmed, None, now, effects);
            }
            Told::Confirmed(Err(why)) => self.update.trial.iter_mut().for_each(|(_, trial)| trial.refuse(why.clone())),
            Told::GivenUp | Told::Leaving => self.restart_box(now.time, effects),
        }
    }

    /// Goes on with an update after a start of the daemon.
    fn resume_update(&mut self, resumed: Resumed, now: Now, effects: &mut Vec<Effect>) {
        let answer = match resumed {
            Resumed::Nothing => Answer::failed(
                Reason::Interrupted,
                "The box was restarted before anything was installed: ask again if it is still wanted",
            ),
            Resumed::BrokenOff(record) => self.break_off(record.to, now, effects),
            Resumed::RolledBack { to, why } => {
                let text = format!("{to} was given up, and the box is back at what it had: {why}");
                self.keep_last(to, FirmwareResult::RolledBack, Some(why), now, effects);
                Answer::failed(Reason::RolledBack, text)
            }
            Resumed::Unfinished(record) => {
                self.update.run = Some(Run::again(record, Stage::Undoing));
                return effects.push(Effect::Update(Act::Undo));
            }
            Resumed::Restart(record) => {
                self.update.run = Some(Run::again(record, Stage::Installed));
                return;
            }
            Resumed::OnTrial(record) => {
                // The rescue's own loop beats, too: a system whose daemon does not stay up must not be found good by it.
                if let Some(why) = self.rescue_reason() {
                    return effects.push(Effect::Update(Act::GiveUp(why.to_owned())));
                }
                let trial = Trial::new(record.inputs.clone(), record.ingest.clone(), now.time);
                self.update.trial = Some((record, trial));
                return;
            }
        };
        effects.push(Effect::Update(Act::Answer(answer)));
    }

    fn break_off(&mut self, to: String, now: Now, effects: &mut Vec<Effect>) -> Answer {
        let why = "The box was restarted while the update was installed: nothing has changed, ask again";
        self.keep_last(to, FirmwareResult::Failed, Some(why.into()), now, effects);
        Answer::failed(Reason::Interrupted, why)
    }

    /// Brings an update on that waits for something, and judges a system on trial.
    pub(super) fn reconcile_update(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.shutdown.is_some() {
            return;
        }
        let idle = !self.pushing() && self.uplinks.is_empty();
        let on_air = self.uplinks.iter().any(|uplink| uplink.on_air(now.time));
        if let Some(run) = &mut self.update.run {
            run.reached |= on_air;
            if run.stage == Stage::Installed && (idle || run.forced) {
                run.stage = Stage::Restarting;
                let kept = self.record(true, now.time);
                effects.extend(kept.map(|kept| Effect::Update(Act::Leave(Box::new(kept)))));
            }
        }
        let source = self.update.trial.as_ref().and_then(|(_, trial)| trial.unreached()).and_then(|name| {
            let named = self.known_source("", Some(name)).or_else(|_| self.known_source("", None));
            named.ok().filter(|_| self.update.tried.is_none_or(|tried| now.time.since(tried) >= REACH))
        });
        let Some((_, trial)) = &mut self.update.trial else { return };
        for (input, signal) in &self.signals {
            if signal.state != SignalState::NoDevice {
                trial.there(input);
            }
        }
        if on_air {
            trial.reached();
        } else if let Some(source) = source {
            self.update.tried = Some(now.time);
            effects.push(Effect::Update(Act::Reach(Box::new(source))));
        }
        match trial.judge(now.time) {
            Some(Verdict::Good) => effects.push(Effect::Update(Act::Confirm)),
            Some(Verdict::Bad(why)) => effects.push(Effect::Update(Act::GiveUp(why))),
            None => {}
        }
    }

    /// Time has passed, and the loop has come round.
    pub(super) fn beat_update(&mut self, now: Time) {
        self.update.trial.iter_mut().for_each(|(_, trial)| trial.beat(now));
    }

    /// When something follows from time passing.
    pub(super) fn update_wake(&self) -> Option<Time> {
        self.update.trial.as_ref().map(|(_, trial)| trial.next_wake())
    }

    /// What is to be known of the running update after the restart; none: there is none.
    fn record(&self, installed: bool, now: Time) -> Option<Kept> {
        let (run, own) = self.update.run.as_ref().zip(self.update.own.as_ref())?;
        // Others may have been plugged in for a moment.
        let there = self.signals.get(&self.input).filter(|signal| signal.state != SignalState::NoDevice);
        let on_air = self.uplinks.iter().find(|uplink| uplink.on_air(now)).map(|uplink| uplink.source.name.clone());
        let primary = || self.known_source("", None).ok().map(|source| source.name);
        let record = Record {
            from: own.version.clone(),
            to: run.to.clone()?,
            slot: own.slot.clone(),
            boot: own.boot.clone(),
            installed,
            inputs: there.map(|_| self.input.clone()).into_iter().collect(),
            ingest: on_air.or_else(|| primary().filter(|_| run.reached)),
        };
        Some(Kept { record: Some(record), last: self.update.last.clone() })
    }

    /// The update is not done.
    fn fail_update(&mut self, trouble: &Trouble, now: Now, effects: &mut Vec<Effect>) {
        let Some(run) = self.update.run.take() else { return };
        effects.push(Effect::Update(Act::Discard));
        effects.extend(run.request.map(|request| Effect::Answer { request, answer: trouble.answer() }));
        if let Some(version) = run.to {
            self.keep_last(version, FirmwareResult::Failed, Some(trouble.text()), now, effects);
        }
    }

    fn keep_last(
        &mut self,
        version: String,
        result: FirmwareResult,
        why: Option<String>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.update.last = Some(FirmwareLast { version, result, why, time: now.wall });
        let kept = Kept { record: None, last: self.update.last.clone() };
        effects.push(Effect::Update(Act::Keep(Box::new(kept))));
    }

    fn restart_box(&mut self, now: Time, effects: &mut Vec<Effect>) {
        effects.push(Effect::Update(Act::Restart));
        self.shutdown.get_or_insert(now);
        self.restart.get_or_insert(Restart::Plain);
    }

    /// Whether the panel can offer a bundle on a USB stick.
    pub(super) fn offers_update(&self) -> bool {
        let update = &self.update;
        update.stick && update.own.is_some() && update.run.is_none() && update.trial.is_none() && !self.pushing()
    }

    /// What the status says.
    pub(super) fn firmware(&self) -> Option<FirmwareStatus> {
        let Update { own, last, run, trial, .. } = &self.update;
        let own = own.as_ref()?;
        let state = match (run.as_ref().map(|run| run.stage), trial) {
            (Some(Stage::Downloading), _) => FirmwareState::Downloading,
            (Some(Stage::Checking), _) => FirmwareState::Checking,
            (Some(Stage::Installing | Stage::Recording | Stage::Undoing), _) => FirmwareState::Installing,
            (Some(Stage::Installed | Stage::Restarting), _) => FirmwareState::Restarting,
            (None, Some(_)) => FirmwareState::OnTrial,
            (None, None) => FirmwareState::Idle,
        };
        Some(FirmwareStatus {
            version: own.version.clone(),
            slot: own.slot.clone(),
            state,
            progress: run.as_ref().and_then(|run| run.percent),
            to: run.as_ref().and_then(|run| run.to.clone()),
            last: last.clone(),
        })
    }

    pub(super) fn update_notices(&self) -> Vec<fault::Notice> {
        let mut notices = Vec::new();
        let Update { last, run, .. } = &self.update;
        if let Some(FirmwareLast { version, result: FirmwareResult::RolledBack, why, .. }) =
            last.as_ref().filter(|_| run.is_none())
        {
            let why = why.as_deref().unwrap_or_default();
            let advice = "The box runs what it had before. Tell the maker, and try a later version";
            notices.push(fault::Notice::new(
                "update-rolled-back",
                Severity::Notice,
                format!("The update to {version} was given up: {why}"),
                advice,
            ));
        }
        if let Some(Run { stage: Stage::Installed, to, .. }) = run {
            let to = to.as_deref().unwrap_or_default();
            notices.push(fault::Notice::new(
                "update-waits",
                Severity::Notice,
                format!("The update to {to} is installed"),
                "The box restarts for it when the push has ended",
            ));
        }
        notices
    }
}
