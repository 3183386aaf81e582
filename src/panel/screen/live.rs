//! The Live page: where the push is in the largest letters, then rate, queue, sound and what is wrong.

use super::{
    pen::{B08, B10, B12, B14, B24, LARGE, Pen, R08, R10, Side, Tone, area},
    words::{self, Headline},
};
use crate::{
    control::{
        Now,
        menu::{Page, View},
    },
    panel::canvas::Canvas,
    status::Status,
};
use embedded_graphics::{pixelcolor::Rgb565, prelude::*, primitives::Rectangle};
use std::convert::Infallible;

/// Half a blink, ms.
pub const BLINK: u64 = 500;

/// What a page is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// The status.
    pub status: &'a Status,
    /// The page and what lies over it.
    pub view: &'a View,
    /// The input's picture.
    pub thumbnail: Option<&'a Canvas<Rgb565>>,
    /// When it is drawn.
    pub now: Now,
}

/// Draws the page.
pub fn draw<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, running: Running<'_>) {
    if pen.compact() { compact(pen, running) } else { wide(pen, running) }
}

/// From 128x64 on: all of it one below the other.
fn compact<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, Running { status, view, now, .. }: Running<'_>) {
    let (width, spare) = (pen.width, (pen.height - 64).max(0));
    let head = words::headline(status, now);
    let band = 25 + spare * 3 / 8;
    headline(pen, &head, area(0, 0, width, band), now);
    let figures = area(2, band + 1, width - 4, 14 + spare / 8);
    let (plain, faint) = (pen.palette.of(Tone::Plain), pen.palette.of(Tone::Faint));
    if let Some(flow) = words::flow(status) {
        let (rate, unit) = words::rate(flow.acknowledged);
        let unit = if unit == "kbit/s" { "k" } else { "M" };
        let (right, size) = (figures.top_left.x + figures.size.width as i32, 9);
        let at = Point::new(right - size, figures.top_left.y + (figures.size.height as i32 - size) / 2);
        let tone = if flow.trend == words::Trend::Falling { Tone::Warn } else { Tone::Good };
        let colour = pen.palette.of(tone);
        pen.arrow(at, size, flow.trend, colour);
        let rate = rate + unit;
        let used = B10.width(&rate).min(60);
        pen.text(
            B10,
            &rate,
            area(right - size - 3 - used, figures.top_left.y, used, figures.size.height as i32),
            Side::Right,
            plain,
        );
        let time = head.time.as_deref().unwrap_or(if head.tone == Tone::Air { "time unknown" } else { "" });
        let face = if head.time.is_some() { B10 } else { R08 };
        let room = area(2, figures.top_left.y, right - size - used - 8, figures.size.height as i32);
        pen.text(face, time, room, Side::Left, plain);
    } else {
        let mode = status.input.mode.map(|mode| mode.to_string());
        pen.text(B10, mode.as_deref().unwrap_or(&status.input.device), figures, Side::Left, plain);
    }
    let sound = area(2, band + 17 + spare / 8, width - 4, 10 + spare / 8);
    let (queue, tone) = words::flow(status).map_or((String::new(), Tone::Plain), |flow| words::queue(flow.queue));
    let used = if queue.is_empty() { 0 } else { R08.width(&queue) + 6 };
    meters(pen, status, area(2, sound.top_left.y, width - 4 - used, sound.size.height as i32));
    let colour = pen.palette.of(tone);
    pen.text(R08, &queue, sound, Side::Right, colour);
    let top = sound.top_left.y + sound.size.height as i32 + 1;
    let (text, tone) = words::footer(status, view);
    let mut left = 2;
    if view.locked {
        pen.lock(Point::new(left, top + (pen.height - top - 9) / 2), faint);
        left += 10;
    }
    if tone != Tone::Faint {
        let (colour, ground) = (pen.palette.of(tone), pen.palette.ground());
        pen.alarm(Point::new(left, top + (pen.height - top - 9) / 2), 9, colour, ground);
        left += 12;
    }
    let colour = pen.palette.of(tone);
    pen.text(R08, &text, area(left, top, width - left - 2, pen.height - top), Side::Left, colour);
}

/// From 240x180 on: a thumbnail beside the figures.
fn wide<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, running: Running<'_>) {
    let Running { status, view, thumbnail, now } = running;
    let (width, height) = (pen.width, pen.height);
    let head = words::headline(status, now);
    title_bar(pen, &status.name, view, None);
    let end = band_end(height);
    headline(pen, &head, area(0, 24, width, end - 24), now);
    let picture = picture_place(width, height);
    photograph(pen, status, thumbnail, picture);
    let left = 8 + picture.size.width as i32 + 12;
    figures(pen, status, area(left, end + 7, width - left - 8, height - end - 69));
    meters(pen, status, area(8, height - 54, width - 16, 20));
    let (text, tone) = words::footer(status, view);
    let place = area(0, height - 28, width, 28);
    let raised = pen.palette.raised();
    pen.fill(place, raised);
    let mut inset = 8;
    let colour = pen.palette.of(tone);
    if tone != Tone::Faint {
        pen.alarm(Point::new(8, height - 22), 15, colour, raised);
        inset = 30;
    }
    pen.text(B12, &text, area(inset, height - 28, width - inset - 8, 28), Side::Left, colour);
}

/// Where the band with the word of the state ends on a wide display.
pub fn band_end(height: i32) -> i32 {
    24 + height * 27 / 100
}

/// Where the thumbnail is on a wide display: below the band, at the left, as 16:9 pictures are.
pub fn picture_place(width: i32, height: i32) -> Rectangle {
    let top = band_end(height) + 7;
    let room = height - top - 62;
    let wide = (width * 48 / 100).min(room * 16 / 9);
    let high = wide * 9 / 16;
    area(8, top + (room - high) / 2, wide, high)
}

/// Rate, queue and Source; or what comes in, while nothing goes out.
fn figures<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, status: &Status, place: Rectangle) {
    let (x, y) = (place.top_left.x, place.top_left.y);
    let (width, height) = (place.size.width as i32, place.size.height as i32);
    let (plain, faint) = (pen.palette.of(Tone::Plain), pen.palette.of(Tone::Faint));
    let step = height / 4;
    let Some(flow) = words::flow(status) else {
        let lines = [
            (R10, "Input", faint),
            (B12, &status.input.mode.map_or(status.input.device.clone(), |mode| mode.to_string()), plain),
            (R10, "Output", faint),
            (B12, &status.program.mode.map_or("as the input".into(), |mode| mode.to_string()), plain),
        ];
        for (row, (face, text, colour)) in lines.into_iter().enumerate() {
            pen.text(face, text, area(x, y + row as i32 * step, width, step), Side::Left, colour);
        }
        return;
    };
    let (rate, unit) = words::rate(flow.acknowledged);
    let face = if width >= 130 { B24 } else { B14 };
    let used = face.width(&rate);
    let large = step * 3 / 2;
    pen.text(face, &rate, area(x, y, width, large), Side::Left, plain);
    // On the line of the digits.
    let low = y + (large + face.capital) / 2 - B10.capital - 3;
    pen.text(R10, unit, area(x + used + 5, low, width - used - 25, B10.capital + 6), Side::Left, faint);
    let tone = if flow.trend == words::Trend::Falling { Tone::Warn } else { Tone::Good };
    let colour = pen.palette.of(tone);
    pen.arrow(Point::new(x + width - 15, y + (large - 15) / 2), 15, flow.trend, colour);
    let rest = (height - large) / 3;
    let (asked, unit) = words::rate(flow.asked);
    let asked = if flow.asked > 0 { format!("{asked} {unit}") } else { "-".into() };
    let (queue, tone) = words::queue(flow.queue);
    let uplink = status.stats.uplinks.first();
    let trip = uplink.and_then(|uplink| uplink.rtt_ms).map_or("-".into(), |rtt| format!("{rtt} ms"));
    let rows = [("Asked", asked, Tone::Plain), ("Queue", queue, tone), ("Round trip", trip, Tone::Plain)];
    for (row, (label, value, tone)) in rows.into_iter().enumerate() {
        let place = area(x, y + large + row as i32 * rest, width, rest);
        let used = B10.width(&B10.letters(&value));
        let colour = pen.palette.of(tone);
        pen.text(R10, label, area(x, place.top_left.y, width - used - 4, rest), Side::Left, faint);
        pen.text(B10, &value, place, Side::Right, colour);
    }
}

fn photograph<D: DrawTarget<Error = Infallible>>(
    pen: &mut Pen<'_, D>,
    status: &Status,
    thumbnail: Option<&Canvas<Rgb565>>,
    place: Rectangle,
) {
    let raised = pen.palette.raised();
    pen.fill(place, raised);
    let (Some(picture), Some(photo)) = (thumbnail, pen.palette.photo) else {
        let faint = pen.palette.of(Tone::Faint);
        let word = match status.input.signal {
            crate::status::SignalState::Locked => "no preview",
            _ => "no picture",
        };
        pen.text(R10, word, place, Side::Middle, faint);
        return;
    };
    let (wide, high) = (place.size.width, place.size.height);
    let shown = Size::new(picture.width.min(wide), picture.height.min(high));
    let corner = place.top_left + Point::new((wide - shown.width) as i32 / 2, (high - shown.height) as i32 / 2);
    let rows = picture.pixels.chunks_exact(picture.width.max(1) as usize).take(shown.height as usize);
    let colours = rows.flat_map(|row| row.iter().take(shown.width as usize)).map(|colour| photo(*colour));
    let Ok(()) = pen.target.fill_contiguous(&Rectangle::new(corner, shown), colours);
}

/// The word of the state, as large as `place` holds it.
fn headline<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, head: &Headline, place: Rectangle, now: Now) {
    let dark = head.blinks && now.time.millis() / BLINK % 2 == 1;
    let ink = if dark { pen.palette.of(head.tone) } else { pen.bar(place, head.tone) };
    let (x, y) = (place.top_left.x, place.top_left.y);
    let (width, height) = (place.size.width as i32, place.size.height as i32);
    let margin = if pen.compact() { 4 } else { 10 };
    let time = head.time.as_deref().filter(|_| !pen.compact());
    let (small, large) = if pen.compact() { (B08, B08) } else { (B12, if width >= 300 { B24 } else { B14 }) };
    let beside = head.tag.map_or(0, |tag| small.width(tag)).max(time.map_or(0, |time| large.width(time)));
    let beside = if beside > 0 { beside.min(width / 2) + margin } else { 0 };
    let room = width - 2 * margin - beside;
    let fits = |face: &&&super::pen::Face| face.width(head.word) <= room && face.capital + 4 <= height;
    let face = LARGE.iter().find(fits).copied().unwrap_or(B08);
    let side = if beside > 0 { Side::Left } else { Side::Middle };
    pen.text(face, head.word, area(x + margin, y, room, height), side, ink);
    let right = area(x + width - margin - beside, y, beside, height);
    match (head.tag, time) {
        (Some(tag), Some(time)) => {
            let half = height / 2;
            pen.text(small, tag, area(right.top_left.x, y + 4, beside, half - 4), Side::Right, ink);
            pen.text(large, time, area(right.top_left.x, y + half - 2, beside, half - 2), Side::Right, ink);
        }
        (Some(tag), None) => pen.text(small, tag, right, Side::Right, ink),
        (None, Some(time)) => pen.text(large, time, right, Side::Right, ink),
        (None, None) => {}
    }
}

/// A meter for each of two channels, from -60 to 0 dBFS, and whether one was clipped.
fn meters<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, status: &Status, place: Rectangle) {
    let compact = pen.compact();
    let (x, y) = (place.top_left.x, place.top_left.y);
    let (width, height) = (place.size.width as i32, place.size.height as i32);
    let (plain, warn) = (pen.palette.of(Tone::Plain), pen.palette.of(Tone::Warn));
    let (face, strong) = if compact { (R08, B08) } else { (R10, B10) };
    let levels = words::levels(status);
    if status.program.muted || levels.is_empty() {
        let (word, colour) =
            if status.program.muted { ("MUTED", warn) } else { ("no sound", pen.palette.of(Tone::Faint)) };
        return pen.text(if status.program.muted { strong } else { face }, word, place, Side::Left, colour);
    }
    let clipped = levels.iter().any(|level| level.clipped);
    let mark = if compact { strong.width("CLIP") + 5 } else { face.width("-60 dB") + 4 };
    let long = width - mark - 3;
    let each = height / levels.len() as i32;
    for (row, level) in levels.iter().enumerate() {
        let bar = area(x, y + row as i32 * each, long, each - if compact { 1 } else { 3 });
        meter(pen, level.filled, bar);
    }
    if clipped {
        let place = area(x + long + 3, y, mark, height - if compact { 1 } else { 3 });
        let (fill, ink) = if pen.palette.frames() { pen.palette.cursor() } else { pen.palette.bar(Tone::Bad) };
        pen.fill(place, fill);
        pen.text(strong, "CLIP", place, Side::Middle, ink);
    } else if !compact {
        let peak = status.stats.audio_peak_db.iter().take(2).copied().fold(f64::NEG_INFINITY, f64::max);
        let peak = if peak > -60.0 { format!("{peak:.0} dB") } else { "-60 dB".into() };
        pen.text(face, &peak, area(x + long + 3, y, mark, height - 3), Side::Right, plain);
    }
}

fn meter<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, filled: f64, place: Rectangle) {
    let (x, y) = (place.top_left.x, place.top_left.y);
    let (width, height) = (place.size.width as i32, place.size.height as i32);
    let at = |part: f64| (f64::from(width) * part).round() as i32;
    let track = if pen.palette.frames() { pen.palette.of(Tone::Faint) } else { pen.palette.raised() };
    if pen.palette.frames() {
        pen.fill(area(x, y + height - 1, width, 1), track);
    } else {
        pen.fill(place, track);
    }
    // EBU R 68 aligns at -18 dBFS; above -6 dBFS there is little room left.
    let zones = [(f64::NEG_INFINITY, Tone::Good), (-18.0, Tone::Warn), (-6.0, Tone::Bad)];
    for (from, tone) in zones {
        let (start, end) = (at(words::position(from)), at(filled));
        let colour = pen.palette.of(tone);
        pen.fill(area(x + start, y, end - start, height), colour);
    }
    for tick in [-40.0, -20.0, -9.0] {
        let (mark, colour) = (at(words::position(tick)), pen.palette.ground());
        pen.fill(area(x + mark, y, 1, height), colour);
    }
}

/// The bar at the top of every page of a wide display, and of all but Live on a compact one: `title`, and the state where it is
/// not in large letters below. Gives its height.
pub fn title_bar<D: DrawTarget<Error = Infallible>>(
    pen: &mut Pen<'_, D>,
    title: &str,
    view: &View,
    head: Option<&Headline>,
) -> i32 {
    let compact = pen.compact();
    let (height, margin) = if compact { (13, 2) } else { (24, 8) };
    let strong = if compact { B08 } else { B10 };
    let place = area(0, 0, pen.width, height);
    let air = head.is_some_and(|head| head.tone == Tone::Air);
    let mut ink = pen.palette.of(Tone::Plain);
    if compact && air {
        ink = pen.bar(place, Tone::Air);
    } else {
        let (raised, faint) = (pen.palette.raised(), pen.palette.of(Tone::Faint));
        pen.fill(place, raised);
        if pen.palette.frames() {
            pen.fill(area(0, height - 1, pen.width, 1), faint);
        }
    }
    let mut right = pen.width - margin;
    if let Some(head) = head {
        let mut word = head.tag.unwrap_or(head.word).to_string();
        if let Some(time) = &head.time {
            let timed = format!("{word} {time}");
            // The state is worth more than how long it has been so.
            if !compact || strong.width(&timed) + strong.width(title) + 20 <= pen.width {
                word = timed;
            }
        }
        let lock = if view.locked { 12 } else { 0 };
        let most = if compact { pen.width - 2 * margin - lock } else { pen.width * 2 / 3 };
        let used = strong.width(&word).min(most);
        if compact {
            pen.text(strong, &word, area(right - used, 0, used, height), Side::Right, ink);
            right -= used + 4;
        } else {
            let chip = area(pen.width - used - 16, 0, used + 16, height);
            let colour = pen.bar(chip, head.tone);
            pen.text(strong, &word, chip, Side::Middle, colour);
            right = pen.width - used - 24;
        }
    }
    if view.locked {
        right -= 8;
        pen.lock(Point::new(right, (height - 9) / 2), ink);
        right -= 4;
    }
    if !compact && right > pen.width / 2 {
        right = dots(pen, view.page, right);
    }
    pen.text(strong, title, area(margin, 0, right - margin, height), Side::Left, ink);
    height
}

/// Which of the pages it is.
fn dots<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, page: Page, right: i32) -> i32 {
    let left = right - 8 * Page::ALL.len() as i32;
    for (index, each) in Page::ALL.into_iter().enumerate() {
        let here = each == page;
        let colour = pen.palette.of(if here { Tone::Plain } else { Tone::Faint });
        let size = if here { 6 } else { 2 };
        let x = left + index as i32 * 8 + (8 - size) / 2;
        pen.fill(area(x, 12 - size / 2, size, size), colour);
    }
    left - 6
}
