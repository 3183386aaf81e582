//! What time it is while no time server has said so: the date in a web server's answer, as a hint.
//!
//! Only the servers that settings name are asked, over TLS. Their certificates are judged at the latest time that is known
//! to have been ([`Trust`]). The system's clock is not touched: what is learnt is counted on by the monotonic one, for the
//! times that surfaces show and for the judgement of certificates.

use crate::{
    settings::WebServer,
    sys,
    units::Time,
    uplink::{
        connect::{self, Stream},
        trust::Trust,
    },
};
use jiff::{SignedDuration, Timestamp};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// All of one question: name, connection, TLS, answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// After one that failed, and after one that was answered: the crystal of a box goes off by seconds a day.
const RETRY: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_secs(3600);
/// An answer's head may be so long.
const HEAD: usize = 16 * 1024;

/// A calendar time and when it was: what a calendar says of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    /// When the calendar said `wall`.
    pub at: Time,
    /// What it said.
    pub wall: Timestamp,
}

impl Dated {
    /// What the calendar says at `now`.
    pub fn wall(&self, now: Time) -> Option<Timestamp> {
        let passed = SignedDuration::try_from(now.since(self.at)).ok()?;
        self.wall.checked_add(passed).ok()
    }
}

/// Asks for the time when told to, not too often.
#[derive(Debug, Default)]
pub struct Dates {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Option<Dated>,
    due: Time,
    asking: bool,
}

impl Dates {
    /// What is known of the calendar.
    pub fn known(&self) -> Option<Dated> {
        lock(&self.shared).known
    }

    /// Forgets what was learnt: something better is known.
    pub fn forget(&self) {
        *lock(&self.shared) = Shared::default();
    }

    /// Asks the first of `servers` that answers, in a task of its own, if it is time for that at `now`. What it says of a time
    /// before `floor` is not believed.
    pub fn ask(&self, servers: &[WebServer], floor: Timestamp, trust: &Arc<Trust>, now: Time) {
        let mut shared = lock(&self.shared);
        if shared.asking || now < shared.due || servers.is_empty() {
            return;
        }
        shared.asking = true;
        drop(shared);
        let (shared, servers, trust) = (self.shared.clone(), servers.to_vec(), trust.clone());
        tokio::spawn(async move {
            let mut found = None;
            for server in &servers {
                match date(server, &trust).await {
                    Ok(dated) if dated.wall >= floor => found = Some(dated),
                    Ok(dated) => tracing::warn!(%server, time = %dated.wall, "a web server's date is in the past"),
                    Err(why) => tracing::info!(%server, why, "a web server does not tell the time"),
                }
                if found.is_some() {
                    break;
                }
            }
            let mut shared = lock(&shared);
            shared.known = found.or(shared.known);
            shared.due = sys::now() + if found.is_some() { AGAIN } else { RETRY };
            shared.asking = false;
        });
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks one server.
async fn date(server: &WebServer, trust: &Trust) -> Result<Dated, String> {
    let trust = trust.for_dates();
    let asked = async {
        let addresses = connect::resolve(&server.0).await.map_err(|cause| cause.text())?;
        let tcp = connect::tcp(addresses).await.map_err(|cause| cause.text())?;
        let mut stream = Stream::secure(tcp, &server.0, &trust).await.map_err(|cause| cause.text())?;
        let host = &server.0.host;
        let question = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: fieldcast\r\nConnection: close\r\n\r\n");
        stream.write_all(question.as_bytes()).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD {
            if stream.read_buf(&mut head).await.map_err(|error| error.to_string())? == 0 {
                break;
            }
        }
        let at = sys::now();
        date_of(&head).map(|wall| Dated { at, wall }).ok_or_else(|| "its answer has no date".to_string())
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| Err("it does not answer in time".into()))
}

/// The time in the field `Date` of an answer's head (RFC 9110, 6.6.1). It is cut to whole seconds there: half of one is
/// added.
fn date_of(head: &[u8]) -> Option<Timestamp> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n").take_while(|line| !line.is_empty());
    lines.next().filter(|status| status.starts_with("HTTP/1."))?;
    let fields = lines.filter_map(|line| line.split_once(':'));
    let (_, date) = { fields }.find(|(name, _)| name.eq_ignore_ascii_case("date"))?;
    // IMF-fixdate (RFC 9110, 5.6.7) is a form of RFC 2822's; the older two forms have not been written for decades.
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date.trim()).ok()?;
    time.checked_add(SignedDuration::from_millis(500)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_date_is_read_from_the_head_of_an_answer() {
        let answer =
            |date: &str| format!("HTTP/1.1 301 Moved\r\nServer: x\r\nDATE: {date}\r\nContent-Length: 0\r\n\r\n");
        let text = |date: &str| date_of(answer(date).as_bytes()).map(|time| time.to_string());
        assert_eq!(text("Tue, 24 Nov 2026 01:02:03 GMT").as_deref(), Some("2026-11-24T01:02:03.5Z"));
        for no_date in ["Tue, 24 Nov 2026 25:02:03 GMT", "tomorrow", ""] {
            assert_eq!(text(no_date), None, "{no_date}");
        }
        let body = b"HTTP/1.1 200 OK\r\n\r\nDate: Tue, 24 Nov 2026 01:02:03 GMT\r\n\r\n";
        assert_eq!(date_of(body), None, "what is in the body is not the server's word");
        assert_eq!(date_of(b"Date: Tue, 24 Nov 2026 01:02:03 GMT\r\n\r\n"), None);
    }

    #[test]
    fn a_calendar_goes_on_with_the_monotonic_clock() {
        let wall = "2026-11-24T00:00:00Z".parse().expect("a time");
        let dated = Dated { at: Time::from_millis(5000), wall };
        let later = dated.wall(Time::from_millis(3_605_000)).expect("a time");
        assert_eq!(later.to_string(), "2026-11-24T01:00:00Z");
        assert_eq!(dated.wall(Time::ZERO), Some(wall), "never before");
        assert_eq!(Dated { wall: Timestamp::MAX, ..dated }.wall(Time::from_millis(7000)), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), date in "\\PC{0,40}") {
            let _ = date_of(&bytes);
            let _ = date_of(format!("HTTP/1.1 200 OK\r\ndate: {date}\r\n\r\n").as_bytes());
        }
    }
}
