//! `fieldcastd plan`.

use super::{Place, Refusal, WRONG, prepare::load};
use crate::{
    board::{DeviceMatch, Input, InputKind},
    control::Signal,
    media::{Plan, launch, plan},
    settings::OutputMode,
    state::peek_overrides,
    status::SignalState,
    units::Mode,
};
use std::path::PathBuf;

/// The pipelines that would run for the chosen input, one line each, with `mode` in the place of the settings'. The input
/// is taken to send that mode.
///
/// # Errors
/// What is wrong with settings and board.
pub fn plan(place: &Place, mode: Option<Mode>) -> Result<String, Refusal> {
    let (board, layers) = load(place, peek_overrides(&place.state).unwrap_or_default())?;
    let settings = layers.settings();
    let mut output = settings.output.clone();
    if let Some(mode) = mode {
        output.mode = OutputMode::Fixed(mode);
    }
    let wanted = settings.input.device.as_str();
    let input = board.inputs.iter().find(|input| input.name == wanted).or_else(|| board.automatic_inputs().next());
    let none = || Refusal { code: WRONG, text: format!("board {:?} has no input that can be planned", board.name) };
    let input = input.ok_or_else(none)?;
    let mode = plan::output_mode(&output, board.limits, None, None);
    let (signal, note) = assumed(input, mode);
    let video = plan::video(&board, input, &output, &signal, &[]).ok_or_else(none)?;
    let sound = plan::audio(input, &settings.input, &output);
    let mut text = format!("# {}{note}\n{}\n", input.name, pasted(&Plan::Video(video)));
    text += &match sound {
        Some(sound) => format!("# sound\n{}\n", pasted(&Plan::Audio(sound))),
        None => "# no sound: silence is sent\n".into(),
    };
    Ok(text)
}

/// What the input would tell if it sent `mode`, and what a reader has to know about that.
fn assumed(input: &Input, mode: Mode) -> (Signal, String) {
    let node = |device: &DeviceMatch| device.path.clone().unwrap_or_else(|| PathBuf::from("/dev/video0"));
    let (node, format, mode) = match &input.kind {
        InputKind::Test => (None, None, mode),
        InputKind::Hdmi(hdmi) => (Some(node(&hdmi.device)), hdmi.pixel_format.clone(), mode),
        InputKind::Camera(camera) => {
            (Some(node(&camera.device)), camera.formats.first().cloned(), camera.mode.unwrap_or(mode))
        }
    };
    let note = match &node {
        Some(node) => format!(", as if it sent {mode} on {}", node.display()),
        None => String::new(),
    };
    (Signal { state: SignalState::Locked, node, mode: Some(mode), format, protected: false }, note)
}

fn pasted(plan: &Plan) -> String {
    format!("gst-launch-1.0 -e {}", launch::describe(plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn planned(board: &str, settings: &str, mode: Option<&str>) -> Result<String, Refusal> {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, settings).expect("written");
        let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards").join(board);
        let board = Some(board.display().to_string());
        let mode = mode.map(|mode| mode.parse().expect("a mode"));
        plan(&Place { board, settings: Some(file), state: folder.path().join("state") }, mode)
    }

    #[test]
    fn every_board_has_a_plan_without_the_key() {
        let source = "[[source]]\nname = 'Main'\nurl = 'rtmps://ingest.example/app'\nkey = 'live_123'\n";
        let boards = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("boards")).expect("boards");
        let boards = boards.map(|board| board.expect("a board").file_name().into_string().expect("a name"));
        let boards: Vec<String> = boards.filter(|board| board.ends_with(".toml")).collect();
        assert!(boards.len() >= 4, "{boards:?}");
        for board in boards {
            let text = planned(&board, source, Some("640x360p25")).expect("a plan");
            assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("gst-launch-1.0 -e ")), "{board}: {text}");
            assert!(text.contains("width=640,height=360"), "{board}: {text}");
            assert!(!text.contains("live_123") && !text.contains("ingest.example"), "{board}: {text}");
        }
    }

    #[test]
    fn the_settings_choose_input_and_sound() {
        let silent = planned("desktop.toml", "[input]\ndevice = 'test'\naudio = 'none'", None).expect("a plan");
        assert!(silent.contains("videotestsrc") && silent.ends_with("# no sound: silence is sent\n"), "{silent}");
        let card = planned("desktop.toml", "[input]\naudio = 'Capture'", None).expect("a plan");
        assert!(card.contains("device=hw:CARD=Capture"), "{card}");
        assert_eq!(planned("desktop.toml", "nmae = 'x'", None).expect_err("refused").code, WRONG);
    }
}
