//! The emulated box's front panel: a CFA635 (a stand-in for one) on its serial port, with its keys and lamps.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use std::{thread::sleep, time::Duration};
use support::{
    Nginx,
    cfa635::StandIn,
    guest::{Guest, SOON, the_machine},
};

#[test]
fn a_serial_panel_shows_and_goes_on_air() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ingest = Nginx::start();
    let link = folder.path().join("cfa635");
    let panel = StandIn::plug(&link);
    let port = format!("serial,id=panel,path={}", link.display());
    let hardware = ["-chardev", &port, "-device", "pci-serial,chardev=panel"];
    let mut guest = Guest::boot_with(folder.path(), ingest.port, "never", &hardware);
    guest.wait_until_ready();
    let board = "/usr/share/fieldcast/boards/qemu-virt.toml";
    guest.run(&format!("sed -i 's/\"framebuffer\"/\"cfa635\"/; s#/dev/fb0#/dev/ttyS0#' {board}"));
    let lamp = "[[lamp]]\\nkeypad = { number = 1, colour = \"red\" }\\non-air = \"on\"\\n";
    let keys = "[[button]]\\nrole = \"go\"\\nkeypad = \"enter\"\\n";
    guest.run(&format!("printf '{keys}{lamp}' >> {board} && systemctl restart fieldcastd"));
    guest.wait_for_status("the panel", |status| status["panel"]["present"] == true);
    guest.wait_until("READY on the panel", SOON, |_| panel.panel().row(0).contains("READY"));
    assert_eq!(panel.panel().outputs[12], 0);
    // Key 5 of the reports is the tick.
    panel.panel().key(5, true, false);
    sleep(Duration::from_millis(1500));
    panel.panel().key(5, false, false);
    guest.wait_until("ON AIR on the panel", SOON, |_| panel.panel().row(0).contains("ON AIR"));
    guest.wait_until("the lamp", SOON, |_| panel.panel().outputs[12] == 100);
    assert_eq!(guest.status()["phase"], "on-air");
    // It falls silent for some seconds, and is painted anew.
    panel.panel().silent = true;
    guest.wait_for_status("it is missed", |status| status["panel"]["present"] == false);
    assert_eq!(guest.status()["phase"], "on-air");
    panel.panel().text = [[b' '; 20]; 4];
    panel.panel().silent = false;
    guest.wait_until("it is painted anew", SOON, |_| panel.panel().row(0).contains("ON AIR"));
    guest.run("systemctl stop fieldcastd");
    guest.wait_until("the panel says so", SOON, |_| panel.panel().row(1).to_lowercase().contains("stop"));
}
