//! Broadcasts, of the box and of others, and what is scheduled.

use super::{done, linked, open, refused, with_source};
use crate::stand_in::{Fault, Route, Settings, StandIn, State};
use fieldcast::{
    command::Reason,
    studio::{Ask, Broadcast, BroadcastState, Studio, Told, Trouble},
};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

fn go_live() -> Ask {
    let (title, locale) = (Some("Evening".into()), Some("en_US".into()));
    Ask::GoLive { title, chat_option: Some(1), locale, post: Some(false) }
}

async fn live(studio: &Studio, source: &str) -> Broadcast {
    match studio.ask(None, source, go_live()).await {
        Told::Broadcast(broadcast) => *broadcast,
        told => panic!("{told:?}"),
    }
}

async fn found(studio: &Studio, source: &str, since: Option<Timestamp>) -> Option<Broadcast> {
    match studio.ask(None, source, Ask::Find { since }).await {
        Told::Found(found) => found.map(|broadcast| *broadcast),
        told => panic!("{told:?}"),
    }
}

#[tokio::test]
async fn a_broadcast_is_made_public_watched_and_ended() {
    let api = StandIn::start();
    let (_folder, studio, source) = with_source(&api).await;
    let active = |active| Told::Source { active, notes: Vec::new() };
    assert_eq!(studio.ask(None, &source, Ask::Source).await, active(false));
    api.set_active(&source, true);
    assert_eq!(studio.ask(None, &source, Ask::Source).await, active(true));

    let made = live(&studio, &source).await;
    assert_eq!((made.state, made.title.as_deref()), (BroadcastState::Running, Some("Evening")));
    assert_eq!(made.share_url, Some(format!("https://x.com/i/broadcasts/{}", made.id)));
    assert_eq!((made.source_id.as_deref(), api.posts().len()), (Some(source.as_str()), 0));
    assert_eq!(api.broadcasts()[0].chat_option, 1);
    // 200: it is live already, and unchanged.
    let Told::AlreadyLive(again) = studio.ask(None, &source, go_live()).await else { panic!("live already") };
    assert_eq!(again.id, made.id);
    assert_eq!((api.broadcasts().len(), api.calls("POST", "/2/broadcasts")), (1, 2));

    api.set_watching(&made.id, 12);
    let Told::Broadcast(now) = studio.ask(None, &source, Ask::Broadcast { id: made.id.clone() }).await else {
        panic!("a broadcast")
    };
    assert_eq!((now.viewers, now.started, now.media_key), (Some(12), made.started, made.media_key));
    for _ in 0..2 {
        assert_eq!(studio.ask(None, &source, Ask::End { id: made.id.clone() }).await, Told::Ended);
    }
    assert_eq!(api.broadcasts()[0].state, State::Ended);
    let none = studio.ask(None, &source, Ask::End { id: "1yKSabcdefghi".into() }).await;
    assert_eq!(none, Told::Failed(Trouble::NotFound));
    api.assert_clean();
}

#[tokio::test]
async fn a_broadcast_is_never_made_public_twice() {
    let api = StandIn::start();
    let (_folder, studio, source) = with_source(&api).await;
    // Whatever comes instead of the answer: one call, and whether it was done is told as not known.
    let not_done = [Fault::Cut, Fault::Status(503), Fault::Html(200), Fault::RedirectAway];
    for (fault, number) in not_done.into_iter().zip(1..) {
        api.fail(Route::GoLive, fault.clone(), 1);
        assert_eq!(studio.ask(None, &source, go_live()).await, Told::Failed(Trouble::AnswerLost), "{fault:?}");
        assert_eq!(api.calls("POST", "/2/broadcasts"), number, "{fault:?}");
        assert_eq!(found(&studio, &source, Some(Timestamp::UNIX_EPOCH)).await, None);
    }
    for fault in [Fault::LostAnswer, Fault::TruncatedJson, Fault::HalfBody, Fault::Huge] {
        let calls = api.calls("POST", "/2/broadcasts");
        api.fail(Route::GoLive, fault.clone(), 1);
        assert_eq!(studio.ask(None, &source, go_live()).await, Told::Failed(Trouble::AnswerLost), "{fault:?}");
        assert_eq!(api.calls("POST", "/2/broadcasts"), calls + 1, "{fault:?}");
        let made = found(&studio, &source, None).await.expect("it runs");
        assert_eq!(made.state, BroadcastState::Running);
        assert_eq!(studio.ask(None, &source, Ask::End { id: made.id }).await, Told::Ended);
    }
    api.listen(false);
    assert_eq!(studio.ask(None, &source, go_live()).await, Told::Failed(Trouble::Unreachable), "nothing was sent");
    api.listen(true);
    assert_eq!(api.broadcasts().len(), 4);
    api.assert_clean();
}

#[tokio::test]
async fn an_end_that_is_not_answered_is_an_end() {
    let api = StandIn::start();
    let (_folder, studio, source) = with_source(&api).await;
    for fault in [Fault::LostAnswer, Fault::TruncatedJson, Fault::Cut, Fault::Status(502)] {
        let made = live(&studio, &source).await;
        api.fail(Route::EndBroadcast, fault.clone(), 1);
        assert_eq!(studio.ask(None, &source, Ask::End { id: made.id }).await, Told::Ended, "{fault:?}");
    }
    assert!(api.broadcasts().iter().all(|broadcast| broadcast.state == State::Ended));
    // One that runs on is never told as ended.
    let made = live(&studio, &source).await;
    api.fail(Route::EndBroadcast, Fault::Conflict, 1);
    let told = studio.ask(None, &source, Ask::End { id: made.id }).await;
    assert!(matches!(told, Told::Failed(Trouble::Conflict(_))), "{told:?}");
    api.assert_clean();
}

#[tokio::test]
async fn what_forbids_going_live_is_told_apart() {
    let api = StandIn::start_with(Settings { needs_video: true, ..Settings::default() });
    let (_folder, studio, source) = with_source(&api).await;
    let told = studio.ask(None, &source, go_live()).await;
    assert!(matches!(&told, Told::Failed(Trouble::Conflict(why)) if why.contains("retry once it does")), "{told:?}");
    let told = studio.ask(None, "1923456789012345678", go_live()).await;
    assert_eq!(told, Told::Failed(Trouble::NotFound));
    let told = studio.ask(None, &api.sources()[0].stream_key, go_live()).await;
    assert!(matches!(told, Told::Failed(Trouble::Refused(_))), "{told:?}");
    api.set_active(&source, true);
    api.set_eligible("fieldcast", false);
    assert_eq!(studio.ask(None, &source, go_live()).await, Told::Failed(Trouble::NotEligible));
    api.set_eligible("fieldcast", true);
    api.set(|settings| settings.allow_listed = false);
    let told = studio.ask(None, &source, go_live()).await;
    assert!(matches!(told, Told::Failed(Trouble::NotAllowed(_))), "{told:?}");
    api.set(|settings| settings.allow_listed = true);
    api.revoke("fieldcast");
    assert_eq!(studio.ask(None, &source, go_live()).await, Told::Failed(Trouble::Revoked));
    assert!(api.broadcasts().is_empty());
    api.assert_clean();
}

#[tokio::test]
async fn the_own_broadcast_is_found_after_a_power_cut() {
    let api = StandIn::start();
    let (folder, studio, source) = with_source(&api).await;
    let other = done(&studio, "studio-source-create", json!({"name": "Other", "region": "us-east-1"})).await;
    let other = other["id"].as_str().expect("an id");
    live(&studio, other).await;
    let begun = Timestamp::now();
    let made = live(&studio, &source).await;
    let studio = open(&api, folder.path());
    for since in [None, Some(begun), Some(Timestamp::MAX)] {
        assert_eq!(found(&studio, &source, since).await.map(|it| it.id), Some(made.id.clone()), "{since:?}");
    }
    // No video for five minutes.
    api.advance(Duration::from_secs(301));
    let timed_out = found(&studio, &source, Some(made.started.expect("a start"))).await.expect("it");
    assert_eq!((timed_out.id, timed_out.state), (made.id.clone(), BroadcastState::TimedOut));
    assert_eq!(found(&studio, &source, None).await, None);
    assert_eq!(studio.ask(None, &source, Ask::End { id: made.id }).await, Told::Ended, "it is over");
    api.assert_clean();
}

#[tokio::test]
async fn the_list_is_read_page_by_page() {
    let api = StandIn::start();
    let (_folder, studio, source) = with_source(&api).await;
    let first = live(&studio, &source).await;
    for _ in 0..2 {
        let other = done(&studio, "studio-source-create", json!({"name": "Other", "region": "us-east-1"})).await;
        let other = other["id"].as_str().expect("an id");
        for _ in 0..55 {
            let made = live(&studio, other).await;
            studio.ask(None, other, Ask::End { id: made.id }).await;
        }
    }
    assert_eq!(found(&studio, &source, None).await.map(|it| it.id), Some(first.id), "it is on the second page");
    assert_eq!(api.calls("GET", "/2/broadcasts"), 2);
    let listed = done(&studio, "studio-broadcasts", json!({"limit": 7})).await;
    assert_eq!(listed["broadcasts"].as_array().map(Vec::len), Some(7));
    api.assert_clean();
}

#[tokio::test]
async fn any_broadcast_of_the_account_can_be_ended_and_deleted() {
    let api = StandIn::start();
    let (_folder, studio, source) = with_source(&api).await;
    let made = live(&studio, &source).await;
    let id = json!({"id": made.id});
    let told = done(&studio, "studio-broadcast", id.clone()).await;
    assert_eq!((&told["state"], &told["source-id"]), (&json!("running"), &json!(source)));
    assert_eq!(refused(&studio, "studio-broadcast-end", id).await.0, Reason::ConfirmationNeeded);
    let confirmed = json!({"id": made.id, "confirm": true});
    let (_, text) = refused(&studio, "studio-broadcast-delete", confirmed.clone()).await;
    assert!(text.contains("This broadcast is live"), "{text}");
    done(&studio, "studio-broadcast-end", confirmed.clone()).await;
    done(&studio, "studio-broadcast-end", confirmed.clone()).await;
    api.fail(Route::DeleteBroadcast, Fault::LostAnswer, 1);
    done(&studio, "studio-broadcast-delete", confirmed).await;
    assert_eq!(done(&studio, "studio-broadcasts", json!({})).await, json!({"broadcasts": []}));
    api.assert_clean();
}

#[tokio::test]
async fn a_broadcast_is_scheduled_changed_begun_and_taken_back() {
    let api = StandIn::start();
    let (_folder, studio, source) = with_source(&api).await;
    let times = json!({"start": "2099-12-01T18:00:00Z", "end": "2099-12-01T20:00:00Z"});
    let mut new =
        json!({"source": source, "title": "Evening", "description": "Of music", "chat": "off", "locale": "en_US"});
    new.as_object_mut().expect("an object").extend(times.as_object().cloned().expect("an object"));
    let made = done(&studio, "schedule", new.clone()).await;
    assert_eq!((&made["start"], &made["state"]), (&times["start"], &json!("created")));
    assert_eq!(made["begins-by-itself"], json!(true));
    let id = made["id"].as_str().expect("an id");
    // What is not given stays.
    let changed = done(&studio, "schedule", json!({"id": id, "end": "2099-12-01T21:00:00Z"})).await;
    assert_eq!((&changed["end"], &changed["start"]), (&json!("2099-12-01T21:00:00Z"), &times["start"]));
    assert_eq!((&changed["title"], &changed["description"]), (&json!("Evening"), &json!("Of music")));
    assert_eq!(changed["locale"], json!("en_US"));
    assert_eq!(done(&studio, "studio-schedules", json!({})).await["schedules"][0]["id"], json!(id));

    // One that X does not begin begins by itself all the same.
    api.fail(Route::StartScheduled, Fault::Conflict, 1);
    assert_eq!(refused(&studio, "studio-schedule-start", json!({"id": id})).await.0, Reason::WrongState);
    assert_eq!(done(&studio, "studio-schedules", json!({})).await["schedules"][0]["begins-by-itself"], json!(true));
    let begun = done(&studio, "studio-schedule-start", json!({"id": id})).await;
    assert_eq!((&begun["state"], api.broadcasts()[0].state), (&json!("running"), State::Running));

    let second = done(&studio, "schedule", new).await;
    done(&studio, "studio-schedule-cancel", json!({"id": second["id"]})).await;
    assert_eq!(done(&studio, "studio-schedules", json!({})).await["schedules"].as_array().map(Vec::len), Some(1));
    let (reason, text) = refused(&studio, "schedule", json!({"start": "2099-12-01T18:00:00Z"})).await;
    assert!(reason == Reason::WrongArguments && text.contains("source, start and end"), "{text}");
    let (reason, _) = refused(&studio, "studio-schedule-start", json!({"id": "1yKSabcdefghi"})).await;
    assert_eq!(reason, Reason::WrongState);
    api.assert_clean();
}

#[tokio::test]
async fn without_an_account_nothing_is_asked() {
    let api = StandIn::start();
    let (folder, _) = linked(&api).await;
    let empty = tempfile::tempdir().expect("a folder");
    let told = open(&api, empty.path()).ask(None, "1", go_live()).await;
    assert_eq!(told, Told::Failed(Trouble::NotLinked(String::new())));
    let told = open(&api, folder.path()).ask(Some("other"), "1", go_live()).await;
    assert_eq!(told, Told::Failed(Trouble::NotLinked("other".into())));
    assert!(api.journal().iter().all(|asked| asked.template == "/2/users/me"));
    api.assert_clean();
}
