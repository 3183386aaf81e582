//! What is sensible: bounds, and values that have to fit each other and the board.

use super::{BackupReturn, OnSignalLoss, OutputMode, Settings, Source, WebServer, document::Flaw, login, mqtt};
use crate::{
    board::Board,
    units::{BitRate, Mode, Span},
    uplink::IngestUrl,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

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
    let picture = settings.slate.picture.as_deref().and_then(|path| path.extension());
    let known = |end: &std::ffi::OsStr| ["png", "jpg", "jpeg"].iter().any(|known| end.eq_ignore_ascii_case(known));
    if settings.slate.picture.is_some() && !picture.is_some_and(known) {
        flaws.push(Flaw::new("slate.picture", "expected a .png, .jpg or .jpeg file"));
    }
    let listen = settings.http.listen;
    let broadcast = listen.ip() == IpAddr::V4(Ipv4Addr::BROADCAST);
    if listen.ip().is_multicast() || broadcast {
        flaws.push(Flaw::new("http.listen", "expected an address that the box has, such as \"0.0.0.0:8443\" for all"));
    } else if listen.port() == 0 && !listen.ip().is_loopback() {
        flaws.push(Flaw::new("http.listen", "beyond loopback a port is needed, such as 8443: people type it"));
    }
    mqtt::check(&settings.mqtt, &mut flaws);
    studio(settings, &mut flaws);
    if settings.clock.http.len() > 8 {
        flaws.push(Flaw::new("clock.http", "at most 8 web servers"));
    }
    for (index, server) in settings.clock.http.iter().enumerate() {
        if let Err(expected) = server.parse::<WebServer>() {
            flaws.push(Flaw::new(format!("clock.http[{index}]"), expected));
        }
    }
    for (key, hold) in
        [("panel.hold-to-start", settings.panel.hold_to_start), ("panel.hold-to-stop", settings.panel.hold_to_stop)]
    {
        within(key, hold, Span::from_millis(200)..=Span::from_millis(10_000), &mut flaws);
    }
    within("panel.brightness", settings.panel.brightness, 1..=100, &mut flaws);
    flaws
}

pub(super) fn within<T: PartialOrd + std::fmt::Display>(
    at: &str,
    value: T,
    range: RangeInclusive<T>,
    flaws: &mut Vec<Flaw>,
) {
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
        (None, None) if source.studio.is_some() => studio_source(source, at, flaws),
        _ if source.studio.is_some() => flaws.push(Flaw {
            at: vec![at("studio"), at("url"), at("service")],
            text: "one of url, service and studio, not several".into(),
        }),
        (Some(_), Some(_)) => {
            flaws.push(Flaw { at: vec![at("service"), at("url")], text: "either url or service, not both".into() })
        }
        (None, None) => flaws.push(Flaw {
            at: vec![at("url"), at("service")],
            text: "where to push is missing: give url = \"rtmps://...\", service = \"...\" or studio = { source-id = \"...\" }"
                .into(),
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

    let srt = source.url.as_deref().is_some_and(|url| url.trim_start().to_ascii_lowercase().starts_with("srt:"));
    match (&source.studio, srt) {
        // Said above: the Studio tells the key.
        (Some(_), _) => {}
        (None, true) => login::srt(source, at, flaws),
        (None, false) => login::rtmp(source, at, flaws),
    }
}

/// The Studio tells URL and key.
fn studio_source(source: &Source, at: impl Fn(&str) -> String, flaws: &mut Vec<Flaw>) {
    let Some(studio) = &source.studio else { return };
    let id = &studio.source_id;
    if id.is_empty() || id.len() > 19 || !id.chars().all(|c| c.is_ascii_digit()) {
        flaws.push(Flaw::new(
            at("studio.source-id"),
            "expected the Source's id, up to 19 digits: fieldcast studio sources",
        ));
    }
    if let Some(account) = &studio.account {
        line_of_text(&at("studio.account"), account, 64, flaws);
    }
    if source.key.is_some() || source.key_file.is_some() || source.credential.is_some() {
        flaws.push(Flaw::new(at("studio"), "the Studio tells the stream key: leave out key, key-file and credential"));
    }
}

/// `[studio]`
fn studio(settings: &Settings, flaws: &mut Vec<Flaw>) {
    let studio = &settings.studio;
    for (key, text) in [("studio.client-id", &studio.client_id), ("studio.account", &studio.account)] {
        text.iter().for_each(|text| line_of_text(key, text, 128, flaws));
    }
    if let Some(url) = &studio.base_url
        && let Err(wrong) = crate::studio::types::check_base_url(url)
    {
        flaws.push(Flaw::new("studio.base-url", wrong));
    }
}

fn push(settings: &Settings, flaws: &mut Vec<Flaw>) {
    let wanted = &settings.push.sources;
    for (index, name) in wanted.iter().enumerate() {
        if wanted[..index].contains(name) {
            flaws.push(Flaw::new("push.sources", format!("{name:?} is named twice")));
        }
        source_called(settings, "push.sources", name, flaws);
    }
    if let Some(backup) = &settings.push.backup {
        let primary = wanted.first().or(settings.sources.first().map(|source| &source.name));
        if wanted.contains(backup) || primary == Some(backup) {
            let text = format!("{backup:?} is pushed to anyway: the backup has to be another Source");
            flaws.push(Flaw { at: vec!["push.backup".into(), "push.sources".into()], text });
        }
        source_called(settings, "push.backup", backup, flaws);
    }
    if let BackupReturn::After(span) = settings.push.backup_return
        && !(Span::from_millis(1000)..=Span::from_millis(3_600_000)).contains(&span)
    {
        flaws.push(Flaw::new("push.backup-return", format!("expected \"after 1 s\" to \"after 60 min\", got {span}")));
    }
    if let OnSignalLoss::StopAfter(span) = settings.push.on_signal_loss
        && !(Span::from_millis(1000)..=Span::from_millis(3_600_000)).contains(&span)
    {
        let text = format!("expected \"stop after 1 s\" to \"stop after 60 min\", got {span}");
        flaws.push(Flaw::new("push.on-signal-loss", text));
    }
}

/// Refuses the name of a Source that is not there.
fn source_called(settings: &Settings, at: &str, name: &str, flaws: &mut Vec<Flaw>) {
    if settings.sources.iter().any(|source| source.name == name) {
        return;
    }
    let names: Vec<_> = settings.sources.iter().map(|source| format!("{:?}", source.name)).collect();
    let known = if names.is_empty() { "there are none".into() } else { format!("there are {}", names.join(", ")) };
    let text = format!("no [[source]] is called {name:?}; {known}");
    let mut at = vec![at.to_string()];
    at.extend((0..settings.sources.len()).map(|index| format!("source[{index}].name")));
    flaws.push(Flaw { at, text });
}
