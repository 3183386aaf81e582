//! Requests and answers: what is in the messages of a command. Both ends use these types, and each reads what the other
//! may write in ten years: unknown fields of an answer are nothing to it.

use crate::command::{Answer, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// Most bytes of a request.
pub const PAYLOAD_LIMIT: usize = 64 * 1024;
/// How deep a request may be nested.
const DEEPEST: usize = 16;
/// How long a request is good for if it does not say.
pub const LIFE: Duration = Duration::from_secs(60);
/// The longest that it may say, ms: a day.
const LONGEST_LIFE: u64 = 24 * 3600 * 1000;

/// What an operator asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The command's arguments, an object or null.
    pub args: Value,
    /// When it was asked, by the clock of who asks.
    pub time: Option<Timestamp>,
    /// How long it is good for, ms.
    pub expires: Option<u64>,
}

impl Request {
    /// The payload for `cmd/<name>/<id>`.
    pub fn payload(&self) -> String {
        let mut document = Map::from_iter([("status".into(), "init".into())]);
        if !self.args.is_null() {
            document.insert("args".into(), self.args.clone());
        }
        document.extend(self.time.map(|time| ("time".into(), time.to_string().into())));
        document.extend(self.expires.map(|expires| ("expires".into(), expires.into())));
        Value::Object(document).to_string()
    }

    /// How long it is good for.
    pub fn life(&self) -> Duration {
        self.expires.map_or(LIFE, Duration::from_millis)
    }

    /// Reads the payload of `cmd/<name>/<id>`. None: it is no request, but a cleared topic or an answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>, Refusal> {
        if payload.is_empty() {
            return Ok(None);
        }
        let fields = object(payload)?;
        match fields.get("status").map(Value::as_str) {
            Some(Some("init")) => Self::of(fields).map(Some),
            Some(Some(_)) => Ok(None),
            Some(None) => Err(Refusal::field("status", "expected \"init\"")),
            None => Err(Refusal::field("status", "is missing; expected \"init\"")),
        }
    }

    /// Reads the payload of `cmd/<name>`: a request, or the arguments alone, or nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_simple(payload: &[u8]) -> Result<Self, Refusal> {
        if payload.is_empty() {
            return Ok(Self { args: Value::Null, time: None, expires: None });
        }
        let fields = object(payload)?;
        // No command has an argument of one of these names.
        match fields.contains_key("args") || fields.contains_key("status") {
            true => Self::of(fields),
            false => Ok(Self { args: Value::Object(fields), time: None, expires: None }),
        }
    }

    fn of(mut fields: Map<String, Value>) -> Result<Self, Refusal> {
        let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
        take("status");
        let args = take("args").unwrap_or_default();
        if !args.is_null() && !args.is_object() {
            return Err(Refusal::field("args", "expected the arguments as an object, such as {}"));
        }
        let time = match take("time") {
            None => None,
            Some(time) => {
                let time = time.as_str().and_then(|time| time.parse().ok());
                Some(time.ok_or_else(|| Refusal::field("time", "expected a time such as \"2026-11-23T18:00:00Z\""))?)
            }
        };
        let expires = match take("expires") {
            None => None,
            Some(expires) => {
                let expires = expires.as_u64().filter(|expires| (1..=LONGEST_LIFE).contains(expires));
                Some(expires.ok_or_else(|| Refusal::field("expires", "expected 1 to 86400000 ms"))?)
            }
        };
        match fields.keys().next() {
            Some(unknown) => Err(Refusal::field(unknown, "unknown; there are status, args, time and expires")),
            None => Ok(Self { args, time, expires }),
        }
    }
}

/// Why a payload is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// What is wrong, for people.
    pub text: String,
    /// The field that is wrong, if one is.
    pub field: Option<String>,
}

impl Refusal {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), field: None }
    }

    fn field(field: &str, text: &str) -> Self {
        // Who wrote it chose the name, and it is repeated to others.
        let field: String = field.chars().filter(|c| !c.is_control()).take(64).collect();
        Self { text: text.into(), field: Some(field) }
    }

    /// As the one answer to a command.
    pub fn answer(self) -> Answer {
        Answer::Failed { reason: Reason::Payload, text: self.text, field: self.field }
    }
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if payload.len() > PAYLOAD_LIMIT {
        return Err(Refusal::new("the message has more than 64 KiB"));
    }
    if nesting(payload) > DEEPEST {
        return Err(Refusal::new("the message is nested more than 16 deep"));
    }
    match serde_json::from_slice(payload) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::new("expected a JSON object, such as {\"status\":\"init\",\"args\":{}}")),
        // The parser's own words could repeat a stream key; its place does not.
        Err(error) => {
            Err(Refusal::new(format!("the message is not JSON (line {}, column {})", error.line(), error.column())))
        }
    }
}

/// How deep JSON is nested, without the memory that reading it would take.
fn nesting(payload: &[u8]) -> usize {
    let (mut depth, mut deepest, mut text, mut escaped) = (0_usize, 0, false, false);
    for byte in payload {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'{' | b'[' if !text => depth += 1,
            b'}' | b']' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// What the box answers to a request, on the request's topic: any number of `executing`, then one of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Reply {
    /// It is being done.
    Executing {
        /// When this was said; null while the clock is not set.
        time: Option<Timestamp>,
        /// How far it is, where it takes time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<Progress>,
    },
    /// It was done.
    Successful {
        /// When this was said; null while the clock is not set.
        time: Option<Timestamp>,
        /// What came of it.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        result: Value,
    },
    /// It was not done.
    Failed {
        /// When this was said; null while the clock is not set.
        time: Option<Timestamp>,
        /// A word of [`Reason`], or of a later version's.
        reason: String,
        /// Why, for people.
        text: String,
        /// The argument that is wrong, if one is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// What is being done, for people.
    pub step: String,
    /// How much of it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// Of how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

impl Reply {
    /// The last message of a command.
    pub fn last(answer: Answer, time: Option<Timestamp>) -> Self {
        match answer {
            Answer::Successful { result } => Self::Successful { time, result },
            Answer::Failed { reason, text, field } => Self::Failed { time, reason: reason.code().into(), text, field },
        }
    }

    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Executing { .. })
    }

    /// The payload.
    pub fn payload(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the payload of `cmd/<name>/<id>`. None: it is no answer, but a cleared topic or a request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>, Refusal> {
        if payload.is_empty() {
            return Ok(None);
        }
        let reply: Value = serde_json::from_slice(payload).map_err(|error| Refusal::new(error.to_string()))?;
        if reply.get("status").is_some_and(|status| status == "init") {
            return Ok(None);
        }
        serde_json::from_value(reply).map(Some).map_err(|error| Refusal::new(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
