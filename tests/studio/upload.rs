//! Uploads and posts: what arrives is what the file has, whatever fails on the way.

use crate::{
    linked::{Linked, MIB, sha256, until},
    stand_in::{Fault, Route, Settings},
};
use fieldcast::command::studio::What;
use std::{fs, path::Path, time::Duration};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF";
const GIF: &[u8] = b"GIF89a";
const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";

fn upload(file: &Path) -> What {
    What::Upload { file: file.into(), category: None, alt_text: None }
}

fn described(file: &Path, alt_text: &str) -> What {
    What::Upload { file: file.into(), category: None, alt_text: Some(alt_text.into()) }
}

fn post(text: &str, media: &[&str]) -> What {
    What::Post { text: text.into(), media: media.iter().map(|id| (*id).to_owned()).collect() }
}

async fn linked() -> Linked {
    Linked::new(Settings { processing: Duration::ZERO, ..Settings::default() }).await
}

/// Uploads `file` and stops in the middle, as a program that is killed, once X has `segments` of it.
async fn killed(linked: &Linked, file: &Path, segments: usize) {
    let begun = linked.api.media().len();
    let has = || linked.api.media().get(begun).is_some_and(|media| media.segments >= segments);
    tokio::select! {
        answer = linked.ask(upload(file)) => panic!("{answer:?}"),
        () = until("segments", has) => {}
    }
}

#[tokio::test]
async fn an_image_goes_at_once_and_is_described_and_posted() {
    let linked = linked().await;
    let file = linked.file("a picture without a name's end", JPEG, 300_000);
    let result = linked.done(described(&file, "A lighthouse at dusk")).await;
    let [media] = &linked.api.media()[..] else { panic!("one") };
    assert_eq!((media.category.as_str(), media.sha256), ("tweet_image", sha256(&file)));
    assert_eq!(media.alt_text.as_deref(), Some("A lighthouse at dusk"));
    assert_eq!(linked.api.calls("POST", "/2/media/upload/initialize"), 0);
    assert_eq!((&result["media-key"], &result["ready"]), (&media.media_key.clone().into(), &true.into()));
    let last = linked.told().pop().expect("told");
    assert_eq!((last.done, last.of), (Some(300_000), Some(300_000)));

    let id = result["id"].as_str().expect("an id");
    let posted = linked.done(post("Good evening", &[id])).await;
    let [post] = &linked.api.posts()[..] else { panic!("one") };
    assert_eq!((post.text.as_str(), &post.media_ids[..]), ("Good evening", &[id.to_owned()][..]));
    assert_eq!(posted["id"], post.id);
}

#[tokio::test]
async fn video_goes_in_segments_and_is_waited_for() {
    let linked = Linked::new(Settings { processing: Duration::from_millis(1500), ..Settings::default() }).await;
    let file = linked.file("clip", MP4, 9 * MIB + 77);
    let result = linked.done(upload(&file)).await;
    let [media] = &linked.api.media()[..] else { panic!("one") };
    assert_eq!((media.category.as_str(), media.length, media.segments), ("tweet_video", 9 * MIB as u64 + 77, 10));
    assert_eq!((media.sha256, media.finalized, media.hasty), (sha256(&file), true, 0));
    assert_eq!((&result["ready"], &result["media-type"]), (&true.into(), &"video/mp4".into()));
    let told = linked.told();
    let uploading: Vec<_> = told.iter().filter(|told| told.step.starts_with("Uploading")).collect();
    assert_eq!(uploading[0].done, Some(0));
    assert!(uploading.is_sorted_by_key(|told| told.done));
    assert_eq!(uploading.last().map(|told| (told.done, told.of)), Some((Some(media.length), Some(media.length))));
    assert!(told.iter().any(|told| told.step == "X processes it"), "{told:?}");
    assert_eq!(fs::read_dir(linked.folder.path().join("uploads")).expect("list").count(), 0, "nothing is left");
}

#[tokio::test]
async fn a_gif_and_subtitles_go_in_segments() {
    let linked = linked().await;
    let gif = linked.file("g", GIF, MIB + 1);
    linked.done(described(&gif, "It turns")).await;
    let vtt = linked.file("v", b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", 0);
    linked.done(upload(&vtt)).await;
    let media = linked.api.media();
    assert_eq!((media[0].category.as_str(), media[0].alt_text.as_deref()), ("tweet_gif", Some("It turns")));
    assert_eq!((media[1].category.as_str(), media[1].sha256), ("subtitles", sha256(&vtt)));
}

#[tokio::test]
async fn what_fails_on_the_way_is_sent_again_and_counts_once() {
    let linked = linked().await;
    let file = linked.file("clip", MP4, 3 * MIB);
    for (route, fault) in [
        (Route::Append, Fault::LostAnswer),
        (Route::Append, Fault::Status(503)),
        (Route::Append, Fault::Cut),
        (Route::Append, Fault::Html(502)),
        (Route::Append, Fault::TruncatedJson),
        (Route::Initialize, Fault::Status(500)),
        (Route::Finalize, Fault::LostAnswer),
        (Route::UploadStatus, Fault::Status(503)),
    ] {
        linked.api.fail(route, fault, 1);
    }
    linked.done(upload(&file)).await;
    let media = linked.api.media();
    let whole: Vec<_> = media.iter().filter(|media| media.finalized).collect();
    assert_eq!(whole.len(), 1);
    assert_eq!((whole[0].sha256, whole[0].segments), (sha256(&file), 3));
    assert!(linked.api.calls("POST", "/2/media/upload/{id}/append") >= 3 + 5);
}

#[tokio::test]
async fn an_api_that_goes_and_comes_back_gets_the_rest() {
    let linked = linked().await;
    let file = linked.file("clip", MP4, 24 * MIB);
    let is_tried_again = || linked.told().iter().any(|told| told.step.ends_with("it is tried again"));
    let outage = async {
        until("segments", || linked.api.media().first().is_some_and(|media| media.segments >= 3)).await;
        linked.api.listen(false);
        until("told", is_tried_again).await;
        linked.api.listen(true);
    };
    tokio::join!(linked.done(upload(&file)), outage);
    let [media] = &linked.api.media()[..] else { panic!("one") };
    assert_eq!((media.sha256, media.finalized), (sha256(&file), true));
}

#[tokio::test]
async fn a_program_that_was_killed_goes_on_where_it_was() {
    let mut linked = linked().await;
    let file = linked.file("clip", MP4, 24 * MIB);
    killed(&linked, &file, 4).await;
    linked.restart();
    killed_again(&linked, &file, 12).await;
    linked.restart();
    linked.done(upload(&file)).await;
    let [media] = &linked.api.media()[..] else { panic!("one") };
    assert_eq!((media.sha256, media.segments, media.finalized), (sha256(&file), 24, true));
    // What was under way when it was killed is sent again, and nothing else.
    let sent = linked.api.calls("POST", "/2/media/upload/{id}/append");
    assert!((24..=28).contains(&sent), "{sent}");
}

/// As [`killed`], of an upload that X has begun with.
async fn killed_again(linked: &Linked, file: &Path, segments: usize) {
    let has = || linked.api.media()[0].segments >= segments;
    tokio::select! {
        answer = linked.ask(upload(file)) => panic!("{answer:?}"),
        () = until("segments", has) => {}
    }
}

#[tokio::test]
async fn an_upload_that_x_has_forgotten_begins_anew() {
    let mut linked = linked().await;
    let file = linked.file("clip", MP4, 24 * MIB);
    killed(&linked, &file, 4).await;
    linked.restart();
    linked.api.fail(Route::Append, Fault::NotFound, 1);
    linked.done(upload(&file)).await;
    let media = linked.api.media();
    assert_eq!(media.iter().map(|media| media.finalized).collect::<Vec<_>>(), [false, true]);
    assert_eq!(media[1].sha256, sha256(&file));
}

#[tokio::test]
async fn a_changed_file_is_another_file() {
    let mut linked = linked().await;
    let file = linked.file("clip", MP4, 24 * MIB);
    killed(&linked, &file, 4).await;
    let file = linked.file("clip", b"\0\0\0\x20ftypmp42", 24 * MIB);
    linked.restart();
    linked.done(upload(&file)).await;
    let media = linked.api.media();
    assert_eq!(media.iter().map(|media| media.finalized).collect::<Vec<_>>(), [false, true]);
    assert_eq!(media[1].sha256, sha256(&file));
}

#[tokio::test]
async fn a_file_that_changes_or_vanishes_is_never_finalized() {
    let linked = linked().await;
    for (wrong, expected) in [
        (&(|path: &Path| fs::write(path, b"other").expect("written")) as &dyn Fn(&Path), "changed while"),
        (&|path: &Path| fs::remove_file(path).expect("removed"), "vanished while"),
    ] {
        let file = linked.file("clip", MP4, 24 * MIB);
        let begun = linked.api.media().len();
        let spoil = async {
            until("segments", || linked.api.media().get(begun).is_some_and(|media| media.segments >= 2)).await;
            wrong(&file);
        };
        let (text, ()) = tokio::join!(linked.failed(upload(&file)), spoil);
        assert!(text.contains(expected), "{text}");
        let media = linked.api.media();
        assert!(media.len() == begun + 1 && !media[begun].finalized);
    }
}

#[tokio::test]
async fn what_x_would_not_take_is_told_before_a_byte_is_sent() {
    let linked = linked().await;
    let asked = linked.api.journal().len();
    let large = linked.file("large.jpg", JPEG, 5 * MIB + 1);
    let program = linked.file("program.mp4", b"\x7fELF\x02\x01\x01", 2000);
    let huge = linked.file("huge.mp4", MP4, 1000);
    fs::OpenOptions::new().write(true).open(&huge).and_then(|file| file.set_len(513 << 20)).expect("a hole");
    let clip = linked.file("clip.mp4", MP4, 16 * MIB);
    let as_category = |file: &Path, category: &str| What::Upload {
        file: file.into(),
        category: Some(category.into()),
        alt_text: None,
    };
    for (what, expected) in [
        (upload(&large), "large.jpg has 5.1 MB; X takes at most 5 MB as tweet_image"),
        (upload(&program), "program.mp4 is nothing that X takes"),
        (upload(&huge), "huge.mp4 has 513.0 MB; X takes at most 512 MB as tweet_video"),
        (upload(&linked.file("empty.mp4", b"", 0)), "empty.mp4 is empty"),
        (as_category(&clip, "dm_video"), "at most 15 MB as dm_video"),
        (as_category(&clip, "tweet_image"), "whose category is tweet_video or amplify_video or dm_video"),
        (described(&clip, "A clip"), "alt text"),
        (upload(linked.folder.path()), "is no file"),
    ] {
        let text = linked.failed(what).await;
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(linked.api.journal().len(), asked);
}

#[tokio::test]
async fn what_x_cannot_process_is_told() {
    let linked =
        Linked::new(Settings { processing: Duration::from_millis(500), processing_fails: true, ..Settings::default() })
            .await;
    let file = linked.file("clip.mp4", MP4, 2000);
    let text = linked.failed(upload(&file)).await;
    assert!(text.contains("X cannot process clip.mp4"), "{text}");
    assert_eq!(linked.api.calls("POST", "/2/media/upload/initialize"), 1);
    assert_eq!(fs::read_dir(linked.folder.path().join("uploads")).expect("list").count(), 0);
}

#[tokio::test]
async fn a_post_mixes_nothing_and_is_never_repeated() {
    let linked = linked().await;
    let mut ids = Vec::new();
    for (name, head) in [("1", JPEG), ("2", JPEG), ("3", GIF), ("4", MP4)] {
        let result = linked.done(upload(&linked.file(name, head, 2000))).await;
        ids.push(result["id"].as_str().expect("an id").to_owned());
    }
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    for (media, text) in [(&ids[1..3], "or one GIF"), (&ids[2..], "or one video"), (&[ids[0]; 5][..], "at most four")] {
        let told = linked.failed(post("x", media)).await;
        assert!(told.contains(text) && told.contains("Nothing was sent"), "{told}");
    }
    assert!(linked.failed(post(" ", &[])).await.contains("a text or media"));
    assert_eq!(linked.api.calls("POST", "/2/tweets"), 0);
    linked.done(post("Two", &ids[..2])).await;
    linked.done(post("", &ids[3..])).await;
    let unknown = linked.failed(post("x", &["1", ids[0]])).await;
    assert!(unknown.contains("does not know") || unknown.contains("refused"), "the API's word: {unknown}");

    linked.api.fail(Route::CreatePost, Fault::LostAnswer, 1);
    let before = linked.api.calls("POST", "/2/tweets");
    let text = linked.failed(post("Once", &[])).await;
    assert!(text.contains("answer was lost") && text.contains("look before you try it again"), "{text}");
    assert_eq!(linked.api.calls("POST", "/2/tweets"), before + 1);
    assert_eq!(linked.api.posts().iter().filter(|post| post.text == "Once").count(), 1);
}
