//! What the box says and does on MQTT: pure. Messages, answers and the time go in; what is to be done comes out.
//!
//! A request is looked up in the journal, judged by its age, written down, carried out and answered. Answers, events and the
//! status wait until the broker takes them: few messages are on their way at a time, and what is replaced by something newer
//! is not sent.

mod requests;
mod traffic;

pub use traffic::{Asked, Do, Message, Outgoing, Place, Receipt};

use super::{
    document::{Info, What},
    home,
    journal::{self, Journal, Key, ReplyTo, UPDATE},
    message::{Progress, Reply},
    spool::{self, Spool},
    topic::Leaf,
};
use crate::{
    command::{Answer, Command},
    control::Now,
    status::Status,
    units::Time,
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Messages that are on their way to the broker at a time.
const WINDOW: usize = 16;
/// Answers that wait for their way.
const ANSWERS: usize = 64;
/// Time between two messages of the status.
const STATUS_PAUSE: Duration = Duration::from_millis(500);
/// The status is told so often although nothing has changed: some brokers keep nothing for those who come later.
const STATUS_REPEAT: Duration = Duration::from_secs(30);
/// Time between two messages of the figures; a bit less than a second, in which they come.
const STATS_PAUSE: Duration = Duration::from_millis(900);
/// The broker keeps an answer so long for who asked; no request is good for longer.
const ANSWER_KEPT: Duration = Duration::from_secs(24 * 3600);
/// A broker that has taken no message for so long is as good as none.
const STUCK: Duration = Duration::from_secs(30);
/// The spool's file is written no more often.
const SPOOL_PAUSE: Duration = Duration::from_secs(5);

/// A request that waits for its place in the journal.
#[derive(Debug)]
struct Admitted {
    mark: u64,
    key: Key,
    command: Command,
    ticket: Option<u64>,
}

/// Everything that is remembered.
#[derive(Debug)]
pub struct Session {
    place: Place,
    journal: Journal,
    spool: Spool,
    /// Whether the broker takes messages.
    connected: bool,
    /// Since when the box hears what is asked of it.
    subscribed: Option<Time>,
    /// Messages on their way, and since when none of them has arrived.
    flying: usize,
    moved: Time,
    answers: VecDeque<Outgoing>,
    admitted: VecDeque<Admitted>,
    mark: u64,
    simple: BTreeMap<u64, (String, Option<ReplyTo>)>,
    refused: u64,
    online_due: bool,
    info: Option<String>,
    info_due: bool,
    /// The device as Home Assistant is told of it.
    home: Option<String>,
    home_due: bool,
    status: Option<String>,
    status_told: Option<(String, Time)>,
    stats_told: Option<Time>,
    spool_kept: Option<Time>,
    /// Updates whose outcome is not known yet after a restart.
    updates: Vec<Key>,
    todo: Vec<Do>,
}

impl Session {
    /// Goes on with what the state folder had.
    pub fn new(place: Place, mut journal: Journal, mut spool: Spool) -> Self {
        journal.resume(&place.boot);
        let updates = journal.carried_out(UPDATE);
        spool.resume();
        Self {
            place,
            journal,
            spool,
            connected: false,
            subscribed: None,
            flying: 0,
            moved: Time::default(),
            answers: VecDeque::new(),
            admitted: VecDeque::new(),
            mark: 0,
            simple: BTreeMap::new(),
            refused: 0,
            online_due: false,
            info: None,
            info_due: false,
            home: None,
            home_due: false,
            status: None,
            status_told: None,
            stats_told: None,
            spool_kept: None,
            updates,
            todo: Vec::new(),
        }
    }

    /// What is to be done now, in this order.
    pub fn take(&mut self, now: Now) -> Vec<Do> {
        self.pump(now);
        if self.spool_kept.is_none_or(|kept| now.time.since(kept) >= SPOOL_PAUSE) && self.spool.take_changed() {
            self.spool_kept = Some(now.time);
            self.keep(spool::FILE, serde_json::to_value(&self.spool).ok(), None);
        }
        std::mem::take(&mut self.todo)
    }

    /// When something has to be done although nothing happens; none: never.
    pub fn next_wake(&self, now: Time) -> Option<Time> {
        let (told, at) = self.status_told.as_ref()?;
        let changed = self.status.as_ref().is_some_and(|status| status != told);
        let due = *at + if changed { STATUS_PAUSE } else { STATUS_REPEAT };
        (self.connected && self.flying < WINDOW).then_some(due.max(now))
    }

    /// The broker takes messages, and sends what it has kept for this box.
    pub fn connected(&mut self, now: Now) {
        self.lost();
        (self.connected, self.moved) = (true, now.time);
        self.home_due = true;
        (self.online_due, self.info_due, self.status_told, self.stats_told) = (true, true, None, None);
        let open: Vec<(Key, Option<Reply>)> =
            self.journal.open().filter_map(|entry| Some((entry.key()?, entry.reply.clone()))).collect();
        for (key, reply) in open {
            let reply = reply.unwrap_or(Reply::Executing { time: now.wall, progress: None });
            self.reply(&key, &reply);
        }
    }

    /// What the box subscribed to comes from `now` on.
    pub fn subscribed(&mut self, now: Time) {
        self.subscribed = Some(now);
    }

    /// The connection is gone.
    pub fn lost(&mut self) {
        (self.connected, self.subscribed) = (false, None);
        self.flying = 0;
        self.answers.clear();
        self.spool.recall();
        // They come again if the broker waited for us.
        self.admitted.iter_mut().for_each(|admitted| admitted.ticket = None);
    }

    /// The last messages: what those see who come when the box is gone.
    pub fn ended(&mut self) -> Vec<Do> {
        if self.spool.take_changed() {
            self.keep(spool::FILE, serde_json::to_value(&self.spool).ok(), None);
        }
        if self.connected {
            self.publish(&Leaf::Availability, "offline", true, Some(Receipt::Other));
        }
        std::mem::take(&mut self.todo)
    }

    /// What the box will say with its connection broken.
    pub fn last_will(&self) -> Outgoing {
        Outgoing {
            topic: self.place.prefix.topic(&self.place.id, &Leaf::Availability),
            payload: Bytes::from_static(b"offline"),
            retain: true,
            expires: None,
            receipt: Some(Receipt::Other),
            correlation: None,
        }
    }

    /// What the box is and can do.
    pub fn info(&mut self, info: &Info) {
        let text = info.payload();
        if self.info.as_ref() != Some(&text) {
            (self.info, self.info_due) = (Some(text), true);
            let device = self.place.home.then(|| home::device(&self.place.prefix, info).to_string());
            (self.home, self.home_due) = (device, true);
        }
    }

    /// The newest status.
    pub fn status(&mut self, status: &Status, now: Now) {
        self.status = Some(state(status));
        let due = self.connected && self.stats_told.is_none_or(|told| now.time.since(told) >= STATS_PAUSE);
        if due && self.flying < WINDOW {
            self.stats_told = Some(now.time);
            self.publish(&Leaf::Stats, json(&status.stats), false, None);
        }
    }

    /// Something happened.
    pub fn happened(&mut self, what: What, text: String, now: Now) {
        self.spool.add(what, text, now.wall);
    }

    /// Something for those who listen now.
    pub fn tell(&mut self, leaf: &Leaf, payload: impl Into<Bytes>) {
        if self.connected {
            self.publish(leaf, payload, false, None);
        }
    }

    /// The broker has a message.
    pub fn delivered(&mut self, receipt: &Receipt, now: Time) {
        (self.flying, self.moved) = (self.flying.saturating_sub(1), now);
        match receipt {
            Receipt::Event(sequence) => self.spool.delivered(*sequence),
            Receipt::Reply(key) if self.journal.delivered(key) => self.keep_journal(None),
            Receipt::Reply(_) | Receipt::Elsewhere | Receipt::Other => {}
        }
    }

    /// The broker does not take a message, nor would it take it anew. True: somebody has to do something about that.
    pub fn refused(&mut self, receipt: &Receipt, now: Time) -> bool {
        (self.flying, self.moved) = (self.flying.saturating_sub(1), now);
        if let Receipt::Event(sequence) = receipt {
            self.spool.refused(*sequence);
        }
        *receipt != Receipt::Elsewhere
    }

    /// Whether the broker takes none of the messages that are on their way.
    pub fn is_stuck(&self, now: Time) -> bool {
        self.connected && self.flying > 0 && now.since(self.moved) >= STUCK
    }

    /// The journal is written up to `mark`, or could not be: then a stop is still a stop, and what the memory and the
    /// broker know has to do.
    pub fn kept(&mut self, mark: u64, now: Now) {
        while self.admitted.front().is_some_and(|admitted| admitted.mark <= mark) {
            let Some(Admitted { key, command, ticket, .. }) = self.admitted.pop_front() else { return };
            self.todo.extend(ticket.map(Do::Acknowledge));
            self.reply(&key, &Reply::Executing { time: now.wall, progress: None });
            self.todo.push(Do::Execute { asked: Asked::Request(key), command });
        }
    }

    /// A command goes on.
    pub fn progress(&mut self, asked: &Asked, progress: Progress, now: Now) {
        if let Asked::Request(key) = asked {
            self.reply(key, &Reply::Executing { time: now.wall, progress: Some(progress) });
        }
    }

    /// A command has its answer.
    pub fn answered(&mut self, asked: Asked, answer: Answer, now: Now) {
        match asked {
            // It is over when the box is back.
            Asked::Request(key)
                if matches!(answer, Answer::Successful { .. })
                    && matches!(key.command.as_str(), "restart" | "reboot" | UPDATE) => {}
            Asked::Request(key) => self.end(&key, answer, now),
            Asked::Simple(number) => {
                if let Some((name, reply_to)) = self.simple.remove(&number) {
                    let reply = Reply::last(answer, now.wall);
                    self.note(&name, None, &reply, now);
                    self.reply_too(reply_to, &reply);
                }
            }
        }
    }

    fn end(&mut self, key: &Key, answer: Answer, now: Now) {
        let reply = Reply::last(answer, now.wall);
        if self.journal.answer(key, reply.clone()) {
            self.keep_journal(None);
            self.note(&key.command, Some(key.id.to_string()), &reply, now);
            self.reply(key, &reply);
        }
    }

    /// What came of the update that was asked for before the daemon started.
    pub fn updated(&mut self, answer: &Answer, now: Now) {
        for key in std::mem::take(&mut self.updates) {
            self.end(&key, answer.clone(), now);
        }
    }

    fn reply(&mut self, key: &Key, reply: &Reply) {
        let receipt = if reply.is_last() { Receipt::Reply(key.clone()) } else { Receipt::Other };
        self.answer_on(key, reply, receipt);
        self.reply_too(self.journal.reply_to(key).cloned(), reply);
    }

    fn answer_on(&mut self, key: &Key, reply: &Reply, receipt: Receipt) {
        let topic = self.place.prefix.topic(&self.place.id, &Leaf::request(&key.command, &key.id));
        self.queue(Outgoing {
            topic,
            payload: reply.payload().into(),
            retain: true,
            expires: Some(ANSWER_KEPT),
            receipt: Some(receipt),
            correlation: None,
        });
    }

    /// Answers as well where the request says.
    fn reply_too(&mut self, reply_to: Option<ReplyTo>, reply: &Reply) {
        if let Some(ReplyTo { topic, correlation }) = reply_to {
            let payload = reply.payload().into();
            let receipt = Some(Receipt::Elsewhere);
            self.queue(Outgoing { topic, payload, retain: false, expires: None, receipt, correlation });
        }
    }

    /// Without a connection nothing waits here: the journal has what matters.
    fn queue(&mut self, outgoing: Outgoing) {
        // The last answer to a request that was carried out, of which there are few at a time, always has its place.
        let last = matches!(outgoing.receipt, Some(Receipt::Reply(_)));
        if self.connected && (last || self.answers.len() < ANSWERS) {
            self.answers.push_back(outgoing);
        }
    }

    /// Tells of a command's outcome.
    fn note(&mut self, name: &str, id: Option<String>, reply: &Reply, now: Now) {
        let (status, reason, text) = match reply {
            Reply::Failed { reason, text, .. } => ("failed", Some(reason.clone()), format!("{name}: {text}")),
            Reply::Executing { .. } | Reply::Successful { .. } => ("successful", None, format!("{name}: done")),
        };
        let what = What::Command { name: name.into(), id, origin: "mqtt".into(), status: status.into(), reason };
        self.spool.add(what, text, now.wall);
    }

    /// Sends what waits while there is room, what is waited for first.
    fn pump(&mut self, now: Now) {
        if self.flying == 0 {
            self.moved = now.time;
        }
        while self.connected && self.flying < WINDOW {
            if std::mem::take(&mut self.online_due) {
                self.publish(&Leaf::Availability, "online", true, Some(Receipt::Other));
            } else if let Some(answer) = self.answers.pop_front() {
                self.send(answer);
            } else if let Some(info) = self.info.clone().filter(|_| self.info_due) {
                self.info_due = false;
                self.publish(&Leaf::Info, info, true, Some(Receipt::Other));
            } else if let Some(device) = self.home.clone().filter(|_| self.home_due) {
                self.home_due = false;
                self.send(Outgoing {
                    topic: home::topic(&self.place.id),
                    payload: device.into(),
                    retain: true,
                    expires: None,
                    receipt: Some(Receipt::Other),
                    correlation: None,
                });
            } else if let Some(status) = self.due_status(now.time) {
                self.status_told = Some((status.clone(), now.time));
                self.publish(&Leaf::Status, status, true, Some(Receipt::Other));
            } else if let Some(event) = self.spool.send(now.wall) {
                self.publish(&Leaf::Event, json(&event), false, Some(Receipt::Event(event.sequence)));
            } else {
                return;
            }
        }
    }

    fn due_status(&self, now: Time) -> Option<String> {
        let status = self.status.as_ref()?;
        let due = match &self.status_told {
            None => true,
            Some((told, at)) => now.since(*at) >= if told == status { STATUS_REPEAT } else { STATUS_PAUSE },
        };
        due.then(|| status.clone())
    }

    fn publish(&mut self, leaf: &Leaf, payload: impl Into<Bytes>, retain: bool, receipt: Option<Receipt>) {
        let topic = self.place.prefix.topic(&self.place.id, leaf);
        self.send(Outgoing { topic, payload: payload.into(), retain, expires: None, receipt, correlation: None });
    }

    fn send(&mut self, outgoing: Outgoing) {
        self.flying += usize::from(outgoing.receipt.is_some());
        self.todo.push(Do::Publish(outgoing));
    }

    fn keep_journal(&mut self, mark: Option<u64>) {
        self.keep(journal::FILE, serde_json::to_value(&self.journal).ok(), mark);
    }

    fn keep(&mut self, file: &'static str, content: Option<Value>, mark: Option<u64>) {
        if let Some(bytes) = content.and_then(|content| crate::state::versioned(&content).ok()) {
            self.todo.push(Do::Keep { file, bytes, mark });
        }
    }
}

fn json<T: Serialize>(document: &T) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

/// The status without its figures, and without the time to the next try, which counts down each second.
fn state(status: &Status) -> String {
    let mut document = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("stats");
    }
    for uplink in document.get_mut("uplinks").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = uplink.as_object_mut() {
            fields.remove("retry-in-ms");
        }
    }
    document.to_string()
}

#[cfg(test)]
mod tests;
