//! Which ingest is used where several take the same key: the nearest, or the next one while that fails.

use super::{Cause, IngestUrl, probe::Measured};
use crate::units::Time;
use std::time::Duration;

/// So many of the nearest are tried: all of them fail together when it is the box's own network that fails, and then it
/// shall not end up on the other side of the world.
const TRIED: usize = 3;
/// After so many attempts in a row without media acknowledged, or
const ATTEMPTS: u32 = 3;
/// after this time and more than one attempt, the next one is tried.
const SPAN: Duration = Duration::from_secs(10);

/// The ingests of one delivery, nearest first, with the region of each; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    ingests: Vec<(Option<String>, IngestUrl)>,
    at: usize,
    failures: u32,
    /// When the first of them was.
    since: Time,
}

impl Choice {
    /// No choice: this one.
    pub fn only(region: Option<String>, url: IngestUrl) -> Self {
        Self { ingests: vec![(region, url)], at: 0, failures: 0, since: Time::ZERO }
    }

    /// The nearest that answered of a measured table.
    ///
    /// # Errors
    /// Why the first one did not answer, if none did.
    pub fn nearest(table: &[Measured]) -> Result<Self, Cause> {
        let answered = table.iter().filter(|row| row.result.is_ok()).take(TRIED);
        let ingests: Vec<_> = answered.map(|row| (Some(row.region.name.clone()), row.region.url.clone())).collect();
        if ingests.is_empty() {
            let why = table.iter().find_map(|row| row.result.clone().err());
            return Err(why.unwrap_or(Cause::NoNetwork));
        }
        Ok(Self { ingests, at: 0, failures: 0, since: Time::ZERO })
    }

    /// The ingest in use.
    pub fn url(&self) -> &IngestUrl {
        &self.ingests[self.at].1
    }

    /// Its region, where it has one.
    pub fn region(&self) -> Option<&str> {
        self.ingests[self.at].0.as_deref()
    }

    /// Media was acknowledged by the ingest in use.
    pub fn worked(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed. Whether another ingest is in use now.
    pub fn failed(&mut self, cause: &Cause, now: Time) -> bool {
        // A refused key is refused everywhere, and without a network or a name server no ingest is to blame.
        let elsewhere = !cause.is_rejection() && !matches!(cause, Cause::NoNetwork | Cause::NameServer);
        if !elsewhere || self.ingests.len() == 1 {
            return false;
        }
        if self.failures == 0 {
            self.since = now;
        }
        self.failures += 1;
        if self.failures < ATTEMPTS && (self.failures == 1 || now.since(self.since) < SPAN) {
            return false;
        }
        self.failures = 0;
        self.at = (self.at + 1) % self.ingests.len();
        true
    }

    /// The network changed while nothing was acknowledged: the nearest gets its chance again. Whether that is another one.
    pub fn begin_again(&mut self) -> bool {
        self.failures = 0;
        std::mem::take(&mut self.at) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::services::Region;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn table(rows: &[(&str, Result<u64, Cause>)]) -> Vec<Measured> {
        let row = |(name, result): &(&str, Result<u64, Cause>)| Measured {
            region: Region {
                name: (*name).into(),
                place: "here".into(),
                url: format!("rtmp://{name}.example/app").parse().unwrap(),
            },
            result: result.clone().map(Duration::from_millis),
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn the_nearest_three_take_turns() {
        let rows = [("fra", Ok(10)), ("ams", Ok(15)), ("lhr", Ok(20)), ("syd", Ok(300)), ("gone", Err(Cause::Refused))];
        let mut choice = Choice::nearest(&table(&rows)).unwrap();
        let mut regions = Vec::new();
        for attempt in 0..9 {
            regions.push(choice.region().unwrap().to_owned());
            assert_eq!(choice.failed(&Cause::Refused, at(attempt * 500)), attempt % 3 == 2);
        }
        assert_eq!(regions, ["fra", "fra", "fra", "ams", "ams", "ams", "lhr", "lhr", "lhr"]);
        assert_eq!((choice.region(), choice.url().host.as_str()), (Some("fra"), "fra.example"), "and from the start");
        assert!(!choice.begin_again());
        assert!((0..3).any(|_| choice.failed(&Cause::Refused, at(9000))));
        assert!(choice.begin_again() && choice.region() == Some("fra"));
    }

    #[test]
    fn slow_failures_count_by_their_time_and_success_forgives() {
        let mut choice = Choice::nearest(&table(&[("fra", Ok(10)), ("ams", Ok(15))])).unwrap();
        assert!(!choice.failed(&Cause::PortBlocked, at(0)));
        choice.worked();
        assert!(!choice.failed(&Cause::PortBlocked, at(60_000)));
        assert!(!choice.failed(&Cause::PortBlocked, at(66_000)) && choice.region() == Some("fra"));
        choice.worked();
        assert!(!choice.failed(&Cause::PortBlocked, at(100_000)));
        assert!(choice.failed(&Cause::PortBlocked, at(110_000)) && choice.region() == Some("ams"));
    }

    #[test]
    fn what_no_other_ingest_would_mend_changes_nothing() {
        let mut choice = Choice::nearest(&table(&[("fra", Ok(10)), ("ams", Ok(15))])).unwrap();
        for attempt in 0..20 {
            for cause in [Cause::KeyRejected, Cause::NameInUse, Cause::NoNetwork, Cause::NameServer] {
                assert!(!choice.failed(&cause, at(attempt * 1000)));
            }
        }
        let mut only = Choice::only(None, "rtmp://h/a".parse().unwrap());
        assert!((0..20).all(|attempt| !only.failed(&Cause::Refused, at(attempt * 1000))));
        let none = Choice::nearest(&table(&[("fra", Err(Cause::Refused)), ("ams", Err(Cause::PortBlocked))]));
        assert_eq!((none, Choice::nearest(&[])), (Err(Cause::Refused), Err(Cause::NoNetwork)));
    }
}
