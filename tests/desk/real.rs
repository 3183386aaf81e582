//! The real box through a real broker.

use crate::{
    Said,
    broker::{has_programs, kept_requests},
    fieldcast,
    support::{broker::Broker, daemon::Daemon, now, wait},
};
use serde_json::json;
use std::{fs, time::Duration};

#[test]
fn the_real_box_answers_through_the_broker() {
    if !has_programs() {
        return;
    }
    let broker = Broker::start("");
    let source = "[[source]]\nname = \"Main\"\nurl = \"rtmp://127.0.0.1:9/live\"\nkey = \"k\"\n";
    let mqtt = format!("[mqtt]\nbroker = \"{}\"\n", broker.url());
    let daemon = Daemon::start(&format!(
        "name = \"OB van 3\"\ntags = [\"stage-left\"]\n{source}[input]\naudio = \"none\"\ndevice = \"test\"\n{mqtt}"
    ));
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), format!("broker = \"{}\"\n", broker.url())).expect("written");
    let run = |arguments: &[&str]| Said::of(&fieldcast(folder.path()).args(arguments).output().expect("run"));
    // One that is named is waited for until it tells of itself.
    run(&["identify", "OB van 3"]).is(0, "done");
    run(&["list"]).is(0, "stage-left");
    let status = run(&["status", "OB van 3"]);
    status.is(0, "off air");
    assert!(run(&["status", "--json"]).json()[0]["stats"]["uptime-ms"].is_u64());

    let begun = now();
    run(&["identify", "--tag", "stage-left"]).is(0, "OB van 3  done");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    run(&["set", "OB van 3", "output.bitrate-max=3 Mbit/s"]).is(0, "done");
    run(&["settings", "OB van 3"]).is(0, "\"3 Mbit/s\"");
    let wrong = run(&["input", "sdi", "OB van 3", "--json"]);
    assert_eq!((wrong.code, &wrong.json()[0]["field"]), (Some(1), &json!("device")), "{wrong:?}");
    run(&["logs", "OB van 3", "-n", "5"]).is(0, "fieldcast");
    let file = folder.path().join("x.json");
    run(&["diagnostics", "OB van 3", "-o", file.to_str().expect("a path")]).is(0, "done");
    let bundle: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("a bundle")).expect("JSON");
    assert!(bundle.is_object() && !bundle.to_string().contains("\"k\""), "{bundle}");
    let picture = folder.path().join("x.jpg");
    wait("a picture", Duration::from_secs(20), || {
        run(&["preview", "OB van 3", "-o", picture.to_str().expect("a path")]).code.filter(|code| *code == 0)
    });
    assert!(fs::read(&picture).expect("a picture").starts_with(b"\xff\xd8\xff"));

    // Nothing listens at the ingest, so the box goes on trying.
    let started = run(&["start", "OB van 3", "--timeout", "3 s"]);
    started.is(1, "OB van 3");
    daemon.wait_for("starting", Duration::from_secs(5));
    run(&["stop", "OB van 3"]).is(2, "stop takes off air OB van 3");
    run(&["stop", "OB van 3", "--yes"]).is(0, "done");
    assert_eq!(daemon.phase(), "off-air");
    let mut kept = kept_requests(&broker);
    kept.retain(|topic| !topic.contains("/start/"));
    assert_eq!(kept, Vec::<String>::new());
    drop(daemon);
    wait("its last will", Duration::from_secs(60), || run(&["list"]).out.contains("offline").then_some(()));
    run(&["identify", "--all"]).is(1, "offline: nothing was sent");
}
