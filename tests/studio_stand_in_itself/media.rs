//! Uploads, what becomes of them, and the files that can be had.

use crate::{
    raw::{Client, Reply, raw},
    stand_in::{Fault, Route, StandIn, made_byte},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;
use serde_json::{Value, json};
use std::time::Duration;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

/// Something that begins like a video.
fn video(length: usize) -> Vec<u8> {
    let head = b"\0\0\0\x20ftypisom".iter().copied();
    head.chain((0..).map(|at: u64| made_byte(at * 3))).take(length).collect()
}

fn initialize(client: &Client, kind: &str, category: &str, bytes: usize) -> Reply {
    let body = json!({"media_type": kind, "media_category": category, "total_bytes": bytes});
    client.send("POST", "/2/media/upload/initialize", &body)
}

fn started(client: &Client, kind: &str, category: &str, bytes: usize) -> String {
    let reply = initialize(client, kind, category, bytes);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["data"]["id"].as_str().expect("an id").to_owned()
}

fn finalize(client: &Client, id: &str) -> Reply {
    client.bare("POST", &format!("/2/media/upload/{id}/finalize"), "", b"")
}

fn status(client: &Client, id: &str) -> Value {
    client.get(&format!("/2/media/upload?command=STATUS&media_id={id}")).json()["data"]["processing_info"].clone()
}

/// The id of a picture that is there.
fn picture(client: &Client) -> String {
    let body = json!({"media": STANDARD.encode(PNG), "media_category": "tweet_image"});
    let reply = client.send("POST", "/2/media/upload", &body);
    assert_eq!((reply.status, &reply.json()["data"]["size"]), (200, &json!(PNG.len())), "{reply:?}");
    reply.json()["data"]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn segments_make_up_the_file_that_was_announced() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let bytes = video(2_500_000);
    let id = started(&client, "video/mp4", "amplify_video", bytes.len());
    let pieces: Vec<&[u8]> = bytes.chunks(1_000_000).collect();
    assert_eq!(client.segment(&id, 1, pieces[1]).status, 200, "before its turn");
    studio.fail(Route::Append, Fault::LostAnswer, 1);
    assert_eq!(client.segment(&id, 0, pieces[0]).status, 0);
    assert_eq!(client.segment(&id, 0, pieces[0]).status, 200, "once more, the answer was lost");
    assert_eq!(client.segment(&id, 0, pieces[1]).status, 400, "another content");
    assert_eq!(finalize(&client, &id).status, 400, "one is missing");
    let json = json!({"media": STANDARD.encode(pieces[2]), "segment_index": 2});
    let append = format!("/2/media/upload/{id}/append");
    assert_eq!(client.send("POST", &append, &json!({"media": "%", "segment_index": 2})).status, 400);
    assert_eq!(client.send("POST", &append, &json!({"media": "", "segment_index": "2"})).status, 400);
    assert_eq!(client.send("POST", &append, &json).status, 200, "as JSON");
    assert_eq!(client.segment(&id, 1000, b"more").status, 400, "segments are 0 to 999");
    assert_eq!(client.bare("POST", &format!("/2/media/upload/{id}/finalize"), "", b"{}").status, 400, "no body");

    let done = finalize(&client, &id).json()["data"].clone();
    assert_eq!((&done["size"], &done["video"]["video_type"]), (&json!(bytes.len()), &json!("video/mp4")));
    assert_eq!(finalize(&client, &id).status, 400, "a second time");
    let [uploaded] = studio.media().try_into().expect("one");
    assert_eq!((uploaded.length, uploaded.segments, uploaded.finalized), (2_500_000, 3, true));
    assert_eq!(uploaded.sha256, digest::digest(&digest::SHA256, &bytes).as_ref());

    let key = &uploaded.media_key;
    assert_eq!(client.get(&format!("/2/media/{key}")).status, 404, "it is processed");
    assert_eq!(status(&client, &id)["state"], "in_progress");
    assert_eq!(studio.media()[0].hasty, 1, "asked before its time");
    studio.advance(Duration::from_secs(2));
    assert_eq!(status(&client, &id)["state"], "succeeded");
    let short = client.get(&format!("/2/media/{key}")).json()["data"].clone();
    assert!(short["type"] == "video" && short.get("variants").is_none(), "{short}");
    let variants = client.get(&format!("/2/media?media_keys={key},7_1&media.fields=variants")).json();
    assert!(variants["data"][0]["variants"][0].get("bit_rate").is_none(), "a playlist has none: {variants}");
    assert_eq!(variants["errors"][0]["value"], "7_1");
}

#[test]
fn what_is_too_big_or_something_else_is_refused() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    assert_eq!(client.send("POST", "/2/media/upload/initialize", &json!({"total_bytes": 1})).status, 400);
    let wrong =
        json!({"media_type": "image/png", "media_category": "tweet_image", "total_bytes": 9, "command": "INIT"});
    assert_eq!(client.send("POST", "/2/media/upload/initialize", &wrong).status, 400);
    for (kind, category, bytes, status) in [
        ("image/png", "tweet_image", 5 << 20, 200),
        ("image/png", "tweet_image", (5 << 20) + 1, 400),
        ("image/gif", "tweet_gif", 15 << 20, 200),
        ("image/gif", "tweet_gif", (15 << 20) + 1, 400),
        ("image/gif", "tweet_image", 1, 400),
        ("video/mp4", "amplify_video", 512 << 20, 200),
        ("video/mp4", "amplify_video", (512 << 20) + 1, 400),
        ("video/avi", "amplify_video", 1, 400),
    ] {
        assert_eq!(initialize(&client, kind, category, bytes).status, status, "{kind} {category} {bytes}");
    }
    let id = started(&client, "video/mp4", "tweet_video", 20 << 20);
    assert_eq!(client.segment(&id, 0, &video((5 << 20) + 1)).status, 400, "a segment is too long");
    let id = started(&client, "image/png", "tweet_image", 4);
    assert_eq!(client.segment(&id, 0, b"no p").status, 200);
    assert_eq!(finalize(&client, &id).status, 400, "not a PNG");
    let id = started(&client, "video/mp4", "tweet_video", 4);
    assert_eq!(client.segment(&id, 0, b"no v").status, 200);
    assert_eq!(finalize(&client, &id).status, 200);
    studio.advance(Duration::from_secs(2));
    assert_eq!(status(&client, &id)["state"], "failed", "not a video");
    let once = json!({"media": STANDARD.encode(video(99)), "media_category": "tweet_video"});
    assert_eq!(client.send("POST", "/2/media/upload", &once).status, 400, "images only");
}

#[test]
fn a_post_has_four_pictures_or_one_of_another_kind() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let pictures: Vec<_> = (0..5).map(|_| picture(&client)).collect();
    let bytes = video(50);
    let clip = started(&client, "video/mp4", "tweet_video", bytes.len());
    assert_eq!(client.segment(&clip, 0, &bytes).status, 200);
    let post =
        |ids: &[&String]| client.send("POST", "/2/tweets", &json!({"text": "t", "media": {"media_ids": ids}})).status;
    assert_eq!(post(&[&clip]), 400, "not finalised");
    assert_eq!(finalize(&client, &clip).status, 200);
    assert_eq!(post(&[&clip]), 400, "not processed");
    studio.advance(Duration::from_secs(2));
    assert_eq!(post(&[&clip]), 201);
    assert_eq!(post(&[&clip, &pictures[0]]), 400);
    assert_eq!(post(&pictures.iter().take(4).collect::<Vec<_>>()), 201);
    assert_eq!(post(&pictures.iter().collect::<Vec<_>>()), 400);
    assert_eq!(post(&[&"1".to_owned()]), 404);
    assert_eq!(client.send("POST", "/2/tweets", &json!({})).status, 400);
    assert_eq!(client.send("POST", "/2/tweets", &json!({"text": "t", "media": {"media_ids": [1]}})).status, 400);
    assert_eq!(studio.posts().iter().map(|post| post.media_ids.len()).collect::<Vec<_>>(), [1, 4]);

    let alt = |id: &str, text: &str| json!({"id": id, "metadata": {"alt_text": {"text": text}}});
    assert_eq!(client.send("POST", "/2/media/metadata", &alt(&pictures[0], &"a".repeat(1001))).status, 400);
    assert_eq!(client.send("POST", "/2/media/metadata", &alt(&clip, "a")).status, 400, "a video has none");
    assert_eq!(client.send("POST", "/2/media/metadata", &alt(&pictures[0], "a cat")).status, 200);
    assert_eq!(studio.media()[0].alt_text.as_deref(), Some("a cat"));
}

#[test]
fn a_file_comes_in_parts_from_a_host_that_sees_no_token() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let live = client.send("POST", "/2/broadcasts", &json!({"source_id": client.source()})).json()["data"].clone();
    studio.leave_replay(live["id"].as_str().expect("an id"), &[(1_000_000, 5_000), (2_000_000, 300_000)]);
    let path = format!("/2/media/{}?media.fields=variants,duration_ms", live["media_key"].as_str().expect("a key"));
    let variants = client.get(&path).json()["data"]["variants"].clone();
    let url =
        variants[2]["url"].as_str().expect("a url").strip_prefix(&studio.elsewhere()).expect("elsewhere").to_owned();
    let get = |headers: &str| raw(&studio.elsewhere(), "GET", &url, headers, b"");
    let whole = get("");
    let made: Vec<u8> = (0..300_000).map(made_byte).collect();
    assert!(whole.status == 200 && whole.body == made);
    let tag = whole.header("etag").expect("a tag");
    let rest = get(&format!("Range: bytes=299990-\r\nIf-Range: {tag}\r\n"));
    assert_eq!((rest.status, rest.header("content-range")), (206, Some("bytes 299990-299999/300000")));
    assert_eq!(rest.body, made[299_990..]);
    assert_eq!(get("Range: bytes=9-\r\nIf-Range: \"another\"\r\n").status, 200);
    assert_eq!(get("Range: bytes=300000-\r\n").status, 416);
    studio.fail(Route::Download, Fault::HalfBody, 1);
    let half = get("");
    assert!(half.status == 200 && !half.body.is_empty() && half.body.len() < 300_000, "{}", half.body.len());
    studio.assert_clean();
    get(&format!("Authorization: Bearer {}\r\n", client.token));
    assert_eq!(studio.take_violations().len(), 1);
}
