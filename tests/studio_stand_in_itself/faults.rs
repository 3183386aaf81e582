//! Failing on purpose: what the client sees, and whether the request was carried out.

use crate::{
    raw::Client,
    stand_in::{Fault, Route, Settings, StandIn},
    support::{Nginx, free_port, has_tools, wait},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_fault_is_seen_as_what_it_is_and_goes_away() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let source = json!({"name": "a", "region": "us-east-1"});
    let create = || client.send("POST", "/2/sources", &source);
    let mut made = 0;
    for (fault, status, is_made) in [
        (Fault::Unauthorized, 401, false),
        (Fault::NotAllowListed, 403, false),
        (Fault::NotFound, 404, false),
        (Fault::Conflict, 409, false),
        (Fault::NotEligible, 412, false),
        (Fault::TooMany(SECOND), 429, false),
        (Fault::Status(500), 500, false),
        (Fault::Status(503), 503, false),
        (Fault::Html(502), 502, false),
        (Fault::RedirectAway, 307, false),
        (Fault::Cut, 0, false),
        (Fault::LostAnswer, 0, true),
        (Fault::TruncatedJson, 201, true),
        (Fault::HalfBody, 201, true),
        (Fault::Huge, 201, true),
        (Fault::Drip(Duration::from_millis(1)), 201, true),
    ] {
        studio.fail(Route::CreateSource, fault.clone(), 1);
        let reply = create();
        made += usize::from(is_made);
        assert_eq!((reply.status, studio.sources().len()), (status, made), "{fault:?}");
        let is_json = serde_json::from_slice::<serde_json::Value>(&reply.body).is_ok();
        let broken = matches!(fault, Fault::TruncatedJson | Fault::HalfBody | Fault::Huge | Fault::Html(_));
        assert!(!(broken && is_json), "{fault:?}");
        assert!(fault != Fault::Huge || reply.body.len() == 100_000_000);
    }
    assert_eq!(create().status, 201, "all are over");
    assert_eq!(studio.calls("POST", "/2/sources"), 17);
}

#[test]
fn one_that_hangs_gives_no_byte_and_does_not_hold_up_others() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    studio.fail(Route::ListSources, Fault::Hang, 1);
    let host = studio.url().replace("http://", "");
    let mut stuck = TcpStream::connect(&host).expect("connected");
    write!(stuck, "GET /2/sources HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\r\n", client.token)
        .expect("sent");
    wait("it came", 10 * SECOND, || (studio.calls("GET", "/2/sources") == 1).then_some(()));
    assert_eq!(client.get("/2/sources").status, 200);
    stuck.set_read_timeout(Some(SECOND / 5)).expect("set");
    let none = stuck.read(&mut [0]).expect_err("no byte").kind();
    assert!(matches!(none, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{none}");
}

#[test]
fn it_goes_away_and_comes_back_where_it_was() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    studio.listen(false);
    assert_eq!(client.get("/2/sources").status, 0);
    studio.listen(true);
    assert_eq!(client.get("/2/sources").status, 200);
}

#[test]
fn too_many_requests_are_refused_until_the_time_that_is_told() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    studio.limit(Route::ListSources, 2);
    let first = client.get("/2/sources");
    let header = |name: &str| first.header(name).map(|text| text.parse::<u64>().expect("a number"));
    assert_eq!((header("x-rate-limit-limit"), header("x-rate-limit-remaining")), (Some(2), Some(1)));
    assert!(header("x-rate-limit-reset").expect("a time") > fieldcast::sys::wall().as_secs());
    assert_eq!(client.get("/2/sources").status, 200);
    assert_eq!(client.get("/2/sources").status, 429);
    studio.advance(15 * 60 * SECOND);
    assert_eq!(client.get("/2/sources").status, 200);
}

#[test]
fn who_may_not_is_told_why_in_every_shape() {
    let studio = StandIn::start_with(Settings { all_error_shapes: true, ..Settings::default() });
    let client = Client::of(&studio);
    let source = client.source();
    studio.set_eligible("fieldcast", false);
    assert_eq!(client.send("POST", "/2/broadcasts", &json!({"source_id": source})).status, 412);
    studio.set(|settings| settings.allow_listed = false);
    let refused = (0..4).map(|_| client.get("/2/sources"));
    let shapes: BTreeSet<Vec<String>> = refused
        .inspect(|reply| assert_eq!(reply.status, 403))
        .map(|reply| reply.json().as_object().expect("an object").keys().cloned().collect())
        .collect();
    assert_eq!(shapes.len(), 3, "two of the four have only `errors`: {shapes:?}");
}

#[test]
fn a_path_that_is_no_route_is_a_violation() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    assert_eq!(client.get("/2/users/1/sources").status, 404);
    assert_eq!(studio.take_violations().len(), 1);
}

/// Somebody who pushes a test picture; killed at its end.
struct Pusher(Child);

impl Pusher {
    fn start(url: &str) -> Self {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "quiet", "-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10"]);
        command.args(["-c:v", "flv", "-f", "flv", url]).stdin(Stdio::null());
        Self(command.spawn().expect("ffmpeg"))
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_source_is_active_while_a_real_ingest_gets_its_video() {
    if !has_tools() {
        return;
    }
    let (told, reads) = (StandIn::start(), StandIn::start());
    let port = free_port();
    let page =
        format!("http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ rtmp_stat all; }} }} }}");
    let mut ingest = Nginx::start_with(&told.nginx_application(), &page);
    reads.watch_nginx(&format!("http://127.0.0.1:{port}/"));
    told.set(|settings| settings.rtmp_url = ingest.url());
    let client = Client::of(&told);
    let source = client.source();
    let shown = client.get(&format!("/2/sources/{source}")).json()["data"].clone();
    assert_eq!((&shown["rtmp_url"], &shown["is_stream_active"]), (&json!(ingest.url()), &json!(false)));
    let key = told.sources()[0].stream_key.clone();
    // The other one has a source with the same key, and no calls from the ingest.
    Client::of(&reads).source();
    reads.set_key(&reads.sources()[0].id, &key);

    let pusher = Pusher::start(&format!("{}/{key}", ingest.url()));
    let active = |studio: &StandIn, wanted: bool| {
        wait("what the ingest tells", 20 * SECOND, || (studio.sources()[0].active == wanted).then_some(()));
    };
    active(&told, true);
    active(&reads, true);
    assert_eq!(client.get(&format!("/2/sources/{source}")).json()["data"]["is_stream_active"], true);
    drop(pusher);
    active(&told, false);
    active(&reads, false);
    let refused = Pusher::start(&format!("{}/wrong", ingest.url())).0.wait().expect("its end");
    assert!(!refused.success(), "a key that no source has");
    let _again = Pusher::start(&format!("{}/{key}", ingest.url()));
    active(&reads, true);
    ingest.kill();
    active(&reads, false);
}
