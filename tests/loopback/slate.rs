//! What viewers get when there is no live picture: the slate within half a second, at once when the operator asks for it, and
//! live pictures again from an IDR on.

use crate::{
    alone, beside_others,
    ingest::Ingest,
    seconds, settings,
    support::{
        daemon::{Daemon, signal},
        flv, has_tools, now,
        picture::{self, Flaw, Recording},
        skip, wait,
    },
};
use serde_json::json;
use std::{path::Path, thread::sleep, time::Duration};

/// Until both cards are made; the first time an encoder is started for each.
fn cards_made(daemon: &Daemon) {
    let folder = daemon.folder.path().join("state/slates");
    let kept = || std::fs::read_dir(&folder).map_or(0, |entries| entries.flatten().count());
    wait("slate and test picture are made", seconds(20), || (kept() >= 2).then_some(()));
    sleep(Duration::from_millis(500));
}

/// The process of the worker that encodes the picture.
fn video_worker(daemon: &Daemon) -> u32 {
    let encodes =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default().contains("libgstx264");
    wait("the video worker", seconds(5), || daemon.workers().into_iter().find(encodes))
}

/// Pictures that are not the live test picture, by index; the longest time between two pictures; whether each switch is at a
/// keyframe.
fn cards(recording: &Recording) -> (Vec<usize>, f64, bool) {
    let pictures = &recording.pictures;
    let card = |index: &usize| pictures[*index].counter.is_none();
    let shown: Vec<usize> = (0..pictures.len()).filter(card).collect();
    let switches = (1..pictures.len()).filter(|at| card(at) != card(&(at - 1)));
    let clean = switches.clone().all(|at| pictures[at].key);
    (shown, recording.longest_gap(), clean)
}

fn decodes_everywhere(ingest: &Ingest, key: &str, file: &Path) {
    assert_eq!(picture::decodes(file), Ok(()));
    assert_eq!(picture::decodes(&picture::remux_to_mp4(file).expect("an MP4")), Ok(()));
    assert_eq!(picture::decodes(&ingest.playlist(key)), Ok(()));
}

#[test]
fn a_wedged_worker_is_replaced_behind_the_slate() {
    if !has_tools() {
        return;
    }
    let _alone = alone();
    let ingest = Ingest::start();
    let daemon = Daemon::start(&settings(&ingest.url(), "wedged"));
    cards_made(&daemon);
    daemon.succeed("start", json!({}));
    sleep(seconds(3));
    signal(video_worker(&daemon), "STOP");
    let stopped = now();
    let showing = || daemon.status()["program"]["showing"].clone();
    wait("the status says slate", seconds(2), || (showing() == "slate").then_some(()));
    println!("slate in the status after {:.0?}", stopped.elapsed());
    wait("live again", seconds(6), || (showing() == "live").then_some(()));
    println!("live again after {:.0?}", stopped.elapsed());
    sleep(seconds(2));
    assert_eq!(daemon.status()["stats"]["uplinks"][0]["reconnects"], 0);
    daemon.succeed("stop", json!({"confirm": true}));
    let file = &ingest.recordings("wedged")[0];
    decodes_everywhere(&ingest, "wedged", file);
    let recording = Recording::read(file, 30.0).expect("readable");
    let (shown, gap, clean) = cards(&recording);
    println!("{} slate pictures, longest gap between stamps {gap:.0} ms", shown.len());
    assert!(shown.len() > 10 && clean, "{shown:?}");
    assert!(gap <= 500.0, "{gap} ms");
    assert!(recording.in_order());
    assert!(recording.flaws().iter().all(|flaw| !matches!(flaw, Flaw::SoundGap { .. })), "{:?}", recording.flaws());
    // The sound of this input went on all the time.
    let begins: Vec<f64> = recording.beeps.iter().map(|beep| beep.begins).collect();
    assert!(begins.windows(2).all(|pair| (pair[1] - pair[0] - 1000.0).abs() < 40.0), "{begins:.0?}");
}

#[test]
fn the_operator_cuts_to_slate_and_test_and_mutes() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let daemon = Daemon::start(&settings(&ingest.url(), "cuts"));
    cards_made(&daemon);
    daemon.succeed("start", json!({}));
    sleep(seconds(2));
    let workers = daemon.workers();
    for (what, mute) in [("slate", false), ("test", false), ("slate", true), ("live", false)] {
        daemon.succeed("show", json!({"what": what, "mute": mute}));
        let asked = now();
        wait(what, seconds(2), || (daemon.status()["program"]["showing"] == what).then_some(()));
        println!("{what} after {:.0?}", asked.elapsed());
        assert_eq!(daemon.status()["program"]["muted"], mute);
        sleep(seconds(3));
    }
    assert_eq!(daemon.workers(), workers, "no encoder had a part in this");
    daemon.succeed("stop", json!({"confirm": true}));
    let file = &ingest.recordings("cuts")[0];
    decodes_everywhere(&ingest, "cuts", file);
    let recording = Recording::read(file, 30.0).expect("readable");
    let (shown, gap, clean) = cards(&recording);
    assert!((200..=330).contains(&shown.len()) && clean && gap < 200.0, "{} {clean} {gap}", shown.len());
    // Bars and tone: the tone is at -20 dBFS, where a beep is not counted; the muted slate is silent.
    let (first, last) = (recording.pictures[shown[0]].time, recording.pictures[shown[shown.len() - 1]].time);
    let muted = last - 2500.0..last - 100.0;
    assert!(recording.beeps.iter().all(|beep| !muted.contains(&beep.begins)), "{:?}", recording.beeps);
    let heard = recording.beeps.iter().filter(|beep| (first..first + 3000.0).contains(&beep.begins)).count();
    assert!(heard >= 2, "live sound goes on under the slate");
}

#[test]
fn a_push_without_a_picture_is_on_air_with_the_slate() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    if std::fs::read_dir("/sys/class/video4linux").is_ok_and(|mut nodes| nodes.next().is_some()) {
        skip("this machine has a camera, which would be used");
        return;
    }
    let ingest = Ingest::start();
    let input = "[input]\ndevice = \"camera\"\n";
    let daemon = Daemon::start(&format!("{input}{}", settings(&ingest.url(), "nothing")));
    cards_made(&daemon);
    daemon.succeed("start", json!({}));
    let status = daemon.status();
    assert_eq!((&status["phase"], &status["program"]["showing"]), (&json!("on-air"), &json!("slate")));
    assert_eq!(daemon.faults(), ["no-device"]);
    sleep(seconds(4));
    daemon.succeed("stop", json!({"confirm": true}));
    let file = &ingest.recordings("nothing")[0];
    decodes_everywhere(&ingest, "nothing", file);
    let tags = flv::tags(&std::fs::read(file).expect("a recording"));
    let pictures = tags.iter().filter(|tag| tag.is_picture()).count();
    assert!((90..=180).contains(&pictures), "{pictures}");
    let bytes: usize = tags.iter().map(|tag| tag.body.len()).sum();
    println!("a slate takes {} kbit/s", bytes * 8 / 1000 * 30 / pictures);
}
