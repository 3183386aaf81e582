//! The systemd units as `make install` lays them out: sound, as closed as they say, and open for every device that a board names.
#![allow(clippy::unwrap_used, reason = "a test that fails")]

use fieldcast::board::Board;
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
const UNITS: &str = "usr/lib/systemd/system";
/// What `systemd-analyze security` may find at most in what runs all the time, of 10.
const EXPOSURE: f64 = 1.5;

/// Whether this machine has systemd's tools; under CI it has to.
fn has_systemd() -> bool {
    let there = Command::new("systemd-analyze").arg("--version").output().is_ok_and(|run| run.status.success());
    assert!(there || std::env::var("CI").is_err(), "systemd-analyze is missing");
    if !there {
        eprintln!("SKIPPED: systemd-analyze is missing");
    }
    there
}

fn program(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A root file system with what is installed, the distribution's targets, and a program for each that a unit starts.
fn installed() -> TempDir {
    let (root, programs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    ["fieldcastd", "fieldcast-media"].iter().for_each(|name| program(&programs.path().join(name)));
    let mut make = Command::new("make");
    make.args(["-s", "-C", PROJECT, "install"])
        .arg(format!("DESTDIR={}", root.path().display()))
        .arg(format!("PROGRAMS={}", programs.path().display()));
    assert!(make.status().unwrap().success());
    let image = Path::new(PROJECT).join("systemd/image/.");
    assert!(Command::new("cp").arg("-a").arg(image).arg(root.path()).status().unwrap().success());
    symlink("usr/bin", root.path().join("bin")).unwrap();
    symlink("usr/lib", root.path().join("lib")).unwrap();
    for entry in fs::read_dir("/usr/lib/systemd/system").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".target") || name.starts_with("modprobe@") {
            fs::copy(entry.path(), root.path().join(UNITS).join(&name)).unwrap();
        }
    }
    for unit in ours(root.path()) {
        for command in fs::read_to_string(unit).unwrap().lines().filter_map(command) {
            let path = root.path().join(command.trim_start_matches('/'));
            let path = if command.starts_with('/') { path } else { root.path().join("usr/bin").join(command) };
            if !path.exists() {
                program(&path);
            }
        }
    }
    root
}

/// What a line of a unit starts.
fn command(line: &str) -> Option<&str> {
    let (key, command) = line.split_once('=')?;
    let first = command.split_whitespace().next()?;
    key.starts_with("Exec").then(|| first.trim_start_matches(['+', '-', '@', ':', '!']))
}

/// The project's services.
fn ours(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(UNITS)).unwrap().flatten().map(|entry| entry.path());
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("fieldcast") && name.ends_with(".service")
    };
    let mut found: Vec<_> = entries.filter(ours).collect();
    found.sort();
    assert!(found.len() >= 3, "{found:?}");
    found
}

#[test]
fn the_units_are_sound() {
    if !has_systemd() {
        return;
    }
    let root = installed();
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").arg(format!("--root={}", root.path().display()));
    let names = ours(root.path()).into_iter().map(|path| path.file_name().unwrap().to_owned());
    let run = verify.args(names).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.is_empty(), "{said}");
}

#[test]
fn what_runs_all_the_time_is_closed() {
    if !has_systemd() {
        return;
    }
    let root = installed();
    for name in ["fieldcastd.service", "fieldcast-rescue.service"] {
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--no-pager"]).arg(format!("--root={}", root.path().display()));
        let run = security.arg(name).output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        let found = said.lines().find_map(|line| line.split_once("Overall exposure level for ")?.1.split_once(": "));
        let (_, level) = found.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&run.stderr)));
        let level: f64 = level.split_whitespace().next().unwrap().parse().unwrap();
        println!("{name}: {level}");
        assert!(level <= EXPOSURE, "{said}");
    }
}

#[test]
fn every_device_that_a_board_names_is_allowed() {
    let unit = |name: &str| fs::read_to_string(Path::new(PROJECT).join("systemd").join(name)).unwrap();
    let allows = |unit: &str, device: &str| unit.lines().any(|line| line == format!("DeviceAllow={device} rw"));
    let (daemon, rescue) = (unit("fieldcastd.service"), unit("fieldcast-rescue.service"));
    let boards = fs::read_dir(Path::new(PROJECT).join("boards")).unwrap().flatten().map(|entry| entry.path());
    for file in boards.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let text = fs::read_to_string(&file).unwrap();
        let shown = file.display();
        let nodes = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(|line| line.split('"'));
        for node in nodes.filter(|part| part.starts_with("/dev/")) {
            for device in devices_of_node(node).unwrap_or_else(|| panic!("{shown}: {node}: of which driver?")) {
                assert!(allows(&daemon, device), "{shown}: {node}: {device}");
                let panel = !["char-81", "char-media"].contains(device);
                assert!(!panel || allows(&rescue, device), "{shown}: {node}: {device} in the rescue");
            }
        }
        let board = Board::load(&file).unwrap();
        for encoder in board.encoders.iter().filter(|encoder| encoder.hardware) {
            let devices = devices_of_element(&encoder.element);
            for device in devices.unwrap_or_else(|| panic!("{shown}: {}: of which devices?", encoder.element)) {
                assert!(allows(&daemon, device), "{shown}: {}: {device}", encoder.element);
            }
        }
    }
}

/// The drivers' numbers or names (Documentation/admin-guide/devices.txt), as the units have them.
fn devices_of_node(node: &str) -> Option<&'static [&'static str]> {
    let known: [(&str, &'static [&'static str]); 17] = [
        ("/dev/video", &["char-81"]),
        ("/dev/v4l", &["char-81"]),
        ("/dev/fieldcast/hdmi", &["char-81"]),
        ("/dev/media", &["char-media"]),
        ("/dev/fb", &["char-29"]),
        ("/dev/i2c-", &["char-89"]),
        ("/dev/spidev", &["char-153"]),
        ("/dev/gpiochip", &["char-gpiochip"]),
        ("/dev/input/", &["char-13"]),
        ("/dev/serial/by-", &["char-188", "char-166"]),
        ("/dev/ttyUSB", &["char-188"]),
        ("/dev/ttyACM", &["char-166"]),
        ("/dev/ttyAMA", &["char-204"]),
        ("/dev/ttymxc", &["char-207"]),
        ("/dev/ttyTHS", &["char-ttyTHS"]),
        ("/dev/ttyS", &["char-4"]),
        ("/dev/tty", &["char-4"]),
    ];
    known.iter().find(|(prefix, _)| node.starts_with(prefix)).map(|(_, devices)| *devices)
}

/// What a hardware encoder's library opens.
fn devices_of_element(element: &str) -> Option<&'static [&'static str]> {
    let known: [(&str, &'static [&'static str]); 6] = [
        ("v4l2", &["char-81"]),
        ("va", &["char-226"]),
        ("mpp", &["/dev/mpp_service", "char-dma_heap", "char-226"]),
        ("vpuenc", &["/dev/mxc_hantro_vc8000e", "char-dma_heap", "/dev/ion"]),
        ("nvv4l2", &["char-nvhost*", "/dev/nvmap"]),
        ("imx", &["/dev/mxc_hantro_vc8000e", "/dev/ion"]),
    ];
    known.iter().find(|(prefix, _)| element.starts_with(prefix)).map(|(_, devices)| *devices)
}

/// systemd feeds the watchdog of every board: the shortest is the Raspberry Pi's, of 15 s (bcm2835_wdt).
#[test]
fn the_watchdog_fits_every_board() {
    let file = Path::new(PROJECT).join("systemd/image/usr/lib/systemd/system.conf.d/fieldcast.conf");
    let text = fs::read_to_string(file).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix("RuntimeWatchdogSec=")?.strip_suffix('s'));
    assert!((5..15).contains(&value.unwrap().parse::<u32>().unwrap()), "{text}");
}

/// What the example in the units' folder says is what systemd reads.
#[test]
fn the_example_of_credentials_is_sound() {
    if !has_systemd() {
        return;
    }
    let root = installed();
    let folder = root.path().join("etc/systemd/system/fieldcastd.service.d");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(Path::new(PROJECT).join("systemd/examples/keys.conf"), folder.join("keys.conf")).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "fieldcastd.service"]).arg(format!("--root={}", root.path().display()));
    let run = verify.output().unwrap();
    assert!(run.status.success() && run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
}
