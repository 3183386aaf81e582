//! What a CFA635 is to show, what it does show, and the commands from the one to the other.

use super::packet::Command;
use crate::{board::KeypadColour, panel::canvas::TEXT};
use std::collections::{BTreeMap, BTreeSet};

/// What the panel is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// Its text; letters that it has not are shown as the nearest ones.
    pub text: [[char; TEXT.0]; TEXT.1],
    /// Brightness of the light, 0 to 100 %.
    pub brightness: u8,
    /// The lamps that are lit: number from 1 at the top, and colour.
    pub lamps: BTreeSet<(u8, KeypadColour)>,
}

impl Default for Face {
    fn default() -> Self {
        Self { text: [[' '; TEXT.0]; TEXT.1], brightness: 100, lamps: BTreeSet::new() }
    }
}

/// What the panel is known to show; nothing of one that was just opened.
#[derive(Debug, Default)]
pub(super) struct Shown {
    text: [[Option<u8>; TEXT.0]; TEXT.1],
    brightness: Option<u8>,
    outputs: BTreeMap<u8, u8>,
    cursor: Option<u8>,
    reports: Option<u8>,
}

/// All six keys.
const EVERY_KEY: u8 = 0x3f;

impl Shown {
    /// The next command that brings the panel nearer to `face`; none: it shows it.
    pub(super) fn next(&self, face: &Face) -> Option<Command> {
        if self.reports != Some(EVERY_KEY) {
            return Some(Command::Report(EVERY_KEY));
        }
        // The state that the panel stores for its start may have one.
        if self.cursor != Some(0) {
            return Some(Command::Cursor(0));
        }
        for (row, (wanted, shown)) in face.text.iter().zip(&self.text).enumerate() {
            let codes = wanted.map(code);
            let differs = |column: &usize| shown[*column] != Some(codes[*column]);
            if let (Some(first), Some(last)) = ((0..TEXT.0).find(differs), (0..TEXT.0).rev().find(differs)) {
                return Some(Command::Text {
                    column: first as u8,
                    row: row as u8,
                    codes: codes[first..=last].to_vec(),
                });
            }
        }
        for number in 1..=4 {
            for colour in [KeypadColour::Red, KeypadColour::Green] {
                let (pin, percent) =
                    (pin(number, colour), if face.lamps.contains(&(number, colour)) { 100 } else { 0 });
                if self.outputs.get(&pin) != Some(&percent) {
                    return Some(Command::Output { pin, percent });
                }
            }
        }
        let brightness = face.brightness.min(100);
        (self.brightness != Some(brightness)).then_some(Command::Brightness(brightness))
    }

    /// The panel did this.
    pub(super) fn done(&mut self, command: &Command) {
        match command {
            Command::Ping | Command::Keys => {}
            Command::Cursor(style) => self.cursor = Some(*style),
            Command::Report(mask) => self.reports = Some(*mask),
            Command::Brightness(percent) => self.brightness = Some(*percent),
            Command::Output { pin, percent } => {
                self.outputs.insert(*pin, *percent);
            }
            Command::Text { column, row, codes } => {
                let cells = self.text[usize::from(*row)][usize::from(*column)..].iter_mut();
                cells.zip(codes).for_each(|(cell, code)| *cell = Some(*code));
            }
        }
    }
}

/// The pin of a lamp (CFA635 data sheet, command 34): from the top 11, 9, 7, 5 green and 12, 10, 8, 6 red.
fn pin(number: u8, colour: KeypadColour) -> u8 {
    match colour {
        KeypadColour::Green => 13 - 2 * number,
        KeypadColour::Red => 14 - 2 * number,
    }
}

/// A letter in the panel's set. Where that differs from ASCII, and that it does, is lcdproc's CFontz-charmap.h.
fn code(letter: char) -> u8 {
    match letter {
        '$' => 0xa2,
        '@' => 0xa0,
        '[' => 0xfa,
        '\\' => 0xfb,
        ']' => 0xfc,
        '^' => 0x1d,
        '_' => 0xc4,
        '`' | '\u{2018}' | '\u{2019}' => b'\'',
        '{' => 0xfd,
        '|' => 0xfe,
        '}' => 0xff,
        '~' => 0xce,
        ' '..='~' => letter as u8,
        '\u{a0}' => b' ',
        '\u{c0}'..='\u{c5}' => b'A',
        '\u{c7}' => b'C',
        '\u{c8}'..='\u{cb}' => b'E',
        '\u{cc}'..='\u{cf}' => b'I',
        '\u{d0}' => b'D',
        '\u{d1}' => b'N',
        '\u{d2}'..='\u{d6}' | '\u{d8}' | '\u{152}' => b'O',
        '\u{d7}' => b'x',
        '\u{d9}'..='\u{dc}' => b'U',
        '\u{dd}' | '\u{178}' => b'Y',
        '\u{df}' => b's',
        '\u{e0}'..='\u{e6}' => b'a',
        '\u{e7}' => b'c',
        '\u{e8}'..='\u{eb}' => b'e',
        '\u{ec}'..='\u{ef}' => b'i',
        '\u{f0}' => b'd',
        '\u{f1}' => b'n',
        '\u{f2}'..='\u{f6}' | '\u{f8}' | '\u{153}' => b'o',
        '\u{f9}'..='\u{fc}' => b'u',
        '\u{fd}' | '\u{ff}' => b'y',
        '\u{160}' => b'S',
        '\u{161}' => b's',
        '\u{17d}' => b'Z',
        '\u{17e}' => b'z',
        '\u{2010}'..='\u{2015}' => b'-',
        '\u{201c}' | '\u{201d}' => b'"',
        '\u{2026}' => b'.',
        _ => b'?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn face(rows: [&str; 4]) -> Face {
        let row = |text: &str| std::array::from_fn(|column| text.chars().nth(column).unwrap_or(' '));
        Face { text: rows.map(row), ..Face::default() }
    }

    /// Everything that leads to `face`, done.
    fn paint(shown: &mut Shown, face: &Face) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some(command) = shown.next(face) {
            shown.done(&command);
            commands.push(command);
            assert!(commands.len() < 20, "it does not end: {commands:?}");
        }
        commands
    }

    #[test]
    fn only_what_changed_is_sent() {
        let mut shown = Shown::default();
        let ready = face(["READY", "1280x720p30", "4 Mbit/s", ""]);
        // Keys, cursor, four rows, eight lamps, light.
        assert_eq!(paint(&mut shown, &ready).len(), 15);
        assert_eq!(paint(&mut shown, &ready), []);
        let mut next = face(["READY", "1280x720p30", "3 Mbit/s", ""]);
        next.lamps.insert((1, KeypadColour::Red));
        assert_eq!(
            paint(&mut shown, &next),
            [Command::Text { column: 0, row: 2, codes: b"3".to_vec() }, Command::Output { pin: 12, percent: 100 },]
        );
    }

    #[test]
    fn lamps_are_where_they_are_counted() {
        let pins = |colour| [1, 2, 3, 4].map(|number| pin(number, colour));
        assert_eq!(pins(KeypadColour::Green), [11, 9, 7, 5]);
        assert_eq!(pins(KeypadColour::Red), [12, 10, 8, 6]);
    }

    #[test]
    fn letters_are_those_of_the_panel() {
        assert_eq!("Aé~_[ü\u{2026}\u{4e2d}".chars().map(code).collect::<Vec<_>>(), b"Ae\xce\xc4\xfau.?");
    }

    proptest! {
        #[test]
        fn any_text_leads_to_itself(rows in prop::collection::vec("\\PC{0,25}", 4), other in prop::collection::vec("\\PC{0,25}", 4), brightness in any::<u8>()) {
            let mut shown = Shown::default();
            for rows in [rows, other] {
                let wanted = Face { brightness, ..face([&rows[0], &rows[1], &rows[2], &rows[3]]) };
                for command in paint(&mut shown, &wanted) {
                    prop_assert!(command.packet().len() <= 26);
                }
                prop_assert_eq!(shown.text, wanted.text.map(|row| row.map(|letter| Some(code(letter)))));
            }
        }
    }
}
