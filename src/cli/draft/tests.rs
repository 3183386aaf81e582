use super::*;
use crate::{
    board::{Audio, Board, InputKind, parse},
    capture::{
        probe::{Connector, Format, Video},
        sound::Card,
    },
    panel::probe::Part,
    settings::Codec,
};
use proptest::prelude::*;

const ROCK: &str = include_str!("../../../boards/rock-5b.toml");
const PI: &str = include_str!("../../../boards/raspberry-pi-4.toml");

/// A machine to draft a board for.
struct Bench {
    machine: Machine,
    hardware: Hardware,
    parts: Parts,
    keys: Vec<Keys>,
    elements: Vec<&'static str>,
}

impl Bench {
    fn new(compatible: &[&str]) -> Self {
        let compatible = compatible.iter().map(|name| name.to_string()).collect();
        Self {
            machine: Machine { compatible, vendor: None, product: None, architecture: "aarch64".into() },
            hardware: Hardware { video: Vec::new(), subdevices: Vec::new(), receivers: Vec::new(), sound: Vec::new() },
            parts: Parts::default(),
            keys: Vec::new(),
            elements: vec!["x264enc"],
        }
    }

    fn text(&self) -> String {
        let known: Vec<Known> = [("desktop", DESKTOP), ("raspberry-pi-4", PI), ("rock-5b", ROCK)]
            .iter()
            .flat_map(|(name, text)| known(name, text))
            .collect();
        draft(&Found {
            machine: &self.machine,
            hardware: &self.hardware,
            parts: &self.parts,
            keys: &self.keys,
            known: &known,
            elements: &self.elements.iter().map(|element| element.to_string()).collect(),
        })
    }

    fn board(&self) -> Board {
        let text = self.text();
        parse::board("draft", &text).unwrap_or_else(|problem| panic!("{problem:?}:\n{text}"))
    }
}

fn node(number: u32, name: &str, driver: &str, timings: bool, formats: &[&str]) -> Video {
    Video {
        node: format!("/dev/video{number}").into(),
        paths: vec![format!("/dev/v4l/by-path/platform-{number}-video-index0").into()],
        name: name.into(),
        driver: (!driver.is_empty()).then(|| driver.into()),
        card: name.into(),
        bus: "platform:x".into(),
        inputs: vec![Connector { name: "in".into(), dv_timings: timings, selected: true, protected: false }],
        signal: None,
        mode: None,
        formats: formats.iter().map(|format| Format { format: format.to_string(), sizes: Vec::new() }).collect(),
    }
}

fn card(id: &str, name: &str, capture: &[u32]) -> Card {
    Card { number: 0, id: id.into(), name: name.into(), capture: capture.to_vec() }
}

#[test]
fn a_machine_that_has_nothing_shows_the_test_picture() {
    let board = Bench::new(&[]).board();
    assert_eq!(board.matches.architecture.as_deref(), Some("aarch64"));
    assert_eq!((board.inputs.len(), &*board.inputs[0].name, board.inputs[0].automatic), (1, "test", true));
    assert_eq!(board.encoders.iter().map(|encoder| &*encoder.element).collect::<Vec<_>>(), ["x264enc"]);
    let mut bench = Bench::new(&[]);
    bench.elements.clear();
    let text = bench.text();
    assert_eq!(bench.board().encoders[0].element, "x264enc", "there has to be one");
    assert!(text.contains("# check: none of the known H.264 encoders exists here"), "{text}");
}

#[test]
fn an_rk3588_board_that_is_not_known_yet() {
    let mut bench = Bench::new(&["radxa,rock-5t", "rockchip,rk3588"]);
    bench.hardware.video = vec![
        node(0, "stream_hdmirx", "rk_hdmirx", true, &["NV12", "BGR3"]),
        node(11, "rkisp_mainpath", "rkisp", false, &["NV12", "UYVY"]),
        node(20, "rkisp_rawwr0", "rkisp", false, &["BA12"]),
        node(31, "HD Webcam C525", "uvcvideo", false, &["YUYV", "MJPG"]),
    ];
    bench.hardware.sound =
        vec![card("rockchipes8388", "rockchip-es8388", &[0]), card("rockchiphdmiin", "rockchip,hdmiin", &[])];
    bench.elements = vec!["mpph264enc", "mpph265enc", "x264enc", "v4l2convert"];
    let (board, text) = (bench.board(), bench.text());
    assert_eq!(board.matches.compatible, ["radxa,rock-5t"]);
    assert!(text.contains("# rockchip,rk3588\n"), "{text}");
    let names: Vec<(&str, bool)> = board.inputs.iter().map(|input| (&*input.name, input.automatic)).collect();
    assert_eq!(names, [("hdmi", true), ("camera", false), ("camera-2", true), ("test", false)]);
    let InputKind::Hdmi(hdmi) = &board.inputs[0].kind else { panic!("{text}") };
    assert_eq!(
        (hdmi.device.name.as_deref(), hdmi.device.driver.as_deref()),
        (Some("stream_hdmirx"), Some("rk_hdmirx"))
    );
    assert!(hdmi.edid.is_some(), "sources send nothing without");
    assert_eq!(board.inputs[0].audio, Audio::Alsa("rockchiphdmiin".into()));
    assert_eq!(board.inputs[2].audio, Audio::None, "which card is a camera's, a person knows");
    assert!(text.contains("# audio = \"rockchipes8388\""), "{text}");
    let encoders: Vec<(&str, Codec)> =
        board.encoders.iter().map(|encoder| (&*encoder.element, encoder.codec)).collect();
    assert_eq!(encoders, [("mpph264enc", Codec::H264), ("x264enc", Codec::H264), ("mpph265enc", Codec::Hevc)]);
    assert_eq!(board.encoders[0].align.width, 64, "what was learnt of it comes along");
    assert!(text.contains("rockchip-linux/mpp#557"), "with its source: {text}");
    assert!(text.contains("# [converter]\n# element = \"v4l2convert\""), "{text}");
    assert_eq!(board.limits.mode.to_string(), "1920x1080p30");
}

#[test]
fn a_bridge_whose_timings_are_on_a_subdevice() {
    let mut bench = Bench::new(&["raspberrypi,5-model-b", "brcm,bcm2712"]);
    bench.hardware.video = vec![node(0, "rp1-cfe-csi2_ch0", "rp1-cfe", false, &["UYVY"])];
    bench.hardware.subdevices = vec!["csi2".into(), "tc358743 11-000f".into()];
    bench.hardware.receivers = vec!["tc358743 11-000f".into()];
    bench.hardware.sound = vec![card("tc358743", "tc358743", &[])];
    let (board, text) = (bench.board(), bench.text());
    let InputKind::Hdmi(hdmi) = &board.inputs[0].kind else { panic!("{text}") };
    assert_eq!(hdmi.subdevice.as_deref(), Some("tc358743 11-000f"));
    assert_eq!(board.inputs[0].audio, Audio::Alsa("tc358743".into()));
}

#[test]
fn nodes_that_look_alike_are_told_apart_by_their_path() {
    let mut bench = Bench::new(&["a,b"]);
    let camera = |number| node(number, "HD Webcam", "uvcvideo", false, &["YUYV"]);
    bench.hardware.video =
        vec![camera(0), camera(2), Video { paths: Vec::new(), ..camera(4) }, Video { paths: Vec::new(), ..camera(6) }];
    let board = bench.board();
    let by_path = board.inputs.iter().filter_map(|input| match &input.kind {
        InputKind::Camera(camera) => Some(camera.device.path.is_some()),
        InputKind::Hdmi(_) | InputKind::Test => None,
    });
    assert_eq!(by_path.collect::<Vec<_>>(), [true, true, false]);
    assert!(bench.text().contains("/dev/video6: \"HD Webcam\", HD Webcam at platform:x, formats YUYV cannot be told"));
}

#[test]
fn a_pc_is_known_by_its_maker() {
    let mut bench = Bench::new(&[]);
    bench.machine.vendor = Some("AZW".into());
    bench.machine.product = Some("MINI S".into());
    let matches = bench.board().matches;
    assert_eq!((&*matches.dmi[0].vendor, matches.dmi[0].product.as_deref()), ("AZW", Some("MINI S")));
}

#[test]
fn one_maker_s_way_comes_before_another_s() {
    // The same element, treated otherwise.
    let other = "[match]\ncompatible = [\"mediatek,mt8395\"]\n\n".to_owned()
        + "[[input]]\nname = \"test\"\nkind = \"test\"\n\n"
        + &PI
            .split("\n\n")
            .find(|table| table.contains("\"v4l2h264enc\""))
            .expect("a table")
            .replace("min-rate = 10\n", "")
        + "\n\n[limits]\nmode = \"720p30\"\nbitrate = \"6 Mbit/s\"\n";
    let known: Vec<Known> =
        [("mt8395", &*other), ("raspberry-pi-4", PI)].iter().flat_map(|(name, text)| known(name, text)).collect();
    for (compatible, rate) in [("raspberrypi,500", Some(10)), ("mediatek,genio", None), ("x,y", None)] {
        let bench = Bench::new(&[compatible]);
        let elements = ["v4l2h264enc".to_owned()].into();
        let Bench { machine, hardware, parts, keys, .. } = &bench;
        let text = draft(&Found { machine, hardware, parts, keys, known: &known, elements: &elements });
        let board = parse::board("draft", &text).expect("a board");
        assert_eq!((board.encoders.len(), board.encoders[0].min_rate), (1, rate), "{text}");
        assert!(text.contains("treats v4l2h264enc otherwise than"), "{text}");
    }
}

#[test]
fn what_a_person_has_to_wire_is_a_hint_that_can_be_taken_as_it_is() {
    let part = |name: &str| Part { name: name.into(), is: None };
    let mut bench = Bench::new(&["a,b"]);
    bench.parts.i2c = vec![part("/dev/i2c-1")];
    bench.parts.framebuffers = vec![part("/dev/fb0")];
    bench.parts.leds = vec![part("red:tally")];
    bench.keys =
        vec![Keys { node: "/dev/input/event0".into(), name: "gpio-keys".into(), keys: vec!["KEY_PROG1".into()] }];
    let text = bench.text();
    assert!(bench.board().buttons.is_empty() && bench.board().display.is_none());
    // Each commented table on its own: the first display, the button, the lamp.
    let taken = text
        .replace("# [display]\n# kind = \"framebuffer\"\n# device =", "[display]\nkind = \"framebuffer\"\ndevice =")
        .replace(
            "# [[button]]\n# role = \"go\"\n# key = \"KEY_PROG1\"\n# device =",
            "[[button]]\nrole = \"go\"\nkey = \"KEY_PROG1\"\ndevice =",
        )
        .replace("# [[lamp]]\n# led = \"red:tally\"\n# on-air =", "[[lamp]]\nled = \"red:tally\"\non-air =");
    let board = parse::board("draft", &taken).unwrap_or_else(|problem| panic!("{problem:?}:\n{taken}"));
    assert!(board.display.is_some() && board.buttons.len() == 1 && board.lamps.len() == 1);
}

#[test]
fn tables_are_taken_out_of_every_shipped_board_whole() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("boards");
    for file in crate::board::find::files(&[folder]) {
        let text = std::fs::read_to_string(&file).expect("a file");
        let board = parse::board("x", &text).expect("a board");
        let found = known("x", &text);
        let encoders: Vec<_> = found
            .iter()
            .filter_map(|known| match &known.part {
                encoders::Part::Encoder(encoder) => Some((**encoder).clone()),
                encoders::Part::Converter(_) => None,
            })
            .collect();
        assert_eq!(encoders, board.encoders, "{}: an empty line inside a table, or none after it?", file.display());
        assert_eq!(found.len() - encoders.len(), usize::from(board.converter.is_some()), "{}", file.display());
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,40}",
        "[\"'\\\\\n\r\t#\u{7f}\u{85}]{0,6}",
        Just("HDMI \"x\"\n[match]\n".to_owned())
    ]
}

proptest! {
    #[test]
    fn any_names_make_a_board_file_that_names_them(
        compatible in prop::collection::vec(any_name(), 0..3),
        vendor in prop::option::of(any_name()),
        product in prop::option::of(any_name()),
        nodes in prop::collection::vec((any_name(), any_name(), any::<bool>(), any_name(), any::<bool>()), 0..5),
        receivers in prop::collection::vec(any_name(), 0..3),
        cards in prop::collection::vec((any_name(), any_name()), 0..3),
        parts in prop::collection::vec(any_name(), 0..3),
        keys in prop::collection::vec((any_name(), prop::collection::vec(any_name(), 0..3)), 0..3),
    ) {
        let mut bench = Bench::new(&[]);
        bench.machine.compatible = compatible.clone();
        (bench.machine.vendor, bench.machine.product) = (vendor.clone(), product);
        bench.hardware.video = nodes.iter().enumerate().map(|(number, (name, driver, timings, format, path))| {
            let paths = if *path { vec![format!("/dev/{name}").into()] } else { Vec::new() };
            Video { paths, ..node(number as u32, name, driver, *timings, &[format, "YUYV"]) }
        }).collect();
        bench.hardware.receivers = receivers.clone();
        bench.hardware.subdevices = receivers;
        bench.hardware.sound = cards.iter().map(|(id, name)| card(id, name, &[0])).collect();
        let part = |name: &String| Part { name: name.clone(), is: Some(name.clone()) };
        let parts: Vec<Part> = parts.iter().map(part).collect();
        bench.parts = Parts { i2c: parts.clone(), framebuffers: parts.clone(), serial: parts.clone(), leds: parts, ..Parts::default() };
        bench.keys = keys.iter().map(|(name, keys)| Keys { node: "/dev/x".into(), name: name.clone(), keys: keys.clone() }).collect();
        let text = bench.text();
        let board = parse::board("draft", &text);
        prop_assert!(board.is_ok(), "{board:?}:\n{text}");
        let board = board.expect("a board");
        match (compatible.first(), vendor) {
            (Some(first), _) => prop_assert_eq!(&board.matches.compatible[0], first),
            (None, Some(vendor)) => prop_assert_eq!(&board.matches.dmi[0].vendor, &vendor),
            (None, None) => prop_assert!(board.matches.architecture.is_some()),
        }
        prop_assert!(board.buttons.is_empty() && board.lamps.is_empty() && board.display.is_none(), "{text}");
    }
}
