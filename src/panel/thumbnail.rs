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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 32x16, red at the left and blue at the right, as ffmpeg's mjpeg encoder wrote it.
    const HALVES: &[u8] = include_bytes!("../../tests/snapshots/halves.jpg");

    #[test]
    fn a_picture_is_made_smaller_by_averages() {
        let picture = decode(HALVES, 8, 8).expect("a picture");
        assert_eq!((picture.width, picture.height), (8, 4), "its proportions stay");
        let (left, right) = (picture.pixels[0], picture.pixels[7]);
        assert!(left.r() > 25 && left.b() < 6, "{left:?}");
        assert!(right.b() > 25 && right.r() < 6, "{right:?}");
        let whole = decode(HALVES, 1, 1).expect("a picture");
        let mean = whole.pixels[0];
        assert!((12..=19).contains(&mean.r()) && (12..=19).contains(&mean.b()), "{mean:?}");
        assert_eq!(decode(HALVES, 64, 64).map(|picture| (picture.width, picture.height)), Some((64, 32)));
    }

    #[test]
    fn what_is_too_large_or_damaged_is_refused() {
        assert_eq!(decode(HALVES, 0, 8), None);
        assert_eq!(decode(&HALVES[..40], 8, 8), None);
        assert_eq!(decode(b"", 8, 8), None);
        let mut padded = HALVES.to_vec();
        padded.resize(BYTES + 1, 0);
        assert_eq!(decode(&padded, 8, 8), None);
        // The frame header (SOF0) says 32x16: as 16384x16 it is more than a preview can be.
        let mut wide = HALVES.to_vec();
        let header = wide.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame header");
        (wide[header + 7], wide[header + 8]) = (0x40, 0);
        assert_eq!(decode(&wide, 8, 8), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_picture_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..2000,
                                              size in (0_u32..40, 0_u32..40)) {
            let _ = decode(&bytes, size.0, size.1);
            let mut damaged = HALVES.to_vec();
            let from = at % damaged.len();
            for (byte, other) in damaged[from..].iter_mut().zip(bytes.iter().take(6)) {
                *byte = *other;
            }
            if let Some(picture) = decode(&damaged, size.0, size.1) {
                prop_assert!(picture.width <= size.0 && picture.height <= size.1);
                prop_assert_eq!(picture.pixels.len(), (picture.width * picture.height) as usize);
            }
        }
    }
}
