//! How screens are drawn: colours, letters and marks for any display, wide or small.
//!
//! Letters are of two families. Helvetica by Adobe Systems and Digital Equipment Corporation, as X11 has it (`helv`, Latin-1
//! and Latin Extended): "Permission to use, copy, modify, distribute and sell this software and its documentation for any
//! purpose and without fee is hereby granted, provided that the above copyright notices appear in all copies"; (c) 1984, 1987
//! Adobe Systems Incorporated, (c) 1988, 1991 Digital Equipment Corporation. FreeUniversal by Stephen Wilson (`fub`, words of
//! the state and digits): SIL Open Font License.

use embedded_graphics::{
    pixelcolor::{BinaryColor, Rgb565},
    prelude::*,
    primitives::{Line, PrimitiveStyle, Rectangle},
};
use std::convert::Infallible;
use u8g2_fonts::{FontRenderer, fonts, types::FontColor, types::VerticalPosition};

/// What a word or a bar means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As most is.
    Plain,
    /// Less than that: labels.
    Faint,
    /// As it should be.
    Good,
    /// Under way.
    Busy,
    /// Not as it should be.
    Warn,
    /// Viewers see nothing.
    Bad,
    /// On air; nothing else looks like it.
    Air,
}

/// The colours of a display. A monochrome one has lit and dark.
#[derive(Debug, Clone, Copy)]
pub struct Palette<C> {
    ground: C,
    ink: C,
    faint: C,
    /// Behind titles and bars.
    raised: C,
    good: C,
    busy: C,
    warn: C,
    bad: C,
    air: C,
    /// Words on what is filled with `good`, `busy` or `warn`.
    on_bright: C,
    /// Words on what is filled with `air`.
    on_air: C,
    /// Whether bars other than that of on air are drawn as frames, as there is one colour only.
    frames: bool,
    /// How colours of a photograph are shown; none where they cannot be.
    pub photo: Option<fn(Rgb565) -> C>,
}

/// Lit on dark.
pub const MONO: Palette<BinaryColor> = Palette {
    ground: BinaryColor::Off,
    ink: BinaryColor::On,
    faint: BinaryColor::On,
    raised: BinaryColor::Off,
    good: BinaryColor::On,
    busy: BinaryColor::On,
    warn: BinaryColor::On,
    bad: BinaryColor::On,
    air: BinaryColor::On,
    on_bright: BinaryColor::On,
    on_air: BinaryColor::Off,
    frames: true,
    photo: None,
};

/// Bright on almost black. Red is kept for on air.
pub const COLOUR: Palette<Rgb565> = Palette {
    ground: rgb(0x0a0d12),
    ink: rgb(0xf4f6fa),
    faint: rgb(0x98a2b3),
    raised: rgb(0x1d2430),
    good: rgb(0x37c871),
    busy: rgb(0x5aa9ff),
    warn: rgb(0xffb224),
    bad: rgb(0xff8a5c),
    air: rgb(0xd8121c),
    on_bright: rgb(0x0a0d12),
    on_air: rgb(0xffffff),
    frames: false,
    photo: Some(|colour| colour),
};

const fn rgb(hex: u32) -> Rgb565 {
    Rgb565::new((hex >> 19) as u8 & 31, (hex >> 10) as u8 & 63, (hex >> 3) as u8 & 31)
}

impl<C: PixelColor> Palette<C> {
    /// The colour of nothing.
    pub fn ground(&self) -> C {
        self.ground
    }

    /// Behind titles.
    pub fn raised(&self) -> C {
        self.raised
    }

    /// Words on the ground.
    pub fn of(&self, tone: Tone) -> C {
        match tone {
            Tone::Plain => self.ink,
            Tone::Faint => self.faint,
            Tone::Good => self.good,
            Tone::Busy => self.busy,
            Tone::Warn => self.warn,
            Tone::Bad => self.bad,
            Tone::Air => self.air,
        }
    }

    /// A filled bar and the words on it.
    pub fn bar(&self, tone: Tone) -> (C, C) {
        match tone {
            Tone::Air => (self.air, self.on_air),
            Tone::Plain | Tone::Faint => (self.raised, self.ink),
            _ if self.frames => (self.ground, self.on_bright),
            tone => (self.of(tone), self.on_bright),
        }
    }

    /// What the cursor is on, and the words on it.
    pub fn cursor(&self) -> (C, C) {
        if self.frames { (self.ink, self.ground) } else { (self.busy, self.on_bright) }
    }

    /// Whether there is one colour only.
    pub fn frames(&self) -> bool {
        self.frames
    }
}

/// Letters of one size.
#[derive(Debug)]
pub struct Face {
    font: FontRenderer,
    /// Height of a capital, pixels.
    pub capital: i32,
}

macro_rules! face {
    ($font:ident, $capital:literal) => {
        &Face { font: FontRenderer::new::<fonts::$font>(), capital: $capital }
    };
}

/// Regular, from small to large.
pub const R08: &Face = face!(u8g2_font_helvR08_te, 8);
/// See [`R08`].
pub const R10: &Face = face!(u8g2_font_helvR10_te, 11);
/// See [`R08`].
pub const R12: &Face = face!(u8g2_font_helvR12_te, 12);
/// Bold.
pub const B08: &Face = face!(u8g2_font_helvB08_te, 8);
/// See [`B08`].
pub const B10: &Face = face!(u8g2_font_helvB10_te, 11);
/// See [`B08`].
pub const B12: &Face = face!(u8g2_font_helvB12_te, 12);
/// See [`B08`].
pub const B14: &Face = face!(u8g2_font_helvB14_te, 14);
/// See [`B08`].
pub const B18: &Face = face!(u8g2_font_helvB18_te, 19);
/// See [`B08`].
pub const B24: &Face = face!(u8g2_font_helvB24_te, 25);
const F17: &Face = face!(u8g2_font_fub17_tr, 17);
const F20: &Face = face!(u8g2_font_fub20_tr, 20);
const F30: &Face = face!(u8g2_font_fub30_tr, 30);
const F35: &Face = face!(u8g2_font_fub35_tr, 35);
const F42: &Face = face!(u8g2_font_fub42_tr, 42);

/// What words of the state are written with, the largest first.
pub const LARGE: [&Face; 10] = [F42, F35, F30, B24, F20, F17, B14, B12, B10, B08];

impl Face {
    /// `text` in letters that this face has: others become what is nearest, or a question mark. At most 500 of them.
    pub fn letters(&self, text: &str) -> String {
        let mut letters = String::new();
        for letter in text.chars().take(500) {
            match letter {
                // Marks over the letter before, and what chooses between forms of an emoji.
                '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{ad}' => {}
                letter if letter.is_whitespace() || letter.is_control() => letters.push(' '),
                letter if self.advance(letter).is_some() => letters.push(letter),
                '…' => letters.push_str("..."),
                '–' | '—' => letters.push('-'),
                '‘' | '’' => letters.push('\''),
                '“' | '”' => letters.push('"'),
                letter => letters.push_str(super::text::plain(letter)),
            }
        }
        letters
    }

    fn advance(&self, letter: char) -> Option<i32> {
        let found = self.font.get_rendered_dimensions(letter, Point::zero(), VerticalPosition::Baseline).ok()?;
        (found.advance.x > 0).then_some(found.advance.x)
    }

    /// Width of `letters`, pixels.
    pub fn width(&self, letters: &str) -> i32 {
        letters.chars().filter_map(|letter| self.advance(letter)).sum()
    }

    /// `text` as it is written in `width` pixels: one that is longer ends in an ellipsis.
    pub fn fit(&self, text: &str, width: i32) -> String {
        let mut letters = self.letters(text);
        if self.width(&letters) <= width {
            return letters;
        }
        let dots = self.width("...");
        let mut used = 0;
        let kept = letters.char_indices().find(|(_, letter)| {
            used += self.advance(*letter).unwrap_or_default();
            used + dots > width
        });
        letters.truncate(kept.map_or(0, |(at, _)| at));
        if dots > width { String::new() } else { letters.trim_end().to_string() + "..." }
    }
}

/// Where words stand in their box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// At its left.
    Left,
    /// In its middle.
    Middle,
    /// At its right.
    Right,
}

/// A box of `width` and `height` whose corner is at `x` and `y`; never smaller than nothing.
pub fn area(x: i32, y: i32, width: i32, height: i32) -> Rectangle {
    Rectangle::new(Point::new(x, y), Size::new(width.max(0) as u32, height.max(0) as u32))
}

/// Draws into `target`.
#[derive(Debug)]
pub struct Pen<'a, D: DrawTarget<Error = Infallible>> {
    /// What is drawn into.
    pub target: &'a mut D,
    /// Its colours.
    pub palette: Palette<D::Color>,
    /// Its pixels.
    pub width: i32,
    /// Its rows.
    pub height: i32,
}

impl<'a, D: DrawTarget<Error = Infallible>> Pen<'a, D> {
    /// For all of `target`.
    pub fn new(target: &'a mut D, palette: Palette<D::Color>) -> Self {
        let size = target.bounding_box().size;
        Self { target, palette, width: size.width as i32, height: size.height as i32 }
    }

    /// Whether there is room for little only: letters are small, and there is no place for a thumbnail.
    pub fn compact(&self) -> bool {
        self.width < 240 || self.height < 180
    }

    /// Fills a box.
    pub fn fill(&mut self, place: Rectangle, colour: D::Color) {
        let Ok(()) = self.target.fill_solid(&place, colour);
    }

    /// A frame of one pixel, inside of its box.
    pub fn frame(&mut self, place: Rectangle, colour: D::Color) {
        let Ok(()) = place.into_styled(PrimitiveStyle::with_stroke(colour, 1)).draw(self.target);
    }

    fn line(&mut self, from: Point, to: Point, colour: D::Color, thick: u32) {
        let Ok(()) = Line::new(from, to).into_styled(PrimitiveStyle::with_stroke(colour, thick)).draw(self.target);
    }

    /// A bar that is `tone`: filled, or framed where there is one colour only.
    pub fn bar(&mut self, place: Rectangle, tone: Tone) -> D::Color {
        let (fill, ink) = self.palette.bar(tone);
        self.fill(place, fill);
        if self.palette.frames && tone != Tone::Air {
            self.frame(place, ink);
        }
        ink
    }

    /// One line in `place`, its capitals in the middle of its height. It ends in an ellipsis where it is too long.
    pub fn text(&mut self, face: &Face, text: &str, place: Rectangle, side: Side, colour: D::Color) {
        let (width, height) = (place.size.width as i32, place.size.height as i32);
        let letters = face.fit(text, width);
        let space = width - face.width(&letters);
        let x = place.top_left.x
            + match side {
                Side::Left => 0,
                Side::Middle => space / 2,
                Side::Right => space,
            };
        let mut at = Point::new(x, place.top_left.y + (height + face.capital) / 2);
        // Some letters reach further up, down or to the side than most.
        let reach = face.font.get_rendered_dimensions(letters.as_str(), at, VerticalPosition::Baseline);
        if let Some(inked) = reach.ok().and_then(|reach| reach.bounding_box) {
            let end = inked.top_left + Point::new(inked.size.width as i32, inked.size.height as i32);
            at -= Point::new((end.x - self.width).max(0), (end.y - self.height).max(0));
            at -= Point::new(inked.top_left.x.min(0), inked.top_left.y.min(0));
        }
        // All letters are there, so nothing can fail but the target, which cannot.
        let _ = face.font.render(
            letters.as_str(),
            at,
            VerticalPosition::Baseline,
            FontColor::Transparent(colour),
            self.target,
        );
    }

    /// A tick.
    pub fn tick(&mut self, at: Point, size: i32, colour: D::Color) {
        let thick = if size > 8 { 2 } else { 1 };
        let low = at + Point::new(size * 2 / 5, size - 2);
        self.line(at + Point::new(1, size * 3 / 5), low, colour, thick);
        self.line(low, at + Point::new(size - 1, 2), colour, thick);
    }

    /// A cross.
    pub fn cross(&mut self, at: Point, size: i32, colour: D::Color) {
        let thick = if size > 8 { 2 } else { 1 };
        let (low, high) = (1, size - 2);
        self.line(at + Point::new(low, low), at + Point::new(high, high), colour, thick);
        self.line(at + Point::new(low, high), at + Point::new(high, low), colour, thick);
    }

    /// A dot, filled or hollow.
    pub fn dot(&mut self, at: Point, size: i32, filled: bool, colour: D::Color) {
        let inset = size / 4;
        let place = area(at.x + inset, at.y + inset, size - 2 * inset, size - 2 * inset);
        if filled { self.fill(place, colour) } else { self.frame(place, colour) }
    }

    /// A triangle that points up, down, or to the right for what is steady.
    pub fn arrow(&mut self, at: Point, size: i32, trend: super::words::Trend, colour: D::Color) {
        use super::words::Trend;
        for step in 0..size / 2 + 1 {
            let (along, long) = (step, size - 2 * step);
            let place = match trend {
                Trend::Rising => area(at.x + step, at.y + size * 3 / 4 - along, long, 1),
                Trend::Falling => area(at.x + step, at.y + size / 4 + along, long, 1),
                Trend::Steady => area(at.x + size / 4 + along, at.y + step, 1, long),
            };
            self.fill(place, colour);
        }
    }

    /// A padlock, 7 wide and 9 high.
    pub fn lock(&mut self, at: Point, colour: D::Color) {
        self.frame(area(at.x + 1, at.y, 5, 6), colour);
        self.fill(area(at.x, at.y + 4, 7, 5), colour);
    }

    /// A triangle with a mark of exclamation.
    pub fn alarm(&mut self, at: Point, size: i32, colour: D::Color, mark: D::Color) {
        for row in 0..size {
            let half = row / 2;
            self.fill(area(at.x + size / 2 - half, at.y + row, 2 * half + 1, 1), colour);
        }
        let middle = at.x + size / 2;
        let long = size * 2 / 5;
        self.fill(area(middle, at.y + size / 3, 1 + size / 14, long), mark);
        self.fill(area(middle, at.y + size / 3 + long + 1, 1 + size / 14, 1 + size / 14), mark);
    }
}
