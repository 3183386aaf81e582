//! Reads FLV files (Adobe "Video File Format" 10.1, annex E), as recorded by an ingest or made by ffmpeg.

/// One tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// 8 sound, 9 picture, 18 data.
    pub kind: u8,
    /// Milliseconds, all 32 bits.
    pub timestamp: u32,
    /// What follows the tag's header.
    pub body: Vec<u8>,
}

impl Tag {
    /// A coded picture of H.264 (not its sequence header).
    pub fn is_picture(&self) -> bool {
        self.kind == 9 && self.body.get(1) == Some(&1)
    }

    /// A frame of AAC (not its sequence header).
    pub fn is_sound(&self) -> bool {
        self.kind == 8 && self.body.get(1) == Some(&1)
    }
}

/// All whole tags of a file.
pub fn tags(file: &[u8]) -> Vec<Tag> {
    assert_eq!(file.get(..3), Some(&b"FLV"[..]), "an FLV file");
    let mut tags = Vec::new();
    let mut rest = &file[9..];
    // Before each tag, the size of the one before it.
    while let Some((header, data)) = rest.get(4..).and_then(|rest| rest.split_at_checked(11)) {
        let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let Some((body, next)) = data.split_at_checked(size) else { break };
        let timestamp = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        tags.push(Tag { kind: header[0], timestamp, body: body.to_vec() });
        rest = next;
    }
    tags
}
