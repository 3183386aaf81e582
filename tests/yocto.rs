//! The Yocto layer against the sources that it packages: crates, plugins, files, partitions, style. What bitbake itself says
//! takes oe-core, which no CI machine has: with `FIELDCAST_OE=FOLDER` (see `yocto/parse`) it is asked too, by hand.

mod support;

use fieldcast::{
    board::{Board, InputKind},
    control::Signal,
    media::{AudioPlan, AudioSource, Card, launch, plan},
    settings::{Codec, Output, OutputMode},
    status::SignalState,
    units::BitRate,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output as Done},
};
use support::skip;

/// The elements that plans use and the packages of the plugins they are in: in oe-core the package of a plugin is the recipe
/// and the plugin's file (gstreamer1.0-plugins-packaging.inc). Which file has which element: GStreamer's plugin reference; for
/// the vendors' the recipes named in the packagegroups.
const PLUGINS: [(&str, &[&str]); 25] = [
    ("gstreamer1.0", &["queue", "valve"]),
    ("gstreamer1.0-plugins-base-alsa", &["alsasrc"]),
    ("gstreamer1.0-plugins-base-app", &["appsink", "appsrc"]),
    ("gstreamer1.0-plugins-base-audioconvert", &["audioconvert"]),
    ("gstreamer1.0-plugins-base-audioresample", &["audioresample"]),
    ("gstreamer1.0-plugins-base-audiotestsrc", &["audiotestsrc"]),
    ("gstreamer1.0-plugins-base-videoconvertscale", &["videoconvertscale"]),
    ("gstreamer1.0-plugins-base-videorate", &["videorate"]),
    ("gstreamer1.0-plugins-base-videotestsrc", &["videotestsrc"]),
    ("gstreamer1.0-plugins-base-volume", &["volume"]),
    ("gstreamer1.0-plugins-good-deinterlace", &["deinterlace"]),
    ("gstreamer1.0-plugins-good-imagefreeze", &["imagefreeze"]),
    ("gstreamer1.0-plugins-good-jpeg", &["jpegdec", "jpegenc"]),
    ("gstreamer1.0-plugins-good-level", &["level"]),
    ("gstreamer1.0-plugins-good-png", &["pngdec"]),
    ("gstreamer1.0-plugins-good-video4linux2", &["v4l2convert", "v4l2h264enc", "v4l2h265enc", "v4l2src"]),
    ("gstreamer1.0-plugins-bad-openh264", &["openh264enc"]),
    ("gstreamer1.0-plugins-bad-va", &["vah264enc", "vah264lpenc", "vah265enc", "vah265lpenc", "vapostproc"]),
    ("gstreamer1.0-plugins-bad-videoparsersbad", &["h264parse", "h265parse"]),
    ("gstreamer1.0-plugins-bad-voaacenc", &["voaacenc"]),
    ("gstreamer1.0-plugins-bad-x265", &["x265enc"]),
    ("gstreamer1.0-plugins-ugly-x264", &["x264enc"]),
    ("gstreamer1.0-rockchip", &["mpph264enc", "mpph265enc"]),
    ("imx-gst1.0-plugin", &["imxvideoconvert_g2d", "vpuenc_h264", "vpuenc_hevc"]),
    // Two packages; they come together.
    ("gstreamer1.0-plugins-nvvideo4linux2", &["nvv4l2h264enc", "nvv4l2h265enc", "nvvidconv"]),
];

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn layer(file: &str) -> String {
    fs::read_to_string(root().join("yocto/meta-fieldcast").join(file)).expect(file)
}

/// The packages that a packagegroup names.
fn group(name: &str) -> BTreeSet<String> {
    let text = layer(&format!("recipes-fieldcast/packagegroups/packagegroup-fieldcast-{name}.bb"));
    let words = text.split(|c: char| c.is_whitespace() || c == '"');
    words.filter(|word| word.contains("gst")).map(str::to_owned).collect()
}

/// The packagegroup of the board's family besides the base: by the vendor of its device tree, a PC's else.
fn family(board: &Board) -> Option<&'static str> {
    let vendor = board.matches.compatible.first().and_then(|name| name.split(',').next());
    match vendor {
        Some("linux") => None,
        Some("raspberrypi") => Some("raspberrypi"),
        Some("radxa" | "xunlong") => Some("rockchip"),
        Some("fsl") => Some("imx"),
        Some("nvidia") => Some("tegra"),
        None => Some("intel"),
        Some(other) => panic!("which packagegroup do boards of {other} need?"),
    }
}

fn boards() -> Vec<Board> {
    let files = fs::read_dir(root().join("boards")).expect("boards").flatten().map(|entry| entry.path());
    let boards: Vec<Board> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| Board::load(&path).expect("a board"))
        .collect();
    assert!(boards.len() > 3, "the boards were not found");
    boards
}

/// The elements of a pipeline; what has a slash is caps.
fn add(elements: &mut BTreeSet<String>, line: &[String]) {
    let first = |part: &[String]| part.first().filter(|word| !word.contains('/')).cloned();
    elements.extend(line.split(|word| word == "!").filter_map(first));
}

/// Every element that the workers may be asked to run on this board.
fn elements(board: &Board) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for input in &board.inputs {
        for (codec, wanted, sent) in [Codec::H264, Codec::Hevc]
            .into_iter()
            .flat_map(|codec| ["1280x720p25", "1280x720p60"].map(|wanted| (codec, wanted)))
            .flat_map(|(codec, wanted)| {
                ["1920x1080p60", "1920x1080i50", "720x576p50"].map(|sent| (codec, wanted, sent))
            })
        {
            let mode = OutputMode::Fixed(wanted.parse().expect("a mode"));
            let output = Output { mode, codec, ..Output::default() };
            let formats = match &input.kind {
                InputKind::Camera(camera) => camera.formats.iter().cloned().map(Some).collect(),
                InputKind::Hdmi(hdmi) => vec![hdmi.pixel_format.clone()],
                InputKind::Test => vec![None],
            };
            for format in formats {
                let node = (input.kind != InputKind::Test).then(|| "/dev/video0".into());
                let mode = Some(sent.parse().expect("a mode"));
                let signal = Signal { state: SignalState::Locked, node, mode, format, protected: false };
                let video = plan::video(board, input, &output, &signal, &[]).expect("a plan");
                let still = plan::still(board, &output, video.mode, Card::Bars);
                for encoder in &video.encoders {
                    add(&mut found, &launch::video(&video, encoder, launch::Use::Worker));
                    add(&mut found, &launch::still(&still, encoder, launch::Use::Worker));
                }
            }
        }
    }
    for source in [AudioSource::Test, AudioSource::Alsa("hw:0".into())] {
        let sound = AudioPlan { source, bitrate: BitRate::new(128_000), gain: 0.5, delay: 0 };
        add(&mut found, &launch::audio(&sound, launch::AAC_ENCODERS[0], launch::Use::Worker));
    }
    for png in [true, false] {
        add(&mut found, &launch::decoded(png, 640, 360));
    }
    add(&mut found, &launch::preview(true, 640, 360));
    found
}

#[test]
fn images_have_the_plugins_of_every_plan_and_no_others() {
    let package_of: BTreeMap<&str, &str> =
        PLUGINS.iter().flat_map(|(package, elements)| elements.iter().map(|element| (*element, *package))).collect();
    let base = group("base");
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for board in boards() {
        let family = family(&board);
        let has = family.map(group).unwrap_or_default();
        for element in elements(&board) {
            let package = package_of.get(element.as_str()).unwrap_or_else(|| panic!("{element}: in which package?"));
            let there = if base.contains(*package) { Some("base") } else { family.filter(|_| has.contains(*package)) };
            let group =
                there.unwrap_or_else(|| panic!("{}: {element} needs {package}, which no group has", board.name));
            used.entry(group).or_default().insert((*package).to_owned());
        }
    }
    let unused: Vec<&String> = base.difference(&used["base"]).collect();
    assert!(unused.is_empty(), "no plan uses {unused:?}");
}

fn run(program: &Path, arguments: &[&str], folder: &Path) -> Done {
    Command::new(program).args(arguments).current_dir(folder).output().expect("it runs")
}

fn said(done: &Done) -> String {
    String::from_utf8_lossy(&[&done.stdout[..], &done.stderr[..]].concat()).into_owned()
}

#[test]
fn crates_are_those_of_the_lock_file_and_a_changed_one_is_told() {
    if Command::new("python3").arg("--version").output().is_err() {
        skip("python3 missing (tests/setup.sh test installs it)");
        return;
    }
    let right = run(&root().join("yocto/crates"), &["--check"], &root());
    assert!(right.status.success(), "{}", said(&right));

    let copy = tempfile::tempdir().expect("a folder");
    let copied = Command::new("cp")
        .args(["-R", "--parents", "Cargo.lock", "Cargo.toml", "yocto/crates", "yocto/meta-fieldcast"])
        .arg(copy.path())
        .current_dir(root())
        .status();
    assert!(copied.expect("cp").success());
    let changed = |file: &str, from: &str, to: &str| {
        let path = copy.path().join(file);
        let text = fs::read_to_string(&path).expect(file);
        fs::write(&path, text.replacen(from, to, 1)).expect(file);
        let done = run(&copy.path().join("yocto/crates"), &["--check"], copy.path());
        fs::write(&path, text).expect(file);
        assert!(!done.status.success(), "{file} with {to} passes");
        said(&done)
    };
    assert!(changed("Cargo.lock", "checksum = \"", "checksum = \"0").contains("run yocto/crates"));
    let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    let told = changed("Cargo.toml", &version, "version = \"99.0.0\"");
    assert!(told.contains("rename it") && told.contains("DISTRO_VERSION ?= \"99.0.0\""), "{told}");
}

/// Files below `folder`, as paths from there.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for path in fs::read_dir(&next).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            } else {
                found.insert(path.strip_prefix(folder).expect("below").display().to_string());
            }
        }
    }
    found
}

fn installed(target: &str) -> (tempfile::TempDir, BTreeSet<String>) {
    let made = tempfile::tempdir().expect("a folder");
    let programs = made.path().join("programs");
    fs::create_dir(&programs).expect("a folder");
    for program in ["fieldcastd", "fieldcast-media"] {
        fs::write(programs.join(program), program).expect("a file");
    }
    let destination = made.path().join("root");
    let variables =
        [("PROGRAMS", programs), ("DESTDIR", destination.clone())].map(|(k, v)| format!("{k}={}", v.display()));
    let done = Command::new("make").args([target, "BOARD=qemu-virt"]).args(variables).current_dir(root()).output();
    let done = done.expect("make");
    assert!(done.status.success(), "{}", said(&done));
    let list = files(&destination);
    (made, list)
}

#[test]
fn every_file_of_systemd_is_installed_and_packaged() {
    let (_kept, daemon) = installed("install");
    let content = |list: &BTreeSet<String>, root: &Path| -> Vec<Vec<u8>> {
        list.iter().map(|file| fs::read(root.join(file)).expect("a file")).collect()
    };
    let there = content(&daemon, &_kept.path().join("root"));
    for entry in fs::read_dir(root().join("systemd")).expect("units").flatten().filter(|entry| entry.path().is_file()) {
        let text = fs::read(entry.path()).expect("a unit");
        assert!(there.contains(&text), "make install leaves {} out", entry.path().display());
    }
    // What FILES of fieldcast has: bitbake's defaults for programs, udev, /etc and the recipe's own, and its additions.
    let packaged = [
        "usr/bin/",
        "usr/share/fieldcast/",
        "usr/lib/udev/",
        "usr/lib/sysusers.d/",
        "usr/lib/tmpfiles.d/",
        "usr/lib/systemd/system/",
    ];
    let lost: Vec<_> = daemon.iter().filter(|file| !packaged.iter().any(|folder| file.starts_with(folder))).collect();
    assert!(lost.is_empty(), "FILES of fieldcast_*.bb has no {lost:?}");

    let (_kept, image) = installed("install-image");
    let missing: Vec<_> = files(&root().join("systemd/image")).difference(&image).cloned().collect();
    assert!(missing.is_empty(), "make install-image leaves {missing:?} out");
    let packaged = ["etc/", "usr/lib/", "usr/share/dbus-1/system.d/"];
    let lost: Vec<_> = image.iter().filter(|file| !packaged.iter().any(|folder| file.starts_with(folder))).collect();
    assert!(lost.is_empty(), "FILES of fieldcast-appliance_*.bb has no {lost:?}");
    // Both packages go into one image.
    let twice: Vec<_> = daemon.intersection(&image).collect();
    assert!(twice.is_empty(), "in both packages: {twice:?}");
}

#[test]
fn disks_have_the_partitions_that_units_and_u_boot_look_for() {
    for name in ["custom", "rockchip", "uboot"] {
        let text = layer(&format!("files/wic/fieldcast-{name}.wks.in"));
        for partition in ["boot", "bootstate", "rootfs-a", "rootfs-b", "data"] {
            let line = text.lines().find(|line| line.contains(&format!("--part-name {partition} ")));
            let line = line.unwrap_or_else(|| panic!("fieldcast-{name}: no partition {partition}"));
            assert!(partition != "boot" || line.contains("--label FIELDCAST"), "{line}");
            assert!(partition != "bootstate" || line.contains("--offset 128M --fixed-size 1M"), "{line}");
        }
    }
    // U-Boot counts from the start of the disk, fw_setenv from that of the partition.
    let config = layer("recipes-bsp/u-boot/files/fieldcast.cfg");
    for (name, at) in [("ENV_OFFSET", 0), ("ENV_OFFSET_REDUND", 0x80000)] {
        let line = format!("CONFIG_{name}={:#x}\n", (128 << 20) + at);
        assert!(config.contains(&line), "no {line}");
    }
    let tools = layer("recipes-fieldcast/fieldcast/files/fw_env.config");
    let rows: Vec<Vec<&str>> =
        tools.lines().filter(|line| line.starts_with('/')).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.iter().map(|row| row[1..].join(" ")).collect::<Vec<_>>(), ["0x00000 0x8000", "0x80000 0x8000"]);
    assert!(config.contains("CONFIG_ENV_SIZE=0x8000\n"));
}

#[test]
fn kas_files_name_what_is_there() {
    let folder = root().join("yocto/kas");
    let mut machines = 0;
    for file in files(&folder) {
        let text = fs::read_to_string(folder.join(&file)).expect("a file");
        for included in text.lines().filter_map(|line| line.trim().strip_prefix("- yocto/")) {
            assert!(root().join("yocto").join(included).exists(), "{file}: {included}");
        }
        if let Some(machine) = text.lines().find_map(|line| line.strip_prefix("machine: ")) {
            assert_eq!(file, format!("{machine}.yml"));
            assert!(
                fs::read_to_string(root().join("yocto/parse")).expect("parse").contains(&format!("\n{machine}"))
                    || machine == "qemuarm64"
            );
            let distro = layer("conf/distro/fieldcast-os.conf");
            let given = distro
                .lines()
                .find_map(|line| line.strip_prefix(&format!("FIELDCAST_BOARD:{machine} = \"")))
                .map(|rest| rest.trim_end_matches('"'));
            let board = given.unwrap_or(machine);
            assert!(root().join(format!("boards/{board}.toml")).exists(), "{file}: no board {board}");
            machines += 1;
        }
    }
    assert!(machines >= 4);
}

/// oelint-adv, in an environment that is made once and kept with the other caches.
fn oelint() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let user = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).unwrap_or_default();
    let folder = set("FIELDCAST_CACHE").unwrap_or(user.join("fieldcast")).join("oelint-9.11");
    let program = folder.join("bin/oelint-adv");
    let works = || Command::new(&program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !works() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output();
        let wanted = ["-m", "pip", "install", "-q", "oelint-adv==9.11.2", "oelint-data==1.5.26"];
        let pip = made.and_then(|_| Command::new(folder.join("bin/python")).args(wanted).output());
        if !works() {
            skip(&format!("oelint-adv cannot be installed: {pip:?}"));
            return None;
        }
    }
    Some(program)
}

#[test]
fn oelint_has_nothing_to_say() {
    let Some(program) = oelint() else { return };
    let recipes = files(&root().join("yocto/meta-fieldcast"));
    let names = [".bb", ".bbappend", ".conf"];
    let recipes: Vec<String> = recipes
        .iter()
        .filter(|file| names.iter().any(|name| file.ends_with(name)))
        .map(|file| format!("meta-fieldcast/{file}"))
        .collect();
    assert!(recipes.len() > 10, "the recipes were not found");
    let arguments: Vec<&str> =
        ["--quiet", "--relpaths"].into_iter().chain(recipes.iter().map(String::as_str)).collect();
    let done = run(&program, &arguments, &root().join("yocto"));
    assert!(done.status.success(), "{}", said(&done));
}

/// By hand only: CI has no oe-core, and reading it takes minutes.
#[test]
fn bitbake_reads_the_layer() {
    let Some(folder) = std::env::var_os("FIELDCAST_OE") else {
        println!("not asked: FIELDCAST_OE names no folder with bitbake and openembedded-core");
        return;
    };
    let machine = "qemuarm64";
    let done = Command::new(root().join("yocto/parse")).arg(folder).arg(machine).output().expect("parse");
    assert!(done.status.success(), "{}", said(&done));
}
