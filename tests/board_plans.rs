//! What every shipped board would run: board x input x mode x codec, as `fieldcastd plan` prints it. A change of a board or
//! of the planning shows here line by line.

use fieldcast::{
    board::{Board, InputKind},
    control::Signal,
    media::{Plan, launch, plan},
    settings::{self, Codec, Output, OutputMode},
    status::SignalState,
    units::Mode,
};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

const MODES: [&str; 4] = ["640x360p25", "1280x720p30", "1920x1080p60", "follow"];
const SIGNALS: [&str; 2] = ["1920x1080p60", "1920x1080i50"];

fn mode(text: &str) -> Mode {
    text.parse().expect("a mode")
}

#[test]
fn every_board_has_its_plans() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("the boards").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    assert_eq!(files.len(), 11);
    for file in files {
        let board = Board::load(&file).expect("a board");
        let mut text = String::new();
        for input in &board.inputs {
            for codec in [Codec::H264, Codec::Hevc] {
                for wanted in MODES {
                    let output = Output {
                        mode: if wanted == "follow" { OutputMode::Follow } else { OutputMode::Fixed(mode(wanted)) },
                        codec,
                        ..Output::default()
                    };
                    for sent in SIGNALS {
                        let node = (input.kind != InputKind::Test).then(|| "/dev/video0".into());
                        let format = match &input.kind {
                            InputKind::Camera(camera) => camera.formats.first().cloned(),
                            InputKind::Hdmi(hdmi) => hdmi.pixel_format.clone(),
                            InputKind::Test => None,
                        };
                        let signal = Signal {
                            state: SignalState::Locked,
                            node,
                            mode: Some(mode(sent)),
                            format,
                            protected: false,
                        };
                        let video = plan::video(&board, input, &output, &signal, &[]).expect("a plan");
                        assert!(video.mode.width <= 8192 && !video.mode.interlaced);
                        writeln!(text, "# {} {codec} {wanted} from {sent}", input.name).expect("written");
                        writeln!(text, "{}\n", launch::describe(&Plan::Video(video))).expect("written");
                    }
                }
            }
            match plan::audio(input, &settings::Input::default(), &Output::default()) {
                Some(sound) => writeln!(text, "# {} sound\n{}\n", input.name, launch::describe(&Plan::Audio(sound))),
                None => writeln!(text, "# {} has no sound\n", input.name),
            }
            .expect("written");
        }
        insta::assert_snapshot!(board.name.as_str(), text);
    }
}
