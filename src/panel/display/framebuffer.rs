//! A framebuffer of the kernel (Documentation/fb/api.rst), which small SPI panels with a driver of the kernel's and every
//! DRM driver offer, too.
//!
//! The kernel's console must not draw there: `boards/README.md` says how it is kept away.

use super::super::canvas::Canvas;
use crate::sys::framebuffer::{Layout, layout};
use embedded_graphics::{pixelcolor::Rgb565, prelude::*};
use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::FileExt},
    path::Path,
};

/// Pictures are drawn with about so many rows, and each of their pixels is made a square of several.
const ROWS: u32 = 240;
/// No screen is laid out for less.
const LEAST: (u32, u32) = (160, 128);

/// An open framebuffer.
#[derive(Debug)]
pub struct Framebuffer {
    file: File,
    layout: Layout,
    /// Pixels of the glass in one pixel of a picture, across and down.
    scale: u32,
    /// What the glass shows; none: that is not known.
    glass: Option<Canvas<Rgb565>>,
}

impl Framebuffer {
    /// Opens the framebuffer at `device`.
    ///
    /// # Errors
    /// It is not there, may not be written, or has pixels that are not of 16, 24 or 32 bits.
    pub fn open(device: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(device)?;
        let layout = layout(file.as_fd())?;
        Ok(Self::of(file, layout))
    }

    fn of(file: File, layout: Layout) -> Self {
        let scale = (layout.height / ROWS).max(1);
        Self { file, layout, scale, glass: None }
    }

    /// Width and height of the pictures that it shows.
    pub fn size(&self) -> (u32, u32) {
        ((self.layout.width / self.scale).max(LEAST.0), (self.layout.height / self.scale).max(LEAST.1))
    }

    /// Shows `picture` in the middle: writes the rows that are not on the glass yet.
    ///
    /// # Errors
    /// The device is gone. The next picture is written whole.
    pub fn show(&mut self, picture: &Canvas<Rgb565>) -> io::Result<()> {
        let shown = self.glass.take().filter(|shown| shown.width == picture.width && shown.height == picture.height);
        if shown.is_none() {
            let row = vec![0; self.layout.width as usize * self.layout.bytes as usize];
            (0..self.layout.height).try_for_each(|y| self.write(0, y, &row))?;
        }
        let width = picture.width as usize;
        let (left, top) =
            (self.margin(self.layout.width, picture.width), self.margin(self.layout.height, picture.height));
        for (y, row) in (0..).zip(picture.pixels.chunks_exact(width)) {
            let old = shown.as_ref().map(|shown| &shown.pixels[y as usize * width..][..width]);
            if old == Some(row) {
                continue;
            }
            let bytes = self.bytes(row);
            for line in 0..self.scale {
                let at = top + y * self.scale + line;
                if at < self.layout.height {
                    self.write(left, at, &bytes)?;
                }
            }
        }
        self.glass = Some(picture.clone());
        Ok(())
    }

    fn margin(&self, glass: u32, picture: u32) -> u32 {
        glass.saturating_sub(picture * self.scale) / 2
    }

    /// A row of pixels as the framebuffer has them; what is beyond its edge is left out.
    fn bytes(&self, row: &[Rgb565]) -> Vec<u8> {
        let Layout { red, green, blue, .. } = self.layout;
        let most = (self.layout.width / self.scale) as usize;
        let mut bytes = Vec::with_capacity(row.len().min(most) * (self.scale * self.layout.bytes) as usize);
        for pixel in row.iter().take(most) {
            let value = red.place(pixel.r(), 5) | green.place(pixel.g(), 6) | blue.place(pixel.b(), 5);
            for _ in 0..self.scale {
                bytes.extend_from_slice(&value.to_le_bytes()[..self.layout.bytes as usize]);
            }
        }
        bytes
    }

    fn write(&self, x: u32, y: u32, bytes: &[u8]) -> io::Result<()> {
        let at = self.layout.start + u64::from(y) * u64::from(self.layout.line) + u64::from(x * self.layout.bytes);
        self.file.write_all_at(bytes, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::framebuffer::Field;

    /// A file in place of a framebuffer.
    fn framebuffer(width: u32, height: u32, bytes: u32) -> Framebuffer {
        let field = |offset, length| Field { offset, length };
        let (red, green, blue) = match bytes {
            2 => (field(11, 5), field(5, 6), field(0, 5)),
            _ => (field(16, 8), field(8, 8), field(0, 8)),
        };
        let layout = Layout { width, height, bytes, line: width * bytes + 16, start: 8, red, green, blue };
        let file = tempfile::tempfile().expect("a file");
        file.set_len(8 + u64::from(layout.line) * u64::from(height)).expect("its size");
        Framebuffer::of(file, layout)
    }

    fn pixel(of: &Framebuffer, x: u32, y: u32) -> u32 {
        let mut bytes = [0; 4];
        let at = 8 + u64::from(y * of.layout.line + x * of.layout.bytes);
        of.file.read_exact_at(&mut bytes[..of.layout.bytes as usize], at).expect("in the file");
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn colours_are_where_the_driver_wants_them() {
        for (bytes, red, white) in [(2, 0xf800, 0xffff), (4, 0xff_0000, 0xff_ffff)] {
            let mut glass = framebuffer(320, 240, bytes);
            assert_eq!(glass.size(), (320, 240));
            let mut picture = Canvas::new(320, 240, Rgb565::BLACK);
            picture.pixels[0] = Rgb565::RED;
            picture.pixels[320 * 240 - 1] = Rgb565::WHITE;
            glass.show(&picture).expect("shown");
            assert_eq!([pixel(&glass, 0, 0), pixel(&glass, 1, 0), pixel(&glass, 319, 239)], [red, 0, white]);
        }
    }

    #[test]
    fn a_large_one_shows_large_pixels_in_its_middle() {
        let mut glass = framebuffer(1280, 720, 4);
        assert_eq!(glass.size(), (426, 240));
        glass.show(&Canvas::new(426, 240, Rgb565::WHITE)).expect("shown");
        let row: Vec<u32> = [0, 1, 1278, 1279].into_iter().map(|x| pixel(&glass, x, 719)).collect();
        assert_eq!(row, [0, 0xff_ffff, 0xff_ffff, 0], "a pixel of margin on each side");
    }

    #[test]
    fn only_changed_rows_are_written() {
        let mut glass = framebuffer(320, 240, 2);
        let mut picture = Canvas::new(320, 240, Rgb565::BLACK);
        glass.show(&picture).expect("shown");
        // Somebody else draws there; a row that did not change keeps it.
        glass.file.write_all_at(&[0xff; 2], 8 + 10 * u64::from(glass.layout.line)).expect("written");
        glass.file.write_all_at(&[0xff; 2], 8 + 11 * u64::from(glass.layout.line)).expect("written");
        picture.pixels[11 * 320 + 5] = Rgb565::RED;
        glass.show(&picture).expect("shown");
        assert_eq!([pixel(&glass, 0, 10), pixel(&glass, 0, 11), pixel(&glass, 5, 11)], [0xffff, 0, 0xf800]);
    }

    #[test]
    fn one_that_is_smaller_than_any_screen_shows_a_part() {
        let mut glass = framebuffer(96, 64, 2);
        assert_eq!(glass.size(), LEAST);
        glass.show(&Canvas::new(160, 128, Rgb565::WHITE)).expect("shown");
        assert_eq!(pixel(&glass, 95, 63), 0xffff);
    }

    #[test]
    fn what_is_no_framebuffer_is_an_error() {
        assert!(Framebuffer::open(Path::new("/dev/null")).is_err());
        assert!(Framebuffer::open(Path::new("/nowhere")).is_err());
    }
}
