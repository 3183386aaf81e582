//! What a display shows.

use super::canvas::{Canvas, Frame, TEXT};
use crate::{
    control::{Now, menu::View},
    status::Status,
    units::Time,
};
use embedded_graphics::{
    mono_font::{MonoTextStyle, ascii::FONT_6X10},
    pixelcolor::{BinaryColor, Rgb565},
    prelude::*,
    primitives::{PrimitiveStyle, Rectangle},
    text::Text,
};
use std::{sync::Arc, time::Duration};

/// What is to be shown.
#[derive(Debug, Clone)]
pub enum Scene {
    /// The daemon is being started.
    Splash {
        /// Its version.
        version: &'static str,
    },
    /// It cannot be started: why.
    Failed(String),
    /// It runs.
    Running {
        /// What every surface shows.
        status: Arc<Status>,
        /// Which page, and what lies over it.
        view: Arc<View>,
        /// The input, small.
        thumbnail: Option<Arc<Canvas<Rgb565>>>,
    },
    /// It was ended as asked.
    Stopped,
}

/// What a display can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// 128x64 pixels, lit or dark.
    Mono,
    /// Colours.
    Colour {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// 20x4 characters.
    Text,
}

fn lines(scene: &Scene) -> Vec<String> {
    match scene {
        Scene::Splash { version } => vec!["Fieldcast".into(), version.to_string()],
        Scene::Failed(text) => text.chars().collect::<Vec<_>>().chunks(20).map(|part| part.iter().collect()).collect(),
        Scene::Running { status, view, .. } => vec![status.sentence(), format!("{:?}", view.page)],
        Scene::Stopped => vec!["Stopped".into()],
    }
}

/// The picture of `scene` at `now` for a display of `shape`.
pub fn draw(scene: &Scene, shape: Shape, _now: Now) -> Frame {
    match shape {
        Shape::Mono => Frame::Mono(paint(scene, Canvas::new(128, 64, BinaryColor::Off), BinaryColor::On)),
        Shape::Colour { width, height } => {
            Frame::Colour(paint(scene, Canvas::new(width, height, Rgb565::BLACK), Rgb565::WHITE))
        }
        Shape::Text => {
            let mut cells = [[' '; TEXT.0]; TEXT.1];
            for (row, line) in cells.iter_mut().zip(lines(scene)) {
                row.iter_mut().zip(line.chars()).for_each(|(cell, c)| *cell = c);
            }
            Frame::Text(cells)
        }
    }
}

fn paint<C: PixelColor>(scene: &Scene, mut canvas: Canvas<C>, ink: C) -> Canvas<C> {
    for (row, line) in (0..).zip(lines(scene)) {
        let _ = Text::new(&line, Point::new(2, 10 + row * 10), MonoTextStyle::new(&FONT_6X10, ink)).draw(&mut canvas);
    }
    if let Scene::Running { status, thumbnail, .. } = scene {
        for (row, peak) in (0..).zip(&status.stats.audio_peak_db) {
            let width = ((peak + 60.0).clamp(0.0, 60.0) * 2.0) as u32;
            let bar = Rectangle::new(Point::new(4, 40 + row * 10), Size::new(width, 6));
            let _ = bar.into_styled(PrimitiveStyle::with_fill(ink)).draw(&mut canvas);
        }
        if let Some(small) = thumbnail {
            let bar = Rectangle::new(Point::new(4, 70), Size::new(small.width, small.height));
            let _ = bar.into_styled(PrimitiveStyle::with_stroke(ink, 1)).draw(&mut canvas);
        }
    }
    canvas
}

/// When the picture of `scene` changes by itself after `now`; none: it does not.
pub fn next_change(scene: &Scene, _shape: Shape, now: Now) -> Option<Time> {
    match scene {
        Scene::Running { view, .. } if view.hold.is_some() => Some(now.time + Duration::from_millis(50)),
        _ => None,
    }
}
