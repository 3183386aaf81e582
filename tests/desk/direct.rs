//! One box without a broker: the real daemon.

use crate::{
    Said, fieldcast,
    support::{daemon::Daemon, wait},
    terminal::Terminal,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

fn run(folder: &Path, arguments: &[&str]) -> Said {
    Said::of(&fieldcast(folder).args(arguments).output().expect("run"))
}

#[test]
fn on_loopback_no_token_is_needed() {
    let mut daemon = Daemon::start(
        "name = \"OB van 3\"\n[input]\naudio = \"none\"\ndevice = \"test\"\n[[source]]\nname = \"Main\"\nurl = \"rtmp://127.0.0.1:9/live\"\nkey = \"k\"",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("http://127.0.0.1:{}", daemon.port);
    let ask = |arguments: &[&str]| run(folder.path(), &[arguments, &["--box", &url]].concat());
    ask(&["status"]).is(0, "OB van 3 (fc-");
    assert_eq!(ask(&["status", "--json"]).json()[0]["phase"], "off-air");
    ask(&["list"]).is(0, "off air");
    ask(&["set", "output.bitrate-max=3 Mbit/s"]).is(0, "OB van 3  done");
    ask(&["settings"]).is(0, "\"3 Mbit/s\"");
    let wrong = ask(&["input", "sdi", "--json"]);
    assert_eq!(wrong.code, Some(1));
    assert_eq!((&wrong.json()[0]["status"], &wrong.json()[0]["field"]), (&json!("failed"), &json!("device")));
    ask(&["identify", "OB van 4"]).is(2, "did you mean \"OB van 3\"");
    ask(&["stop"]).is(0, "done");

    let picture = folder.path().join("x.jpg");
    wait("a picture", Duration::from_secs(20), || {
        ask(&["preview", "-o", picture.to_str().expect("a path")]).code.filter(|code| *code == 0)
    });
    assert!(fs::read(&picture).expect("a picture").starts_with(b"\xff\xd8\xff"));

    // Nothing listens at the ingest, so the box goes on trying.
    let started = ask(&["start", "--timeout", "2 s"]);
    started.is(1, "OB van 3");
    assert_eq!(daemon.phase(), "starting");
    ask(&["stop"]).is(2, "stop takes off air OB van 3 (starting). Go on?");
    ask(&["stop", "--yes"]).is(0, "done");
    assert_eq!(daemon.phase(), "off-air");

    // Answered when the box is back, which a service manager would see to.
    let restart =
        fieldcast(folder.path()).args(["restart", "--box", &url]).stdout(Stdio::piped()).spawn().expect("run");
    daemon.ended(Duration::from_secs(10));
    daemon.start_again();
    Said::of(&restart.wait_with_output().expect("its end")).is(0, "OB van 3  done");

    let terminal = Terminal::run(folder.path(), &format!("watch --box {url}"));
    terminal.shows("1 box");
    terminal.shows("OB van 3");
    terminal.press(&["i"]);
    terminal.shows("identify OB van 3: done");
    terminal.press(&["q"]);
    terminal.shows("ended with 0");
    drop(daemon);
    ask(&["status"]).is(1, "is not reached");
}

/// A box that listens on all its addresses, without a display.
struct Station(Daemon);

impl Station {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let board = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/desktop.toml")).expect("a board");
        fs::write(folder.path().join("board.toml"), board.replace("[display]\nkind = \"png\"\n", "")).expect("written");
        Self(Daemon::start_on("0.0.0.0", folder, "name = \"Van\"\n[input]\naudio = \"none\"", &[]))
    }

    /// The PIN as root is told it on the box's console, and the fingerprint.
    fn pin(&self) -> (String, String) {
        let folder = self.0.folder.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldcastd"));
        command.args(["pair", "--settings"]).arg(folder.join("settings.toml"));
        let output = command.arg("--state").arg(folder.join("state")).output().expect("run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            line.trim().to_owned()
        };
        (field("PIN"), field("fingerprint"))
    }
}

/// Runs `fieldcast pair` and types `pin` into it.
fn pair(folder: &Path, url: &str, fingerprint: &str, pin: &str) -> Said {
    let mut child = fieldcast(folder)
        .args(["pair", url, "--name", "Anna's laptop", "--fingerprint", fingerprint])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run");
    // One that refuses before it asks does not read.
    let _ = writeln!(child.stdin.take().expect("a pipe"), "{pin}");
    Said::of(&child.wait_with_output().expect("its end"))
}

#[test]
fn a_computer_is_paired_by_the_pin_at_the_box_and_knows_its_certificate() {
    let station = Station::start();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("https://127.0.0.1:{}", station.0.port);
    run(folder.path(), &["status", "--box", &url]).is(2, "not paired");
    let (pin, fingerprint) = station.pin();

    let other = fingerprint.replace(['0', '1', '2'], "F");
    let refused = pair(folder.path(), &url, &other, &pin);
    refused.is(1, "shows another certificate");
    refused.is(1, &fingerprint);
    let wrong = format!("{:06}", (pin.parse::<u32>().expect("digits") + 1) % 1_000_000);
    pair(folder.path(), &url, &fingerprint, &wrong).is(1, "4 tries are left");
    run(folder.path(), &["pair", &url]).is(2, "--fingerprint");
    let file = folder.path().join("paired.json");
    assert!(!file.exists());
    pair(folder.path(), &url, &fingerprint.to_lowercase(), &pin).is(0, "Paired with Van (fc-");

    assert_eq!(fs::metadata(&file).expect("a file").mode() & 0o777, 0o600);
    run(folder.path(), &["status", "--box", &url]).is(0, "Van (fc-");
    run(folder.path(), &["identify", "--box", "van"]).is(0, "Van  done");
    let tokens = station.0.succeed("tokens", json!({}))["result"].clone();
    assert_eq!(tokens[0]["name"], "Anna's laptop");

    // Another box at its address.
    let kept = fs::read_to_string(&file).expect("a file");
    let mut changed: Value = serde_json::from_str(&kept).expect("JSON");
    let token = changed["boxes"][0]["token"].as_str().expect("a token").to_owned();
    changed["boxes"][0]["fingerprint"] = json!(other);
    fs::write(&file, changed.to_string()).expect("written");
    let refused = run(folder.path(), &["status", "--box", &url]);
    refused.is(1, "shows another certificate");
    assert!(!refused.err.contains(&token) && !station.0.log().contains(&token));
    fs::write(&file, kept).expect("written");
    station.0.succeed("revoke", json!({ "id": tokens[0]["id"] }));
    run(folder.path(), &["status", "--box", &url]).is(1, "not paired, or no more");
}

#[test]
fn the_operator_compares_the_fingerprint_at_the_terminal() {
    let station = Station::start();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("https://127.0.0.1:{}", station.0.port);
    let (pin, fingerprint) = station.pin();
    let terminal = Terminal::run(folder.path(), &format!("pair {url}"));
    let screen = terminal.shows("Does the box show the same one? [y/N]");
    assert!(screen.replace('\n', "").contains(&fingerprint), "{screen}");
    terminal.press(&["y", "Enter"]);
    terminal.shows("PIN that the box shows:");
    terminal.press(&[&pin, "Enter"]);
    terminal.shows("Paired with Van");
    let restarted = run(folder.path(), &["restart", "--box", "Van", "--timeout", "3 s"]);
    restarted.is(1, "it has ended, and is not back");
}
