//! Linking, refreshing and unlinking.

use super::{arguments, ask, done, grant, keys, linked, open, open_at, refused, secret, stand_in::challenge};
use crate::stand_in::{Fault, Route, SCOPES, StandIn};
use fieldcast::{command::Reason, settings, studio::Studio, sys, uplink::trust::Trust};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

const TWO_HOURS: Duration = Duration::from_secs(7201);

fn kept(folder: &Path) -> String {
    fs::read_to_string(folder.join("accounts/fieldcast.json")).expect("the account's file")
}

#[tokio::test]
async fn an_account_is_linked_and_its_tokens_are_seen_nowhere() {
    let (api, folder) = (StandIn::start(), tempfile::tempdir().expect("a folder"));
    let studio = open(&api, folder.path());
    assert!(refused(&studio, "studio-sources", json!({})).await.1.starts_with("No account of X is linked. Link"));
    let tokens = api.link("fieldcast");
    let answer = ask(&studio, "studio-link", grant(&tokens, 7200)).await;
    let told = format!("{answer:?} {:?}", done(&studio, "studio-accounts", json!({})).await);
    assert!(!told.contains(&tokens.access) && !told.contains(&tokens.refresh), "{told}");
    let accounts = done(&studio, "studio-accounts", json!({})).await;
    let account = &accounts["accounts"][0];
    assert_eq!((&account["name"], &account["kind"]), (&json!("fieldcast"), &json!("oauth2")));
    assert_eq!((&account["chosen"], &account["revoked"]), (&json!(true), &json!(false)));
    assert_eq!(studio.accounts(), ["fieldcast"]);
    assert!(kept(folder.path()).contains(&tokens.refresh), "the file has it");
    let mode = |path: &str| fs::metadata(folder.path().join(path)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("accounts"), mode("accounts/fieldcast.json")), (0o700, 0o600));
    // After a power cut it goes on.
    assert_eq!(done(&open(&api, folder.path()), "studio-sources", json!({})).await, json!({"sources": []}));
    assert_eq!(api.calls("POST", "/2/oauth2/token"), 0);
    api.assert_clean();
}

#[tokio::test]
async fn a_code_of_the_page_becomes_a_link() {
    let (api, folder) = (StandIn::start(), tempfile::tempdir().expect("a folder"));
    let (studio, verifier, redirect) = (open(&api, folder.path()), "v".repeat(43), "http://127.0.0.1:4711/callback");
    let page = reqwest::Url::parse_with_params(
        &api.authorize_url(),
        [
            ("response_type", "code"),
            ("client_id", "fieldcast-client"),
            ("redirect_uri", redirect),
            ("scope", SCOPES),
            ("state", "a state"),
            ("code_challenge", &challenge(&verifier)),
            ("code_challenge_method", "S256"),
        ],
    );
    let browser = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let tls = Trust::in_authorities([], Duration::ZERO).client_config().expect("TLS");
    let browser = browser.tls_backend_preconfigured(tls).build().expect("a browser");
    let back = browser.get(page.expect("a URL")).send().await.expect("the page");
    let back = back.headers()["location"].to_str().expect("a text").to_owned();
    let back = reqwest::Url::parse(&back).expect("a URL");
    let code = back.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let exchange = || async {
        let (code, verifier) = (secret(&code), secret(&verifier));
        studio.exchange("fieldcast-client", &code, &verifier, redirect).await
    };
    let granted = exchange().await.expect("tokens");
    done(&studio, "studio-link", arguments(&granted)).await;
    assert_eq!(done(&studio, "studio-sources", json!({})).await, json!({"sources": []}));
    assert!(exchange().await.is_err(), "a code is used once");
    api.assert_clean();
}

#[tokio::test]
async fn keys_of_an_app_link_without_a_browser() {
    let (api, folder) = (StandIn::start(), tempfile::tempdir().expect("a folder"));
    let studio = open(&api, folder.path());
    let told = done(&studio, "studio-link", keys(&api)).await;
    assert_eq!((&told["name"], &told["kind"]), (&json!("fieldcast"), &json!("oauth1")));
    done(&studio, "studio-source-create", json!({"name": "Ä + b&c", "region": "us-east-1"})).await;
    // The query is signed too.
    done(&studio, "studio-broadcasts", json!({"limit": 3})).await;
    assert_eq!(api.sources()[0].name, "Ä + b&c");
    assert_eq!(done(&open(&api, folder.path()), "studio-broadcasts", json!({})).await, json!({"broadcasts": []}));
    api.revoke("fieldcast");
    let (reason, text) = refused(&studio, "studio-sources", json!({})).await;
    assert!(reason == Reason::WrongState && text.contains("is not valid any more"), "{text}");
    let told = done(&studio, "studio-unlink", json!({})).await;
    assert_eq!(told["given-back"], json!(false));
    assert!(told["advice"].as_str().is_some_and(|advice| advice.contains("Connected apps")), "{told}");
    api.assert_clean();
}

#[tokio::test]
async fn a_signature_by_a_wrong_clock_is_told_as_that() {
    let (api, folder) = (StandIn::start(), tempfile::tempdir().expect("a folder"));
    let ahead = open_at(&api, folder.path(), sys::wall() + Duration::from_secs(3600));
    let (_, text) = refused(&ahead, "studio-link", keys(&api)).await;
    assert!(text.starts_with("The clock is wrong"), "{text}");
    // What is not signed does not need the clock.
    done(&ahead, "studio-link", grant(&api.link("fieldcast"), 7200)).await;
    done(&ahead, "studio-sources", json!({})).await;
    api.assert_clean();
}

#[tokio::test]
async fn an_expired_token_is_refreshed_once_for_all_who_ask() {
    let api = StandIn::start();
    let (folder, studio) = linked(&api).await;
    let before = kept(folder.path());
    api.advance(TWO_HOURS);
    // Two programs of one user, and several calls of each.
    let other = open(&api, folder.path());
    let list = |studio: Studio| async move { done(&studio, "studio-sources", json!({})).await };
    tokio::join!(list(studio.clone()), list(studio.clone()), list(other.clone()), list(other), list(studio.clone()));
    assert_eq!(api.calls("POST", "/2/oauth2/token"), 1);
    assert_ne!(kept(folder.path()), before, "the new ones are on the disk");
    done(&open(&api, folder.path()), "studio-sources", json!({})).await;
    assert_eq!(api.calls("POST", "/2/oauth2/token"), 1);
    // And again, with the refresh token that came with the first.
    api.advance(TWO_HOURS);
    list(studio).await;
    assert_eq!(api.calls("POST", "/2/oauth2/token"), 2);
    api.assert_clean();
}

#[tokio::test]
async fn a_token_that_ends_soon_is_refreshed_before_it_is_used() {
    let (api, folder) = (StandIn::start(), tempfile::tempdir().expect("a folder"));
    let studio = open(&api, folder.path());
    done(&studio, "studio-link", grant(&api.link("fieldcast"), 200)).await;
    done(&studio, "studio-sources", json!({})).await;
    done(&studio, "studio-sources", json!({})).await;
    assert_eq!(api.calls("POST", "/2/oauth2/token"), 1);
    assert!(api.journal().iter().all(|asked| asked.status != Some(401)));
    api.assert_clean();
}

#[tokio::test]
async fn a_refresh_whose_answer_is_lost_costs_nothing_while_the_token_is_good() {
    let (api, folder) = (StandIn::start(), tempfile::tempdir().expect("a folder"));
    let studio = open(&api, folder.path());
    let tokens = api.link("fieldcast");
    done(&studio, "studio-link", grant(&tokens, 200)).await;
    api.fail(Route::Token, Fault::LostAnswer, 1);
    done(&studio, "studio-sources", json!({})).await;
    done(&studio, "studio-sources", json!({})).await;
    assert_eq!(api.calls("POST", "/2/oauth2/token"), 1, "not again at once");
    assert!(kept(folder.path()).contains(&tokens.refresh), "the old one is kept");
    // After a power cut the old one is tried again; X has put another in its place, which nobody has.
    api.advance(TWO_HOURS);
    let (_, text) = refused(&open(&api, folder.path()), "studio-sources", json!({})).await;
    assert!(text.contains("is not valid any more") && text.contains("fieldcast studio link"), "{text}");
    // Linked anew it works.
    done(&studio, "studio-link", grant(&api.link("fieldcast"), 7200)).await;
    done(&studio, "studio-sources", json!({})).await;
    api.assert_clean();
}

#[tokio::test]
async fn a_refresh_that_x_did_not_get_is_tried_again() {
    let api = StandIn::start();
    let (_folder, studio) = linked(&api).await;
    api.advance(TWO_HOURS);
    api.fail(Route::Token, Fault::Cut, 1);
    done(&studio, "studio-sources", json!({})).await;
    // What is not answered twice is told as not reached: the call itself was not sent.
    api.advance(TWO_HOURS);
    api.fail(Route::Token, Fault::Cut, 2);
    let (reason, text) = refused(&studio, "studio-sources", json!({})).await;
    assert!(reason == Reason::TimedOut && text.starts_with("The Studio is not reached"), "{text}");
    done(&studio, "studio-sources", json!({})).await;
    for status in [200, 400, 401] {
        api.fail(Route::Token, Fault::Html(status), 1);
        api.advance(TWO_HOURS);
        assert!(refused(&studio, "studio-sources", json!({})).await.1.contains("a page for people"));
        done(&studio, "studio-sources", json!({})).await;
    }
    api.assert_clean();
}

#[tokio::test]
async fn a_link_that_was_taken_back_is_told_and_not_tried_over_and_over() {
    let api = StandIn::start();
    let (_folder, studio) = linked(&api).await;
    api.revoke("fieldcast");
    for _ in 0..3 {
        let (_, text) = refused(&studio, "studio-sources", json!({})).await;
        assert!(text.contains("is not valid any more"), "{text}");
    }
    assert_eq!(api.calls("POST", "/2/oauth2/token"), 1);
    assert_eq!(done(&studio, "studio-accounts", json!({})).await["accounts"][0]["revoked"], json!(true));
    api.assert_clean();
}

#[tokio::test]
async fn an_app_that_x_does_not_know_is_told_as_that() {
    let (api, folder) = (StandIn::start(), tempfile::tempdir().expect("a folder"));
    let studio = open(&api, folder.path());
    let mut other = grant(&api.link("fieldcast"), 7200);
    other["client-id"] = json!("another-app");
    done(&studio, "studio-link", other).await;
    api.advance(TWO_HOURS);
    let (_, text) = refused(&studio, "studio-sources", json!({})).await;
    assert!(text.starts_with("The app may not use"), "{text}");
    api.assert_clean();
}

#[tokio::test]
async fn an_account_is_forgotten_whether_x_can_be_told_or_not() {
    let api = StandIn::start();
    let (folder, studio) = linked(&api).await;
    assert_eq!(done(&studio, "studio-unlink", json!({"account": "@Fieldcast"})).await["given-back"], json!(true));
    assert_eq!(api.calls("POST", "/2/oauth2/revoke"), 2);
    assert!(!folder.path().join("accounts/fieldcast.json").exists());
    assert!(refused(&studio, "studio-unlink", json!({})).await.1.starts_with("No account"));

    let (folder, studio) = linked(&api).await;
    api.fail(Route::Revoke, Fault::Status(500), 9);
    let told = done(&studio, "studio-unlink", json!({})).await;
    assert_eq!(told["given-back"], json!(false));
    assert!(!folder.path().join("accounts/fieldcast.json").exists() && open(&api, folder.path()).accounts().is_empty());
    api.assert_clean();
}

#[tokio::test]
async fn of_several_accounts_one_is_chosen() {
    let api = StandIn::start();
    let (folder, studio) = linked(&api).await;
    api.add_user("second");
    done(&studio, "studio-link", grant(&api.link("second"), 7200)).await;
    let (_, text) = refused(&studio, "studio-sources", json!({})).await;
    assert!(text.starts_with("Several accounts of X are linked. Say which"), "{text}");
    done(&studio, "studio-source-create", json!({"name": "Its", "region": "us-east-1", "account": "@second"})).await;
    let mine = done(&studio, "studio-sources", json!({"account": "fieldcast"})).await;
    assert_eq!(mine, json!({"sources": []}));
    let settings =
        settings::Studio { base_url: Some(api.url()), account: Some("second".into()), ..settings::Studio::default() };
    let trust = Arc::new(Trust::in_authorities([], Duration::ZERO));
    let studio = Studio::open(&settings, folder.path(), trust).expect("the Studio");
    let its = done(&studio, "studio-sources", json!({})).await;
    assert_eq!(its["sources"][0]["name"], json!("Its"));
    let chosen = done(&studio, "studio-accounts", json!({})).await;
    assert_eq!((&chosen["accounts"][0]["chosen"], &chosen["accounts"][1]["chosen"]), (&json!(false), &json!(true)));
    assert!(refused(&studio, "studio-sources", json!({"account": "third"})).await.1.contains("\"third\""));
    api.assert_clean();
}

#[tokio::test]
async fn a_damaged_account_is_told_and_can_be_linked_again() {
    let api = StandIn::start();
    let (folder, _) = linked(&api).await;
    let text = kept(folder.path());
    fs::write(folder.path().join("accounts/fieldcast.json"), &text[..text.len() / 2]).expect("written");
    let studio = open(&api, folder.path());
    assert!(studio.accounts().is_empty());
    assert_eq!(studio.faults().iter().map(|fault| fault.code).collect::<Vec<_>>(), ["state-damaged"]);
    done(&studio, "studio-link", grant(&api.link("fieldcast"), 7200)).await;
    assert!(open(&api, folder.path()).faults().is_empty());
    api.assert_clean();
}

#[tokio::test]
async fn who_waits_for_an_account_that_is_forgotten_does_not_bring_it_back() {
    let api = StandIn::start();
    let (folder, studio) = linked(&api).await;
    api.advance(TWO_HOURS);
    // X does not hear of it, so the refresh token is good.
    api.fail(Route::Revoke, Fault::Status(500), 99);
    let (told, _) = tokio::join!(biased;
        ask(&studio, "studio-unlink", json!({})),
        ask(&studio, "studio-sources", json!({})),
    );
    assert!(format!("{told:?}").contains("Successful"), "{told:?}");
    assert!(!folder.path().join("accounts/fieldcast.json").exists());
    assert_eq!(api.calls("POST", "/2/oauth2/token"), 0);
    api.assert_clean();
}
