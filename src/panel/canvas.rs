//! Pictures in memory, which screens draw into and displays show.

use embedded_graphics::{
    pixelcolor::{BinaryColor, Rgb565},
    prelude::*,
};
use std::convert::Infallible;

/// Columns and rows of a text display.
pub const TEXT: (usize, usize) = (20, 4);

/// A picture of `C`, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas<C> {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// All pixels, row by row.
    pub pixels: Vec<C>,
}

impl<C: PixelColor> Canvas<C> {
    /// A picture all of `colour`.
    pub fn new(width: u32, height: u32, colour: C) -> Self {
        Self { width, height, pixels: vec![colour; width as usize * height as usize] }
    }
}

impl<C: PixelColor> OriginDimensions for Canvas<C> {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl<C: PixelColor> DrawTarget for Canvas<C> {
    type Color = C;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<C>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y))
                && x < self.width
                && y < self.height
            {
                self.pixels[(y * self.width + x) as usize] = colour;
            }
        }
        Ok(())
    }
}

/// One whole picture for a display, in what the display can show.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a panel has two of them, and the others have more on the heap")]
pub enum Frame {
    /// Lit or dark pixels.
    Mono(Canvas<BinaryColor>),
    /// Colours.
    Colour(Canvas<Rgb565>),
    /// Characters, row by row.
    Text([[char; TEXT.0]; TEXT.1]),
}
