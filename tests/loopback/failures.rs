//! What breaks does not end the broadcast, and the status never says more than is true.

use crate::{
    beside_others,
    ingest::Ingest,
    seconds, settings,
    support::{
        daemon::{Daemon, media_workers, signal},
        has_tools, now,
        picture::{self, Flaw, Recording},
        wait,
    },
};
use serde_json::json;
use std::{thread::sleep, time::Duration};

#[test]
fn a_killed_worker_leaves_the_uplink_alone() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let daemon = Daemon::start(&settings(&ingest.url(), "workers"));
    daemon.succeed("start", json!({}));
    sleep(seconds(3));
    let workers = daemon.workers();
    assert_eq!(workers.len(), 2, "one for the picture, one for the sound");
    for worker in &workers {
        signal(*worker, "KILL");
        let killed = now();
        while killed.elapsed() < seconds(5) {
            assert_eq!(daemon.phase(), "on-air");
            sleep(Duration::from_millis(50));
        }
    }
    let again = daemon.workers();
    assert!(again.len() == 2 && again.iter().all(|worker| !workers.contains(worker)), "{workers:?} -> {again:?}");
    assert_eq!(daemon.status()["stats"]["uplinks"][0]["reconnects"], 0);
    daemon.succeed("stop", json!({"confirm": true}));

    assert_eq!(ingest.publishes("workers"), 1);
    let file = &ingest.recordings("workers")[0];
    assert_eq!(picture::decodes(file), Ok(()));
    assert_eq!(picture::decodes(&picture::remux_to_mp4(file).expect("an MP4")), Ok(()));
    assert_eq!(picture::decodes(&ingest.playlist("workers")), Ok(()));
    let recording = Recording::read(file, 30.0).expect("readable");
    assert!(recording.in_order());
    let gap = recording.longest_gap();
    println!("longest gap between pictures: {gap:.0} ms; beeps at {:.0?}", recording.beeps);
    // Nothing was wrong but the one break in the pictures, and the sound went on as silence.
    let flaws = recording.flaws();
    assert!(flaws.iter().all(|flaw| matches!(flaw, Flaw::Counter { .. } | Flaw::Pace { .. })), "{flaws:?}");
    let breaks = flaws.iter().filter(|flaw| matches!(flaw, Flaw::Counter { .. })).count();
    assert!(breaks <= 1 && gap <= 2000.0, "{flaws:?}");
    // The new worker began with an IDR picture, wherever the interval was.
    assert!(recording.keyframe_intervals().iter().any(|pictures| *pictures != 60));
    let starts: Vec<f64> = recording.beeps.iter().map(|beep| beep.begins).collect();
    let pauses: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| *pause < 3100.0), "sound was away for too long: {pauses:?}");
    let last = recording.lip_sync().into_iter().rev().take(3).collect::<Vec<_>>();
    assert!(last.iter().all(|offset| offset.is_some_and(|offset| offset.abs() <= 40.0)), "{last:?}");
}

#[test]
fn an_ingest_that_restarts_gets_the_stream_back() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let mut ingest = Ingest::start();
    let daemon = Daemon::start(&settings(&ingest.url(), "restart"));
    daemon.succeed("start", json!({}));
    sleep(seconds(2));
    let workers = daemon.workers();
    ingest.nginx.kill();
    let status = daemon.wait_for("reconnecting", seconds(4));
    assert_ne!(status["uplinks"][0]["state"], "on-air");
    assert_eq!(status["intent"], "on-air");
    assert_ne!(daemon.faults(), [""; 0]);
    sleep(seconds(2));
    ingest.nginx.restart();
    let begun = now();
    daemon.wait_for("on-air", seconds(12));
    println!("back after {:.1?}", begun.elapsed());
    sleep(seconds(3));
    assert_eq!(daemon.status()["stats"]["uplinks"][0]["reconnects"], 1);
    assert_eq!(daemon.faults(), [""; 0]);
    assert_eq!(daemon.workers(), workers, "the encoder had no part in this");
    daemon.succeed("stop", json!({"confirm": true}));
    let files = ingest.recordings("restart");
    let file = files.last().expect("a recording");
    let recording = Recording::read(file, 30.0).expect("readable");
    assert_eq!(recording.losses(), []);
    assert!(recording.pictures[0].key, "it begins where decoding can begin");
}

#[test]
fn an_ingest_that_hangs_is_not_on_air() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let daemon = Daemon::start(&settings(&ingest.url(), "hang"));
    daemon.succeed("start", json!({}));
    sleep(seconds(2));
    ingest.nginx.freeze();
    let frozen = now();
    let mut last_on_air = frozen;
    // The last acknowledgement may be on its way when it freezes; from then on 3 s are all that is given.
    while frozen.elapsed() < seconds(8) {
        let asked = now();
        match daemon.phase().as_str() {
            "on-air" => last_on_air = asked,
            phase => assert_eq!(phase, "reconnecting"),
        }
        sleep(Duration::from_millis(20));
    }
    println!("called on air for {:.2?} after the ingest froze", last_on_air - frozen);
    assert!(last_on_air - frozen < Duration::from_millis(3200), "{:?}", last_on_air - frozen);
    let stop = now();
    daemon.succeed("stop", json!({"confirm": true}));
    assert!(stop.elapsed() < Duration::from_millis(1500), "stop took {:?}", stop.elapsed());
    ingest.nginx.thaw();
}

#[test]
fn a_killed_daemon_leaves_no_worker_behind() {
    let _others = beside_others();
    let mut daemon = Daemon::start(&settings("rtmp://127.0.0.1:9/live", "orphans"));
    let workers = wait("both workers", seconds(5), || Some(daemon.workers()).filter(|workers| workers.len() == 2));
    daemon.signal("KILL");
    daemon.ended(seconds(1));
    let killed = now();
    let left = || media_workers().into_iter().any(|(pid, _)| workers.contains(&pid));
    while left() {
        assert!(killed.elapsed() < seconds(1), "{workers:?} live on");
        sleep(Duration::from_millis(10));
    }
}
