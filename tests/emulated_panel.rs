//! The emulated box's front panel: its graphics card photographed from outside while keys that are pressed from outside take
//! the producer from power-on to on air, and a CFA635 (a stand-in for one) on its serial port. The pictures are left in
//! `target/panel` to be looked at.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

mod support;

use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};
use support::{
    Nginx,
    cfa635::StandIn,
    guest::{BOOT, Control, Guest, SOON, report, the_machine},
};

const GREEN: [u8; 3] = [0x37, 0xc8, 0x71];
const RED: [u8; 3] = [0xd8, 0x12, 0x1c];
const BLUE: [u8; 3] = [0x5a, 0xa9, 0xff];
const AMBER: [u8; 3] = [0xff, 0xb2, 0x24];
/// In the band that has the state of the push in large letters, left of them.
const BAND: (usize, usize) = (3, 50);

/// What the graphics card shows.
struct Photo {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Photo {
    fn take(control: &mut Control, folder: &Path) -> Self {
        let file = folder.join("screen.ppm");
        control.tell(&json!({"execute": "screendump", "arguments": {"filename": file}}));
        let bytes = fs::read(&file).unwrap();
        // "P6", width and height, and the largest value, each on a line (ppm(5)).
        let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
        assert_eq!(lines.next(), Some(&b"P6"[..]));
        let size = String::from_utf8(lines.next().unwrap().to_vec()).unwrap();
        let (width, height) = size.split_once(' ').unwrap();
        assert_eq!(lines.next(), Some(&b"255"[..]));
        Self { width: width.parse().unwrap(), height: height.parse().unwrap(), pixels: lines.next().unwrap().to_vec() }
    }

    fn at(&self, (x, y): (usize, usize)) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        self.pixels[at..at + 3].try_into().unwrap()
    }

    /// Whether that pixel has this colour, as 16 or 24 bits show it.
    fn is(&self, at: (usize, usize), colour: [u8; 3]) -> bool {
        self.at(at).iter().zip(colour).all(|(seen, wanted)| seen.abs_diff(wanted) < 12)
    }

    /// Pixels of the bar of a hold.
    fn filled(&self) -> usize {
        let blue = |pixel: &&[u8]| BLUE.iter().zip(*pixel).all(|(wanted, seen)| seen.abs_diff(*wanted) < 12);
        self.pixels.chunks_exact(3).filter(blue).count()
    }

    fn is_dark(&self) -> bool {
        self.pixels.iter().all(|value| *value < 8)
    }

    /// Kept as `target/panel/NAME.png`.
    fn keep(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../panel");
        fs::create_dir_all(&folder).unwrap();
        let file = fs::File::create(folder.join(format!("{name}.png"))).unwrap();
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&self.pixels).unwrap();
    }
}

/// Photographs until `holds`, and keeps that picture.
fn seen(control: &mut Control, folder: &Path, name: &str, within: Duration, holds: impl Fn(&Photo) -> bool) -> Photo {
    let deadline = Instant::now() + within;
    loop {
        let photo = Photo::take(control, folder);
        if holds(&photo) {
            photo.keep(name);
            return photo;
        }
        if Instant::now() > deadline {
            photo.keep(name);
            panic!("not seen within {within:?}: {name}; the band is {:?}; see target/panel/{name}.png", photo.at(BAND));
        }
        sleep(Duration::from_millis(20));
    }
}

/// Presses a key for so short that it is a tap, and waits until the screen has answered.
fn tap(control: &mut Control, folder: &Path, key: &str) -> Duration {
    let before = Photo::take(control, folder);
    let pressed = Instant::now();
    control.key(key, true);
    sleep(Duration::from_millis(60));
    control.key(key, false);
    while Photo::take(control, folder).pixels == before.pixels {
        assert!(pressed.elapsed() < SOON, "{key} is not answered");
        sleep(Duration::from_millis(5));
    }
    pressed.elapsed()
}

#[test]
fn from_power_on_to_on_air_by_keys_and_every_state_is_seen() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ingest = Nginx::start();
    let port = ingest.port;
    let dead = "[[source]]\nname = \"Nowhere\"\nurl = \"rtmp://10.0.2.2:9/live\"\nkey = \"x\"\n[push]";
    let settings = Guest::settings(port, "never").replace("[push]", dead).replace("[\"Host\"]", "[\"Nowhere\"]");
    let mut guest = Guest::boot_settings(folder.path(), &settings, &[]);
    let mut control = Control::of(&guest);
    let started = seen(&mut control, folder.path(), "start-up", BOOT, |photo| {
        (photo.width, photo.height) == (320, 240) && !photo.is_dark()
    });
    guest.wait_until_ready();
    guest.wait_for_status("the display", |status| status["panel"]["present"] == true);
    guest.wait_for_status("the picture locks", |status| status["input"]["signal"] == "locked");
    let ready = seen(&mut control, folder.path(), "ready", SOON, |photo| photo.is(BAND, GREEN));
    assert!(started.pixels != ready.pixels);

    // Down to the page of the Sources: the first is chosen, and leads nowhere.
    for _ in 0..3 {
        report("key to a changed screen", tap(&mut control, folder.path(), "f2"));
    }
    seen(&mut control, folder.path(), "sources", SOON, |photo| !photo.is(BAND, GREEN));
    tap(&mut control, folder.path(), "f3");
    // The list is in the order of the settings, with the mark on what is chosen: Host is above Nowhere.
    tap(&mut control, folder.path(), "f1");
    Photo::take(&mut control, folder.path()).keep("sources-list");
    tap(&mut control, folder.path(), "f3");
    guest.wait_until("Host is chosen", SOON, |guest| {
        guest.try_run("grep -q Host /var/lib/fieldcast/overrides.toml").is_ok_and(|(code, _)| code == 0)
    });
    for _ in 0..2 {
        control.key("f4", true);
        sleep(Duration::from_millis(60));
        control.key("f4", false);
        sleep(Duration::from_millis(500));
    }
    seen(&mut control, folder.path(), "ready-again", SOON, |photo| photo.is(BAND, GREEN));

    // Half of the bar, and let go: nothing happens.
    control.key("g", true);
    sleep(Duration::from_millis(500));
    let half = Photo::take(&mut control, folder.path());
    half.keep("hold");
    assert!(half.filled() > ready.filled() + 1000, "a bar fills");
    control.key("g", false);
    sleep(Duration::from_secs(1));
    assert_eq!(guest.status()["phase"], "off-air");
    control.key("g", true);
    sleep(Duration::from_millis(1400));
    control.key("g", false);
    seen(&mut control, folder.path(), "on-air", SOON, |photo| photo.is(BAND, RED));
    let status = guest.status();
    assert_eq!((&status["phase"], &status["uplinks"][0]["source"]), (&json!("on-air"), &json!("Host")), "{status:#}");

    // The cable: on air with the slate. Viewers are told apart from the producer, who sees why.
    let live = Photo::take(&mut control, folder.path());
    guest.run("v4l2-ctl -d /dev/video0 --set-ctrl=dv_timings_signal_mode=1");
    guest.wait_for_status("the slate", |status| status["program"]["showing"] == "slate");
    let slate = seen(&mut control, folder.path(), "cable-pulled", SOON, |photo| {
        photo.is(BAND, RED) && photo.pixels != live.pixels
    });
    assert!(slate.is(BAND, RED), "it is on air");
    guest.run("v4l2-ctl -d /dev/video0 --set-ctrl=dv_timings_signal_mode=0");
    guest.wait_for_status("live", |status| status["program"]["showing"] == "live");

    drop(ingest);
    seen(&mut control, folder.path(), "reconnecting", SOON, |photo| photo.is(BAND, AMBER));
    assert_eq!(guest.status()["phase"], "reconnecting");
    guest.run("systemctl stop fieldcastd");
    seen(&mut control, folder.path(), "stopped", SOON, |photo| !photo.is(BAND, AMBER));
}

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
    // A lamp of the panel, and one that the kernel has: of the keyboard.
    let led = guest.run("ls /sys/class/leds | grep -m 1 capslock").trim().to_owned();
    let lamp = format!(
        "[[lamp]]\\nkeypad = {{ number = 1, colour = \"red\" }}\\non-air = \"on\"\\n[[lamp]]\\nled = \"{led}\"\\non-air = \"on\"\\n"
    );
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
    let brightness = format!("cat /sys/class/leds/{led}/brightness");
    guest.wait_until("the kernel's lamp", SOON, |guest| guest.run(&brightness).trim() != "0");
    assert_eq!(guest.status()["phase"], "on-air");
    // It falls silent for some seconds, and is painted anew.
    panel.panel().silent = true;
    guest.wait_for_status("it is missed", |status| status["panel"]["present"] == false);
    assert_eq!(guest.status()["phase"], "on-air");
    panel.panel().text = [[b' '; 20]; 4];
    panel.panel().silent = false;
    guest.wait_until("it is painted anew", SOON, |_| panel.panel().row(0).contains("ON AIR"));
    guest.run("systemctl stop fieldcastd");
    assert_eq!(guest.run(&brightness).trim(), "0");
    guest.wait_until("the panel says so", SOON, |_| panel.panel().row(1).to_lowercase().contains("stop"));
}
