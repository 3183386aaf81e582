//! The client of X's API against its stand-in, which checks each request by its schema: accounts, Sources, Broadcasts, and all the
//! ways in which the API can fail.

mod accounts;
mod broadcasts;
mod download;
mod faults;
mod linked;
mod measured;
mod sources;
#[path = "../studio_stand_in/mod.rs"]
mod stand_in;
mod tls;
mod upload;

use fieldcast::{
    command::{Answer, Command, Reason, studio::Grant},
    settings::{self, Secret},
    studio::Studio,
    uplink::trust::Trust,
};
use serde_json::{Value, json};
use stand_in::{StandIn, Tokens};
use std::{path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;

/// The Studio with what is kept in `folder`; its clock is at least `clock` after 1970.
fn open_at(api: &StandIn, folder: &Path, clock: Duration) -> Studio {
    let settings = settings::Studio { base_url: Some(api.url()), ..settings::Studio::default() };
    Studio::open(&settings, folder, Arc::new(Trust::in_authorities([], clock))).expect("the Studio")
}

fn open(api: &StandIn, folder: &Path) -> Studio {
    open_at(api, folder, Duration::ZERO)
}

fn grant(tokens: &Tokens, expires_in: u64) -> Value {
    json!({
        "client-id": "fieldcast-client", "access-token": tokens.access, "refresh-token": tokens.refresh,
        "expires-in": expires_in,
    })
}

/// Does a command.
async fn ask(studio: &Studio, name: &str, arguments: Value) -> Answer {
    match Command::parse(name, &arguments) {
        Ok(Command::Studio(request)) => studio.perform(*request, &|_| {}).await,
        Ok(_) => panic!("{name} is not for the Studio"),
        Err(answer) => answer,
    }
}

async fn done(studio: &Studio, name: &str, arguments: Value) -> Value {
    match ask(studio, name, arguments).await {
        Answer::Successful { result } => result,
        failed => panic!("{name}: {failed:?}"),
    }
}

async fn refused(studio: &Studio, name: &str, arguments: Value) -> (Reason, String) {
    match ask(studio, name, arguments).await {
        Answer::Failed { reason, text, .. } => (reason, text),
        done => panic!("{name}: {done:?}"),
    }
}

/// The Studio with the account `fieldcast` linked.
async fn linked(api: &StandIn) -> (TempDir, Studio) {
    let folder = tempfile::tempdir().expect("a folder");
    let studio = open(api, folder.path());
    done(&studio, "studio-link", grant(&api.link("fieldcast"), 7200)).await;
    (folder, studio)
}

/// The same with a Source, whose id is told.
async fn with_source(api: &StandIn) -> (TempDir, Studio, String) {
    let (folder, studio) = linked(api).await;
    let made = done(&studio, "studio-source-create", json!({"name": "Main", "region": "us-east-1"})).await;
    (folder, studio, made["id"].as_str().expect("an id").to_owned())
}

/// The keys of an app and its user, as a command has them.
fn keys(api: &StandIn) -> Value {
    let signer = api.signer("fieldcast");
    json!({
        "consumer-key": signer.consumer_key, "consumer-secret": signer.consumer_secret, "token": signer.token,
        "token-secret": signer.token_secret,
    })
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

/// The same grant as a command has it.
fn arguments(grant: &Grant) -> Value {
    let Grant::OAuth2 { client_id, access_token, refresh_token, expires_in } = grant else { panic!("OAuth 2.0") };
    let refresh = refresh_token.as_ref().map(Secret::reveal);
    json!({
        "client-id": client_id, "access-token": access_token.reveal(), "refresh-token": refresh, "expires-in": expires_in,
    })
}
