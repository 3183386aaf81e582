//! Requests as they come: whether they are carried out, and what those are answered that are not.

use super::{ANSWERS, Admitted, Asked, Do, Message, Receipt, Session};
use crate::{
    command::{Answer, Command, Reason},
    control::Now,
    remote::{
        age::{self, Arrival},
        document::What,
        home,
        journal::{Key, Known, ReplyTo},
        message::{Refusal, Reply, Request},
        topic::Leaf,
    },
    settings::is_secret,
};

/// The command that brings an account's tokens.
const LINK: &str = "studio-link";

impl Session {
    /// A message came.
    pub fn message(&mut self, message: Message, now: Now) {
        let ticket = message.ticket;
        let waits = match self.place.prefix.parse(&message.topic) {
            Some((id, Leaf::Command { name, request: Some(request) })) if id == self.place.id => {
                self.request(Key { command: name, id: request }, message, now)
            }
            Some((id, Leaf::Command { name, request: None })) if id == self.place.id => {
                self.simple(name, message, now);
                false
            }
            // Home Assistant has started and knows nothing.
            None if self.place.home && message.topic == home::BIRTH => {
                self.home_due |= message.payload == "online";
                false
            }
            _ => {
                self.refuse(&message.topic, now);
                false
            }
        };
        if !waits {
            self.todo.extend(ticket.map(Do::Acknowledge));
        }
    }

    /// Whether it is acknowledged later.
    fn request(&mut self, key: Key, message: Message, now: Now) -> bool {
        let request = match Request::parse(&message.payload) {
            Ok(Some(request)) => request,
            Ok(None) => {
                self.look_at_answer(&key, &message, now);
                return false;
            }
            Err(refusal) => {
                self.refuse(&message.topic, now);
                self.reply_now(&key, message.reply_to, refusal.answer(), now);
                return false;
            }
        };
        if let Some(known) = self.journal.reply(&key) {
            // The broker has it already, but for who asks anew and so has taken its place.
            if let (Some(reply), false) = (known.cloned(), message.again || self.answers.len() >= ANSWERS) {
                self.reply(&key, &reply);
            }
            return false;
        }
        let judged =
            self.arrival(&message, &request, now).and_then(|()| self.command(&key.command, &request, &message));
        let command = match judged {
            Ok(command) => command,
            Err(answer) => {
                self.reply_now(&key, message.reply_to, answer, now);
                return false;
            }
        };
        match self.journal.admit(&key, message.reply_to.clone(), &self.place.boot) {
            Known::New => {
                self.mark += 1;
                self.admitted.push_back(Admitted { mark: self.mark, key, command, ticket: message.ticket });
                self.keep_journal(Some(self.mark));
                true
            }
            Known::Before => false,
            Known::Full => {
                let answer =
                    Answer::failed(Reason::WrongState, "The box has 16 requests to carry out: ask again later");
                self.reply_now(&key, message.reply_to, answer, now);
                false
            }
        }
    }

    /// A command without an id; who sends it learns of its outcome by the event.
    fn simple(&mut self, name: String, message: Message, now: Now) {
        let parsed = Request::parse_simple(&message.payload).map_err(Refusal::answer);
        if parsed.is_err() {
            self.refuse(&message.topic, now);
        }
        // A kept one would come again with each connection.
        let kept = || Answer::failed(Reason::AgeUnknown, "Not done: a command that the broker keeps needs an id");
        let judged = parsed.and_then(|request| {
            if message.retained {
                return Err(kept());
            }
            self.arrival(&message, &request, now)?;
            self.command(&name, &request, &message)
        });
        self.mark += 1;
        let number = self.mark;
        self.simple.insert(number, (name, message.reply_to));
        match judged {
            Ok(command) => self.todo.push(Do::Execute { asked: Asked::Simple(number), command }),
            Err(answer) => self.answered(Asked::Simple(number), answer, now),
        }
    }

    fn arrival(&self, message: &Message, request: &Request, now: Now) -> Result<(), Answer> {
        let Message { retained, again, left, .. } = *message;
        age::judge(request, Arrival { retained, again, left, subscribed: self.subscribed }, now.time, now.wall)
    }

    fn command(&self, name: &str, request: &Request, message: &Message) -> Result<Command, Answer> {
        if self.place.observe {
            let text = "This box only tells: mqtt.mode is observe in its settings";
            return Err(Answer::failed(Reason::Observe, text));
        }
        // Before its arguments are looked at: who asks without them learns whether they may be sent.
        if name == LINK {
            self.hear_secret(message, None)?;
        }
        let command = match name {
            home::SWITCH if self.place.home => home::switch(&request.args)?,
            name => Command::parse(name, &request.args)?,
        };
        if let Command::Set(changes) = &command
            && let Some(key) = changes.0.keys().find(|key| is_secret(key))
        {
            self.hear_secret(message, Some(key))?;
        }
        Ok(command)
    }

    /// Whether `message` may have a secret in it.
    fn hear_secret(&self, message: &Message, field: Option<&String>) -> Result<(), Answer> {
        let text = match (message.retained, self.place.private) {
            (true, _) => "A secret must not be in a message that the broker keeps: send it not retained",
            (false, false) => "A secret is taken over TLS only: set it on the box, over HTTPS or through mqtts://",
            (false, true) => return Ok(()),
        };
        Err(Answer::Failed { reason: Reason::SecretNeedsTls, text: text.into(), field: field.cloned() })
    }

    /// What the broker keeps for a request is an answer of ours, or nothing any more.
    fn look_at_answer(&mut self, key: &Key, message: &Message, now: Now) {
        match Reply::parse(&message.payload) {
            Ok(Some(reply)) if reply.is_last() => self.journal.learn(key, reply, &self.place.boot),
            Ok(Some(_)) if message.retained && self.journal.reply(key).is_none() => {
                let text = "The box has lost its memory of this request: look at its status before asking again";
                self.reply_now(key, None, Answer::failed(Reason::Interrupted, text), now);
            }
            Ok(None) if self.journal.delivered(key) => self.keep_journal(None),
            Ok(_) | Err(_) => {}
        }
    }

    /// Answers at once what is not carried out, and so is not in the journal.
    fn reply_now(&mut self, key: &Key, reply_to: Option<ReplyTo>, answer: Answer, now: Now) {
        let reply = Reply::last(answer, now.wall);
        self.note(&key.command, Some(key.id.to_string()), &reply, now);
        self.answer_on(key, &reply, Receipt::Other);
        self.reply_too(reply_to, &reply);
    }

    /// Counts what is no request; the first is told.
    fn refuse(&mut self, topic: &str, now: Now) {
        self.refused += 1;
        if self.refused == 1 {
            let topic: String = topic.chars().filter(|c| !c.is_control()).take(128).collect();
            tracing::warn!("a message on {topic} is no request; those that follow are only counted");
            let what = What::RefusedPayload { count: 1 };
            self.spool.add(what, format!("A message on {topic} is no request"), now.wall);
        }
    }
}
