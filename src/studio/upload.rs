//! Upload of an image, GIF, video or subtitles (docs.x.com, "Media", v2).
//!
//! An image goes at once, all else in segments: initialize, append, finalize, and STATUS until X has processed it. The
//! next segment is read while one is sent, and no more of the file is in memory. Nobody sees what is uploaded before it
//! is posted, so every call may be made again.

mod begun;
mod local;

use super::{
    Body, Call, Repeat, Studio, Trouble,
    kind::{self, Class, Plan},
    patience::Patience,
    progress::Meter,
};
use crate::{remote::message::Progress, sys};
use begun::Begun;
use bytes::Bytes;
use http::Method;
use local::{Local, blocking};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

const MIB: u64 = 1024 * 1024;
/// How long X may process a file before that is left to it.
const PROCESSING: Duration = Duration::from_secs(30 * 60);
/// After how long X is asked again what came of it, if it does not say.
const CHECK: Duration = Duration::from_secs(5);
/// Segments are kept so long if X does not say, seconds: as for the finished file.
const KEPT: u64 = 86_400;

/// One upload.
struct Upload<'a> {
    studio: &'a Studio,
    /// By its name: what was begun goes on for the same, whichever is the usual one meanwhile.
    account: String,
    local: Local,
    plan: Plan,
    tell: &'a (dyn Fn(Progress) + Send + Sync),
    meter: Mutex<Meter>,
}

/// Uploads `file`, as `category` or as what is usual for posts; `alt_text`: for images and GIFs, up to 1000 characters.
/// Answers id, media key, type, category, size, for how many seconds X keeps it unposted, and whether it can be posted
/// yet.
///
/// # Errors
/// [`Trouble::File`] before a byte is sent if X would not take the file, and later if it changes; all that calls can
/// have.
pub(super) async fn upload(
    studio: &Studio,
    account: Option<&str>,
    file: &Path,
    category: Option<&str>,
    alt_text: Option<&str>,
    tell: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Value, Trouble> {
    let account = studio.linked(account)?.name.clone();
    let (local, head) = Local::open(file).await?;
    let size = local.identity.size;
    let plan = kind::plan(&head, size, category, alt_text.is_some())
        .map_err(|wrong| Trouble::File(format!("{} {wrong}", local.name())))?;
    let meter = Mutex::new(Meter::new("Uploading", Some(size)));
    let upload = Upload { studio, account, local, plan, tell, meter };
    let (data, begun) = match plan.kind.class() {
        Class::Image => (upload.at_once().await?, None),
        _ => upload.in_segments().await.map(|(data, begun)| (data, Some(begun)))?,
    };
    let id = text(&data, "id")?;
    if let Some(alt_text) = alt_text {
        upload.describe(&id, alt_text).await?;
    }
    if let Some(begun) = begun {
        upload.forget(&begun).await;
    }
    Ok(json!({
        "id": id,
        "media-key": data["media_key"],
        "media-type": plan.kind.media_type(),
        "category": plan.category,
        "size": size,
        "expires-after": data["expires_after_secs"],
        "ready": state_of(&data).is_none_or(|state| state == "succeeded"),
    }))
}

/// What an answer has as `data`; null: nothing, or it is no object.
fn data_of(mut reply: Value) -> Value {
    reply.get_mut("data").map(Value::take).unwrap_or_default()
}

impl Upload<'_> {
    async fn at_once(&self) -> Result<Value, Trouble> {
        self.at(0);
        let size = self.local.identity.size;
        let bytes = self.local.read(0, size).await?;
        let fields = vec![("media_category", self.plan.category.to_owned())];
        let body = Body::Parts { fields, name: "media", bytes };
        let reply = self.patiently(&post("/2/media/upload".into(), body)).await?;
        self.at(size);
        Ok(data_of(reply))
    }

    /// What is told of the finished file, and what to forget once all is done.
    async fn in_segments(&self) -> Result<(Value, Begun), Trouble> {
        let (folder, identity) = (self.studio.0.uploads.clone(), self.local.identity);
        let (account, category) = (self.account.clone(), self.plan.category);
        let found = blocking(move || {
            if let Err(error) = Begun::tidy(&folder, sys::wall()) {
                tracing::warn!(%error, "an upload that is cut off will have to begin anew");
            }
            Ok(Begun::load(&folder, &identity, &account, category, sys::wall()))
        });
        if let Some(mut begun) = found.await? {
            match self.send(&mut begun).await {
                Ok(data) => return Ok((data, begun)),
                // X has forgotten it, or takes it from its owner only.
                Err(Trouble::NotFound | Trouble::Refused(_)) => self.forget(&begun).await,
                Err(other) => return Err(other),
            }
        }
        let mut begun = self.initialize().await?;
        match self.send(&mut begun).await {
            Ok(data) => Ok((data, begun)),
            Err(refused @ (Trouble::NotFound | Trouble::Refused(_))) => {
                self.forget(&begun).await;
                Err(refused)
            }
            Err(other) => Err(other),
        }
    }

    async fn initialize(&self) -> Result<Begun, Trouble> {
        let (file, category) = (self.local.identity, self.plan.category.to_owned());
        let body = json!({
            "media_category": category, "media_type": self.plan.kind.media_type(), "total_bytes": file.size,
        });
        let reply = self.patiently(&post("/2/media/upload/initialize".into(), Body::Json(body))).await?;
        let kept = reply["data"]["expires_after_secs"].as_u64().unwrap_or(KEPT);
        Ok(Begun {
            account: self.account.clone(),
            category,
            file,
            media_id: text(&reply["data"], "id")?,
            segment: Begun::segment_of(file.size),
            done: 0,
            expires: sys::wall().as_secs().saturating_add(kept),
        })
    }

    /// Sends what X has not yet, and waits until it is processed.
    async fn send(&self, begun: &mut Begun) -> Result<Value, Trouble> {
        self.at(begun.start_of(begun.done));
        let path = format!("/2/media/upload/{}/append", begun.media_id);
        let count = begun.count();
        let mut next = (begun.done < count).then(|| self.read(begun, begun.done));
        while let Some(reading) = next.take() {
            let bytes = reading.await.map_err(|_| Trouble::File("This program is ending".into()))??;
            let index = begun.done;
            let after = index + 1;
            next = (after < count).then(|| self.read(begun, after));
            let fields = vec![("segment_index", index.to_string())];
            self.patiently(&post(path.clone(), Body::Parts { fields, name: "media", bytes })).await?;
            begun.done = after;
            self.save(begun).await;
            self.at(begun.start_of(after));
        }
        let data = self.finalize(&begun.media_id).await?;
        self.processed(begun, data).await
    }

    /// Begins to read segment `index`.
    fn read(&self, begun: &Begun, index: u64) -> JoinHandle<Result<Bytes, Trouble>> {
        let (local, from, length) = (self.local.clone(), begun.start_of(index), begun.segment);
        tokio::spawn(async move { local.read(from, length).await })
    }

    async fn finalize(&self, id: &str) -> Result<Value, Trouble> {
        let done = self.patiently(&post(format!("/2/media/upload/{id}/finalize"), Body::None)).await;
        match done {
            Ok(reply) => Ok(data_of(reply)),
            // It may have been done, and the answer lost, now or in a run that was killed: then X knows the file.
            Err(Trouble::Refused(why)) => self.status(id).await.map_err(|_| Trouble::Refused(why)),
            Err(other) => Err(other),
        }
    }

    async fn status(&self, id: &str) -> Result<Value, Trouble> {
        Ok(data_of(self.patiently(&status_of(id)).await?))
    }

    async fn processed(&self, begun: &Begun, mut data: Value) -> Result<Value, Trouble> {
        let until = sys::now() + PROCESSING;
        loop {
            let info = &data["processing_info"];
            match state_of(&data) {
                None | Some("succeeded") => return Ok(data),
                Some("failed") => {
                    let why = info["error"]["message"].as_str().unwrap_or("it does not say why");
                    let text = format!("X cannot process {}: {why}", self.local.name());
                    self.forget(begun).await;
                    return Err(Trouble::File(text));
                }
                Some(_) => {}
            }
            let percent = info["progress_percent"].as_u64();
            (self.tell)(Progress { step: "X processes it".into(), done: percent, of: percent.map(|_| 100) });
            let wait = info["check_after_secs"].as_u64().map_or(CHECK, Duration::from_secs);
            let wait = wait.clamp(Duration::from_secs(1), Duration::from_secs(60));
            if sys::now() + wait > until {
                return Ok(data);
            }
            sleep(wait).await;
            data = self.status(&begun.media_id).await?;
        }
    }

    async fn describe(&self, id: &str, alt_text: &str) -> Result<(), Trouble> {
        let body = json!({"id": id, "metadata": {"alt_text": {"text": alt_text}}});
        self.patiently(&post("/2/media/metadata".into(), Body::Json(body))).await.map(drop)
    }

    /// Tries again while network or API do not work. The body is shared, not copied.
    async fn patiently(&self, call: &Call) -> Result<Value, Trouble> {
        let mut patience = Patience::from(sys::now());
        loop {
            let trouble = match self.studio.call(Some(&self.account), call.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(trouble) => trouble,
            };
            let Some(wait) = patience.wait(&trouble, sys::now()) else { return Err(trouble) };
            (self.tell)(Progress { step: format!("{}; it is tried again", trouble.text()), done: None, of: None });
            sleep(wait).await;
        }
    }

    fn at(&self, done: u64) {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = meter.at(done, sys::now()) {
            (self.tell)(progress);
        }
    }

    async fn save(&self, begun: &Begun) {
        let (folder, begun) = (self.studio.0.uploads.clone(), begun.clone());
        let saved = blocking(move || begun.save(&folder).map_err(|error| Trouble::File(error.to_string())));
        if let Err(error) = saved.await {
            tracing::warn!(error = error.text(), "how far an upload is cannot be noted");
        }
    }

    async fn forget(&self, begun: &Begun) {
        let (folder, begun) = (self.studio.0.uploads.clone(), begun.clone());
        let _ = blocking(move || {
            begun.forget(&folder);
            Ok(())
        })
        .await;
    }
}

/// What X says of an upload.
pub(super) fn status_of(id: &str) -> Call {
    Call::get("/2/media/upload").with("command", "STATUS").with("media_id", id)
}

/// Where the processing is; none: there is none, and the file can be used.
pub(super) fn state_of(data: &Value) -> Option<&str> {
    data["processing_info"]["state"].as_str()
}

fn post(path: String, body: Body) -> Call {
    Call::new(Method::POST, path, body, Repeat::May)
}

fn text(data: &Value, field: &str) -> Result<String, Trouble> {
    let text = data[field].as_str().filter(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()));
    text.map(str::to_owned).ok_or_else(|| Trouble::Garbled("a media id is missing".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_kind_has_no_data() {
        for odd in [json!([]), json!("ok"), json!(1), json!(true), Value::Null, json!({})] {
            assert_eq!(data_of(odd), Value::Null);
        }
        assert_eq!(data_of(json!({"data": {"id": "1"}})), json!({"id": "1"}));
    }
}
