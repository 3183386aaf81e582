//! Every board's plan in the real worker process, over stand-ins of the hardware's GStreamer elements
//! (`encoder_stand_in/`): pictures come out as the plan says, a keyframe on demand, and a new bitrate by the right control, in
//! the right unit, with effect. What no stand-in can tell is whether the documentation that it was built from is right.
//!
//! Needs the stand-ins: `cargo build --example encoder-stand-in` (a plain `cargo test` builds them, too).

use fieldcast::{
    access_unit::{AccessUnit, CodecConfig},
    board::{Align, BitrateUnit, Board, Encoder, InputKind, KeyframeControl, Through},
    control::{Signal, WorkerId},
    media::{
        Card, Order, Plan, Report, VideoPlan, launch, plan,
        supervisor::{self, Message, Said, Worker},
    },
    settings::{Codec, Output, OutputMode},
    status::SignalState,
    sys,
    units::{BitRate, Mode},
};
use gstreamer as gst;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

/// The worker's binary.
const WORKER: &str = env!("CARGO_BIN_EXE_fieldcast-media");
/// Plugins of this machine that plans need. No others: a real element of a stand-in's name must not come in its place.
const PLUGINS: [&str; 15] = [
    "app",
    "coreelements",
    "deinterlace",
    "imagefreeze",
    "jpeg",
    "openh264",
    "typefindfunctions",
    "videoconvertscale",
    "videofilter",
    "videoparsersbad",
    "videorate",
    "videotestsrc",
    "x264",
    "x265",
    "audioconvert",
];
const BEFORE: u64 = 2_000_000;
const AFTER: u64 = 500_000;
/// Pictures over which a bitrate is measured, and those that are left out after a change: the rate control's own buffer.
const MEASURED: usize = 50;
const SETTLING: usize = 25;

/// Workers wait for live pictures most of the time: so many share two cores.
static RUNNING: Semaphore = Semaphore::const_new(6);

/// A folder with the stand-ins and the plugins that stay, for GST_PLUGIN_PATH.
fn plugins() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let link = |file: &Path| {
            let name = file.file_name().expect("a name");
            std::os::unix::fs::symlink(file, folder.path().join(name)).expect("a link");
        };
        link(&stand_in());
        gst::init().expect("GStreamer");
        for name in PLUGINS {
            let plugin = gst::Registry::get().find_plugin(name);
            // openh264 is not everywhere.
            if let Some(file) = plugin.and_then(|plugin| plugin.filename()) {
                link(&file);
            }
        }
        folder
    });
    folder.path()
}

/// The stand-ins' library, not older than its source.
fn stand_in() -> PathBuf {
    let library = Path::new(WORKER).with_file_name("examples").join("libencoder_stand_in.so");
    let advice = "build the stand-ins: cargo build --example encoder-stand-in";
    let built = fs::metadata(&library).and_then(|file| file.modified()).expect(advice);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoder_stand_in");
    for source in fs::read_dir(sources).expect("the source of the stand-ins") {
        let changed = source.and_then(|entry| entry.metadata()).and_then(|file| file.modified()).expect("a file");
        assert!(changed <= built, "they have changed since: {advice}");
    }
    library
}

fn board(name: &str) -> Board {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards").join(format!("{name}.toml"));
    Board::load(&file).expect("a board")
}

/// The kernel driver behind the V4L2 encoders of a board.
fn driver(board: &str) -> &'static str {
    if board == "raspberry-pi-4" { "bcm2835-codec" } else { "vsi_v4l2enc" }
}

/// A worker over the stand-ins of one board's hardware, and what it and they said.
struct Rig {
    worker: Worker,
    messages: mpsc::Receiver<Message>,
    aside: Vec<Report>,
    folder: tempfile::TempDir,
}

impl Rig {
    fn start(board: &str, plan: Plan) -> Self {
        // Beside the registry, as a worker writes nowhere else.
        let folder = tempfile::tempdir_in(plugins()).expect("a folder");
        let (plugins, at) = (plugins().display(), folder.path().display());
        let registry = plugins_registry();
        // The supervisor passes on nothing but what a worker needs.
        let script = format!(
            "#!/bin/sh\nexport GST_PLUGIN_PATH_1_0={plugins} GST_PLUGIN_SYSTEM_PATH_1_0= GST_REGISTRY_1_0={registry}\n\
             export STAND_IN_LOG={at}/log STAND_IN_DRIVER={}\nLD_PRELOAD={plugins}/libencoder_stand_in.so exec {WORKER}\n",
            driver(board)
        );
        let binary = folder.path().join("worker.sh");
        fs::write(&binary, script).expect("a script");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("permissions");
        let (sender, messages) = mpsc::channel(64);
        let worker = supervisor::spawn(&binary, WorkerId(7), &plan, sender).expect("a worker");
        Self { worker, messages, aside: Vec::new(), folder }
    }

    /// The next report of which `pick` makes something.
    async fn until<T>(&mut self, pick: impl Fn(&Report) -> Option<T>) -> Result<T, String> {
        let deadline = sys::now() + Duration::from_secs(20);
        loop {
            let wait = deadline.since(sys::now());
            let message = tokio::time::timeout(wait, self.messages.recv()).await;
            match message.map_err(|_| format!("nothing comes; {:?}", self.log()))?.map(|message| message.said) {
                Some(Said::Report(report)) => match pick(&report) {
                    Some(picked) => return Ok(picked),
                    None => self.aside.push(report),
                },
                Some(Said::Exited) | None => {
                    let last = self.aside.iter().rev().find(|report| matches!(report, Report::Failed(_)));
                    return Err(format!("it ended: {last:?}; {:?}", self.log()));
                }
            }
        }
    }

    async fn units(&mut self, count: usize) -> Result<Vec<AccessUnit>, String> {
        let mut units = Vec::with_capacity(count);
        while units.len() < count {
            let unit = |report: &Report| if let Report::Unit(unit) = report { Some(unit.clone()) } else { None };
            units.push(self.until(unit).await?);
        }
        Ok(units)
    }

    /// What the stand-ins were told.
    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }
}

/// One registry for all workers of this run: reading the plugins anew takes longer than the tests.
fn plugins_registry() -> String {
    plugins().join("registry.bin").display().to_string()
}

fn check<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: expected {wanted:?}, got {got:?}")) }
}

/// The plan for `encoder` alone, from the board's first input, as if a signal of `sent` came in.
fn plan_for(board: &Board, encoder: &Encoder, wanted: OutputMode, sent: &str) -> VideoPlan {
    let input = board.inputs.iter().find(|input| input.kind != InputKind::Test).unwrap_or(&board.inputs[0]);
    let output = Output { mode: wanted, codec: encoder.codec, ..Output::default() };
    let signal = Signal {
        state: SignalState::Locked,
        node: Some("/dev/video0".into()),
        mode: Some(mode(sent)),
        // Compressed pictures would need a stand-in of a camera's compression.
        format: Some("YUYV".into()),
        protected: false,
    };
    let board = Board { encoders: vec![encoder.clone()], ..board.clone() };
    let plan = plan::video(&board, input, &output, &signal, &[]).expect("a plan");
    VideoPlan { bitrate: BitRate::new(BEFORE), keyframe_interval: 900, ..plan }
}

fn mode(text: &str) -> Mode {
    text.parse().expect("a mode")
}

fn bits_a_second(units: &[AccessUnit], rate: f64) -> f64 {
    let bits: usize = units.iter().map(|unit| unit.data.len() * 8).sum();
    bits as f64 * rate / units.len() as f64
}

/// What an encoder is, by its record: H.264 profile and level as their numbers.
fn profile_and_level(units: &[AccessUnit]) -> Option<(u8, u8)> {
    match &*units[0].config {
        // ISO/IEC 14496-15 5.3.3.1.2
        CodecConfig::H264(record) => Some((record[1], record[3])),
        CodecConfig::Hevc(_) | CodecConfig::Aac(_) => None,
    }
}

/// What the board file says is right for `encoder`: everything that the worker does with one.
async fn try_encoder(board: &Board, encoder: &Encoder) -> Result<(), String> {
    let plan = plan_for(board, encoder, OutputMode::Fixed(mode("640x360p30")), "1280x720p30");
    let rate = encoder.fit(plan.mode).rate.hz();
    let mut rig = Rig::start(&board.name, Plan::Video(plan.clone()));
    let started = rig.until(|report| if let Report::Started(it) = report { Some(it.clone()) } else { None }).await?;
    check("missing elements", &started.missing, &Vec::new())?;
    check("the encoder", (&started.encoder, started.hardware), (&encoder.element, encoder.hardware))?;
    rig.worker.order(Order::Encode);
    let first = rig.units(SETTLING).await?;
    check("the first picture is an IDR, and no other", first.iter().filter(|unit| unit.key).count(), 1)?;
    check("the first picture is an IDR", first[0].key, true)?;
    let before = bits_a_second(&rig.units(MEASURED).await?, rate);
    if !(0.6..1.5).contains(&(before / BEFORE as f64)) {
        return Err(format!("of {BEFORE} bit/s {before:.0} come"));
    }
    if let Some((profile, level)) = profile_and_level(&first) {
        let numbers = BTreeMap::from([("baseline", 66), ("constrained-baseline", 66), ("main", 77), ("high", 100)]);
        check("the profile that comes out", profile, numbers[encoder.profile.as_str()])?;
        if let Some(wanted) = &encoder.level {
            let number = wanted.parse::<f64>().expect("a level") * 10.0;
            check("the level that comes out", f64::from(level), number)?;
        }
    }

    rig.worker.order(Order::Bitrate(BitRate::new(AFTER)));
    rig.units(SETTLING).await?;
    let after = bits_a_second(&rig.units(MEASURED).await?, rate);
    if rig.aside.contains(&Report::BitrateFixed) {
        return Err("the bitrate cannot be changed while it runs".into());
    }
    if !(0.5..1.6).contains(&(after / AFTER as f64)) {
        return Err(format!("of {BEFORE} bit/s {before:.0} came, of {AFTER} bit/s {after:.0}"));
    }

    rig.worker.order(Order::Keyframe);
    let next = rig.units(30).await?;
    check("keyframes after one was asked for", next.iter().filter(|unit| unit.key).count(), 1)?;
    let seen = rig.aside.iter().any(|report| matches!(report, Report::Picture(look) if !look.black));
    check("pictures are looked at", seen, true)?;
    if encoder.hardware { told(&rig.log(), encoder, plan.keyframe_interval) } else { Ok(()) }
}

/// What the stand-in of `encoder` has to have been told, in its own words.
fn told(log: &[String], encoder: &Encoder, interval: u32) -> Result<(), String> {
    let name = &encoder.element;
    let start = format!("start {name} bits={BEFORE} interval={interval}");
    check("the start", log.contains(&start), true).map_err(|error| format!("{error}: {start:?} is not in {log:?}"))?;
    let through = match encoder.bitrate.through {
        Through::Property => "property",
        Through::V4l2Control => "control",
    };
    let value = match encoder.bitrate.unit {
        BitrateUnit::Bit => AFTER,
        BitrateUnit::Kilobit => AFTER / 1000,
    };
    let change = format!("{through} {name} {} {value} running", encoder.bitrate.name);
    check("the change", log.contains(&change), true)
        .map_err(|error| format!("{error}: {change:?} is not in {log:?}"))?;
    let keyframe = match &encoder.keyframe {
        KeyframeControl::Event => return Ok(()),
        KeyframeControl::V4l2Control => format!("control {name} force_key_frame 1 running"),
        KeyframeControl::Signal(signal) => format!("signal {name} {signal}"),
    };
    check("the keyframe", log.contains(&keyframe), true)
        .map_err(|error| format!("{error}: {keyframe:?} is not in {log:?}"))
}

/// A few pictures in `wanted` of a signal of `sent`: the pipeline is made, and sizes are what the encoder takes.
async fn try_mode(board: &Board, encoder: &Encoder, wanted: OutputMode, sent: &str) -> Result<(), String> {
    let plan = plan_for(board, encoder, wanted, sent);
    let context = |error: String| format!("{wanted:?} of {sent}: {error}");
    let mut rig = Rig::start(&board.name, Plan::Video(plan));
    rig.worker.order(Order::Encode);
    let units = rig.units(3).await.map_err(context)?;
    check("the first picture is an IDR", units[0].key, true).map_err(context)
}

/// A still picture is encoded as live ones are.
async fn try_still(board: &Board, encoder: &Encoder) -> Result<(), String> {
    let output = Output { codec: encoder.codec, ..Output::default() };
    let still = plan::still(board, &output, mode("640x360p25"), Card::Bars);
    let still = fieldcast::media::StillPlan { encoders: vec![encoder.clone()], keyframe_interval: 10, ..still };
    let pictures = still.pictures() as usize;
    let mut rig = Rig::start(&board.name, Plan::Still(still));
    let units = rig.units(pictures).await.map_err(|error| format!("a still picture: {error}"))?;
    check("IDR pictures of a still one", units.iter().filter(|unit| unit.key).count(), 2)
}

/// Everything that `encoder` is used for.
async fn try_all(board: Board, encoder: Encoder) -> Result<(), String> {
    let _turn = RUNNING.acquire().await.expect("a turn");
    let all = async {
        try_encoder(&board, &encoder).await?;
        if !encoder.hardware {
            return Ok(());
        }
        try_still(&board, &encoder).await?;
        // A converter scales where the shape stays; else software draws borders.
        try_mode(&board, &encoder, OutputMode::Fixed(board.limits.mode), "1280x720p30").await?;
        try_mode(&board, &encoder, OutputMode::Fixed(mode("1280x720p25")), "1600x1200p30").await?;
        try_mode(&board, &encoder, OutputMode::Follow, "1680x1050p30").await
    };
    all.await.map_err(|error: String| format!("{}: {} ({}): {error}", board.name, encoder.element, encoder.codec))
}

/// All encoders of the board, those of software once for all boards: they are all the same.
async fn try_board(name: &str) {
    let (board, desktop) = (board(name), board("desktop"));
    let mut running = JoinSet::new();
    for encoder in &board.encoders {
        if installed(encoder) && (name == "desktop" || !desktop.encoders.contains(encoder)) {
            running.spawn(try_all(board.clone(), encoder.clone()));
        }
    }
    let failed: Vec<String> = running.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Whether software is there; stand-ins always are.
fn installed(encoder: &Encoder) -> bool {
    plugins();
    encoder.hardware || gst::ElementFactory::find(&encoder.element).is_some()
}

macro_rules! boards {
    ($($test:ident $name:literal),*) => {
        const BOARDS: &[&str] = &[$($name),*];
        $(#[tokio::test]
        async fn $test() {
            try_board($name).await;
        })*
    };
}

boards! {
    desktop "desktop",
    imx8mp_evk "imx8mp-evk",
    jetson_nx "jetson-nx",
    jetson_orin_nano "jetson-orin-nano",
    orange_pi_5_plus "orange-pi-5-plus",
    qemu_virt "qemu-virt",
    raspberry_pi_4 "raspberry-pi-4",
    raspberry_pi_5 "raspberry-pi-5",
    rock_3a "rock-3a",
    rock_5b "rock-5b",
    x86_n100 "x86-n100"
}

#[test]
fn every_board_is_tried() {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("boards")).expect("the boards");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let mut names: Vec<String> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .map(|file| file.file_stem().expect("a stem").to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, BOARDS);
}

/// That the above can fail: one thing wrong in a board file, and what is then found.
#[tokio::test]
async fn a_wrong_word_in_a_board_file_is_found() {
    type Break = fn(&mut Encoder);
    let broken: [(&str, &str, Break, &str); 12] = [
        ("rock-5b", "mpph264enc", |it| it.bitrate.unit = BitrateUnit::Kilobit, "bit/s"),
        ("rock-5b", "mpph264enc", |it| it.bitrate.name = "bitrate".into(), "no property"),
        ("rock-5b", "mpph264enc", |it| it.profile = "main".into(), "it ended"),
        ("rock-5b", "mpph264enc", |it| drop(it.properties.insert("rc-mode".into(), "fixqp".into())), "bit/s"),
        ("rock-5b", "mpph265enc", |it| drop(it.properties.insert("profile".into(), "main".into())), "it ended"),
        ("raspberry-pi-4", "v4l2h264enc", |it| it.level = None, "No such process"),
        ("raspberry-pi-4", "v4l2h264enc", |it| it.bitrate.unit = BitrateUnit::Kilobit, "video_bitrate"),
        ("raspberry-pi-4", "v4l2h264enc", |it| it.keyframe = KeyframeControl::Event, "keyframes after one"),
        (
            "imx8mp-evk",
            "v4l2h264enc",
            |it| it.controls.retain(|name, _| name != "frame_level_rate_control_enable"),
            "bit/s",
        ),
        ("imx8mp-evk", "vpuenc_h264", |it| drop(it.properties.remove("profile")), "the profile"),
        ("jetson-nx", "nvv4l2h264enc", |it| it.memory = None, "it ended"),
        ("x86-n100", "vah264lpenc", |it| it.format = "I420".into(), "it ended"),
    ];
    let mut running = JoinSet::new();
    for (name, element, damage, found) in broken {
        running.spawn(async move {
            let board = board(name);
            let mut encoder = board.encoders.iter().find(|it| it.element == element).expect("an encoder").clone();
            damage(&mut encoder);
            let _turn = RUNNING.acquire().await.expect("a turn");
            let error = try_encoder(&board, &encoder).await.expect_err(&format!("{name}: {element}: {found}"));
            assert!(error.contains(found), "{name}: {element}: {found:?} is not in {error:?}");
        });
    }
    running.join_all().await;
}

#[tokio::test]
async fn sizes_and_rates_that_hardware_does_not_survive_are_found() {
    let wanted = |text| OutputMode::Fixed(mode(text));
    let rock = board("rock-5b");
    let unaligned = Encoder { align: Align::default(), ..rock.encoders[0].clone() };
    try_mode(&rock, &unaligned, OutputMode::Follow, "1680x1050p30").await.expect_err("1680 is no multiple of 64");
    let pi = board("raspberry-pi-4");
    let slow = Encoder { min_rate: None, ..pi.encoders[0].clone() };
    try_mode(&pi, &slow, wanted("640x360p5"), "1280x720p30").await.expect_err("5 pictures a second are too few");
    try_mode(&pi, &pi.encoders[0], wanted("640x360p5"), "1280x720p30").await.expect("it is made 10 of them");
}

/// What a person pastes is what was tried here, but for its ends.
#[test]
fn pictures_go_into_an_encoders_own_memory() {
    let board = board("jetson-nx");
    let plan = plan_for(&board, &board.encoders[0], OutputMode::Fixed(mode("1280x720p30")), "1920x1080p30");
    let line = launch::describe(&Plan::Video(plan));
    assert!(
        line.contains("nvvidconv name=upload ! 'video/x-raw(memory:NVMM),format=NV12,width=1280,height=720"),
        "{line}"
    );
    assert_eq!(line.matches("nvvidconv").count(), 1, "{line}");
    assert_eq!(Codec::H264, board.encoders[0].codec);
}
