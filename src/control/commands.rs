//! What each command does, and what is refused.

use super::{Control, Effect, Job, RequestId, Restart, START_DEADLINE};
use crate::{
    command::{Answer, Command, Origin, Reason},
    settings::{Changes, PowerOn, Source},
    status::{Intent, SignalState},
    units::Time,
};
use serde_json::{Map, Value, json};

/// A stop has to say what becomes of the Broadcast.
const WHICH_STOP: &str = "A Broadcast is published: send it again with confirm = true, and with end = true, which ends the Broadcast \
    too, or end = false, which only stops pushing: X ends it after 5 minutes without video";

impl Control {
    pub(super) fn take_command(
        &mut self,
        request: RequestId,
        origin: Origin,
        command: Command,
        now: Time,
    ) -> Vec<Effect> {
        match self.decide(request, origin, command, now) {
            Ok(effects) => effects,
            Err(answer) => vec![Effect::Answer { request, answer }],
        }
    }

    fn decide(
        &mut self,
        request: RequestId,
        origin: Origin,
        command: Command,
        now: Time,
    ) -> Result<Vec<Effect>, Answer> {
        let perform = |job| Ok(vec![Effect::Perform { request, job }]);
        if self.shutdown.is_some() {
            return Err(Answer::failed(Reason::WrongState, "The box is shutting down"));
        }
        if let Some(refusal) = self.refuse_in_rescue(&command) {
            return Err(refusal);
        }
        match command {
            Command::Start { sources } => self.start(request, sources, now),
            Command::Stop { confirm, end } => {
                if self.pushing() && end.is_none() && self.broadcast.published() {
                    return Err(Answer::failed(Reason::ConfirmationNeeded, WHICH_STOP));
                }
                if self.pushing() && !confirm && origin != Origin::Panel {
                    return Err(Answer::not_confirmed("This ends the push"));
                }
                Ok(self.stop(request, end == Some(true), now))
            }
            Command::Set(changes) => perform(Job::Set(changes)),
            Command::Settings => perform(Job::Settings),
            Command::Input { device } => {
                if device != "auto" && !self.board.inputs.iter().any(|input| input.name == device) {
                    let known: Vec<_> = self.board.inputs.iter().map(|input| input.name.as_str()).collect();
                    return Err(Answer::wrong("device", format!("This board has auto, {}", known.join(", "))));
                }
                perform(Job::Set(one("input.device", json!(device))))
            }
            Command::Source { name, region } => {
                self.known_source("name", Some(&name))?;
                let mut names = vec![name.clone()];
                names.extend(self.settings.push.sources.iter().skip(1).filter(|other| **other != name).cloned());
                let mut changes = one("push.sources", json!(names));
                if self.settings.push.backup.as_ref() == Some(&name) {
                    // The two change places.
                    let primary = self.known_source("name", None)?.name;
                    changes.0.insert("push.backup".into(), json!(primary));
                }
                if let Some(region) = region {
                    changes.0.insert(format!("source.{name}.region"), json!(region));
                }
                perform(Job::Set(changes))
            }
            Command::Show { what, mute } => {
                if self.pushing() && !self.stills.ready(what) {
                    let text = "The card is not made yet, or could not be: the faults say why";
                    return Err(Answer::failed(Reason::WrongState, text));
                }
                let mut effects = self.show(what, mute.unwrap_or(false), now);
                effects.push(Effect::Answer { request, answer: Answer::done() });
                Ok(effects)
            }
            Command::Preflight { source } => {
                let source = self.known_source("source", source.as_deref())?;
                if self.uplinks.iter().any(|uplink| uplink.source.name == source.name) {
                    return Err(Answer::failed(Reason::WrongState, "This Source is in use: stop the push first"));
                }
                if self.menu.tries(&source.name) {
                    return Err(Answer::failed(Reason::WrongState, "This Source is being tried already"));
                }
                self.begin_preflight(request, &source.name, now);
                perform(Job::Preflight(Box::new(source)))
            }
            Command::Regions { source } => {
                let source = self.known_source("source", Some(&source))?;
                if source.service.is_none() {
                    let text = "This Source has a URL of its own, its region is fixed";
                    return Err(Answer::failed(Reason::WrongState, text));
                }
                perform(Job::Regions(Box::new(source)))
            }
            Command::Preview => match self.camera() {
                Some(worker) => perform(Job::Preview(worker)),
                None => Err(Answer::failed(Reason::WrongState, "There is no picture")),
            },
            Command::Identify => {
                self.menu.identify(now);
                Ok(vec![Effect::Answer { request, answer: Answer::done() }])
            }
            Command::LockPanel { locked } => {
                self.menu.lock(locked);
                Ok(vec![Effect::Answer { request, answer: Answer::done() }])
            }
            Command::Restart { confirm } => {
                self.may_restart(confirm, origin, "This interrupts the push for some seconds")?;
                (self.shutdown, self.restart) = (Some(now), Some(Restart::Plain));
                Ok(vec![Effect::Answer { request, answer: Answer::done() }])
            }
            Command::Reboot { confirm } => {
                self.may_restart(confirm, origin, "This interrupts the push for a minute")?;
                perform(Job::Reboot)
            }
            Command::Update { from, confirm, downgrade } => self.update(request, from, (confirm, downgrade)),
            Command::Logs { lines, since, .. } => perform(Job::Logs { lines, since }),
            Command::Diagnostics { usb } => perform(Job::Diagnostics { usb }),
            Command::FactoryReset { confirm } => {
                if self.pushing() {
                    return Err(Answer::failed(Reason::WrongState, "Stop the push first"));
                }
                if !confirm && origin != Origin::Panel {
                    return Err(Answer::not_confirmed(
                        "This deletes what was changed on this box, and on an appliance all that was brought to it",
                    ));
                }
                // Answered when it is done, which is last: nothing is written after it.
                (self.shutdown, self.restart) = (Some(now), Some(Restart::Reset(request)));
                Ok(Vec::new())
            }
            Command::Pair => perform(Job::Pair),
            Command::Tokens => perform(Job::Tokens),
            Command::Revoke { id } => perform(Job::Revoke(id)),
            Command::Publish(publish) => self.publish(request, *publish, now),
            Command::End { confirm } => {
                if !confirm && origin != Origin::Panel && self.broadcast.exists() {
                    return Err(Answer::not_confirmed("This ends the Broadcast for its viewers"));
                }
                self.end(request, now)
            }
            Command::Studio(request) => perform(Job::Studio(request)),
        }
    }

    fn may_restart(&self, confirm: bool, origin: Origin, interrupts: &str) -> Result<(), Answer> {
        if !self.pushing() || confirm || origin == Origin::Panel {
            return Ok(());
        }
        Err(Answer::not_confirmed(match self.settings.push.at_power_on {
            PowerOn::Never => "This ends the push",
            PowerOn::Resume | PowerOn::Always => interrupts,
        }))
    }

    fn start(&mut self, request: RequestId, sources: Option<Vec<String>>, now: Time) -> Result<Vec<Effect>, Answer> {
        for name in sources.iter().flatten() {
            self.known_source("sources", Some(name))?;
        }
        if sources.is_none() {
            self.known_source("sources", None)?;
        }
        let mut effects = Vec::new();
        if self.stop_at.take().is_some() || self.intent != Intent::OnAir || sources.is_some() {
            self.set_intent(Intent::OnAir, sources, &mut effects);
        }
        self.starts.push((request, now + START_DEADLINE));
        Ok(effects)
    }

    /// The Source called `name`, or the primary.
    pub(super) fn known_source(&self, field: &str, name: Option<&str>) -> Result<Source, Answer> {
        let sources = &self.settings.sources;
        match name.or(self.settings.push.sources.first().map(String::as_str)) {
            Some(name) => sources.iter().find(|source| source.name == name).cloned().ok_or_else(|| {
                let known: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
                Answer::wrong(field, format!("No Source is called {name:?}; there are: {}", known.join(", ")))
            }),
            None => sources.first().cloned().ok_or_else(|| {
                Answer::failed(Reason::WrongState, "No Source is set up: add a [[source]] to settings.toml")
            }),
        }
    }

    /// Whether the box could go on air now.
    pub fn ready(&self) -> bool {
        !self.settings.sources.is_empty()
            && self.signals.get(&self.input).is_some_and(|signal| signal.state == SignalState::Locked)
    }
}

fn one(key: &str, value: Value) -> Changes {
    Changes(Map::from_iter([(key.to_owned(), value)]))
}
