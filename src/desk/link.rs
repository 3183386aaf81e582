//! The way to the boxes: one asked directly, or all of them through a broker. Both tell what they hear in the same words.

use super::{direct::Direct, order::Order, round::Reply, seen::Told};
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;
use tokio::{sync::mpsc, time::sleep};

/// Between two looks at a box that is watched directly.
const LOOK: Duration = Duration::from_secs(1);
/// Things heard and not read yet. Who does not read makes the broker wait, and nobody else.
pub const QUEUE: usize = 1024;

/// Something heard.
#[derive(Debug)]
pub enum Heard {
    /// Connected: what the broker kept comes now.
    Connected,
    /// All that is kept was told.
    Settled,
    /// A box told something of itself.
    Told {
        /// Which.
        id: String,
        /// What.
        told: Told,
    },
    /// A box answered a request.
    Reply {
        /// Which box.
        id: String,
        /// The request's id.
        request: String,
        /// What it answered.
        reply: Reply,
    },
    /// A box sent a picture or another file.
    Bytes {
        /// Which box.
        id: String,
        /// The content.
        bytes: Bytes,
    },
    /// A box said something in its log.
    Line {
        /// Which box.
        id: String,
        /// The line.
        line: Value,
    },
    /// The connection was lost, or there is none yet; why. It is tried again.
    Lost(String),
}

/// One box that is asked directly.
#[derive(Debug)]
pub struct DirectLink {
    direct: Direct,
    id: String,
    heard: mpsc::Sender<Heard>,
}

impl DirectLink {
    /// Asks the box who it is.
    ///
    /// # Errors
    /// As [`Direct::status`].
    pub async fn open(direct: Direct) -> Result<(Self, mpsc::Receiver<Heard>), String> {
        let (heard, ear) = mpsc::channel(QUEUE);
        let status = direct.status().await?;
        let id = status["id"].as_str().unwrap_or_default().to_owned();
        let link = Self { direct, id, heard };
        for said in [Heard::Connected, link.told(status), Heard::Settled] {
            let _ = link.heard.send(said).await;
        }
        Ok((link, ear))
    }

    fn told(&self, status: Value) -> Heard {
        Heard::Told { id: self.id.clone(), told: Told::Status { document: status, live: true } }
    }

    /// Goes on telling what the box does.
    pub fn follow(&self) {
        let (direct, id, heard) = (self.direct.clone(), self.id.clone(), self.heard.clone());
        tokio::spawn(async move {
            loop {
                sleep(LOOK).await;
                let told = match direct.status().await {
                    Ok(document) => Told::Status { document, live: true },
                    Err(_) => Told::Availability(false),
                };
                let back = matches!(told, Told::Status { .. });
                for told in back.then_some(Told::Availability(true)).into_iter().chain([told]) {
                    if heard.send(Heard::Told { id: id.clone(), told }).await.is_err() {
                        return;
                    }
                }
            }
        });
    }

    /// Has `order` carried out; the answer is heard.
    pub fn send(&self, request: &str, order: &Order, confirmed: bool) {
        let (direct, id, heard) = (self.direct.clone(), self.id.clone(), self.heard.clone());
        let (request, order) = (request.to_owned(), order.clone());
        tokio::spawn(async move {
            let progress = Reply::Executing { progress: None };
            let _ = heard.send(Heard::Reply { id: id.clone(), request: request.clone(), reply: progress }).await;
            let tell = |text: String| {
                let reply = Reply::Executing { progress: Some(text) };
                // The next one says the same with another figure.
                let _ = heard.try_send(Heard::Reply { id: id.clone(), request: request.clone(), reply });
            };
            let mut reply = match order.command {
                "update" => direct.update(&order, confirmed, &tell).await,
                _ => direct.command(&order, confirmed).await,
            };
            let file = match &reply {
                Reply::Successful(_) if order.command == "preview" => Some(direct.picture().await),
                Reply::Successful(bundle) if order.saved => Some(Ok(Bytes::from(bundle.to_string()))),
                _ => None,
            };
            match file {
                Some(Ok(bytes)) => drop(heard.send(Heard::Bytes { id: id.clone(), bytes }).await),
                Some(Err(text)) => reply = Reply::Failed { reason: "wrong-state".into(), text, field: None },
                None => {}
            }
            let _ = heard.send(Heard::Reply { id, request, reply }).await;
        });
    }
}
