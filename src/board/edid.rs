//! EDID: what an HDMI receiver tells sources that it can take (VESA E-EDID Standard A.2, CTA-861-G).

use std::{fmt, str::FromStr};

const BLOCK: usize = 128;

/// A checked EDID: 1 to 4 blocks of 128 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Edid(Vec<u8>);

impl Edid {
    /// Its blocks.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `loaded` is this EDID, as a driver gives it back: it may have put in the physical address of its own place
    /// among the HDMI devices (HDMI 1.4b 8.7) and mended the block's sum.
    pub fn is(&self, loaded: &[u8]) -> bool {
        let address = self.physical_address();
        let ours = |at: usize| at % BLOCK != BLOCK - 1 && !address.is_some_and(|from| (from..from + 2).contains(&at));
        let mut pairs = self.0.iter().zip(loaded).enumerate();
        self.0.len() == loaded.len() && pairs.all(|(at, (one, other))| one == other || !ours(at))
    }

    /// Where the physical address is: in the HDMI block, which begins with the number 00-0C-03 of HDMI Licensing, of the
    /// first CTA extension (CTA-861-G 7.5).
    fn physical_address(&self) -> Option<usize> {
        let extension = self.0.get(BLOCK..2 * BLOCK).filter(|extension| extension[0] == 2)?;
        let mut at = 4;
        while at + 4 < usize::from(extension[2]).min(BLOCK) {
            if extension[at] >> 5 == 3 && extension[at + 1..at + 4] == [0x03, 0x0c, 0x00] {
                return Some(BLOCK + at + 4);
            }
            at += usize::from(extension[at] & 31) + 1;
        }
        None
    }
}

impl fmt::Debug for Edid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Edid {
    /// What is wrong, for people.
    type Err = String;

    /// Reads hex digits, blanks ignored, and checks what a receiver's driver would refuse or a source would ignore.
    fn from_str(text: &str) -> Result<Self, String> {
        from_hex(text).map(Self)
    }
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.chars().filter(|letter| !letter.is_whitespace());
    let digits = digits.map(|letter| letter.to_digit(16).ok_or(format!("expected hex digits, got {letter:?}")));
    let digits = digits.collect::<Result<Vec<u32>, String>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    if digits.is_empty() || digits.len() % (2 * BLOCK) != 0 || bytes.len() > 4 * BLOCK {
        return Err(format!("expected 1 to 4 blocks of {BLOCK} bytes, got {} hex digits", digits.len()));
    }
    check(&bytes)?;
    Ok(bytes)
}

/// Header, number of blocks (E-EDID 3.3 and 3.9) and the sum of each block.
fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes[..8] != [0, 255, 255, 255, 255, 255, 255, 0] {
        return Err("expected it to begin with 00ffffffffffff00".into());
    }
    let extensions = usize::from(bytes[126]);
    if bytes.len() != BLOCK * (extensions + 1) {
        return Err(format!("byte 126 announces {extensions} extension blocks, {} follow", bytes.len() / BLOCK - 1));
    }
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        let sum = block[..BLOCK - 1].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let (found, expected) = (block[BLOCK - 1], sum.wrapping_neg());
        if found != expected {
            return Err(format!("the last byte of block {number} has to be {expected:02x}, got {found:02x}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The smallest that passes: a header, zeros and the sum (6 x 255 + 6 = 1536 = 6 x 256).
    fn smallest() -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        bytes[1..7].fill(255);
        bytes[127] = 6;
        bytes
    }

    #[test]
    fn takes_whole_blocks_with_right_sums() {
        assert_eq!(from_hex(&hex(&smallest())), Ok(smallest()));
        let spaced = hex(&smallest()).replace("ff", " FF\n");
        assert_eq!(from_hex(&spaced), Ok(smallest()));
    }

    #[test]
    fn a_driver_may_put_in_its_own_address() {
        let mut bytes = smallest();
        (bytes[126], bytes[127]) = (1, 5);
        bytes.extend([0; BLOCK]);
        bytes[BLOCK..BLOCK + 12].copy_from_slice(&[2, 3, 12, 0, 0x65, 0x03, 0x0c, 0x00, 0x10, 0x00, 0, 0x41]);
        let edid = Edid(bytes.clone());
        assert!(edid.is(&bytes));
        (bytes[BLOCK + 8], bytes[BLOCK + 127]) = (0x21, 0x77);
        assert!(edid.is(&bytes));
        bytes[BLOCK + 3] = 0x40;
        assert!(!edid.is(&bytes), "sound is announced");
        assert!(!edid.is(&bytes[..BLOCK]));
        assert!(!edid.is(&[]));
        // An extension that claims more than there is.
        let mut torn = smallest();
        torn.extend([0x02, 3, 255, 0].into_iter().chain([0x1f; 124]));
        assert_eq!(Edid(torn).physical_address(), None);
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = smallest();
            change(&mut bytes);
            from_hex(&hex(&bytes)).expect_err("refused")
        };
        assert_eq!(wrong(&|bytes| bytes.truncate(127)), "expected 1 to 4 blocks of 128 bytes, got 254 hex digits");
        assert_eq!(wrong(&|bytes| bytes.clear()), "expected 1 to 4 blocks of 128 bytes, got 0 hex digits");
        assert_eq!(wrong(&|bytes| bytes[127] = 7), "the last byte of block 0 has to be 06, got 07");
        assert_eq!(wrong(&|bytes| bytes[0] = 1), "expected it to begin with 00ffffffffffff00");
        assert_eq!(wrong(&|bytes| bytes[126] = 1), "byte 126 announces 1 extension blocks, 0 follow");
        assert_eq!(wrong(&|bytes| bytes.resize(256, 0)), "byte 126 announces 0 extension blocks, 1 follow");
        assert_eq!(from_hex("00 zz"), Err("expected hex digits, got 'z'".into()));
    }
}
