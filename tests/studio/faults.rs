//! What any call does when the API is broken, slow, busy or somebody else.

use super::{done, linked, refused, with_source};
use crate::stand_in::{Fault, Route, StandIn};
use fieldcast::{
    command::Reason,
    studio::{Ask, Told, Trouble},
};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_broken_api_is_asked_again_some_times() {
    let api = StandIn::start();
    let (_folder, studio) = linked(&api).await;
    api.fail(Route::ListSources, Fault::Status(503), 2);
    done(&studio, "studio-sources", json!({})).await;
    assert_eq!(api.calls("GET", "/2/sources"), 3);
    api.fail(Route::ListSources, Fault::Status(500), 99);
    let (reason, text) = refused(&studio, "studio-sources", json!({})).await;
    assert!(reason == Reason::WrongState && text.contains("an error of its own (500)"), "{text}");
    assert_eq!(api.calls("GET", "/2/sources"), 7);
    api.stop_failing();
    api.fail(Route::ListSources, Fault::Cut, 1);
    done(&studio, "studio-sources", json!({})).await;
    api.assert_clean();
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_and_nobody_else_is_asked() {
    let api = StandIn::start();
    let (_folder, studio) = linked(&api).await;
    for (fault, told) in [
        (Fault::Html(200), "a page for people"),
        (Fault::TruncatedJson, "its JSON is cut"),
        (Fault::Huge, "longer than 8 MiB"),
        (Fault::RedirectAway, "points to another place"),
        (Fault::Html(404), "a page for people"),
        (Fault::Html(403), "a page for people"),
        (Fault::NotFound, "does not know it"),
    ] {
        api.fail(Route::ListSources, fault.clone(), 1);
        let (_, text) = refused(&studio, "studio-sources", json!({})).await;
        assert!(text.contains(told), "{fault:?}: {text}");
    }
    assert_eq!(api.calls("GET", "/2/sources"), 7, "each is asked once");
    assert!(api.journal().iter().all(|asked| !asked.template.is_empty()), "the other host was not asked");
    api.fail(Route::ListSources, Fault::HalfBody, 1);
    done(&studio, "studio-sources", json!({})).await;
    api.assert_clean();
}

#[tokio::test]
async fn limits_are_obeyed_before_x_says_no() {
    let api = StandIn::start();
    let (_folder, studio, id) = with_source(&api).await;
    api.limit(Route::GetSource, 2);
    for _ in 0..2 {
        done(&studio, "studio-source", json!({"id": id})).await;
    }
    let (reason, text) = refused(&studio, "studio-source", json!({"id": id})).await;
    assert!(reason == Reason::WrongState && text.starts_with("The Studio was asked too often"), "{text}");
    assert_eq!(api.calls("GET", "/2/sources/{id}"), 2);
    let told = studio.ask(None, &id, Ask::Source).await;
    assert!(matches!(told, Told::Failed(Trouble::TooMany(wait)) if wait > Duration::from_secs(600)), "{told:?}");
    // Others are not held up.
    done(&studio, "studio-sources", json!({})).await;
    api.assert_clean();
}

#[tokio::test]
async fn a_short_wait_is_waited() {
    let api = StandIn::start();
    let (_folder, studio) = linked(&api).await;
    api.fail(Route::ListSources, Fault::TooMany(Duration::from_secs(1)), 1);
    done(&studio, "studio-sources", json!({})).await;
    assert_eq!(api.calls("GET", "/2/sources"), 2);
    api.fail(Route::ListSources, Fault::TooMany(Duration::from_secs(100)), 1);
    let (_, text) = refused(&studio, "studio-sources", json!({})).await;
    assert!(text.starts_with("The Studio was asked too often"), "{text}");
    assert_eq!(api.calls("GET", "/2/sources"), 3);
    api.assert_clean();
}

#[tokio::test]
async fn a_401_that_was_none_of_the_tokens_is_over_with_the_next() {
    let api = StandIn::start();
    let (_folder, studio) = linked(&api).await;
    api.fail(Route::ListSources, Fault::Unauthorized, 1);
    done(&studio, "studio-sources", json!({})).await;
    api.fail(Route::ListSources, Fault::Unauthorized, 2);
    let (_, text) = refused(&studio, "studio-sources", json!({})).await;
    assert!(text.contains("is not valid any more"), "{text}");
    done(&studio, "studio-sources", json!({})).await;
    api.assert_clean();
}

/// Waits once for as long as a call may take.
#[tokio::test]
async fn what_does_not_come_to_an_end_is_given_up() {
    let api = StandIn::start();
    let (_folder, studio, id) = with_source(&api).await;
    api.fail(Route::ListSources, Fault::Drip(Duration::from_secs(1)), 1);
    api.fail(Route::GetSource, Fault::Hang, 1);
    api.fail(Route::GoLive, Fault::HangAfter, 1);
    let live = Ask::GoLive { title: None, chat_option: None, locale: None, post: None };
    let all = async {
        tokio::join!(
            refused(&studio, "studio-sources", json!({})),
            refused(&studio, "studio-source", json!({"id": id})),
            studio.ask(None, &id, live),
        )
    };
    let (drip, hang, live) = tokio::time::timeout(Duration::from_secs(120), all).await.expect("given up");
    assert_eq!((drip.0, hang.0), (Reason::TimedOut, Reason::TimedOut), "{drip:?} {hang:?}");
    assert_eq!(live, Told::Failed(Trouble::AnswerLost));
    assert_eq!((api.broadcasts().len(), api.calls("POST", "/2/broadcasts")), (1, 1));
    api.assert_clean();
}
