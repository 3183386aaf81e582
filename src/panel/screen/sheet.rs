//! A page of lines: what it says, and the lines that it takes on a display. Pages but Live are sheets, on every display.

use super::pen::{Face, Pen, Side, Tone, area};
use embedded_graphics::{prelude::*, primitives::Rectangle};
use std::convert::Infallible;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sheet {
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// Drawn as a QR code beside them, where there is room.
    pub code: Option<String>,
    /// Whether its last lines are what is looked at.
    pub follow: bool,
}

/// A thing that a page says.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A figure and what it is.
    Pair(&'static str, String, Tone),
    /// Words, on as many lines as they need.
    Text(String, Tone),
    /// An entry with a mark before it, and a remark at its right.
    Entry(Mark, String, String),
    /// Room.
    Gap,
}

/// What stands before an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It passed.
    Tick,
    /// It failed.
    Cross,
    /// It is being tried.
    Open,
    /// It is the one in use.
    Full,
    /// It is not.
    None,
}

/// A line as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A label and its value.
    Pair(&'static str, String, Tone),
    /// Words, moved in or not.
    Words(String, Tone, bool),
    /// As the row.
    Entry(Mark, String, String),
    /// Nothing.
    Gap,
}

impl Sheet {
    /// A figure.
    pub fn pair(&mut self, label: &'static str, value: impl Into<String>) {
        self.rows.push(Row::Pair(label, value.into(), Tone::Plain));
    }

    /// Words.
    pub fn text(&mut self, text: impl Into<String>, tone: Tone) {
        self.rows.push(Row::Text(text.into(), tone));
    }

    /// By how many lines it is moved up where `scroll` is what was asked for.
    pub fn scrolled(&self, scroll: usize) -> usize {
        if self.follow && scroll == 0 { usize::MAX } else { scroll }
    }

    /// The lines on a display that is `width` wide, where `measure` says how wide words are and `letters` how they are written.
    pub fn lines(&self, width: i32, measure: &dyn Fn(&str) -> i32, letters: &dyn Fn(&str) -> String) -> Vec<Line> {
        let mut lines = Vec::new();
        let space = measure(" ").max(1);
        for row in &self.rows {
            match row {
                Row::Pair(label, value, tone) => {
                    let value = letters(value);
                    if measure(label) + space + measure(&value) <= width {
                        lines.push(Line::Pair(label, value, *tone));
                    } else {
                        lines.push(Line::Words((*label).to_string(), Tone::Faint, false));
                        let room = width - 2 * space;
                        lines
                            .extend(wrap(&value, room, measure).into_iter().map(|part| Line::Words(part, *tone, true)));
                    }
                }
                Row::Text(text, tone) => {
                    let parts = wrap(&letters(text), width, measure);
                    lines.extend(parts.into_iter().map(|part| Line::Words(part, *tone, false)));
                }
                Row::Entry(mark, text, remark) => lines.push(Line::Entry(*mark, letters(text), letters(remark))),
                Row::Gap => lines.push(Line::Gap),
            }
        }
        lines
    }
}

/// `text` in lines of at most `width`, broken between words where that is possible.
pub fn wrap(text: &str, width: i32, measure: &dyn Fn(&str) -> i32) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map(std::mem::take).unwrap_or_default();
        let joined = if line.is_empty() { word.to_string() } else { format!("{line} {word}") };
        lines.pop();
        if measure(&joined) <= width {
            lines.push(joined);
            continue;
        }
        if !line.is_empty() {
            lines.push(line);
        }
        let mut part = String::new();
        for letter in word.chars() {
            part.push(letter);
            if measure(&part) > width && part.chars().count() > 1 {
                part.pop();
                lines.push(std::mem::replace(&mut part, letter.to_string()));
            }
        }
        lines.push(part);
    }
    lines
}

/// The lines that are seen of `count` when moved up by `scroll` on a display of `rows`: the last page is a full one.
pub fn window(count: usize, rows: usize, scroll: usize) -> std::ops::Range<usize> {
    let first = scroll.min(count.saturating_sub(rows));
    first..count.min(first + rows)
}

/// Draws `sheet`, moved up by `scroll` lines, into `place`.
pub fn draw<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, sheet: &Sheet, scroll: usize, place: Rectangle) {
    let (face, strong, height) = faces(pen.compact());
    let (top, margin) = (place.top_left.y, if pen.compact() { 2 } else { 8 });
    let mut width = pen.width - 2 * margin - 4;
    let code = code(sheet, pen.width, pen.height, pen.compact());
    if let Some(code) = &code {
        draw_code(pen, code);
        width -= code.side + margin + 4;
    }
    // The bold letters are the wider ones, so what fits in them fits in both.
    let lines = sheet.lines(width, &|text| strong.width(text), &|text| face.letters(text));
    let rows = (place.size.height as i32 / height).max(1) as usize;
    let seen = window(lines.len(), rows, sheet.scrolled(scroll));
    if lines.len() > rows && code.is_none() {
        let track = place.size.height as i32 - 4;
        let long = (track * rows as i32 / lines.len() as i32).max(4);
        let at = (track - long) * seen.start as i32 / (lines.len() - rows) as i32;
        let colour = pen.palette.of(Tone::Faint);
        pen.fill(area(pen.width - 2, top + 2 + at, 2, long), colour);
    }
    for (row, line) in lines[seen].iter().enumerate() {
        let at = area(margin, top + row as i32 * height, width, height);
        match line {
            Line::Pair(label, value, tone) => {
                let colours = (pen.palette.of(Tone::Faint), pen.palette.of(*tone));
                pen.text(face, label, at, Side::Left, colours.0);
                pen.text(strong, value, at, Side::Right, colours.1);
            }
            Line::Words(words, tone, inward) => {
                let inset = if *inward { face.width("  ") } else { 0 };
                let colour = pen.palette.of(*tone);
                let face = if *inward || *tone == Tone::Plain || *tone == Tone::Faint { face } else { strong };
                pen.text(face, words, area(margin + inset, at.top_left.y, width - inset, height), Side::Left, colour);
            }
            Line::Entry(mark, text, remark) => entry(pen, *mark, (text, remark), at),
            Line::Gap => {}
        }
    }
}

/// Regular and bold letters, and the height of a line.
pub fn faces(compact: bool) -> (&'static Face, &'static Face, i32) {
    use super::pen::{B08, B12, R08, R12};
    if compact { (R08, B08, 12) } else { (R12, B12, 21) }
}

fn entry<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, mark: Mark, words: (&str, &str), place: Rectangle) {
    let (face, strong, height) = faces(pen.compact());
    let size = face.capital + 1;
    let at = place.top_left + Point::new(0, (height - size) / 2);
    let colour = |tone| pen.palette.of(tone);
    let (good, bad, busy, plain, faint) =
        (colour(Tone::Good), colour(Tone::Bad), colour(Tone::Busy), colour(Tone::Plain), colour(Tone::Faint));
    match mark {
        Mark::Tick => pen.tick(at, size, good),
        Mark::Cross => pen.cross(at, size, bad),
        Mark::Open => pen.dot(at, size, false, busy),
        Mark::Full => pen.dot(at, size, true, good),
        Mark::None => {}
    }
    let (x, width) = (place.top_left.x + size + 4, place.size.width as i32 - size - 4);
    let remark = face.fit(words.1, width / 2);
    let used = face.width(&remark);
    let gap = if used > 0 { 4 } else { 0 };
    pen.text(strong, words.0, area(x, place.top_left.y, width - used - gap, height), Side::Left, plain);
    pen.text(face, &remark, area(x, place.top_left.y, width, height), Side::Right, faint);
}

/// A QR code as it is drawn.
pub struct Code {
    modules: qrcodegen::QrCode,
    /// Around it, modules: ISO/IEC 18004 wants four, readers are content with two.
    quiet: i32,
    /// Width and height of a module, pixels.
    dot: i32,
    /// Width and height of all of it, pixels.
    pub side: i32,
}

/// The code of `sheet` for a display of `width` and `height`; none where its dots would be too small to be read. On a compact
/// display it needs all of the height.
pub fn code(sheet: &Sheet, width: i32, height: i32, compact: bool) -> Option<Code> {
    let modules = qrcodegen::QrCode::encode_text(sheet.code.as_deref()?, qrcodegen::QrCodeEcc::Low).ok()?;
    let room = if compact { height.min(width * 3 / 5) } else { (height - 40).min(width / 2) };
    // Around a lit code a compact display is dark, so one module is better than no code.
    let fits = |quiet: &i32| room / (modules.size() + 2 * quiet) >= 2;
    let quiet = [2, 1].into_iter().find(fits)?;
    let dot = (room / (modules.size() + 2 * quiet)).min(5);
    let side = (modules.size() + 2 * quiet) * dot;
    Some(Code { modules, quiet, dot, side })
}

/// Draws `code` at the right, dark on light as readers want it.
fn draw_code<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, code: &Code) {
    let Code { modules, quiet, dot, side } = code;
    let (light, dark) = (pen.palette.of(Tone::Plain), pen.palette.ground());
    let corner = if pen.compact() {
        Point::new(pen.width - side, (pen.height - side) / 2)
    } else {
        Point::new(pen.width - side - 10, 32)
    };
    pen.fill(area(corner.x, corner.y, *side, *side), light);
    for y in 0..modules.size() {
        for x in 0..modules.size() {
            if modules.get_module(x, y) {
                pen.fill(area(corner.x + (x + quiet) * dot, corner.y + (y + quiet) * dot, *dot, *dot), dark);
            }
        }
    }
}
