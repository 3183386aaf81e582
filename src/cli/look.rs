//! `fieldcastd probe`, `preflight` and `regions`: looking at what is there, without the daemon.

use super::{
    INTERNAL, Place, Refusal, WRONG,
    draft::{self, Found, Known},
    prepare::{block_on, load},
};
use crate::{
    board::{
        Board, Encoder, Problem,
        find::{self, Machine},
        parse,
    },
    capture,
    media::{plan, supervisor},
    panel::{self, buttons},
    settings::{Layers, Source},
    state::{ClockFloor, peek_overrides},
    uplink::{MediaInfo, delivery, trust::Trust},
};
use serde_json::{Value, json};
use std::{fs::File, io::Write as _, path::Path, process::Command, sync::Arc, time::Duration};

/// Parts of GStreamer that every board uses, beside its encoders.
const PARTS: [&str; 16] = [
    "videotestsrc",
    "v4l2src",
    "jpegdec",
    "deinterlace",
    "videoconvert",
    "videoscale",
    "videorate",
    "h264parse",
    "h265parse",
    "audiotestsrc",
    "alsasrc",
    "audioconvert",
    "audioresample",
    "level",
    "voaacenc",
    "aacparse",
];

/// What this machine has: inputs, sound cards, keys, parts of a panel, encoders.
///
/// # Errors
/// None of what is missing: that is in the text.
pub fn probe(as_json: bool) -> Result<String, Refusal> {
    let hardware = capture::hardware(Path::new("/"));
    let parts = panel::probe::parts(Path::new("/"));
    let board = Board::find(Path::new("/"), &find::folders(), None);
    let mut elements: Vec<String> = PARTS.map(String::from).to_vec();
    if let Ok(board) = &board {
        elements.extend(board.encoders.iter().flat_map(Encoder::elements).map(String::from));
        elements.extend(board.converter.iter().map(|converter| converter.element.clone()));
    }
    let media = elements_of(&elements);
    let name = board.as_ref().map(|board| board.name.clone());
    if as_json {
        let document = json!({
            "board": name.as_ref().ok(),
            "hardware": hardware,
            "keys": buttons::devices(),
            "panel": parts,
            "media": media.as_ref().ok(),
        });
        return Ok(format!("{document:#}\n"));
    }
    let mut text = match &name {
        Ok(name) => format!("board     {name}\n"),
        Err(error) => format!("board     {error}\n"),
    };
    text += &format!("\n{hardware}{parts}");
    match media {
        Ok(media) => {
            text += &format!("\nGStreamer {}\n", media["gstreamer"].as_str().unwrap_or("unknown"));
            for (element, found) in media["elements"].as_object().into_iter().flatten() {
                text += &format!("  {element:<16} {}\n", if found == true { "there" } else { "MISSING" });
            }
        }
        Err(error) => text += &format!("\nGStreamer cannot be asked: {error}\n"),
    }
    Ok(text)
}

/// A board file for this machine, for a person to look over: as text, or written to `file`, which must not exist yet.
///
/// # Errors
/// [`WRONG`] when it cannot be written, [`INTERNAL`] when GStreamer cannot be asked.
pub fn write_board(file: Option<&Path>) -> Result<String, Refusal> {
    let internal = |text: String| Refusal { code: INTERNAL, text };
    let known = known_parts();
    let elements: Vec<String> = known.iter().map(|known| known.element().to_owned()).collect();
    let media = elements_of(&elements).map_err(|error| internal(format!("GStreamer cannot be asked: {error}")))?;
    let exists = media["elements"].as_object().into_iter().flatten().filter(|(_, found)| **found == true);
    let found = Found {
        machine: &Machine::read(Path::new("/")),
        hardware: &capture::hardware(Path::new("/")),
        parts: &panel::probe::parts(Path::new("/")),
        keys: &buttons::devices(),
        known: &known,
        elements: &exists.map(|(element, _)| element.clone()).collect(),
    };
    let text = draft::draft(&found);
    parse::board("draft", &text).map_err(|problem| {
        let Problem { line, field, text: why } = problem;
        internal(format!(
            "the draft is no board file (line {line:?}, {field}: {why}), which is a mistake in Fieldcast:\n{text}"
        ))
    })?;
    let Some(file) = file else { return Ok(text) };
    let written = File::create_new(file).and_then(|mut file| file.write_all(text.as_bytes()));
    written
        .map_err(|error| Refusal { code: WRONG, text: format!("{}: cannot be written: {error}", file.display()) })?;
    Ok(format!("{} is written; look at its lines with \"check:\"\n", file.display()))
}

/// Encoders and converters of all boards that are installed, and of the desk's, which is always there.
fn known_parts() -> Vec<Known> {
    let files = find::files(&find::folders());
    let texts = files.iter().filter_map(|file| Some((parse::name_of(file), std::fs::read_to_string(file).ok()?)));
    let mut known: Vec<Known> = texts.flat_map(|(name, text)| draft::known(&name, &text)).collect();
    known.extend(draft::known("desktop", draft::DESKTOP));
    known
}

/// Asks the worker which elements exist: this program loads no GStreamer.
fn elements_of(elements: &[String]) -> Result<Value, String> {
    let worker = supervisor::binary();
    let output = Command::new(&worker).arg("probe").args(elements).output();
    let output = output.map_err(|error| format!("{}: {error}", worker.display()))?;
    serde_json::from_slice(&output.stdout).map_err(|_| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Whether this box could go on air to a Source now.
///
/// # Errors
/// [`WRONG`] for settings and names, [`INTERNAL`] with the table when it could not.
pub fn preflight(place: &Place, name: Option<&str>) -> Result<String, Refusal> {
    let (board, layers) = open(place)?;
    let (source, output) = (source(&layers, name)?, &layers.settings().output);
    let encoder = board.encoders.iter().find(|encoder| encoder.codec == output.codec);
    let media = MediaInfo {
        mode: plan::output_mode(output, board.limits, encoder, None),
        codec: output.codec,
        bitrate: output.bitrate_max,
        audio_bitrate: output.audio_bitrate,
        encoder: encoder.map(|encoder| encoder.element.clone()).unwrap_or_default(),
    };
    let failed = |text: String| Refusal { code: INTERNAL, text };
    let done = block_on(delivery::try_out(source, &media, &trust(place), |_| {}))?
        .map_err(|cause| failed(format!("{}: {}. {}", source.name, cause.text(), cause.advice())))?;
    let document = delivery::preflight_document(&done);
    let mut text = String::new();
    for step in document["steps"].as_array().into_iter().flatten() {
        let word = |key: &str| step[key].as_str().unwrap_or_default();
        let mark = if step["passed"] == true { "ok" } else { "FAILED" };
        text += &format!("{:<12} {mark:<7} {:>5} ms  {}\n", word("step"), step["took-ms"], word("text"));
    }
    if let Some(upload) = done.upload {
        text += &format!("upload       {upload}, the push needs {}\n", done.needed);
    }
    text += &done.suggestion().map(|suggestion| format!("{suggestion}\n")).unwrap_or_default();
    if done.passed() {
        Ok(text + "This box can go on air.\n")
    } else {
        Err(failed(text + "This box cannot go on air."))
    }
}

/// The ingests of a Source's service, nearest first.
///
/// # Errors
/// [`WRONG`] for settings and names, and for a Source with a URL of its own.
pub fn regions(place: &Place, name: Option<&str>) -> Result<String, Refusal> {
    let (_, layers) = open(place)?;
    let source = source(&layers, name)?;
    let table = block_on(delivery::table(source, &trust(place)))?.map_err(|text| Refusal { code: WRONG, text })?;
    let mut text = String::new();
    for row in table {
        let time = match &row.result {
            Ok(time) => format!("{:>6.1} ms", time.as_secs_f64() * 1e3),
            Err(cause) => cause.text(),
        };
        text += &format!("{:<14} {:<28} {time}\n", row.region.name, row.region.place);
    }
    Ok(text)
}

fn open(place: &Place) -> Result<(Board, Layers), Refusal> {
    load(place, peek_overrides(&place.state).unwrap_or_default())
}

fn source<'a>(layers: &'a Layers, name: Option<&str>) -> Result<&'a Source, Refusal> {
    let settings = layers.settings();
    let name = name.or(settings.push.sources.first().map(String::as_str));
    let found = match name {
        Some(name) => settings.sources.iter().find(|source| source.name == name),
        None => settings.sources.first(),
    };
    found.ok_or_else(|| {
        let known: Vec<_> = settings.sources.iter().map(|source| source.name.as_str()).collect();
        let text = match (name, known.is_empty()) {
            (Some(name), false) => format!("no Source is called {name:?}; there are: {}", known.join(", ")),
            _ => "no Source is set up: add a [[source]] with name, url and key to the settings".into(),
        };
        Refusal { code: WRONG, text }
    })
}

/// Certificates are judged as the daemon would: not before the last time that it saved.
fn trust(place: &Place) -> Arc<Trust> {
    let saved = ClockFloor::peek(&place.state)
        .map_or(Duration::ZERO, |time| Duration::from_secs(time.as_second().unsigned_abs()));
    Arc::new(Trust::load(saved))
}
