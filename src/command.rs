//! What can be asked of the box: the same names and arguments on every surface. Each command gets exactly one answer.

pub mod studio;

use crate::settings::{Changes, nearest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{ops::RangeInclusive, time::Duration};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `POST /api/v1/commands/<name>`.
    Http,
    /// A message at `cmd/<name>[/<request-id>]`.
    Mqtt,
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
        /// Whether the Broadcast is ended too; needed while one is published. Only stopping lets X end it after 5 minutes.
        end: Option<bool>,
    },
    /// Change settings, all or nothing: `{"output.bitrate-max": "3 Mbit/s"}`; null takes an override back.
    Set(Changes),
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
    /// Choose what viewers see and whether they hear it, until another choice or the end of the push.
    Show {
        /// What they see.
        what: Cut,
        /// Silence instead of sound; not given: sound.
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
    /// Show for 30 s which box this is: its display flashes, its lamps blink.
    Identify,
    /// Switch the panel's buttons off or on.
    LockPanel {
        /// Off.
        locked: bool,
    },
    /// End everything properly and start anew; the intent stays, so a push goes on after some seconds.
    Restart {
        /// Needed while pushing.
        confirm: bool,
    },
    /// Restart the whole box; the intent stays.
    Reboot {
        /// Needed while pushing.
        confirm: bool,
    },
    /// Install another version of the whole system, and restart the box with it.
    Update {
        /// Where it comes from.
        from: UpdateFrom,
        /// Needed while pushing.
        confirm: bool,
        /// Whether an older version, or the same, is meant.
        downgrade: bool,
    },
    /// The last lines of the log.
    Logs {
        /// How many, 1 to 1000.
        lines: usize,
        /// Not those before.
        since: Option<Timestamp>,
        /// Over MQTT: send new lines for so long, up to 10 min.
        follow: Option<Duration>,
    },
    /// All that is known about the box, secrets masked, for who looks for an error.
    Diagnostics {
        /// Onto the USB stick that is in the box, instead of into the answer.
        usb: bool,
    },
    /// Forget what was changed on this box, and restart. Not while pushing.
    FactoryReset {
        /// Always needed.
        confirm: bool,
    },
    /// Show a PIN at the box, by which a computer gets a token; the answer does not have it.
    Pair,
    /// The paired computers.
    Tokens,
    /// Let a paired computer's token be worth nothing.
    Revoke {
        /// The computer's id.
        id: String,
    },
    /// Make what is pushed to a Studio Source public.
    Publish(Box<studio::Publish>),
    /// End the Broadcast that this box made public; the push goes on.
    End {
        /// Always needed.
        confirm: bool,
    },
    /// Something else that the Studio is asked.
    Studio(Box<studio::Request>),
}

/// Where a bundle with a new version of the system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateFrom {
    /// `http://` or `https://`; who signed it is what counts.
    Url(String),
    /// `usb`: the newest one on a USB stick.
    Usb,
    /// `upload`: what was sent to `POST /api/v1/update`.
    Upload,
}

impl UpdateFrom {
    /// Reads the argument `url`.
    ///
    /// # Errors
    /// The answer to give.
    fn parse(text: &str) -> Result<Self, Answer> {
        match text {
            "usb" => Ok(Self::Usb),
            "upload" => Ok(Self::Upload),
            url => {
                let parsed = reqwest::Url::parse(url).ok();
                let fine = parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
                let wrong = || Answer::wrong("url", "expected an http:// or https:// URL, \"usb\" or \"upload\"");
                if fine { Ok(Self::Url(url.into())) } else { Err(wrong()) }
            }
        }
    }
}

/// What the operator lets viewers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// The input; the slate while it has no picture.
    #[default]
    Live,
    /// The slate.
    Slate,
    /// Bars and tone.
    Test,
}

impl Command {
    /// Every command's name.
    pub const NAMES: [&str; 43] = [
        "start",
        "stop",
        "set",
        "settings",
        "input",
        "source",
        "show",
        "preflight",
        "regions",
        "preview",
        "identify",
        "lock-panel",
        "restart",
        "reboot",
        "update",
        "logs",
        "diagnostics",
        "factory-reset",
        "pair",
        "tokens",
        "revoke",
        "publish",
        "end",
        "schedule",
        "studio-accounts",
        "studio-link",
        "studio-unlink",
        "studio-sources",
        "studio-source",
        "studio-source-create",
        "studio-source-rename",
        "studio-source-delete",
        "studio-broadcasts",
        "studio-broadcast",
        "studio-broadcast-end",
        "studio-broadcast-delete",
        "studio-schedules",
        "studio-schedule-cancel",
        "studio-schedule-start",
        "studio-upload",
        "studio-post",
        "studio-media",
        "studio-download",
    ];

    /// Its name on every surface.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Set(_) => "set",
            Self::Settings => "settings",
            Self::Input { .. } => "input",
            Self::Source { .. } => "source",
            Self::Show { .. } => "show",
            Self::Preflight { .. } => "preflight",
            Self::Regions { .. } => "regions",
            Self::Preview => "preview",
            Self::Identify => "identify",
            Self::LockPanel { .. } => "lock-panel",
            Self::Restart { .. } => "restart",
            Self::Reboot { .. } => "reboot",
            Self::Update { .. } => "update",
            Self::Logs { .. } => "logs",
            Self::Diagnostics { .. } => "diagnostics",
            Self::FactoryReset { .. } => "factory-reset",
            Self::Pair => "pair",
            Self::Tokens => "tokens",
            Self::Revoke { .. } => "revoke",
            Self::Publish(_) => "publish",
            Self::End { .. } => "end",
            Self::Studio(request) => request.what.name(),
        }
    }

    /// Makes a command of its name and its arguments, an object or null.
    ///
    /// # Errors
    /// The answer to give: no command has this name, or which argument is wrong.
    pub fn parse(name: &str, arguments: &Value) -> Result<Self, Answer> {
        let with = |known: &[&'static str]| Arguments::of(name, arguments, known);
        let confirmed = || Ok(with(&["confirm"])?.flag("confirm")?.unwrap_or(false));
        Ok(match name {
            "start" => Self::Start { sources: with(&["sources"])?.texts("sources")? },
            "stop" => {
                let given = with(&["confirm", "end"])?;
                Self::Stop { confirm: given.flag("confirm")?.unwrap_or(false), end: given.flag("end")? }
            }
            "set" => Self::Set(Changes(object(arguments)?)),
            "settings" => with(&[]).map(|_| Self::Settings)?,
            "input" => Self::Input { device: with(&["device"])?.text("device")? },
            "source" => {
                let given = with(&["name", "region"])?;
                Self::Source { name: given.text("name")?, region: given.optional_text("region")? }
            }
            "show" => {
                let given = with(&["what", "mute"])?;
                Self::Show { what: shown(&given.text("what")?)?, mute: given.flag("mute")? }
            }
            "preflight" => Self::Preflight { source: with(&["source"])?.optional_text("source")? },
            "regions" => Self::Regions { source: with(&["source"])?.text("source")? },
            "preview" => with(&[]).map(|_| Self::Preview)?,
            "identify" => with(&[]).map(|_| Self::Identify)?,
            "lock-panel" => {
                let locked = with(&["locked"])?.flag("locked")?;
                Self::LockPanel { locked: locked.ok_or_else(|| Answer::wrong("locked", "is missing"))? }
            }
            "restart" => Self::Restart { confirm: confirmed()? },
            "reboot" => Self::Reboot { confirm: confirmed()? },
            "update" => {
                let given = with(&["url", "confirm", "downgrade"])?;
                Self::Update {
                    from: UpdateFrom::parse(&given.text("url")?)?,
                    confirm: given.flag("confirm")?.unwrap_or(false),
                    downgrade: given.flag("downgrade")?.unwrap_or(false),
                }
            }
            "logs" => {
                let given = with(&["lines", "since", "follow"])?;
                let follow = given.number("follow", 1..=600_000)?.map(Duration::from_millis);
                let lines = given.number("lines", 1..=1000)?.map_or(100, |lines| lines as usize);
                Self::Logs { lines, since: given.time("since")?, follow }
            }
            "diagnostics" => match with(&["to"])?.optional_text("to")?.as_deref() {
                None => Self::Diagnostics { usb: false },
                Some("usb") => Self::Diagnostics { usb: true },
                Some(_) => return Err(Answer::wrong("to", "expected \"usb\"; without it the answer has it")),
            },
            "factory-reset" => Self::FactoryReset { confirm: confirmed()? },
            "pair" => with(&[]).map(|_| Self::Pair)?,
            "tokens" => with(&[]).map(|_| Self::Tokens)?,
            "revoke" => Self::Revoke { id: with(&["id"])?.text("id")? },
            "publish" => Self::Publish(Box::new(studio::Publish::parse(arguments)?)),
            "end" => Self::End { confirm: confirmed()? },
            _ => match studio::Request::parse(name, arguments) {
                Some(request) => Self::Studio(Box::new(request?)),
                None => return Err(unknown_command(name)),
            },
        })
    }
}

fn unknown_command(name: &str) -> Answer {
    let text = match nearest(name, Command::NAMES.into_iter(), 0.4) {
        Some(near) => format!("no such command; did you mean {near:?}?"),
        None => format!("no such command; there are {}", Command::NAMES.join(", ")),
    };
    Answer::failed(Reason::UnknownCommand, text)
}

fn unknown_argument(command: &str, argument: &str, known: &[&'static str]) -> String {
    match nearest(argument, known.iter().copied(), 0.4) {
        Some(near) => format!("unknown argument; did you mean {near:?}?"),
        None if known.is_empty() => format!("{command} takes no arguments"),
        None => format!("unknown argument; {command} takes {}", known.join(", ")),
    }
}

fn shown(what: &str) -> Result<Cut, Answer> {
    match what {
        "live" => Ok(Cut::Live),
        "slate" => Ok(Cut::Slate),
        "test" => Ok(Cut::Test),
        _ => Err(Answer::wrong("what", "expected \"live\", \"slate\" or \"test\"")),
    }
}

fn object(arguments: &Value) -> Result<Map<String, Value>, Answer> {
    match arguments {
        Value::Object(given) => Ok(given.clone()),
        Value::Null => Ok(Map::new()),
        _ => Err(Answer::failed(Reason::WrongArguments, "expected the arguments as an object, such as {}")),
    }
}

/// Typed access to the arguments. Null is the same as nothing.
struct Arguments(Map<String, Value>);

impl Arguments {
    /// Takes `arguments` of `command` if all of them are `known`.
    fn of(command: &str, arguments: &Value, known: &[&'static str]) -> Result<Self, Answer> {
        let given = object(arguments)?;
        match given.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(Answer::wrong(unknown, unknown_argument(command, unknown, known))),
            None => Ok(Self(given)),
        }
    }

    fn given(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn optional_text(&self, name: &str) -> Result<Option<String>, Answer> {
        self.given(name).map(|value| line_of_text(name, value)).transpose()
    }

    fn text(&self, name: &str) -> Result<String, Answer> {
        self.optional_text(name)?.ok_or_else(|| Answer::wrong(name, "is missing"))
    }

    /// Text of up to `longest` characters, with line breaks.
    fn long_text(&self, name: &str, longest: usize) -> Result<Option<String>, Answer> {
        let text = |value: &Value| match value.as_str() {
            Some(text) if (1..=longest).contains(&text.chars().count()) && !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(Answer::wrong(name, format!("expected a text of 1 to {longest} characters"))),
        };
        self.given(name).map(text).transpose()
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, Answer> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| Answer::wrong(name, "expected true or false"));
        self.given(name).map(flag).transpose()
    }

    fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Answer> {
        let number = |value: &Value| {
            let number = value.as_u64().filter(|number| range.contains(number));
            number.ok_or_else(|| Answer::wrong(name, format!("expected {} to {}", range.start(), range.end())))
        };
        self.given(name).map(number).transpose()
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, Answer> {
        let time = |value: &Value| {
            let time = value.as_str().and_then(|time| time.parse().ok());
            time.ok_or_else(|| Answer::wrong(name, "expected a time such as \"2026-11-23T18:00:00Z\""))
        };
        self.given(name).map(time).transpose()
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Answer> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::Array(items)) if (1..=16).contains(&items.len()) => {
                items.iter().map(|item| line_of_text(name, item)).collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(Answer::wrong(name, "expected a list of 1 to 16 names")),
        }
    }
}

fn line_of_text(name: &str, value: &Value) -> Result<String, Answer> {
    match value.as_str() {
        Some(text) if !text.is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control) => {
            Ok(text.into())
        }
        _ => Err(Answer::wrong(name, "expected a text of 1 to 200 characters on one line")),
    }
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
    /// This system cannot be updated as a whole.
    NoUpdater,
    /// The version is older than what runs.
    OlderVersion,
    /// The version is what runs.
    AlreadyInstalled,
    /// It is for other hardware.
    WrongBoard,
    /// Nobody whom this box believes has signed it.
    WrongSignature,
    /// The certificate of who signed it is not valid now.
    ExpiredCertificate,
    /// It is not whole.
    DamagedBundle,
    /// There is no room for it.
    NoSpace,
    /// What was asked for could not be got over the network.
    NotReached,
    /// The new system was not good, and the old one runs.
    RolledBack,
    /// The disk or another part of the box failed.
    Internal,
    /// It came later than it was good for.
    Expired,
    /// Nobody can tell how old it is.
    AgeUnknown,
    /// This box only tells, and takes no commands from there.
    Observe,
    /// It has a secret in it, and came over a way that others can read.
    SecretNeedsTls,
    /// The message is no request.
    Payload,
    /// The box was restarted while it was being done: whether it was done is not known.
    Interrupted,
}

impl Reason {
    /// Its word on every surface.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownCommand => "unknown-command",
            Self::WrongArguments => "wrong-arguments",
            Self::ConfirmationNeeded => "confirmation-needed",
            Self::WrongState => "wrong-state",
            Self::NotAcknowledged => "not-acknowledged",
            Self::TimedOut => "timed-out",
            Self::NoUpdater => "no-updater",
            Self::OlderVersion => "older-version",
            Self::AlreadyInstalled => "already-installed",
            Self::WrongBoard => "wrong-board",
            Self::WrongSignature => "wrong-signature",
            Self::ExpiredCertificate => "expired-certificate",
            Self::DamagedBundle => "damaged-bundle",
            Self::NoSpace => "no-space",
            Self::NotReached => "not-reached",
            Self::RolledBack => "rolled-back",
            Self::Internal => "internal",
            Self::Expired => "expired",
            Self::AgeUnknown => "age-unknown",
            Self::Observe => "observe",
            Self::SecretNeedsTls => "secret-needs-tls",
            Self::Payload => "payload",
            Self::Interrupted => "interrupted",
        }
    }
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

    /// Not done, as it does `what`, which has to be confirmed.
    pub fn not_confirmed(what: &str) -> Self {
        Self::failed(Reason::ConfirmationNeeded, format!("{what}: send it again with confirm = true"))
    }

    /// Not done because argument `field` is wrong.
    pub fn wrong(field: &str, text: impl Into<String>) -> Self {
        Self::Failed { reason: Reason::WrongArguments, text: text.into(), field: Some(field.into()) }
    }
}

#[cfg(test)]
mod tests;
