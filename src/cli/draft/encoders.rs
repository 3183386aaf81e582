//! The encoders of a draft. How an element wants to be treated is known from the board files that have it already: their own
//! words are taken, with the comments that explain them.

use super::Found;
use crate::{
    board::{Converter, Encoder, find::Machine},
    settings::Codec,
};
use serde::Deserialize;

/// An encoder or converter as a board file describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The board.
    pub board: String,
    /// Makers in the `compatible` names of the board's machines.
    pub makers: Vec<String>,
    /// The table in the file, with the comments before and in it.
    pub text: String,
    /// What it means.
    pub part: Part,
}

/// What a table describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// `[[encoder]]`.
    Encoder(Box<Encoder>),
    /// `[converter]`.
    Converter(Converter),
}

impl Known {
    /// The GStreamer element that it is about.
    pub fn element(&self) -> &str {
        match &self.part {
            Part::Encoder(encoder) => &encoder.element,
            Part::Converter(converter) => &converter.element,
        }
    }

    fn encoder(&self) -> Option<&Encoder> {
        match &self.part {
            Part::Encoder(encoder) => Some(encoder),
            Part::Converter(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    encoder: Vec<Encoder>,
    converter: Option<Converter>,
}

/// The encoders and the converter that board `name` describes in `text`, in its order: tables stand between empty lines.
pub fn known(name: &str, text: &str) -> Vec<Known> {
    let makers = crate::board::parse::board(name, text).map(|board| {
        let names = board.matches.compatible.into_iter();
        names.filter_map(|name| Some(name.split_once(',')?.0.to_owned())).collect::<Vec<_>>()
    });
    let makers = makers.unwrap_or_default();
    let part = |table: &str| {
        let Table { mut encoder, converter } = toml::from_str(table).ok()?;
        encoder.pop().map(|encoder| Part::Encoder(Box::new(encoder))).or(converter.map(Part::Converter))
    };
    let tables = text
        .split("\n\n")
        .filter(|table| table.lines().any(|line| matches!(line.trim(), "[[encoder]]" | "[converter]")));
    let known = |table: &str| {
        let (board, makers, text) = (name.to_owned(), makers.clone(), format!("{}\n", table.trim()));
        Some(Known { board, makers, text, part: part(table)? })
    };
    tables.filter_map(known).collect()
}

/// The software encoders that every draft falls back to.
pub const DESKTOP: &str = include_str!("../../../boards/desktop.toml");

/// Writes what exists, hardware first, H.264 before HEVC; whether a hardware encoder for H.264 is among it.
pub(super) fn write(found: &Found<'_>, text: &mut String) -> bool {
    let exists = |known: &&Known| found.elements.contains(known.element());
    let mut there: Vec<&Known> = found.known.iter().filter(exists).collect();
    // Of two boards that treat one element differently, that of the same maker is nearer.
    there.sort_by_key(|known| {
        let encoder = known.encoder();
        let rank = encoder.map(|encoder| (encoder.codec != Codec::H264, !encoder.hardware));
        (rank, !is_related(known, found.machine))
    });
    let encoders: Vec<&Known> = there.iter().copied().filter(|known| known.encoder().is_some()).collect();
    let is_h264 = |known: &&Known| known.encoder().is_some_and(|encoder| encoder.codec == Codec::H264);
    let fallback = self::known("desktop", DESKTOP);
    if !encoders.iter().any(&is_h264) {
        *text += "\n# check: none of the known H.264 encoders exists here: `gst-inspect-1.0 | grep 264` lists what does. This one\n";
        *text += "# comes with GStreamer's \"ugly\" plugins.\n";
        *text += &fallback.iter().find(is_h264).map(|known| known.text.clone()).unwrap_or_default();
    }
    let mut written: Vec<&Known> = Vec::new();
    for known in encoders {
        let same = |other: &&Known| other.element() == known.element();
        if written.iter().any(|other| other.part == known.part) {
            continue;
        }
        if let Some(first) = written.iter().find(|other| same(other)) {
            *text +=
                &format!("\n# check: {} treats {} otherwise than {}:\n", known.board, known.element(), first.board);
            *text += &commented(&known.text);
        } else {
            *text += &format!(
                "\n# check: as on {}; `gst-inspect-1.0 {}` tells what it takes here.\n",
                known.board,
                known.element()
            );
            *text += &known.text;
        }
        written.push(known);
    }
    for known in there.into_iter().filter(|known| known.encoder().is_none()) {
        if written.iter().any(|other| other.part == known.part) {
            continue;
        }
        written.push(known);
        *text += &format!("\n# check: the scaler of {}, which may be none for this board:\n", known.board);
        *text += &commented(&known.text);
    }
    written.iter().any(|known| known.encoder().is_some_and(|encoder| encoder.hardware && encoder.codec == Codec::H264))
}

fn commented(table: &str) -> String {
    table.lines().map(|line| format!("{}\n", format!("# {line}").trim_end())).collect()
}

fn is_related(known: &Known, machine: &Machine) -> bool {
    machine
        .compatible
        .iter()
        .any(|name| name.split_once(',').is_some_and(|(maker, _)| known.makers.iter().any(|own| own == maker)))
}
