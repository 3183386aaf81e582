//! Tier "goldens": every shipped board file as the checked board that it means, and what a broken one is answered with.

use fieldcast::board::{Audio, Board, BoardError, InputKind, find};
use proptest::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("boards")
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(shipped()).expect("the folder of boards");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let boards = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        boards.map(|file| file.file_stem().expect("a stem").to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn board(name: &str) -> Board {
    Board::find(Path::new("/nowhere"), &[shipped()], Some(name)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn shipped_boards_mean_what_they_meant() {
    let known = [
        "desktop",
        "imx8mp-evk",
        "jetson-nx",
        "jetson-orin-nano",
        "orange-pi-5-plus",
        "qemu-virt",
        "raspberry-pi-4",
        "raspberry-pi-5",
        "rock-3a",
        "rock-5b",
        "x86-n100",
    ];
    assert_eq!(names(), known);
    for name in names() {
        insta::assert_debug_snapshot!(name.as_str(), board(&name));
    }
}

/// CTA-861-G 7.5: what a source reads from the EDIDs that we load. `edid-decode --check` passes them, too.
#[test]
fn shipped_edids_announce_sound_and_the_modes_that_the_board_takes() {
    let boards =
        [("orange-pi-5-plus", 16), ("qemu-virt", 16), ("raspberry-pi-4", 31), ("raspberry-pi-5", 31), ("rock-5b", 16)];
    for (name, most) in boards {
        let board = board(name);
        let InputKind::Hdmi(hdmi) = &board.inputs[0].kind else { panic!("{name}: HDMI comes first") };
        let edid = hdmi.edid.as_ref().expect("an EDID").bytes();
        assert_eq!(edid.len(), 256);
        let extension = &edid[128..];
        assert_eq!(extension[..2], [2, 3], "{name}: CTA extension, revision 3");
        assert_eq!(extension[3] & 0x40, 0x40, "{name}: basic audio");
        let mut blocks = Vec::new();
        let mut at = 4;
        while at < usize::from(extension[2]) {
            let length = usize::from(extension[at] & 31);
            blocks.push((extension[at] >> 5, &extension[at + 1..=at + length]));
            at += length + 1;
        }
        let of = |tag| blocks.iter().find(|(number, _)| *number == tag).map_or(&[][..], |(_, data)| data);
        assert_eq!(of(1), [0x09, 0x04, 0x07], "{name}: two channels of linear PCM at 48 kHz");
        assert_eq!(of(3)[..3], [0x03, 0x0c, 0x00], "{name}: HDMI");
        let modes = of(2);
        assert!(modes.contains(&most) && modes.contains(&4) && modes.contains(&19) && modes.contains(&34), "{name}");
        assert_eq!(modes.contains(&16), most == 16, "{name}: 1080p60 only where it can be captured");
    }
}

/// A tree with the files of /proc and /sys that tell what machine it is.
fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    root
}

#[test]
fn the_machine_chooses_its_board() {
    let chosen = |compatible: &str| {
        let root = machine(&[("proc/device-tree/compatible", compatible)]);
        Board::find(root.path(), &[shipped()], None)
    };
    for (compatible, name) in [
        ("linux,dummy-virt\0", "qemu-virt"),
        ("raspberrypi,4-model-b\0brcm,bcm2711\0", "raspberry-pi-4"),
        ("raspberrypi,5-model-b\0brcm,bcm2712\0", "raspberry-pi-5"),
        ("radxa,rock-5b-plus\0rockchip,rk3588\0", "rock-5b"),
        ("xunlong,orangepi-5-plus\0rockchip,rk3588\0", "orange-pi-5-plus"),
        ("radxa,rock3a\0rockchip,rk3568\0", "rock-3a"),
        ("fsl,imx8mp-evk\0fsl,imx8mp\0", "imx8mp-evk"),
        ("nvidia,p3509-0000+p3668-0001\0nvidia,tegra194\0", "jetson-nx"),
        ("nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0", "jetson-nx"),
        ("nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0", "jetson-orin-nano"),
    ] {
        assert_eq!(chosen(compatible).expect("a board").name, name);
    }
    let error = chosen("acme,box\0acme,soc\0").expect_err("no board");
    assert!(error.is_mismatch());
    assert_eq!(
        error.to_string(),
        "no board describes this machine (device tree acme,box, acme,soc); known are desktop, imx8mp-evk, \
         jetson-nx, jetson-orin-nano, orange-pi-5-plus, qemu-virt, raspberry-pi-4, raspberry-pi-5, rock-3a, rock-5b, \
         x86-n100. Name one with --board, or add a file for it"
    );
}

#[test]
fn a_pc_is_a_desktop_unless_a_board_names_it() {
    let root = machine(&[("sys/class/dmi/id/sys_vendor", "Acme\n"), ("sys/class/dmi/id/product_name", "Box 7\n")]);
    let found = |folder: &Path| Board::find(root.path(), &[folder.to_path_buf(), shipped()], None);
    let folder = tempfile::tempdir().expect("a folder");
    if std::env::consts::ARCH == "x86_64" {
        assert_eq!(found(folder.path()).expect("a board").name, "desktop");
        let beelink =
            machine(&[("sys/class/dmi/id/sys_vendor", "AZW\n"), ("sys/class/dmi/id/product_name", "MINI S\n")]);
        assert_eq!(Board::find(beelink.path(), &[shipped()], None).expect("a board").name, "x86-n100");
    }
    let write = |name: &str, dmi: &str| {
        let text = GOOD.replace("compatible = [\"acme,box\"]", &format!("dmi = [{{ {dmi} }}]"));
        fs::write(folder.path().join(name), text).expect("a file");
    };
    write("acme.toml", "vendor = \"Acme\"");
    assert_eq!(found(folder.path()).expect("a board").name, "acme");
    write("box-7.toml", "vendor = \"Acme\", product = \"Box 7\"");
    write("box-8.toml", "vendor = \"Acme\", product = \"Box 8\"");
    assert_eq!(found(folder.path()).expect("a board").name, "box-7");
    write("acme-2.toml", "vendor = \"Acme\", product = \"Box 7\"");
    let error = found(folder.path()).expect_err("two fit equally");
    assert_eq!(
        error.to_string(),
        "both board \"acme-2\" and board \"box-7\" describe this machine: name one with --board"
    );
    assert!(error.is_mismatch());
}

#[test]
fn the_most_specific_name_of_the_device_tree_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, compatible) in [("a-family", "acme,soc"), ("b-box", "acme,box")] {
        let text = GOOD.replace("acme,box", compatible);
        fs::write(folder.path().join(format!("{name}.toml")), text).expect("a file");
    }
    let root = machine(&[("proc/device-tree/compatible", "acme,box\0acme,soc\0")]);
    let folders = [folder.path().to_path_buf()];
    assert_eq!(Board::find(root.path(), &folders, None).expect("a board").name, "b-box");
    // A broken file does not keep another machine from starting, but is named when it may be ours.
    fs::write(folder.path().join("b-box.toml"), "[match").expect("a file");
    assert_eq!(Board::find(root.path(), &folders, None).expect("a board").name, "a-family");
    fs::write(folder.path().join("a-family.toml"), GOOD.replace("acme,box", "other")).expect("a file");
    let error = Board::find(root.path(), &folders, None).expect_err("none fits");
    assert!(matches!(&error, BoardError::Invalid { file, .. } if file.ends_with("b-box.toml")), "{error}");
}

#[test]
fn the_operator_s_own_board_comes_before_an_installed_one_for_the_same_machine() {
    let (own, installed) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let root = machine(&[("proc/device-tree/compatible", "acme,box\0acme,soc\0")]);
    let folders = [own.path().to_path_buf(), installed.path().to_path_buf()];
    let chosen = || Board::find(root.path(), &folders, None).expect("a board").name;
    fs::write(installed.path().join("acme.toml"), GOOD).expect("a file");
    assert_eq!(chosen(), "acme");
    fs::write(own.path().join("z-mine.toml"), GOOD).expect("a file");
    assert_eq!(chosen(), "z-mine");
    // A more specific description is still the better one, wherever it lies.
    fs::write(own.path().join("z-mine.toml"), GOOD.replace("acme,box", "acme,soc")).expect("a file");
    assert_eq!(chosen(), "acme");
}

#[test]
fn a_name_that_nobody_knows_is_answered_with_the_nearest() {
    let find = |name| Board::find(Path::new("/nowhere"), &[shipped()], Some(name)).expect_err("refused");
    assert_eq!(
        find("rasberry-pi-4").to_string(),
        "there is no board \"rasberry-pi-4\", did you mean \"raspberry-pi-4\"?; known are desktop, imx8mp-evk, \
         jetson-nx, jetson-orin-nano, orange-pi-5-plus, qemu-virt, raspberry-pi-4, raspberry-pi-5, rock-3a, rock-5b, \
         x86-n100"
    );
    assert!(!find("rasberry-pi-4").is_mismatch());
    let error = Board::find(Path::new("/nowhere"), &["/nowhere".into()], None).expect_err("refused");
    assert_eq!(error.to_string(), "no board files in /nowhere: install them, or name one with --board FILE");
}

/// The smallest board, to be broken.
const GOOD: &str = r#"[match]
compatible = ["acme,box"]

[[input]]
name = "hdmi"
kind = "hdmi"
device = { driver = "acme" }
requery = "5 s"
audio = "acme"

[[input]]
name = "camera"
kind = "camera"
device = { driver = "uvcvideo" }
formats = ["YUYV"]

[[encoder]]
element = "x264enc"
codec = "h264"
bitrate = { name = "bitrate", unit = "kbit/s", through = "property", live = true }
keyframe = "event"
interval = { name = "key-int-max", through = "property" }
profile = "main"
format = "I420"

[[button]]
role = "go"
key = "KEY_G"

[limits]
mode = "1280x720p30"
bitrate = "6 Mbit/s"
"#;

/// What loading `GOOD` answers after a change.
fn answer(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from:?} is not in the board");
    answer_to(GOOD.replacen(from, to, 1).as_bytes())
}

fn answer_to(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("box.toml");
    fs::write(&file, bytes).expect("a file");
    message(&file).replace(&format!("{}/", folder.path().display()), "")
}

fn message(file: &Path) -> String {
    match Board::load(file) {
        Ok(_) => "accepted".into(),
        Err(error) => {
            assert!(!error.is_mismatch());
            error.to_string()
        }
    }
}

#[test]
fn broken_boards_are_refused_in_one_clear_line() {
    assert_eq!(answer_to(GOOD.as_bytes()), "accepted");
    let answers: Vec<String> = [
        ("[limits]", "[limits"),
        ("requery", "reqery"),
        ("kind = \"camera\"", "kind = \"camra\""),
        ("\"5 s\"", "\"5 parsecs\""),
        ("\"5 s\"", "5"),
        ("\"5 s\"", "\"-5 s\""),
        ("\"5 s\"", "\"1 ms\""),
        ("\"6 Mbit/s\"", "\"6 MB/s\""),
        ("\"6 Mbit/s\"", "\"-6 Mbit/s\""),
        ("\"6 Mbit/s\"", "\"6000000 Mbit/s\""),
        ("\"1280x720p30\"", "\"1280x720i30\""),
        ("\"1280x720p30\"", "\"1281x720p30\""),
        ("\"1280x720p30\"", "\"99999999999x720p30\""),
        ("bitrate = \"6 Mbit/s\"", ""),
        ("compatible = [\"acme,box\"]", ""),
        ("compatible = [\"acme,box\"]", "compatible = \"acme,box\""),
        ("name = \"camera\"", "name = \"hdmi\""),
        ("name = \"camera\"", "name = \"Auto cam\""),
        ("\"uvcvideo\"", "\"acme\""),
        ("{ driver = \"uvcvideo\" }", "{ path = \"video0\" }"),
        ("device = { driver = \"uvcvideo\" }", ""),
        ("formats = [\"YUYV\"]", "formats = []"),
        ("formats = [\"YUYV\"]", "formats = [\"YUYV2\"]"),
        ("formats = [\"YUYV\"]", "formats = [\"YUYV\"]\nedid = \"00\""),
        ("audio = \"acme\"", "audio = \"hw:0,0\""),
        ("audio = \"acme\"", "edid = \"00ff\""),
        ("audio = \"acme\"", "links = ['csi2:4 -> rp1:0']"),
        ("codec = \"h264\"", "codec = \"hevc\""),
        ("element = \"x264enc\"", "element = \"x264enc ! fakesink\""),
        ("unit = \"kbit/s\"", "unit = \"Mbit/s\""),
        ("live = true", "live = \"yes\""),
        ("format = \"I420\"", "format = \"I420\"\nlevel = \"7.3\""),
        ("format = \"I420\"", "format = \"I420\"\nmin-rate = -5"),
        ("format = \"I420\"", "format = \"I420\"\nmin-rate = 100000000000000000000"),
        ("format = \"I420\"", "format = \"I420\"\nmin-rate = 1000"),
        ("format = \"I420\"", "format = \"I420\"\nalign = { width = 3 }"),
        ("format = \"I420\"", "format = \"I420\"\nformat = \"NV12\""),
        ("profile = \"main\"", "profile = \"extended\""),
        ("keyframe = \"event\"", "keyframe = { signal = \"force IDR\" }"),
        ("keyframe = \"event\"", "keyframe = \"signal\""),
        ("through = \"property\" }", "through = \"property\", also = \"i frames\" }"),
        ("format = \"I420\"", "format = \"I420\"\nmemory = { feature = \"NVMM\", upload = \"nvvidconv\" }"),
        ("format = \"I420\"", "format = \"I420\"\nmemory = { feature = \"memory:NVMM\", upload = \"a ! b\" }"),
        ("format = \"I420\"", "format = \"I420\"\nmemory = { feature = \"memory:NVMM\" }"),
        ("\"KEY_G\"", "\"KEY_GO\""),
        ("role = \"go\"", "role = \"stop\""),
    ]
    .iter()
    .map(|(from, to)| answer(from, to))
    .collect();
    for answer in &answers {
        assert!(answer.starts_with("box.toml:") && !answer.contains('\n'), "{answer}");
    }
    insta::assert_snapshot!(answers.join("\n"));
}

/// A front panel with one of everything that one can have, to be broken.
const FRONT: &str = r#"[[button]]
role = "go"
key = "KEY_G"

[[button]]
role = "up"
line = { chip = "/dev/gpiochip0", line = 5, active-low = true }
debounce = "20 ms"

[[button]]
role = "back"
keypad = "exit"

[[lamp]]
led = "red:tally"
on-air = "on"
trouble = { blink = "250 ms" }

[[lamp]]
line = { chip = "/dev/gpiochip0", line = 6 }
ready = "on"

[[lamp]]
keypad = { number = 1, colour = "red" }
identify = { blink = "100 ms" }

[display]
kind = "cfa635"
device = "/dev/serial/by-id/usb-Crystalfontz"
"#;

const LCD: &str = r#"[display]
kind = "st7789"
device = "/dev/spidev0.0"
data-command = { chip = "/dev/gpiochip0", line = 25 }
reset = { chip = "/dev/gpiochip0", line = 24, active-low = true }
backlight = { chip = "/dev/gpiochip0", line = 23 }
size = "240x240"
offset = [0, 80]
clock = "40 MHz"
inverted = true
rotate = 90
"#;

const OLED: &str = "[display]\nkind = \"sh1106\"\ndevice = \"/dev/i2c-1\"\n";

/// What loading `GOOD` with another front panel answers, after a change of that.
fn answer_front(front: &str, from: &str, to: &str) -> String {
    assert!(front.contains(from), "{from:?} is not in the front panel");
    answer("[[button]]\nrole = \"go\"\nkey = \"KEY_G\"\n", &front.replacen(from, to, 1))
}

#[test]
fn broken_front_panels_are_refused_in_one_clear_line() {
    for front in [FRONT, LCD, OLED] {
        assert_eq!(answer_front(front, "", ""), "accepted");
    }
    let png = "[display]\nkind = \"png\"\n";
    let terminal = "[display]\nkind = \"terminal\"\n";
    assert_eq!(answer_front(png, "png\"", "png\"\nfile = \"/tmp/panel.png\""), "accepted");
    assert_eq!(answer_front(terminal, "terminal\"", "terminal\"\ndevice = \"/dev/tty1\""), "accepted");
    let answers: Vec<String> = [
        (FRONT, "keypad = \"exit\"", ""),
        (FRONT, "keypad = \"exit\"", "keypad = \"exit\"\nkey = \"KEY_G\""),
        (FRONT, "keypad = \"exit\"", "keypad = \"escape\""),
        (FRONT, "keypad = \"exit\"", "keypad = \"exit\"\ndebounce = \"20 ms\""),
        (FRONT, "keypad = \"exit\"", "key = \"KEY_G\""),
        (FRONT, "key = \"KEY_G\"", "keypad = \"exit\""),
        (FRONT, "key = \"KEY_G\"", "key = \"KEY_G\"\ndevice = \" \""),
        (FRONT, "key = \"KEY_G\"", "keypad = \"up\"\ndevice = \"kbd\""),
        (FRONT, "role = \"go\"", "role = \"down\""),
        (FRONT, "role = \"go\"", "role = \"start\""),
        (FRONT, "\"20 ms\"", "\"2 s\""),
        (FRONT, "line = 5", "line = -5"),
        (FRONT, "line = 5, active-low", "line = 5, activelow"),
        (FRONT, "line = 5", "line = 6"),
        (FRONT, "\"/dev/gpiochip0\", line = 5", "\"gpiochip0\", line = 5"),
        (FRONT, "\"/dev/gpiochip0\", line = 5", "\"/dev/../etc/passwd\", line = 5"),
        (FRONT, "on-air = \"on\"", "on-air = \"off\""),
        (FRONT, "on-air = \"on\"", "onair = \"on\""),
        (FRONT, "on-air = \"on\"", "on-air = true"),
        (FRONT, "{ blink = \"250 ms\" }", "{ blink = \"1 ms\" }"),
        (FRONT, "{ blink = \"250 ms\" }", "{ blink = 250 }"),
        (FRONT, "ready = \"on\"", ""),
        (FRONT, "\"red:tally\"", "\"../../etc\""),
        (FRONT, "\"red:tally\"", "\"..\""),
        (FRONT, "led = \"red:tally\"", ""),
        (FRONT, "line = { chip = \"/dev/gpiochip0\", line = 6 }", "led = \"red:tally\""),
        (FRONT, "number = 1", "number = 5"),
        (FRONT, "colour = \"red\"", "colour = \"amber\""),
        (FRONT, "kind = \"cfa635\"\ndevice = \"/dev/serial/by-id/usb-Crystalfontz\"", "kind = \"png\""),
        (FRONT, "\"/dev/serial/by-id/usb-Crystalfontz\"", "\"ttyUSB0\""),
        (FRONT, "kind = \"cfa635\"", "kind = \"cfa633\""),
        (FRONT, "kind = \"cfa635\"", "kind = \"cfa635\"\nrotate = 180"),
        (LCD, "data-command = { chip = \"/dev/gpiochip0\", line = 25 }", ""),
        (LCD, "device = \"/dev/spidev0.0\"", ""),
        (LCD, "line = 24", "line = 25"),
        (LCD, "\"240x240\"", "\"480x320\""),
        (LCD, "\"240x240\"", "240"),
        (LCD, "[0, 80]", "[0, 81]"),
        (LCD, "[0, 80]", "[0]"),
        (LCD, "\"40 MHz\"", "\"40 mhz\""),
        (LCD, "\"40 MHz\"", "\"4 GHz\""),
        (LCD, "rotate = 90", "rotate = 45"),
        (LCD, "rotate = 90", "adress = 0x3c"),
        (LCD, "rotate = 90", "address = 0x3c"),
        (LCD, "rotate = 90", "file = \"/tmp/panel.png\""),
        (OLED, "/i2c-1\"", "/i2c-1\"\naddress = 0x78"),
        (OLED, "/i2c-1\"", "/i2c-1\"\naddress = 256.5"),
        (OLED, "/i2c-1\"", "/i2c-1\"\nrotate = 90"),
        (OLED, "/dev/i2c-1", "i2c-1"),
        (OLED, "kind", "knd"),
        (png, "png\"", "png\"\nfile = \"panel.png\""),
        (png, "png\"", "png\"\nfile = \"/tmp/panel\""),
        (terminal, "", ""),
    ]
    .iter()
    .map(|(front, from, to)| answer_front(front, from, to))
    .collect();
    for answer in &answers {
        assert!(answer.starts_with("box.toml:") && !answer.contains('\n'), "{answer}");
    }
    insta::assert_snapshot!(answers.join("\n"));
}

/// The complete examples of boards/README.md are boards.
#[test]
fn the_examples_of_the_readme_are_front_panels() {
    let readme = fs::read_to_string(shipped().join("README.md")).expect("a file");
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 9);
    for block in blocks {
        // Some show a part: what it needs beside it is added.
        let go = if block.contains("role = \"go\"") { "" } else { "[[button]]\nrole = \"go\"\nkey = \"KEY_G\"\n" };
        let display = match block.contains("keypad = ") && !block.contains("[display]") {
            true => "[display]\nkind = \"cfa635\"\ndevice = \"/dev/serial/by-id/panel\"\n",
            false => "",
        };
        assert_eq!(answer_front(&format!("{go}{display}{block}"), "", ""), "accepted", "{block}");
    }
}

#[test]
fn an_entity_is_known_by_how_its_name_starts() {
    let board = board("raspberry-pi-5");
    let InputKind::Hdmi(hdmi) = &board.inputs[0].kind else { panic!("HDMI comes first") };
    let (bridge, receiver) = (&hdmi.links[0].source, &hdmi.links[0].sink);
    assert!(bridge.is_of("tc358743 4-000f") && bridge.is_of("tc358743 11-000f") && !bridge.is_of("imx219 4-0010"));
    assert!(receiver.is_of("csi2") && !receiver.is_of("csi2-1"));
}

#[test]
fn a_bad_edid_is_refused_with_its_line() {
    let edid = |hex: &str| answer("audio = \"acme\"", &format!("edid = \"{hex}\""));
    let mut good = "00ffffffffffff00".to_string() + &"00".repeat(118) + "0006";
    assert_eq!(edid(&good), "accepted");
    good.replace_range(254.., "07");
    assert_eq!(edid(&good), "box.toml:9: input[0].edid: the last byte of block 0 has to be 06, got 07");
    good.truncate(254);
    assert_eq!(edid(&good), "box.toml:9: input[0].edid: expected 1 to 4 blocks of 128 bytes, got 254 hex digits");
}

#[test]
fn what_is_no_readable_text_is_refused() {
    assert_eq!(message(Path::new("/nowhere/box.toml")), "/nowhere/box.toml: there is no such file");
    assert_eq!(message(Path::new("/")), "/: is a folder, expected a file");
    assert_eq!(message(Path::new("/dev/zero")), "/dev/zero: expected a plain file");
    assert_eq!(answer_to(b"# board\nname = \"\xff\""), "box.toml: line 2: expected UTF-8 text");
    assert_eq!(answer_to(&vec![b'#'; 1 << 20]), "box.toml: expected a board file of at most 256 KiB");
    assert_eq!(answer_to(b""), "box.toml:1: missing field `match`");
    let folder = tempfile::tempdir().expect("a folder");
    let (circle, locked) = (folder.path().join("circle.toml"), folder.path().join("locked.toml"));
    std::os::unix::fs::symlink(&circle, &circle).expect("a link");
    assert!(message(&circle).contains("circle.toml: cannot be read: "), "{}", message(&circle));
    fs::write(&locked, GOOD).expect("a file");
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("permissions");
    // Root reads it all the same.
    assert!(message(&locked) == "accepted" || message(&locked).contains("cannot be read: "), "{}", message(&locked));
}

#[test]
fn folders_come_from_the_installation_and_from_a_checkout() {
    // Cargo runs tests in the checkout.
    let folders = ["/etc/fieldcast/boards", "/usr/share/fieldcast/boards", "boards"];
    assert_eq!(find::folders(), folders.map(PathBuf::from));
}

#[test]
fn only_the_test_input_and_what_is_named_is_left_out_of_auto() {
    let automatic = |name| board(name).automatic_inputs().map(|input| input.name.clone()).collect::<Vec<_>>();
    assert_eq!(automatic("desktop"), ["test"]);
    assert_eq!(automatic("rock-5b"), ["hdmi", "camera"]);
    assert_eq!(board("desktop").inputs[0].audio, Audio::Test);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_a_board_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        answer_to(&bytes);
    }

    /// Near to a front panel: one value replaced, or a piece cut out.
    #[test]
    fn a_damaged_front_panel_is_taken_or_refused_in_one_line(
        at in 0..FRONT.len(), length in 0usize..40, piece in "[\\[\\]{}=\"'., \\n0-9a-z\u{e9}-]{0,12}"
    ) {
        let mut front = FRONT.to_string();
        front.replace_range(at..(at + length).min(FRONT.len()), &piece);
        let answer = answer_front(&front, "", "");
        prop_assert!(answer == "accepted" || answer.starts_with("box.toml"), "{}", answer);
        prop_assert!(!answer.contains('\n'), "{}", answer);
    }

    /// Near to a board: one value replaced, or a piece cut out.
    #[test]
    fn a_damaged_board_is_a_board_or_refused_in_one_line(
        at in 0..GOOD.len(), length in 0usize..40, piece in "[\\[\\]{}=\"'., \\n0-9a-z\u{e9}-]{0,12}"
    ) {
        let mut text = GOOD.to_string();
        text.replace_range(at..(at + length).min(GOOD.len()), &piece);
        let answer = answer_to(text.as_bytes());
        prop_assert!(answer == "accepted" || answer.starts_with("box.toml"), "{}", answer);
        prop_assert!(!answer.contains('\n'), "{}", answer);
    }
}
