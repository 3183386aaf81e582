//! What a verb asks of a box, and what has to be asked of the operator before.

use super::{
    args::{Picture, Verb},
    pick::Choice,
    studio,
};
use crate::{settings::Secret, units::Span};
use serde_json::{Map, Value, json};
use std::{path::PathBuf, time::Duration};

/// The time that a box has for its answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for what measures or gathers.
const LONG: Duration = Duration::from_secs(120);
/// The same for files that go to X or come from there.
const FILES: Duration = Duration::from_secs(3600);
/// The same for what is answered after a boot.
const BOOT: Duration = Duration::from_secs(180);

/// The same for a whole system over a field's network, with the restart and the trial after it.
const UPDATE: Duration = Duration::from_secs(2 * 3600);

/// For how long a box sends new lines of its log: the longest that it does without being asked again.
pub const FOLLOW: Duration = Duration::from_secs(600);

/// A command for boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The command's name, the same on every surface.
    pub command: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// Those of them that are secret.
    pub secrets: Vec<(&'static str, Secret)>,
    /// What it takes from viewers or for ever, where that has to be confirmed.
    pub ends: Option<String>,
    /// It has to be confirmed for each box, and not only for those that push.
    pub of_all: bool,
    /// Whether what comes of it is a file.
    pub saved: bool,
    /// How long the answer may take.
    pub patience: Duration,
    /// The file that is sent to the box before.
    pub file: Option<PathBuf>,
}

impl Order {
    /// A command with its time for the answer, and with what has to be confirmed.
    pub fn new(command: &'static str, arguments: Value) -> Self {
        let id = arguments["id"].as_str().unwrap_or_default();
        let ends = match command {
            "stop" => Some("takes off air".into()),
            "restart" | "reboot" | "update" => Some("interrupts the push of".into()),
            "end" => Some("ends for its viewers the Broadcast of".into()),
            "studio-source-delete" => Some(format!("deletes for ever Source {id}, by")),
            "studio-broadcast-end" => Some(format!("ends for its viewers Broadcast {id}, by")),
            "studio-broadcast-delete" => Some(format!("deletes for ever Broadcast {id}, by")),
            _ => None,
        };
        let patience = match command {
            "restart" | "reboot" => BOOT,
            "update" => UPDATE,
            "preflight" | "regions" | "diagnostics" | "publish" | "end" => LONG,
            "studio-upload" | "studio-download" => FILES,
            _ => PATIENCE,
        };
        let of_all = command == "end" || command.starts_with("studio-");
        let saved = matches!(command, "preview" | "diagnostics") && arguments["to"].is_null();
        Self { command, arguments, secrets: Vec::new(), ends, of_all, saved, patience, file: None }
    }

    /// Waits for `timeout` instead.
    pub fn within(mut self, timeout: Option<Span>) -> Self {
        self.patience = timeout.map_or(self.patience, Span::duration);
        self
    }

    /// The arguments for a box for which the operator has `confirmed` what it ends. Without that the box refuses by itself
    /// when it has gone on air meanwhile.
    pub fn arguments(&self, confirmed: bool) -> Value {
        let mut arguments = self.arguments.clone();
        if let Some(fields) = arguments.as_object_mut().filter(|_| confirmed && self.ends.is_some()) {
            fields.insert("confirm".into(), json!(true));
        }
        for (name, secret) in &self.secrets {
            arguments[name] = json!(secret.reveal());
        }
        arguments
    }
}

/// The command of `verb` and the boxes that it names; none for verbs that only look.
///
/// # Errors
/// For people: what of the arguments is wrong.
pub fn order(verb: &Verb) -> Result<Option<(Order, Vec<String>)>, String> {
    let order = |command, arguments, boxes: &super::args::Boxes| {
        Ok(Some((Order::new(command, arguments), boxes.boxes.clone())))
    };
    match verb {
        Verb::Start { boxes, sources } => {
            let arguments = if sources.is_empty() { json!({}) } else { json!({ "sources": sources }) };
            order("start", arguments, boxes)
        }
        Verb::Stop { boxes, end, keep_broadcast } => {
            let arguments = if *end || *keep_broadcast { json!({ "end": end }) } else { json!({}) };
            order("stop", arguments, boxes)
        }
        Verb::Publish(asked) => studio::order::publish(asked).map(Some),
        Verb::End(boxes) => order("end", json!({}), boxes),
        Verb::Schedule(asked) => Ok(Some(studio::order::schedule(asked))),
        Verb::Studio(asked) => studio::order::order(asked),
        Verb::Source { name, boxes, region } => {
            let mut arguments = json!({ "name": name });
            if let Some(region) = region {
                arguments["region"] = json!(region);
            }
            order("source", arguments, boxes)
        }
        Verb::Input { device, boxes } => order("input", json!({ "device": device }), boxes),
        Verb::Show { what, boxes, mute } => {
            let what = match what {
                Picture::Live => "live",
                Picture::Slate => "slate",
                Picture::Test => "test",
            };
            order("show", json!({ "what": what, "mute": mute }), boxes)
        }
        Verb::Set { items } => {
            let (changes, boxes) = changes(items)?;
            Ok(Some((Order::new("set", changes), boxes)))
        }
        Verb::Settings(boxes) => order("settings", json!({}), boxes),
        Verb::Preflight { boxes, source } => {
            let arguments = source.as_ref().map_or_else(|| json!({}), |source| json!({ "source": source }));
            order("preflight", arguments, boxes)
        }
        Verb::Preview { boxes, .. } => order("preview", json!({}), boxes),
        Verb::Identify(boxes) => order("identify", json!({}), boxes),
        Verb::LockPanel { boxes, unlock } => order("lock-panel", json!({ "locked": !unlock }), boxes),
        Verb::Logs { boxes, lines, since, follow } => {
            let mut arguments = json!({ "lines": lines });
            if let Some(since) = since {
                arguments["since"] = json!(since);
            }
            if *follow {
                arguments["follow"] = json!(FOLLOW.as_millis() as u64);
            }
            order("logs", arguments, boxes)
        }
        Verb::Diagnostics { boxes, usb: true, .. } => order("diagnostics", json!({ "to": "usb" }), boxes),
        Verb::Diagnostics { boxes, .. } => order("diagnostics", json!({}), boxes),
        Verb::Regions { source, boxes } => order("regions", json!({ "source": source }), boxes),
        Verb::Restart(boxes) => order("restart", json!({}), boxes),
        Verb::Reboot(boxes) => order("reboot", json!({}), boxes),
        Verb::Update(update) => {
            let (arguments, file) = update.order()?;
            let order = Order { file, ..Order::new("update", arguments) };
            Ok(Some((order, update.boxes.boxes.clone())))
        }
        Verb::List(_) | Verb::Status(_) | Verb::Watch(_) | Verb::Completions { .. } | Verb::Pair { .. } => Ok(None),
    }
}

/// Tells `KEY=VALUE` from boxes. What is true or false, a whole number or a list is one; everything else is a text.
fn changes(items: &[String]) -> Result<(Value, Vec<String>), String> {
    let (mut changes, mut boxes) = (Map::new(), Vec::new());
    for item in items {
        let Some((key, value)) = item.split_once('=') else {
            boxes.push(item.clone());
            continue;
        };
        if key.ends_with("key") || key.ends_with("passphrase") {
            // Other users read command lines, and shells keep them.
            return Err(format!(
                "{key}: no secrets on the command line; give the file that has it ({key}-file), on the box"
            ));
        }
        let value = match (value, serde_json::from_str::<Value>(value)) {
            ("", _) => Value::Null,
            (_, Ok(read @ (Value::Bool(_) | Value::Array(_)))) => read,
            (_, Ok(Value::Number(number))) if number.is_i64() => Value::Number(number),
            _ => Value::from(value),
        };
        if key.is_empty() || changes.insert(key.to_owned(), value).is_some() {
            return Err(format!("{item:?}: each setting has a key, and is given once"));
        }
    }
    if changes.is_empty() {
        return Err("there is no setting: give KEY=VALUE, such as output.bitrate-max=\"3 Mbit/s\"".into());
    }
    Ok((Value::Object(changes), boxes))
}

/// Which boxes the command line means. `acts`: it does something to them, so they have to be named.
///
/// # Errors
/// For people: none was named, or both all and some.
pub fn choice(boxes: Vec<String>, tags: &[String], all: bool, acts: bool) -> Result<Choice, String> {
    if all && !boxes.is_empty() {
        return Err("--all and boxes by name: give one of them".into());
    }
    let choice = Choice { boxes, tags: tags.to_vec(), all };
    if acts && choice.is_open() {
        return Err("which boxes? Name them, or give --tag or --all".into());
    }
    Ok(Choice { all: choice.all || choice.is_open(), ..choice })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command::Command, desk::args::Cli};
    use clap::Parser as _;
    use proptest::prelude::*;

    fn read(line: &[&str]) -> Result<Option<(Order, Vec<String>)>, String> {
        order(&Cli::try_parse_from([&["fieldcast"], line].concat()).expect("parsed").verb)
    }

    #[test]
    fn verbs_become_commands_that_boxes_take() {
        for (line, arguments, boxes) in [
            (&["start", "a", "b"][..], json!({}), &["a", "b"][..]),
            (&["start", "--source", "Main", "--source", "Spare", "a"], json!({"sources": ["Main", "Spare"]}), &["a"]),
            (&["stop", "a"], json!({}), &["a"]),
            (&["source", "Spare", "a", "--region", "eu"], json!({"name": "Spare", "region": "eu"}), &["a"]),
            (&["input", "hdmi"], json!({"device": "hdmi"}), &[]),
            (&["show", "slate", "a", "--mute"], json!({"what": "slate", "mute": true}), &["a"]),
            (&["settings"], json!({}), &[]),
            (&["preflight", "a", "--source", "Main"], json!({"source": "Main"}), &["a"]),
            (&["preview", "-o", "x.jpg"], json!({}), &[]),
            (&["identify"], json!({}), &[]),
            (&["lock-panel", "--unlock", "a"], json!({"locked": false}), &["a"]),
            (&["regions", "Main", "a"], json!({"source": "Main"}), &["a"]),
            (&["restart", "a"], json!({}), &["a"]),
            (&["reboot"], json!({}), &[]),
            (
                &["logs", "a", "-n", "5", "--since", "2026-11-23T18:00:00Z"],
                json!({"lines": 5, "since": "2026-11-23T18:00:00Z"}),
                &["a"],
            ),
            (&["logs", "-f"], json!({"lines": 100, "follow": 600_000}), &[]),
            (&["diagnostics", "-o", "x"], json!({}), &[]),
            (&["diagnostics", "--usb", "a"], json!({"to": "usb"}), &["a"]),
        ] {
            let (order, named) = read(line).expect("taken").expect("a command");
            assert_eq!((order.command, &order.arguments), (line[0], &arguments));
            assert_eq!(named, boxes, "{line:?}");
            for confirmed in [true, false] {
                Command::parse(order.command, &order.arguments(confirmed)).expect("a box takes it");
            }
        }
        assert_eq!(read(&["list"]), Ok(None));
    }

    #[test]
    fn a_stop_says_what_becomes_of_a_broadcast() {
        for (flag, end) in [("--end", true), ("--keep-broadcast", false)] {
            let (order, _) = read(&["stop", "a", flag]).expect("taken").expect("a command");
            assert_eq!(order.arguments(true), json!({ "end": end, "confirm": true }));
        }
    }

    #[test]
    fn only_what_ends_a_push_is_confirmed() {
        let ends = |line: &[&str]| read(line).expect("taken").expect("a command").0;
        assert_eq!(ends(&["stop", "a"]).arguments(true), json!({"confirm": true}));
        assert_eq!(ends(&["stop", "a"]).arguments(false), json!({}));
        assert!(ends(&["restart", "a"]).ends.is_some() && ends(&["show", "slate", "a"]).ends.is_none());
    }

    #[test]
    fn settings_are_told_from_boxes() {
        let (order, boxes) = read(&[
            "set",
            "OB van 3",
            "output.bitrate-max=3 Mbit/s",
            "panel.brightness=80",
            "name=",
            "push.sources=[\"A\"]",
            "x",
        ])
        .expect("taken")
        .expect("a command");
        let changes =
            json!({"output.bitrate-max": "3 Mbit/s", "panel.brightness": 80, "name": null, "push.sources": ["A"]});
        assert_eq!((order.arguments, boxes), (changes, vec!["OB van 3".to_owned(), "x".to_owned()]));
        for (items, part) in [
            (&["a"][..], "there is no setting"),
            (&["name=x", "name=y"], "given once"),
            (&["=x"], "has a key"),
            (&["source.Main.key=live_123"], "source.Main.key-file"),
            (&["source.S.passphrase=0123456789"], "no secrets"),
        ] {
            let text = read(&[&["set"], items].concat()).expect_err("refused");
            assert!(text.contains(part) && !text.contains("live_123"), "{text}");
        }
    }

    #[test]
    fn who_acts_says_on_which_boxes() {
        let open = |acts| choice(Vec::new(), &[], false, acts);
        assert!(open(true).expect_err("refused").contains("--all"));
        assert!(open(false).expect("all").all);
        assert!(choice(vec!["a".into()], &[], true, true).is_err());
        assert!(!choice(Vec::new(), &["left".into()], false, true).expect("by tag").all);
    }

    proptest! {
        #[test]
        fn any_items_are_changes_or_refused(items in prop::collection::vec("[a-z.]{0,5}=?.{0,6}", 1..5)) {
            if let Ok((changes, boxes)) = changes(&items) {
                prop_assert!(Command::parse("set", &changes).is_ok());
                prop_assert_eq!(boxes.len() + changes.as_object().expect("an object").len(), items.len());
            }
        }
    }
}
