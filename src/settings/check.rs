//! What is sensible: bounds, and values that have to fit each other and the board.

use super::{OutputMode, Settings, Source, document::Flaw, secret};
use crate::{
    board::Board,
    units::{BitRate, Mode, Span},
    uplink::IngestUrl,
};
use std::ops::RangeInclusive;

/// Names every value that is out of bounds or does not fit the others.
pub(super) fn cross(settings: &Settings, board: Option<&Board>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    identity(settings, &mut flaws);
    input(settings, board, &mut flaws);
    output(settings, board, &mut flaws);
    for (index, source) in settings.sources.iter().enumerate() {
        check_source(settings, index, source, &mut flaws);
    }
    if settings.sources.len() > 16 {
        flaws.push(Flaw::new("source", "at most 16 Sources"));
    }
    push(settings, &mut flaws);
    if !settings.http.listen.ip().is_loopback() {
        let text = "this version only listens on loopback, such as \"127.0.0.1:8080\": an address that others reach needs \
                    pairing and TLS, which it does not have yet";
        flaws.push(Flaw::new("http.listen", text));
    }
    for (key, hold) in
        [("panel.hold-to-start", settings.panel.hold_to_start), ("panel.hold-to-stop", settings.panel.hold_to_stop)]
    {
        within(key, hold, Span::from_millis(200)..=Span::from_millis(10_000), &mut flaws);
    }
    flaws
}

fn within<T: PartialOrd + std::fmt::Display>(at: &str, value: T, range: RangeInclusive<T>, flaws: &mut Vec<Flaw>) {
    if !range.contains(&value) {
        flaws.push(Flaw::new(at, format!("expected {} to {}, got {value}", range.start(), range.end())));
    }
}

/// Refuses what cannot be shown on one line of a display.
fn line_of_text(at: &str, text: &str, longest: usize, flaws: &mut Vec<Flaw>) {
    if text.trim().is_empty() {
        flaws.push(Flaw::new(at, "is empty"));
    } else if text.chars().count() > longest {
        flaws.push(Flaw::new(at, format!("is longer than {longest} characters")));
    } else if text.chars().any(char::is_control) {
        flaws.push(Flaw::new(at, "has a line break or another control character inside"));
    }
}

fn identity(settings: &Settings, flaws: &mut Vec<Flaw>) {
    if let Some(id) = &settings.id {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.is_empty() || id.len() > 32 || !id.chars().all(word) {
            flaws.push(Flaw::new("id", "expected 1 to 32 small letters, digits or dashes, such as \"ob-van-3\""));
        }
    }
    line_of_text("name", &settings.name, 64, flaws);
    if settings.tags.len() > 16 {
        flaws.push(Flaw::new("tags", "at most 16 tags"));
    }
    settings.tags.iter().for_each(|tag| line_of_text("tags", tag, 32, flaws));
}

fn input(settings: &Settings, board: Option<&Board>, flaws: &mut Vec<Flaw>) {
    let input = &settings.input;
    line_of_text("input.device", &input.device, 64, flaws);
    line_of_text("input.audio", &input.audio, 64, flaws);
    if let Some(board) = board
        && input.device != "auto"
        && !board.inputs.iter().any(|known| known.name == input.device)
    {
        let names: Vec<_> = board.inputs.iter().map(|input| format!("{:?}", input.name)).collect();
        let text = format!("board {:?} has no such input; expected \"auto\", {}", board.name, names.join(", "));
        flaws.push(Flaw::new("input.device", text));
    }
}

fn output(settings: &Settings, board: Option<&Board>, flaws: &mut Vec<Flaw>) {
    let output = &settings.output;
    let video = BitRate::new(100_000)..=BitRate::new(100_000_000);
    within("output.bitrate-max", output.bitrate_max, video.clone(), flaws);
    within("output.bitrate-min", output.bitrate_min, video, flaws);
    within("output.audio-bitrate", output.audio_bitrate, BitRate::new(32_000)..=BitRate::new(320_000), flaws);
    let interval = Span::from_millis(500)..=Span::from_millis(10_000);
    within("output.keyframe-interval", output.keyframe_interval, interval, flaws);
    if output.bitrate_min > output.bitrate_max {
        flaws.push(Flaw {
            at: vec!["output.bitrate-min".into(), "output.bitrate-max".into()],
            text: format!("{} is more than bitrate-max, {}", output.bitrate_min, output.bitrate_max),
        });
    }
    let Some(board) = board else { return };
    let load = |mode: Mode| f64::from(mode.width) * f64::from(mode.height) * mode.rate.hz();
    if let OutputMode::Fixed(mode) = output.mode
        && load(mode) > load(board.limits.mode) * 1.001
    {
        let text = format!("{mode} is more than board {:?} can do, {}", board.name, board.limits.mode);
        flaws.push(Flaw::new("output.mode", text));
    }
    if output.bitrate_max > board.limits.bitrate {
        let text = format!("is more than board {:?} can do, {}", board.name, board.limits.bitrate);
        flaws.push(Flaw::new("output.bitrate-max", text));
    }
    if !board.encoders.iter().any(|encoder| encoder.codec == output.codec) {
        flaws.push(Flaw::new("output.codec", format!("board {:?} has no {} encoder", board.name, output.codec)));
    }
}

fn check_source(settings: &Settings, index: usize, source: &Source, flaws: &mut Vec<Flaw>) {
    let at = |field: &str| format!("source[{index}].{field}");
    if source.name.is_empty() {
        flaws.push(Flaw::new(at("name"), "a Source needs a name, such as name = \"Main\""));
    } else {
        line_of_text(&at("name"), &source.name, 64, flaws);
    }
    if settings.sources[..index].iter().any(|other| other.name == source.name && !other.name.is_empty()) {
        flaws.push(Flaw::new(at("name"), format!("another Source is called {:?} already", source.name)));
    }

    match (&source.url, &source.service) {
        (Some(_), Some(_)) => {
            flaws.push(Flaw { at: vec![at("service"), at("url")], text: "either url or service, not both".into() })
        }
        (None, None) => flaws.push(Flaw {
            at: vec![at("url"), at("service")],
            text: "where to push is missing: give url = \"rtmps://...\" or service = \"...\"".into(),
        }),
        (Some(url), None) => {
            let wrong = url.parse::<IngestUrl>().err();
            flaws.extend(wrong.map(|error| Flaw::new(at("url"), error.to_string())));
        }
        (None, Some(service)) => line_of_text(&at("service"), service, 32, flaws),
    }
    if let Some(region) = &source.region {
        line_of_text(&at("region"), region, 64, flaws);
    }

    let ways = [source.key.is_some(), source.key_file.is_some(), source.credential.is_some()];
    if ways.iter().filter(|given| **given).count() != 1 {
        let text =
            if ways.contains(&true) { "the stream key is given more than once" } else { "the stream key is missing" };
        flaws.push(Flaw {
            at: vec![at("key"), at("key-file"), at("credential")],
            text: format!("{text}: give one of key, key-file and credential"),
        });
    }
    if let Some(key) = &source.key {
        flaws.extend(secret::wrong_key(key.reveal()).map(|text| Flaw::new(at("key"), text)));
    }
    if source.key_file.as_ref().is_some_and(|path| !path.is_absolute()) {
        flaws.push(Flaw::new(at("key-file"), "expected a whole path, such as \"/etc/fieldcast/main.key\""));
    }
    if let Some(name) = &source.credential {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.chars().all(word) {
            flaws
                .push(Flaw::new(at("credential"), "expected the name of a LoadCredential= line, such as \"main-key\""));
        }
    }
}

fn push(settings: &Settings, flaws: &mut Vec<Flaw>) {
    let wanted = &settings.push.sources;
    for (index, name) in wanted.iter().enumerate() {
        if wanted[..index].contains(name) {
            flaws.push(Flaw::new("push.sources", format!("{name:?} is named twice")));
        }
        if !settings.sources.iter().any(|source| source.name == *name) {
            let names: Vec<_> = settings.sources.iter().map(|source| format!("{:?}", source.name)).collect();
            let known =
                if names.is_empty() { "there are none".into() } else { format!("there are {}", names.join(", ")) };
            let text = format!("no [[source]] is called {name:?}; {known}");
            let mut at = vec!["push.sources".to_string()];
            at.extend((0..settings.sources.len()).map(|index| format!("source[{index}].name")));
            flaws.push(Flaw { at, text });
        }
    }
}
