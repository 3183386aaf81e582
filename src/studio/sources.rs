//! Sources: `/2/sources` and `/2/region`.

use super::{
    Studio, StudioSource, Trouble, answer,
    client::{self, Body, Call, Repeat},
    lost,
    own::Ingest,
    store,
    types::check_base_url,
};
use crate::settings::Secret;
use http::Method;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// `GET /2/region` points elsewhere at most so often.
const REDIRECTS: usize = 3;
const REGION: Duration = Duration::from_secs(15);

impl Studio {
    pub(super) async fn sources(&self, account: Option<&str>) -> Result<Vec<StudioSource>, Trouble> {
        let all = self.list(account, Call::get("/2/sources"), usize::MAX).await?;
        all.iter().map(source).collect()
    }

    /// The Source, and what the Studio finds wrong with its stream. `GET /2/sources/:id` is ASSUMED to answer one item of the list.
    pub(super) async fn source(&self, account: Option<&str>, id: &str) -> Result<(StudioSource, Vec<String>), Trouble> {
        let answer = answer::data(self.call(account, Call::get(format!("/2/sources/{id}"))).await?)?;
        Ok((source(&answer)?, notes(&answer)))
    }

    /// `region`: none is the one that X recommends from here. The one that is answered may be another: it is told beside.
    pub(super) async fn create_source(
        &self,
        account: Option<&str>,
        name: &str,
        region: Option<&str>,
    ) -> Result<Value, Trouble> {
        let region = match region {
            Some(region) => region.to_owned(),
            None => self.region(account).await?,
        };
        // There is no key by which a call that is sent twice is known: what is there now tells later what is new.
        let before: BTreeSet<_> = self.sources(account).await?.into_iter().map(|source| source.id).collect();
        let body = Body::Json(json!({"name": name, "region": region}));
        let call = Call::new(Method::POST, "/2/sources", body, Repeat::Never);
        let made = match self.call(account, call).await.and_then(answer::data) {
            Ok(answer) => source(&answer).map(|made| (made, Some(answer))),
            Err(trouble) => Err(trouble),
        };
        let (made, answer) = match made {
            Err(Trouble::AnswerLost | Trouble::Broken(_) | Trouble::Garbled(_)) => {
                (self.made_since(account, name, &before).await?, None)
            }
            made => made?,
        };
        if let Some(key) = answer.and_then(|answer| answer::text(&answer, "stream_key").ok().flatten()) {
            self.keep_ingest(&made, key).await;
        }
        let asked = made.region.as_ref().filter(|answered| **answered != region).map(|_| region);
        let mut document = document(&made);
        if let Some(asked) = asked {
            document["asked-region"] = json!(asked);
        }
        Ok(document)
    }

    /// The Source that was made by a call whose answer was lost.
    async fn made_since(
        &self,
        account: Option<&str>,
        name: &str,
        before: &BTreeSet<String>,
    ) -> Result<StudioSource, Trouble> {
        // If it cannot be learnt now, the answer of the call stays lost.
        let now = self.sources(account).await.map_err(|_| Trouble::AnswerLost)?;
        let mut new = now.into_iter().filter(|source| source.name == name && !before.contains(&source.id));
        match (new.next(), new.next()) {
            (Some(made), None) => Ok(made),
            // None may be one that is late; two are those of others with the same name.
            _ => Err(Trouble::AnswerLost),
        }
    }

    /// `PUT /2/sources/:id` with the name only; that it answers the Source is ASSUMED.
    pub(super) async fn rename_source(&self, account: Option<&str>, id: &str, name: &str) -> Result<Value, Trouble> {
        let body = Body::Json(json!({"name": name}));
        let answer = self.call(account, Call::new(Method::PUT, format!("/2/sources/{id}"), body, Repeat::May)).await?;
        match answer.get("data") {
            Some(data) if data.is_object() => Ok(document(&source(data)?)),
            _ => Ok(json!({"id": id, "name": name})),
        }
    }

    pub(super) async fn delete_source(&self, account: Option<&str>, id: &str) -> Result<Value, Trouble> {
        let deleted = self.delete(account, format!("/2/sources/{id}")).await?;
        self.forget_ingest(id).await;
        Ok(deleted)
    }

    /// Deletes what is at `path`; that it is gone when the answer to the first try was lost is no failure.
    pub(super) async fn delete(&self, account: Option<&str>, path: String) -> Result<Value, Trouble> {
        let call = || Call::new(Method::DELETE, path.clone(), Body::None, Repeat::Never);
        match self.call(account, call()).await {
            Err(Trouble::AnswerLost | Trouble::Broken(_) | Trouble::Garbled(_)) => {
                match self.call(account, call()).await {
                    Ok(_) | Err(Trouble::NotFound) => {}
                    Err(trouble) => return Err(trouble),
                }
            }
            deleted => drop(deleted?),
        }
        Ok(json!({"deleted": true}))
    }

    pub(super) async fn stream_key(&self, account: Option<&str>, id: &str) -> Result<Secret, Trouble> {
        let answer = answer::data(self.call(account, Call::get(format!("/2/sources/{id}/stream_key"))).await?)?;
        answer::needed(&answer, "stream_key").map(Secret::new)
    }

    /// The region that X recommends from here. The API points to another host, which must not see the account's token.
    async fn region(&self, account: Option<&str>) -> Result<String, Trouble> {
        let (mut reply, proof) = self.send(account, &Call::get("/2/region")).await?;
        for _ in 0..REDIRECTS {
            let Some(to) = reply.location.clone().filter(|_| (300..400).contains(&reply.status)) else { break };
            if check_base_url(to.split(['?', '#']).next().unwrap_or_default()).is_err() {
                return Err(Trouble::Garbled("it points to a place without TLS".into()));
            }
            let asked = async {
                let response = self.http().get(&to).send().await.map_err(|error| lost::trouble(&error))?;
                client::read(response).await
            };
            reply = tokio::time::timeout(REGION, asked).await.unwrap_or(Err(Trouble::AnswerLost))?;
            if reply.status == 401 {
                // Not the account's fault: that host was not told who asks.
                return Err(Trouble::Garbled("the place it points to asks for a login".into()));
            }
        }
        let answer = self.read(&reply, &proof)?;
        // At the end of the way the region is not below `data` (facts of the first routes); both are taken.
        answer::needed(answer.get("data").unwrap_or(&answer), "region")
    }

    /// Keeps what is needed to push to this Source without the API, for this user alone.
    pub(super) async fn keep_ingest(&self, source: &StudioSource, key: String) {
        let Some(ingest) = ingest(source, Secret::new(key)) else { return };
        if let Err(trouble) = store::write(&self.0.ingests, format!("{}.json", source.id), &ingest).await {
            tracing::warn!(source = source.id, why = trouble.text(), "a Source's ingest is not kept");
        }
    }

    /// What was kept.
    pub(super) async fn kept_ingest(&self, id: &str) -> Option<Ingest> {
        let (folder, file) = (self.0.ingests.clone(), format!("{id}.json"));
        let load = move || crate::state::load::<Ingest>(&folder, &file).0;
        tokio::task::spawn_blocking(load).await.ok().flatten()
    }

    async fn forget_ingest(&self, id: &str) {
        let path = self.0.ingests.join(format!("{id}.json"));
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await;
    }
}

/// Where this Source takes its media: over TLS if it can. None: it does not say where.
pub(super) fn ingest(source: &StudioSource, key: Secret) -> Option<Ingest> {
    let url = source.rtmps_url.clone().or_else(|| source.rtmp_url.clone())?;
    Some(Ingest { url, key, region: source.region.clone() })
}

/// What is told of a Source.
pub(super) fn document(source: &StudioSource) -> Value {
    serde_json::to_value(source).unwrap_or_default()
}

/// Reads a Source; its key, should there be one, stays outside.
fn source(of: &Value) -> Result<StudioSource, Trouble> {
    Ok(StudioSource {
        id: answer::id(of, "id")?,
        name: answer::text(of, "name")?.unwrap_or_default(),
        region: answer::text(of, "region")?,
        rtmp_url: answer::text(of, "rtmp_url")?,
        rtmps_url: answer::text(of, "rtmps_url")?,
        active: answer::flag(of, "is_stream_active")?,
    })
}

/// `compatibility_info` (facts of the first routes), as sentences; what is not understood is left out.
fn notes(of: &Value) -> Vec<String> {
    let info = |kind: &str| of.pointer(&format!("/compatibility_info/{kind}")).and_then(Value::as_array);
    let all = ["errors", "warnings"].into_iter().filter_map(info).flatten();
    let texts = all.filter_map(|note| {
        let violation = note.get("violation")?.as_str()?;
        let parameter = note.get("param_name").and_then(Value::as_str).unwrap_or_default().replace('_', " ");
        Some(answer::clean(&format!("{parameter}: {violation}")))
    });
    texts.take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_source_is_read_without_its_key() {
        let of = json!({
            "id": 1923456789012345678u64, "name": "Main", "region": "us-east-1", "rtmp_url": "rtmps://a.example/x",
            "rtmps_url": null, "stream_key": "secret-key", "is_stream_active": true, "new_field": [1],
        });
        let read = source(&of).expect("a source");
        assert_eq!(
            (read.id.as_str(), read.active, read.rtmps_url.as_deref()),
            ("1923456789012345678", Some(true), None)
        );
        assert!(!document(&read).to_string().contains("secret-key"));
        let to = ingest(&read, Secret::new("k")).expect("an ingest");
        assert_eq!((to.url.as_str(), to.region.as_deref()), ("rtmps://a.example/x", Some("us-east-1")));
        assert!(!format!("{to:?}").contains("\"k\""));
    }

    #[test]
    fn what_is_of_a_wrong_type_is_told() {
        for wrong in [
            json!({}),
            json!({"id": {}}),
            json!({"id": "1", "name": []}),
            json!({"id": "1", "is_stream_active": "yes"}),
            json!({"id": "../../etc", "name": "x"}),
            json!(7),
        ] {
            assert!(matches!(source(&wrong), Err(Trouble::Garbled(_))), "{wrong}");
        }
    }

    #[test]
    fn what_the_studio_finds_wrong_is_told() {
        let of = json!({"compatibility_info": {
            "errors": [{"param_name": "audio_bitrate", "violation": "max 160 kbps"}, 7, {"violation": {}}],
            "warnings": [{"param_name": "video_keyframe_interval", "violation": "min suggested 3.0 s"}],
        }});
        assert_eq!(notes(&of), ["audio bitrate: max 160 kbps", "video keyframe interval: min suggested 3.0 s"]);
        assert!(notes(&json!({"compatibility_info": "none"})).is_empty());
    }

    proptest! {
        #[test]
        fn any_document_is_read_or_refused(text in "[\\[\\]{}\":,a-z_0-9]{0,80}", name in "id|name|region|is_stream_active") {
            let value: Value = serde_json::from_str(&text).unwrap_or(json!(text));
            let _ = source(&json!({"id": "1", name: value.clone(), "compatibility_info": value}));
            let _ = notes(&json!({"compatibility_info": {"errors": [value]}}));
        }
    }
}
