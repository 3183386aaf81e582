//! Reads what the test picture carries (`src/media/testcard.rs`) out of a decoded picture.

/// What a test picture says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card {
    /// Its counter, 20 bits; one more for each picture.
    pub counter: u32,
    /// Whether its flash is on.
    pub flash: bool,
}

/// Reads the luma plane of a picture; none: it is no test picture, or too damaged to trust.
pub fn read(luma: &[u8], width: usize, height: usize, stride: usize) -> Option<Card> {
    let (cell_width, cell_height) = (width / 32, height / 18);
    // The mean of the inner part, which neither scaling nor the codec's ringing reaches.
    let white = |x: usize, y: usize, w: usize, h: usize| {
        let inner = |start: usize, size: usize| start + size / 4..start + (size * 3 / 4).max(size / 4 + 1);
        let pixels = || inner(y, h).flat_map(|row| inner(x, w).map(move |column| row * stride + column));
        let sum: usize = pixels().map(|at| usize::from(luma[at])).sum();
        match sum / pixels().count() {
            mean if mean > 160 => Some(true),
            mean if mean < 90 => Some(false),
            _ => None,
        }
    };
    let mut bits = 0u32;
    for cell in 0..24 {
        bits = bits << 1 | u32::from(white(cell * cell_width, 0, cell_width, cell_height)?);
    }
    let (sync, counter, sum) = (bits >> 22, bits >> 2 & 0xf_ffff, bits & 3);
    let flash = white(width * 3 / 8, height * 3 / 8, width / 4, height / 4)?;
    (sync == 0b10 && counter.count_ones() % 4 == sum).then_some(Card { counter, flash })
}
