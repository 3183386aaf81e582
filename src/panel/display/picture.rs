//! A picture file in place of a display: for a desk, and for whoever changes a screen.

use super::super::canvas::Canvas;
use embedded_graphics::{pixelcolor::Rgb565, prelude::*};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// Width and height, those of the colour panels.
pub const SIZE: (u32, u32) = (320, 240);

/// A PNG file that is written anew with each picture.
#[derive(Debug)]
pub struct Picture {
    file: PathBuf,
}

impl Picture {
    /// Pictures go to `file`. Its folder is made if it is missing: the first picture comes before the state folder is opened.
    ///
    /// # Errors
    /// The folder is not there and cannot be made.
    pub fn open(file: &Path) -> io::Result<Self> {
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(Self { file: file.into() })
    }

    /// Puts `picture` in the place of the last one; who reads never sees half of one.
    ///
    /// # Errors
    /// The disk is full, or the folder is gone.
    pub fn show(&self, picture: &Canvas<Rgb565>) -> io::Result<()> {
        let mut name = self.file.file_name().unwrap_or_default().to_os_string();
        name.push(".new");
        let new = self.file.with_file_name(name);
        fs::write(&new, png(picture)?)?;
        fs::rename(&new, &self.file)
    }
}

/// `picture` as a PNG.
fn png(picture: &Canvas<Rgb565>) -> io::Result<Vec<u8>> {
    let scaled = |value: u8, most: u16| (u16::from(value) * 255 / most) as u8;
    let rgb = |pixel: &Rgb565| [scaled(pixel.r(), 31), scaled(pixel.g(), 63), scaled(pixel.b(), 31)];
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let pixels: Vec<u8> = picture.pixels.iter().flat_map(rgb).collect();
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_picture_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("state/panel.png");
        let shown = Picture::open(&file).expect("a place");
        let mut picture = Canvas::new(4, 2, Rgb565::BLACK);
        picture.pixels[5] = Rgb565::RED;
        shown.show(&picture).expect("written");
        shown.show(&picture).expect("written again");
        let bytes = io::Cursor::new(fs::read(&file).expect("the file"));
        let mut reader = png::Decoder::new(bytes).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("a picture");
        assert_eq!((info.width, info.height), (4, 2));
        assert_eq!(pixels[15..18], [255, 0, 0]);
        assert_eq!(fs::read_dir(folder.path().join("state")).expect("the folder").count(), 1);
    }
}
