//! X Media Studio's Producer, by X's API: accounts, Sources, Broadcasts, media and posts.
//!
//! The box and the operator's desk use the same client: what is asked is [`crate::command::studio::What`], the words of
//! every surface. `perform` does it; `own` has the questions about the Broadcast of this box, which [`crate::control`]
//! asks. `token` knows who asks (accounts are in `store`), `client` sends one call, `answer` (pure) reads what comes
//! back. `kind` (pure) says what X takes of files, which `upload` sends in segments and `download` gets; both go on
//! after an interruption.

pub mod account;
pub mod answer;
mod broadcasts;
pub mod client;
mod download;
mod kind;
pub mod link;
mod lost;
mod media;
pub mod oauth1;
pub mod own;
mod patience;
mod perform;
mod post;
mod progress;
mod rates;
mod schedules;
mod sources;
mod store;
mod token;
pub mod trouble;
pub mod types;
mod upload;

pub use client::{Body, Call, Repeat};
pub use own::{Ask, AskId, Ingest, Told};
pub use trouble::Trouble;
pub use types::{Broadcast, BroadcastState, StudioSource};

use crate::{settings, status::Fault, uplink::trust::Trust};
use answer::Reply;
use client::{Client, Proof};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{Linked, Store};

/// Most pages of a list that are read.
const PAGES: usize = 20;

/// The Studio, as a box or a computer asks it. Cheap to clone.
#[derive(Clone)]
pub struct Studio(Arc<Inner>);

struct Inner {
    client: Client,
    store: Store,
    /// The account of the settings.
    chosen: Option<String>,
    /// Where ingests are kept.
    ingests: PathBuf,
    /// Where is noted how far uploads are.
    uploads: PathBuf,
    faults: Vec<Fault>,
}

impl Studio {
    /// `folder`: below it, accounts, ingests and how far uploads are, are kept, in the folders `accounts`, `sources`
    /// and `uploads`; `trust`: whose certificates are believed, and the clock. Reads files.
    ///
    /// # Errors
    /// A sentence for people: TLS cannot be set up.
    pub fn open(settings: &settings::Studio, folder: &Path, trust: Arc<Trust>) -> Result<Self, String> {
        let client = Client::new(settings.base_url.as_deref().unwrap_or(types::BASE_URL), &trust)?;
        let (store, faults) = Store::open(folder.join("accounts"), client.calendar());
        let (chosen, ingests, uploads) = (settings.account.clone(), folder.join("sources"), folder.join("uploads"));
        Ok(Self(Arc::new(Inner { client, store, chosen, ingests, uploads, faults })))
    }

    /// What was damaged when it was opened.
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// The names of the linked accounts.
    pub fn accounts(&self) -> Vec<String> {
        self.0.store.all().iter().map(|linked| linked.name.clone()).collect()
    }

    fn linked(&self, account: Option<&str>) -> Result<Arc<Linked>, Trouble> {
        self.0.store.find(account, self.0.chosen.as_deref())
    }

    /// Whether this account asks where none is named.
    fn is_chosen(&self, name: &str) -> bool {
        self.linked(None).is_ok_and(|linked| linked.name == name)
    }

    /// One call of the API, with the account's token.
    ///
    /// # Errors
    /// Whatever can go wrong with one.
    pub(super) async fn call(&self, account: Option<&str>, call: Call) -> Result<Value, Trouble> {
        let (reply, proof) = self.send(account, &call).await?;
        self.read(&reply, &proof)
    }

    /// The same, and the answer as it came, of whatever status.
    async fn send(&self, account: Option<&str>, call: &Call) -> Result<(Reply, Proof), Trouble> {
        let linked = self.linked(account)?;
        let proof = self.proof(&linked, None).await?;
        let reply = self.0.client.send(&linked.name, &proof, call).await?;
        match &proof {
            Proof::Bearer(token) if reply.status == 401 => {
                // It was refused before it was done, so it may be sent again, whatever it is.
                let proof = self.proof(&linked, Some(token)).await?;
                Ok((self.0.client.send(&linked.name, &proof, call).await?, proof))
            }
            _ => Ok((reply, proof)),
        }
    }

    fn read(&self, reply: &Reply, proof: &Proof) -> Result<Value, Trouble> {
        let signed = matches!(proof, Proof::Signed(_));
        reply.json(self.0.client.off_by(reply).filter(|_| signed))
    }

    /// All items of a list, at most about `most`, page by page.
    async fn list(&self, account: Option<&str>, call: Call, most: usize) -> Result<Vec<Value>, Trouble> {
        let (mut all, mut next) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = match &next {
                None => call.clone(),
                Some(token) => call.clone().with("pagination_token", token),
            };
            let answer = self.call(account, page).await?;
            // An empty list may have no data.
            match answer.get("data") {
                None | Some(Value::Null) if answer.get("errors").is_none() => {}
                Some(Value::Array(items)) => all.extend(items.iter().cloned()),
                Some(Value::Object(_)) => return Err(Trouble::Garbled("data is not a list".into())),
                _ => return Err(answer::data(answer).err().unwrap_or(Trouble::Garbled("data is not a list".into()))),
            }
            next = match answer.get("meta") {
                Some(meta) => answer::text(meta, "next_token")?,
                None => None,
            };
            if next.is_none() || all.len() >= most {
                break;
            }
        }
        Ok(all)
    }

    /// For calls of other hosts than the API's: no account, no redirects, 10 s to connect, no other limit.
    pub(super) fn http(&self) -> &reqwest::Client {
        self.0.client.http()
    }

    /// Whether the API is on this machine: a stand-in of it.
    fn is_local(&self) -> bool {
        self.0.client.is_local()
    }
}
