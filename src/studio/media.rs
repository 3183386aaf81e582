//! Media objects: what can be had of an upload or a Broadcast (docs.x.com, `GET /2/media/{media_key}`).

use super::{Call, Studio, Trouble, answer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const FIELDS: &str = "alt_text,duration_ms,height,media_key,preview_image_url,type,url,variants,width";
/// With what the media keys of Broadcasts begin (facts of X's Livestream API, `28_<n>`).
const BROADCAST: &str = "28_";

/// A media object.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all(serialize = "kebab-case"))]
pub(super) struct Media {
    pub(super) media_key: String,
    /// `photo`, `animated_gif` or `video`.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    width: Option<u64>,
    height: Option<u64>,
    duration_ms: Option<u64>,
    alt_text: Option<String>,
    preview_image_url: Option<String>,
    /// Of a photo.
    url: Option<String>,
    #[serde(default)]
    variants: Vec<Variant>,
}

/// A file that it can be had as.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all(serialize = "kebab-case"))]
struct Variant {
    /// bit/s; none: a playlist, or not told.
    bit_rate: Option<u64>,
    content_type: Option<String>,
    url: Option<String>,
}

impl Media {
    /// Where its best file is: the MP4 with the highest rate, or the photo.
    pub(super) fn best(&self) -> Option<&str> {
        let is_file =
            |variant: &&Variant| variant.content_type.as_deref() == Some("video/mp4") && variant.url.is_some();
        let best = self.variants.iter().filter(is_file).max_by_key(|variant| variant.bit_rate);
        best.and_then(|variant| variant.url.as_deref()).or(self.url.as_deref())
    }
}

/// The media object of `key`, with its files and their rates, and its size.
///
/// # Errors
/// All that calls can have.
pub(super) async fn media(studio: &Studio, account: Option<&str>, key: &str) -> Result<Value, Trouble> {
    let media = find(studio, account, key).await?;
    serde_json::to_value(media).map_err(|error| Trouble::Garbled(error.to_string()))
}

/// The same, read. `key` may be the id of a Broadcast: its media are meant.
///
/// # Errors
/// As [`media`]; [`Trouble::NoReplay`] where X knows no media of a Broadcast.
pub(super) async fn find(studio: &Studio, account: Option<&str>, key: &str) -> Result<Media, Trouble> {
    let key = match is_key(key) {
        true => key.to_owned(),
        false => studio.broadcast(account, key).await?.media_key.ok_or(Trouble::NoReplay)?,
    };
    let call = Call::get(format!("/2/media/{key}")).with("media.fields", FIELDS);
    match studio.call(account, call).await.and_then(answer::data) {
        Ok(data) => {
            let media: Media = serde_json::from_value(data).map_err(|error| Trouble::Garbled(error.to_string()))?;
            // A file is named by it.
            if media.media_key == key { Ok(media) } else { Err(Trouble::Garbled("it is another media object".into())) }
        }
        Err(Trouble::NotFound) => Err(missing(&key)),
        Err(other) => Err(other),
    }
}

/// Such as `7_1923456789012345678` (X's OpenAPI document).
fn is_key(text: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    text.split_once('_').is_some_and(|(kind, id)| number(kind) && number(id))
}

/// What it means that X knows no file. ASSUMED: the API has no address of a Broadcast's recording, but the Broadcast
/// has a media key, so its files may be those of that media object.
pub(super) fn missing(key: &str) -> Trouble {
    if key.starts_with(BROADCAST) { Trouble::NoReplay } else { Trouble::NotFound }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_best_file_is_the_mp4_of_the_highest_rate() {
        let media = |document: Value| serde_json::from_value::<Media>(document).expect("a media object");
        let video = media(json!({
            "media_key": "7_1", "type": "video", "width": 1280, "not_known_yet": {},
            "variants": [
                {"content_type": "application/x-mpegURL", "url": "https://v/playlist.m3u8"},
                {"content_type": "video/mp4", "bit_rate": 832_000, "url": "https://v/low.mp4"},
                {"content_type": "video/mp4", "bit_rate": 2_176_000, "url": "https://v/high.mp4?tag=12"},
                {"content_type": "video/mp4", "bit_rate": 9_000_000, "url": null},
                {"content_type": "video/webm", "bit_rate": 9_000_000, "url": "https://v/other"},
                {"content_type": "video/mp4", "bit_rate": null, "url": "https://v/unknown.mp4"},
            ],
        }));
        assert_eq!(video.best(), Some("https://v/high.mp4?tag=12"));
        assert_eq!(serde_json::to_value(&video).expect("JSON")["variants"][1]["bit-rate"], 832_000);
        let gif =
            media(json!({"media_key": "16_1", "variants": [{"content_type": "video/mp4", "url": "https://v/g"}]}));
        assert_eq!(gif.best(), Some("https://v/g"), "the only one, without a rate");
        assert_eq!(media(json!({"media_key": "3_1", "url": "https://p/1.jpg"})).best(), Some("https://p/1.jpg"));
        let playlist = json!([{"content_type": "application/x-mpegURL", "url": "https://v/1.m3u8"}]);
        assert_eq!(media(json!({"media_key": "28_1", "variants": playlist})).best(), None);
    }

    #[test]
    fn a_broadcast_without_media_is_explained() {
        assert!(is_key("7_1923456789012345678") && is_key("28_1"));
        for wrong in ["", "7", "7_", "_1", "7_1_2", "x_1", "1yKS000007919", "7_1/x"] {
            assert!(!is_key(wrong), "{wrong}");
        }
        assert_eq!((missing("28_12"), missing("7_12")), (Trouble::NoReplay, Trouble::NotFound));
    }
}
