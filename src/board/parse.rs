//! From a board file's text to a checked [`Board`]: strict, and each refusal names line, field and what was expected.

use super::{
    Align, Audio, Board, Camera, Converter, DeviceMatch, Encoder, Hdmi, Input, InputKind, KeyframeControl, Limits,
    Link, Match, Pad,
    parse_front::{self, RawButton, RawDisplay, RawLamp},
    problem::{Problem, explain, line_of},
};
use crate::{
    settings::Codec,
    units::{Mode, Span},
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawBoard {
    r#match: Match,
    input: Vec<RawInput>,
    encoder: Vec<Encoder>,
    converter: Option<Converter>,
    display: Option<RawDisplay>,
    #[serde(default)]
    button: Vec<RawButton>,
    #[serde(default)]
    lamp: Vec<RawLamp>,
    limits: Limits,
}

/// One table for all kinds, so that a field of another kind is refused with its line.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawInput {
    name: String,
    kind: RawKind,
    audio: Option<String>,
    automatic: Option<bool>,
    device: Option<DeviceMatch>,
    input: Option<u32>,
    subdevice: Option<String>,
    links: Option<Vec<String>>,
    edid: Option<String>,
    requery: Option<Span>,
    pixel_format: Option<String>,
    max: Option<Mode>,
    formats: Option<Vec<String>>,
    mode: Option<Mode>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum RawKind {
    Test,
    Hdmi,
    Camera,
}

/// A refusal before its line is known: field and text.
pub(super) type Refusal = (String, String);

pub(super) fn refuse<T>(field: impl Into<String>, text: impl Into<String>) -> Result<T, Refusal> {
    Err((field.into(), text.into()))
}

/// Reads the board called `name` from `text`.
///
/// # Errors
/// The first thing that is wrong.
pub fn board(name: &str, text: &str) -> Result<Board, Problem> {
    let raw: RawBoard = toml::from_str(text).map_err(|error| explain(text, &error))?;
    check(name, raw).map_err(|(field, message)| Problem { line: line_of(text, &field), field, text: message })
}

fn check(name: &str, raw: RawBoard) -> Result<Board, Refusal> {
    if raw.r#match == Match::default() {
        return refuse("match", "expected at least one of `compatible`, `dmi` and `architecture`");
    }
    if raw.input.is_empty() {
        return refuse("input", "expected at least one [[input]]");
    }
    let mut inputs: Vec<Input> = Vec::new();
    for (index, raw) in raw.input.into_iter().enumerate() {
        let input = input(&format!("input[{index}]"), raw)?;
        if inputs.iter().any(|other| other.name == input.name) {
            return refuse(format!("input[{index}].name"), format!("another input is called {:?} already", input.name));
        }
        if let Some(other) = inputs.iter().find(|other| device(other).is_some() && device(other) == device(&input)) {
            return refuse(format!("input[{index}].device"), format!("input {:?} has this device already", other.name));
        }
        inputs.push(input);
    }
    for (index, encoder) in raw.encoder.iter().enumerate() {
        check_encoder(&format!("encoder[{index}]"), encoder)?;
    }
    if !raw.encoder.iter().any(|encoder| encoder.codec == Codec::H264) {
        return refuse("encoder", "expected at least one [[encoder]] with codec = \"h264\", which every ingest takes");
    }
    if let Some(converter) = &raw.converter {
        check_element("converter", &converter.element, &converter.properties)?;
    }
    let front = parse_front::check(raw.display, raw.button, raw.lamp)?;
    if raw.limits.mode.interlaced || Align::default().fit(raw.limits.mode) != raw.limits.mode {
        return refuse("limits.mode", format!("expected a progressive mode of even size, got {}", raw.limits.mode));
    }
    Ok(Board {
        name: name.into(),
        matches: raw.r#match,
        inputs,
        encoders: raw.encoder,
        converter: raw.converter,
        display: front.display,
        buttons: front.buttons,
        lamps: front.lamps,
        limits: raw.limits,
    })
}

fn device(input: &Input) -> Option<&DeviceMatch> {
    match &input.kind {
        InputKind::Test => None,
        InputKind::Hdmi(hdmi) => Some(&hdmi.device),
        InputKind::Camera(camera) => Some(&camera.device),
    }
}

fn input(at: &str, raw: RawInput) -> Result<Input, Refusal> {
    if !is_word(&raw.name) || matches!(raw.name.as_str(), "auto" | "none") {
        let text = format!("expected a lower-case word other than \"auto\" and \"none\", got {:?}", raw.name);
        return refuse(format!("{at}.name"), text);
    }
    let given = [
        ("device", raw.device.is_some(), [false, true, true]),
        ("input", raw.input.is_some(), [false, true, false]),
        ("subdevice", raw.subdevice.is_some(), [false, true, false]),
        ("links", raw.links.is_some(), [false, true, false]),
        ("edid", raw.edid.is_some(), [false, true, false]),
        ("requery", raw.requery.is_some(), [false, true, false]),
        ("pixel-format", raw.pixel_format.is_some(), [false, true, false]),
        ("max", raw.max.is_some(), [false, true, false]),
        ("formats", raw.formats.is_some(), [false, false, true]),
        ("mode", raw.mode.is_some(), [false, false, true]),
    ];
    let kind = ["test", "hdmi", "camera"][raw.kind as usize];
    if let Some((field, ..)) = given.iter().find(|(_, given, kinds)| *given && !kinds[raw.kind as usize]) {
        return refuse(format!("{at}.{field}"), format!("an input of kind = \"{kind}\" has no `{field}`"));
    }
    let audio = match raw.audio.as_deref() {
        None if raw.kind == RawKind::Test => Audio::Test,
        None | Some("none") => Audio::None,
        Some("test") => Audio::Test,
        // 15 letters: linux/include/sound/core.h, snd_card.id.
        Some(card) if is_identifier(card) && card.len() <= 15 => Audio::Alsa(card.into()),
        Some(other) => {
            let text = format!("expected \"none\", \"test\" or a card's id of /proc/asound/cards, got {other:?}");
            return refuse(format!("{at}.audio"), text);
        }
    };
    let kind = match raw.kind {
        RawKind::Test => InputKind::Test,
        RawKind::Hdmi => InputKind::Hdmi(Hdmi {
            device: device_match(at, raw.device)?,
            input: raw.input,
            subdevice: raw.subdevice.map(|name| text(&format!("{at}.subdevice"), name)).transpose()?,
            links: links(&format!("{at}.links"), raw.links.unwrap_or_default())?,
            edid: match raw.edid {
                Some(hex) => Some(hex.parse().or_else(|text| refuse(format!("{at}.edid"), text))?),
                None => None,
            },
            requery: requery(&format!("{at}.requery"), raw.requery)?,
            pixel_format: raw.pixel_format.map(|code| fourcc(&format!("{at}.pixel-format"), code)).transpose()?,
            max: raw.max,
        }),
        RawKind::Camera => InputKind::Camera(Camera {
            device: device_match(at, raw.device)?,
            formats: match raw.formats {
                Some(formats) if !formats.is_empty() => {
                    let at = format!("{at}.formats");
                    formats.into_iter().map(|code| fourcc(&at, code)).collect::<Result<_, _>>()?
                }
                _ => return refuse(at, "expected formats = [\"NV12\", ...]: what may be asked of the camera"),
            },
            mode: raw.mode,
        }),
    };
    Ok(Input { name: raw.name, kind, audio, automatic: raw.automatic.unwrap_or(true) })
}

fn device_match(at: &str, device: Option<DeviceMatch>) -> Result<DeviceMatch, Refusal> {
    let Some(device) = device.filter(|device| *device != DeviceMatch::default()) else {
        return refuse(at, "expected device = { driver = \"...\" }, with one or more of `path`, `driver` and `name`");
    };
    if let Some(path) = device.path.as_ref().filter(|path| !path.starts_with("/dev")) {
        return refuse(format!("{at}.device.path"), format!("expected a path under /dev, got {:?}", path));
    }
    for (field, value) in [("driver", &device.driver), ("name", &device.name)] {
        if let Some(value) = value {
            text(&format!("{at}.device.{field}"), value.clone())?;
        }
    }
    Ok(device)
}

fn links(at: &str, links: Vec<String>) -> Result<Vec<Link>, Refusal> {
    let pad = |text: &str| {
        let (entity, index) = text.trim().strip_prefix('"')?.rsplit_once("\":")?;
        (!entity.is_empty()).then_some(Pad { entity: entity.into(), index: index.parse().ok()? })
    };
    let link = |text: &str| {
        let (source, sink) = text.split_once("->")?;
        Some(Link { source: pad(source)?, sink: pad(sink)? })
    };
    let expected = "expected links as media-ctl(1) writes them, '\"csi2\":4 -> \"rp1-cfe-csi2_ch0\":0'";
    links.iter().map(|text| link(text).map_or_else(|| refuse(at, format!("{expected}, got {text:?}")), Ok)).collect()
}

/// An HDMI receiver that tells of changes by events is asked again rarely; asking some drivers fills their log.
fn requery(at: &str, span: Option<Span>) -> Result<Span, Refusal> {
    let span = span.unwrap_or(Span::from_millis(5000));
    if (500..=600_000).contains(&span.duration().as_millis()) {
        return Ok(span);
    }
    refuse(at, format!("expected a time from \"500 ms\" to \"10 min\", got \"{span}\""))
}

fn fourcc(at: &str, code: String) -> Result<String, Refusal> {
    if code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Ok(code);
    }
    refuse(at, format!("expected the four letters of a V4L2 pixel format such as \"UYVY\", got {code:?}"))
}

pub(super) fn text(at: &str, text: String) -> Result<String, Refusal> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return refuse(at, format!("expected a name, got {text:?}"));
    }
    Ok(text)
}

pub(super) fn is_word(text: &str) -> bool {
    is_identifier(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Whether `text` can be the name of a card, a property or a control: letters, digits, `-` and `_`, at most 64.
pub fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn check_encoder(at: &str, encoder: &Encoder) -> Result<(), Refusal> {
    check_element(at, &encoder.element, &encoder.properties)?;
    let names = [
        ("bitrate.name", Some(&encoder.bitrate.name)),
        ("interval.name", Some(&encoder.interval.name)),
        ("interval.also", encoder.interval.also.as_ref()),
    ];
    for (field, name) in names {
        if let Some(name) = name.filter(|name| !is_identifier(name)) {
            return refuse(format!("{at}.{field}"), format!("expected a property or control, got {name:?}"));
        }
    }
    if let KeyframeControl::Signal(name) = &encoder.keyframe
        && !is_identifier(name)
    {
        return refuse(format!("{at}.keyframe.signal"), format!("expected the name of a signal, got {name:?}"));
    }
    if let Some(memory) = &encoder.memory {
        if !memory.feature.strip_prefix("memory:").is_some_and(is_identifier) {
            let text = format!("expected a caps feature such as \"memory:NVMM\", got {:?}", memory.feature);
            return refuse(format!("{at}.memory.feature"), text);
        }
        if !is_word(&memory.upload) {
            let text = format!("expected a GStreamer element, got {:?}", memory.upload);
            return refuse(format!("{at}.memory.upload"), text);
        }
    }
    if let Some(name) = encoder.controls.keys().find(|name| !is_identifier(name)) {
        return refuse(format!("{at}.controls"), format!("expected names of V4L2 controls, got {name:?}"));
    }
    // The profiles that RTMP ingests take; without B-frames, which the plan never asks for.
    let profiles: &[&str] = match encoder.codec {
        Codec::H264 => &["constrained-baseline", "baseline", "main", "high"],
        Codec::Hevc => &["main"],
    };
    if !profiles.contains(&encoder.profile.as_str()) {
        let text = format!("expected one of {} for {}, got {:?}", profiles.join(", "), encoder.codec, encoder.profile);
        return refuse(format!("{at}.profile"), text);
    }
    // H.264 table A-1, HEVC table A.8, as GStreamer writes them in caps.
    const LEVELS: [&str; 17] =
        ["1", "1.1", "1.2", "1.3", "2", "2.1", "2.2", "3", "3.1", "3.2", "4", "4.1", "4.2", "5", "5.1", "5.2", "6"];
    if let Some(level) = encoder.level.as_ref().filter(|level| !LEVELS.contains(&level.as_str())) {
        return refuse(format!("{at}.level"), format!("expected a level from \"1\" to \"6\", got {level:?}"));
    }
    // GStreamer's names of raw formats (video/x-raw, format=...).
    if encoder.format.is_empty()
        || !encoder.format.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    {
        return refuse(format!("{at}.format"), format!("expected a format such as \"NV12\", got {:?}", encoder.format));
    }
    for (field, align) in [("align.width", encoder.align.width), ("align.height", encoder.align.height)] {
        if !align.is_power_of_two() || !(2..=64).contains(&align) {
            return refuse(format!("{at}.{field}"), format!("expected 2, 4, 8, 16, 32 or 64, got {align}"));
        }
    }
    if let Some(rate) = encoder.min_rate.filter(|rate| !(1..=240).contains(rate)) {
        return refuse(format!("{at}.min-rate"), format!("expected 1 to 240 pictures a second, got {rate}"));
    }
    Ok(())
}

fn check_element(at: &str, element: &str, properties: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if !is_word(element) {
        return refuse(format!("{at}.element"), format!("expected a GStreamer element, got {element:?}"));
    }
    match properties.iter().find(|(name, value)| !is_identifier(name) || value.chars().any(char::is_control)) {
        Some((name, value)) => refuse(format!("{at}.properties"), format!("{name:?} = {value:?} is not a property")),
        None => Ok(()),
    }
}

/// The name of the board in `file`: its stem.
pub fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
