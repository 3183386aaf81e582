//! The log's last lines, in memory: the daemon may not read the journal, and a card that fails takes no log.

use crate::remote::document::LogLine;
use jiff::Timestamp;
use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{LazyLock, Mutex, PoisonError},
};
use tokio::sync::broadcast;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// Lines that are kept.
const KEPT: usize = 1000;
/// Bytes of a line.
const LONGEST: usize = 1000;
/// Lines that a follower may be behind.
const BEHIND: usize = 256;
/// What pairs a computer is for the eyes of who stands at the box.
const PIN: &str = "fieldcast::pin";

static LINES: LazyLock<Mutex<VecDeque<LogLine>>> = LazyLock::new(Mutex::default);
static FOLLOWERS: LazyLock<broadcast::Sender<LogLine>> = LazyLock::new(|| broadcast::channel(BEHIND).0);

/// The last `count` lines since `since`, oldest first.
pub fn last(count: usize, since: Option<Timestamp>) -> Vec<LogLine> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = |line: &&LogLine| since.is_none_or(|since| line.time.is_some_and(|time| time >= since));
    let mut last: Vec<LogLine> = lines.iter().rev().filter(wanted).take(count).cloned().collect();
    last.reverse();
    last
}

/// The lines from now on.
pub fn follow() -> broadcast::Receiver<LogLine> {
    FOLLOWERS.subscribe()
}

/// Keeps what is logged.
pub(super) struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if about.target() == PIN {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let line = LogLine {
            time: Some(Timestamp::now()),
            level: about.level().as_str().to_ascii_lowercase(),
            target: about.target().into(),
            text: text.0,
        };
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= KEPT {
            lines.pop_front();
        }
        lines.push_back(line.clone());
        drop(lines);
        // Nobody may be following.
        let _ = FOLLOWERS.send(line);
    }
}

/// The message, then the fields as `name=value`.
struct Text(String);

impl Text {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.0.len() >= LONGEST {
            return;
        }
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        let _ = match field.name() {
            "message" => self.0.write_fmt(value),
            name => write!(self.0, "{name}={value}"),
        };
        let end = (0..=LONGEST.min(self.0.len())).rev().find(|end| self.0.is_char_boundary(*end));
        self.0.truncate(end.unwrap_or(0));
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn the_last_lines_are_kept_but_no_pin() {
        let subscriber = tracing_subscriber::registry().with(Recent);
        let mut followed = follow();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "recent", input = "hdmi", "no signal on {}", 1);
            tracing::info!(target: "fieldcast::pin", "PIN 123456");
            tracing::info!(target: "recent", "{}", "ä".repeat(2000));
        });
        let lines: Vec<_> = last(KEPT, None).into_iter().filter(|line| line.target == "recent").collect();
        assert_eq!((lines[0].text.as_str(), lines[0].level.as_str()), ("no signal on 1 input=hdmi", "warn"));
        assert_eq!((lines.len(), lines[1].text.len()), (2, LONGEST));
        assert!(!last(KEPT, None).iter().any(|line| line.text.contains("123456")));
        assert_eq!(followed.try_recv().map(|line| line.target).as_deref(), Ok("recent"));
        assert_eq!(last(KEPT, Some(Timestamp::MAX)), []);
    }
}
