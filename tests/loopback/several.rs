//! Several Sources at once, none of which touches another, and the backup.

use crate::{
    SMALL, beside_others,
    ingest::Ingest,
    seconds, source,
    support::{
        Nginx,
        daemon::Daemon,
        has_tools,
        host::Host,
        in_namespace, now,
        picture::{self, Recording},
        wait,
    },
};
use serde_json::{Value, json};
use std::{process::Command, thread::sleep, time::Duration};

/// What the status says of the uplink to `source`.
fn uplink(daemon: &Daemon, list: &Value, source: &str) -> Option<Value> {
    let uplinks = list["uplinks"].as_array().unwrap_or_else(|| panic!("uplinks: {}", daemon.log()));
    uplinks.iter().find(|uplink| uplink["source"] == source).cloned()
}

fn state(daemon: &Daemon, source: &str) -> String {
    let status = daemon.status();
    uplink(daemon, &status, source)
        .map_or("none".into(), |uplink| uplink["state"].as_str().expect("a state").to_owned())
}

fn has_fault(daemon: &Daemon, code: &str, text: &str) -> bool {
    let status = daemon.status();
    let faults = status["faults"].as_array().expect("faults");
    faults.iter().any(|fault| fault["code"] == code && fault["text"].as_str().is_some_and(|found| found.contains(text)))
}

#[test]
fn one_that_freezes_and_one_that_is_slow_touch_no_other() {
    const NAME: &str = "several::one_that_freezes_and_one_that_is_slow_touch_no_other";
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    if in_namespace(NAME, "ip link set lo up") {
        return;
    }
    let host = Host::start();
    host.cable(1);
    // A third of what the program needs.
    let shaper = "qdisc add dev c1 root tbf rate 300kbit burst 8kb latency 200ms";
    assert!(Command::new("tc").args(shaper.split(' ')).status().expect("tc(8)").success());
    let (good, frozen, slow) = (Ingest::start(), Ingest::start(), Nginx::start_on(&host, "10.9.1.2", ""));
    let sources = [("Frozen", frozen.url()), ("Good", good.url()), ("Slow", slow.url())];
    let sources: String = sources.iter().map(|(name, url)| source(name, url, &name.to_lowercase())).collect();
    let daemon = Daemon::start(&format!("{SMALL}\n{sources}\n[push]\nsources = [\"Good\", \"Frozen\", \"Slow\"]"));
    daemon.succeed("start", json!({}));
    for name in ["Good", "Frozen", "Slow"] {
        wait(name, seconds(10), || (state(&daemon, name) == "on-air").then_some(()));
    }
    sleep(seconds(3));
    frozen.nginx.freeze();
    let began = now();
    let mut told = None;
    while began.elapsed() < seconds(13) {
        let status = daemon.status();
        assert_eq!(status["phase"], "on-air");
        assert_eq!(uplink(&daemon, &status, "Good").expect("it")["state"], "on-air");
        if uplink(&daemon, &status, "Frozen").expect("it")["state"] != "on-air" {
            told.get_or_insert(began.elapsed());
            assert!(!daemon.faults().is_empty(), "nothing else would tell");
        }
        sleep(Duration::from_millis(50));
    }
    println!("frozen and told after {told:.2?}");
    assert!(told.is_some_and(|told| told < Duration::from_millis(3300)), "{told:?}");
    frozen.nginx.thaw();
    wait("it is back", seconds(4), || (state(&daemon, "Frozen") == "on-air").then_some(()));
    // The figures come once a second.
    sleep(seconds(2));
    let status = daemon.status();
    let figures = |name| uplink(&daemon, &status["stats"], name).expect("figures");
    assert_eq!((&figures("Good")["reconnects"], &figures("Frozen")["reconnects"]), (&json!(0), &json!(1)));
    assert!(figures("Good")["queue-ms"].as_u64().expect("ms") < 500, "{status}");
    assert!(status["stats"]["dropped-pictures"].as_u64().expect("a number") > 0, "the slow one drops what is too much");
    daemon.succeed("stop", json!({"confirm": true}));

    assert_eq!((good.publishes("good"), frozen.publishes("frozen")), (1, 2));
    let file = &good.recordings("good")[0];
    assert_eq!(picture::decodes(file), Ok(()));
    let recording = Recording::read(file, 30.0).expect("readable");
    println!("{} pictures, longest gap {:.0} ms", recording.pictures.len(), recording.longest_gap());
    assert_eq!(recording.losses(), []);
    // Each Source begins with an IDR, and one more each 10 s is all that the slow one may ask for.
    let forced = recording.keyframe_intervals().iter().filter(|pictures| **pictures < 60).count();
    println!("{forced} IDR pictures out of turn");
    assert!(forced <= 8, "{:?}", recording.keyframe_intervals());
}

#[test]
fn the_backup_carries_while_the_primary_is_lost() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let (mut main, spare) = (Ingest::start(), Ingest::start());
    let sources = source("Main", &main.url(), "main") + &source("Spare", &spare.url(), "spare");
    let daemon =
        Daemon::start(&format!("{SMALL}\n{sources}\n[push]\nbackup = \"Spare\"\nbackup-return = \"after 4 s\""));
    daemon.succeed("start", json!({}));
    sleep(seconds(3));
    assert_eq!(state(&daemon, "Spare"), "none");
    main.nginx.kill();
    let killed = now();
    daemon.wait_for("reconnecting", seconds(4));
    daemon.wait_for("on-air", seconds(12));
    let carried = killed.elapsed();
    println!("the backup carries after {carried:.1?}");
    assert!((seconds(9)..seconds(12)).contains(&carried), "{carried:?}");
    assert_eq!(state(&daemon, "Spare"), "on-air");
    assert!(has_fault(&daemon, "on-backup", "Spare is used in place of Main"));
    assert!(["waiting", "connecting"].contains(&state(&daemon, "Main").as_str()), "it is tried on");
    sleep(seconds(3));
    main.nginx.restart();
    wait("the primary is back", seconds(4), || (state(&daemon, "Main") == "on-air").then_some(()));
    let back = now();
    while state(&daemon, "Spare") != "none" {
        assert_eq!(daemon.phase(), "on-air");
        assert!(back.elapsed() < seconds(7));
        sleep(Duration::from_millis(50));
    }
    println!("given back after {:.1?}", back.elapsed());
    assert!(back.elapsed() > seconds(3));
    sleep(seconds(1));
    assert_eq!(daemon.faults(), [""; 0]);
    daemon.succeed("stop", json!({"confirm": true}));
    assert_eq!((spare.publishes("spare"), spare.endings("spare")), (1, vec![true]), "it was ended properly");
    let file = &spare.recordings("spare")[0];
    assert_eq!(picture::decodes(file), Ok(()));
    let recording = Recording::read(file, 30.0).expect("readable");
    assert!(recording.pictures[0].key);
    assert_eq!(recording.losses(), []);
}
