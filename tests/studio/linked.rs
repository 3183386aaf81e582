//! A Studio that is linked to a stand-in, as a box or a desk has it, and files for it.

use crate::stand_in::{Settings, StandIn, made_byte};
use fieldcast::{
    command::{
        Answer,
        studio::{Grant, Request, What},
    },
    remote::message::Progress,
    settings::{self, Secret},
    studio::Studio,
    uplink::trust::Trust,
};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

pub const MIB: usize = 1024 * 1024;

/// A Studio with its folder, which outlives it as it outlives a program that is killed.
pub struct Linked {
    pub api: StandIn,
    pub folder: TempDir,
    pub studio: Studio,
    told: Mutex<Vec<Progress>>,
}

/// A Studio that finds what an earlier one left.
pub fn open(base_url: &str, folder: &Path) -> Studio {
    let settings = settings::Studio { base_url: Some(base_url.into()), ..Default::default() };
    let trust = Arc::new(Trust::in_authorities([], Duration::ZERO));
    Studio::open(&settings, folder, trust).expect("a Studio")
}

/// What an operator's computer hands over.
pub fn grant(api: &StandIn) -> What {
    let tokens = api.link("fieldcast");
    What::Link(Grant::OAuth2 {
        client_id: Settings::default().client_id,
        access_token: Secret::new(&tokens.access),
        refresh_token: Some(Secret::new(&tokens.refresh)),
        expires_in: 7200,
    })
}

impl Linked {
    pub async fn new(settings: Settings) -> Self {
        let (api, folder) = (StandIn::start_with(settings), tempfile::tempdir().expect("folder"));
        let studio = open(&api.url(), folder.path());
        let linked = Self { api, folder, studio, told: Mutex::default() };
        linked.done(grant(&linked.api)).await;
        linked
    }

    /// The program is started again.
    pub fn restart(&mut self) {
        self.studio = open(&self.api.url(), self.folder.path());
    }

    pub async fn ask(&self, what: What) -> Answer {
        let tell = |progress| self.told.lock().expect("a lock").push(progress);
        self.studio.perform(Request { account: None, what }, &tell).await
    }

    /// The result of what has to be successful.
    pub async fn done(&self, what: What) -> Value {
        match self.ask(what).await {
            Answer::Successful { result } => result,
            Answer::Failed { text, .. } => panic!("{text}"),
        }
    }

    /// Why it failed.
    pub async fn failed(&self, what: What) -> String {
        match self.ask(what).await {
            Answer::Successful { result } => panic!("{result}"),
            Answer::Failed { text, .. } => text,
        }
    }

    /// What was told since it was asked last.
    pub fn told(&self) -> Vec<Progress> {
        std::mem::take(&mut *self.told.lock().expect("a lock"))
    }

    /// A file of `size` bytes that begins with `head`.
    pub fn file(&self, name: &str, head: &[u8], size: usize) -> PathBuf {
        let path = self.folder.path().join(name);
        let rest = (head.len() as u64..size as u64).map(made_byte);
        fs::write(&path, head.iter().copied().chain(rest).collect::<Vec<_>>()).expect("written");
        path
    }
}

/// Waits until `is` holds.
pub async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap_or_else(|_| panic!("{what}"));
}

pub fn sha256(path: &Path) -> [u8; 32] {
    digest(&SHA256, &fs::read(path).expect("read")).as_ref().try_into().expect("32 bytes")
}
