//! Media that are there: alt text, variants, posts with media, and the host that gives their bytes (facts 3, "v2").

use super::{
    reply::{Content, Refusal, Reply},
    routes::Call,
    uploads::{find, is_ready},
    world::{Media, Post, World},
};
use serde_json::{Map, Value, json};

/// What is shown without `media.fields` (data-dictionary).
const DEFAULT_FIELDS: [&str; 2] = ["media_key", "type"];

pub fn metadata(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let media = find(world, call.user(), call.text("id").expect("checked"))?;
    let text = call.body["metadata"]["alt_text"]["text"].as_str();
    if text.is_some() && !media.content_type.starts_with("image/") {
        return Err(Refusal::invalid("metadata", "Only images and GIFs have an alt text."));
    }
    if let Some(text) = text {
        media.alt_text = Some(text.to_owned());
    }
    let data =
        json!({"id": media.id, "associated_metadata": call.body["metadata"].as_object().cloned().unwrap_or_default()});
    Ok(Reply::json(200, json!({"data": data})))
}

fn kind(media: &Media) -> &'static str {
    match media.content_type.as_str() {
        "image/gif" => "animated_gif",
        kind if kind.starts_with("image/") => "photo",
        _ => "video",
    }
}

fn shown(world: &World, media: &Media, fields: &[&str]) -> Value {
    let file = |name: &str| format!("{}/media/{}/{name}", world.elsewhere, media.key);
    let mut shown = json!({"media_key": media.key, "type": kind(media), "width": 1280, "height": 720});
    if let Some(text) = &media.alt_text {
        shown["alt_text"] = json!(text);
    }
    if kind(media) == "photo" {
        shown["url"] = json!(file("0"));
    } else {
        shown["preview_image_url"] = json!(file("preview"));
        shown["duration_ms"] = json!(10_000);
        let variants = files(media).enumerate().map(
            |(at, (rate, _))| json!({"bit_rate": rate, "content_type": "video/mp4", "url": file(&at.to_string())}),
        );
        // A playlist has no rate (facts 3).
        let playlist = json!({"content_type": "application/x-mpegURL", "url": file("playlist")});
        shown["variants"] = std::iter::once(playlist).chain(variants).collect();
    }
    let mut shown: Map<_, _> = shown.as_object().cloned().expect("an object");
    shown.retain(|name, _| fields.contains(&name.as_str()));
    Value::Object(shown)
}

/// Bits per second and length of each file.
fn files(media: &Media) -> impl Iterator<Item = (u64, u64)> + '_ {
    let uploaded = media.variants.is_empty().then_some((2_176_000, media.total));
    uploaded.into_iter().chain(media.variants.iter().copied())
}

fn fields(call: &Call) -> Vec<&str> {
    let asked = call.arguments.query.get("media.fields").and_then(Value::as_array);
    DEFAULT_FIELDS.into_iter().chain(asked.into_iter().flatten().filter_map(Value::as_str)).collect()
}

fn by_key<'a>(world: &'a World, call: &Call, key: &str) -> Option<&'a Media> {
    let own = |media: &&Media| media.user == call.user() && media.key == key;
    world.media.iter().find(own).filter(|media| is_ready(world, media))
}

pub fn get(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let media = by_key(world, call, call.path("media_key")).ok_or_else(|| Refusal::missing("media"))?;
    Ok(Reply::json(200, json!({"data": shown(world, media, &fields(call))})))
}

pub fn list(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let (mut data, mut errors) = (Vec::new(), Vec::new());
    let keys = call.arguments.query["media_keys"].as_array().into_iter().flatten();
    for key in keys.filter_map(Value::as_str) {
        match by_key(world, call, key) {
            Some(media) => data.push(shown(world, media, &fields(call))),
            None => errors.push(json!({
                "type": "https://api.x.com/2/problems/resource-not-found", "title": "Not Found Error",
                "detail": "Could not find media.", "resource_type": "media", "resource_id": key, "value": key,
                "parameter": "media_keys",
            })),
        }
    }
    let mut reply = json!({});
    // Without any, data is left out, as X does on its other routes; ASSUMED here.
    for (name, all) in [("data", data), ("errors", errors)] {
        if !all.is_empty() {
            reply[name] = json!(all);
        }
    }
    Ok(Reply::json(200, reply))
}

/// The longest text of a post, in characters; ASSUMED to count each as one.
const POST: usize = 280;

pub fn post(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let text = call.text("text").unwrap_or_default().to_owned();
    let ids: Vec<_> =
        call.body["media"]["media_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if text.is_empty() && ids.is_empty() {
        return Err(Refusal::invalid("text", "text: field is required without media"));
    }
    if text.chars().count() > POST {
        return Err(Refusal::invalid("text", "text: is too long"));
    }
    let mut kinds = Vec::new();
    for id in &ids {
        find(world, call.user(), id)?;
        let media = world.media.iter().find(|media| media.id == **id).expect("just found");
        if !is_ready(world, media) {
            return Err(Refusal::invalid(
                "media.media_ids",
                "Your media IDs are invalid: not finalized or not processed.",
            ));
        }
        // Amplify and post media only: not those of messages, and no subtitles.
        if !["amplify_video", "tweet_image", "tweet_gif", "tweet_video"].contains(&media.category.as_str()) {
            return Err(Refusal::invalid("media.media_ids", "Your media IDs are invalid: not for posts."));
        }
        kinds.push(kind(media));
    }
    // Four photos or one GIF or one video (best-practices).
    if kinds.len() > 1 && kinds.iter().any(|kind| *kind != "photo") {
        return Err(Refusal::invalid("media.media_ids", "Only photos can be more than one."));
    }
    let id = world.id();
    let media_ids = ids.into_iter().map(str::to_owned).collect();
    world.posts.push(Post { id: id.clone(), user: call.user(), text: text.clone(), media_ids });
    Ok(Reply::json(201, json!({"data": {"id": id, "text": text, "edit_history_post_ids": [id]}})))
}

/// A file of the media host, whole or from a byte on. Its bytes are made: those that were uploaded are not kept.
pub fn download(world: &mut World, call: &Call) -> Result<Reply, Refusal> {
    let (key, name) = (call.path("media_key"), call.path("file"));
    let media = world.media.iter().find(|media| media.key == key);
    let length = match (media, name) {
        (Some(_), "preview" | "playlist") => Some(1000),
        (Some(media), name) => name.parse().ok().and_then(|at| files(media).nth(at)).map(|(_, length)| length),
        _ => None,
    };
    let length = length.ok_or_else(|| Refusal::missing("file"))?;
    let tag = format!("\"{key}-{name}-{length}\"");
    let mut headers = vec![("accept-ranges", "bytes".to_owned()), ("etag", tag.clone())];
    let range = call.range.as_deref().filter(|_| call.if_range.as_ref().is_none_or(|given| *given == tag));
    let asked = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (status, from, end) = match asked.map(|(from, to)| (from.parse::<u64>(), to.parse::<u64>())) {
        None => (200, 0, length),
        Some((Ok(from), to)) if from < length => (206, from, to.map_or(length, |to| length.min(to + 1))),
        Some(_) => {
            headers.push(("content-range", format!("bytes */{length}")));
            return Ok(Reply { status: 416, headers, content: Content::None });
        }
    };
    if status == 206 {
        headers.push(("content-range", format!("bytes {from}-{}/{length}", end - 1)));
    }
    headers.push(("content-type", "video/mp4".into()));
    Ok(Reply { status, headers, content: Content::File(from, end.max(from)) })
}
