//! The daemon and its workers as processes, against a real nginx-rtmp on loopback: the pictures that arrive are the right
//! ones, failures do not end the broadcast, and commands do what they say. `tests/README.md` has the tiers.

mod arrival;
mod failures;
mod heat;
mod ingest;
mod operator;
mod several;
mod slate;
mod srt;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

static MACHINE: RwLock<()> = RwLock::new(());

/// Held by a test that others may run beside.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that judges the pace of pictures: the machine does nothing else.
fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// `[[source]]` with its URL and key, and a small picture: what most tests need.
fn settings(url: &str, key: &str) -> String {
    format!("{SMALL}\n{}", source("Main", url, key))
}

/// A picture that costs little to encode, so that tests can run side by side.
const SMALL: &str = "[output]\nmode = \"320x180p30\"\nbitrate-max = \"800 kbit/s\"";

fn source(name: &str, url: &str, key: &str) -> String {
    format!("[[source]]\nname = \"{name}\"\nurl = \"{url}\"\nkey = \"{key}\"\n")
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}
