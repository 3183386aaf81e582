//! Broadcasts: `/2/broadcasts`.

use super::{
    Broadcast, BroadcastState, Studio, Trouble, answer,
    client::{Body, Call, Repeat},
};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What is asked of a Broadcast; without this only some fields come.
const FIELDS: &str = "id,title,state,source_id,share_url,total_watching,start_ms,media_key";
/// A page of the list.
const PAGE: usize = 100;
/// So many Broadcasts are looked through for the own one: X does not say in which order they come.
const LOOKED_AT: usize = 2000;

impl Studio {
    pub(super) async fn broadcasts(&self, account: Option<&str>, limit: usize) -> Result<Vec<Broadcast>, Trouble> {
        let call = Call::get("/2/broadcasts").with("max_results", limit.min(PAGE).to_string());
        let all = self.list(account, call.with("broadcast.fields", FIELDS), limit).await?;
        let mut all = all.iter().map(broadcast).collect::<Result<Vec<_>, _>>()?;
        // X does not say in which order they come. Those that have not begun are before all others.
        all.sort_by_key(|broadcast| std::cmp::Reverse(broadcast.started.unwrap_or(Timestamp::MAX)));
        all.truncate(limit);
        Ok(all)
    }

    pub(super) async fn broadcast(&self, account: Option<&str>, id: &str) -> Result<Broadcast, Trouble> {
        let call = Call::get(format!("/2/broadcasts/{id}")).with("broadcast.fields", FIELDS);
        broadcast(&answer::data(self.call(account, call).await?)?)
    }

    /// Creates and publishes: one call, which is never repeated. Also the answer to it when the Source is live already.
    ///
    /// # Errors
    /// [`Trouble::AnswerLost`] is everything after which it may be public all the same.
    pub(super) async fn go_live(&self, account: Option<&str>, body: Value) -> Result<(Broadcast, bool), Trouble> {
        let call = Call::new(Method::POST, "/2/broadcasts", Body::Json(body), Repeat::Never);
        let answer = async {
            let (reply, proof) = self.send(account, &call).await?;
            let broadcast = broadcast(&answer::data(self.read(&reply, &proof)?)?)?;
            Ok((broadcast, reply.status == 200))
        };
        answer.await.map_err(|trouble| match trouble {
            Trouble::Broken(_) | Trouble::Garbled(_) => Trouble::AnswerLost,
            trouble => trouble,
        })
    }

    /// The Broadcast on this Source that runs; else the newest one that began at `since` or later. Broadcasts are matched by
    /// `source_id`, which is asked for; X leaves it out when the Source was deleted, and then none is ours.
    pub(super) async fn find(
        &self,
        account: Option<&str>,
        source_id: &str,
        since: Option<Timestamp>,
    ) -> Result<Option<Broadcast>, Trouble> {
        Ok(pick(self.broadcasts(account, LOOKED_AT).await?, source_id, since))
    }

    /// Ends a Broadcast; one that is over is no failure.
    pub(super) async fn end_broadcast(&self, account: Option<&str>, id: &str) -> Result<(), Trouble> {
        let body = Body::Json(json!({"state": "END"}));
        let call = Call::new(Method::PUT, format!("/2/broadcasts/{id}/state"), body, Repeat::May);
        match self.call(account, call).await {
            Ok(_) => Ok(()),
            // It was over, or the first of two tries ended it; how that is refused is not said anywhere.
            Err(trouble @ (Trouble::Conflict(_) | Trouble::Refused(_) | Trouble::AnswerLost | Trouble::Garbled(_))) => {
                match self.broadcast(account, id).await {
                    Ok(broadcast) if is_over(broadcast.state) => Ok(()),
                    _ => Err(trouble),
                }
            }
            Err(trouble) => Err(trouble),
        }
    }
}

fn pick(all: Vec<Broadcast>, source_id: &str, since: Option<Timestamp>) -> Option<Broadcast> {
    let ours = all.into_iter().filter(|broadcast| broadcast.source_id.as_deref() == Some(source_id));
    let (running, other): (Vec<_>, Vec<_>) = ours.partition(|broadcast| broadcast.state == BroadcastState::Running);
    let newest = |all: Vec<Broadcast>| all.into_iter().max_by_key(|broadcast| broadcast.started);
    let since = since.unwrap_or(Timestamp::MAX);
    newest(running)
        .or_else(|| newest(other.into_iter().filter(|it| it.started.is_some_and(|start| start >= since)).collect()))
}

/// Whether it is over for good.
pub(super) fn is_over(state: BroadcastState) -> bool {
    matches!(state, BroadcastState::Ended | BroadcastState::TimedOut | BroadcastState::Canceled)
}

/// What is told of a Broadcast.
pub(super) fn document(broadcast: &Broadcast) -> Value {
    serde_json::to_value(broadcast).unwrap_or_default()
}

fn state(text: &str) -> BroadcastState {
    match text.to_ascii_uppercase().as_str() {
        "NOT_STARTED" => BroadcastState::NotStarted,
        "PRE_PUBLISHED" => BroadcastState::PrePublished,
        "RUNNING" => BroadcastState::Running,
        "ENDED" => BroadcastState::Ended,
        "TIMED_OUT" => BroadcastState::TimedOut,
        "CANCELED" | "CANCELLED" => BroadcastState::Canceled,
        _ => BroadcastState::Unknown,
    }
}

/// Reads a Broadcast.
fn broadcast(of: &Value) -> Result<Broadcast, Trouble> {
    let id = if of.get("id").is_some() { "id" } else { "broadcast_id" };
    Ok(Broadcast {
        id: answer::id(of, id)?,
        title: answer::text(of, "title")?.map(|title| answer::clean(&title)).filter(|title| !title.is_empty()),
        state: state(&answer::text(of, "state")?.unwrap_or_default()),
        source_id: answer::text(of, "source_id")?,
        // It is in each status: what is no address would be in the way of all else.
        share_url: answer::text(of, "share_url")?.filter(|url| url.len() <= 256 && !url.contains(char::is_control)),
        viewers: answer::number(of, "total_watching")?,
        started: answer::time(of, "start_ms")?,
        media_key: answer::text(of, "media_key")?,
        account: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some(id: &str, source: Option<&str>, state: &str, second: i64) -> Broadcast {
        let of = json!({"id": id, "source_id": source, "state": state, "start_ms": (second * 1000).to_string()});
        broadcast(&of).expect("a broadcast")
    }

    #[test]
    fn a_broadcast_is_read() {
        let of = json!({
            "broadcast_id": "1yKSabcdefghi", "state": "RUNNING", "title": "", "total_watching": "12", "source_id": 77,
            "start_ms": "1790000000000", "share_url": "https://x.com/i/broadcasts/1yKSabcdefghi", "more": {},
        });
        let read = broadcast(&of).expect("a broadcast");
        assert_eq!((read.id.as_str(), read.state, read.viewers), ("1yKSabcdefghi", BroadcastState::Running, Some(12)));
        assert_eq!((read.title, read.source_id.as_deref()), (None, Some("77")));
        assert_eq!(broadcast(&json!({"id": "a", "state": "PAUSED"})).map(|it| it.state), Ok(BroadcastState::Unknown));
        for wrong in [
            json!({}),
            json!({"id": ""}),
            json!({"id": "a", "total_watching": "many"}),
            json!({"id": "a", "state": []}),
        ] {
            assert!(matches!(broadcast(&wrong), Err(Trouble::Garbled(_))), "{wrong}");
        }
    }

    #[test]
    fn the_own_broadcast_is_the_one_that_runs_or_the_newest() {
        let at = |second| Timestamp::from_second(second).ok();
        let found = |all: &[Broadcast], since| pick(all.to_vec(), "77", since).map(|it| it.id);
        let (old, new) = (some("old", Some("77"), "ENDED", 100), some("new", Some("77"), "TIMED_OUT", 200));
        let other = some("other", Some("78"), "RUNNING", 300);
        let lost = some("lost", None, "RUNNING", 300);
        let past = [old.clone(), new.clone(), other, lost];
        assert_eq!(found(&past, at(50)).as_deref(), Some("new"));
        assert_eq!(found(&past, at(200)).as_deref(), Some("new"));
        assert_eq!(found(&past, at(201)), None);
        assert_eq!(found(&past, None), None, "without a calendar only one that runs is ours");
        let runs = [new, some("runs", Some("77"), "RUNNING", 150), old];
        for since in [None, at(50), at(1000)] {
            assert_eq!(found(&runs, since).as_deref(), Some("runs"), "a Source has one at most");
        }
    }

    proptest! {
        #[test]
        fn any_document_is_read_or_refused(text in "[\\[\\]{}\":,A-Z_0-9]{0,80}", name in "id|state|start_ms|total_watching|title") {
            let value: Value = serde_json::from_str(&text).unwrap_or(json!(text));
            let _ = broadcast(&json!({"broadcast_id": "1", name: value}));
        }
    }
}
