//! Commands and questions of the surfaces, and what takes an edge to answer.

use super::{Daemon, Done, studio};
use crate::{
    command::{Answer, Command, Origin, Reason},
    control::{Event, Job, RequestId},
    http::Ask,
    media::{self, Order},
    remote::message::Progress,
    sys,
    units::Time,
    uplink::{delivery, preflight},
};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A worker that has a picture sends it well within this.
const PICTURE: Duration = Duration::from_secs(3);
/// An answer waits so long for the disk to take what was commanded.
const DISK: Duration = Duration::from_secs(1);

/// Who waits for an answer.
pub(super) struct Waiting {
    /// For the answer.
    pub reply: oneshot::Sender<Answer>,
    /// For how far it is, where that is wanted.
    pub progress: Option<mpsc::UnboundedSender<Progress>>,
}

/// Answers that wait for the intent to be on the disk. Control's effects are done in their order, and a file is written beside
/// the loop: without this, a power cut could undo what was answered.
#[derive(Debug, Default)]
pub(super) struct Held {
    answers: Vec<(RequestId, Answer)>,
    /// Intents that are being written, and when the first of them was given to the disk.
    writing: usize,
    since: Time,
}

impl Held {
    /// An intent is given to the disk.
    pub(super) fn begin(&mut self, now: Time) {
        if self.writing == 0 {
            self.since = now;
        }
        self.writing += 1;
    }

    /// Keeps an answer if it has to wait; else it is given back.
    fn keep(&mut self, request: RequestId, answer: Answer, now: Time) -> Option<Answer> {
        if self.writing == 0 || self.since + DISK <= now {
            return Some(answer);
        }
        self.answers.push((request, answer));
        None
    }

    /// When the answers go out although the disk has not taken the intent.
    pub(super) fn until(&self) -> Option<Time> {
        (!self.answers.is_empty()).then_some(self.since + DISK)
    }

    /// The disk took an intent, or refused it, which is told as a fault; whether that was the last.
    fn end(&mut self) -> bool {
        self.writing -= 1;
        self.writing == 0
    }
}

impl Daemon {
    pub(super) fn note_intent(&mut self) {
        if self.held.end() {
            self.release();
        }
    }

    /// Gives the answers that waited for the disk.
    pub(super) fn release(&mut self) {
        for (request, answer) in std::mem::take(&mut self.held.answers) {
            self.give(request, answer);
        }
    }

    pub(super) fn take_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Command { command, origin, reply, progress } => {
                self.take_command(command, origin, Waiting { reply, progress });
            }
            Ask::Preview { reply } => match self.control.camera() {
                Some(worker) => {
                    self.viewers.retain(|viewer| !viewer.is_closed());
                    self.order(worker, media::Order::Preview);
                    self.viewers.push(reply);
                }
                None => drop(reply.send(None)),
            },
            Ask::Health { reply } => drop(reply.send(())),
            Ask::Pair { pin, name, reply } => drop(reply.send(self.take_pin(&pin, name))),
            Ask::Used { id } => self.note_use(&id),
        }
    }

    pub(super) fn take_command(&mut self, command: Command, origin: Origin, waiting: Waiting) {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.requests.insert(request, waiting);
        self.handle(Event::Command { request, origin, command });
    }

    pub(super) fn answer(&mut self, request: RequestId, answer: Answer) {
        self.picture_requests.retain(|waiting| *waiting != request);
        if let Some(answer) = self.held.keep(request, answer, sys::now()) {
            self.give(request, answer);
        }
    }

    fn give(&mut self, request: RequestId, answer: Answer) {
        if let Some(Waiting { reply, .. }) = self.requests.remove(&request) {
            // Who asked may have hung up; the command was carried out all the same.
            let _ = reply.send(answer);
        } else if request.is_of_panel() {
            let _ = self.events.send(Event::Answered { request, answer });
        }
    }

    /// Lets `work` find the answer to a command, beside the loop.
    pub(super) fn answer_later(&self, request: RequestId, work: impl Future<Output = Answer> + Send + 'static) {
        let done = self.done.clone();
        tokio::spawn(async move { drop(done.send(Done::Answer(request, work.await))) });
    }

    pub(super) fn perform_job(&mut self, request: RequestId, job: Job) {
        match job {
            Job::Set(changes) => self.set(request, changes),
            Job::Settings => self.answer(request, Answer::Successful { result: self.layers.describe() }),
            Job::Preflight(source) => {
                let (media, trust, studio) = (self.control.media_info(), self.trust.clone(), self.studio.clone());
                let events = self.events.clone();
                let told = self.requests.get(&request).and_then(|waiting| waiting.progress.clone());
                self.answer_later(request, async move {
                    let tell = |progress| {
                        if let (Some(told), preflight::Progress::Begun(step)) = (&told, &progress) {
                            let _ = told.send(Progress { step: step.text().into(), done: None, of: None });
                        }
                        let _ = events.send(Event::Preflight { request, progress });
                    };
                    let result = match studio::told(&source, studio.as_ref()).await {
                        Ok(source) => delivery::try_out(&source, &media, &trust, tell).await,
                        Err(cause) => Err(cause),
                    };
                    let shown = result.clone().map(Box::new);
                    let _ = events.send(Event::Preflighted { request, result: shown });
                    match result {
                        Ok(done) => {
                            if let Some(known) = done.fitting(media.audio_bitrate) {
                                let _ = events.send(Event::Measured(known));
                            }
                            Answer::Successful { result: delivery::preflight_document(&done) }
                        }
                        Err(cause) => {
                            Answer::failed(Reason::WrongState, format!("{}. {}", cause.text(), cause.advice()))
                        }
                    }
                });
            }
            Job::Regions(source) => {
                let (trust, events) = (self.trust.clone(), self.events.clone());
                self.answer_later(request, async move {
                    match delivery::table(&source, &trust).await {
                        Ok(table) => {
                            let result = delivery::regions_document(&table);
                            let service = source.service.unwrap_or_default();
                            let _ = events.send(Event::Regions { service, table });
                            Answer::Successful { result }
                        }
                        Err(text) => Answer::failed(Reason::WrongState, text),
                    }
                });
            }
            Job::Logs { lines, since } => self.answer(request, self.logs(lines, since)),
            Job::Diagnostics { usb: false } => {
                let result = self.bundle();
                self.answer(request, Answer::Successful { result });
            }
            Job::Diagnostics { usb: true } => self.diagnostics_to_usb(request),
            Job::Reboot => self.reboot(request),
            Job::Pair => {
                let answer = self.pair();
                self.answer(request, answer);
            }
            Job::Tokens => self.answer(request, self.list_tokens()),
            Job::Revoke(id) => {
                let answer = self.revoke(&id);
                self.answer(request, answer);
            }
            Job::Studio(asked) => self.perform_studio(request, *asked),
            Job::Preview(worker) => {
                self.picture_requests.push(request);
                self.order(worker, Order::Preview);
                self.answer_later(request, async {
                    tokio::time::sleep(PICTURE).await;
                    Answer::failed(Reason::TimedOut, "No picture came from the input")
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_wait_for_the_intent_but_not_for_a_disk_that_hangs() {
        let at = |ms: u64| Time::default() + Duration::from_millis(ms);
        let mut held = Held::default();
        assert_eq!(held.keep(RequestId(1), Answer::done(), at(0)), Some(Answer::done()), "nothing is written");
        held.begin(at(100));
        held.begin(at(300));
        assert_eq!((held.keep(RequestId(2), Answer::done(), at(400)), held.until()), (None, Some(at(1100))));
        assert!(!held.end(), "the second intent is not there yet");
        assert!(held.end());
        assert_eq!(std::mem::take(&mut held.answers), [(RequestId(2), Answer::done())]);
        assert_eq!(held.until(), None);
        held.begin(at(2000));
        assert_eq!(held.keep(RequestId(3), Answer::done(), at(3000)), Some(Answer::done()), "the disk hangs");
    }
}
