//! Who pushes, as a real nginx-rtmp tells: by its calls when a stream begins and ends, or by its page of statistics.

use super::{
    reply::Sent,
    schema,
    server::{Shared, lock},
    world::World,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Response, body::Incoming};
use std::{
    io,
    sync::{Mutex, Weak},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How often the page of statistics is read.
const EACH: Duration = Duration::from_millis(200);

/// Sets whether video comes for the source with this key; whether there is one.
pub fn set_active(world: &mut World, key: &str, active: bool) -> bool {
    let now = world.now();
    let Some(source) = world.sources.iter_mut().find(|source| source.stream_key == key) else { return false };
    if source.active || active {
        source.last_video = Some(now);
    }
    source.active = active;
    true
}

/// Answers `on_publish` and `on_publish_done`: a key that is not known is refused, as a real ingest does.
pub async fn told(shared: &Shared, path: &str, body: Incoming) -> io::Result<Response<Sent>> {
    let body = Limited::new(body, 64 * 1024).collect().await.map_err(io::Error::other)?.to_bytes();
    let fields = schema::form(&body).unwrap_or_default();
    let key = fields.get("name").and_then(|name| name.as_str()).unwrap_or_default();
    let known = set_active(&mut lock(shared), key, path == "/ingest/publish");
    Ok(Response::builder().status(if known { 200 } else { 404 }).body(Sent::Whole(Bytes::new())).expect("a right head"))
}

/// Reads nginx's page of statistics (`rtmp_stat all`) again and again, as long as the stand-in runs. While it cannot be
/// had, nobody pushes.
pub async fn watch(shared: Weak<Mutex<World>>, url: String) {
    while shared.strong_count() > 0 {
        let page = timeout(Duration::from_secs(2), read(&url)).await;
        let page = page.ok().and_then(Result::ok).unwrap_or_default();
        let Some(shared) = shared.upgrade() else { return };
        set_all(&mut lock(&shared), &publishing(&page));
        drop(shared);
        sleep(EACH).await;
    }
}

fn set_all(world: &mut World, publishing: &[String]) {
    let keys: Vec<_> = world.sources.iter().map(|source| source.stream_key.clone()).collect();
    for key in keys {
        set_active(world, &key, publishing.contains(&key));
    }
}

async fn read(url: &str) -> io::Result<String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| io::Error::other("http:// is needed"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).await?;
    // HTTP/1.0: the end of the connection is that of the page.
    stream.write_all(format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}

/// Names of the streams that somebody publishes.
fn publishing(page: &str) -> Vec<String> {
    let streams = page.split("<stream>").skip(1).filter(|stream| stream.contains("<publishing/>"));
    let name = |stream: &str| Some(stream.split_once("<name>")?.1.split_once("</name>")?.0.to_owned());
    streams.filter_map(name).collect()
}
