//! The fault campaign: a seeded random series of what can happen in a field, against one long push. Only what the ingest
//! recorded and what the status said is judged.
//!
//! `make faults` runs it for `SECONDS` (600) with `SEED`; half of the time here on loopback, half on the emulated box. A
//! slice of each runs in `make test`.

mod disk;
mod emulated;
#[path = "../loopback/ingest.rs"]
mod ingest;
mod judge;
mod names;
mod recordings;
mod rig;
mod series;
#[path = "../support/mod.rs"]
mod support;
mod witness;

use series::Step;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the half on the emulated box lasts in `make test`; that on loopback is a round.
const SLICE: Duration = Duration::from_secs(90);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} has to be a number, not {text:?}")))
}

/// How long a half lasts.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// Until each fault was done once.
    Round,
    /// No new fault begins after this time.
    Time(Duration),
}

impl Length {
    /// The steps to be taken, of which a round has `round`.
    fn of(self, steps: impl Iterator<Item = Step>, round: usize) -> impl Iterator<Item = Step> {
        let begun = support::now();
        steps
            .enumerate()
            .take_while(move |(index, _)| match self {
                Self::Round => *index < round,
                Self::Time(time) => begun.elapsed() < time,
            })
            .map(|(_, step)| step)
    }
}

/// How long this half lasts, `slice` where nobody says, and the seed of its series: another one each day.
#[allow(clippy::disallowed_methods, reason = "the date is the seed")]
fn campaign(slice: Length) -> (Length, u64) {
    let length = number("SECONDS").map_or(slice, |seconds| Length::Time(Duration::from_secs(seconds) / 2));
    let day = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    (length, number("SEED").unwrap_or_else(day))
}

#[test]
fn loopback_survives_a_random_series() {
    if !support::has_tools() || support::in_namespace("loopback_survives_a_random_series", rig::NAMESPACE) {
        return;
    }
    let (length, seed) = campaign(Length::Round);
    conclude("on loopback", seed, &rig::run(length, seed));
}

/// Two emulated cores that share a machine with other tests starve the box, which then keeps no promise.
#[test]
#[ignore = "run by `make faults`, alone"]
fn the_emulated_box_survives_a_random_series() {
    let Some(_machine) = support::guest::the_machine() else { return };
    let (length, seed) = campaign(Length::Time(SLICE));
    conclude("on the emulated box", seed, &emulated::run(length, seed));
}

fn conclude(place: &str, seed: u64, run: &rig::Run) {
    let verdict = judge::judge(run);
    eprintln!("\nfault campaign {place}, seed {seed}\n{verdict}");
    assert!(verdict.failures.is_empty(), "{} promises were not kept", verdict.failures.len());
}
