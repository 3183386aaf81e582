//! Tier "goldens": every page of the panel in every state on every shape of display, as pictures that are looked at.
//!
//! `UPDATE_SCREENS=1` writes the pictures anew. A contact sheet of all of them is written to `target/screens.png`: at the left
//! of each cell the colour display, at its right the monochrome one in pixels twice as large, and the one of characters.

use embedded_graphics::{
    mono_font::{MonoTextStyle, ascii::FONT_6X10, ascii::FONT_10X20},
    pixelcolor::{BinaryColor, Rgb565},
    prelude::*,
    primitives::{PrimitiveStyle, Rectangle},
    text::{Baseline, Text},
};
use fieldcast::{
    control::{Now, menu::*},
    panel::{
        canvas::{Canvas, Frame},
        screen::{COLOUR, MONO, Scene, Shape, draw, next_change, paint, thumbnail_size},
    },
    settings::Codec,
    status::*,
    units::Time,
};
use jiff::Timestamp;
use proptest::{prelude::*, test_runner::TestRunner};
use std::{
    convert::Infallible,
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const WIDE: Shape = Shape::Colour { width: 320, height: 240 };

fn wall() -> Timestamp {
    "2026-11-23T19:23:45Z".parse().expect("a time")
}

fn now() -> Now {
    Now { time: Time::from_millis(10_000_000), wall: Some(wall()) }
}

fn link(interface: &str, kind: NetworkKind, up: bool, address: Option<&str>) -> NetworkLink {
    let address = address.and_then(|address| address.parse().ok());
    NetworkLink { interface: interface.into(), kind, up, address, metric: None, used: interface == "eth0" }
}

/// A box with a camera that is ready to go on air.
fn ready() -> Status {
    Status {
        schema: 1,
        id: "fc-1a2b3c4d".into(),
        name: "OB van 3".into(),
        tags: Vec::new(),
        board: "raspberry-pi-4".into(),
        version: "0.1.0".into(),
        phase: Phase::OffAir,
        intent: Intent::OffAir,
        on_air_since: None,
        input: InputStatus {
            device: "hdmi".into(),
            signal: SignalState::Locked,
            mode: "1080p50".parse().ok(),
            audio: Some("HDMI".into()),
        },
        program: ProgramStatus {
            showing: None,
            muted: false,
            mode: "720p30".parse().ok(),
            codec: Codec::H264,
            encoder: None,
            hardware: false,
        },
        uplinks: Vec::new(),
        network: Some(NetworkStatus { interface: "eth0".into(), address: "192.0.2.17".parse().ok() }),
        networks: vec![link("eth0", NetworkKind::Ethernet, true, Some("192.0.2.17"))],
        firmware: None,
        broadcast: None,
        panel: None,
        faults: Vec::new(),
        stats: Stats {
            uptime_ms: 11_520_000,
            audio_peak_db: vec![-14.0, -19.5],
            temperature_c: Some(51.3),
            throttled: Some(false),
            cpu: Some(0.18),
            disk_free_bytes: Some(12_400_000_000),
            clock: Some("synchronised"),
            ..Stats::default()
        },
    }
}

/// A box whose system is updated as a whole.
fn updating(state: FirmwareState, progress: Option<u8>) -> Status {
    let firmware = FirmwareStatus {
        version: "0.1.0".into(),
        slot: Some("A".into()),
        state,
        progress,
        to: (state != FirmwareState::OnTrial).then(|| "0.2.0-rc1".into()),
        last: None,
    };
    Status { firmware: Some(firmware), ..ready() }
}

fn on_air() -> Status {
    let mut status = ready();
    (status.phase, status.intent) = (Phase::OnAir, Intent::OnAir);
    status.on_air_since = "2026-11-23T18:00:00Z".parse().ok();
    status.program.showing = Some(Showing::Live);
    (status.program.encoder, status.program.hardware) = (Some("v4l2h264enc".into()), true);
    status.uplinks = vec![UplinkStatus {
        source: "Main".into(),
        region: Some("eu-central-1".into()),
        state: UplinkState::OnAir,
        retry_in_ms: None,
        acknowledged_by: Some(AcknowledgedBy::RtmpAck),
        since: status.on_air_since,
    }];
    status.stats.bitrate = 4_000_000;
    status.stats.uplinks = vec![UplinkStats {
        source: "Main".into(),
        bitrate: 3_980_000,
        queue_ms: 120,
        rtt_ms: Some(31),
        loss: Some(0.002),
        acknowledged_bytes: 2_400_000_000,
        reconnects: 1,
    }];
    status
}

fn fault(code: &'static str, severity: Severity, text: &str, advice: &str) -> Fault {
    Fault { code, severity, text: text.into(), advice: advice.into(), since: None }
}

fn no_signal() -> Fault {
    let advice = "Check the cable, and that the camera's HDMI output is on";
    fault("no-signal", Severity::Warning, "No picture on HDMI", advice)
}

fn unplugged(signal: SignalState, fault: Fault) -> Status {
    let mut status = ready();
    (status.input.signal, status.input.mode, status.input.audio) = (signal, None, None);
    status.stats.audio_peak_db = Vec::new();
    status.faults = vec![fault];
    status
}

fn slate() -> Status {
    let mut status = on_air();
    status.program.showing = Some(Showing::Slate);
    (status.input.signal, status.input.mode) = (SignalState::NoSignal, None);
    (status.stats.bitrate, status.stats.uplinks[0].bitrate) = (500_000, 512_000);
    status.stats.audio_peak_db = Vec::new();
    status.faults = vec![Fault { severity: Severity::Error, ..no_signal() }];
    status
}

fn reconnecting() -> Status {
    let mut status = on_air();
    status.phase = Phase::Reconnecting;
    (status.uplinks[0].state, status.uplinks[0].acknowledged_by) = (UplinkState::Waiting, None);
    status.stats.uplinks[0] =
        UplinkStats { source: "Main".into(), reconnects: 4, queue_ms: 1900, ..UplinkStats::default() };
    let advice = "Find a better place or another network; it is tried again for ever";
    status.faults = vec![
        fault("no-network", Severity::Error, "Main: there is no way to the network", advice),
        fault(
            "sound-clipping",
            Severity::Warning,
            "The sound is too loud and distorted",
            "Turn the microphone or mixer down",
        ),
    ];
    status.network = None;
    status
}

fn starting() -> Status {
    let mut status = on_air();
    (status.phase, status.on_air_since) = (Phase::Starting, None);
    (status.uplinks[0].state, status.uplinks[0].acknowledged_by) = (UplinkState::Connecting, None);
    status.stats.uplinks[0] = UplinkStats { source: "Main".into(), ..UplinkStats::default() };
    status
}

fn broadcast_of(state: PublicState) -> BroadcastStatus {
    BroadcastStatus {
        id: None,
        title: None,
        tags: Vec::new(),
        source: "Main".into(),
        state,
        viewers: None,
        share_url: None,
        since: None,
        confirmed_at: None,
        source_active: Some(state != PublicState::WaitingForSource),
        notes: Vec::new(),
    }
}

/// Pushing to a Source of the Studio that is not public.
fn previewing() -> Status {
    let mut status = on_air();
    (status.phase, status.on_air_since) = (Phase::Previewing, None);
    status.broadcast = Some(broadcast_of(PublicState::Ready));
    status
}

/// The same, public.
fn public() -> Status {
    let mut status = on_air();
    status.broadcast = Some(BroadcastStatus {
        id: Some("1OdKrXEjRqPGX".into()),
        title: Some("Cup final, live from the stadium".into()),
        tags: vec!["Sports".into(), "News".into()],
        viewers: Some(1234),
        share_url: Some("https://x.com/i/broadcasts/1OdKrXEjRqPGX".into()),
        since: status.on_air_since,
        confirmed_at: Some(wall()),
        source_active: None,
        ..broadcast_of(PublicState::Running)
    });
    status
}

/// All that is at its longest.
fn loud() -> Status {
    let mut status = on_air();
    status.name = "Übertragungswagen Sächsische Schweiz und Osterzgebirge, Nr. 3".into();
    status.on_air_since = "2026-11-19T05:00:00Z".parse().ok();
    status.uplinks[0].source = "Kanał główny – Zażółć gęślą jaźń 東京 🎥 north america".into();
    status.stats.uplinks[0].source = status.uplinks[0].source.clone();
    status.network = Some(NetworkStatus {
        interface: "wlx00c0cab0ffee".into(),
        address: "2001:db8:1234:5678:9abc:def0:1234:5678".parse().ok(),
    });
    status.stats.audio_peak_db = vec![-0.2, -7.0];
    status.stats.uplinks[0].queue_ms = 1640;
    status.stats.uplinks[0].bitrate = 2_310_000;
    status.stats.bitrate = 1_200_000;
    status.stats.temperature_c = Some(84.0);
    status.stats.throttled = Some(true);
    let slow = "the network is too slow, pictures are dropped";
    let name = status.uplinks[0].source.clone();
    status.faults = vec![
        fault(
            "network-slow",
            Severity::Warning,
            &format!("{name}: {slow}"),
            "The bitrate is being lowered; if this stays, find a better place or another network",
        ),
        fault(
            "encoder-missing",
            Severity::Notice,
            "v4l2h264enc is missing, x264enc encodes instead",
            "Install the driver",
        ),
    ];
    status
}

fn view(page: Page) -> View {
    let source = |name: &str, region: Option<&str>| SourceLine {
        name: name.into(),
        region: region.map(Into::into),
        nearest: false,
        primary: false,
        backup: false,
    };
    View {
        page,
        sources: vec![
            SourceLine { nearest: true, primary: true, ..source("Main", Some("eu-central-1")) },
            source("Studio B", Some("us-east-1")),
            SourceLine { backup: true, ..source("Spare", None) },
            source("Küche – Zażółć gęślą jaźń, der lange Name", Some("ap-southeast-2")),
        ],
        address: Some("192.0.2.17:8443".into()),
        fingerprint: Some(
            "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08".into(),
        ),
        ..View::default()
    }
}

fn thumbnail(shape: Shape) -> Option<Arc<Canvas<Rgb565>>> {
    let (width, height) = thumbnail_size(shape);
    let mut picture = Canvas::new(width, height, Rgb565::new(4, 14, 12));
    let colours = [(29, 58, 29), (28, 56, 3), (3, 52, 27), (4, 50, 4), (25, 9, 24), (24, 8, 4), (3, 8, 24)];
    for (index, pixel) in picture.pixels.iter_mut().enumerate() {
        let (x, y) = (index as u32 % width, index as u32 / width);
        if y < height * 3 / 4 {
            let (red, green, blue) = colours[(x * 7 / width) as usize];
            *pixel = Rgb565::new(red, green, blue);
        }
    }
    Some(Arc::new(picture))
}

fn running(status: Status, view: View) -> Scene {
    let picture = (status.input.signal == SignalState::Locked).then(|| thumbnail(WIDE)).flatten();
    Scene::Running { status: Arc::new(status), view: Arc::new(view), thumbnail: picture }
}

fn preflight(passed: &[Option<bool>], verdict: Option<Verdict>) -> Preflight {
    let texts = [("Name", "4 ms"), ("Port", "31 ms"), ("TLS", "62 ms"), ("Publish", ""), ("Upload", "8.2 Mbit/s")];
    let steps = texts.iter().zip(passed).map(|((text, remark), passed)| Step {
        text: (*text).into(),
        passed: *passed,
        remark: (*passed == Some(true) && !remark.is_empty()).then(|| (*remark).into()),
    });
    Preflight { source: Some("Main".into()), steps: steps.collect(), verdict }
}

fn choices(texts: &[(&str, Option<&str>, bool)], cursor: usize) -> Option<List> {
    let entries = texts.iter().enumerate().map(|(index, (text, remark, hold))| Entry {
        text: (*text).into(),
        chosen: index == 0,
        remark: remark.map(Into::into),
        hold: *hold,
    });
    Some(List { title: "Source".into(), entries: entries.collect(), cursor })
}

fn scenes() -> Vec<(&'static str, Scene)> {
    let live = || view(Page::Live);
    let hold = |text: &str, part: u64| Hold {
        text: text.into(),
        since: Time::from_millis(10_000_000 - 10 * part),
        until: Time::from_millis(10_000_000 + 10 * (100 - part)),
    };
    let mut muted = on_air();
    muted.program.muted = true;
    (muted.input.audio, muted.on_air_since) = (None, "2026-11-23T19:23:38Z".parse().ok());
    let mut test = on_air();
    test.program.showing = Some(Showing::Test);
    let mut stopping = on_air();
    stopping.phase = Phase::Stopping;
    let mut no_clock = on_air();
    no_clock.on_air_since = None;
    let advice = "Choose output.codec = \"h264\", or install the encoder's plugin";
    let mut not_ready = ready();
    not_ready.faults = vec![fault("no-encoder", Severity::Error, "No encoder for this codec is installed", advice)];
    let cable = fault("no-cable", Severity::Warning, "Nothing is plugged into HDMI", "Plug the HDMI cable in");
    let range = fault(
        "out-of-range",
        Severity::Warning,
        "HDMI gets a format that this box cannot take",
        "Choose 1080p or 720p on the camera",
    );
    let lock = fault(
        "no-lock",
        Severity::Warning,
        "The picture on HDMI is unstable",
        "Try another or a shorter cable, or a lower format on the camera",
    );
    let device = fault(
        "no-device",
        Severity::Warning,
        "CAMERA is not there",
        "Plug the camera or capture device in; restart the box if it is built in",
    );
    let good = Verdict { passed: true, text: "It can go on air: the upload carries 4 Mbit/s twice".into() };
    let bad = Verdict { passed: false, text: "The stream key is refused: copy it again from the Producer".into() };
    let long = choices(
        &[
            ("Main", Some("nearest"), false),
            ("Studio B", Some("112 ms"), false),
            ("Küche – Zażółć gęślą jaźń", Some("18 ms"), false),
            ("Spare", None, false),
            ("Restart", None, true),
            ("Factory reset", None, true),
            ("Nothing", None, false),
        ],
        3,
    );
    let error = "/etc/fieldcast/settings.toml, line 7: output.bitrate-max: expected a bit rate such as \"4 Mbit/s\" or \"500 kbit/s\", at most 1 Gbit/s, got \"4 MB\"\nline 9: unknown field push.at-poweron, did you mean at-power-on?";
    let mut preview_slate = previewing();
    preview_slate.program.showing = Some(Showing::Slate);
    let mut waits = previewing();
    waits.broadcast = Some(BroadcastStatus {
        notes: vec!["The keyframe interval is 4 s, 3 s is suggested".into(), "Audio is above 160 kbit/s".into()],
        ..broadcast_of(PublicState::WaitingForSource)
    });
    // After a power cut, before the Studio has said anything.
    let mut unreached = public();
    (unreached.phase, unreached.on_air_since) = (Phase::Previewing, None);
    unreached.broadcast = unreached.broadcast.map(|known| BroadcastStatus { state: PublicState::Unknown, ..known });
    let mut timed_out = previewing();
    timed_out.broadcast = public().broadcast.map(|known| BroadcastStatus {
        state: PublicState::TimedOut,
        viewers: None,
        share_url: None,
        ..known
    });
    timed_out.faults = vec![fault(
        "broadcast-timed-out",
        Severity::Error,
        "X ended the Broadcast: no video came for 5 minutes",
        "Check the network, and publish again",
    )];
    let mut several = ready();
    several.networks.extend([
        link("wlan0", NetworkKind::Wifi, true, Some("198.51.100.7")),
        link("wwan0", NetworkKind::Modem, true, None),
        link("eth1", NetworkKind::Ethernet, false, None),
    ]);
    let reset = |armed: u64, until: u64| {
        let at = |ms: u64| Time::from_millis(10_000_000 + ms);
        View { reset: Some(Reset { armed: at(armed), until: at(until) }), ..live() }
    };
    let which = Some(List {
        title: "End the broadcast?".into(),
        entries: [("End and stop", true), ("Only stop pushing", true), ("Back", false)]
            .map(|(text, hold)| Entry { text: text.into(), chosen: false, remark: None, hold })
            .to_vec(),
        cursor: 0,
    });
    vec![
        ("splash", Scene::Splash { version: "0.1.0".into() }),
        ("failed", Scene::Failed(error.into())),
        ("failed-short", Scene::Failed("No board matches this hardware: name one with --board".into())),
        ("stopped", Scene::Stopped),
        ("live-ready", running(ready(), live())),
        ("live-updating", running(updating(FirmwareState::Installing, Some(42)), live())),
        ("live-restarting", running(updating(FirmwareState::Restarting, None), live())),
        ("system-on-trial", running(updating(FirmwareState::OnTrial, None), view(Page::System))),
        ("live-not-ready", running(not_ready, live())),
        ("live-no-cable", running(unplugged(SignalState::NoCable, cable.clone()), live())),
        ("live-no-signal", running(unplugged(SignalState::NoSignal, no_signal()), live())),
        ("live-no-lock", running(unplugged(SignalState::NoLock, lock), live())),
        ("live-out-of-range", running(unplugged(SignalState::OutOfRange, range.clone()), live())),
        ("live-no-device", running(unplugged(SignalState::NoDevice, device), live())),
        ("live-starting", running(starting(), live())),
        ("live-on-air", running(on_air(), live())),
        ("live-previewing", running(previewing(), live())),
        ("live-previewing-slate", running(preview_slate, live())),
        ("live-timed-out", running(timed_out.clone(), live())),
        ("live-public", running(public(), live())),
        ("live-stop-list", running(public(), View { list: which, ..live() })),
        ("live-on-air-loud", running(loud(), View { locked: true, ..live() })),
        ("live-on-air-muted", running(muted, live())),
        ("live-on-air-no-clock", running(no_clock, live())),
        ("live-slate", running(slate(), live())),
        ("live-test", running(test, live())),
        ("live-reconnecting", running(reconnecting(), live())),
        ("live-stopping", running(stopping, live())),
        ("input", running(on_air(), view(Page::Input))),
        ("input-out-of-range", running(unplugged(SignalState::OutOfRange, range), view(Page::Input))),
        ("network", running(on_air(), view(Page::Network))),
        ("network-long", running(loud(), View { scroll: 3, ..view(Page::Network) })),
        ("network-several", running(several, view(Page::Network))),
        ("network-none", running(reconnecting(), view(Page::Network))),
        ("sources", running(ready(), view(Page::Sources))),
        ("sources-none", running(ready(), View { sources: Vec::new(), ..view(Page::Sources) })),
        ("sources-list", running(ready(), View { list: long, ..view(Page::Sources) })),
        ("publish-none", running(ready(), view(Page::Publish))),
        ("publish-waits", running(waits, view(Page::Publish))),
        ("publish-ready", running(previewing(), view(Page::Publish))),
        ("publish-public", running(public(), view(Page::Publish))),
        ("publish-unknown", running(unreached, View { scroll: 2, ..view(Page::Publish) })),
        ("publish-timed-out", running(timed_out, view(Page::Publish))),
        ("preflight-none", running(ready(), view(Page::Preflight))),
        (
            "preflight-runs",
            running(
                ready(),
                View { preflight: preflight(&[Some(true), Some(true), None], None), ..view(Page::Preflight) },
            ),
        ),
        (
            "preflight-passed",
            running(ready(), View { preflight: preflight(&[Some(true); 5], Some(good)), ..view(Page::Preflight) }),
        ),
        (
            "preflight-failed",
            running(
                ready(),
                View {
                    preflight: preflight(&[Some(true), Some(true), Some(true), Some(false)], Some(bad)),
                    ..view(Page::Preflight)
                },
            ),
        ),
        ("system", running(ready(), view(Page::System))),
        ("system-hot", running(loud(), View { address: None, ..view(Page::System) })),
        ("faults", running(loud(), view(Page::Faults))),
        ("faults-scrolled", running(loud(), View { scroll: 4, ..view(Page::Faults) })),
        ("faults-none", running(on_air(), view(Page::Faults))),
        ("reset-counts", running(ready(), reset(6500, 11_500))),
        ("reset-due", running(ready(), reset(0, 3500))),
        ("hold-start", running(ready(), View { hold: Some(hold("Go on air", 50)), ..live() })),
        ("hold-publish", running(previewing(), View { hold: Some(hold("Publish now", 60)), ..live() })),
        ("hold-stop", running(on_air(), View { hold: Some(hold("Stop the push", 80)), ..live() })),
        (
            "notice",
            running(
                on_air(),
                View { notice: Some(Notice { text: "Studio B is connected first".into(), failed: false }), ..live() },
            ),
        ),
        (
            "notice-failed",
            running(
                ready(),
                View {
                    notice: Some(Notice {
                        text: "Not changed: output.mode is used by the push; stop first, then choose it again".into(),
                        failed: true,
                    }),
                    ..view(Page::Sources)
                },
            ),
        ),
        ("identify", running(ready(), View { identify: true, ..live() })),
        (
            "pin",
            running(
                ready(),
                View { pin: Some(Pin { digits: "042917".into(), until: Time::from_millis(10_083_000) }), ..live() },
            ),
        ),
    ]
}

fn rgb(colour: Rgb565) -> [u8; 3] {
    [colour.r() << 3 | colour.r() >> 2, colour.g() << 2 | colour.g() >> 4, colour.b() << 3 | colour.b() >> 2]
}

fn grey(colour: BinaryColor) -> [u8; 3] {
    if colour.is_on() { [255; 3] } else { [0; 3] }
}

/// What a frame shows, as colours, and its width.
fn seen(frame: &Frame) -> (u32, Vec<[u8; 3]>) {
    match frame {
        Frame::Mono(canvas) => (canvas.width, canvas.pixels.iter().map(|pixel| grey(*pixel)).collect()),
        Frame::Colour(canvas) => (canvas.width, canvas.pixels.iter().map(|pixel| rgb(*pixel)).collect()),
        Frame::Text(_) => panic!("a text is no picture"),
    }
}

/// Written with a palette, as screens have few colours.
fn write_png(path: &Path, width: u32, pixels: &[[u8; 3]]) {
    let mut palette: Vec<[u8; 3]> = pixels.to_vec();
    palette.sort_unstable();
    palette.dedup();
    let file = fs::File::create(path).expect("a picture file");
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), width, pixels.len() as u32 / width);
    encoder.set_compression(png::Compression::High);
    let data: Vec<u8> = if palette.len() <= 256 {
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(palette.concat());
        pixels.iter().map(|pixel| palette.binary_search(pixel).expect("a colour of it") as u8).collect()
    } else {
        encoder.set_color(png::ColorType::Rgb);
        pixels.concat()
    };
    encoder.write_header().expect("a picture").write_image_data(&data).expect("its pixels");
}

fn read_png(path: &Path) -> Option<(u32, Vec<[u8; 3]>)> {
    let mut decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).ok()?));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().ok()?;
    let mut data = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut data).ok()?;
    Some((info.width, data[..info.buffer_size()].chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()))
}

fn characters(frame: &Frame) -> String {
    let Frame::Text(grid) = frame else { panic!("no text") };
    let rows = grid.iter().map(|row| format!("|{}|\n", row.iter().collect::<String>()));
    rows.collect()
}

#[test]
fn every_screen_is_as_it_was_looked_at() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/screens");
    let update = env::var_os("UPDATE_SCREENS").is_some();
    let mut texts = String::new();
    let mut different = Vec::new();
    let mut cells = Vec::new();
    for (name, scene) in scenes() {
        let frames = [draw(&scene, WIDE, now()), draw(&scene, Shape::Mono, now()), draw(&scene, Shape::Text, now())];
        for (frame, kind) in frames.iter().zip(["colour", "mono"]) {
            let path = folder.join(format!("{name}-{kind}.png"));
            let picture = seen(frame);
            if update {
                write_png(&path, picture.0, &picture.1);
            } else if read_png(&path).as_ref() != Some(&picture) {
                let drawn = path.with_extension("new.png");
                write_png(&drawn, picture.0, &picture.1);
                different.push(drawn.display().to_string());
            }
        }
        texts += &format!("{name}\n{}\n", characters(&frames[2]));
        cells.push((name, frames));
    }
    contact_sheet(&cells);
    assert!(different.is_empty(), "look at these, then UPDATE_SCREENS=1:\n{}", different.join("\n"));
    insta::with_settings!({ snapshot_path => "snapshots/screens", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("text", texts);
    });
}

fn contact_sheet(cells: &[(&str, [Frame; 3])]) {
    const CELL: (u32, u32) = (320 + 8 + 256 + 16, 240 + 28);
    const COLUMNS: u32 = 3;
    let rows = (cells.len() as u32).div_ceil(COLUMNS);
    let mut sheet = Canvas::new(CELL.0 * COLUMNS, CELL.1 * rows, Rgb565::new(9, 18, 9));
    for (index, (name, frames)) in cells.iter().enumerate() {
        let corner =
            Point::new((index as u32 % COLUMNS * CELL.0) as i32 + 8, (index as u32 / COLUMNS * CELL.1) as i32 + 20);
        let label = MonoTextStyle::new(&FONT_6X10, Rgb565::WHITE);
        Text::with_baseline(name, corner - Point::new(0, 14), label, Baseline::Top).draw(&mut sheet).expect("drawn");
        if let Frame::Colour(canvas) = &frames[0] {
            let place = Rectangle::new(corner, canvas.size());
            sheet.fill_contiguous(&place, canvas.pixels.iter().copied()).expect("drawn");
        }
        let right = corner + Point::new(328, 0);
        if let Frame::Mono(canvas) = &frames[1] {
            for (at, pixel) in canvas.pixels.iter().enumerate() {
                let place =
                    right + Point::new(at as i32 % 128, at as i32 / 128) + Point::new(at as i32 % 128, at as i32 / 128);
                let colour = if pixel.is_on() { Rgb565::new(24, 60, 31) } else { Rgb565::BLACK };
                sheet.fill_solid(&Rectangle::new(place, Size::new(2, 2)), colour).expect("drawn");
            }
        }
        if let Frame::Text(grid) = &frames[2] {
            let below = right + Point::new(0, 136);
            let glass = Rectangle::new(below, Size::new(208, 88));
            glass.into_styled(PrimitiveStyle::with_fill(Rgb565::new(3, 12, 20))).draw(&mut sheet).expect("drawn");
            let style = MonoTextStyle::new(&FONT_10X20, Rgb565::new(27, 60, 31));
            for (row, letters) in grid.iter().enumerate() {
                let at = below + Point::new(4, 4 + 20 * row as i32);
                let text: String = letters.iter().collect();
                Text::with_baseline(&text, at, style, Baseline::Top).draw(&mut sheet).expect("drawn");
            }
        }
    }
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    fs::create_dir_all(&target).expect("the target folder");
    let pixels: Vec<[u8; 3]> = sheet.pixels.iter().map(|pixel| rgb(*pixel)).collect();
    write_png(&target.join("screens.png"), sheet.width, &pixels);
}

/// A display that notes what is drawn outside of it.
struct Strict<C> {
    size: Size,
    outside: Vec<Point>,
    colour: std::marker::PhantomData<C>,
}

impl<C> Strict<C> {
    fn new(width: u32, height: u32) -> Self {
        Self { size: Size::new(width, height), outside: Vec::new(), colour: std::marker::PhantomData }
    }
}

impl<C> OriginDimensions for Strict<C> {
    fn size(&self) -> Size {
        self.size
    }
}

impl<C: PixelColor> DrawTarget for Strict<C> {
    type Color = C;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<C>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let inside = self.bounding_box();
        self.outside.extend(pixels.into_iter().map(|Pixel(at, _)| at).filter(|at| !inside.contains(*at)).take(10));
        Ok(())
    }
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        "[A-Za-zÀ-ž]{1,20}( [A-Za-zÀ-ž]{1,20}){0,12}",
        Just("W".repeat(300)),
        Just("東京 🎥📡 Ωμέγα Кухня e\u{301}\u{202e}\u{fe0f}\t\n\0 \u{ad}".to_string()),
        Just(String::new()),
    ]
}

fn figure() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0_u64..10_000_000]
}

fn real() -> impl Strategy<Value = f64> {
    prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.0), any::<f64>(), -70.0_f64..3.0]
}

fn stamp() -> impl Strategy<Value = Option<Timestamp>> {
    let times = prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        Just(wall()),
        Just("2026-11-23T18:00:00Z".parse().expect("a time"))
    ];
    prop::option::of(times)
}

const CODES: [&str; 6] = ["no-signal", "sound-clipping", "network-slow", "protected", "no-sound", "key-rejected"];

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let severity = prop::sample::select(vec![Severity::Notice, Severity::Warning, Severity::Error]);
    let one = (prop::sample::select(CODES.to_vec()), severity, words(), words());
    let one = one.prop_map(|(code, severity, text, advice)| Fault { code, severity, text, advice, since: None });
    prop::collection::vec(one, 0..6)
}

fn uplinks() -> impl Strategy<Value = (Vec<UplinkStatus>, Vec<UplinkStats>)> {
    let state = prop::sample::select(vec![
        UplinkState::Idle,
        UplinkState::Connecting,
        UplinkState::OnAir,
        UplinkState::Waiting,
        UplinkState::Refused,
    ]);
    let one = (
        words(),
        prop::option::of(words()),
        state,
        figure(),
        figure(),
        prop::option::of(figure()),
        prop::option::of(real()),
    );
    let one = one.prop_map(|(source, region, state, bitrate, queue_ms, rtt_ms, loss)| {
        let acknowledged_by = (bitrate > 0).then_some(AcknowledgedBy::Tcp);
        let stats = UplinkStats {
            source: source.clone(),
            bitrate,
            queue_ms,
            rtt_ms,
            loss,
            reconnects: queue_ms,
            acknowledged_bytes: bitrate,
        };
        (UplinkStatus { source, region, state, retry_in_ms: Some(queue_ms), acknowledged_by, since: None }, stats)
    });
    prop::collection::vec(one, 0..9).prop_map(|all| all.into_iter().unzip())
}

prop_compose! {
    fn any_status()(
        names in (words(), words(), words(), words()),
        phase in prop::sample::select(vec![Phase::OffAir, Phase::Starting, Phase::Previewing, Phase::OnAir, Phase::Reconnecting, Phase::Stopping]),
        signal in prop::sample::select(vec![SignalState::NoDevice, SignalState::NoCable, SignalState::NoSignal, SignalState::NoLock, SignalState::OutOfRange, SignalState::Locked]),
        showing in prop::option::of(prop::sample::select(vec![Showing::Live, Showing::Hold, Showing::Slate, Showing::Test])),
        mode in prop::sample::select(vec!["", "720p30", "8192x8192p120", "1080i59.94"]),
        on_air_since in stamp(),
        faults in faults(),
        broadcast in prop::option::of((words(), words(), prop::option::of(figure()), prop::bool::ANY, prop::collection::vec(words(), 0..4))),
        (uplinks, stats) in uplinks(),
        peaks in prop::collection::vec(real(), 0..9),
        figures in (figure(), figure(), figure(), real(), real()),
        flags in any::<(bool, bool, bool)>(),
    ) -> Status {
        let base = ready();
        Status {
            name: names.0, board: names.1.clone(), version: names.2.clone(), id: names.3.clone(),
            phase, on_air_since, faults, uplinks,
            input: InputStatus { device: names.1.clone(), signal, mode: mode.parse().ok(), audio: flags.0.then_some(names.2) },
            program: ProgramStatus { showing, muted: flags.1, encoder: Some(names.3), mode: mode.parse().ok(), ..base.program },
            broadcast: broadcast.map(|(title, url, viewers, running, notes)| BroadcastStatus {
                title: Some(title.clone()), tags: vec![title], share_url: Some(url), viewers, notes,
                ..broadcast_of(if running { PublicState::Running } else { PublicState::Unknown })
            }),
            networks: vec![link(&names.1, NetworkKind::Other, flags.0, flags.1.then_some("192.0.2.1"))],
            network: flags.2.then(|| NetworkStatus { interface: names.1, address: "2001:db8:1234:5678:9abc:def0:1234:5678".parse().ok() }),
            stats: Stats {
                uptime_ms: figures.0, bitrate: figures.1, dropped_pictures: figures.2, audio_peak_db: peaks, uplinks: stats,
                temperature_c: Some(figures.3), cpu: Some(figures.4), disk_free_bytes: Some(figures.0), throttled: Some(flags.0), ..Stats::default()
            },
            ..base
        }
    }
}

fn any_list() -> impl Strategy<Value = List> {
    let entry = (words(), any::<(bool, bool)>(), prop::option::of(words()));
    let entry = entry.prop_map(|(text, (chosen, hold), remark)| Entry { text, chosen, remark, hold });
    (words(), prop::collection::vec(entry, 0..12), any::<u8>()).prop_map(|(title, entries, cursor)| List {
        title,
        entries,
        cursor: usize::from(cursor),
    })
}

fn any_preflight() -> impl Strategy<Value = Preflight> {
    let step = (words(), prop::option::of(any::<bool>()), prop::option::of(words()));
    let step = step.prop_map(|(text, passed, remark)| Step { text, passed, remark });
    let verdict = prop::option::of((any::<bool>(), words()).prop_map(|(passed, text)| Verdict { passed, text }));
    (prop::option::of(words()), prop::collection::vec(step, 0..9), verdict)
        .prop_map(|(source, steps, verdict)| Preflight { source, steps, verdict })
}

prop_compose! {
    fn any_view()(
        page in prop::sample::select(Page::ALL.to_vec()),
        scroll in prop_oneof![Just(0_usize), Just(usize::MAX), 0_usize..40],
        list in prop::option::weighted(0.2, any_list()),
        hold in prop::option::weighted(0.2, (words(), figure(), figure())),
        notice in prop::option::weighted(0.2, (words(), any::<bool>())),
        pin in prop::option::weighted(0.1, (words(), figure())),
        reset in prop::option::weighted(0.1, (figure(), figure())),
        identify in prop::bool::weighted(0.1),
        locked in any::<bool>(),
        sources in prop::collection::vec((words(), prop::option::of(words()), any::<(bool, bool, bool)>()), 0..9),
        preflight in any_preflight(),
        address in prop::option::of(prop_oneof![words(), Just("192.0.2.17:8443".to_string()), Just("[2001:db8:1234:5678:9abc:def0:1234:5678]:8443".to_string())]),
        fingerprint in prop::option::of(words()),
    ) -> View {
        let time = Time::from_nanos;
        View {
            page, scroll, list, locked, identify, preflight, address, fingerprint, idle: false,
            hold: hold.map(|(text, since, until)| Hold { text, since: time(since), until: time(until) }),
            notice: notice.map(|(text, failed)| Notice { text, failed }),
            reset: reset.map(|(armed, until)| Reset { armed: time(armed), until: time(until) }),
            pin: pin.map(|(digits, until)| Pin { digits, until: time(until) }),
            sources: sources.into_iter().map(|(name, region, (nearest, primary, backup))| SourceLine { name, region, nearest, primary, backup }).collect(),
        }
    }
}

fn any_scene() -> impl Strategy<Value = Scene> {
    prop_oneof![
        20 => (any_status(), any_view(), any::<bool>()).prop_map(|(status, view, shown)| Scene::Running {
            status: Arc::new(status),
            view: Arc::new(view),
            thumbnail: if shown { thumbnail(Shape::Colour { width: 1920, height: 1080 }) } else { None },
        }),
        1 => words().prop_map(|version| Scene::Splash { version }),
        1 => prop::collection::vec(words(), 0..60).prop_map(|lines| Scene::Failed(lines.join("\n"))),
    ]
}

fn shapes() -> Vec<Shape> {
    let sizes = [(160, 128), (128, 160), (240, 135), (240, 240), (240, 320), (320, 240), (480, 320), (639, 479)];
    sizes.map(|(width, height)| Shape::Colour { width, height }).to_vec()
}

/// What is on air looks like nothing else: words may be the same, the colour and the inverted bar may not.
#[test]
fn only_what_is_on_air_looks_so() {
    for (name, scene) in scenes() {
        let Scene::Running { status, view, .. } = &scene else { continue };
        if view.identify || view.pin.is_some() {
            continue;
        }
        let on_air = status.phase == Phase::OnAir;
        let Frame::Colour(canvas) = draw(&scene, WIDE, now()) else { panic!("colours") };
        let red = Rgb565::new(0xd8 >> 3, 0x12 >> 2, 0x1c >> 3);
        assert_eq!(canvas.pixels.iter().filter(|pixel| **pixel == red).count() > 1000, on_air, "{name}");
        let Frame::Mono(canvas) = draw(&scene, Shape::Mono, now()) else { panic!("one colour") };
        if view.list.is_none() && !name.starts_with("system") && !name.starts_with("publish") {
            let lit = canvas.pixels[..128 * 10].iter().filter(|pixel| pixel.is_on()).count();
            assert_eq!(lit > 128 * 5, on_air, "{name}: {lit}");
        }
        if view.list.is_none() {
            assert_eq!(characters(&draw(&scene, Shape::Text, now())).contains("ON AIR"), on_air, "{name}");
        }
    }
}

/// Tries `rule` on made up cases, in a thread with room for what makes them.
fn holds<S: Strategy + Send + 'static>(
    cases: S,
    rule: impl Fn(S::Value) -> Result<(), TestCaseError> + Send + 'static,
) {
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let tried = move || TestRunner::new(config).run(&cases, rule).map_err(|error| error.to_string());
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(tried).expect("a thread");
    assert_eq!(thread.join().expect("no panic"), Ok(()));
}

#[test]
fn any_status_is_drawn_inside_of_any_display() {
    holds((any_scene(), figure(), stamp()), |(scene, at, wall)| {
        let now = Now { time: Time::from_nanos(at), wall };
        let mut mono = Strict::<BinaryColor>::new(128, 64);
        paint(&scene, MONO, &mut mono, now);
        prop_assert_eq!(&mono.outside, &[]);
        for shape in shapes() {
            let Shape::Colour { width, height } = shape else { continue };
            let mut colour = Strict::<Rgb565>::new(width, height);
            paint(&scene, COLOUR, &mut colour, now);
            prop_assert_eq!(&colour.outside, &[], "{:?}", shape);
        }
        let Frame::Text(grid) = draw(&scene, Shape::Text, now) else { panic!("no text") };
        prop_assert!(grid.iter().flatten().all(|letter| (' '..='~').contains(letter)), "{:?}", grid);
        for shape in [Shape::Mono, Shape::Text, WIDE] {
            if let Some(next) = next_change(&scene, shape, now) {
                prop_assert!(next > now.time || at > u64::MAX - 10_000_000_000, "{next:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_picture_stays_until_it_changes_by_itself() {
    holds((any_scene(), 0_u64..20_000_000_000, 0.0_f64..1.0), |(scene, at, part)| {
        let moment = |nanos: u64| Now {
            time: Time::from_nanos(nanos),
            wall: wall().checked_add(std::time::Duration::from_nanos(nanos)).ok(),
        };
        for shape in [Shape::Mono, Shape::Text] {
            let next = next_change(&scene, shape, moment(at)).map_or(at + 3_600_000_000_000, Time::nanos);
            let between = at + ((next - at - 1) as f64 * part) as u64;
            let held = matches!(&scene, Scene::Running { view, .. } if view.hold.is_some());
            // A bar that fills grows all the time, and is drawn twenty times a second.
            prop_assert!(
                held || draw(&scene, shape, moment(at)) == draw(&scene, shape, moment(between)),
                "{:?}",
                shape
            );
        }
        Ok(())
    });
}
