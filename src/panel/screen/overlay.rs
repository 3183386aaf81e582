//! What lies over a page, and what is shown without one.

use super::{
    live,
    pen::{B08, B10, B12, B14, B18, LARGE, Pen, R08, R10, R12, Side, Tone, area},
    sheet::{faces, window, wrap},
    words,
};
use crate::{
    control::{
        Now,
        menu::{Hold, List, Notice, Pin, Reset},
    },
    status::Status,
    units::Time,
};
use embedded_graphics::{prelude::*, primitives::Rectangle};
use std::convert::Infallible;

/// Half a flash of a box that somebody looks for, ms.
pub const FLASH: u64 = 250;
/// How long each part of a long text of start-up errors is shown, ms.
pub const PART: u64 = 4000;

/// The choices of `list`, below a bar of `top` rows.
pub fn list<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, list: &List, top: i32) {
    let (face, strong, line) = faces(pen.compact());
    let height = if pen.compact() { line + 1 } else { line + 7 };
    let margin = if pen.compact() { 2 } else { 8 };
    let (width, busy) = (pen.width, pen.palette.of(Tone::Busy));
    let mut y = top;
    if !pen.compact() {
        pen.text(B12, &list.title, area(margin, y, width - 2 * margin, height), Side::Left, busy);
        y += height;
    }
    let rows = ((pen.height - y) / height).max(1) as usize;
    let cursor = list.cursor.min(list.entries.len().saturating_sub(1));
    let seen = window(list.entries.len(), rows, cursor.saturating_sub(rows / 2));
    for (row, index) in seen.clone().enumerate() {
        let entry = &list.entries[index];
        let place = area(0, y + row as i32 * height, width - 3, height);
        let mut ink = pen.palette.of(Tone::Plain);
        let mut faint = pen.palette.of(Tone::Faint);
        if index == cursor {
            let (fill, on) = pen.palette.cursor();
            pen.fill(place, fill);
            (ink, faint) = (on, on);
        }
        let at = place.top_left + Point::new(margin, (height - 9) / 2);
        if entry.chosen {
            pen.dot(at, 9, true, ink);
        }
        let remark = match (&entry.remark, entry.hold) {
            (Some(remark), _) => remark.as_str(),
            (None, true) => "hold",
            (None, false) => "",
        };
        let (x, room) = (margin + 12, width - 3 - margin - 12 - margin);
        let remark = face.fit(remark, room / 2);
        let used = face.width(&remark);
        let gap = if used > 0 { 4 } else { 0 };
        pen.text(strong, &entry.text, area(x, place.top_left.y, room - used - gap, height), Side::Left, ink);
        pen.text(face, &remark, area(x, place.top_left.y, room, height), Side::Right, faint);
    }
    if list.entries.len() > rows {
        let track = pen.height - y;
        let long = (track * rows as i32 / list.entries.len() as i32).max(4);
        let at = (track - long) * seen.start as i32 / (list.entries.len() - rows) as i32;
        pen.fill(area(width - 2, y + at, 2, long), busy);
    }
}

/// A box at the bottom of the display, emptied and framed; gives what is inside.
fn sheet_over<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, height: i32, tone: Tone) -> Rectangle {
    let height = height.min(pen.height);
    // The state above stays to be seen.
    let y = pen.height - height;
    let place = area(0, y, pen.width, height);
    let (ground, colour) = (pen.palette.ground(), pen.palette.of(tone));
    pen.fill(place, ground);
    pen.frame(place, colour);
    if !pen.compact() {
        pen.frame(area(1, y + 1, pen.width - 2, height - 2), colour);
    }
    let inset = if pen.compact() { 3 } else { 12 };
    area(inset, y + 2, pen.width - 2 * inset, height - 4)
}

/// A button that is held: what it will do, a bar that fills, and how not to do it.
pub fn hold<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, hold: &Hold, now: Now) {
    let compact = pen.compact();
    let inner =
        sheet_over(pen, if compact { pen.height - 14 } else { pen.height - live::band_end(pen.height) }, Tone::Plain);
    let (x, y, width) = (inner.top_left.x, inner.top_left.y, inner.size.width as i32);
    let (plain, faint, busy) = (pen.palette.of(Tone::Plain), pen.palette.of(Tone::Faint), pen.palette.of(Tone::Busy));
    let (face, small, text, bar) = if compact { (B10, R08, 18, 14) } else { (B14, R12, 52, 44) };
    pen.text(face, &hold.text, area(x, y, width, text), Side::Middle, plain);
    let place = area(x, y + text, width, bar);
    pen.frame(place, plain);
    let filled = (f64::from(width - 4) * words::held(hold, now)).round() as i32;
    pen.fill(area(x + 2, y + text + 2, filled, bar - 4), busy);
    let rest = inner.size.height as i32 - text - bar;
    pen.text(small, "Release to cancel", area(x, y + text + bar, width, rest), Side::Middle, faint);
}

/// What came of a choice.
pub fn notice<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, notice: &Notice) {
    let (face, _, line) = faces(pen.compact());
    let tone = if notice.failed { Tone::Warn } else { Tone::Good };
    let icon = if pen.compact() { 9 } else { 15 };
    let room = pen.width - if pen.compact() { 6 } else { 24 } - icon - 6;
    let mut lines = wrap(&face.letters(&notice.text), room, &|text| face.width(text));
    let most = if pen.compact() { 3 } else { 5 };
    if lines.len() > most {
        lines.truncate(most);
        // Longer than it fits, so that it ends in an ellipsis.
        if let Some(last) = lines.last_mut() {
            *last = face.fit(&format!("{last} and what follows, which is cut off here"), room);
        }
    }
    let full = if pen.compact() { 39 } else { (lines.len() as i32 * line + 20).max(62) };
    let inner = sheet_over(pen, full, tone);
    let (x, y, height) = (inner.top_left.x, inner.top_left.y, inner.size.height as i32);
    let (colour, plain) = (pen.palette.of(tone), pen.palette.of(Tone::Plain));
    let at = Point::new(x, y + (height - icon) / 2);
    if notice.failed {
        pen.cross(at, icon, colour)
    } else {
        pen.tick(at, icon, colour)
    }
    let top = y + (height - lines.len() as i32 * line) / 2;
    for (row, text) in lines.iter().enumerate() {
        pen.text(face, text, area(x + icon + 6, top + row as i32 * line, room, line), Side::Left, plain);
    }
}

/// The number that pairs a computer.
pub fn pin<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, pin: &Pin, now: Now) {
    let (digits, left) = words::pin(pin, now);
    banner(pen, ["Pair with this number", &digits, &left], Tone::Faint);
}

/// A button that was held at power-on, and what it will do.
pub fn reset<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, reset: &Reset, now: Now) {
    let [above, large, below] = words::reset(reset, now);
    banner(pen, [&above, &large, &below], Tone::Warn);
}

/// One thing in large letters, with words above and below it, on all of the display.
fn banner<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, [above, large, below]: [&str; 3], tone: Tone) {
    let (width, height, compact) = (pen.width, pen.height, pen.compact());
    let (face, line) = if compact { (B08, 13) } else { (B14, 40) };
    let (plain, faint) = (pen.palette.of(Tone::Plain), pen.palette.of(tone));
    pen.text(face, above, area(2, 0, width - 4, line), Side::Middle, faint);
    let middle = area(4, line, width - 8, height - 2 * line);
    let fits = |face: &&&super::pen::Face| face.width(large) <= width - 8 && face.capital + 2 <= height - 2 * line;
    let letters = LARGE.iter().find(fits).copied().unwrap_or(B08);
    pen.text(letters, large, middle, Side::Middle, plain);
    pen.text(face, below, area(2, height - line, width - 4, line), Side::Middle, faint);
}

/// A new system is being installed.
pub fn update<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, text: &str, percent: Option<u8>) {
    let (width, height, compact) = (pen.width, pen.height, pen.compact());
    let (face, small, bar) = if compact { (B10, R08, 10) } else { (B14, R12, 28) };
    let (plain, faint, busy) = (pen.palette.of(Tone::Plain), pen.palette.of(Tone::Faint), pen.palette.of(Tone::Busy));
    let (margin, third) = (if compact { 6 } else { 24 }, height / 3);
    pen.text(face, text, area(2, 0, width - 4, third), Side::Middle, plain);
    let place = area(margin, third + (third - bar) / 2, width - 2 * margin, bar);
    pen.frame(place, plain);
    let filled = (width - 2 * margin - 4) * i32::from(percent.unwrap_or(0).min(100)) / 100;
    pen.fill(area(margin + 2, place.top_left.y + 2, filled, bar - 4), busy);
    let left = percent.map_or_else(|| "The box restarts by itself".into(), |percent| format!("{percent} %"));
    pen.text(small, &left, area(2, 2 * third, width - 4, third), Side::Middle, faint);
}

/// Flashes with the box's name, for who looks for it.
pub fn identify<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, status: &Status, now: Now) {
    let (width, height) = (pen.width, pen.height);
    let (light, dark) = (pen.palette.of(Tone::Plain), pen.palette.ground());
    let lit = (now.time.millis() / FLASH).is_multiple_of(2);
    let (fill, ink) = if lit { (light, dark) } else { (dark, light) };
    pen.fill(area(0, 0, width, height), fill);
    let face = if pen.compact() { B10 } else { B18 };
    let small = if pen.compact() { R08 } else { R10 };
    let margin = 4;
    let half = height / 2;
    pen.text(face, &status.name, area(margin, half / 2, width - 2 * margin, half / 2 + 4), Side::Middle, ink);
    pen.text(small, &status.id, area(margin, half + 4, width - 2 * margin, half / 2), Side::Middle, ink);
}

/// The first picture after power-on.
pub fn splash<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, version: &str) {
    let (width, height) = (pen.width, pen.height);
    let (plain, faint, busy) = (pen.palette.of(Tone::Plain), pen.palette.of(Tone::Faint), pen.palette.of(Tone::Busy));
    let room = width - 12;
    let fits = |face: &&&super::pen::Face| face.width("Fieldcast") <= room && face.capital <= height / 4;
    let face = LARGE.iter().find(fits).copied().unwrap_or(B08);
    let small = if pen.compact() { R08 } else { R10 };
    let third = height / 3;
    pen.text(face, "Fieldcast", area(6, third / 2, room, third), Side::Middle, plain);
    let bar = area(width / 2 - face.width("Fieldcast") / 2, third * 3 / 2 + 4, face.width("Fieldcast"), 2);
    pen.fill(bar, busy);
    pen.text(small, version, area(6, third * 2 - 2, room, third / 2), Side::Middle, faint);
    pen.text(small, "Starting ...", area(6, height - third / 2 - 2, room, third / 2), Side::Middle, faint);
}

/// After the end.
pub fn stopped<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>) {
    let (width, height, faint) = (pen.width, pen.height, pen.palette.of(Tone::Faint));
    let face = if pen.compact() { B10 } else { B14 };
    pen.text(face, "Stopped", area(2, 0, width - 4, height), Side::Middle, faint);
}

/// Which part of a text of `parts` is shown at `time`.
pub fn part(parts: usize, time: Time) -> usize {
    usize::try_from(time.millis() / PART).unwrap_or_default() % parts.max(1)
}

/// The lines of a start-up error and how many of them are seen at once.
pub fn failed_lines(text: &str, width: i32, height: i32, compact: bool) -> (Vec<String>, usize) {
    let (face, _, line) = faces(compact);
    let (margin, top) = if compact { (2, 13) } else { (8, 36) };
    let letters = text.lines().take(40).map(|line| face.letters(line));
    let lines = letters.flat_map(|letters| wrap(&letters, width - 2 * margin, &|text| face.width(text))).collect();
    (lines, ((height - top - 2) / line).max(1) as usize)
}

/// It cannot start, and why. A text that is longer than the display is shown in parts.
pub fn failed<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, text: &str, now: Now) {
    let (width, height, compact) = (pen.width, pen.height, pen.compact());
    let (face, _, line) = faces(compact);
    let (lines, rows) = failed_lines(text, width, height, compact);
    let parts = lines.len().div_ceil(rows);
    let shown = part(parts, now.time);
    let (title, margin, top) = if compact { (B08, 2, 13) } else { (B12, 8, 30) };
    let ink = if compact && pen.palette.frames() {
        let (fill, ink) = pen.palette.cursor();
        pen.fill(area(0, 0, width, top), fill);
        ink
    } else {
        pen.bar(area(0, 0, width, top), Tone::Warn)
    };
    let place = area(margin, 0, width - 2 * margin, top);
    let pages = if parts > 1 { format!("{}/{parts}", shown + 1) } else { String::new() };
    let used = title.width(&pages) + 4;
    pen.text(title, "Cannot start", area(margin, 0, width - 2 * margin - used, top), Side::Left, ink);
    pen.text(title, &pages, place, Side::Right, ink);
    let plain = pen.palette.of(Tone::Plain);
    let first = if compact { top } else { top + 6 };
    for (row, text) in lines.iter().skip(shown * rows).take(rows).enumerate() {
        let at = area(margin, first + row as i32 * line, width - 2 * margin, line);
        pen.text(face, text, at, Side::Left, plain);
    }
}
