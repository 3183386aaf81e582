//! Upload of media, v2: at once, or in segments (facts 3, "v2", and the excerpt). Bytes are hashed, not kept.

use super::{
    reply::{Refusal, Reply},
    routes::Call,
    world::{Media, Upload, World},
};
use ring::digest;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const MIB: u64 = 1024 * 1024;
/// A segment has at most this many bytes (facts 3: not found for v2, so that of v1.1).
pub const SEGMENT: u64 = 5 * MIB;
/// Segments that may come before their turn: the stand-in keeps no more.
const EARLY: usize = 8;

/// The most bytes of a category (facts 3).
fn limit(category: &str) -> u64 {
    match category {
        "tweet_image" | "dm_image" => 5 * MIB,
        "tweet_gif" | "dm_gif" => 15 * MIB,
        "amplify_video" | "tweet_video" => 512 * MIB,
        // Of videos in messages and of subtitles nothing is said; the older limit of videos.
        _ => 15 * MIB,
    }
}

/// What a file is by its first bytes.
fn content_type(head: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    Some(match head {
        _ if starts(b"\xff\xd8\xff") => "image/jpeg",
        _ if starts(b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if starts(b"GIF87a") || starts(b"GIF89a") => "image/gif",
        _ if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") => "image/webp",
        _ if starts(b"BM") => "image/bmp",
        _ if head.get(4..8) == Some(b"ftyp") && head.get(8..10) == Some(b"qt") => "video/quicktime",
        _ if head.get(4..8) == Some(b"ftyp") => "video/mp4",
        _ if starts(b"\x1a\x45\xdf\xa3") => "video/webm",
        _ if head.first() == Some(&0x47) && head.get(188).is_none_or(|sync| *sync == 0x47) => "video/mp2t",
        _ => return None,
    })
}

/// Whether a file of this type belongs into the category.
fn belongs(category: &str, kind: &str) -> bool {
    match category {
        "tweet_gif" | "dm_gif" => kind == "image/gif",
        "tweet_image" | "dm_image" => kind.starts_with("image/") && kind != "image/gif",
        "subtitles" => kind.starts_with("text/"),
        _ => kind.starts_with("video/"),
    }
}

/// Keys begin with 3 for pictures, 16 for GIFs and 7 for videos; ASSUMED from posts as they are.
fn key(category: &str, id: &str) -> String {
    let kind = match category {
        "tweet_image" | "dm_image" => 3,
        "tweet_gif" | "dm_gif" => 16,
        _ => 7,
    };
    format!("{kind}_{id}")
}

fn new(world: &mut World, user: usize, category: &str, content_type: &str, total: u64) -> Media {
    let id = world.id();
    Media {
        key: key(category, &id),
        id,
        user,
        category: category.to_owned(),
        content_type: content_type.to_owned(),
        total,
        upload: Upload {
            segments: BTreeMap::new(),
            early: BTreeMap::new(),
            next: 0,
            hash: digest::Context::new(&digest::SHA256),
            length: 0,
            head: Vec::new(),
        },
        finalized: None,
        broken: false,
        alt_text: None,
        variants: Vec::new(),
        ask_after: Duration::ZERO,
        hasty: 0,
    }
}

/// One that is there without having been uploaded.
pub fn made(world: &mut World, user: usize, category: &str, content_type: &str, variants: &[(u64, u64)]) -> Media {
    let mut media = new(world, user, category, content_type, 0);
    (media.finalized, media.variants) = (Some(Duration::ZERO), variants.to_vec());
    media
}

pub fn find<'a>(world: &'a mut World, user: usize, id: &str) -> Result<&'a mut Media, Refusal> {
    let found = world.media.iter_mut().find(|media| media.user == user && media.id == id);
    found.ok_or_else(|| Refusal::missing("media"))
}

pub fn initialize(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    // The schema requires none of the three; the page writes only the others as optional.
    let need =
        |field: &str| call.text(field).ok_or_else(|| Refusal::invalid(field, format!("{field}: field is required")));
    let (category, kind) = (need("media_category")?, need("media_type")?);
    let total =
        call.body["total_bytes"].as_u64().ok_or_else(|| Refusal::invalid("total_bytes", "field is required"))?;
    if !belongs(category, kind) {
        return Err(Refusal::invalid("media_type", "does not belong into this media_category"));
    }
    if total == 0 || total > limit(category) {
        return Err(Refusal::invalid("total_bytes", format!("A {category} has 1 to {} bytes.", limit(category))));
    }
    let media = new(world, call.user(), category, kind, total);
    // As in the example of media-upload-chunked.
    let data = json!({"id": media.id, "media_key": media.key, "expires_after_secs": 1_295_999});
    world.media.push(media);
    Ok(Reply::json(200, json!({"data": data})))
}

pub fn append(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let index = call.body["segment_index"].as_u64().expect("checked");
    let bytes = &call.media;
    if bytes.is_empty() || bytes.len() as u64 > SEGMENT {
        return Err(Refusal::invalid("media", format!("A segment has 1 to {SEGMENT} bytes.")));
    }
    let expires = (world.now() + Duration::from_secs(1_295_999)).as_secs();
    let media = find(world, call.user(), call.path("id"))?;
    if media.finalized.is_some() {
        return Err(Refusal::invalid("id", "It was finalized."));
    }
    let hash = digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("32 bytes");
    let upload = &mut media.upload;
    if let Some(before) = upload.segments.get(&index) {
        // What X does with another content is not known; so a client must not rely on it.
        if *before != (hash, bytes.len() as u64) {
            return Err(Refusal::invalid("segment_index", "This segment came before, with another content."));
        }
    } else if index >= upload.next && upload.early.len() >= EARLY && index != upload.next {
        return Err(Refusal::plain(503, "Too many segments before their turn for the stand-in."));
    } else {
        upload.segments.insert(index, (hash, bytes.len() as u64));
        upload.length += bytes.len() as u64;
        upload.early.insert(index, bytes.clone());
        while let Some(bytes) = upload.early.remove(&upload.next) {
            let missing = 256_usize.saturating_sub(upload.head.len()).min(bytes.len());
            upload.head.extend_from_slice(&bytes[..missing]);
            upload.hash.update(&bytes);
            upload.next += 1;
        }
    }
    if upload.length > media.total {
        return Err(Refusal::invalid("media", "More bytes than were announced."));
    }
    Ok(Reply::json(200, json!({"data": {"expires_at": expires}})))
}

pub fn finalize(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let now = world.now();
    let breaks = world.settings.processing_fails;
    let media = find(world, call.user(), call.path("id"))?;
    if media.finalized.is_some() {
        // Nothing says what a second one is answered; STATUS is there for who lost the first answer.
        return Err(Refusal::invalid("id", "It was finalized."));
    }
    if media.upload.length != media.total || !media.upload.early.is_empty() {
        return Err(Refusal::invalid("id", format!("{} of {} bytes came.", media.upload.length, media.total)));
    }
    let is = content_type(&media.upload.head);
    let right = is == Some(media.content_type.as_str())
        || !["image/", "video/"].iter().any(|kind| media.content_type.starts_with(kind));
    if !right && media.content_type.starts_with("image/") {
        return Err(Refusal::invalid("media", "The content is not of this media_type."));
    }
    (media.finalized, media.broken) = (Some(now), breaks || !right);
    let data = finished(world, call.user(), call.path("id"))?;
    Ok(Reply::json(200, json!({"data": data})))
}

/// What is told of a file that came whole.
fn finished(world: &mut World, user: usize, id: &str) -> Result<Value, Refusal> {
    let (now, processing, each) = (world.now(), world.settings.processing, world.settings.check_after);
    let media = find(world, user, id)?;
    let since = now.saturating_sub(media.finalized.unwrap_or(now));
    let mut data = json!({"id": media.id, "media_key": media.key, "size": media.total, "expires_after_secs": 86_400});
    if media.content_type.starts_with("image/") {
        data["image"] = json!({"image_type": media.content_type, "w": 640, "h": 360});
    } else {
        data["video"] = json!({"video_type": media.content_type});
    }
    // Asynchronous for video and GIF (facts 3).
    if media.content_type.starts_with("video/") || media.content_type == "image/gif" {
        data["processing_info"] = if since < processing {
            let percent = since.as_millis() * 100 / processing.as_millis();
            let state = if since.is_zero() { "pending" } else { "in_progress" };
            media.ask_after = now + each;
            json!({"state": state, "check_after_secs": each.as_secs(), "progress_percent": percent as u64})
        } else if media.broken {
            json!({"state": "failed"})
        } else {
            json!({"state": "succeeded", "progress_percent": 100})
        };
    }
    Ok(data)
}

pub fn status(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let id = call.arguments.query["media_id"].as_str().expect("checked").to_owned();
    let now = world.now();
    let media = find(world, call.user(), &id)?;
    if media.finalized.is_none() {
        return Err(Refusal::invalid("media_id", "It was not finalized."));
    }
    // A client that waited by another clock is not hasty by a little.
    media.hasty += u32::from(now + Duration::from_millis(100) < media.ask_after);
    let data = finished(world, call.user(), &id)?;
    Ok(Reply::json(200, json!({"data": data})))
}

/// Images only (facts 3); GIFs, which are processed, are ASSUMED to be among them.
pub fn one_shot(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let (now, category) = (world.now(), call.text("media_category").expect("checked"));
    let kind = content_type(&call.media).ok_or_else(|| Refusal::invalid("media", "Nothing that is known."))?;
    if !kind.starts_with("image/") || !belongs(category, kind) {
        return Err(Refusal::invalid("media_category", "Only images are uploaded at once, each as what it is."));
    }
    let length = call.media.len() as u64;
    if length > limit(category) {
        return Err(Refusal::invalid("media", format!("A {category} has 1 to {} bytes.", limit(category))));
    }
    let mut media = new(world, call.user(), category, kind, length);
    media.upload.hash.update(&call.media);
    (media.upload.length, media.finalized) = (length, Some(now));
    let id = media.id.clone();
    world.media.push(media);
    Ok(Reply::json(200, json!({"data": finished(world, call.user(), &id)?})))
}

/// Whether it can be posted and shown.
pub fn is_ready(world: &World, media: &Media) -> bool {
    let now = world.now();
    let is_image = media.content_type.starts_with("image/") && media.content_type != "image/gif";
    let processed = |at: Duration| is_image || now.saturating_sub(at) >= world.settings.processing;
    !media.broken && media.finalized.is_some_and(processed)
}
