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
    ops::Range,
    os::{fd::AsFd, unix::fs::FileExt},
    path::Path,
};

/// The shorter side of pictures has about so many pixels, each of which is made a square of several.
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
        let scale = (layout.width.min(layout.height) / ROWS).max(1);
        Self { file, layout, scale, glass: None }
    }

    /// Width and height of the pictures that it shows.
    pub fn size(&self) -> (u32, u32) {
        ((self.layout.width / self.scale).max(LEAST.0), (self.layout.height / self.scale).max(LEAST.1))
    }

    /// Shows `picture` in the middle: writes the lines that are not on the glass yet.
    ///
    /// # Errors
    /// The device is gone. The next picture is written whole.
    pub fn show(&mut self, picture: &Canvas<Rgb565>) -> io::Result<()> {
        let shown = self.glass.take().filter(|shown| shown.width == picture.width && shown.height == picture.height);
        let Some(shown) = shown else {
            self.write(0..self.layout.height, picture)?;
            self.glass = Some(picture.clone());
            return Ok(());
        };
        let changed = |line: u32| self.row(line, picture) != self.row(line, &shown);
        let changed: Vec<bool> = (0..self.layout.height).map(changed).collect();
        for run in runs(&changed) {
            self.write(run, picture)?;
        }
        self.glass = Some(picture.clone());
        Ok(())
    }

    /// What `picture` has on this line of the glass; none in the margin.
    fn row<'a>(&self, line: u32, picture: &'a Canvas<Rgb565>) -> Option<&'a [Rgb565]> {
        let row = line.checked_sub(self.margin(self.layout.height, picture.height))? / self.scale;
        picture.pixels.chunks_exact(picture.width as usize).nth(row as usize)
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

    /// Writes whole lines, all at once; the margins are black.
    fn write(&self, lines: Range<u32>, picture: &Canvas<Rgb565>) -> io::Result<()> {
        let Layout { width, bytes, line, start, .. } = self.layout;
        let (first, left) = (lines.start, (self.margin(width, picture.width) * bytes) as usize);
        let mut block = vec![0; (lines.len() * line as usize).saturating_sub((line - width * bytes) as usize)];
        for (number, at) in lines.zip((0..).step_by(line as usize)) {
            let row: Vec<u8> = self.row(number, picture).map(|row| self.bytes(row)).unwrap_or_default();
            block[at + left..][..row.len()].copy_from_slice(&row);
        }
        self.file.write_all_at(&block, start + u64::from(first) * u64::from(line))
    }
}

/// Runs of lines that are `changed`, two at least: of a write that ends with the only line in which it began the kernel takes
/// no notice, as it looks for its end at the start of the next (`drm_fb_helper_memory_range_to_clip`, seen with 6.1).
fn runs(changed: &[bool]) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for line in (0..).zip(changed).filter(|(_, changed)| **changed).map(|(line, _)| line) {
        match runs.last_mut() {
            Some(run) if run.end >= line => run.end = line + 1,
            _ => runs.push(line..line + 1),
        }
    }
    let lines = u32::try_from(changed.len()).unwrap_or(u32::MAX);
    for run in runs.iter_mut().filter(|run| run.len() == 1) {
        *run = if run.end < lines { run.start..run.end + 1 } else { run.start.saturating_sub(1)..run.end };
    }
    runs
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
        // Lines of 2 bytes a pixel are padded, as some drivers' are.
        let line = width * bytes + if bytes == 2 { 16 } else { 0 };
        let layout = Layout { width, height, bytes, line, start: 8, red, green, blue };
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
    fn only_changed_lines_are_written_and_never_one_alone() {
        let mut glass = framebuffer(320, 240, 2);
        let mut picture = Canvas::new(320, 240, Rgb565::BLACK);
        glass.show(&picture).expect("shown");
        // Somebody else draws there; a line that did not change keeps it.
        for line in [10, 11, 12, 13] {
            glass.file.write_all_at(&[0xff; 2], 8 + line * u64::from(glass.layout.line)).expect("written");
        }
        picture.pixels[11 * 320 + 5] = Rgb565::RED;
        glass.show(&picture).expect("shown");
        let left = [10, 11, 12, 13].map(|line| pixel(&glass, 0, line));
        assert_eq!((left, pixel(&glass, 5, 11)), ([0xffff, 0, 0, 0xffff], 0xf800));
        let of = |lines: &[u32]| runs(&(0..9).map(|line| lines.contains(&line)).collect::<Vec<_>>());
        assert_eq!(of(&[0, 3, 4, 8]), [0..2, 3..5, 7..9]);
        assert_eq!((of(&[]), of(&[2, 4])), (vec![], vec![2..4, 4..6]));
    }

    #[test]
    fn an_upright_one_shows_all_of_the_picture() {
        for (width, height) in [(720, 1280), (400, 1280), (1080, 1920)] {
            let glass = framebuffer(width, height, 4);
            let (wide, high) = glass.size();
            assert!(wide * glass.scale <= width && high * glass.scale <= height, "{width}x{height}: {wide}x{high}");
        }
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
