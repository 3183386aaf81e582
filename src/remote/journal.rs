//! Which requests there were, so that each is carried out once: over reconnects, restarts and power cuts.
//!
//! A request is written down before it is carried out. What was being done when the power went is answered after it is back:
//! that a restart is over, or else that nobody knows whether it was done. Arguments are not written down: they may be secrets.

use super::{message::Reply, topic::RequestName};
use crate::command::{Answer, Reason};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::VecDeque;

/// The command that is over only when the system that it installed is found to be good, or was given up.
pub const UPDATE: &str = "update";
/// The journal's file in the state folder.
pub const FILE: &str = "requests.journal";
/// Requests that are remembered; those that are forgotten have expired long ago.
const LONGEST: usize = 128;
/// Requests that are carried out at a time.
const AT_A_TIME: usize = 16;
/// The same of uploads and downloads, beside the others.
const FILES_AT_A_TIME: usize = 4;
/// Bytes of an answer up to which its result is written down as well.
const RESULT_LIMIT: usize = 2048;

/// A request by what stands in its topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The command.
    pub command: String,
    /// The request's id.
    pub id: RequestName,
}

/// Where else the answers go (MQTT 5.0, 4.10).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    /// The topic.
    pub topic: String,
    /// What belongs to it, given back as it came.
    pub correlation: Option<Vec<u8>>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    command: String,
    id: String,
    /// Where else the answers go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
    /// The kernel's id of the run in which it came (/proc/sys/kernel/random/boot_id).
    boot: String,
    /// The last answer; none while it is carried out.
    #[serde(default)]
    pub reply: Option<Reply>,
    /// Whether the broker has that.
    #[serde(default)]
    pub delivered: bool,
}

impl Entry {
    /// Its name, if the file was not made by another.
    pub fn key(&self) -> Option<Key> {
        Some(Key { command: self.command.clone(), id: self.id.parse().ok()? })
    }
}

/// What the journal says of a request that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is new, and noted now.
    New,
    /// It has come before.
    Before,
    /// There are too many at a time.
    Full,
}

/// The requests, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Journal {
    requests: VecDeque<Entry>,
}

impl Journal {
    /// Goes on where the last run of the daemon ended, in the run `boot` of the kernel: what was being done then is
    /// answered, but for an update, of which others know what came of it.
    pub fn resume(&mut self, boot: &str) {
        let open = |entry: &&mut Entry| entry.reply.is_none() && entry.command != UPDATE;
        for entry in self.requests.iter_mut().filter(open) {
            let answer = match entry.command.as_str() {
                "restart" => Answer::Successful { result: json!({ "version": env!("CARGO_PKG_VERSION") }) },
                "reboot" if entry.boot != boot => {
                    Answer::Successful { result: json!({ "version": env!("CARGO_PKG_VERSION") }) }
                }
                "reboot" => Answer::failed(Reason::Internal, "The daemon was restarted, the box was not"),
                _ => Answer::failed(
                    Reason::Interrupted,
                    "The box was restarted meanwhile: look at its status before asking again",
                ),
            };
            entry.reply = Some(Reply::last(answer, None));
        }
    }

    /// Requests of `command` that are carried out.
    pub fn carried_out(&self, command: &str) -> Vec<Key> {
        let open = self.requests.iter().filter(|entry| entry.command == command && entry.reply.is_none());
        open.filter_map(Entry::key).collect()
    }

    /// What is known of `key`: its last answer, which it may not have yet. None: it is new.
    pub fn reply(&self, key: &Key) -> Option<Option<&Reply>> {
        self.requests.iter().find(|entry| entry.is(key)).map(|entry| entry.reply.as_ref())
    }

    /// Notes `key` if it is new.
    pub fn admit(&mut self, key: &Key, reply_to: Option<ReplyTo>, boot: &str) -> Known {
        if self.requests.iter().any(|entry| entry.is(key)) {
            return Known::Before;
        }
        // Files go over a field's network for hours: they must not be in the way of a stop.
        let is_file = |name: &str| matches!(name, "studio-upload" | "studio-download");
        let most = if is_file(&key.command) { FILES_AT_A_TIME } else { AT_A_TIME };
        let alike = |entry: &&Entry| entry.reply.is_none() && is_file(&entry.command) == is_file(&key.command);
        if self.requests.iter().filter(alike).count() >= most {
            return Known::Full;
        }
        self.add(key, reply_to, boot);
        Known::New
    }

    /// Notes that the broker has an answer to `key`, which this journal knows nothing of.
    pub fn learn(&mut self, key: &Key, reply: Reply, boot: &str) {
        if !self.requests.iter().any(|entry| entry.is(key)) {
            self.add(key, None, boot);
            self.answer(key, reply);
            self.delivered(key);
        }
    }

    fn add(&mut self, key: &Key, reply_to: Option<ReplyTo>, boot: &str) {
        if self.requests.len() >= LONGEST {
            let oldest = self.requests.iter().position(|entry| entry.delivered);
            let oldest = oldest.or_else(|| self.requests.iter().position(|entry| entry.reply.is_some()));
            self.requests.remove(oldest.unwrap_or(0));
        }
        self.requests.push_back(Entry {
            command: key.command.clone(),
            id: key.id.to_string(),
            reply_to,
            boot: boot.into(),
            reply: None,
            delivered: false,
        });
    }

    /// Notes the one answer to `key`. False: it has one already, or nobody asked.
    pub fn answer(&mut self, key: &Key, reply: Reply) -> bool {
        match self.requests.iter_mut().find(|entry| entry.is(key)) {
            Some(entry) if entry.reply.is_none() => {
                entry.reply = Some(shortened(reply));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Notes that the broker has the answer to `key`. False: that is known.
    pub fn delivered(&mut self, key: &Key) -> bool {
        let entry = self.requests.iter_mut().find(|entry| entry.is(key) && entry.reply.is_some());
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.delivered, true))
    }

    /// Those whose answer the broker does not have, and those that are carried out, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Entry> {
        self.requests.iter().filter(|entry| !entry.delivered)
    }

    /// Where else the answers to `key` go.
    pub fn reply_to(&self, key: &Key) -> Option<&ReplyTo> {
        self.requests.iter().find(|entry| entry.is(key))?.reply_to.as_ref()
    }
}

impl Entry {
    fn is(&self, key: &Key) -> bool {
        self.command == key.command && self.id == key.id.as_str()
    }
}

/// The answer as it is remembered: without a long result.
fn shortened(reply: Reply) -> Reply {
    match reply {
        Reply::Successful { time, result } if result.to_string().len() > RESULT_LIMIT => {
            Reply::Successful { time, result: serde_json::Value::Null }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(command: &str, id: &str) -> Key {
        Key { command: command.into(), id: id.parse().expect("an id") }
    }

    fn done() -> Reply {
        Reply::last(Answer::done(), None)
    }

    /// As after a power cut.
    fn restarted(journal: &Journal, boot: &str) -> Journal {
        let text = serde_json::to_string(journal).expect("json");
        let mut journal: Journal = serde_json::from_str(&text).expect("a journal");
        journal.resume(boot);
        journal
    }

    #[test]
    fn a_request_is_new_once() {
        let mut journal = Journal::default();
        let stop = key("stop", "1");
        assert_eq!(journal.admit(&stop, None, "a"), Known::New);
        assert_eq!((journal.admit(&stop, None, "a"), journal.reply(&stop)), (Known::Before, Some(None)));
        assert_eq!(journal.admit(&key("start", "1"), None, "a"), Known::New, "another command");
        assert!(journal.answer(&stop, done()));
        assert!(!journal.answer(&stop, done()), "one answer");
        assert_eq!((journal.admit(&stop, None, "a"), journal.reply(&stop)), (Known::Before, Some(Some(&done()))));
        assert_eq!(journal.open().count(), 2);
        assert!(journal.delivered(&stop) && !journal.delivered(&stop));
        assert_eq!(journal.open().count(), 1);
        assert_eq!(restarted(&journal, "a").reply(&stop), Some(Some(&done())));
    }

    #[test]
    fn what_was_being_done_is_answered_after_the_restart() {
        let mut journal = Journal::default();
        for name in ["restart", "reboot", "stop"] {
            journal.admit(&key(name, "1"), None, "a");
        }
        let status = |boot| -> Vec<String> {
            let journal = restarted(&journal, boot);
            let word = |entry: &Entry| match entry.reply.as_ref().expect("an answer") {
                Reply::Failed { reason, .. } => reason.clone(),
                reply => if reply.is_last() { "successful" } else { "executing" }.into(),
            };
            journal.open().map(word).collect()
        };
        assert_eq!(status("b"), ["successful", "successful", "interrupted"]);
        assert_eq!(status("a"), ["successful", "internal", "interrupted"]);
    }

    #[test]
    fn the_file_is_bounded_and_holds_no_long_results() {
        let mut journal = Journal::default();
        let long = Reply::last(Answer::Successful { result: json!("x".repeat(9000)) }, None);
        for number in 0..300 {
            let key = key("logs", &number.to_string());
            assert_eq!(journal.admit(&key, None, "a"), Known::New);
            assert!(journal.answer(&key, long.clone()));
        }
        assert_eq!(journal.requests.len(), LONGEST);
        assert!(serde_json::to_string(&journal).expect("json").len() < 40_000);
        for number in 0..AT_A_TIME {
            assert_eq!(journal.admit(&key("stop", &number.to_string()), None, "a"), Known::New);
        }
        assert_eq!(journal.admit(&key("stop", "more"), None, "a"), Known::Full);
        let upload = |number: usize| key("studio-upload", &number.to_string());
        let files: Vec<_> = (0..5).map(|number| journal.admit(&upload(number), None, "a")).collect();
        assert_eq!(files, [Known::New, Known::New, Known::New, Known::New, Known::Full]);
    }

    #[test]
    fn an_answer_that_the_broker_has_counts() {
        let mut journal = Journal::default();
        journal.learn(&key("stop", "1"), done(), "a");
        assert_eq!(journal.admit(&key("stop", "1"), None, "a"), Known::Before);
        assert_eq!(journal.open().count(), 0);
    }

    proptest! {
        /// Against what it is for: a set of the ids that were carried out.
        #[test]
        fn no_request_is_carried_out_twice(steps in prop::collection::vec((0_u8..12, 0_u8..5), 0..200)) {
            let (mut journal, mut begun) = (Journal::default(), std::collections::BTreeSet::new());
            for (id, step) in steps {
                let key = key("stop", &id.to_string());
                match step {
                    0 | 1 => {
                        let new = journal.admit(&key, None, "a") == Known::New;
                        prop_assert_eq!(new, begun.insert(id));
                    }
                    2 => drop(journal.answer(&key, done())),
                    3 => drop(journal.delivered(&key)),
                    _ => journal = restarted(&journal, "b"),
                }
            }
        }
    }
}
