//! One command on its way to many boxes: who has answered what. Pure: `now` is an argument.

use super::seen::clean;
use crate::units::Time;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Every box did what was asked.
pub const ALL: u8 = 0;
/// None did.
pub const NONE: u8 = 1;
/// Bad arguments or settings, no such box, or not confirmed: nothing was sent.
pub const WRONG: u8 = 2;
/// Some did.
pub const SOME: u8 = 3;
/// Ctrl-C (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// The reason of a box that wants to be told more before it does something.
const CONFIRM: &str = crate::command::Reason::ConfirmationNeeded.code();

/// What a box answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It has begun.
    Executing {
        /// What it is at.
        progress: Option<String>,
    },
    /// It was done.
    Successful(Value),
    /// It was not.
    Failed {
        /// For programs.
        reason: String,
        /// For people.
        text: String,
        /// The argument that is wrong.
        field: Option<String>,
    },
}

/// Where the command is with one box.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Sent, and nothing heard.
    Sent,
    /// The box is at it.
    Executing(Option<String>),
    /// The box is at it, or not: it is not connected now.
    Away,
    /// Over.
    Over(Outcome),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Done.
    Successful(Value),
    /// Not done.
    Failed {
        /// For programs.
        reason: String,
        /// For people.
        text: String,
        /// The argument that is wrong.
        field: Option<String>,
    },
    /// Not sent: the box was not there.
    Offline,
    /// No answer in time; what it was at last.
    Silent {
        /// It had begun, so it may have been done.
        begun: bool,
    },
    /// Nobody waits for it any more.
    Left,
}

/// One box in a round.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The box's name for people.
    pub name: String,
    /// Where it is.
    pub stage: Stage,
}

/// A command for many boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    command: &'static str,
    rows: BTreeMap<String, Row>,
    deadline: Time,
}

/// How many did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Boxes that did it.
    pub done: usize,
    /// Boxes of whom it was asked.
    pub of: usize,
}

impl Tally {
    /// The exit code that tells it.
    pub fn code(self) -> u8 {
        match self.done {
            0 => NONE,
            done if done == self.of => ALL,
            _ => SOME,
        }
    }
}

impl Round {
    /// Of `command` to the boxes `(id, name, online)`, sent at `now`, with `patience` for the answers.
    pub fn new(
        command: &'static str,
        boxes: impl IntoIterator<Item = (String, String, bool)>,
        now: Time,
        patience: Duration,
    ) -> Self {
        let row = |(id, name, online)| {
            let stage = if online { Stage::Sent } else { Stage::Over(Outcome::Offline) };
            (id, Row { name, stage })
        };
        Self { command, rows: boxes.into_iter().map(row).collect(), deadline: now + patience }
    }

    /// The command's name.
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// Each box, by its id.
    pub fn rows(&self) -> &BTreeMap<String, Row> {
        &self.rows
    }

    /// When nobody is waited for any longer.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Box `id` answered. The first final answer counts; true: it changed something.
    pub fn hear(&mut self, id: &str, reply: Reply) -> bool {
        let stage = match reply {
            Reply::Executing { progress } => Stage::Executing(progress.map(|text| clean(&text))),
            Reply::Successful(result) => Stage::Over(Outcome::Successful(result)),
            Reply::Failed { reason, text, field } => Stage::Over(Outcome::Failed {
                reason: clean(&reason),
                text: clean(&text),
                field: field.map(|f| clean(&f)),
            }),
        };
        self.step(id, stage)
    }

    /// Box `id` was lost, or is back. Its answer may come all the same: its broker keeps it.
    pub fn connected(&mut self, id: &str, online: bool) -> bool {
        let away = self.rows.get(id).is_some_and(|row| row.stage == Stage::Away);
        match online {
            true if away => self.step(id, Stage::Sent),
            false if !away => self.step(id, Stage::Away),
            _ => false,
        }
    }

    fn step(&mut self, id: &str, stage: Stage) -> bool {
        match self.rows.get_mut(id).filter(|row| !matches!(row.stage, Stage::Over(_)) && row.stage != stage) {
            Some(row) => {
                row.stage = stage;
                true
            }
            None => false,
        }
    }

    /// Gives up who has not answered by the deadline; true: somebody was.
    pub fn expire(&mut self, now: Time) -> bool {
        now >= self.deadline
            && self.end(|stage| match stage {
                Stage::Sent => Outcome::Silent { begun: false },
                _ => Outcome::Silent { begun: true },
            })
    }

    /// Waits for nobody any more.
    pub fn leave(&mut self) {
        self.end(|_| Outcome::Left);
    }

    fn end(&mut self, outcome: impl Fn(&Stage) -> Outcome) -> bool {
        let open = self.rows.values_mut().filter(|row| !matches!(row.stage, Stage::Over(_)));
        open.map(|row| row.stage = Stage::Over(outcome(&row.stage))).count() > 0
    }

    /// Whether every box has its outcome.
    pub fn is_over(&self) -> bool {
        self.rows.values().all(|row| matches!(row.stage, Stage::Over(_)))
    }

    /// The boxes that want to be told more before they do it, and their names.
    pub fn asking(&self) -> Vec<(String, String)> {
        let asks = |stage: &Stage| matches!(stage, Stage::Over(Outcome::Failed { reason, .. }) if reason == CONFIRM);
        let asking = self.rows.iter().filter(|(_, row)| asks(&row.stage));
        asking.map(|(id, row)| (id.clone(), row.name.clone())).collect()
    }

    /// How many did it.
    pub fn tally(&self) -> Tally {
        let done = |row: &&Row| row.stage.result().is_some();
        Tally { done: self.rows.values().filter(done).count(), of: self.rows.len() }
    }

    /// One sentence: how many did it, and who did not.
    pub fn summary(&self) -> String {
        let Tally { done, of } = self.tally();
        let mut parts = vec![format!("{}: {done} of {of} done", self.command)];
        for (word, meant) in [
            ("failed", (|outcome| matches!(outcome, Outcome::Failed { .. })) as fn(&Outcome) -> bool),
            ("offline", |outcome| *outcome == Outcome::Offline),
            ("no answer", |outcome| matches!(outcome, Outcome::Silent { .. })),
            ("not waited for", |outcome| *outcome == Outcome::Left),
        ] {
            let names: Vec<_> = self
                .rows
                .values()
                .filter(|row| matches!(&row.stage, Stage::Over(outcome) if meant(outcome)))
                .map(|row| row.name.as_str())
                .collect();
            if !names.is_empty() {
                parts.push(format!("{word}: {}", names.join(", ")));
            }
        }
        parts.join("; ")
    }

    /// The outcome of box `id` for programs; none while there is none.
    pub fn document(&self, id: &str) -> Option<Value> {
        let row = self.rows.get(id)?;
        let Stage::Over(outcome) = &row.stage else { return None };
        let mut document = json!({ "id": id, "name": row.name, "command": self.command });
        let mut say = |status: &str, more: &[(&str, Value)]| {
            document["status"] = json!(status);
            more.iter().filter(|(_, value)| !value.is_null()).for_each(|(key, value)| document[key] = value.clone());
        };
        match outcome {
            Outcome::Successful(result) => say("successful", &[("result", result.clone())]),
            Outcome::Failed { reason, text, field } => {
                say("failed", &[("reason", json!(reason)), ("text", json!(text)), ("field", json!(field))]);
            }
            Outcome::Offline => say("offline", &[]),
            Outcome::Silent { begun } => say("no-answer", &[("begun", json!(begun))]),
            Outcome::Left => say("interrupted", &[]),
        }
        Some(document)
    }
}

impl Stage {
    /// What the box answered when it was done.
    pub fn result(&self) -> Option<&Value> {
        match self {
            Self::Over(Outcome::Successful(result)) => Some(result),
            _ => None,
        }
    }

    /// In words for people, on one line.
    pub fn text(&self) -> String {
        match self {
            Self::Sent => "asked".into(),
            Self::Executing(None) => "at it".into(),
            Self::Executing(Some(step)) => step.clone(),
            Self::Away => "not connected now; its answer is waited for".into(),
            Self::Over(Outcome::Successful(_)) => "done".into(),
            Self::Over(Outcome::Failed { text, field: Some(field), .. }) => format!("failed: {field}: {text}"),
            Self::Over(Outcome::Failed { text, .. }) => format!("failed: {text}"),
            Self::Over(Outcome::Offline) => "offline: nothing was sent".into(),
            Self::Over(Outcome::Silent { begun: false }) => "no answer, and it will not do it any more".into(),
            Self::Over(Outcome::Silent { begun: true }) => "no answer yet; it may still do it: see its status".into(),
            Self::Over(Outcome::Left) => "not waited for any more".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::seen::tests::at;
    use proptest::prelude::*;

    fn round() -> Round {
        let boxes = [("a", "Van A", true), ("b", "Van B", true), ("c", "Van C", false)];
        let boxes = boxes.map(|(id, name, online)| (id.to_owned(), name.to_owned(), online));
        Round::new("start", boxes, at(0), Duration::from_secs(60))
    }

    fn failed(text: &str) -> Reply {
        Reply::Failed { reason: "wrong-state".into(), text: text.into(), field: None }
    }

    #[test]
    fn who_is_offline_is_not_waited_for() {
        let mut round = round();
        assert_eq!(round.document("c").expect("an outcome")["status"], "offline");
        assert!(round.hear("a", Reply::Executing { progress: Some("connecting".into()) }));
        assert_eq!((round.rows()["a"].stage.text(), round.is_over()), ("connecting".into(), false));
        assert!(round.hear("a", Reply::Successful(Value::Null)) && round.hear("b", failed("No key\u{1b}")));
        assert!(round.is_over() && !round.hear("a", failed("late")) && !round.hear("x", failed("not asked")));
        assert_eq!(round.summary(), "start: 1 of 3 done; failed: Van B; offline: Van C");
        assert_eq!(round.tally().code(), SOME);
        assert_eq!(
            round.document("b").expect("an outcome"),
            json!({"id": "b", "name": "Van B", "command": "start", "status": "failed", "reason": "wrong-state", "text": "No key"})
        );
    }

    #[test]
    fn what_was_not_answered_in_time_is_said_for_what_it_is() {
        let mut round = round();
        round.hear("a", Reply::Executing { progress: None });
        assert!(!round.expire(at(59)) && round.expire(at(60)) && round.is_over());
        assert_eq!(round.document("a").expect("an outcome")["begun"], true);
        assert_eq!(round.document("b").expect("an outcome")["begun"], false);
        assert_eq!(
            (round.tally().code(), round.summary()),
            (NONE, "start: 0 of 3 done; offline: Van C; no answer: Van A, Van B".into())
        );
    }

    #[test]
    fn a_box_that_is_lost_may_answer_later() {
        let mut round = round();
        assert!(round.connected("a", false) && !round.connected("a", false) && !round.connected("b", true));
        assert_eq!(round.rows()["a"].stage, Stage::Away);
        assert!(round.connected("a", true) && round.hear("a", Reply::Successful(json!(1))));
        assert!(!round.connected("a", false), "what is over stays");
        round.leave();
        assert_eq!(round.summary(), "start: 1 of 3 done; offline: Van C; not waited for: Van B");
    }

    #[test]
    fn the_exit_code_tells_all_some_or_none() {
        let code = |done, of| Tally { done, of }.code();
        assert_eq!((code(3, 3), code(1, 3), code(0, 3), code(0, 0)), (0, 3, 1, 1));
    }

    proptest! {
        #[test]
        fn every_box_has_one_outcome_at_the_deadline(steps in prop::collection::vec((0..3_usize, 0..5), 0..30)) {
            let mut round = round();
            let mut first = BTreeMap::new();
            for (id, step) in steps {
                let id = ["a", "b", "c"][id];
                match step {
                    0 => round.hear(id, Reply::Executing { progress: None }),
                    1 => round.hear(id, Reply::Successful(Value::Null)),
                    2 => round.hear(id, failed("x")),
                    other => round.connected(id, other == 3),
                };
                if let Some(document) = round.document(id) {
                    let known = first.entry(id).or_insert_with(|| document.clone());
                    prop_assert_eq!(&*known, &document, "an outcome stays");
                }
            }
            round.expire(at(60));
            prop_assert!(round.is_over() && round.tally().of == 3 && round.tally().done < 3);
        }
    }
}
