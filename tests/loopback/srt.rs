//! A Source that takes SRT, beside one that takes RTMP and alone with HEVC.

use crate::{
    SMALL,
    arrival::judge,
    beside_others,
    ingest::Ingest,
    seconds, source,
    support::{daemon::Daemon, free_port, has_tools, picture, srt::Receiver, wait},
};
use serde_json::json;
use std::{
    process::{Command, Stdio},
    thread::sleep,
};

const PASSPHRASE: &str = "correct horse battery";

/// `[[source]]` for SRT.
fn srt_source(name: &str, port: u16) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nurl = \"srt://127.0.0.1:{port}\"\nstream-id = \"camera/1\"\n\
         passphrase = \"{PASSPHRASE}\"\nencryption = \"aes-256\"\nlatency = \"400 ms\"\n"
    )
}

#[test]
fn srt_and_rtmp_carry_the_same_program() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let (ingest, mut receiver) = (Ingest::start(), Receiver::start(&format!("passphrase={PASSPHRASE}")));
    let sources = source("Old", &ingest.url(), "both") + &srt_source("New", receiver.port);
    let daemon = Daemon::start(&format!("{SMALL}\n{sources}\n[push]\nsources = [\"New\", \"Old\"]"));
    daemon.succeed("start", json!({}));
    let proofs = || {
        let status = daemon.status();
        let uplinks = status["uplinks"].as_array().expect("uplinks").clone();
        uplinks
            .into_iter()
            .map(|uplink| uplink["acknowledged-by"].as_str().unwrap_or("none").to_owned())
            .collect::<Vec<_>>()
    };
    wait("both on air", seconds(8), || (proofs() == ["srt-ack", "rtmp-ack"]).then_some(()));
    sleep(seconds(8));
    let status = daemon.status();
    assert_eq!(status["phase"], "on-air");
    let figures = &status["stats"]["uplinks"][0];
    assert!(figures["acknowledged-bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{figures}");
    assert!(figures["rtt-ms"].is_number() && figures["reconnects"] == 0, "{figures}");
    // The passphrase is shown nowhere.
    let shown = daemon.get("/api/v1/settings").expect("an answer").1;
    let text = status.to_string() + &String::from_utf8_lossy(&shown) + &daemon.log();
    assert!(!text.contains(PASSPHRASE) && !text.contains("camera/1"));
    daemon.succeed("stop", json!({"confirm": true}));
    receiver.end();
    judge(&receiver.path(), 8);
    assert_eq!(picture::decodes(&receiver.path()), Ok(()));
    let [file] = &ingest.recordings("both")[..] else { panic!("{:?}", ingest.recordings("both")) };
    judge(file, 8);
}

#[test]
fn hevc_arrives_by_srt() {
    if !has_tools() {
        return;
    }
    let _others = beside_others();
    let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("hevc.ts");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-i", &format!("srt://127.0.0.1:{port}?mode=listener&passphrase={PASSPHRASE}")]);
    ffmpeg.args(["-c", "copy"]).arg(&file).stdin(Stdio::null());
    let mut listener = ffmpeg.spawn().expect("ffmpeg");
    let daemon = Daemon::start(
        &format!("{SMALL}\n{}", srt_source("Main", port)).replace("[output]", "[output]\ncodec = \"hevc\""),
    );
    daemon.succeed("start", json!({}));
    sleep(seconds(6));
    assert_eq!(daemon.status()["program"]["codec"], "hevc");
    daemon.succeed("stop", json!({"confirm": true}));
    let ended = wait("the listener sees the end", seconds(10), || listener.try_wait().expect("its status"));
    assert!(ended.success(), "{ended}");
    let video = picture::stream(&file, "v", "codec_name,profile").expect("a video stream");
    assert!(video.contains("codec_name=hevc\nprofile=Main\n"), "{video}");
    assert_eq!(picture::decodes(&file), Ok(()));
    judge(&file, 5);
}
