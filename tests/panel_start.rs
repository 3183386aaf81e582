//! The real daemon with a picture file as its display: what is seen before anything else works.

mod support;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use support::{cfa635::StandIn, wait};
use tempfile::TempDir;

/// A folder with a board whose display is `panel.png` in it, and settings.
fn desk(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let board = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/desktop.toml")).expect("a board");
    let panel = folder.path().join("panel.png");
    let board = board.replace("kind = \"png\"", &format!("kind = \"png\"\nfile = {panel:?}"));
    fs::write(folder.path().join("desk.toml"), board).expect("written");
    fs::write(folder.path().join("settings.toml"), settings).expect("written");
    folder
}

fn run(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_fieldcastd"))
        .arg("run")
        .args(["--board".as_ref(), folder.join("desk.toml").as_os_str()])
        .args(["--settings".as_ref(), folder.join("settings.toml").as_os_str()])
        .args(["--state".as_ref(), folder.join("state").as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the daemon")
}

fn panel(folder: &Path) -> Option<Vec<u8>> {
    // Written whole, under another name: what is there can be read.
    fs::read(folder.join("panel.png")).ok()
}

#[test]
fn wrong_settings_are_told_on_the_display_and_stay_there() {
    let seen = |settings: &str| {
        let folder = desk(settings);
        let code = run(folder.path()).wait().expect("ended").code();
        (code, panel(folder.path()).expect("a picture"))
    };
    let (code, one) = seen("nam = \"OB van 3\"\n");
    assert_eq!(code, Some(2));
    let (code, other) = seen("[output]\nmode = \"4k\"\n");
    assert_eq!(code, Some(2));
    assert_ne!(one, other, "the picture says what is wrong");
}

#[test]
fn the_splash_is_there_at_once_and_stopped_at_the_end() {
    let port = support::free_port();
    let folder = desk(&format!("[http]\nlisten = \"127.0.0.1:{port}\"\n"));
    let begun = support::now();
    let mut daemon = run(folder.path());
    let first = loop {
        if let Some(first) = panel(folder.path()) {
            break first;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing is shown");
        std::thread::sleep(Duration::from_millis(1));
    };
    let took = begun.elapsed();
    println!("from the start of the process to the splash: {took:?}");
    // 300 ms on a machine that does nothing else.
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let running = wait("the daemon is shown", Duration::from_secs(10), || {
        panel(folder.path()).filter(|picture| *picture != first)
    });
    support::daemon::signal(daemon.id(), "TERM");
    assert_eq!(daemon.wait().expect("ended").code(), Some(0));
    let last = panel(folder.path()).expect("a picture");
    assert!(last != running && last != first, "it says that it was stopped");
}

#[test]
fn what_fails_inside_can_be_read_before_it_is_tried_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let folder = desk(&format!("[http]\nlisten = \"127.0.0.1:{port}\"\n"));
    let begun = support::now();
    assert_eq!(run(folder.path()).wait().expect("ended").code(), Some(70));
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(panel(folder.path()).is_some());
}

/// A key of a serial panel, through the daemon and back to the glass; the press itself takes no time here.
#[test]
fn a_key_changes_the_screen_at_once() {
    let port = support::free_port();
    let folder = desk(&format!("[http]\nlisten = \"127.0.0.1:{port}\"\n"));
    // A port has to be below /dev.
    let ports = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let link = ports.path().join("cfa635");
    let glass = StandIn::plug(&link);
    let file = folder.path().join("desk.toml");
    let board = fs::read_to_string(&file).expect("a board");
    let (before, rest) = board.split_once("[display]").expect("a display");
    let (_, after) = rest.split_once("[limits]").expect("limits");
    let display = format!("[display]\nkind = \"cfa635\"\ndevice = {link:?}\n");
    let keys = [("go", "enter"), ("up", "up"), ("down", "down")]
        .map(|(role, key)| format!("[[button]]\nrole = {role:?}\nkeypad = {key:?}\n"))
        .concat();
    fs::write(&file, format!("{before}{display}{keys}[limits]{after}")).expect("written");
    let mut daemon = run(folder.path());
    wait("READY on the glass", Duration::from_secs(20), || glass.panel().row(0).contains("READY").then_some(()));
    // Numbers of the keys: 1 is up, 2 is down (data sheet of the CFA635, report 0x80).
    let mut took: Vec<Duration> = [2, 1, 2, 1, 2]
        .map(|key| {
            std::thread::sleep(Duration::from_millis(700));
            let (before, pressed) = (glass.panel().row(0), support::now());
            glass.panel().key(key, true, false);
            glass.panel().key(key, false, false);
            while glass.panel().row(0) == before {
                assert!(pressed.elapsed() < Duration::from_secs(5), "key {key} is not answered");
                std::thread::sleep(Duration::from_millis(1));
            }
            pressed.elapsed()
        })
        .into();
    took.sort_unstable();
    println!("from a key to a changed screen: {took:?}");
    // 50 ms on a machine that does nothing else.
    assert!(took[2] < Duration::from_millis(250), "{took:?}");
    support::daemon::signal(daemon.id(), "TERM");
    assert_eq!(daemon.wait().expect("ended").code(), Some(0));
}
