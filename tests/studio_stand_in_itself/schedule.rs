//! Scheduled broadcasts, whose fields are text where those of a broadcast are numbers.

use crate::{
    raw::Client,
    stand_in::{StandIn, State},
};
use fieldcast::sys;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn plan(source: &str, extra: &Value) -> Value {
    let at = |hours: u32| (sys::wall() + HOUR * hours).as_millis().to_string();
    let mut body = json!({"source_id": source, "scheduled_start_ms": at(1), "scheduled_end_ms": at(2), "title": "A"});
    for (name, value) in extra.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

#[test]
fn times_and_chat_are_text_and_what_is_not_sent_again_is_gone() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let source = client.source();
    for wrong in [
        json!({"chat_option": 1}),
        json!({"scheduled_start_ms": 1}),
        json!({"scheduled_start_ms": "1"}),
        json!({"should_not_tweet": true}),
        json!({"recurrence": {"frequency": "Monthly", "repeats": "2"}}),
    ] {
        assert_eq!(client.send("POST", "/2/broadcasts/scheduled", &plan(&source, &wrong)).status, 400, "{wrong}");
    }
    let made = client.send("POST", "/2/broadcasts/scheduled", &plan(&source, &json!({"chat_option": "1"})));
    assert_eq!((made.status, &made.json()["data"]["state"]), (201, &json!("Created")));
    let made = made.json()["data"].clone();
    let (id, number) = (made["broadcast_id"].as_str().expect("an id"), made["scheduled_broadcast_id"].clone());
    let path = format!("/2/broadcasts/scheduled/{id}");
    assert_eq!(client.send("PUT", &path, &plan(&source, &json!({}))).status, 400, "without the number");
    let changed = client.send("PUT", &path, &plan(&source, &json!({"scheduled_broadcast_id": number, "title": "B"})));
    let changed = changed.json()["data"].clone();
    assert!(changed["title"] == "B" && changed.get("chat_option").is_none(), "{changed}");
    assert_eq!(client.bare("POST", &format!("{path}/live"), "", b"").status, 400, "it is published by itself");
    assert_eq!(client.get("/2/broadcasts/scheduled?max_results=5").json()["data"][0]["broadcast_id"], id);
    assert_eq!(client.bare("DELETE", &format!("{path}?roll_forward=false"), "", b"").json()["data"]["deleted"], true);
    assert_eq!(client.get(&path).status, 404);
    assert_eq!(studio.broadcasts()[0].state, State::Canceled);
}

#[test]
fn one_begins_by_itself_or_by_hand_and_blocks_its_source() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let (first, second) = (client.source(), client.source());
    let send = |source: &str, extra: Value| {
        let made = client.send("POST", "/2/broadcasts/scheduled", &plan(source, &extra)).json();
        made["data"]["broadcast_id"].as_str().expect("an id").to_owned()
    };
    let (own, manual) = (send(&first, json!({})), send(&second, json!({"manual_publish": true})));
    studio.set_active(&first, true);
    studio.advance(HOUR + Duration::from_secs(60));
    assert_eq!(client.get(&format!("/2/broadcasts/scheduled/{own}")).json()["data"]["state"], "Running");
    assert_eq!(client.get(&format!("/2/broadcasts/scheduled/{manual}")).json()["data"]["state"], "Created");
    assert_eq!(client.send("POST", "/2/broadcasts", &json!({"source_id": first})).status, 409, "another is live on it");
    let live = client.bare("POST", &format!("/2/broadcasts/scheduled/{manual}/live"), "", b"");
    assert_eq!((live.status, &live.json()["data"]["state"]), (200, &json!("Running")));
    studio.advance(HOUR);
    assert!(studio.broadcasts().iter().all(|broadcast| broadcast.state != State::Running));
}
