//! What comes to the session, and what it wants done.

use crate::{
    command::Command,
    remote::{
        journal::{Key, ReplyTo},
        topic::Prefix,
    },
};
use bytes::Bytes;
use std::time::Duration;

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Place {
    /// What all topics begin with.
    pub prefix: Prefix,
    /// The box's id.
    pub id: String,
    /// Whether no command is taken.
    pub observe: bool,
    /// Whether nobody on the way to the broker can read.
    pub private: bool,
    /// Whether Home Assistant is told of the box.
    pub home: bool,
    /// The id of the kernel's run.
    pub boot: String,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// What is in it.
    pub payload: Bytes,
    /// The broker had kept it.
    pub retained: bool,
    /// It may have come before.
    pub again: bool,
    /// What is left of its time.
    pub left: Option<Duration>,
    /// Where else to answer.
    pub reply_to: Option<ReplyTo>,
    /// To be given back when it is safe; none: the broker does not wait for that.
    pub ticket: Option<u64>,
}

/// Who waits for the answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A request with an id.
    Request(Key),
    /// One without, by a number of our own.
    Simple(u64),
}

/// What a message was about, to know what the broker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// The event with this number.
    Event(u64),
    /// The answer to this request.
    Reply(Key),
    /// An answer to where the request says: whether the box may write there is up to who asked.
    Elsewhere,
    /// Nothing that has to be known.
    Other,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its topic.
    pub topic: String,
    /// What is in it.
    pub payload: Bytes,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// For how long at most (MQTT 5); none: until it is replaced.
    pub expires: Option<Duration>,
    /// What is told when the broker has it (QoS 1); none: it may be lost (QoS 0).
    pub receipt: Option<Receipt>,
    /// What belongs to the request (MQTT 5).
    pub correlation: Option<Vec<u8>>,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// Send a message.
    Publish(Outgoing),
    /// Tell the broker that the message with this ticket is safe.
    Acknowledge(u64),
    /// Write a state file; with a mark, tell when it is written or cannot be.
    Keep {
        /// Its name.
        file: &'static str,
        /// What is in it.
        bytes: Vec<u8>,
        /// What to tell.
        mark: Option<u64>,
    },
    /// Carry out a command.
    Execute {
        /// Who waits for its answer.
        asked: Asked,
        /// What.
        command: Command,
    },
}
