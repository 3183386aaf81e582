//! What can be asked of the box: the same names and arguments on every surface. Each command gets exactly one answer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `POST /api/v1/commands/<name>`.
    Http,
    /// Buttons: holding one is the confirmation.
    Panel,
}

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Go on air.
    Start {
        /// Sources to push to; none: those of the settings.
        sources: Option<Vec<String>>,
    },
    /// End the push.
    Stop {
        /// Needed while pushing.
        confirm: bool,
    },
    /// Change settings, all or nothing: `{"output.bitrate-max": "3 Mbit/s"}`; null takes an override back.
    Set(Map<String, Value>),
    /// The settings with each value's origin, secrets masked.
    Settings,
    /// Choose the input.
    Input {
        /// `"auto"` or an input of the board.
        device: String,
    },
    /// Choose the primary Source.
    Source {
        /// The Source's name.
        name: String,
        /// A region of its service.
        region: Option<String>,
    },
    /// Choose what viewers see; slate and test come with the slate.
    Show {
        /// Only `live` in this version.
        what: String,
        /// Silence instead of the input's sound.
        mute: Option<bool>,
    },
    /// Can this box go on air to this Source now?
    Preflight {
        /// The Source's name; none: the primary.
        source: Option<String>,
    },
    /// Measured table of a Source's regional ingests.
    Regions {
        /// The Source's name.
        source: String,
    },
    /// One JPEG of the input.
    Preview,
}

/// The one answer to a command.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Answer {
    /// It was done.
    Successful {
        /// What came of it.
        #[serde(skip_serializing_if = "Value::is_null")]
        result: Value,
    },
    /// It was not done.
    Failed {
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        text: String,
        /// The argument that is wrong, if one is.
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
}

/// Why a command was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No command has this name.
    UnknownCommand,
    /// An argument is missing, unknown or wrong.
    WrongArguments,
    /// It would end a push and was not confirmed.
    ConfirmationNeeded,
    /// Not possible in the present state.
    WrongState,
    /// No media was acknowledged in time.
    NotAcknowledged,
    /// It took too long.
    TimedOut,
    /// This version cannot do it yet.
    NotSupported,
    /// The disk or another part of the box failed.
    Internal,
}

impl Answer {
    /// Done, nothing to tell.
    pub fn done() -> Self {
        Self::Successful { result: Value::Null }
    }

    /// Not done because of `reason`.
    pub fn failed(reason: Reason, text: impl Into<String>) -> Self {
        Self::Failed { reason, text: text.into(), field: None }
    }

    /// Not done because argument `field` is wrong.
    pub fn wrong(field: &str, text: impl Into<String>) -> Self {
        Self::Failed { reason: Reason::WrongArguments, text: text.into(), field: Some(field.into()) }
    }
}
