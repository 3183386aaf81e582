//! Monochrome OLEDs of 128x64 over I2C.
//!
//! The `ssd1306` crate knows how an SSD1306 is started; its sequence starts the other two, too. What they do not know of it
//! they ignore: an SSD1309 has no charge pump, and an SH1106 only the page addressing mode, in which all of them are
//! written here. The crate itself could only send one rectangle around everything that changed, which with a meter at each
//! end of the glass is nearly all of it; so what the glass shows is kept here, and runs of changed columns are sent.

use super::super::canvas::Canvas;
use crate::board::front::OledController;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_hal::i2c::I2c;
use ssd1306::{I2CDisplayInterface, Ssd1306, command::AddrMode, mode::BasicMode, prelude::*};
use std::io;

/// Columns, and rows.
pub const SIZE: (u32, u32) = (128, 64);
const COLUMNS: usize = SIZE.0 as usize;
/// Rows of a page: a byte is a column of so many pixels, the top one in bit 0 (SSD1306 datasheet, 8.7).
const PAGE: usize = 8;
const PAGES: usize = SIZE.1 as usize / PAGE;
/// To begin a run costs 9 bytes on the bus (page, column, start of data): unchanged columns are sent along rather than
/// beginning another one behind them.
const GAP: usize = 8;
/// An SH1106 has 132 columns; glass of 128 is wired to the middle ones (SH1106 datasheet, figure 4).
const SH1106_COLUMN: usize = 2;

type Pages = [[u8; COLUMNS]; PAGES];

/// An OLED on the bus `I`.
pub struct Oled<I> {
    driver: Ssd1306<I2CInterface<I>, DisplaySize128x64, BasicMode>,
    /// The controller's column of the leftmost pixel.
    first_column: usize,
    percent: u8,
    /// The controller may have lost its power, and acknowledges all the same.
    doubtful: bool,
    /// What the glass shows; none: that is not known, and neither is whether the controller was started.
    glass: Option<Pages>,
}

impl<I: I2c> Oled<I> {
    /// The OLED at the 7-bit `address`; `turned`: upside down. Nothing is sent before the first picture.
    pub fn new(bus: I, address: u8, controller: OledController, turned: bool) -> Self {
        let rotation = if turned { DisplayRotation::Rotate180 } else { DisplayRotation::Rotate0 };
        let interface = I2CDisplayInterface::new_custom_address(bus, address);
        let first_column = if controller == OledController::Sh1106 { SH1106_COLUMN } else { 0 };
        let driver = Ssd1306::new(interface, DisplaySize128x64, rotation);
        Self { driver, first_column, percent: 100, doubtful: false, glass: None }
    }

    /// Shows `picture`: sends what is not on the glass yet.
    ///
    /// # Errors
    /// The controller did not acknowledge, or the bus is gone. With the next picture it is started anew and painted whole.
    pub fn show(&mut self, picture: &Canvas<BinaryColor>) -> io::Result<()> {
        let wanted = pages(picture);
        let shown = self.glass.take();
        let sent = self.send(&wanted, shown.as_ref());
        if sent.is_ok() {
            (self.glass, self.doubtful) = (Some(wanted), false);
        }
        sent
    }

    /// Starts the controller anew with the next picture and paints that whole, without a dark moment: one that had no power
    /// for a moment is dark or full of noise, and acknowledges what it gets.
    pub fn refresh(&mut self) {
        self.doubtful = true;
    }

    fn send(&mut self, wanted: &Pages, shown: Option<&Pages>) -> io::Result<()> {
        if shown.is_none() || self.doubtful {
            self.driver.init_with_addr_mode(AddrMode::Page).map_err(failed)?;
            if shown.is_none() {
                // Its memory is noise after power-on: dark until it is painted.
                self.driver.set_display_on(false).map_err(failed)?;
            }
            self.light()?;
        }
        for (number, page) in wanted.iter().enumerate() {
            let runs = match shown.filter(|_| !self.doubtful) {
                Some(shown) => runs(page, &shown[number]),
                None => vec![(0, COLUMNS)],
            };
            for (from, to) in runs {
                // Both fit: 8 pages of 8 rows, 132 columns.
                self.driver.set_row((number * PAGE) as u8).map_err(failed)?;
                self.driver.set_column((from + self.first_column) as u8).map_err(failed)?;
                self.driver.draw(&page[from..to]).map_err(failed)?;
            }
        }
        if shown.is_none() {
            self.driver.set_display_on(true).map_err(failed)?;
        }
        Ok(())
    }

    /// Light, 0 to 100 percent.
    ///
    /// # Errors
    /// As [`Self::show`]; it is set with the next picture that is painted whole.
    pub fn brightness(&mut self, percent: u8) -> io::Result<()> {
        let old = std::mem::replace(&mut self.percent, percent);
        let set = if old != percent && self.glass.is_some() { self.light() } else { Ok(()) };
        if set.is_err() {
            self.glass = None;
        }
        set
    }

    fn light(&mut self) -> io::Result<()> {
        // A long second phase of the pre-charge makes it brighter than contrast alone can (SSD1306 datasheet, 10.1.17).
        let precharge = if self.percent > 12 { 2 } else { 1 };
        let contrast = u16::from(self.percent.min(100)) * 255 / 100;
        self.driver.set_brightness(Brightness::custom(precharge, contrast as u8)).map_err(failed)
    }
}

/// Which driver of a bus fails how is its own affair: the crate drops the cause.
fn failed(_: impl std::fmt::Debug) -> io::Error {
    io::Error::other("the display does not acknowledge on the I2C bus")
}

fn pages(picture: &Canvas<BinaryColor>) -> Pages {
    let mut pages = [[0; COLUMNS]; PAGES];
    let rows = picture.pixels.chunks_exact(picture.width.max(1) as usize).take(SIZE.1 as usize);
    for (y, row) in rows.enumerate() {
        for (byte, pixel) in pages[y / PAGE].iter_mut().zip(row) {
            *byte |= u8::from(pixel.is_on()) << (y % PAGE);
        }
    }
    pages
}

/// Columns that have to be sent to make `new` of `old`: each from and to, the end not included.
fn runs(new: &[u8; COLUMNS], old: &[u8; COLUMNS]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for column in (0..COLUMNS).filter(|column| new[*column] != old[*column]) {
        match runs.last_mut() {
            Some((_, to)) if column - *to <= GAP => *to = column + 1,
            _ => runs.push((column, column + 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_changes_are_sent_together_and_far_ones_apart() {
        let old = [0; COLUMNS];
        let mut new = old;
        assert_eq!(runs(&new, &old), []);
        new[0] = 1;
        new[9] = 1;
        new[127] = 1;
        assert_eq!(runs(&new, &old), [(0, 10), (127, 128)]);
        assert_eq!(runs(&[1; COLUMNS], &old), [(0, COLUMNS)]);
    }
}
