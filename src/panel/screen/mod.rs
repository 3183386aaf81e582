//! Screens: what a panel shows, drawn from a status alone. No clock and no bus in here: the time is an argument, and what comes
//! out is a picture.
//!
//! Pages, lists and words are the same on every display; a compact display (128x64, 160x128), a wide one (laid out for 320x240)
//! and one of 20x4 characters have each their layout. A display of twice that size or more gets larger pixels.

mod live;
mod overlay;
mod pages;
mod pen;
mod sheet;
mod text;
mod words;

pub use pen::{COLOUR, MONO, Palette};

use super::canvas::{Canvas, Frame};
use crate::{
    control::{
        Now,
        menu::{Page, View},
    },
    status::{Phase, Status},
    units::Time,
};
use embedded_graphics::{
    pixelcolor::{BinaryColor, Rgb565},
    prelude::*,
};
use live::Running;
use pen::Pen;
use std::{convert::Infallible, sync::Arc, time::Duration};

/// What is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Scene {
    /// From the start of the process until there is a status.
    Splash {
        /// Fieldcast's version.
        version: String,
    },
    /// It cannot start: file, line, field and what was expected, on as many lines as that takes.
    Failed(String),
    /// All the time in between.
    Running {
        /// The status.
        status: Arc<Status>,
        /// The page and what lies over it.
        view: Arc<View>,
        /// The input's picture, for colour displays.
        thumbnail: Option<Arc<Canvas<Rgb565>>>,
    },
    /// The process has ended.
    Stopped,
}

/// What it is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Lit or dark, 128x64.
    Mono,
    /// Colours, from 160x128 on.
    Colour {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// 20x4 characters.
    Text,
}

impl Shape {
    /// Width and height of what is laid out.
    fn size(self) -> (u32, u32) {
        match self {
            Self::Mono | Self::Text => (128, 64),
            Self::Colour { width, height } => (width, height),
        }
    }
}

/// The size in pixels that a thumbnail for a colour display should fit in.
pub fn thumbnail_size(shape: Shape) -> (u32, u32) {
    let (width, height) = shape.size();
    let size = live::picture_place(width as i32, height as i32).size;
    (size.width.max(1), size.height.max(1))
}

/// The picture of `scene` at `now`.
pub fn draw(scene: &Scene, shape: Shape, now: Now) -> Frame {
    match shape {
        Shape::Text => Frame::Text(text::draw(scene, now)),
        Shape::Mono => {
            let mut canvas = Canvas::new(128, 64, BinaryColor::Off);
            paint(scene, MONO, &mut canvas, now);
            Frame::Mono(canvas)
        }
        Shape::Colour { width, height } => {
            let mut canvas = Canvas::new(width, height, Rgb565::BLACK);
            paint(scene, COLOUR, &mut canvas, now);
            Frame::Colour(canvas)
        }
    }
}

/// Draws `scene` at `now` into all of `target`, which has to be 128x64 at least. Nothing is drawn outside of it.
pub fn paint<D: DrawTarget<Error = Infallible>>(scene: &Scene, palette: Palette<D::Color>, target: &mut D, now: Now) {
    let mut pen = Pen::new(target, palette);
    let ground = pen.palette.ground();
    pen.fill(pen::area(0, 0, pen.width, pen.height), ground);
    match scene {
        Scene::Splash { version } => overlay::splash(&mut pen, version),
        Scene::Failed(text) => overlay::failed(&mut pen, text, now),
        Scene::Running { status, view, thumbnail } => {
            running(&mut pen, Running { status, view, thumbnail: thumbnail.as_deref(), now });
        }
        Scene::Stopped => overlay::stopped(&mut pen),
    }
}

fn running<D: DrawTarget<Error = Infallible>>(pen: &mut Pen<'_, D>, running: Running<'_>) {
    let Running { status, view, now, .. } = running;
    if let Some(reset) = &view.reset {
        return overlay::reset(pen, reset, now);
    }
    if view.identify {
        return overlay::identify(pen, status, now);
    }
    if let Some(pin) = &view.pin {
        return overlay::pin(pen, pin, now);
    }
    if let Some((text, percent)) = words::update(status).filter(|_| shows_update(status, view)) {
        overlay::update(pen, &text, percent);
        if let Some(notice) = &view.notice {
            overlay::notice(pen, notice);
        }
        return;
    }
    let head = words::headline(status, now);
    if let Some(list) = &view.list {
        let title = if pen.compact() { list.title.as_str() } else { pages::title(view.page) };
        let top = live::title_bar(pen, title, view, Some(&head));
        overlay::list(pen, list, top);
    } else if view.page == Page::Live && (view.hold.is_none() || !pen.compact()) {
        live::draw(pen, running);
    } else {
        let sheet = pages::sheet(status, view, now);
        let all = pen.width;
        let mut title = pages::title(view.page);
        if pen.compact()
            && let Some(code) = sheet::code(&sheet, pen.width, pen.height, true)
        {
            // The code takes all of the height; what is left of the bar is for the state.
            pen.width -= code.side + 2;
            title = "";
        }
        let top = live::title_bar(pen, title, view, Some(&head)) + if pen.compact() { 1 } else { 6 };
        pen.width = all;
        sheet::draw(pen, &sheet, view.scroll, pen::area(0, top, pen.width, pen.height - top));
    }
    if let Some(hold) = &view.hold {
        overlay::hold(pen, hold, now);
    } else if let Some(notice) = &view.notice {
        overlay::notice(pen, notice);
    }
}

/// Whether an update has the first page for itself: nothing is pushed, and nothing is being chosen.
fn shows_update(status: &Status, view: &View) -> bool {
    view.page == Page::Live && view.list.is_none() && view.hold.is_none() && status.phase == Phase::OffAir
}

/// When the picture of `scene` changes by itself after `now`, at the earliest; none: it stays until the scene changes.
pub fn next_change(scene: &Scene, shape: Shape, now: Now) -> Option<Time> {
    match scene {
        Scene::Splash { .. } | Scene::Stopped => None,
        Scene::Failed(text) => {
            let (lines, rows) = match shape {
                Shape::Text => text::failed_lines(text),
                Shape::Mono | Shape::Colour { .. } => {
                    let (width, height) = shape.size();
                    overlay::failed_lines(text, width as i32, height as i32, width < 240 || height < 180)
                }
            };
            (lines.len() > rows).then(|| after(now.time, overlay::PART))
        }
        Scene::Running { status, view, .. } => running_change(status, view, now),
    }
}

fn running_change(status: &Status, view: &View, now: Now) -> Option<Time> {
    // Seconds are rounded up, so they change when a whole one is left.
    let counted = |until: Time| {
        let left = until.since(now.time);
        (!left.is_zero()).then(|| now.time + whole(left))
    };
    if let Some(reset) = &view.reset {
        return counted(reset.armed).filter(|_| now.time < reset.armed).or_else(|| counted(reset.until));
    }
    if view.identify {
        return Some(after(now.time, overlay::FLASH));
    }
    if let Some(pin) = &view.pin {
        return counted(pin.until);
    }
    let mut changes = Vec::new();
    if let Some(hold) = &view.hold
        && now.time < hold.until
    {
        changes.push((now.time + HOLD_STEP).min(hold.until));
    }
    let head = words::headline(status, now);
    if head.blinks && view.page == Page::Live && view.list.is_none() {
        changes.push(after(now.time, live::BLINK));
    }
    if let Some(span) = words::on_air_for(status, now) {
        changes.push(now.time + Duration::from_nanos(1_000_000_000 - span.subsec_nanos().unsigned_abs() as u64));
    }
    if view.page == Page::System
        && let Some(wall) = now.wall
    {
        let into = wall.as_nanosecond().rem_euclid(60_000_000_000) as u64;
        changes.push(now.time + Duration::from_nanos(60_000_000_000 - into));
    }
    changes.into_iter().min()
}

/// A held button's bar grows so often.
const HOLD_STEP: Duration = Duration::from_millis(50);

/// The next multiple of `step` ms after `now`.
fn after(now: Time, step: u64) -> Time {
    let step = step * 1_000_000;
    now + Duration::from_nanos(step - now.nanos() % step)
}

/// What is over of `left` when a whole number of seconds, less than it, is left.
fn whole(left: Duration) -> Duration {
    let over = left.subsec_nanos();
    if over > 0 { Duration::from_nanos(u64::from(over)) } else { Duration::from_secs(1) }
}
