//! From an ingest's name to a connection: it goes on working when the name server does not, and follows the name when it moves.

use super::{
    Cause, IngestUrl,
    connect::{Lookup, MOST_ADDRESSES, answered, ask, tcp},
};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long the name server gets where addresses are known that worked.
const HURRY: Duration = Duration::from_secs(1);
/// How often the name is looked up again while its addresses do not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// The addresses of one ingest. Those that worked last are tried when no name server answers: in the field it is often the
/// first thing to go, while the ingest is where it was. A name server that answers is always believed.
#[derive(Debug, Default)]
pub struct Names {
    worked: Vec<SocketAddr>,
    /// A question under way: a resolver that hangs is asked once, however many attempts are made meanwhile.
    asked: Option<Lookup>,
}

impl Names {
    /// Looks the ingest's name up. Can be dropped while it waits.
    ///
    /// # Errors
    /// As [`resolve`](super::connect::resolve), where no address is known.
    pub async fn look_up(&mut self, url: &IngestUrl) -> Result<Vec<SocketAddr>, Cause> {
        if let Ok(address) = url.host.parse::<IpAddr>() {
            return Ok(vec![(address, url.port).into()]);
        }
        let lookup = self.asked.get_or_insert_with(|| ask(url));
        let answer = match self.worked.is_empty() {
            true => lookup.await,
            false => match timeout(HURRY, lookup).await {
                Ok(answer) => answer,
                Err(_) => return Ok(self.worked.clone()),
            },
        };
        self.asked = None;
        match answered(answer) {
            Err(Cause::NameServer | Cause::NoNetwork) if !self.worked.is_empty() => Ok(self.worked.clone()),
            result => result,
        }
    }

    /// Connects to the first of these addresses that answers, or of those to which the name moves meanwhile.
    ///
    /// # Errors
    /// As [`tcp`].
    pub async fn reach(&mut self, url: &IngestUrl, mut addresses: Vec<SocketAddr>) -> Result<TcpStream, Cause> {
        let mut dials = JoinSet::new();
        dials.spawn(tcp(addresses.clone()));
        loop {
            tokio::select! {
                Some(done) = dials.join_next() => match done {
                    Ok(Ok(stream)) => {
                        self.reached(addresses);
                        return Ok(stream);
                    }
                    Ok(Err(cause)) if dials.is_empty() => return Err(cause),
                    _ => {}
                },
                more = self.moved(url, &addresses) => {
                    dials.spawn(tcp(more.clone()));
                    addresses.splice(..0, more);
                }
            }
        }
    }

    /// One of these addresses was reached.
    pub fn reached(&mut self, mut addresses: Vec<SocketAddr>) {
        addresses.truncate(MOST_ADDRESSES);
        (self.worked, self.asked) = (addresses, None);
    }

    /// Waits until the name has addresses beside these, and gives them.
    async fn moved(&mut self, url: &IngestUrl, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        loop {
            sleep(AGAIN).await;
            let mut more = self.look_up(url).await.unwrap_or_default();
            more.retain(|address| !addresses.contains(address));
            if !more.is_empty() {
                return more;
            }
        }
    }

    /// The network changed: a question under way may never be answered.
    pub fn ask_anew(&mut self) {
        self.asked = None;
    }
}
