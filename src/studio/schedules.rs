//! Scheduled Broadcasts: `/2/broadcasts/scheduled`. Their fields have other types than those of a Broadcast: numbers are texts.

use super::{
    Studio, Trouble, answer,
    client::{Body, Call, Repeat},
};
use crate::command::studio::Schedule;
use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const PATH: &str = "/2/broadcasts/scheduled";

/// What has to be sent again with a change: "fully replaces" (X's OpenAPI document). `is_locked` cannot be: answers do not tell
/// it.
const KEPT: [&str; 10] = [
    "source_id",
    "title",
    "description",
    "chat_option",
    "locale",
    "available_for_replay",
    "thumbnail_media_id",
    "manual_publish",
    "scheduled_start_ms",
    "scheduled_end_ms",
];

impl Studio {
    pub(super) async fn schedules(&self, account: Option<&str>) -> Result<Vec<Value>, Trouble> {
        let all = self.list(account, Call::get(PATH).with("max_results", "100"), usize::MAX).await?;
        all.iter().map(document).collect()
    }

    /// Schedules a Broadcast, or changes that: what is not given stays as it is.
    pub(super) async fn schedule(&self, account: Option<&str>, schedule: &Schedule) -> Result<Value, Trouble> {
        let given = fields(schedule);
        let answer = match &schedule.id {
            None => {
                let missing = |field: &str| !given.contains_key(field);
                if missing("source_id") || missing("scheduled_start_ms") || missing("scheduled_end_ms") {
                    return Err(Trouble::Refused("a new one needs source, start and end".into()));
                }
                let call = Call::new(Method::POST, PATH, Body::Json(Value::Object(given)), Repeat::Never);
                return self.call(account, call).await.and_then(|made| document(&answer::data(made)?)).map_err(lost);
            }
            Some(id) => self.change(account, id, given).await?,
        };
        document(&answer::data(answer)?)
    }

    async fn change(&self, account: Option<&str>, id: &str, given: Map<String, Value>) -> Result<Value, Trouble> {
        let now = self.scheduled(account, id).await?;
        let body = Body::Json(changed(&now, given)?);
        self.call(account, Call::new(Method::PUT, format!("{PATH}/{id}"), body, Repeat::May)).await
    }

    async fn scheduled(&self, account: Option<&str>, id: &str) -> Result<Value, Trouble> {
        answer::data(self.call(account, Call::get(format!("{PATH}/{id}"))).await?)
    }

    pub(super) async fn cancel_schedule(&self, account: Option<&str>, id: &str) -> Result<Value, Trouble> {
        self.delete(account, format!("{PATH}/{id}")).await
    }

    /// Begins one now. X does that only for those that do not begin by themselves, so it is made one of these; if it then does not
    /// begin, it is made again what it was.
    pub(super) async fn start_schedule(&self, account: Option<&str>, id: &str) -> Result<Value, Trouble> {
        let now = self.scheduled(account, id).await?;
        let by_itself = answer::flag(&now, "manual_publish")? != Some(true);
        let by_hand = |yes: bool| Map::from_iter([("manual_publish".to_owned(), json!(yes))]);
        if by_itself {
            self.change(account, id, by_hand(true)).await?;
        }
        let call = Call::new(Method::POST, format!("{PATH}/{id}/live"), Body::None, Repeat::Never);
        match self.call(account, call).await.and_then(answer::data).map_err(lost) {
            Ok(answer) => document(&answer),
            Err(trouble) => {
                if trouble == Trouble::AnswerLost
                    && let Ok(now) = self.scheduled(account, id).await
                    && answer::text(&now, "state")?.is_some_and(|state| state.eq_ignore_ascii_case("running"))
                {
                    return document(&now);
                }
                if by_itself && let Err(why) = self.change(account, id, by_hand(false)).await {
                    tracing::warn!(id, why = why.text(), "what is scheduled does not begin by itself any more");
                }
                Err(trouble)
            }
        }
    }
}

/// After these it may have been done all the same.
fn lost(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Broken(_) | Trouble::Garbled(_) => Trouble::AnswerLost,
        other => other,
    }
}

fn millis(time: Timestamp) -> Value {
    json!(time.as_millisecond().to_string())
}

/// What was given, in the words of the API.
fn fields(schedule: &Schedule) -> Map<String, Value> {
    let all = [
        ("source_id", schedule.source.clone().map(Value::from)),
        ("scheduled_start_ms", schedule.start.map(millis)),
        ("scheduled_end_ms", schedule.end.map(millis)),
        ("title", schedule.title.clone().map(Value::from)),
        ("description", schedule.description.clone().map(Value::from)),
        ("chat_option", schedule.chat.map(|chat| json!(chat.option().to_string()))),
        ("locale", schedule.locale.clone().map(Value::from)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The body of a change of `now`.
fn changed(now: &Value, given: Map<String, Value>) -> Result<Value, Trouble> {
    let mut body = Map::new();
    body.insert("scheduled_broadcast_id".into(), json!(answer::id(now, "scheduled_broadcast_id")?));
    for name in KEPT {
        match now.get(name) {
            None | Some(Value::Null) => {}
            Some(value @ Value::Bool(_)) => drop(body.insert(name.into(), value.clone())),
            Some(_) => drop(body.insert(name.into(), json!(answer::text(now, name)?))),
        }
    }
    body.extend(given);
    Ok(Value::Object(body))
}

/// What is told of it.
fn document(of: &Value) -> Result<Value, Trouble> {
    Ok(json!({
        "id": answer::id(of, "broadcast_id")?,
        "source-id": answer::text(of, "source_id")?,
        "title": answer::text(of, "title")?,
        "description": answer::text(of, "description")?,
        "state": answer::text(of, "state")?.map(|state| state.to_lowercase()),
        "start": answer::time(of, "scheduled_start_ms")?,
        "end": answer::time(of, "scheduled_end_ms")?,
        "begins-by-itself": answer::flag(of, "manual_publish")? != Some(true),
        "chat-option": answer::number(of, "chat_option")?,
        "locale": answer::text(of, "locale")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::studio::Chat;
    use proptest::prelude::*;

    fn schedule() -> Schedule {
        Schedule {
            id: None,
            source: Some("1923456789012345678".into()),
            start: "2026-12-01T18:00:00Z".parse().ok(),
            end: None,
            title: Some("Evening".into()),
            description: None,
            chat: Some(Chat::Off),
            locale: None,
        }
    }

    #[test]
    fn numbers_are_texts() {
        let wanted = json!({
            "source_id": "1923456789012345678", "scheduled_start_ms": "1796148000000", "title": "Evening", "chat_option": "1",
        });
        assert_eq!(Value::Object(fields(&schedule())), wanted);
    }

    #[test]
    fn a_change_sends_again_what_stays() {
        let now = json!({
            "broadcast_id": "1yKSabcdefghi", "scheduled_broadcast_id": 77, "source_id": "1", "title": "Morning",
            "scheduled_start_ms": "1", "scheduled_end_ms": "2", "manual_publish": false, "chat_option": 3, "state": "Created",
            "locale": "en", "recurring_schedule_id": "8",
        });
        let given = Map::from_iter([("title".to_owned(), json!("Evening"))]);
        let wanted = json!({
            "scheduled_broadcast_id": "77", "source_id": "1", "title": "Evening", "scheduled_start_ms": "1",
            "scheduled_end_ms": "2", "manual_publish": false, "chat_option": "3", "locale": "en",
        });
        assert_eq!(changed(&now, given), Ok(wanted));
        assert!(matches!(changed(&json!({}), Map::new()), Err(Trouble::Garbled(_))));
        assert!(matches!(
            changed(&json!({"scheduled_broadcast_id": "1", "title": {}}), Map::new()),
            Err(Trouble::Garbled(_))
        ));
    }

    proptest! {
        #[test]
        fn any_document_is_read_or_refused(text in "[\\[\\]{}\":,A-Z_0-9]{0,80}", name in "broadcast_id|state|scheduled_start_ms|manual_publish") {
            let value: Value = serde_json::from_str(&text).unwrap_or(json!(text));
            let _ = document(&json!({"broadcast_id": "1", name: value}));
        }
    }
}
