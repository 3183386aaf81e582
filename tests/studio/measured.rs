//! `make bench`: 512 MB to a stand-in in another process, beside curl with the same segments to the same route.

use crate::{
    linked::{Linked, MIB, open},
    stand_in::{Settings, Tokens, made_byte},
};
use fieldcast::{
    command::{
        Answer,
        studio::{Request, What},
    },
    sys,
};
use serde_json::{Value, json};
use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

const SIZE: usize = 512 * MIB;
const SEGMENT: usize = 4 * MIB;
/// The best of so many rounds counts: others want the machine too.
const ROUNDS: usize = 3;

#[tokio::test]
#[ignore = "a measurement: make bench"]
async fn upload_of_512_mb_beside_curl() {
    let linked = Linked::new(Settings { processing: Duration::ZERO, ..Settings::default() }).await;
    let tokens = linked.api.link("fieldcast");
    let (file, segments) = make_files(linked.folder.path());
    let (mut ours, mut curls, mut above) = (f64::MAX, f64::MAX, 0);
    for _ in 0..ROUNDS {
        let of_client = client(&linked, &file).await;
        ours = ours.min(of_client["seconds"].as_f64().expect("seconds"));
        above = above.max(of_client["above-idle"].as_u64().expect("KiB"));
        curls = curls.min(curl(&linked, &tokens, &segments).await);
    }
    let media = linked.api.media();
    assert_eq!(media.len(), 2 * ROUNDS);
    assert!(media.iter().all(|of| of.sha256 == media[0].sha256 && of.length == SIZE as u64));
    let rate = |seconds: f64| SIZE as f64 / 1e6 / seconds;
    println!("upload of 512 MB, best of {ROUNDS}: {:.0} MB/s; curl: {:.0} MB/s", rate(ours), rate(curls));
    println!("  rate: {:.2} x curl (aim: 0.8)", curls / ours);
    println!("  memory above idle: {:.1} MiB (aim: 32)", above as f64 / 1024.0);
}

/// The file, and its segments as curl wants them.
fn make_files(folder: &Path) -> (PathBuf, Vec<PathBuf>) {
    let path = folder.join("clip.mp4");
    let mut file = fs::File::create(&path).expect("created");
    let mut segments = Vec::new();
    for index in 0..SIZE / SEGMENT {
        let mut bytes: Vec<u8> = (0..SEGMENT as u64).map(|at| made_byte(at + index as u64)).collect();
        if index == 0 {
            bytes[..16].copy_from_slice(b"\0\0\0\x20ftypisom\0\0\x02\0");
        }
        let segment = folder.join(format!("segment-{index}"));
        fs::write(&segment, &bytes).expect("written");
        file.write_all(&bytes).expect("written");
        segments.push(segment);
    }
    (path, segments)
}

/// The client in a process of its own.
async fn client(linked: &Linked, file: &Path) -> Value {
    let out = linked.folder.path().join("measured.json");
    let child = tokio::process::Command::new(env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "measured::a_client"])
        .env("MEASURE_API", linked.api.url())
        .env("MEASURE_STATE", linked.folder.path())
        .env("MEASURE_FILE", file)
        .env("MEASURE_OUT", &out)
        .output()
        .await
        .expect("run");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    serde_json::from_slice(&fs::read(out).expect("measured")).expect("JSON")
}

#[tokio::test]
#[ignore = "run by upload_of_512_mb_beside_curl"]
async fn a_client() {
    let of = |name: &str| env::var(name).expect("given");
    let studio = open(&of("MEASURE_API"), Path::new(&of("MEASURE_STATE")));
    let ask = |what| {
        let studio = studio.clone();
        async move { studio.perform(Request { account: None, what }, &|_| {}).await }
    };
    // A call that everything is loaded for.
    ask(What::Media("7_1".into())).await;
    // The peak begins anew (proc(5)).
    fs::write("/proc/self/clear_refs", "5").expect("reset");
    let (idle, begun) = (memory("VmRSS:"), sys::now());
    let answer = ask(What::Upload { file: of("MEASURE_FILE").into(), category: None, alt_text: None }).await;
    let seconds = sys::now().since(begun).as_secs_f64();
    assert!(matches!(answer, Answer::Successful { .. }), "{answer:?}");
    let figures = json!({"seconds": seconds, "above-idle": memory("VmHWM:").saturating_sub(idle)});
    fs::write(of("MEASURE_OUT"), figures.to_string()).expect("written");
}

/// A line of `/proc/self/status`, KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("read");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("KiB")
}

/// Seconds that one curl takes for all segments, on one connection.
async fn curl(linked: &Linked, tokens: &Tokens, segments: &[PathBuf]) -> f64 {
    let route = format!("{}/2/media/upload", linked.api.url());
    let token = format!("header = \"Authorization: Bearer {}\"\n", tokens.access);
    let body = json!({"media_category": "tweet_video", "media_type": "video/mp4", "total_bytes": SIZE}).to_string();
    let initialize = format!(
        "url = \"{route}/initialize\"\n{token}header = \"Content-Type: application/json\"\ndata = {}\n",
        json!(body)
    );
    let reply: Value = serde_json::from_slice(&run_curl(&initialize).await).expect("JSON");
    let id = reply["data"]["id"].as_str().expect("an id");
    let one = |(index, path): (usize, &PathBuf)| {
        let path = path.display();
        format!(
            "url = \"{route}/{id}/append\"\n{token}header = \"Expect:\"\nfail\noutput = \"/dev/null\"\n\
             form = \"segment_index={index}\"\nform = \"media=@{path}\"\n"
        )
    };
    let all: Vec<_> = segments.iter().enumerate().map(one).collect();
    let begun = sys::now();
    run_curl(&all.join("next\n")).await;
    sys::now().since(begun).as_secs_f64()
}

async fn run_curl(config: &str) -> Vec<u8> {
    let mut config_file = tempfile::NamedTempFile::new().expect("file");
    config_file.write_all(config.as_bytes()).expect("written");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--config"]).arg(config_file.path()).stderr(Stdio::inherit());
    let output = tokio::process::Command::from(curl).output().await.expect("curl");
    assert!(output.status.success(), "curl failed");
    output.stdout
}
