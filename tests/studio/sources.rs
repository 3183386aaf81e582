//! Sources, regions and ingests.

use super::{ask, done, linked, open, refused, with_source};
use crate::stand_in::{Fault, Route, Settings, StandIn};
use fieldcast::{
    command::Reason,
    studio::{Ask, Ingest, Told, Trouble},
};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt as _};

#[tokio::test]
async fn a_source_is_made_listed_renamed_and_deleted() {
    let api = StandIn::start();
    let (_folder, studio) = linked(&api).await;
    let made = done(&studio, "studio-source-create", json!({"name": "Main", "region": "us-west-2"})).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    assert_eq!((&made["region"], made.get("asked-region")), (&json!("us-west-2"), None));
    assert_eq!(api.calls("GET", "/2/region"), 0);
    let listed = done(&studio, "studio-sources", json!({})).await;
    assert_eq!(listed["sources"][0]["id"], json!(id));
    done(&studio, "studio-source-rename", json!({"id": id, "name": "Stage left"})).await;
    let one = done(&studio, "studio-source", json!({"id": id})).await;
    assert_eq!((&one["name"], &one["active"], &one["notes"]), (&json!("Stage left"), &json!(false), &json!([])));
    let key = api.sources()[0].stream_key.clone();
    assert!(![made, listed, one].iter().any(|told| told.to_string().contains(&key)), "the key is told nowhere");
    let (reason, _) = refused(&studio, "studio-source-delete", json!({"id": id})).await;
    assert_eq!((reason, api.sources().len()), (Reason::ConfirmationNeeded, 1));
    done(&studio, "studio-source-delete", json!({"id": id, "confirm": true})).await;
    assert!(api.sources().is_empty());
    let (reason, text) = refused(&studio, "studio-source", json!({"id": id})).await;
    assert!(reason == Reason::WrongState && text.starts_with("The Studio does not know it"), "{text}");
    api.assert_clean();
}

#[tokio::test]
async fn the_recommended_region_comes_from_another_host_which_sees_no_token() {
    let api = StandIn::start_with(Settings { region: "eu-central-1".into(), ..Settings::default() });
    let (_folder, studio) = linked(&api).await;
    let made = done(&studio, "studio-source-create", json!({"name": "Main"})).await;
    assert_eq!((&made["region"], &made["asked-region"]), (&json!("us-east-1"), &json!("eu-central-1")));
    assert_eq!((api.calls("GET", "/2/region"), api.calls("GET", "/region")), (1, 1));
    // That no token came there is a rule of the stand-in's.
    api.assert_clean();

    for fault in [Fault::Html(200), Fault::RedirectAway] {
        api.fail(Route::RegionAnswer, fault.clone(), 9);
        let (_, text) = refused(&studio, "studio-source-create", json!({"name": "Second"})).await;
        assert!(!text.is_empty(), "{fault:?}: {text}");
        api.stop_failing();
    }
    assert_eq!(api.sources().len(), 1, "nothing is made in a region that nobody chose");
    api.assert_clean();
}

#[tokio::test]
async fn what_the_api_refuses_is_told_in_its_words() {
    let api = StandIn::start_with(Settings { all_error_shapes: true, ..Settings::default() });
    let (_folder, studio) = linked(&api).await;
    for _ in 0..4 {
        let (reason, text) = refused(&studio, "studio-source-create", json!({"name": "x", "region": "moon-1"})).await;
        assert!(reason == Reason::WrongArguments && text.starts_with("The Studio refused the request: "), "{text}");
    }
    api.set(|settings| settings.all_error_shapes = false);
    done(&studio, "studio-source-create", json!({"name": "x", "region": "us-east-1"})).await;
    let key = api.sources()[0].stream_key.clone();
    let (reason, text) = refused(&studio, "studio-source", json!({"id": key})).await;
    assert_eq!(reason, Reason::WrongArguments);
    assert!(text.contains("is not a source id") && !text.contains(&key), "{text}");
    api.set(|settings| settings.allow_listed = false);
    let (reason, text) = refused(&studio, "studio-sources", json!({})).await;
    assert!(reason == Reason::WrongState && text.starts_with("The app may not use"), "{text}");
    api.assert_clean();
}

#[tokio::test]
async fn a_source_is_never_made_twice() {
    let api = StandIn::start();
    let (_folder, studio, first) = with_source(&api).await;
    let create = json!({"name": "Main", "region": "us-east-1"});
    // It was made, and only the answer is missing: it is found among those of the same name.
    for (fault, sources) in [(Fault::LostAnswer, 2), (Fault::TruncatedJson, 3), (Fault::HalfBody, 4)] {
        api.fail(Route::CreateSource, fault, 1);
        let made = done(&studio, "studio-source-create", create.clone()).await;
        assert_eq!(Some(made["id"].as_str()), api.sources().last().map(|source| Some(source.id.as_str())));
        assert!(made["id"] != json!(first) && api.sources().len() == sources);
    }
    // It was not made, which nobody can know.
    for fault in [Fault::Cut, Fault::Status(502), Fault::Html(200)] {
        api.fail(Route::CreateSource, fault, 1);
        let (reason, text) = refused(&studio, "studio-source-create", create.clone()).await;
        assert!(reason == Reason::TimedOut && text.contains("look before you try it again"), "{text}");
    }
    assert_eq!((api.sources().len(), api.calls("POST", "/2/sources")), (4, 7));
    api.assert_clean();
}

#[tokio::test]
async fn a_source_whose_deletion_is_not_answered_is_gone() {
    let api = StandIn::start();
    for (fault, calls) in [(Fault::LostAnswer, 2), (Fault::Cut, 2)] {
        let (_folder, studio, id) = with_source(&api).await;
        let before = api.calls("DELETE", "/2/sources/{id}");
        api.fail(Route::DeleteSource, fault, 1);
        done(&studio, "studio-source-delete", json!({"id": id, "confirm": true})).await;
        assert_eq!((api.sources().len(), api.calls("DELETE", "/2/sources/{id}") - before), (0, calls));
    }
    api.assert_clean();
}

#[tokio::test]
async fn a_source_in_use_stays() {
    let api = StandIn::start();
    let (_folder, studio, id) = with_source(&api).await;
    let live = studio.ask(None, &id, Ask::GoLive { title: None, chat_option: None, locale: None, post: None }).await;
    assert!(matches!(live, Told::Broadcast(_)), "{live:?}");
    let (reason, text) = refused(&studio, "studio-source-delete", json!({"id": id, "confirm": true})).await;
    assert!(reason == Reason::WrongState && text.contains("An active broadcast is using this source"), "{text}");
    api.assert_clean();
}

#[tokio::test]
async fn an_ingest_is_what_the_api_says_and_stays_known_without_it() {
    let api = StandIn::start();
    let (folder, studio, id) = with_source(&api).await;
    let key = api.sources()[0].stream_key.clone();
    let told = studio.ingest(None, &id).await.expect("an ingest");
    assert_eq!((told.url.as_str(), told.key.reveal()), ("rtmps://127.0.0.1:1936/live", key.as_str()));
    assert!(!format!("{told:?}").contains(&key));
    let file = folder.path().join("sources").join(format!("{id}.json"));
    let mode = |path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(file.clone()), mode(folder.path().join("sources"))), (0o600, 0o700));

    // A key that the Studio changed is learnt.
    api.set_key(&id, "another-key");
    let told = told_in_time(
        || studio.ingest(None, &id),
        |told| told.as_ref().is_ok_and(|told| told.key.reveal() == "another-key"),
    );
    let told = told.await.expect("an ingest");
    api.listen(false);
    assert_eq!(open(&api, folder.path()).ingest(None, &id).await, Ok(told.clone()));
    api.listen(true);
    // A box that was given the file and no account has no access to the API.
    let other = tempfile::tempdir().expect("a folder");
    fs::create_dir(other.path().join("sources")).expect("made");
    fs::copy(&file, other.path().join("sources").join(format!("{id}.json"))).expect("copied");
    assert_eq!(open(&api, other.path()).ingest(None, &id).await, Ok(told));
    assert_eq!(
        open(&api, other.path()).ingest(None, "1923456789012345678").await,
        Err(Trouble::NotLinked(String::new()))
    );
    // One that was deleted is not pushed to.
    done(&studio, "studio-source-delete", json!({"id": id, "confirm": true})).await;
    let gone = told_in_time(|| studio.ingest(None, &id), |told| *told == Err(Trouble::NotFound));
    assert_eq!(gone.await, Err(Trouble::NotFound));
    api.assert_clean();
}

#[tokio::test]
async fn a_damaged_ingest_is_asked_for_again() {
    let api = StandIn::start();
    let (folder, studio, id) = with_source(&api).await;
    fs::write(folder.path().join("sources").join(format!("{id}.json")), "{").expect("written");
    let told = studio.ingest(None, &id).await.expect("an ingest");
    assert_eq!(told.key.reveal(), api.sources()[0].stream_key);
    api.listen(false);
    assert_eq!(studio.ingest(None, &id).await, Ok(told));
    api.listen(true);
    api.assert_clean();
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_answered() {
    let api = StandIn::start();
    let (_folder, studio) = linked(&api).await;
    let answer = ask(&studio, "studio-source-create", json!({"name": "x", "region": "us-east-1", "type": "HLS"})).await;
    assert!(format!("{answer:?}").contains("WrongArguments"), "{answer:?}");
    assert_eq!(api.calls("POST", "/2/sources"), 0);
    api.assert_clean();
}

/// Asks until it is as it should be: with an ingest from before, a busy machine may be too slow for the API's word.
async fn told_in_time<F: Future<Output = Result<Ingest, Trouble>>>(
    ask: impl Fn() -> F,
    right: impl Fn(&F::Output) -> bool,
) -> F::Output {
    for _ in 0..10 {
        let told = ask().await;
        if right(&told) {
            return told;
        }
    }
    ask().await
}
