//! Where messages go: `<prefix>/<box-id>/<leaf>`.

use std::{fmt, str::FromStr};

/// Most bytes of a prefix and of a request's id.
const LONGEST: usize = 64;
/// Most bytes of a box's id, as in the settings.
const LONGEST_ID: usize = 32;

/// What all topics of an installation begin with: `fieldcast`, `tours/2026`. 1 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl FromStr for Prefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |c: char| !matches!(c, '+' | '#') && !c.is_control();
        let level = |level: &str| !level.is_empty() && level.chars().all(word);
        // Topics that begin with a dollar sign are the broker's own (MQTT 5.0, 4.7.2).
        match text.len() <= LONGEST && !text.starts_with('$') && text.split('/').all(level) {
            true => Ok(Self(text.into())),
            false => Err("expected a topic of at most 64 bytes without + and #, such as \"fieldcast\""),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Prefix {
    /// The topic of `leaf` of the box `id`.
    pub fn topic(&self, id: &str, leaf: &Leaf) -> String {
        format!("{self}/{id}/{leaf}")
    }

    /// Matches `leaf` (`status`, `cmd/+/+`) of the box `id`; `"+"`: of every box.
    pub fn filter(&self, id: &str, leaf: &str) -> String {
        format!("{self}/{id}/{leaf}")
    }

    /// The box's id and the leaf of `topic`, if it is one of ours.
    pub fn parse<'t>(&self, topic: &'t str) -> Option<(&'t str, Leaf)> {
        let rest = topic.strip_prefix(self.0.as_str())?.strip_prefix('/')?;
        let (id, leaf) = rest.split_once('/')?;
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let known = (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(word);
        Some((id, leaf.parse().ok().filter(|_| known)?))
    }
}

/// A request's id, chosen by who asks: 1 to 64 letters, digits, dots, dashes and underscores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestName(String);

impl RequestName {
    /// As it stands in the topic.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match (1..=LONGEST).contains(&text.len()) && text.chars().all(word) {
            true => Ok(Self(text.into())),
            false => Err("a request's id has 1 to 64 letters, digits, dots, dashes and underscores"),
        }
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// `online` or `offline`; retained.
    Availability,
    /// What the box is and can do; retained.
    Info,
    /// Its state; retained.
    Status,
    /// Its figures, once a second.
    Stats,
    /// Something happened.
    Event,
    /// A JPEG picture of the input.
    Preview,
    /// A line of the log, for those who follow it.
    Log,
    /// All that is known about the box, for who looks for an error.
    Diagnostics,
    /// A command, and its answers if it has an id.
    Command {
        /// The command's name; whether there is such a command is not known yet.
        name: String,
        /// The request's id; none: nobody waits for an answer.
        request: Option<RequestName>,
    },
}

impl Leaf {
    /// The topic of request `id` to do `command`.
    pub fn request(command: &str, id: &RequestName) -> Self {
        Self::Command { name: command.into(), request: Some(id.clone()) }
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Availability => "availability",
            Self::Info => "info",
            Self::Status => "status",
            Self::Stats => "stats",
            Self::Event => "event",
            Self::Preview => "preview",
            Self::Log => "log",
            Self::Diagnostics => "diagnostics",
            Self::Command { name, request: None } => return write!(f, "cmd/{name}"),
            Self::Command { name, request: Some(id) } => return write!(f, "cmd/{name}/{id}"),
        })
    }
}

impl FromStr for Leaf {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "availability" => Self::Availability,
            "info" => Self::Info,
            "status" => Self::Status,
            "stats" => Self::Stats,
            "event" => Self::Event,
            "preview" => Self::Preview,
            "log" => Self::Log,
            "diagnostics" => Self::Diagnostics,
            _ => {
                let command = text.strip_prefix("cmd/").ok_or("no message of this name is known")?;
                let (name, request) = match command.split_once('/') {
                    Some((name, id)) => (name, Some(id.parse()?)),
                    None => (command, None),
                };
                let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if !(1..=LONGEST_ID).contains(&name.len()) || !name.chars().all(word) {
                    return Err("a command's name has 1 to 32 small letters, digits and dashes");
                }
                Self::Command { name: name.into(), request }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix() -> Prefix {
        "tours/2026".parse().expect("a prefix")
    }

    #[test]
    fn topics_are_read_as_they_are_written() {
        let id: RequestName = "a.B-c_9".parse().expect("an id");
        for (leaf, text) in [
            (Leaf::Availability, "tours/2026/fc-1/availability"),
            (Leaf::Diagnostics, "tours/2026/fc-1/diagnostics"),
            (Leaf::Command { name: "lock-panel".into(), request: None }, "tours/2026/fc-1/cmd/lock-panel"),
            (Leaf::request("stop", &id), "tours/2026/fc-1/cmd/stop/a.B-c_9"),
        ] {
            assert_eq!(prefix().topic("fc-1", &leaf), text);
            assert_eq!(prefix().parse(text), Some(("fc-1", leaf)));
        }
    }

    #[test]
    fn what_is_not_ours_is_no_topic() {
        for text in [
            "",
            "tours/2026",
            "tours/2026/fc-1",
            "tours/2026fc-1/status",
            "tours/2026//status",
            "tours/2026/FC/status",
            "tours/2026/fc-1/",
            "tours/2026/fc-1/cmd",
            "tours/2026/fc-1/cmd/",
            "tours/2026/fc-1/cmd/stop/",
            "tours/2026/fc-1/cmd/stop/a/b",
            "tours/2026/fc-1/cmd/stop/a b",
            "tours/2026/fc-1/cmd/St op",
            "homeassistant/fc-1/status",
        ] {
            assert_eq!(prefix().parse(text), None, "{text}");
        }
        for wrong in ["", "/", "a/", "/a", "a//b", "a/+", "#", "$SYS", "a\nb"] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
        assert!("a".repeat(65).parse::<Prefix>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_topic_or_not(text in "(tours/2026/)?(fc-[0-9a-f]{0,3}/)?(cmd/|status)?.{0,20}") {
            if let Some((id, leaf)) = prefix().parse(&text) {
                prop_assert_eq!(prefix().topic(id, &leaf), text);
            }
        }
    }
}
