//! The picture of the input on a colour display.

use super::canvas::Canvas;
use embedded_graphics::{pixelcolor::Rgb565, prelude::*};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

/// A JPEG may have so many bytes; previews have a tenth of that.
const BYTES: usize = 1_000_000;
/// And so many pixels in a row, and rows.
const LARGEST: (usize, usize) = (1920, 1080);

/// A JPEG made smaller or larger, by averages, to the largest picture of its proportions that `width` and `height` hold. None:
/// it is damaged, or larger than 1 MB or 1920 x 1080.
pub fn decode(jpeg: &[u8], width: u32, height: u32) -> Option<Canvas<Rgb565>> {
    if jpeg.len() > BYTES || width == 0 || height == 0 {
        return None;
    }
    let options = DecoderOptions::default()
        .set_max_width(LARGEST.0)
        .set_max_height(LARGEST.1)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().ok()?;
    let (wide, high) = decoder.dimensions().filter(|size| size.0 > 0 && size.1 > 0)?;
    if wide > LARGEST.0 || high > LARGEST.1 {
        return None;
    }
    let pixels = decoder.decode().ok()?;
    (pixels.len() == wide * high * 3).then(|| scaled(&pixels, wide, high, width, height))
}

fn scaled(pixels: &[u8], wide: usize, high: usize, width: u32, height: u32) -> Canvas<Rgb565> {
    let (w, h) = (width as usize, height as usize);
    let (w, h) = if wide * h > high * w { (w, (high * w / wide).max(1)) } else { ((wide * h / high).max(1), h) };
    let mut canvas = Canvas::new(w as u32, h as u32, Rgb565::BLACK);
    for y in 0..h {
        let rows = y * high / h..((y + 1) * high / h).max(y * high / h + 1);
        for x in 0..w {
            let columns = x * wide / w..((x + 1) * wide / w).max(x * wide / w + 1);
            let mut sums = [0_usize; 3];
            for row in rows.clone() {
                for pixel in pixels[(row * wide + columns.start) * 3..(row * wide + columns.end) * 3].chunks_exact(3) {
                    sums.iter_mut().zip(pixel).for_each(|(sum, part)| *sum += usize::from(*part));
                }
            }
            let [red, green, blue] = sums.map(|sum| (sum / (rows.len() * columns.len())) as u8);
            canvas.pixels[y * w + x] = Rgb565::new(red >> 3, green >> 2, blue >> 3);
        }
    }
    canvas
}
