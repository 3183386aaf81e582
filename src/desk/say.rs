//! What is printed while a command is on its way: a line for each box that changes in place on a terminal, else a line when
//! it is over; with `--json` an object. Results go to standard output, everything else to standard error.

use super::{
    round::{Outcome, Round, Row, Stage},
    seen::clean,
    words,
};
use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Write as _},
};

/// Lines of a terminal whose size is not known (VT100).
const LINES: u16 = 24;

/// The progress of one round.
#[derive(Debug)]
pub struct Progress {
    json: bool,
    /// On a terminal, where lines can change.
    moving: bool,
    /// Lines that stand there now.
    drawn: usize,
    /// Boxes whose outcome was told.
    told: BTreeSet<String>,
}

/// Prints on standard output; a reader that has seen enough, such as head(1), is no error.
pub fn out(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints on standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Asks on the terminal whether to go on.
///
/// # Errors
/// For people: there is nobody to ask.
pub fn confirm(question: &str) -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err(format!("{question}\nNobody can be asked here: give --yes"));
    }
    Ok(matches!(line(&format!("{question} [y/N] "))?.to_lowercase().as_str(), "y" | "yes"))
}

/// Asks on the terminal whether the Broadcasts of the boxes `names` end with their push.
///
/// # Errors
/// For people: there is nobody to ask, or nothing was chosen.
pub fn which(names: &str) -> Result<bool, String> {
    let ways =
        "--end ends the Broadcast as well, --keep-broadcast leaves it to X, which ends it after 5 min without video";
    if !io::stdin().is_terminal() {
        return Err(format!("{names}: a Broadcast is public. Give one of them: {ways}"));
    }
    let question = format!("{names}: a Broadcast is public. End it as well, or keep it? [end/keep/N] ");
    match line(&question)?.to_lowercase().as_str() {
        "e" | "end" => Ok(true),
        "k" | "keep" => Ok(false),
        _ => Err(format!("{names}: nothing was stopped")),
    }
}

/// Asks for a line.
///
/// # Errors
/// For people: standard input ended.
pub fn line(question: &str) -> Result<String, String> {
    let mut error = io::stderr();
    let _ = write!(error, "{question}").and_then(|()| error.flush());
    let mut line = String::new();
    match io::stdin().read_line(&mut line) {
        Ok(0) => Err("no answer".into()),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(format!("no answer: {error}")),
    }
}

impl Progress {
    /// Of a round that is told as JSON or not.
    pub fn new(json: bool) -> Self {
        let moving = !json && io::stderr().is_terminal();
        Self { json, moving, drawn: 0, told: BTreeSet::new() }
    }

    /// Shows where `round` is now.
    pub fn show(&mut self, round: &Round) {
        if self.moving {
            let (columns, rows) = ratatui::crossterm::terminal::size().unwrap_or((80, LINES));
            let lines = moving(round, usize::from(rows.max(4)) - 2, usize::from(columns.max(20)) - 1);
            let text: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
            let mut error = io::stderr();
            let _ = write!(error, "{}{text}\x1b[J", up(self.drawn)).and_then(|()| error.flush());
            self.drawn = lines.len();
            return;
        }
        for id in round.rows().keys() {
            if self.told.contains(id) {
                continue;
            }
            let line = if self.json { round.document(id).map(|it| format!("{it}\n")) } else { outcome(round, id) };
            if let Some(line) = line {
                self.told.insert(id.clone());
                out(&line);
            }
        }
    }

    /// The round is over.
    pub fn end(&mut self, round: &Round) {
        if self.moving {
            let _ = write!(io::stderr(), "{}\x1b[J", up(self.drawn));
            self.drawn = 0;
            self.moving = false;
        }
        self.show(round);
        if !self.json && round.rows().len() > 1 {
            note(&round.summary());
        }
    }
}

/// To the beginning of the line so many lines above (ECMA-48 8.3.13, CPL).
fn up(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}F") }
}

fn width(round: &Round) -> usize {
    round.rows().values().map(|row| row.name.chars().count()).max().unwrap_or(0)
}

/// One line of at most `columns` for each box, at most `most`: those that are waited for first.
fn moving(round: &Round, most: usize, columns: usize) -> Vec<String> {
    let over = |row: &&Row| matches!(row.stage, Stage::Over(_));
    let mut rows: Vec<&Row> = round.rows().values().collect();
    let hidden = if rows.len() > most { rows.len() - (most - 1) } else { 0 };
    if hidden > 0 {
        rows.sort_by_key(|row| over(row));
        rows.truncate(most - 1);
    }
    let width = width(round);
    // A line that is broken could not be drawn over.
    let line = |row: &Row| format!("{:width$}  {}", row.name, row.stage.text()).chars().take(columns).collect();
    let mut lines: Vec<String> = rows.into_iter().map(line).collect();
    if hidden > 0 {
        let ended = round.rows().values().filter(over).count();
        lines.push(format!("and {hidden} more; {ended} of {} are over", round.rows().len()));
    }
    lines
}

/// What came of it at box `id`, with its result; none while it goes on.
fn outcome(round: &Round, id: &str) -> Option<String> {
    let row = round.rows().get(id)?;
    let Stage::Over(outcome) = &row.stage else { return None };
    let width = width(round);
    let mut text = format!("{:width$}  {}\n", clean(&row.name), row.stage.text());
    if let Outcome::Successful(result) = outcome {
        text.extend(words::result(round.command(), result).lines().map(|line| format!("  {line}\n")));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::{round::Reply, seen::tests::at};
    use serde_json::json;
    use std::time::Duration;

    fn round(boxes: usize) -> Round {
        let boxes = (0..boxes).map(|number| (format!("fc-{number:04}"), format!("Van {number}"), number != 1));
        Round::new("start", boxes, at(0), Duration::from_secs(60))
    }

    #[test]
    fn a_line_for_each_box_while_they_fit() {
        let mut few = round(3);
        few.hear("fc-0000", Reply::Executing { progress: Some("connecting to Main".into()) });
        let lines = moving(&few, 10, 79);
        assert_eq!(lines, ["Van 0  connecting to Main", "Van 1  offline: nothing was sent", "Van 2  asked"]);
        let mut many = round(50);
        many.hear("fc-0000", Reply::Successful(json!(null)));
        let lines = moving(&many, 10, 79);
        assert_eq!((lines.len(), lines[0].as_str()), (10, "Van 2   asked"), "those that are waited for");
        assert_eq!(lines[9], "and 41 more; 2 of 50 are over");
        let mut long = round(1);
        long.hear("fc-0000", Reply::Executing { progress: Some("x".repeat(200)) });
        assert!(moving(&long, 10, 79)[0].chars().count() < 80);
    }

    #[test]
    fn an_outcome_is_told_with_its_result() {
        let mut round = round(2);
        assert_eq!(outcome(&round, "fc-0000"), None);
        round.hear("fc-0000", Reply::Successful(json!({"now": ["name"]})));
        let text = outcome(&round, "fc-0000").expect("over");
        assert!(text.starts_with("Van 0  done\n  {\n") && text.contains("\"name\""), "{text}");
        assert_eq!(outcome(&round, "fc-0001").expect("over"), "Van 1  offline: nothing was sent\n");
    }
}
