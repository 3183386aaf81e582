//! What a Source needs besides its address: a stream key with RTMP, other things with SRT.

use super::{Source, check::within, document::Flaw, secret};
use crate::units::Span;

/// Most bytes of a stream id (SRT API, `SRTO_STREAMID`).
const STREAM_ID_LIMIT: usize = 512;

/// Names what is wrong for a Source that is pushed to with RTMP; `at` gives the place of a field.
pub(super) fn rtmp(source: &Source, at: impl Fn(&str) -> String, flaws: &mut Vec<Flaw>) {
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
    for (field, given) in [
        ("stream-id", source.stream_id.is_some()),
        ("passphrase", source.passphrase.is_some()),
        ("passphrase-file", source.passphrase_file.is_some()),
        ("encryption", source.encryption.is_some()),
        ("latency", source.latency.is_some()),
    ] {
        if given {
            flaws.push(Flaw { at: vec![at(field), at("url")], text: "only for Sources whose url is srt://".into() });
        }
    }
}

/// The same with SRT.
pub(super) fn srt(source: &Source, at: impl Fn(&str) -> String, flaws: &mut Vec<Flaw>) {
    for (field, given) in [
        ("key", source.key.is_some()),
        ("key-file", source.key_file.is_some()),
        ("credential", source.credential.is_some()),
    ] {
        if given {
            let text = "SRT has no stream key: give what the receiver wants as stream-id and passphrase";
            flaws.push(Flaw { at: vec![at(field), at("url")], text: text.into() });
        }
    }
    if let Some(id) = source.stream_id.as_ref().map(|id| id.reveal()) {
        let wrong = match id {
            "" => Some("is empty: leave it out"),
            id if id.len() > STREAM_ID_LIMIT => Some("is longer than 512 bytes"),
            id if id.chars().any(char::is_control) => Some("has a line break or another control character inside"),
            _ => None,
        };
        flaws.extend(wrong.map(|text| Flaw::new(at("stream-id"), text)));
    }
    match (&source.passphrase, &source.passphrase_file) {
        (Some(_), Some(_)) => flaws.push(Flaw {
            at: vec![at("passphrase"), at("passphrase-file")],
            text: "the passphrase is given twice: give one of passphrase and passphrase-file".into(),
        }),
        (Some(passphrase), None) => {
            flaws.extend(secret::wrong_passphrase(passphrase.reveal()).map(|text| Flaw::new(at("passphrase"), text)));
        }
        (None, Some(path)) if !path.is_absolute() => {
            let text = "expected a whole path, such as \"/etc/fieldcast/main.passphrase\"";
            flaws.push(Flaw::new(at("passphrase-file"), text));
        }
        (None, None) if source.encryption.is_some() => flaws.push(Flaw {
            at: vec![at("encryption"), at("passphrase")],
            text: "encryption needs a passphrase or passphrase-file".into(),
        }),
        _ => {}
    }
    if let Some(latency) = source.latency {
        within(&at("latency"), latency, Span::from_millis(20)..=Span::from_millis(8000), flaws);
    }
}
