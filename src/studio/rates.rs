//! How often the API may be asked: what its answers say of each route and account is remembered.

use super::{Trouble, client::date_of};
use crate::{sys, units::Time};
use http::HeaderMap;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A call waits for so long at most; one that has to wait longer says so at once.
const WAITS: Duration = Duration::from_secs(5);
/// X counts over this time (docs.x.com, rate limits): no wait is longer.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// After a 429 that does not say for how long.
const UNTOLD: Duration = Duration::from_secs(60);

/// The parts of paths that are words of the API; all others are ids.
const WORDS: [&str; 18] = [
    "2",
    "sources",
    "stream_key",
    "region",
    "broadcasts",
    "state",
    "scheduled",
    "live",
    "media",
    "upload",
    "initialize",
    "append",
    "finalize",
    "metadata",
    "tweets",
    "users",
    "me",
    "oauth2",
];

/// Routes that must not be asked before a time.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<BTreeMap<String, Time>>);

impl Rates {
    /// The route of a path, for one account: limits are by user and route.
    pub fn route(account: &str, method: &str, path: &str) -> String {
        let parts = path.split('/').skip(1).map(|part| if WORDS.contains(&part) { part } else { "{id}" });
        let parts: Vec<_> = parts.collect();
        format!("{account} {method} /{}", parts.join("/"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Time>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until this route may be asked.
    ///
    /// # Errors
    /// That is long.
    pub async fn wait(&self, route: &str) -> Result<(), Trouble> {
        let left = match self.lock().get(route) {
            Some(until) => until.since(sys::now()),
            None => return Ok(()),
        };
        if left > WAITS {
            return Err(Trouble::TooMany(left));
        }
        tokio::time::sleep(left).await;
        Ok(())
    }

    /// Remembers what an answer says. X's times are by X's calendar, which the answer tells too; `now` is the own one.
    pub fn note(&self, route: &str, status: u16, headers: &HeaderMap, now: Timestamp) {
        let mut all = self.lock();
        match pause(status, headers, now) {
            Some(pause) => drop(all.insert(route.to_owned(), sys::now() + pause)),
            None => drop(all.remove(route)),
        }
    }
}

/// How long this route must not be asked; none: it may be.
fn pause(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let number = |name: &str| text(name).and_then(|text| text.trim().parse::<i64>().ok());
    if status != 429 && number("x-rate-limit-remaining") != Some(0) {
        return None;
    }
    let now = text("date").and_then(date_of).unwrap_or(now).as_second();
    // The date is cut to whole seconds: one more is on the safe side.
    let reset = number("x-rate-limit-reset").map(|reset| reset.saturating_sub(now).saturating_add(1));
    let told = reset.or_else(|| number("retry-after"));
    let wait = told.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(WINDOW));
    match status {
        429 => Some(wait.unwrap_or(UNTOLD).max(Duration::from_secs(1))),
        _ => wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter()
            .map(|(name, value)| ((*name).parse().expect("a name"), HeaderValue::from_str(value).expect("a value")))
            .collect()
    }

    #[test]
    fn a_limit_is_of_a_route_and_an_account() {
        let route = |path: &str| Rates::route("a", "GET", path);
        assert_eq!(route("/2/sources/1923456789012345678/stream_key"), "a GET /2/sources/{id}/stream_key");
        assert_eq!(route("/2/broadcasts/1yKSabcdefghi"), route("/2/broadcasts/abcdefghijklm"));
        assert_ne!(route("/2/broadcasts/scheduled"), route("/2/broadcasts/1yKSabcdefghi"));
    }

    #[test]
    fn the_wait_is_by_the_calendar_of_the_answer() {
        let (now, reset) = ("2026-11-24T01:00:00Z".parse().expect("a time"), "1795485720");
        let date = ("date", "Tue, 24 Nov 2026 02:01:00 GMT");
        let spent = |status, remaining, more: &[(&'static str, &str)]| {
            let all = [&[("x-rate-limit-remaining", remaining), ("x-rate-limit-reset", reset)], more].concat();
            pause(status, &headers(&all), now)
        };
        assert_eq!(spent(200, "7", &[date]), None);
        assert_eq!(spent(200, "0", &[date]), Some(Duration::from_secs(61)));
        assert_eq!(spent(429, "0", &[date]), Some(Duration::from_secs(61)));
        assert_eq!(spent(429, "0", &[]), Some(WINDOW), "the own clock is an hour behind: bounded");
        assert_eq!(pause(429, &headers(&[]), now), Some(UNTOLD));
        assert_eq!(pause(429, &headers(&[("retry-after", "7")]), now), Some(Duration::from_secs(7)));
        assert_eq!(pause(429, &headers(&[("retry-after", "-7")]), now), Some(Duration::from_secs(1)));
        assert_eq!(pause(200, &headers(&[("x-rate-limit-remaining", "0")]), now), None);
    }

    #[tokio::test]
    async fn a_long_wait_is_told_at_once() {
        let rates = Rates::default();
        rates.note("a", 429, &headers(&[("retry-after", "100")]), Timestamp::UNIX_EPOCH);
        assert!(matches!(rates.wait("a").await, Err(Trouble::TooMany(left)) if left > Duration::from_secs(90)));
        assert_eq!(rates.wait("b").await, Ok(()));
        rates.note("a", 200, &headers(&[("x-rate-limit-remaining", "5")]), Timestamp::UNIX_EPOCH);
        assert_eq!(rates.wait("a").await, Ok(()));
    }
}
