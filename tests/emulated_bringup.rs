//! Bringing up a board that no file describes, step by step as `boards/README.md` tells it, on the emulated box as if it were
//! new: what `fieldcastd probe --write-board` drafts there goes on air, with the picture of its HDMI input.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use std::{
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};
use support::{
    Nginx,
    guest::{Guest, HEIGHT, RATE, SOON, WIDTH, report, the_machine},
};

const BOARD: &str = "/etc/fieldcast/boards/new-box.toml";
/// The daemon's own list of GStreamer's plugins: emulated, looking at all of them anew takes minutes.
const REGISTRY: &str = "XDG_CACHE_HOME=/var/cache/fieldcast";

#[test]
fn the_draft_for_a_board_that_nobody_knows_goes_on_air() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ingest = Nginx::start();
    let mut guest = Guest::boot(folder.path(), ingest.port, "never");
    guest.wait_until_ready();

    // From here on no file describes this machine.
    guest.run("systemctl stop fieldcastd && rm /usr/share/fieldcast/boards/qemu-virt.toml");
    let (code, refusal) = guest.try_run("fieldcastd check 2>&1").unwrap();
    assert!(
        code == 3 && refusal.contains("no board describes this machine (device tree linux,dummy-virt)"),
        "{refusal}"
    );

    // Step 1: what is there, and a draft of it. A second one does not overwrite what somebody has worked on.
    let seen = guest.run(&format!("{REGISTRY} fieldcastd probe"));
    assert!(seen.contains("(DV timings, selected)"), "{seen}");
    guest.run(&format!("mkdir -p /etc/fieldcast/boards && {REGISTRY} fieldcastd probe --write-board {BOARD}"));
    let (code, again) = guest.try_run(&format!("{REGISTRY} fieldcastd probe --write-board {BOARD} 2>&1")).unwrap();
    assert!(code == 2 && again.contains("cannot be written"), "{again}");
    let draft = guest.run(&format!("cat {BOARD}"));
    for part in [
        "compatible = [\"linux,dummy-virt\"]",
        "kind = \"hdmi\"",
        "input = 0",
        "element = \"x264enc\"",
        "# check:",
        "# key = \"KEY_",
    ] {
        assert!(draft.contains(part), "{part} is not in\n{draft}");
    }

    // Step 2: what a person has to decide. Nothing of it is needed for the picture; this box's GO button is a key.
    guest.run(&format!("printf '\\n[[button]]\\nrole = \"go\"\\nkey = \"KEY_G\"\\n' >>{BOARD}"));

    // Steps 3 and 4: it is right, it is the one that is chosen, and its line runs by itself.
    let checked = guest.run("fieldcastd check 2>&1");
    assert!(checked.contains("new-box"), "{checked}");
    // The line is for what the source sends.
    let mode =
        seen.lines().find_map(|line| line.trim().strip_prefix("signal  locked ")).expect(&seen).trim().to_owned();
    let planned = guest.run(&format!("fieldcastd plan --mode {mode}"));
    let line = planned.lines().find(|line| line.contains("v4l2src")).unwrap_or_else(|| panic!("{planned}"));
    // The box has the plugins that plans use and no other.
    let line = line.replace("matroskamux streamable=true ! ", "");
    guest.run("v4l2-ctl -d /dev/video0 --set-dv-bt-timings query");
    let launch = format!("cd /run && {REGISTRY} timeout -k 5 -s INT 20 {line} 2>&1; ls -s fieldcast-video.mkv");
    let (_, said) = guest.try_run(&launch).unwrap();
    let blocks = said.lines().last().and_then(|last| last.split_whitespace().next()?.parse::<u32>().ok());
    assert!(blocks.is_some_and(|blocks| blocks > 20), "the line writes a file: {line}\n{said}");

    // Step 5: on air, by its button.
    guest.run("systemctl reset-failed; systemctl start fieldcastd");
    guest.wait_until_ready();
    guest.wait_for_status("locked", |status| status["board"] == "new-box" && status["input"]["signal"] == "locked");
    let pressed = Instant::now();
    guest.hold_go(Duration::from_millis(1200));
    guest.wait_for_status("on air", |status| status["phase"] == "on-air" && status["program"]["showing"] == "live");
    report("a new board: GO to on air", pressed.elapsed());
    let status = guest.status();
    assert_eq!(
        (&status["input"]["device"], &status["program"]["encoder"]),
        (&"hdmi".into(), &"x264enc".into()),
        "{status:#}"
    );
    sleep(Duration::from_secs(8));
    guest.run("systemctl stop fieldcastd");

    // What arrived decodes without an error, and is vivid's picture: no two are alike, as a counter runs in it.
    let recording = ingest.recording_path("box");
    let deadline = Instant::now() + SOON;
    while !ingest.log().contains("deleteStream") && Instant::now() < deadline {
        sleep(Duration::from_millis(100));
    }
    let picture =
        ["-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framehash", "-hash", "md5", "-"];
    let decoded =
        Command::new("ffmpeg").args(["-v", "error", "-xerror", "-i"]).arg(&recording).args(picture).output().unwrap();
    let complaints = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && complaints.is_empty(), "{complaints}");
    let hashes = String::from_utf8_lossy(&decoded.stdout).into_owned();
    assert!(hashes.contains(&format!("#dimensions 0: {WIDTH}x{HEIGHT}")), "{hashes}");
    let hashes: std::collections::BTreeSet<&str> =
        hashes.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(", ").last()).collect();
    // Emulated, 60 pictures a second of 1280x720 are scaled down to some 14 (109 different ones in 8 s).
    assert!(hashes.len() > 2 * RATE, "{} different pictures in 8 s", hashes.len());
}
