//! The operator's PNG or JPEG file, looked at before anything decodes it: what it says it is, how large, and whether it is
//! whole.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

/// Most bytes of a file.
pub const MOST_BYTES: u64 = 20 << 20;
/// Largest width and height: 8192 x 8192 takes 256 MiB to decode.
pub const LARGEST: u32 = 8192;

/// What a picture file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureFile {
    /// PNG; else JPEG.
    pub png: bool,
    /// Width in pixels, 1 to [`LARGEST`].
    pub width: u32,
    /// Height in pixels, 1 to [`LARGEST`].
    pub height: u32,
}

impl PictureFile {
    /// The size at which it just fits into `width` x `height`, in its own shape.
    pub fn fitted(self, width: u32, height: u32) -> (u32, u32) {
        let scale = (f64::from(width) / f64::from(self.width)).min(f64::from(height) / f64::from(self.height));
        let scaled = |size: u32, most: u32| ((f64::from(size) * scale).round() as u32).clamp(1, most);
        (scaled(self.width, width), scaled(self.height, height))
    }
}

/// Reads a picture file whole. Blocks on the disk.
///
/// # Errors
/// For people: it cannot be read, or is no file of at most [`MOST_BYTES`].
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |why: String| format!("{}: {why}", path.display());
    let meta = fs::metadata(path).map_err(|error| told(error.to_string()))?;
    // Not even opened: a pipe would be waited for.
    if !meta.is_file() {
        return Err(told("it is not a file".into()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    file.map_err(|error| told(error.to_string()))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(told(format!("it is larger than {} MB", MOST_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Reads the size out of a PNG or JPEG, and that it has an end.
///
/// # Errors
/// For people: why it cannot be used.
pub fn look(bytes: &[u8]) -> Result<PictureFile, &'static str> {
    let (png, found) = if let Some(chunks) = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n") {
        (true, png(chunks))
    } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        (false, jpeg(&bytes[2..]))
    } else {
        return Err("it is neither PNG nor JPEG");
    };
    let (width, height) = found.ok_or("it is damaged or cut off")?;
    if !(1..=LARGEST).contains(&width) || !(1..=LARGEST).contains(&height) {
        return Err("it is larger than 8192 x 8192 pixels, or empty");
    }
    Ok(PictureFile { png, width, height })
}

/// Width and height of IHDR, when the chunks reach IEND (PNG specification 5.3, 11.2.2).
fn png(mut chunks: &[u8]) -> Option<(u32, u32)> {
    let (mut size, mut data) = (None, false);
    loop {
        let (length, rest) = chunks.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (content, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        match kind {
            b"IHDR" if size.is_none() => {
                let (width, rest) = content.split_first_chunk::<4>()?;
                let height = rest.first_chunk::<4>()?;
                size = Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)));
            }
            b"IDAT" => data = true,
            b"IEND" => return size.filter(|_| data),
            _ if size.is_none() => return None,
            _ => {}
        }
        // After the content comes its CRC.
        chunks = rest.split_first_chunk::<4>()?.1;
    }
}

/// Width and height of the frame header, when a scan and the end of the picture follow (ITU-T T.81 B.1, B.2).
fn jpeg(mut segments: &[u8]) -> Option<(u32, u32)> {
    let mut size = None;
    loop {
        let (&[0xff, marker], rest) = segments.split_first_chunk::<2>()? else { return None };
        // Fill bytes may come before a marker.
        if marker == 0xff {
            segments = &segments[1..];
            continue;
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk::<2>()?));
        let (segment, rest) = rest.split_at_checked(length)?;
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let &[_, _, _, a, b, c, d] = segment.first_chunk::<7>()?;
                size = size.or(Some((u32::from(u16::from_be_bytes([c, d])), u32::from(u16::from_be_bytes([a, b])))));
            }
            // Where scans begin; in their data ff is always followed by 00 or a restart marker, so that this is the end.
            0xda => return size.filter(|_| rest.windows(2).any(|two| two == [0xff, 0xd9])),
            _ if length < 2 => return None,
            _ => {}
        }
        segments = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32).to_be_bytes(), &kind[..], content, &[0; 4]].concat()
    }

    fn a_png(width: u32, height: u32) -> Vec<u8> {
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let magic = b"\x89PNG\r\n\x1a\n".to_vec();
        [magic, chunk(b"IHDR", &header), chunk(b"IDAT", &[1; 9]), chunk(b"IEND", &[])].concat()
    }

    fn a_jpeg(width: u16, height: u16) -> Vec<u8> {
        let [a, b] = height.to_be_bytes();
        let [c, d] = width.to_be_bytes();
        let mut bytes = vec![0xff, 0xd8];
        // An application segment with what looks like a whole picture of another size, as thumbnails are.
        bytes.extend_from_slice(&[0xff, 0xe1, 0, 13, 0xff, 0xd8, 0xff, 0xc0, 0, 7, 8, 0, 1, 0, 1]);
        bytes.extend_from_slice(&[0xff, 0xff, 0xc2, 0, 8, 8, a, b, c, d, 0]);
        bytes.extend_from_slice(&[0xff, 0xda, 0, 3, 0, 1, 2, 3, 0xff, 0, 4, 0xff, 0xd9]);
        bytes
    }

    #[test]
    fn sizes_are_read_and_limited() {
        let picture = |png, width, height| Ok(PictureFile { png, width, height });
        assert_eq!(look(&a_png(1920, 1080)), picture(true, 1920, 1080));
        assert_eq!(look(&a_jpeg(8192, 3)), picture(false, 8192, 3));
        for large in [a_png(8193, 2), a_png(u32::MAX, u32::MAX), a_png(0, 9), a_jpeg(20, 8193), a_jpeg(20, 0)] {
            assert!(look(&large).is_err_and(|why| why.contains("8192 x 8192")));
        }
        assert!(look(b"GIF89a\x01\0\x01\0").is_err_and(|why| why.contains("neither")));
    }

    #[test]
    fn one_that_is_cut_off_is_refused() {
        for whole in [a_png(64, 64), a_jpeg(64, 64)] {
            for end in 3..whole.len() - 4 {
                assert!(look(&whole[..end]).is_err(), "the first {end} bytes");
            }
            assert!(look(&whole[..whole.len() - 1]).is_err() || whole[0] == 0x89, "but for the CRC of an empty chunk");
        }
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        assert!(read(Path::new("/dev/zero")).is_err_and(|why| why.contains("not a file")));
        assert!(read(Path::new("/nosuch.png")).is_err_and(|why| why.contains("/nosuch.png")));
        let folder = tempfile::tempdir().expect("a folder");
        let long = folder.path().join("long.png");
        File::create(&long).and_then(|file| file.set_len(MOST_BYTES + 1)).expect("a file");
        assert!(read(&long).is_err_and(|why| why.contains("20 MB")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..3u8) {
            let head: &[u8] = match kind { 0 => b"\x89PNG\r\n\x1a\n", 1 => &[0xff, 0xd8, 0xff], _ => &[] };
            if let Ok(picture) = look(&[head, &bytes].concat()) {
                prop_assert!(picture.width.max(picture.height) <= LARGEST);
            }
        }

        #[test]
        fn a_changed_byte_never_breaks_it(at in any::<prop::sample::Index>(), to in any::<u8>(), png in any::<bool>()) {
            let mut bytes = if png { a_png(640, 360) } else { a_jpeg(640, 360) };
            let at = at.index(bytes.len());
            bytes[at] = to;
            let _ = look(&bytes);
        }
    }
}
