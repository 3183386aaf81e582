//! From an ingest's name to a connection: it goes on working when the name server does not, and follows the name when it moves.

use super::{
    Cause, IngestUrl,
    connect::{Lookup, MOST_ADDRESSES, answered, ask, tcp},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
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
/// Questions under way at most. Each is a thread that nothing can end, for as long as the name server is silent.
const MOST_ASKED: usize = 3;
/// How often is looked whether one of them has ended.
const LOOK: Duration = Duration::from_millis(100);

/// The addresses of one ingest. Those that worked last are tried when no name server answers: in the field it is often the
/// first thing to go, while the ingest is where it was. A name server that answers is always believed.
#[derive(Debug, Default)]
pub struct Names {
    worked: Vec<SocketAddr>,
    /// A question under way: a resolver that hangs is asked once, however many attempts are made meanwhile.
    asked: Option<Lookup>,
    /// Held by each question until it has its answer, those that nobody waits for any more too.
    under_way: Arc<()>,
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
        let hurry = !self.worked.is_empty();
        let lookup = async {
            while self.asked.is_none() && !self.may_ask() {
                sleep(LOOK).await;
            }
            let under_way = &self.under_way;
            self.asked.get_or_insert_with(|| ask(url, under_way.clone())).await
        };
        let answer = match hurry {
            true => timeout(HURRY, lookup).await.ok(),
            false => Some(lookup.await),
        };
        let Some(answer) = answer else { return Ok(self.worked.clone()) };
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

    fn may_ask(&self) -> bool {
        // One of them is its own.
        Arc::strong_count(&self.under_way) <= MOST_ASKED
    }

    /// The network changed: a question under way may never be answered.
    pub fn ask_anew(&mut self) {
        if self.may_ask() {
            self.asked = None;
        }
    }

    /// Another ingest with another name.
    pub fn forget(&mut self) {
        (self.worked, self.asked) = (Vec::new(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn questions_that_are_never_answered_are_bounded() {
        let url: IngestUrl = "rtmp://localhost/app".parse().unwrap();
        let mut names = Names::default();
        let mut hanging: Vec<_> = (0..MOST_ASKED).map(|_| names.under_way.clone()).collect();
        let wait = Duration::from_millis(350);
        assert!(timeout(wait, names.look_up(&url)).await.is_err() && names.asked.is_none(), "none beside them");
        hanging.pop();
        let found = timeout(5 * AGAIN, names.look_up(&url)).await.unwrap().unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        // One that is under way is kept rather than asked anew.
        let (_answer, lookup) = tokio::sync::oneshot::channel();
        names.asked = Some(lookup);
        hanging.push(names.under_way.clone());
        names.ask_anew();
        assert!(names.asked.is_some());
        hanging.pop();
        names.ask_anew();
        assert!(names.asked.is_none());
        // Where addresses are known, nobody waits for long.
        hanging.push(names.under_way.clone());
        names.reached(found.clone());
        assert_eq!(timeout(5 * AGAIN, names.look_up(&url)).await.unwrap(), Ok(found));
    }
}
