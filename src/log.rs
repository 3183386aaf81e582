//! The log: to standard error, for people, for journald or as JSON; its last lines are kept for who asks from afar.

mod recent;

pub use recent::{follow, last};

use rustix::fs::fstat;
use std::{fmt, io};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

/// Environment variable with the filter, such as `info` or `fieldcast::uplink=debug`.
pub const FILTER: &str = "FIELDCAST_LOG";

/// Starts logging for the whole process. A wrong filter is told and `info` used: a box has to start.
pub fn start(json: bool) {
    let wanted = std::env::var(FILTER).unwrap_or_default();
    let filter = EnvFilter::builder().parse(if wanted.is_empty() { "info" } else { &wanted });
    let wrong = filter.as_ref().err().map(ToString::to_string);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    if json {
        builder.json().flatten_event(true).finish().with(recent::Recent).init();
    } else if to_journal(std::env::var("JOURNAL_STREAM").ok().as_deref(), io::stderr()) {
        builder.event_format(Journal).finish().with(recent::Recent).init();
    } else {
        builder.finish().with(recent::Recent).init();
    }
    if let Some(error) = wrong {
        tracing::warn!("{FILTER}={wanted:?} is not a filter ({error}); using \"info\"");
    }
}

/// Whether `stream` is the journal's, by the device and inode number in `$JOURNAL_STREAM` (systemd.exec(5)).
fn to_journal(journal: Option<&str>, stream: impl std::os::fd::AsFd) -> bool {
    journal.zip(fstat(stream).ok()).is_some_and(|(journal, file)| journal == format!("{}:{}", file.st_dev, file.st_ino))
}

/// Lines for journald: it has its own time stamps and takes the level from a prefix (sd-daemon(3)).
struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{level}>{}: ", event.metadata().target())?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn the_journal_is_known_by_its_inode() {
        let file = tempfile::tempfile().expect("file");
        let stat = fstat(&file).expect("stat");
        let name = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(to_journal(Some(&name), &file));
        assert!(!to_journal(Some(&format!("{name}0")), &file));
        assert!(!to_journal(None, &file));
    }

    #[test]
    fn journal_lines_have_a_level_and_no_time() {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("lock").write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let sink = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).event_format(Journal).with_writer(move || sink.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::warn!(target: "fieldcast", input = "hdmi", "no signal");
        });
        assert_eq!(String::from_utf8_lossy(&lines.0.lock().expect("lock")), "<4>fieldcast: no signal input=\"hdmi\"\n");
    }
}
