//! The emulated box, commanded from the desk of an operator: the real `fieldcast` and a real broker on this machine, the real
//! box at the other end.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use std::{
    process::{Command, Stdio},
    time::Instant,
};
use support::{
    Nginx,
    broker::{Broker, has_broker},
    guest::{BOOT, Guest, SOON, report, the_machine},
    wait,
};

#[test]
fn the_desk_puts_the_box_on_air_and_is_answered_after_its_reboot() {
    let Some(_machine) = the_machine() else { return };
    if !has_broker() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (ingest, broker) = (Nginx::start(), Broker::start(""));
    let mqtt = format!("[mqtt]\nbroker = \"mqtt://10.0.2.2:{}\"\nallow-plaintext = true\n", broker.port);
    let settings = format!("{}{mqtt}", Guest::settings(ingest.port, "resume"));
    let desk = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldcast"));
        command.env("FIELDCAST_CONFIG", folder.path().join("config.toml")).env("FIELDCAST_BROKER", broker.url());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let listed = |word: &str| {
        let said = desk(&["list"]).output().unwrap();
        String::from_utf8_lossy(&said.stdout).contains(word).then_some(())
    };
    let mut guest = Guest::boot_settings(folder.path(), &settings, &[]);
    guest.wait_until_ready();
    guest.wait_for_status("the picture locks", |status| status["input"]["signal"] == "locked");
    wait("the box is at the broker", SOON, || listed("Test box"));

    let asked = Instant::now();
    let said = desk(&["start", "Test box", "--timeout", "60 s"]).output().unwrap();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    report("fieldcast start to its answer", asked.elapsed());
    assert_eq!(guest.status()["phase"], "on-air");

    let asked = Instant::now();
    let mut waiting = desk(&["reboot", "Test box", "--yes", "--timeout", "300 s"]).spawn().unwrap();
    guest.wait_for_restart();
    assert!(waiting.try_wait().unwrap().is_none(), "answered before the box is back");
    wait("its last will or its good-bye", SOON, || listed("offline"));
    let mut guest = Guest::boot_settings(folder.path(), &settings, &[]);
    guest.wait_until_ready();
    wait("the answer", BOOT, || waiting.try_wait().unwrap());
    let said = waiting.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    report("fieldcast reboot to its answer", asked.elapsed());
    // It was on air, and the settings say to go on.
    guest.wait_for_status("on air again", |status| status["phase"] == "on-air");
}
