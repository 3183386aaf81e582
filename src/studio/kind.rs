//! What a file is by its content, and what X takes of it (pure). Limits and categories: X's documents of media, v2
//! (docs.x.com, "Media" and its OpenAPI document), and of posts ("Best practices").

/// What is read of a file to tell what it is, bytes: three packets of a transport stream, or the first subtitle.
pub(super) const HEAD: usize = 1024;

const MIB: u64 = 1024 * 1024;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
    Gif,
    Webp,
    Mp4,
    QuickTime,
    WebM,
    MpegTs,
    Srt,
    Vtt,
}

/// How X treats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Image,
    Gif,
    Video,
    Subtitles,
}

/// `media_category`, what it is for, and the most bytes: 512 MB is said of the videos of posts, the older 15 MB of all
/// others. X counts in MiB (5 MB are 5,242,880 bytes).
const CATEGORIES: [(&str, Class, u64); 8] = [
    ("tweet_image", Class::Image, 5 * MIB),
    ("tweet_gif", Class::Gif, 15 * MIB),
    ("tweet_video", Class::Video, 512 * MIB),
    ("amplify_video", Class::Video, 512 * MIB),
    ("dm_image", Class::Image, 5 * MIB),
    ("dm_gif", Class::Gif, 15 * MIB),
    ("dm_video", Class::Video, 15 * MIB),
    // Of subtitles nothing is said.
    ("subtitles", Class::Subtitles, 15 * MIB),
];

impl Kind {
    /// By the first [`HEAD`] bytes. None: nothing that X takes.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| head.starts_with(magic);
        if starts(b"\xff\xd8\xff") {
            return Some(Self::Jpeg);
        }
        if starts(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        if starts(b"GIF87a") || starts(b"GIF89a") {
            return Some(Self::Gif);
        }
        if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            return Some(Self::Webp);
        }
        if head.get(4..8) == Some(b"ftyp") {
            return movie(head.get(8..12)?);
        }
        // RFC 9559: the header of Matroska and WebM, told apart by the element DocType.
        if starts(b"\x1a\x45\xdf\xa3") {
            let webm = head[..head.len().min(64)].windows(7).any(|part| part == b"\x42\x82\x84webm");
            return webm.then_some(Self::WebM);
        }
        if is_transport_stream(head) {
            return Some(Self::MpegTs);
        }
        subtitles(head)
    }

    pub(super) fn class(self) -> Class {
        match self {
            Self::Jpeg | Self::Png | Self::Webp => Class::Image,
            Self::Gif => Class::Gif,
            Self::Mp4 | Self::QuickTime | Self::WebM | Self::MpegTs => Class::Video,
            Self::Srt | Self::Vtt => Class::Subtitles,
        }
    }

    /// The API's `media_type`.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Mp4 => "video/mp4",
            Self::QuickTime => "video/quicktime",
            Self::WebM => "video/webm",
            Self::MpegTs => "video/mp2t",
            Self::Srt => "text/srt",
            Self::Vtt => "text/vtt",
        }
    }
}

/// ISO/IEC 14496-12: the major brand. Pictures (HEIF, AVIF) and sound come in the same box, and X takes neither.
fn movie(brand: &[u8]) -> Option<Kind> {
    const OTHERS: [&[u8]; 12] =
        [b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"M4A ", b"M4B "];
    match brand {
        b"qt  " => Some(Kind::QuickTime),
        brand if OTHERS.contains(&brand) => None,
        _ => Some(Kind::Mp4),
    }
}

/// ISO/IEC 13818-1: packets of 188 bytes, each with the sync byte; three of them, or all that there are.
fn is_transport_stream(head: &[u8]) -> bool {
    head.len() >= 188 && head.iter().step_by(188).take(3).all(|first| *first == 0x47)
}

/// WebVTT (W3C, 4.1), and SubRip: a number, then a line of two times.
fn subtitles(head: &[u8]) -> Option<Kind> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if let Some(rest) = head.strip_prefix(b"WEBVTT") {
        return rest.first().is_none_or(|next| b" \t\r\n".contains(next)).then_some(Kind::Vtt);
    }
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).skip_while(|line| line.is_empty());
    let number = lines.next()?;
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let times = lines.next()?;
    let at = times.windows(5).position(|part| part == b" --> ")?;
    (is_time(&times[..at]) && times.get(at + 5..at + 17).is_some_and(is_time)).then_some(Kind::Srt)
}

/// `00:00:01,500`
fn is_time(text: &[u8]) -> bool {
    text.len() == 12
        && text.iter().enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            8 => *byte == b',',
            _ => byte.is_ascii_digit(),
        })
}

/// How a file is announced to X.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// `media_category`
    pub(super) category: &'static str,
}

/// Whether X would take a file of `size` bytes that begins with `head`, as `category` or as what is usual for posts.
///
/// # Errors
/// For people: what is wrong, so that no byte is sent in vain.
pub(super) fn plan(head: &[u8], size: u64, category: Option<&str>, alt_text: bool) -> Result<Plan, String> {
    if size == 0 {
        return Err("is empty".into());
    }
    let kind = Kind::of(head).ok_or(
        "is nothing that X takes: JPEG, PNG, GIF, WEBP, video as MP4, QuickTime, WebM, MPEG-TS, subtitles as SRT, VTT",
    )?;
    let of_class = |row: &&(&str, Class, u64)| row.1 == kind.class();
    let (category, _, most) = match category {
        // The first of a class is the usual one.
        None => CATEGORIES.iter().find(of_class),
        Some(name) => CATEGORIES.iter().filter(of_class).find(|row| row.0 == name),
    }
    .copied()
    .ok_or_else(|| {
        let names: Vec<_> = CATEGORIES.iter().filter(of_class).map(|row| row.0).collect();
        let (type_, names) = (kind.media_type(), names.join(" or "));
        format!("is {type_}, whose category is {names}, not {}", category.unwrap_or_default())
    })?;
    if size > most {
        let megabytes = size.saturating_mul(10).div_ceil(MIB) as f64 / 10.0;
        return Err(format!("has {megabytes:.1} MB; X takes at most {} MB as {category}", most / MIB));
    }
    if alt_text && !matches!(kind.class(), Class::Image | Class::Gif) {
        return Err("cannot have an alt text: X has one for images and GIFs".into());
    }
    Ok(Plan { kind, category })
}

/// Whether these can be in one post: one to four images, or one GIF, or one video. None: not known.
///
/// # Errors
/// For people: what is wrong.
pub(super) fn check_mix(classes: &[Option<Class>]) -> Result<(), &'static str> {
    if classes.len() > 4 {
        return Err("A post has at most four media");
    }
    if classes.contains(&Some(Class::Subtitles)) {
        return Err("Subtitles belong to a video, not into a post");
    }
    let alone = classes.iter().any(|class| matches!(class, Some(Class::Gif | Class::Video)));
    if alone && classes.len() > 1 {
        return Err("A post has one to four images, or one GIF, or one video");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn transport_stream(packets: usize) -> Vec<u8> {
        (0..packets * 188).map(|at| if at % 188 == 0 { 0x47 } else { 0xff }).collect()
    }

    #[test]
    fn a_file_is_what_its_content_says() {
        let srt = "\u{feff}\r\n1\r\n00:00:01,000 --> 00:00:02,500 X1:40\r\nHello\r\n";
        let (two, many) = (transport_stream(2), transport_stream(5));
        let known: [(&[u8], Kind); 15] = [
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Kind::Jpeg),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind::Png),
            (b"GIF87a", Kind::Gif),
            (b"GIF89a\x01", Kind::Gif),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Kind::Webp),
            (b"\0\0\0\x20ftypisom\0\0\x02\0", Kind::Mp4),
            (b"\0\0\0\x18ftypmp42", Kind::Mp4),
            (b"\0\0\0\x14ftypqt  ", Kind::QuickTime),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm\x42\x87\x81\x04", Kind::WebM),
            (&two, Kind::MpegTs),
            (&many[..HEAD.min(many.len())], Kind::MpegTs),
            (srt.as_bytes(), Kind::Srt),
            (b"1\n00:00:01,000 --> 00:00:02,500", Kind::Srt),
            (b"\xef\xbb\xbfWEBVTT - a title\n", Kind::Vtt),
            (b"WEBVTT", Kind::Vtt),
        ];
        for (head, kind) in known {
            assert_eq!(Kind::of(head), Some(kind), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn what_only_looks_so_is_nothing() {
        let mut broken = transport_stream(3);
        broken[376] = 0;
        let unknown: [&[u8]; 15] = [
            b"",
            b"\xff\xd8",
            b"\x89PNG\n",
            b"GIF88a",
            b"RIFF\x24\0\0\0WAVEfmt ",
            b"\0\0\0\x1cftypavif",
            b"\0\0\0\x1cftypM4A ",
            b"\0\0\0\x1cftyp",
            b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska",
            b"G",
            &broken,
            b"WEBVTTX",
            b"1\n00:00:01.000 --> 00:00:02.500",
            b"12 monkeys\n00:00:01,000 --> 00:00:02,500",
            b"%PDF-1.7",
        ];
        for head in unknown {
            assert_eq!(Kind::of(head), None, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn each_limit_is_told_before_a_byte_is_sent() {
        let jpeg: &[u8] = b"\xff\xd8\xff\xe0";
        let (gif, mp4, vtt): (&[u8], &[u8], &[u8]) = (b"GIF89a", b"\0\0\0\x20ftypisom", b"WEBVTT\n");
        let right: [(&[u8], u64, Option<&str>, &str); 8] = [
            (jpeg, 5 * MIB, None, "tweet_image"),
            (jpeg, 1, Some("dm_image"), "dm_image"),
            (gif, 15 * MIB, None, "tweet_gif"),
            (mp4, 512 * MIB, None, "tweet_video"),
            (mp4, 512 * MIB, Some("amplify_video"), "amplify_video"),
            (mp4, 15 * MIB, Some("dm_video"), "dm_video"),
            (vtt, 7, None, "subtitles"),
            (vtt, 15 * MIB, Some("subtitles"), "subtitles"),
        ];
        for (head, size, category, expected) in right {
            assert_eq!(
                plan(head, size, category, false).map(|plan| plan.category),
                Ok(expected),
                "{size} {category:?}"
            );
        }
        let wrong: [(&[u8], u64, Option<&str>, &str); 8] = [
            (jpeg, 0, None, "empty"),
            (jpeg, 5 * MIB + 1, None, "has 5.1 MB; X takes at most 5 MB as tweet_image"),
            (gif, 15 * MIB + 1, None, "at most 15 MB"),
            (mp4, 512 * MIB + 1, None, "at most 512 MB"),
            (mp4, 15 * MIB + 1, Some("dm_video"), "at most 15 MB"),
            (jpeg, 1, Some("tweet_video"), "is image/jpeg, whose category is tweet_image or dm_image, not tweet_video"),
            (gif, 1, Some("tweet_image"), "tweet_gif or dm_gif"),
            (b"MZ", 2, None, "nothing that X takes"),
        ];
        for (head, size, category, expected) in wrong {
            let told = plan(head, size, category, false).expect_err("refused");
            assert!(told.contains(expected), "{told}");
        }
        assert!(plan(gif, 1, None, true).is_ok() && plan(jpeg, 1, None, true).is_ok());
        assert!(plan(mp4, 1, None, true).expect_err("refused").contains("alt text"));
    }

    #[test]
    fn a_post_mixes_nothing() {
        let (image, gif, video) = (Some(Class::Image), Some(Class::Gif), Some(Class::Video));
        let right: [&[Option<Class>]; 6] = [&[], &[image; 4], &[gif], &[video], &[None; 4], &[image, None]];
        for classes in right {
            assert_eq!(check_mix(classes), Ok(()), "{classes:?}");
        }
        let wrong: [&[Option<Class>]; 6] =
            [&[image; 5], &[gif, image], &[video, video], &[None, video], &[gif, gif], &[Some(Class::Subtitles)]];
        for classes in wrong {
            assert!(check_mix(classes).is_err(), "{classes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_something_or_nothing(head in proptest::collection::vec(any::<u8>(), 0..HEAD), size: u64) {
            let kind = Kind::of(&head);
            if let Ok(plan) = plan(&head, size, None, false) {
                prop_assert_eq!(Some(plan.kind), kind);
                let row = CATEGORIES.iter().find(|row| row.0 == plan.category).expect("a category");
                prop_assert!(row.1 == plan.kind.class() && (1..=row.2).contains(&size));
            }
        }

        #[test]
        fn what_follows_the_beginning_changes_nothing(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            for (magic, kind) in [
                (&b"\xff\xd8\xff"[..], Kind::Jpeg),
                (b"\x89PNG\r\n\x1a\n", Kind::Png),
                (b"GIF89a", Kind::Gif),
                (b"RIFF\0\0\0\0WEBP", Kind::Webp),
                (b"\0\0\0\x20ftypisom", Kind::Mp4),
                (b"WEBVTT\n", Kind::Vtt),
                (b"1\n00:00:01,000 --> 00:00:02,500\n", Kind::Srt),
            ] {
                prop_assert_eq!(Kind::of(&[magic, &rest].concat()), Some(kind));
            }
        }

        #[test]
        fn subtitles_of_any_text_break_nothing(text in "[0-9:,> \r\n-]{0,60}") {
            Kind::of(text.as_bytes());
        }
    }
}
