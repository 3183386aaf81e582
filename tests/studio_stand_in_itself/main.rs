//! The stand-in of the Studio is strict: what it refuses, what it tells once, what it does when it fails on purpose.

mod faults;
mod media;
mod raw;
mod schedule;
#[path = "../studio_stand_in/mod.rs"]
mod stand_in;
#[path = "../support/mod.rs"]
mod support;

use raw::{Client, Reply, raw};
use serde_json::json;
use stand_in::{Fault, Route, StandIn, State, challenge, signature};
use std::time::Duration;

fn form(studio: &StandIn, path: &str, fields: &[(&str, &str)]) -> Reply {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    raw(&studio.url(), "POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", body.as_bytes())
}

/// The code that the page gives for this verifier.
fn code(studio: &StandIn, verifier: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("response_type", "code"),
            ("client_id", "fieldcast-client"),
            ("redirect_uri", "http://127.0.0.1:4711/callback"),
            ("scope", stand_in::SCOPES),
            ("state", "a state"),
            ("code_challenge", &challenge(verifier)),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let page = raw(&studio.elsewhere(), "GET", &format!("/i/oauth2/authorize?{query}"), "", b"");
    assert_eq!(page.status, 302, "{page:?}");
    let back = page.header("location").expect("a location").split_once('?').expect("a query").1.to_owned();
    let back: Vec<(String, String)> = form_urlencoded::parse(back.as_bytes()).into_owned().collect();
    assert!(back.contains(&("state".into(), "a state".into())), "{back:?}");
    back.into_iter().find(|(name, _)| name == "code").expect("a code").1
}

fn exchange(studio: &StandIn, code: &str, verifier: &str) -> Reply {
    let redirect = ("redirect_uri", "http://127.0.0.1:4711/callback");
    let (code, verifier) = (("code", code), ("code_verifier", verifier));
    let client = ("client_id", "fieldcast-client");
    form(studio, "/2/oauth2/token", &[("grant_type", "authorization_code"), code, redirect, client, verifier])
}

fn refresh(studio: &StandIn, token: &str) -> Reply {
    let client = ("client_id", "fieldcast-client");
    form(studio, "/2/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token), client])
}

#[test]
fn a_code_needs_its_verifier_its_time_and_is_used_once() {
    let (studio, verifier) = (StandIn::start(), "v".repeat(43));
    let wrong = exchange(&studio, &code(&studio, &verifier), &"w".repeat(43));
    assert_eq!((wrong.status, &wrong.json()["error"]), (400, &json!("invalid_request")));
    let late = code(&studio, &verifier);
    studio.advance(Duration::from_secs(30));
    assert_eq!(exchange(&studio, &late, &verifier).status, 400);

    let once = code(&studio, &verifier);
    let given = exchange(&studio, &once, &verifier);
    assert_eq!((given.status, &given.json()["expires_in"]), (200, &json!(7200)));
    assert_eq!(exchange(&studio, &once, &verifier).status, 400, "a second time");

    let old = given.json()["refresh_token"].as_str().expect("a token").to_owned();
    let new = refresh(&studio, &old).json();
    assert_eq!(refresh(&studio, &old).status, 400, "one that was used is dead");
    let new = new["refresh_token"].as_str().expect("a token");
    studio.fail(Route::Token, Fault::LostAnswer, 1);
    assert_eq!(refresh(&studio, new).status, 0);
    assert_eq!(refresh(&studio, new).status, 400, "the answer was lost, the token was used");
}

#[test]
fn tokens_end_and_open_only_what_they_are_for() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let me = client.get("/2/users/me");
    assert_eq!((me.status, &me.json()["data"]["username"]), (200, &json!("fieldcast")));
    assert_eq!(raw(&studio.url(), "GET", "/2/users/me", "", b"").status, 401);
    let reader =
        Client { studio: &studio, token: studio.link_with("fieldcast", "broadcast.read offline.access").access };
    assert_eq!(reader.get("/2/sources").status, 200);
    assert_eq!(reader.send("POST", "/2/sources", &json!({"name": "a", "region": "us-east-1"})).status, 403);
    studio.advance(Duration::from_secs(7200));
    assert_eq!(client.get("/2/users/me").status, 401, "two hours later");
    let client = Client::of(&studio);
    studio.revoke("fieldcast");
    assert_eq!(client.get("/2/users/me").status, 401);
}

#[test]
fn the_published_vector_of_oauth_1_is_signed_as_published() {
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let parameters = [
        of("status", "Hello Ladies + Gentlemen, a signed OAuth request!"),
        of("include_entities", "true"),
        of("oauth_consumer_key", "xvz1evFS4wEEPTGEFPHBog"),
        of("oauth_nonce", "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"),
        of("oauth_signature_method", "HMAC-SHA1"),
        of("oauth_timestamp", "1318622958"),
        of("oauth_token", "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"),
        of("oauth_version", "1.0"),
    ];
    for (host, right) in
        [("api.x.com", "Ls93hJiZbQ3akF3HF3x1Bz8/zU4="), ("api.twitter.com", "hCtSmYh+iHYCEqBWrE7C7hYmtUk=")]
    {
        let url = format!("https://{host}/1.1/statuses/update.json");
        let consumer = "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw";
        let signed = signature("POST", &url, &parameters, consumer, "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE");
        assert_eq!(signed, right, "{host}");
    }
}

#[test]
fn a_signed_request_needs_the_right_time_and_a_new_nonce() {
    let studio = StandIn::start();
    let signer = studio.signer("fieldcast");
    let ask = |seconds: i64, nonce: &str, secret: &str| {
        let time = (fieldcast::sys::wall().as_secs() as i64 + seconds).to_string();
        let mut parameters: Vec<(String, String)> = [
            ("oauth_consumer_key", signer.consumer_key.as_str()),
            ("oauth_nonce", nonce),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", &time),
            ("oauth_token", &signer.token),
            ("user.fields", "id,name"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let url = format!("{}/2/users/me", studio.url());
        let signed = signature("GET", &url, &parameters, &signer.consumer_secret, secret);
        parameters.pop();
        parameters.push(("oauth_signature".into(), signed));
        let encode = |text: &String| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let all: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", encode(value))).collect();
        let header = format!("Authorization: OAuth {}\r\n", all.join(", "));
        raw(&studio.url(), "GET", "/2/users/me?user.fields=id%2Cname", &header, b"").status
    };
    assert_eq!(ask(0, "one", &signer.token_secret), 200);
    assert_eq!(ask(0, "one", &signer.token_secret), 401, "the same nonce");
    assert_eq!(ask(-1000, "two", &signer.token_secret), 401, "a clock that is wrong");
    assert_eq!(ask(0, "three", "another secret"), 401);
}

#[test]
fn a_source_is_made_of_name_and_region_and_its_key_is_told_once() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    for wrong in [
        json!({"name": "a"}),
        json!({"name": "a", "region": "mars-1"}),
        json!({"name": 1, "region": "us-east-1"}),
        json!({"name": "a", "region": "us-east-1", "type": "RTMP"}),
    ] {
        let reply = client.send("POST", "/2/sources", &wrong);
        assert_eq!((reply.status, reply.header("content-type")), (400, Some("application/problem+json")), "{wrong}");
        assert_eq!(reply.json()["type"], "https://api.x.com/2/problems/invalid-request");
    }
    let text =
        client.bare("POST", "/2/sources", "Content-Type: text/plain\r\n", br#"{"name":"a","region":"us-east-1"}"#);
    assert_eq!((text.status, studio.sources().len()), (400, 0));

    let made = client.send("POST", "/2/sources", &json!({"name": "a", "region": "eu-west-2"})).json()["data"].clone();
    assert_eq!(made["region"], "us-east-1", "one of two places");
    let (id, key) = (made["id"].as_str().expect("an id"), made["stream_key"].as_str().expect("a key"));
    assert_eq!(client.send("PUT", &format!("/2/sources/{id}"), &json!({"name": "b"})).json()["data"]["name"], "b");
    assert_eq!(
        client.send("PUT", &format!("/2/sources/{id}"), &json!({"name": "b", "region": "us-west-1"})).status,
        400
    );
    for path in ["/2/sources".to_owned(), format!("/2/sources/{id}")] {
        let shown = client.get(&path);
        assert!(shown.status == 200 && !String::from_utf8_lossy(&shown.body).contains(key), "{shown:?}");
    }
    assert_eq!(client.get(&format!("/2/sources/{id}/stream_key")).json()["data"]["stream_key"], key);
    let wrong = client.get(&format!("/2/sources/{key}/stream_key"));
    assert_eq!((wrong.status, &wrong.json()["detail"]), (400, &json!("The `id` value is not a source id.")));
    assert!(!String::from_utf8_lossy(&wrong.body).contains(key), "a key given as an id is not told again");
    assert!(!format!("{:?}", studio.journal()).contains(key), "nor kept");
    assert_eq!(client.get("/2/sources?all=true").status, 400);
}

#[test]
fn the_region_comes_from_another_host_which_sees_no_token() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let away = client.get("/2/region");
    let to = away.header("location").expect("a location");
    assert_eq!((away.status, to.starts_with(&studio.elsewhere())), (307, true), "{away:?}");
    assert_eq!(raw(&studio.elsewhere(), "GET", "/region", "", b"").json()["region"], "eu-central-1");
    studio.assert_clean();
    raw(&studio.elsewhere(), "GET", "/region", "Authorization: Bearer x\r\n", b"");
    assert_eq!(studio.take_violations().len(), 1);
}

#[test]
fn a_broadcast_is_made_once_for_a_source_and_ended_by_exactly_one_word() {
    let studio = StandIn::start();
    let client = Client::of(&studio);
    let source = client.source();
    for (field, value) in [
        ("region", json!("us-east-1")),
        ("is_low_latency", json!(true)),
        ("private", json!(true)),
        ("chat_option", json!("1")),
        ("chat_option", json!(7)),
        ("should_not_tweet", json!("true")),
    ] {
        let mut body = json!({"source_id": source});
        body[field] = value;
        assert_eq!(client.send("POST", "/2/broadcasts", &body).status, 400, "{body}");
    }
    let live = json!({"source_id": source, "title": "A", "chat_option": 1, "locale": "en_US"});
    studio.set(|settings| settings.needs_video = true);
    assert_eq!(client.send("POST", "/2/broadcasts", &live).status, 409);
    studio.set_active(&source, true);

    studio.fail(Route::GoLive, Fault::LostAnswer, 1);
    assert_eq!(client.send("POST", "/2/broadcasts", &live).status, 0);
    assert_eq!(studio.broadcasts().len(), 1, "the answer was lost, the request was carried out");
    let again = client.send("POST", "/2/broadcasts", &json!({"source_id": source, "title": "B"}));
    assert_eq!((again.status, &again.json()["data"]["title"]), (200, &json!("A")), "unchanged");
    assert_eq!(studio.calls("POST", "/2/broadcasts"), 9);

    let id = again.json()["data"]["id"].as_str().expect("an id").to_owned();
    let (one, state) = (format!("/2/broadcasts/{id}"), format!("/2/broadcasts/{id}/state"));
    let short = client.get(&one).json()["data"].clone();
    assert!(short["state"] == "RUNNING" && short.get("share_url").is_none(), "{short}");
    assert!(client.get(&format!("{one}?broadcast.fields=share_url,tweet_id")).json()["data"]["tweet_id"].is_string());
    assert_eq!(client.get(&format!("{one}?broadcast.fields=viewers")).status, 400);
    assert_eq!(client.send("DELETE", &format!("/2/sources/{source}"), &json!({})).status, 400, "no body");
    assert_eq!(client.bare("DELETE", &format!("/2/sources/{source}"), "", b"").status, 409, "it is live");
    assert_eq!(client.send("PUT", &state, &json!({"state": "PUBLISH"})).status, 400);
    assert_eq!(client.send("PUT", &state, &json!({"state": "END", "title": "A"})).status, 400);
    assert_eq!(client.send("PUT", &state, &json!({"state": "END"})).json()["data"]["state"], "ENDED");

    client.send("POST", "/2/broadcasts", &live);
    studio.set_active(&source, false);
    studio.advance(Duration::from_secs(299));
    assert_eq!(studio.broadcasts()[1].state, State::Running);
    studio.advance(Duration::from_secs(2));
    assert_eq!(studio.broadcasts()[1].state, State::TimedOut, "no video for five minutes");
    let list = client.get("/2/broadcasts?max_results=1").json();
    assert_eq!((&list["meta"]["result_count"], &list["data"][0]["state"]), (&json!(1), &json!("TIMED_OUT")));
    assert!(list["meta"]["next_token"].is_string());
}
