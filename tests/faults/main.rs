//! The fault campaign: a seeded random series of what can happen in a field, against one long push. Only what the ingest
//! recorded and what the status said is judged.
//!
//! `make faults` runs it for `SECONDS` (600) with `SEED`; half of the time here on loopback, half on the emulated box. A
//! slice of each runs in `make test`.

mod emulated;
#[path = "../loopback/ingest.rs"]
mod ingest;
mod judge;
mod rig;
mod series;
#[path = "../support/mod.rs"]
mod support;
mod witness;

use std::time::Duration;

/// How long each half of the campaign lasts in `make test`.
const SLICE: Duration = Duration::from_secs(75);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} has to be a number, not {text:?}")))
}

/// How long this half lasts, and the seed of its series.
fn campaign() -> (Duration, u64) {
    let length = number("SECONDS").map_or(SLICE, |seconds| Duration::from_secs(seconds) / 2);
    (length, number("SEED").unwrap_or(1))
}

#[test]
fn loopback_survives_a_random_series() {
    if !support::has_tools() || support::in_namespace("loopback_survives_a_random_series", rig::NAMESPACE) {
        return;
    }
    let (length, seed) = campaign();
    conclude("on loopback", seed, &rig::run(length, seed));
}

#[test]
fn the_emulated_box_survives_a_random_series() {
    let Some(_machine) = support::guest::the_machine() else { return };
    let (length, seed) = campaign();
    conclude("on the emulated box", seed, &emulated::run(length, seed));
}

fn conclude(place: &str, seed: u64, run: &rig::Run) {
    let verdict = judge::judge(run);
    eprintln!("\nfault campaign {place}, seed {seed}\n{verdict}");
    assert!(verdict.failures.is_empty(), "{} promises were not kept", verdict.failures.len());
}
