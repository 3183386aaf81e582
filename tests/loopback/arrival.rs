//! What is sent is what arrives: every picture once, in order, in time with its sound, and decodable by everybody.

use crate::{
    alone, beside_others,
    ingest::Ingest,
    seconds, settings, source,
    support::{
        Authority, TlsFront,
        daemon::Daemon,
        free_port, has_tools, now,
        picture::{self, Recording},
        skip, wait,
    },
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

/// The picture and sound of a good stream of `length` seconds; how long after its flash each beep is heard, ms.
pub fn judge(file: &Path, length: usize) -> Vec<f64> {
    let recording = Recording::read(file, 30.0).expect("readable");
    assert_eq!(recording.losses(), [], "{}", file.display());
    assert!(recording.in_order());
    assert!(recording.pictures.len() >= (length - 1) * 30, "{} pictures", recording.pictures.len());
    let pairs = recording.lip_sync();
    assert!(pairs.len() >= length - 2, "{} flashes", pairs.len());
    println!("flash to beep, ms: {pairs:.0?}");
    let mut offsets: Vec<f64> = pairs.into_iter().map(|offset| offset.expect("a beep for each flash")).collect();
    offsets.sort_by(f64::total_cmp);
    let median = offsets[offsets.len() / 2];
    assert!(median.abs() <= 40.0, "beeps are {median} ms after their flashes");
    offsets
}

#[test]
fn twenty_seconds_arrive_whole() {
    if !has_tools() {
        return;
    }
    let _alone = alone();
    let ingest = Ingest::start();
    let daemon = Daemon::start(&source("Main", &ingest.url(), "whole"));
    assert_eq!(daemon.phase(), "off-air");
    let mut seen: Vec<Value> = Vec::new();
    std::thread::scope(|scope| {
        let start = scope.spawn(|| daemon.succeed("start", json!({})));
        while !start.is_finished() {
            seen.push(daemon.status());
            sleep(Duration::from_millis(5));
        }
    });
    let on_air = daemon.status();
    assert_eq!(on_air["phase"], "on-air", "start was successful before");
    seen.push(on_air);
    judge_way_to_air(&seen);

    sleep(seconds(20));
    let status = daemon.status();
    assert_eq!(status["stats"]["uplinks"][0]["reconnects"], 0);
    // Asked with a window of one second's bytes, nginx-rtmp acknowledges each second.
    assert_eq!(status["uplinks"][0]["acknowledged-by"], "rtmp-ack");
    daemon.succeed("stop", json!({"confirm": true}));
    let [file] = &ingest.recordings("whole")[..] else { panic!("{:?}", ingest.recordings("whole")) };

    let offsets = judge(file, 20);
    assert!(offsets.iter().all(|offset| offset.abs() <= 40.0), "{offsets:.0?}");
    let recording = Recording::read(file, 30.0).expect("readable");
    assert_eq!(recording.flaws(), []);
    let intervals = recording.keyframe_intervals();
    // The uplink may have asked for an IDR while the encoder's first one was on its way: two at the start are no fault.
    let regular = intervals.iter().skip_while(|pictures| **pictures <= 3);
    assert!(intervals.len() >= 8 && regular.clone().count() + 1 >= intervals.len(), "{intervals:?}");
    assert!(regular.clone().all(|pictures| *pictures == 60), "{intervals:?}");
    assert!(recording.pictures[0].key);
    let video = picture::stream(file, "v", "codec_name,profile,width,height,has_b_frames").expect("a video stream");
    assert!(["profile=Main", "profile=High"].iter().any(|profile| video.contains(profile)), "{video}");
    assert!(video.contains("codec_name=h264\n") && video.contains("width=1280\nheight=720\nhas_b_frames=0"), "{video}");
    assert_eq!(picture::is_cabac(file), Ok(true));
    let audio = picture::stream(file, "a", "codec_name,profile,sample_rate,channels").expect("a sound stream");
    assert_eq!(audio, "codec_name=aac\nprofile=LC\nsample_rate=48000\nchannels=2\n");

    assert_eq!(picture::decodes(file), Ok(()));
    let mp4 = picture::remux_to_mp4(file).expect("an MP4");
    assert_eq!(picture::decodes(&mp4), Ok(()));
    let hls = ingest.playlist("whole");
    assert_eq!(picture::decodes(&hls), Ok(()));
    for copy in [&mp4, &hls] {
        let copied = Recording::read(copy, 30.0).expect("readable");
        let counters =
            |recording: &Recording| recording.pictures.iter().map(|picture| picture.counter).collect::<Vec<_>>();
        assert_eq!(counters(&copied), counters(&recording), "{}", copy.display());
    }
}

/// Phases only ever move on, and on air is said only of what was acknowledged.
fn judge_way_to_air(seen: &[Value]) {
    let mut phases: Vec<&str> = seen.iter().filter_map(|status| status["phase"].as_str()).collect();
    phases.dedup();
    let phases = phases.strip_prefix(&["off-air"]).unwrap_or(&phases);
    assert_eq!(phases, ["starting", "on-air"]);
    for status in seen {
        let uplink = &status["uplinks"][0];
        let (phase, by) = (&status["phase"], &uplink["acknowledged-by"]);
        assert_eq!(phase == "on-air", uplink["state"] == "on-air", "{status}");
        assert_eq!(phase == "on-air", by.is_string(), "{status}");
    }
}

#[test]
fn rtmps_arrives_when_the_certificate_is_right() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let (ingest, authority) = (Ingest::start(), Authority::new("Trusted"));
    let front = TlsFront::start(ingest.nginx.port, authority.issue("localhost", |_| {}));
    let daemon = trusting(&authority, &settings(&front.url(), "tls"));
    daemon.succeed("start", json!({}));
    sleep(seconds(5));
    assert_eq!(daemon.status()["stats"]["uplinks"][0]["reconnects"], 0);
    daemon.succeed("stop", json!({"confirm": true}));
    assert_eq!(ingest.endings("tls"), [true]);
    judge(&ingest.recordings("tls")[0], 5);
}

#[test]
fn rtmps_is_refused_when_the_certificate_is_wrong() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let (ingest, authority) = (Ingest::start(), Authority::new("Trusted"));
    let elsewhere = authority.issue("elsewhere.example", |_| {});
    let stranger = Authority::new("Stranger").issue("localhost", |_| {});
    for (certificate, wrong) in [(elsewhere, "another name"), (stranger, "an unknown authority")] {
        let front = TlsFront::start(ingest.nginx.port, certificate);
        let daemon = trusting(&authority, &settings(&front.url(), "wrong-tls"));
        std::thread::scope(|scope| {
            let start = scope.spawn(|| daemon.command("start", json!({})));
            let fault = || daemon.faults().into_iter().find(|code| code == "certificate");
            wait(&format!("a fault for {wrong}"), seconds(5), fault);
            assert_eq!(daemon.phase(), "starting");
            daemon.succeed("stop", json!({"confirm": true}));
            let (code, answer) = start.join().expect("an answer");
            assert_eq!((code, &answer["reason"]), (409, &json!("wrong-state")), "{answer}");
        });
    }
    assert_eq!(ingest.publishes("wrong-tls"), 0);
}

/// A daemon that trusts `authority` and no other.
fn trusting(authority: &Authority, settings: &str) -> Daemon {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).expect("written");
    Daemon::start_in(folder, settings, &[("SSL_CERT_FILE", &file.to_string_lossy())])
}

#[test]
fn hevc_arrives_by_enhanced_rtmp() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let Some(python) = pyav() else { return };
    let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("hevc.mp4");
    let mut listener = listen(&python, port, &file);
    let sources = settings(&format!("rtmp://127.0.0.1:{port}/live"), "hevc");
    let daemon = Daemon::start(&sources.replace("[output]", "[output]\ncodec = \"hevc\""));
    daemon.succeed("start", json!({}));
    sleep(seconds(6));
    assert_eq!(daemon.status()["program"]["codec"], "hevc");
    daemon.succeed("stop", json!({"confirm": true}));
    let ended = now();
    while listener.try_wait().expect("its status").is_none() {
        assert!(ended.elapsed() < seconds(10), "the listener does not see the end");
        sleep(Duration::from_millis(50));
    }
    let video = picture::stream(&file, "v", "codec_name,profile").expect("a video stream");
    assert_eq!(video, "codec_name=hevc\nprofile=Main\n");
    assert_eq!(picture::decodes(&file), Ok(()));
    judge(&file, 6);
}

fn listen(python: &Path, port: u16, file: &Path) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/hevc_listener.py");
    let mut command = Command::new(python);
    command.args([script, &port.to_string(), "hevc"]).arg(file).stdin(Stdio::null());
    let listener = command.spawn().expect("the listener");
    // It takes one connection only, so that nothing may be tried on its port before.
    let listens = format!(":{port:04X} 00000000:0000 0A");
    let table = || std::fs::read_to_string("/proc/net/tcp").expect("the sockets").contains(&listens);
    wait("the listener", seconds(20), || table().then_some(()));
    listener
}

/// Python with PyAV, in an environment that is made once and kept with the other caches.
fn pyav() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let user = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).unwrap_or_default();
    let folder = set("FIELDCAST_CACHE").unwrap_or(user.join("fieldcast")).join("pyav-18");
    let python = folder.join("bin/python");
    let works = || Command::new(&python).args(["-c", "import av"]).output().is_ok_and(|output| output.status.success());
    if !works() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output();
        let pip = made.and_then(|_| Command::new(&python).args(["-m", "pip", "install", "-q", "av==18.1.0"]).output());
        if !works() {
            skip(&format!("PyAV cannot be installed: {pip:?}"));
            return None;
        }
    }
    Some(python)
}
