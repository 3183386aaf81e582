//! Pictures that the worker draws itself: the built-in card and the bars.

use ab_glyph::{Font, FontRef, Glyph, InvalidFont, PxScale, ScaleFont, point};

/// Latin, Greek, Cyrillic, Armenian and Georgian letters of DejaVu Sans Condensed Bold 2.37; `font/README` says how it was
/// made smaller.
const FONT: &[u8] = include_bytes!("font/DejaVuSansCondensed-Bold.ttf");
/// What stands under the name.
const SOON: &str = "The picture will be back soon";

type Rgb = [u8; 3];

const TOP: [f32; 3] = [30.0, 42.0, 58.0];
const BOTTOM: [f32; 3] = [9.0, 13.0, 20.0];
const NAME: Rgb = [240, 243, 246];
const LINE: Rgb = [166, 180, 196];
const RULE: Rgb = [226, 152, 44];

/// A picture: rows from the top, three bytes a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Canvas {
    /// All black.
    pub fn black(width: u32, height: u32) -> Self {
        Self { width, height, rgb: vec![0; width as usize * height as usize * 3] }
    }

    /// A calm background with the box's `name` large in its middle, and a line under it. Characters that the font has not
    /// are left out; when too much of the name goes with them, the line stands alone.
    ///
    /// # Errors
    /// The built-in font cannot be read.
    pub fn name(width: u32, height: u32, name: &str) -> Result<Self, InvalidFont> {
        let font = FontRef::try_from_slice(FONT)?;
        let mut canvas = Self::black(width, height);
        canvas.gradient();
        // As if on a picture of 16:9, so that it fits upright ones as well.
        let unit = (height as f32).min(width as f32 * 9.0 / 16.0);
        let broad = width as f32 * 0.84;
        let middle = height as f32 / 2.0;
        let Some(name) = readable(&font, name) else {
            let size = fitting(&font, SOON, unit * 0.075, broad);
            canvas.text(&font, SOON, size, middle + size * 0.36, NAME);
            return Ok(canvas);
        };
        let large = unit * 0.125;
        let lines = broken(&font, &name, large, broad);
        let size = lines.iter().map(|line| fitting(&font, line, large, broad)).fold(large, f32::min);
        let small = fitting(&font, SOON, (unit * 0.05).max(11.0), broad);
        // The block of name, rule and line stands in the middle.
        let (advance, gap) = (size * 1.15, unit * 0.055);
        let tall = advance * (lines.len() as f32 - 1.0) + size * 0.73 + gap * 2.0 + small * 0.73;
        let mut baseline = middle - tall / 2.0 + size * 0.73;
        for line in &lines {
            canvas.text(&font, line, size, baseline, NAME);
            baseline += advance;
        }
        let below = baseline - advance + gap;
        let thick = (unit / 160.0).round().max(1.0);
        let (half, left) = (unit * 0.06, width as f32 / 2.0);
        canvas.fill((left - half) as u32, (below - thick / 2.0) as u32, (half * 2.0) as u32, thick as u32, RULE);
        canvas.text(&font, SOON, small, below + gap + small * 0.73, LINE);
        Ok(canvas)
    }

    /// Colour bars after SMPTE ECR 1-1978. What is blacker than black there is black here: RGB has nothing below it.
    pub fn bars(width: u32, height: u32) -> Self {
        const GREY: Rgb = [191, 191, 191];
        const BARS: [Rgb; 7] =
            [GREY, [191, 191, 0], [0, 191, 191], [0, 191, 0], [191, 0, 191], [191, 0, 0], [0, 0, 191]];
        let mut canvas = Self::black(width, height);
        let (first, second) = (height * 2 / 3, height * 3 / 4);
        // Edges in twelfths of a bar.
        let edge = |twelfths: u32| (u64::from(width) * u64::from(twelfths) / 84) as u32;
        let mut row = |top: u32, bottom: u32, from: u32, to: u32, colour: Rgb| {
            canvas.fill(edge(from), top, edge(to) - edge(from), bottom - top, colour);
        };
        for (n, colour) in BARS.into_iter().enumerate() {
            let n = n as u32;
            row(0, first, n * 12, n * 12 + 12, colour);
            // The same backwards, each other one black.
            if n.is_multiple_of(2) {
                row(first, second, n * 12, n * 12 + 12, BARS[6 - n as usize]);
            }
        }
        row(second, height, 0, 15, [0, 33, 76]);
        row(second, height, 15, 30, [255, 255, 255]);
        row(second, height, 30, 45, [50, 0, 106]);
        row(second, height, 68, 72, [10, 10, 10]);
        canvas
    }

    /// Puts a picture of `width` x `height` pixels, four bytes each with their opacity last, into the middle.
    pub fn place(&mut self, width: u32, height: u32, stride: usize, rgba: &[u8]) {
        let (left, top) = (self.width.saturating_sub(width) / 2, self.height.saturating_sub(height) / 2);
        let (wide, left) = (width.min(self.width) as usize, left as usize);
        let rows = self.rgb.chunks_exact_mut(self.width as usize * 3).skip(top as usize);
        for (row, source) in rows.zip(rgba.chunks(stride)).take(height as usize) {
            let pixels = row[left * 3..].as_chunks_mut::<3>().0;
            for (pixel, &[r, g, b, a]) in pixels.iter_mut().zip(source.as_chunks::<4>().0).take(wide) {
                *pixel = [r, g, b].map(|colour| ((u16::from(colour) * u16::from(a) + 127) / 255) as u8);
            }
        }
    }

    /// From top to bottom. Noise against stripes would cost more than all else: x264 spent 2.2 Mbit/s of 4 on it, not 0.2.
    fn gradient(&mut self) {
        let height = self.height as f32;
        for (y, row) in self.rgb.chunks_exact_mut(self.width as usize * 3).enumerate() {
            let at = y as f32 / height;
            row.as_chunks_mut::<3>()
                .0
                .fill(std::array::from_fn(|n| (TOP[n] + (BOTTOM[n] - TOP[n]) * at).round() as u8));
        }
    }

    fn fill(&mut self, left: u32, top: u32, width: u32, height: u32, colour: Rgb) {
        let (left, right) = (left.min(self.width) as usize, left.saturating_add(width).min(self.width) as usize);
        let rows = self.rgb.chunks_exact_mut(self.width as usize * 3).skip(top as usize).take(height as usize);
        for row in rows {
            row[left * 3..right * 3].as_chunks_mut::<3>().0.fill(colour);
        }
    }

    /// Writes one line in the middle.
    fn text(&mut self, font: &FontRef<'_>, text: &str, size: f32, baseline: f32, colour: Rgb) {
        let (glyphs, width) = set(font, text, size);
        let left = (self.width as f32 - width) / 2.0;
        for mut glyph in glyphs {
            glyph.position = point(glyph.position.x + left, baseline);
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            outline.draw(|x, y, covered| {
                let (x, y) = (corner.x as i64 + i64::from(x), corner.y as i64 + i64::from(y));
                let inside = (0..i64::from(self.width)).contains(&x) && (0..i64::from(self.height)).contains(&y);
                let at = (y * i64::from(self.width) + x) as usize * 3;
                let Some(pixel) = self.rgb.get_mut(at..at + 3).filter(|_| inside) else { return };
                for (old, new) in pixel.iter_mut().zip(colour) {
                    let (from, to) = (f32::from(*old), f32::from(new));
                    *old = (from + (to - from) * covered.clamp(0.0, 1.0) + 0.5) as u8;
                }
            });
        }
    }
}

/// The glyphs of a line that begins at zero, and how wide it is.
fn set(font: &FontRef<'_>, text: &str, size: f32) -> (Vec<Glyph>, f32) {
    let scaled = font.as_scaled(PxScale::from(size));
    let (mut glyphs, mut at, mut last) = (Vec::new(), 0.0, None);
    for id in text.chars().map(|letter| font.glyph_id(letter)) {
        at += last.map_or(0.0, |last| scaled.kern(last, id));
        glyphs.push(id.with_scale_and_position(size, point(at, 0.0)));
        at += scaled.h_advance(id);
        last = Some(id);
    }
    (glyphs, at)
}

/// The size, at most `size`, at which the line is no wider than `broad`.
fn fitting(font: &FontRef<'_>, text: &str, size: f32, broad: f32) -> f32 {
    size * (broad / set(font, text, size).1.max(1.0)).min(1.0)
}

/// What the font can show of `name`; none when that is less than half of it.
fn readable(font: &FontRef<'_>, name: &str) -> Option<String> {
    let shows = |letter: &char| letter.is_whitespace() || font.glyph_id(*letter).0 != 0;
    let shown: String = name.chars().filter(shows).collect();
    let letters = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).count();
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    (letters(&words) * 2 >= letters(name).max(1)).then_some(words)
}

/// The name in one line, or in two where it would have to be much smaller; cut where even that is too long.
fn broken(font: &FontRef<'_>, name: &str, size: f32, broad: f32) -> Vec<String> {
    /// Letters stay at least so large, of the size wanted.
    const SMALLEST: f32 = 0.45;
    let fits = |text: &str| fitting(font, text, size, broad) / size;
    if fits(name) > 0.7 {
        return vec![name.into()];
    }
    let spaces = name.match_indices(' ').map(|(at, _)| name.split_at(at));
    let two = spaces.map(|(first, second)| [first, &second[1..]]);
    let worst = |lines: &[&str; 2]| fits(lines[0]).min(fits(lines[1]));
    let lines = match two.max_by(|one, other| worst(one).total_cmp(&worst(other))) {
        Some(two) => two.to_vec(),
        None => vec![name],
    };
    let cut = |line: &str| {
        let mut line = line.to_owned();
        let long = fits(&line) < SMALLEST;
        while long && fits(&format!("{line}…")) < SMALLEST && line.pop().is_some() {}
        if long { format!("{}…", line.trim_end()) } else { line }
    };
    lines.into_iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounds of what is brighter than the background: left, top, right, bottom.
    fn bounds(canvas: &Canvas) -> [u32; 4] {
        let mut found = [u32::MAX, u32::MAX, 0, 0];
        for (n, pixel) in canvas.rgb.as_chunks::<3>().0.iter().enumerate() {
            if pixel[0] > 100 {
                let (x, y) = (n as u32 % canvas.width, n as u32 / canvas.width);
                found = [found[0].min(x), found[1].min(y), found[2].max(x), found[3].max(y)];
            }
        }
        found
    }

    #[test]
    fn the_name_stands_in_the_middle_within_the_safe_area() {
        let long = "A very long name of a box that somebody typed in without any thought for those who read it";
        let names = ["OB van 3", "Übertragungswagen Süd", "Студия 2", "Αθήνα", "a", long, &long.replace(' ', "")];
        for (width, height) in [(1280, 720), (320, 180), (1920, 1080), (720, 1280), (720, 576)] {
            for name in names {
                let [left, top, right, bottom] = bounds(&Canvas::name(width, height, name).expect("a card"));
                assert!(left >= width / 20 && right <= width * 19 / 20, "{name} {width}: {left} to {right}");
                assert!(top >= height / 10 && bottom <= height * 9 / 10, "{name} {height}: {top} to {bottom}");
                assert!((left + right).abs_diff(width) <= width / 40, "{name}: {left} to {right} of {width}");
                assert!((top + bottom).abs_diff(height) <= height / 12, "{name}: {top} to {bottom} of {height}");
            }
        }
    }

    #[test]
    fn names_that_the_font_has_not_leave_the_line_alone() {
        let card = |name| Canvas::name(640, 360, name).expect("a card");
        assert_eq!(card("東京スタジオ"), card(""));
        assert_eq!(card("🎥"), card("\u{7}"));
        assert_eq!(card("Kamera 🎥 2"), card("Kamera 2"));
        assert_ne!(card("Kamera 2"), card("Kamera 3"));
    }

    #[test]
    fn any_size_can_be_drawn_on() {
        for (width, height) in [(16, 16), (16, 8192), (18, 16), (8192, 16), (176, 144)] {
            for canvas in [Canvas::name(width, height, "OB van 3").expect("a card"), Canvas::bars(width, height)] {
                assert_eq!(canvas.rgb.len(), (width * height * 3) as usize);
            }
        }
    }

    #[test]
    fn bars_have_their_colours_in_their_places() {
        let bars = Canvas::bars(1280, 720);
        let at = |x: usize, y: usize| bars.rgb.as_chunks::<3>().0[y * 1280 + x];
        let top: Vec<Rgb> = (0..7).map(|n| at(91 + n * 183, 100)).collect();
        assert_eq!((top[0], top[3], top[6]), ([191; 3], [0, 191, 0], [0, 0, 191]));
        assert_eq!((at(91, 510), at(91 + 183, 510), at(91 + 6 * 183, 510)), ([0, 0, 191], [0; 3], [191; 3]));
        assert_eq!((at(300, 700), at(800, 700)), ([255; 3], [0; 3]));
    }

    #[test]
    fn a_picture_is_placed_with_borders_and_its_transparency_on_black() {
        let mut canvas = Canvas::black(4, 4);
        let pixels = [[200, 100, 50, 255], [200, 100, 50, 0], [9; 4], [200, 100, 50, 128], [255; 4], [9; 4]].concat();
        canvas.place(2, 2, 12, &pixels);
        let rows: Vec<&[u8]> = canvas.rgb.chunks(12).collect();
        assert_eq!(rows[1], [0, 0, 0, 200, 100, 50, 0, 0, 0, 0, 0, 0]);
        assert_eq!(rows[2], [0, 0, 0, 100, 50, 25, 255, 255, 255, 0, 0, 0]);
        assert_eq!((rows[0], rows[3]), (&[0; 12][..], &[0; 12][..]));
    }
}
