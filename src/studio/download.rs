//! Download of the best file of a media object, which goes on where it was cut off (RFC 9110, 14: ranges).
//!
//! The file is at another host than the API's, which is given no token and no more than the address that X told.

mod partial;

use super::{Studio, Trouble, lost, media, media::Media, patience::Patience, progress::Meter, types::is_loopback};
use crate::{remote::message::Progress, sys};
use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE},
};
use partial::Partial;
use reqwest::{Response, Url};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// A host that says nothing for so long is lost.
const SILENCE: Duration = Duration::from_secs(30);
/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Downloads the best file of media `key`, or of the Broadcast of this id, to `file`, or into that folder (none: the
/// working folder) by the name of the key. Answers where it is and how large. What is there is never overwritten.
///
/// # Errors
/// [`Trouble::NoReplay`] for a Broadcast that X has no file of; [`Trouble::File`]: what is got so far is kept beside it
/// as `.part` and gone on with, but where the disk is full; all that calls can have.
pub(super) async fn download(
    studio: &Studio,
    account: Option<&str>,
    key: &str,
    file: Option<&Path>,
    tell: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Value, Trouble> {
    let media = media::find(studio, account, key).await?;
    let key = &media.media_key;
    let url = media.best().ok_or_else(|| media::missing(key))?;
    let url: Url = url.parse().map_err(|_| Trouble::Garbled("the address of the file".into()))?;
    let mut partial = Partial::open(target(file, &media, &url), key.clone()).await?;
    let mut meter = None;
    let mut patience = Patience::from(sys::now());
    loop {
        let had = partial.has();
        let trouble = match fetch(studio, url.clone(), &mut partial, &mut meter, tell).await {
            Ok(()) => break,
            Err(trouble) => trouble,
        };
        if partial.has() > had {
            patience = Patience::from(sys::now());
        }
        let Some(wait) = patience.wait(&trouble, sys::now()) else {
            partial.close().await;
            return Err(trouble);
        };
        let step = format!("{}; it is tried again", trouble.text());
        tell(Progress { step, done: Some(partial.has()), of: partial.length() });
        sleep(wait).await;
    }
    let size = partial.has();
    let path = partial.finish().await?;
    Ok(json!({"media-key": key, "file": path, "size": size}))
}

fn target(file: Option<&Path>, media: &Media, url: &Url) -> PathBuf {
    let folder = match file {
        Some(file) if !file.is_dir() => return file.into(),
        Some(folder) => folder,
        None => Path::new("."),
    };
    let extension = url.path().rsplit_once('.').map_or("", |(_, extension)| extension);
    let photo = if ["jpg", "jpeg", "png", "webp"].contains(&extension) { extension } else { "jpg" };
    let extension = if media.kind.as_deref() == Some("photo") { photo } else { "mp4" };
    folder.join(format!("{}.{extension}", media.media_key))
}

/// Gets what is missing.
async fn fetch(
    studio: &Studio,
    url: Url,
    partial: &mut Partial,
    meter: &mut Option<Meter>,
    tell: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Trouble> {
    let mut response = get(studio, url, partial).await?;
    let headers = response.headers();
    match response.status() {
        StatusCode::OK => {
            partial.begin(validator(headers), response.content_length()).await?;
        }
        StatusCode::PARTIAL_CONTENT => match range(headers) {
            Some((from, length)) if from == partial.has() && partial.length().is_none_or(|of| of == length) => {
                partial.expect(length).await?;
            }
            _ => {
                partial.begin(None, None).await?;
                return Err(Trouble::Garbled("it is another part of the file than was asked for".into()));
            }
        },
        // All was there, or it is another file now.
        StatusCode::RANGE_NOT_SATISFIABLE if partial.has() > 0 => {
            if partial.length() == Some(partial.has()) {
                return Ok(());
            }
            partial.begin(None, None).await?;
            return Err(Trouble::Garbled("the file changed".into()));
        }
        StatusCode::TOO_MANY_REQUESTS => return Err(Trouble::TooMany(Duration::from_secs(60))),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Trouble::NotFound),
        status if status.is_server_error() => return Err(Trouble::Broken(status.as_u16())),
        status => return Err(Trouble::Refused(format!("the file's host answered {status}"))),
    }
    let meter = meter.get_or_insert_with(|| Meter::new("Downloading", partial.length()));
    meter.at(partial.has(), sys::now()).into_iter().for_each(tell);
    loop {
        let chunk = timeout(SILENCE, response.chunk()).await.map_err(|_| Trouble::AnswerLost)?;
        let Some(bytes) = chunk.map_err(|_| Trouble::AnswerLost)? else { break };
        partial.append(&bytes).await?;
        meter.at(partial.has(), sys::now()).into_iter().for_each(tell);
    }
    match partial.length() {
        Some(length) if length != partial.has() => Err(Trouble::AnswerLost),
        _ => Ok(()),
    }
}

/// Asks for what is missing, where redirects lead to.
async fn get(studio: &Studio, mut url: Url, partial: &Partial) -> Result<Response, Trouble> {
    for _ in 0..=REDIRECTS {
        if !may_be_asked(&url, studio.is_local()) {
            return Err(Trouble::Garbled("it leads to an address that is not https".into()));
        }
        let mut request = studio.http().get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(validator) = partial.validator().filter(|_| partial.has() > 0) {
            request = request.header(RANGE, format!("bytes={}-", partial.has())).header(IF_RANGE, validator);
        }
        let sent = timeout(SILENCE, request.send()).await.map_err(|_| Trouble::AnswerLost)?;
        let response = sent.map_err(|error| lost::trouble(&error))?;
        if !response.status().is_redirection() {
            return Ok(response);
        }
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        url = to.and_then(|to| url.join(to).ok()).ok_or_else(|| Trouble::Garbled("a redirect to nowhere".into()))?;
    }
    Err(Trouble::Garbled("too many redirects".into()))
}

/// Over TLS; without it on this machine only, and only if the API is there too: what X's hosts say must not lead into
/// the machine.
fn may_be_asked(url: &Url, local: bool) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => local && url.host_str().is_some_and(is_loopback),
        _ => false,
    }
}

/// By what a range is asked of the same file (RFC 9110, 13.1.5: a weak tag does not do). None: it is got anew.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let tag = text(ETAG).filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(LAST_MODIFIED)).map(str::to_owned)
}

/// The first byte of the part that came, and the length of the whole.
fn range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (part, length) = text.split_once('/')?;
    let (from, last) = part.split_once('-')?;
    let (from, last, length): (u64, u64, u64) = (from.parse().ok()?, last.parse().ok()?, length.parse().ok()?);
    (from <= last && last.checked_add(1) == Some(length)).then_some((from, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_got_over_tls() {
        let may = |url: &str, local| may_be_asked(&url.parse().expect("a URL"), local);
        assert!(may("https://video.twimg.com/1.mp4?tag=12", false));
        assert!(may("http://127.0.0.1:9/x", true) && may("http://[::1]/x", true) && may("http://localhost/x", true));
        assert!(!may("http://127.0.0.1:9/x", false), "X leads into this machine");
        assert!(!may("http://video.twimg.com/1.mp4", true) && !may("file:///etc/passwd", true));
    }

    #[test]
    fn a_part_is_told_by_its_headers() {
        let headers = |name: HeaderName, text: &str| HeaderMap::from_iter([(name, text.parse().expect("a value"))]);
        let part = |text| range(&headers(CONTENT_RANGE, text));
        assert_eq!(part("bytes 10-99/100"), Some((10, 100)));
        for wrong in ["bytes 10-98/100", "bytes 10-9/10", "bytes */100", "bytes 10-99/*", "10-99/100", ""] {
            assert_eq!(part(wrong), None, "{wrong}");
        }
        assert_eq!(part(&format!("bytes 0-{0}/{0}", u64::MAX)), None);
        assert_eq!(validator(&headers(ETAG, "\"a\"")).as_deref(), Some("\"a\""));
        assert_eq!(validator(&headers(ETAG, "W/\"a\"")), None);
        let mut both = headers(ETAG, "W/\"a\"");
        both.insert(LAST_MODIFIED, "Sat, 28 Nov 2026 08:00:00 GMT".parse().expect("a value"));
        assert_eq!(validator(&both).as_deref(), Some("Sat, 28 Nov 2026 08:00:00 GMT"));
    }

    #[test]
    fn a_file_is_named_by_its_key() {
        let media = |kind: &str| -> Media {
            serde_json::from_value(json!({"media_key": "7_1", "type": kind})).expect("a media object")
        };
        let folder = tempfile::tempdir().expect("folder");
        let url: Url = "https://p/a/1.png".parse().expect("a URL");
        assert_eq!(target(Some(folder.path()), &media("video"), &url), folder.path().join("7_1.mp4"));
        assert_eq!(target(None, &media("photo"), &url), Path::new("./7_1.png"));
        let named = folder.path().join("clip");
        assert_eq!(target(Some(&named), &media("video"), &url), named);
    }
}
