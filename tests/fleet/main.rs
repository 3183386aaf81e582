//! A fleet at one broker: simulated boxes with the real control core and the real remote task, a real mosquitto and the real
//! `fieldcast`. `make fleet` measures a thousand; the same with five is a test like any other.

mod boxes;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod witness;

use boxes::{Boxes, id};
use report::{Figures, Span};
use std::{
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};
use support::{
    broker::{Broker, has_broker},
    now,
};
use witness::{Asked, Witness};

/// mosquitto forgets what waits for a client beyond 1000 messages, which is less than a fleet answers; and a log of each
/// message would be measured.
const BROKER: &str = "log_type none\nlog_type error\nmax_queued_messages 0\n";
/// Nothing takes longer.
const LIMIT: Duration = Duration::from_secs(60);
/// Boxes that are asked one after the other.
const SINGLES: usize = 100;

/// Runs `fieldcast` for all boxes at the broker at `port`.
fn fieldcast(port: u16, verb: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_fieldcast"))
        .args([verb, "--all", "--yes", "--json", "--broker", &format!("mqtt://127.0.0.1:{port}")])
        .env_clear()
        .env("FIELDCAST_CONFIG", folder.path().join("config.toml"))
        .output();
    output.expect("run")
}

/// Lets `boxes` live for `time`, and counts what they say.
fn span(boxes: &Boxes, witness: &Witness, time: Duration) -> Span {
    // Until what happened before is told.
    sleep(Duration::from_secs(2));
    witness.book().traffic.clear();
    let (begun, used) = (now(), boxes.used());
    sleep(time);
    let (traffic, used) = (witness.book().traffic.clone(), boxes.used() - used);
    Span { time: begun.elapsed(), traffic, used }
}

/// Measures `number` boxes, for `time` off air and on air.
fn measure(number: usize, time: Duration) -> Figures {
    let mut broker = Broker::start(BROKER);
    let witness = Witness::at(broker.port);
    let since = |begun: Instant| witness.online(number, LIMIT) - begun;
    let begun = now();
    let boxes = Boxes::start(number, broker.port);
    let online = since(begun);
    let off_air = span(&boxes, &witness, time);

    let single: Vec<Asked> = (0..number.min(SINGLES)).map(|number| witness.start(&id(number))).collect();
    // Who asks for the confirmation has to see them on air.
    witness.on_air(single.len(), LIMIT);
    let stopped = fieldcast(broker.port, "stop");
    assert!(stopped.status.success(), "{stopped:?}");
    witness.on_air(0, LIMIT);
    witness.take_asked();
    let begun = now();
    let started = fieldcast(broker.port, "start");
    let command = begun.elapsed();
    assert!(started.status.success(), "{started:?}");
    let done = String::from_utf8_lossy(&started.stdout).matches("\"status\":\"successful\"").count();
    assert_eq!(done, number, "{started:?}");
    witness.on_air(number, LIMIT);
    let all = witness.take_asked();
    let on_air = span(&boxes, &witness, time);
    let faults = witness.book().faults.clone();
    assert!(faults.is_empty(), "{faults:?}");

    let begun = now();
    broker.kill();
    // The new one has forgotten everything: each box tells it anew.
    {
        let mut book = witness.book();
        book.online.clear();
        book.on_air.clear();
    }
    broker.start_again();
    let back = since(begun);
    witness.on_air(number, LIMIT);
    let largest = witness.book().largest.clone();
    Figures { boxes: number, online, single, all, command, off_air, on_air, largest, back }
}

#[test]
fn every_box_is_found_asked_and_answers_and_comes_back() {
    if !has_broker() {
        return;
    }
    let figures = measure(5, Duration::from_secs(2));
    println!("{figures}");
    assert_eq!((figures.single.len(), figures.all.len()), (5, 5));
    for asked in figures.single.iter().chain(&figures.all) {
        assert!(asked.executing.is_some(), "{asked:?}");
        assert!(asked.answered.as_ref().is_some_and(|(_, text)| text.is_empty()), "{asked:?}");
    }
    for (kind, most) in [("status", report::STATUS), ("stats", report::STATS)] {
        assert!(figures.largest[kind] <= most, "{kind}: {figures}");
    }
}

#[test]
#[ignore = "run by `make fleet`, alone"]
fn fleet() {
    if !has_broker() {
        return;
    }
    let boxes = std::env::var("BOXES").map_or(1000, |boxes| boxes.parse().expect("BOXES is a number"));
    println!("{}", measure(boxes, Duration::from_secs(30)));
}
