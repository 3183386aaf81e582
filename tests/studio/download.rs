//! Downloads: the best file, whole, once, and without a token for its host, which the stand-in would tell as a
//! violation. The bytes that it gives are made, each by its place.

use crate::{
    linked::{Linked, MIB, open, until},
    stand_in::{Fault, Route, Settings, StandIn, made_byte},
};
use fieldcast::{
    command::{
        Answer,
        studio::{Request, What},
    },
    studio::{Ask, Broadcast, Told},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const AT: &str = "/media/{media_key}/{file}";

/// A Studio, and the media key of a video of `size` bytes.
async fn video(size: usize) -> (Linked, String) {
    let linked = Linked::new(Settings { processing: Duration::ZERO, ..Settings::default() }).await;
    let file = linked.file("clip", b"\0\0\0\x20ftypisom\0\0\x02\0", size);
    let result = linked.done(What::Upload { file, category: None, alt_text: None }).await;
    (linked, result["media-key"].as_str().expect("a key").to_owned())
}

/// A Broadcast that is live.
async fn live(linked: &Linked) -> Broadcast {
    let source = linked.done(What::CreateSource { name: "Main".into(), region: Some("us-east-1".into()) }).await;
    let source = source["id"].as_str().expect("an id");
    linked.api.set_active(source, true);
    let live = Ask::GoLive { title: None, chat_option: None, locale: None, post: None };
    match linked.studio.ask(None, source, live).await {
        Told::Broadcast(broadcast) => *broadcast,
        other => panic!("{other:?}"),
    }
}

fn download(key: &str, file: &Path) -> What {
    What::Download { key: key.into(), file: Some(file.into()) }
}

fn check(path: &Path, length: usize) {
    let content = fs::read(path).expect("read");
    assert_eq!(content.len(), length);
    assert!(content.iter().zip(0..).all(|(byte, at)| *byte == made_byte(at)), "a byte is in a wrong place");
}

/// Files of a folder, but those of the Studio itself.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).expect("list").flatten().map(|entry| entry.path());
    let mut all: Vec<_> = all.filter(|path| path.is_file()).collect();
    all.sort();
    all
}

fn statuses(api: &StandIn) -> Vec<Option<u16>> {
    api.journal().iter().filter(|asked| asked.template == AT).map(|asked| asked.status).collect()
}

/// Downloads and stops once there are `bytes`, as a program that is killed.
async fn killed(linked: &Linked, what: What, part: &Path, bytes: u64) {
    linked.api.fail(Route::Download, Fault::HalfBody, 1);
    tokio::select! {
        answer = linked.ask(what) => panic!("{answer:?}"),
        () = until("bytes", || fs::metadata(part).is_ok_and(|meta| meta.len() >= bytes)) => {}
    }
}

#[tokio::test]
async fn the_best_file_is_there_whole_under_its_key() {
    let (linked, key) = video(3 * MIB).await;
    let media = linked.done(What::Media(key.clone())).await;
    assert_eq!(
        (&media["media-key"], &media["type"], &media["width"]),
        (&key.clone().into(), &"video".into(), &1280.into())
    );
    assert_eq!(media["variants"][1]["bit-rate"], 2_176_000);
    let folder = tempfile::tempdir().expect("folder");
    linked.told();
    let result = linked.done(download(&key, folder.path())).await;
    let path = folder.path().join(format!("{key}.mp4"));
    assert_eq!((&result["file"], &result["size"]), (&path.display().to_string().into(), &(3 * MIB).into()));
    check(&path, 3 * MIB);
    assert_eq!(files(folder.path()), [path], "nothing else is left");
    let told = linked.told();
    let last = told.last().expect("told");
    assert_eq!((last.done, last.of), (Some(3 * MIB as u64), Some(3 * MIB as u64)));
    assert!(told[0].step.starts_with("Downloading"));
}

#[tokio::test]
async fn what_was_cut_off_goes_on_where_it_was() {
    let (linked, key) = video(3 * MIB).await;
    let file = linked.folder.path().join("got.mp4");
    linked.api.fail(Route::Download, Fault::HalfBody, 2);
    linked.api.fail(Route::Download, Fault::Status(503), 1);
    linked.done(download(&key, &file)).await;
    check(&file, 3 * MIB);
    assert_eq!(statuses(&linked.api), [Some(200), Some(206), Some(503), Some(206)]);
}

#[tokio::test]
async fn a_program_that_was_killed_goes_on_with_the_same_file_only() {
    let (mut linked, key) = video(3 * MIB).await;
    let file = linked.folder.path().join("got.mp4");
    let (part, note) = (linked.folder.path().join("got.mp4.part"), linked.folder.path().join("got.mp4.part.json"));
    killed(&linked, download(&key, &file), &part, 500_000).await;
    linked.restart();
    linked.done(download(&key, &file)).await;
    check(&file, 3 * MIB);
    assert_eq!(statuses(&linked.api), [Some(200), Some(206)]);

    fs::remove_file(&file).expect("removed");
    killed(&linked, download(&key, &file), &part, 500_000).await;
    linked.restart();
    let other = fs::read_to_string(&note).expect("a note").replace(&key, "7_1");
    fs::write(&part, vec![0; 700_000]).expect("written");
    fs::write(&note, other).expect("written");
    linked.done(download(&key, &file)).await;
    check(&file, 3 * MIB);
    assert_eq!(statuses(&linked.api)[2..], [Some(200), Some(200)], "a part of another file is not gone on with");

    fs::remove_file(&file).expect("removed");
    killed(&linked, download(&key, &file), &part, 500_000).await;
    linked.restart();
    let text = fs::read_to_string(&note).expect("a note");
    let mut changed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    changed["validator"] = "\"an earlier version\"".into();
    fs::write(&note, changed.to_string()).expect("written");
    linked.done(download(&key, &file)).await;
    check(&file, 3 * MIB);
    assert_eq!(statuses(&linked.api)[4..], [Some(200), Some(200)], "If-Range tells that the file changed");
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let (linked, key) = video(MIB).await;
    let file = linked.file("mine.mp4", b"mine", 4);
    let text = linked.failed(download(&key, &file)).await;
    assert!(text.contains("is there already"), "{text}");
    assert_eq!(fs::read(&file).expect("read"), b"mine");
    assert_eq!(linked.api.calls("GET", AT), 0);
    let text = linked.failed(download("7_1", &linked.folder.path().join("x"))).await;
    assert!(text.contains("does not know"), "{text}");
    let text = linked.failed(download(&key, &linked.folder.path().join("none/x"))).await;
    assert!(text.contains("cannot be written"), "{text}");
    let before = files(linked.folder.path());
    assert!(before.iter().all(|path| path.extension().is_none_or(|end| end != "part")), "{before:?}");
}

#[tokio::test]
async fn another_host_and_an_address_that_is_no_more_are_told() {
    let (linked, key) = video(MIB).await;
    let folder = tempfile::tempdir().expect("folder");
    linked.api.fail(Route::Download, Fault::RedirectAway, 1);
    let text = linked.failed(download(&key, folder.path())).await;
    assert!(text.contains("does not know"), "followed to where nothing is: {text}");
    linked.api.fail(Route::Download, Fault::NotFound, 1);
    linked.failed(download(&key, folder.path())).await;
    assert!(files(folder.path()).is_empty(), "nothing is left of nothing");
}

#[tokio::test]
async fn a_broadcast_without_a_recording_is_explained() {
    let (linked, _) = video(MIB).await;
    let text = linked.failed(download("28_1923456789012345678", linked.folder.path())).await;
    assert!(text.contains("no recording of this Broadcast") && text.contains("account's data"), "{text}");
}

#[tokio::test]
async fn a_broadcast_that_left_files_is_got_by_its_id_in_the_best_of_them() {
    let (linked, _) = video(MIB).await;
    let broadcast = live(&linked).await;
    let folder = tempfile::tempdir().expect("folder");
    let text = linked.failed(download(&broadcast.id, folder.path())).await;
    assert!(text.contains("no recording of this Broadcast"), "{text}");

    linked.api.leave_replay(&broadcast.id, &[(800_000, 1000), (4_000_000, 5000), (2_000_000, 3000)]);
    let result = linked.done(download(&broadcast.id, folder.path())).await;
    assert_eq!((&result["size"], &result["media-key"]), (&5000.into(), &broadcast.media_key.into()));
    check(Path::new(result["file"].as_str().expect("a path")), 5000);
    let text = linked.failed(download("1", folder.path())).await;
    assert!(text.contains("does not know"), "{text}");
}

#[tokio::test]
async fn what_the_disk_has_no_room_for_is_not_begun() {
    let (linked, _) = video(MIB).await;
    let broadcast = live(&linked).await;
    linked.api.leave_replay(&broadcast.id, &[(4_000_000, 1 << 50)]);
    let folder = tempfile::tempdir().expect("folder");
    let text = linked.failed(download(&broadcast.id, folder.path())).await;
    assert!(text.contains("1125899907 MB are to be downloaded"), "{text}");
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn a_full_disk_gets_its_space_back() {
    let (linked, key) = video(8 * MIB).await;
    let folder = tempfile::tempdir().expect("folder");
    // The limit on file sizes holds for a whole process and comes with a signal: it is set in a child that runs the
    // test below, in blocks of 512 bytes.
    let child = tokio::process::Command::from(Command::new("sh"))
        .args(["-c", "ulimit -f 8192; trap '' XFSZ; exec \"$0\" --ignored --exact download::on_a_full_disk"])
        .arg(env::current_exe().expect("this test"))
        .env("DOWNLOAD_API", linked.api.url())
        .env("DOWNLOAD_STATE", linked.folder.path())
        .env("DOWNLOAD_KEY", &key)
        .env("DOWNLOAD_FOLDER", folder.path())
        .output()
        .await
        .expect("run");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(files(folder.path()).is_empty());
    linked.done(download(&key, folder.path())).await;
    check(&folder.path().join(format!("{key}.mp4")), 8 * MIB);
}

#[tokio::test]
#[ignore = "run by a_full_disk_gets_its_space_back under a limit on file sizes"]
async fn on_a_full_disk() {
    let of = |name: &str| env::var(name).expect("given");
    let studio = open(&of("DOWNLOAD_API"), Path::new(&of("DOWNLOAD_STATE")));
    let what = download(&of("DOWNLOAD_KEY"), Path::new(&of("DOWNLOAD_FOLDER")));
    let Answer::Failed { text, .. } = studio.perform(Request { account: None, what }, &|_| {}).await else {
        panic!("it has room")
    };
    assert!(text.contains("The disk is full") && text.contains("is removed"), "{text}");
}
