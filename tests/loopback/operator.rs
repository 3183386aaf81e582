//! What the operator asks for is what happens, and is answered.

use crate::{
    SMALL, beside_others,
    ingest::Ingest,
    seconds, settings, source,
    support::{
        daemon::Daemon,
        free_port, has_tools, now,
        picture::{self, Recording},
        wait,
    },
};
use serde_json::json;
use std::{thread::sleep, time::Duration};

#[test]
fn stop_ends_the_stream_properly_within_a_second() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let daemon = Daemon::start(&settings(&ingest.url(), "stop"));
    daemon.succeed("start", json!({}));
    sleep(seconds(1));
    let (code, answer) = daemon.command("stop", json!({}));
    assert_eq!((code, &answer["reason"]), (409, &json!("confirmation-needed")), "{answer}");
    assert_eq!(daemon.phase(), "on-air");
    let asked = now();
    daemon.succeed("stop", json!({"confirm": true}));
    let took = asked.elapsed();
    assert!(took < seconds(1), "{took:?}");
    assert_eq!(daemon.phase(), "off-air");
    assert_eq!(ingest.endings("stop"), [true], "the ingest was told before the connection ended");
    daemon.succeed("start", json!({}));
    assert_eq!(ingest.publishes("stop"), 2);
}

#[test]
fn sigterm_ends_the_stream_and_the_process() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let mut daemon = Daemon::start(&settings(&ingest.url(), "term"));
    daemon.succeed("start", json!({}));
    sleep(seconds(1));
    let workers = daemon.workers();
    daemon.signal("TERM");
    let asked = now();
    let status = daemon.ended(seconds(3));
    println!("SIGTERM took {:.2?}", asked.elapsed());
    assert_eq!(status.code(), Some(0));
    assert_eq!(ingest.endings("term"), [true]);
    let left = crate::support::daemon::media_workers();
    assert!(left.iter().all(|(pid, _)| !workers.contains(pid)));
}

#[test]
fn a_restart_ends_the_stream_and_goes_on_with_it() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let mut daemon = Daemon::start(&settings(&ingest.url(), "restart"));
    daemon.succeed("start", json!({}));
    let (code, answer) = daemon.command("restart", json!({}));
    assert_eq!((code, &answer["reason"]), (409, &json!("confirmation-needed")), "{answer}");
    daemon.succeed("restart", json!({"confirm": true}));
    // The service manager starts it again after any code but 2 and 3.
    assert_eq!(daemon.ended(seconds(5)).code(), Some(0));
    assert_eq!(ingest.endings("restart"), [true]);
    daemon.start_again();
    daemon.wait_for("on-air", seconds(10));
}

#[test]
fn a_factory_reset_forgets_changes_and_keeps_the_id() {
    let mut daemon = Daemon::start(&settings("rtmp://127.0.0.1:9/live", "reset"));
    let id = daemon.status()["id"].clone();
    daemon.succeed("set", json!({"name": "Changed"}));
    daemon.succeed("identify", json!({}));
    daemon.succeed("lock-panel", json!({"locked": true}));
    let (code, answer) = daemon.command("factory-reset", json!({}));
    assert_eq!((code, &answer["reason"]), (409, &json!("confirmation-needed")), "{answer}");
    daemon.succeed("factory-reset", json!({"confirm": true}));
    assert_eq!(daemon.ended(seconds(6)).code(), Some(0));
    assert!(!daemon.folder.path().join("state/overrides.toml").exists());
    daemon.start_again();
    let status = daemon.status();
    assert_eq!((&status["id"], &status["name"]), (&id, &json!("Fieldcast")));
}

#[test]
fn sighup_with_an_unrelated_change_leaves_the_push_alone() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let before = settings(&ingest.url(), "reload");
    let daemon = Daemon::start(&before);
    daemon.succeed("start", json!({}));
    sleep(seconds(2));
    let workers = daemon.workers();
    daemon.write_settings(&format!("name = \"After\"\n{before}\n{}", source("Other", "rtmp://127.0.0.1:9/live", "o")));
    daemon.signal("HUP");
    wait("the new name", seconds(2), || Some(()).filter(|()| daemon.status()["name"] == "After"));
    // A file that is wrong changes nothing and is told.
    daemon.write_settings("nmae = \"Wrong\"");
    daemon.signal("HUP");
    wait("a fault", seconds(2), || Some(daemon.faults()).filter(|faults| !faults.is_empty()));
    sleep(seconds(2));
    assert_eq!(daemon.phase(), "on-air");
    assert_eq!(daemon.status()["name"], "After");
    assert_eq!(daemon.workers(), workers);
    daemon.succeed("stop", json!({"confirm": true}));
    assert_eq!(ingest.publishes("reload"), 1);
    let recording = Recording::read(&ingest.recordings("reload")[0], 30.0).expect("readable");
    assert_eq!(recording.losses(), []);
}

#[test]
fn a_new_bitrate_is_taken_on_air() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let daemon = Daemon::start(&source("Main", &ingest.url(), "rate"));
    daemon.succeed("start", json!({}));
    sleep(seconds(6));
    let answer = daemon.succeed("set", json!({"output.bitrate-max": "1 Mbit/s"}));
    println!("{answer}");
    // For a moment less is asked for, to make up for the encoder's lag.
    wait("the new bitrate", seconds(3), || Some(()).filter(|()| daemon.status()["stats"]["bitrate"] == 1_000_000));
    sleep(seconds(8));
    daemon.succeed("stop", json!({"confirm": true}));
    assert_eq!(ingest.publishes("rate"), 1);
    let recording = Recording::read(&ingest.recordings("rate")[0], 30.0).expect("readable");
    assert_eq!(recording.losses(), []);
    let end = recording.pictures.last().expect("a picture").time;
    let (before, after) = (recording.bitrate(1000.0, 5000.0), recording.bitrate(end - 4000.0, end));
    println!("{:.2} Mbit/s, then {:.2}", before / 1e6, after / 1e6);
    assert!((3.4e6..4.6e6).contains(&before) && (0.8e6..1.2e6).contains(&after), "{before} -> {after}");
}

#[test]
fn resume_puts_back_what_was_before_the_power_cut() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let with = |policy: &str| settings(&ingest.url(), "power") + &format!("[push]\nat-power-on = \"{policy}\"\n");
    let mut daemon = Daemon::start(&with("resume"));
    assert_eq!(daemon.phase(), "off-air", "nothing to resume");
    daemon.succeed("start", json!({}));
    power_cut(&mut daemon);
    daemon.wait_for("on-air", seconds(5));
    daemon.succeed("stop", json!({"confirm": true}));
    power_cut(&mut daemon);
    sleep(seconds(1));
    assert_eq!((daemon.phase().as_str(), ingest.publishes("power")), ("off-air", 2));

    daemon.write_settings(&with("always"));
    power_cut(&mut daemon);
    daemon.wait_for("on-air", seconds(5));

    daemon.write_settings(&with("never"));
    power_cut(&mut daemon);
    sleep(seconds(1));
    assert_eq!((daemon.phase().as_str(), ingest.publishes("power")), ("off-air", 3));
}

fn power_cut(daemon: &mut Daemon) {
    daemon.signal("KILL");
    daemon.ended(seconds(1));
    daemon.start_again();
}

#[test]
fn wrong_commands_are_refused_with_the_reason() {
    let _others = beside_others();
    let daemon = Daemon::start(&settings("rtmp://127.0.0.1:9/live", "wrong"));
    let refused = |name: &str, arguments: serde_json::Value, code: u16, says: &str| {
        let (got, answer) = daemon.command(name, arguments);
        let text = answer.to_string();
        assert!(got == code && text.contains(says), "{name}: {got} {text}");
    };
    refused("begin", json!({}), 404, "unknown-command");
    refused("start", json!({"sources": ["Spare"]}), 422, "Main");
    refused("start", json!({"source": "Main"}), 422, "sources");
    refused("start", json!([]), 422, "object");
    refused("set", json!({"output.bitrate-maxx": "1 Mbit/s"}), 422, "bitrate-max");
    refused("set", json!({"output.bitrate-max": "1 MB"}), 422, "Mbit/s");
    refused("input", json!({"device": "hdmi"}), 422, "camera");
    refused("source", json!({"name": "Spare"}), 422, "Main");
    refused("preflight", json!({"source": "Spare"}), 422, "Main");
    refused("regions", json!({"source": "Main"}), 409, "URL");
    assert_eq!(daemon.phase(), "off-air");
    let shown = daemon.succeed("settings", json!({})).to_string();
    assert!(shown.contains("320x180p30") && !shown.contains("\"wrong\""), "the key is not shown: {shown}");
    assert!(!daemon.log().contains("\"wrong\""));
}

#[test]
fn start_without_a_source_or_a_picture_says_so() {
    let _others = beside_others();
    let daemon = Daemon::start(SMALL);
    let (code, answer) = daemon.command("start", json!({}));
    assert_eq!((code, &answer["reason"]), (409, &json!("wrong-state")), "{answer}");
    drop(daemon);

    let blind = settings("rtmp://127.0.0.1:9/live", "blind") + "[input]\ndevice = \"camera\"\n";
    if std::path::Path::new("/dev/video0").exists() {
        return;
    }
    let daemon = Daemon::start(&blind);
    std::thread::scope(|scope| {
        let start = scope.spawn(|| daemon.command("start", json!({})));
        let status = daemon.wait_for("starting", seconds(2));
        assert_eq!((&status["input"]["signal"], &status["intent"]), (&json!("no-device"), &json!("on-air")));
        assert_eq!(daemon.faults(), ["no-device"]);
        daemon.succeed("stop", json!({"confirm": true}));
        let (code, answer) = start.join().expect("an answer");
        assert_eq!((code, &answer["reason"]), (409, &json!("wrong-state")), "{answer}");
    });
}

#[test]
fn preflight_tells_whether_a_source_can_be_reached() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let closed = format!("rtmp://127.0.0.1:{}/live", free_port());
    let sources = source("Good", &ingest.url(), "flight") + &source("Closed", &closed, "flight");
    let daemon = Daemon::start(&format!("{SMALL}\n{sources}"));
    let good = daemon.succeed("preflight", json!({"source": "Good"}));
    println!("{good}");
    let (_, bad) = daemon.command("preflight", json!({"source": "Closed"}));
    println!("{bad}");
    assert!(bad.to_string().contains("refused"), "{bad}");
    assert_eq!(daemon.phase(), "off-air");
}

#[test]
fn the_preview_shows_the_input_off_air_and_on_air() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let ingest = Ingest::start();
    let daemon = Daemon::start(&settings(&ingest.url(), "preview"));
    let first = counter_of_preview(&daemon);
    sleep(seconds(1));
    let second = counter_of_preview(&daemon);
    assert!((20..60).contains(&(second.wrapping_sub(first) % (1 << picture::COUNTER_BITS))), "{first} -> {second}");
    daemon.succeed("start", json!({}));
    sleep(Duration::from_millis(600));
    counter_of_preview(&daemon);
    assert_eq!(daemon.phase(), "on-air");
}

/// The counter in the preview's picture: it is the test card, and of now.
fn counter_of_preview(daemon: &Daemon) -> u32 {
    let (code, jpeg) = wait("a preview", seconds(5), || daemon.get("/preview.jpg").filter(|(code, _)| *code == 200));
    assert_eq!((code, jpeg.get(..2)), (200, Some(&[0xff, 0xd8][..])));
    let file = daemon.folder.path().join("preview.jpg");
    std::fs::write(&file, jpeg).expect("written");
    picture::still(&file).expect("a picture").expect("a counter")
}
