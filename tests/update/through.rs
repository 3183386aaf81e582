//! From the command to a confirmed system, and back from one that is not good.

use super::{
    bundles::{COMPATIBLE, Signer, bundle},
    image::{Image, Web, can_run},
    support::wait,
};
use serde_json::json;
use std::{fs, time::Duration};

fn payload(seed: u32) -> Vec<u8> {
    (0..2_000_000_u32).map(|n| ((n ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_new_system_is_installed_restarted_into_and_confirmed() {
    if !can_run() {
        return;
    }
    let mut image = Image::start("0.1.0", "");
    let firmware = image.firmware();
    assert_eq!(
        (&firmware["version"], &firmware["slot"], &firmware["state"]),
        (&json!("0.1.0"), &json!("A"), &json!("idle"))
    );
    image.daemon().succeed("set", json!({ "name": "OB van 7" }));
    let system = payload(1);
    let good = bundle(&image.path, "good.raucb", COMPATIBLE, "0.2.0", Signer::Ours, &system);
    let web = Web::serve(&good, 2);
    let answer = image.daemon().succeed("update", json!({ "url": web.url() }));
    assert_eq!(answer["result"], json!({ "version": "0.2.0", "restarts": "now" }));
    let asked = web.asked.lock().expect("a lock").clone();
    assert!(asked.len() == 3 && asked[0] == 0 && asked[0] < asked[1] && asked[1] < asked[2], "gone on with: {asked:?}");
    assert!(image.wants_restart());
    assert!(image.holds(&system));
    assert_eq!(image.slots(), ["set-state B bad", "set-primary B"]);
    assert_eq!(fs::read_to_string(image.state("trial")).expect("a trial"), "0.2.0\n");
    assert!(!image.state("update").exists(), "the bundle is deleted");

    image.boot("0.2.0", "B");
    let firmware = image.firmware();
    assert_eq!((&firmware["slot"], &firmware["state"]), (&json!("B"), &json!("on-trial")));
    let (code, refused) = image.daemon().command("update", json!({ "url": web.url(), "confirm": true }));
    assert_eq!((code, &refused["reason"]), (409, &json!("wrong-state")), "not while it is on trial");
    wait("it is confirmed", Duration::from_secs(30), || (image.firmware()["state"] == "idle").then_some(()));
    let last = image.firmware()["last"].clone();
    assert_eq!((&last["version"], &last["result"], &last["why"]), (&json!("0.2.0"), &json!("confirmed"), &json!(null)));
    assert_eq!(image.slots().last().map(String::as_str), Some("set-state B good"));
    wait("the trial is over", Duration::from_secs(5), || (!image.state("trial").exists()).then_some(()));
    assert_eq!(image.daemon().status()["name"], "OB van 7", "overrides outlive it");
    // The same again is no update.
    let (_, again) = image.daemon().command("update", json!({ "url": web.url() }));
    assert_eq!(again["reason"], "already-installed");
}

#[test]
fn a_stick_and_an_upload_bring_systems_too() {
    if !can_run() {
        return;
    }
    let mut image = Image::start("0.1.0", "");
    let system = payload(2);
    let good = bundle(&image.path, "good.raucb", COMPATIBLE, "0.1.1", Signer::Ours, &system);
    fs::copy(&good, image.path.join("sticks/one/box.raucb")).expect("copied");
    image.daemon().succeed("update", json!({ "url": "usb" }));
    assert!(image.wants_restart() && image.holds(&system));
    assert!(image.path.join("sticks/one/box.raucb").exists(), "what is on the stick stays");
    // The new one does not come up: the boot loader has gone back.
    image.boot("0.1.0", "A");
    let last = image.firmware()["last"].clone();
    assert_eq!(
        (&last["result"], &last["why"]),
        (&json!("rolled-back"), &json!("The new system did not start, or could not say what was wrong"))
    );
    assert!(image.daemon().faults().contains(&"update-rolled-back".to_owned()));
    fs::remove_file(image.path.join("sticks/one/box.raucb")).expect("removed");

    let older = payload(3);
    let older_bundle = bundle(&image.path, "older.raucb", COMPATIBLE, "0.0.9", Signer::Ours, &older);
    let url = format!("http://localhost:{}/api/v1/update", image.daemon().port);
    let sent =
        std::process::Command::new("curl").args(["-s", "-T"]).arg(&older_bundle).args(["-X", "POST", &url]).output();
    let sent = String::from_utf8(sent.expect("curl").stdout).expect("text");
    assert!(sent.contains("successful"), "{sent}");
    image.daemon().succeed("update", json!({ "url": "upload", "downgrade": true }));
    assert!(image.wants_restart() && image.holds(&older));
    // It came up, and was given up: the reason is told.
    fs::write(image.state("trial-why"), "The new system does not find the input hdmi\n").expect("written");
    image.boot("0.1.0", "A");
    let status = image.daemon().status();
    let fault = status["faults"].as_array().expect("faults").iter().find(|fault| fault["code"] == "update-rolled-back");
    let text = fault.and_then(|fault| fault["text"].as_str()).expect("a fault");
    assert!(text.contains("0.0.9") && text.contains("does not find the input hdmi"), "{text}");
    assert!(!image.state("trial").exists() && !image.state("trial-why").exists());
}
