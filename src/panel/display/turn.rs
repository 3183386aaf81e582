//! Pictures turned, moved and darkened on their way to the glass.

use super::super::canvas::Canvas;
use embedded_graphics::{
    pixelcolor::{BinaryColor, Rgb565},
    prelude::*,
};

/// `picture` turned clockwise by `degrees`: 0, 90, 180 or 270.
pub fn turned(picture: &Canvas<Rgb565>, degrees: u16) -> Canvas<Rgb565> {
    let (width, height) = (picture.width, picture.height);
    let at = |x: u32, y: u32| picture.pixels[(y * width + x) as usize];
    let of = |width: u32, height: u32, from: &dyn Fn(u32, u32) -> Rgb565| {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| from(x, y)).collect();
        Canvas { width, height, pixels }
    };
    match degrees {
        90 => of(height, width, &|x, y| at(y, height - 1 - x)),
        180 => Canvas { width, height, pixels: picture.pixels.iter().rev().copied().collect() },
        270 => of(height, width, &|x, y| at(width - 1 - y, x)),
        _ => picture.clone(),
    }
}

/// `picture` with a `part` of its light.
pub fn darkened(picture: &Canvas<Rgb565>, part: u8) -> Canvas<Rgb565> {
    let dark = |pixel: &Rgb565| Rgb565::new(pixel.r() / part, pixel.g() / part, pixel.b() / part);
    Canvas { pixels: picture.pixels.iter().map(dark).collect(), ..*picture }
}

/// `picture` moved by `shift` pixels to the right and down; what comes in is dark.
pub fn shifted(picture: &Canvas<BinaryColor>, shift: (i32, i32)) -> Canvas<BinaryColor> {
    let mut moved = Canvas::new(picture.width, picture.height, BinaryColor::Off);
    let (width, height) = (picture.width.cast_signed(), picture.height.cast_signed());
    for y in 0..height {
        for x in 0..width {
            let (from_x, from_y) = (x - shift.0, y - shift.1);
            if (0..width).contains(&from_x) && (0..height).contains(&from_y) {
                moved.pixels[(y * width + x) as usize] = picture.pixels[(from_y * width + from_x) as usize];
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(rows: [[u8; 3]; 2]) -> Canvas<Rgb565> {
        Canvas { width: 3, height: 2, pixels: rows.iter().flatten().map(|red| Rgb565::new(*red, 0, 0)).collect() }
    }

    fn reds(picture: &Canvas<Rgb565>) -> Vec<Vec<u8>> {
        picture.pixels.chunks(picture.width as usize).map(|row| row.iter().map(|pixel| pixel.r()).collect()).collect()
    }

    #[test]
    fn pictures_turn_clockwise() {
        let upright = picture([[1, 2, 3], [4, 5, 6]]);
        assert_eq!(reds(&turned(&upright, 90)), [[4, 1], [5, 2], [6, 3]]);
        assert_eq!(reds(&turned(&upright, 180)), [[6, 5, 4], [3, 2, 1]]);
        assert_eq!(reds(&turned(&upright, 270)), [[3, 6], [2, 5], [1, 4]]);
        assert_eq!(turned(&upright, 0), upright);
    }

    #[test]
    fn a_picture_is_moved_and_loses_what_leaves_the_glass() {
        let mut picture = Canvas::new(3, 2, BinaryColor::Off);
        picture.pixels[0] = BinaryColor::On;
        picture.pixels[2] = BinaryColor::On;
        let lit = |picture: &Canvas<BinaryColor>| {
            picture.pixels.iter().enumerate().filter(|(_, pixel)| pixel.is_on()).map(|(at, _)| at).collect::<Vec<_>>()
        };
        assert_eq!(lit(&shifted(&picture, (0, 0))), [0, 2]);
        assert_eq!(lit(&shifted(&picture, (1, 1))), [4]);
        assert_eq!(lit(&shifted(&picture, (-1, 0))), [1]);
    }

    #[test]
    fn dark_colours_keep_their_hue() {
        assert_eq!(reds(&darkened(&picture([[30, 3, 0], [31, 1, 2]]), 3)), [[10, 1, 0], [10, 0, 0]]);
    }
}
