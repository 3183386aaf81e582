//! What is not installed, and how that is said.

use super::{
    bundles::{COMPATIBLE, Signer, bundle},
    image::{Image, Web, can_run},
    support::wait,
};
use serde_json::{Value, json};
use std::{fs, time::Duration};

fn refused(image: &Image, arguments: Value) -> (u16, String, String) {
    let (code, answer) = image.daemon().command("update", arguments);
    let word = |key: &str| answer[key].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (code, word("reason"), word("detail"))
}

#[test]
fn each_bundle_that_is_not_for_this_box_says_why() {
    if !can_run() {
        return;
    }
    let image = Image::start("0.2.0", "");
    let folder = image.path.clone();
    // Squashfs would make little of anything regular.
    let payload: Vec<u8> =
        (0..300_000_u32).map(|n| (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let make = |name: &str, compatible: &str, version: &str, signer| {
        bundle(&folder, name, compatible, version, signer, &payload)
    };
    let good = fs::read(make("good.raucb", COMPATIBLE, "0.3.0", Signer::Ours)).expect("read");
    let with = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(folder.join(name), bytes).expect("written");
        folder.join(name)
    };
    let cases = [
        (make("stranger.raucb", COMPATIBLE, "0.3.0", Signer::Stranger), 422, "wrong-signature", "not signed by"),
        (make("expired.raucb", COMPATIBLE, "0.3.0", Signer::Expired), 422, "expired-certificate", "has expired"),
        (make("future.raucb", COMPATIBLE, "0.3.0", Signer::Future), 422, "expired-certificate", "clock is behind"),
        (make("board.raucb", "fieldcast-other", "0.3.0", Signer::Ours), 422, "wrong-board", "fieldcast-other"),
        (make("old.raucb", COMPATIBLE, "0.1.9", Signer::Ours), 409, "older-version", "0.1.9 is older"),
        (make("same.raucb", COMPATIBLE, "0.2.0", Signer::Ours), 409, "already-installed", "downgrade = true"),
        (with("cut.raucb", &|bytes| bytes.truncate(bytes.len() / 2)), 422, "damaged-bundle", "damaged"),
        (with("bit.raucb", &|bytes| bytes[100_000] ^= 1), 422, "damaged-bundle", "damaged"),
        (with("page.raucb", &|bytes| *bytes = b"<html>not found</html>".to_vec()), 422, "damaged-bundle", "damaged"),
        (folder.join("nothing.raucb"), 502, "not-reached", "404"),
    ];
    for (file, code, reason, part) in cases {
        let web = Web::serve(&file, 0);
        let (got, word, text) = refused(&image, json!({ "url": web.url() }));
        assert_eq!((got, word.as_str()), (code, reason), "{}: {text}", file.display());
        assert!(text.contains(part), "{text}");
        assert_eq!(image.firmware()["state"], "idle");
        assert!(!image.state("update").exists(), "{} is left", file.display());
    }
    for (arguments, code, reason) in [
        (json!({ "url": "usb" }), 409, "wrong-state"),
        (json!({ "url": "upload" }), 409, "wrong-state"),
        (json!({ "url": "ftp://x/y" }), 422, "wrong-arguments"),
        (json!({}), 422, "wrong-arguments"),
    ] {
        let (got, word, text) = refused(&image, arguments);
        assert_eq!((got, word.as_str()), (code, reason), "{text}");
    }
    assert_eq!(image.slots(), Vec::<String>::new(), "no slot was touched");
    assert!(!image.state("trial").exists());
}

#[test]
fn an_image_that_is_larger_than_its_slot_is_no_success() {
    if !can_run() {
        return;
    }
    let mut image = Image::start("0.2.0", "");
    // A file grows, a partition does not: the slot is on a full file system of 6 MB.
    let slot = image.path.join("b.img");
    fs::remove_file(&slot).expect("removed");
    let disk = image.path.join("full");
    fs::create_dir(&disk).expect("made");
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(&disk).status();
    assert!(mounted.expect("mount").success());
    fs::File::create(disk.join("b.img")).and_then(|file| file.set_len(1 << 20)).expect("a slot");
    std::os::unix::fs::symlink(disk.join("b.img"), &slot).expect("linked");
    // It has mounts of its own, from its start on.
    image.start_rauc("A");
    let payload: Vec<u8> =
        (0..3_000_000_u32).map(|n| (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let large = bundle(&image.path, "large.raucb", COMPATIBLE, "0.3.0", Signer::Ours, &payload);
    let (code, reason, text) = refused(&image, json!({ "url": Web::serve(&large, 0).url() }));
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&disk).status();
    assert!(unmounted.expect("umount").success());
    assert_eq!((code, reason.as_str()), (507, "no-space"), "{text}");
    assert_eq!(image.slots(), ["set-state B bad"], "what is half written is never started");
    let last = image.firmware()["last"].clone();
    assert_eq!((&last["version"], &last["result"]), (&json!("0.3.0"), &json!("failed")));
}

#[test]
fn a_rauc_that_ends_meanwhile_has_installed_nothing() {
    if !can_run() {
        return;
    }
    let mut image = Image::start("0.2.0", "");
    let good = bundle(&image.path, "good.raucb", COMPATIBLE, "0.3.0", Signer::Ours, &[7; 100_000]);
    let web = Web::serve(&good, 0);
    fs::write(image.path.join("hold"), "").expect("written");
    let port = image.daemon().port;
    let asked = std::thread::spawn(move || {
        let body = json!({ "url": web.url() }).to_string();
        let curl = ["-s", "-H", "content-type: application/json", "-d", &body];
        let url = format!("http://localhost:{port}/api/v1/commands/update");
        std::process::Command::new("curl").args(curl).arg(url).output().expect("curl").stdout
    });
    wait("RAUC is at it", Duration::from_secs(20), || image.path.join("held").exists().then_some(()));
    assert_eq!(image.firmware()["state"], "installing");
    let (code, reason, _) = refused(&image, json!({ "url": "usb", "confirm": true }));
    assert_eq!((code, reason.as_str()), (409, "wrong-state"), "one at a time");
    image.kill_rauc();
    fs::remove_file(image.path.join("hold")).expect("removed");
    image.start_rauc("A");
    let answer: Value = serde_json::from_slice(&asked.join().expect("asked")).expect("JSON");
    assert!(answer["detail"].as_str().is_some_and(|text| text.contains("RAUC ended")), "{answer}");
    assert_eq!(image.firmware()["state"], "idle");
    let slots = image.slots();
    assert!(!slots.iter().any(|line| line.starts_with("set-primary")), "{slots:?}");
}

#[test]
fn a_daemon_that_ends_meanwhile_keeps_the_old_system() {
    if !can_run() {
        return;
    }
    let mut image = Image::start("0.2.0", "");
    let good = bundle(&image.path, "good.raucb", COMPATIBLE, "0.3.0", Signer::Ours, &[7; 100_000]);
    let web = Web::serve(&good, 0);
    fs::write(image.path.join("hold"), "").expect("written");
    let (port, body) = (image.daemon().port, json!({ "url": web.url() }).to_string());
    let asked = std::thread::spawn(move || {
        let url = format!("http://localhost:{port}/api/v1/commands/update");
        let curl = ["-s", "-H", "content-type: application/json", "-d", &body, &url];
        drop(std::process::Command::new("curl").args(curl).output());
    });
    wait("RAUC is at it", Duration::from_secs(20), || image.path.join("held").exists().then_some(()));
    image.daemon().signal("KILL");
    image.daemon.as_mut().expect("a daemon").ended(Duration::from_secs(5));
    asked.join().expect("asked");
    // RAUC goes on by itself, while the service manager starts the daemon again.
    image.daemon.as_mut().expect("a daemon").start_again();
    assert_eq!(image.firmware()["state"], "installing");
    fs::remove_file(image.path.join("hold")).expect("removed");
    wait("it is undone", Duration::from_secs(20), || (image.firmware()["state"] == "idle").then_some(()));
    assert_eq!(image.firmware()["last"]["result"], "failed");
    assert_eq!(image.slots().last().map(String::as_str), Some("set-primary A"));
}
