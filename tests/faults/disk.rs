//! A disk that is full while something has to be saved.

use crate::support::now;
use serde_json::{Value, json};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// A box whose disk can be filled.
pub trait Disk {
    /// Fills the disk of the state folder, or gives its space back.
    fn fill(&mut self, full: bool);
    /// Gives the box a command: its HTTP status.
    fn tell(&mut self, command: &str, arguments: Value) -> u16;
    /// The status; none while nothing answers.
    fn ask(&mut self) -> Option<Value>;
    /// What `intent.json` says on the disk.
    fn intent(&mut self) -> Value;
    /// How long it may take the box to tell of the disk, or to save again.
    fn patience(&self) -> Duration;
}

const CODE: &str = "state-not-saved";

/// The code of each fault in a status.
pub fn codes(status: &Value) -> Vec<String> {
    let faults = status["faults"].as_array().into_iter().flatten();
    faults.filter_map(|fault| Some(fault["code"].as_str()?.to_owned())).collect()
}

fn stands(disk: &mut impl Disk) -> bool {
    disk.ask().is_some_and(|status| codes(&status).iter().any(|code| code == CODE))
}

/// How long it took until this holds; none: longer than it may.
fn within<D: Disk>(disk: &mut D, holds: impl Fn(&mut D) -> bool) -> Option<Duration> {
    let (from, patience): (Instant, Duration) = (now(), disk.patience());
    while from.elapsed() < patience {
        if holds(disk) {
            return Some(from.elapsed());
        }
        sleep(Duration::from_millis(50));
    }
    None
}

/// Fills the disk and has two things saved: a setting, which is refused, and a wish, which holds although it cannot be saved.
/// The wish is that nothing is heard: no picture is missing for it. What was wrong is added to `wrong`.
pub fn fill(disk: &mut impl Disk, wrong: &mut Vec<String>) {
    disk.fill(true);
    let code = disk.tell("set", json!({"name": "Full"}));
    if code != 500 {
        wrong.push(format!("a setting on a full disk was answered with {code}, not 500"));
    }
    let code = disk.tell("show", json!({"what": "live", "mute": true}));
    if code != 200 {
        wrong.push(format!("mute on a full disk was answered with {code}, not 200"));
    }
    if within(disk, stands).is_none() {
        wrong.push(format!("{CODE} was not told"));
    }
}

/// Gives the space back: what was not saved has to be, without another word from anybody.
pub fn empty(disk: &mut impl Disk, wrong: &mut Vec<String>) {
    if !stands(disk) {
        wrong.push(format!("{CODE} did not stand while the disk was full"));
    }
    let muted = disk.ask().is_some_and(|status| status["program"]["muted"] == true && status["name"] != "Full");
    if !muted {
        wrong.push("muted, and of the old name, is not what the status said".into());
    }
    disk.fill(false);
    match within(disk, |disk| disk.ask().is_some() && !stands(disk)) {
        Some(took) => eprintln!("          {CODE} went after {} ms", took.as_millis()),
        None => wrong.push(format!("{CODE} stands {:?} after there is space", disk.patience())),
    }
    let intent = disk.intent();
    if intent["mute"] != true || intent["intent"] != "on-air" {
        wrong.push(format!("intent.json is not what the operator wants now: {intent}"));
    }
    let code = disk.tell("show", json!({"what": "live", "mute": false}));
    if code != 200 || within(disk, |disk| disk.intent()["mute"] == false).is_none() {
        wrong.push(format!("{code} for sound, and intent.json says {}", disk.intent()));
    }
}
