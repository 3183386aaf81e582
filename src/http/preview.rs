//! The picture that all clients share: at most two a second are made however many ask, none when nobody does.

use super::{Ask, api};
use crate::{sys, units::Time};
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// Time for which a picture is the current one.
const PAUSE: Duration = Duration::from_millis(500);
/// Time for the worker to make one.
const DEADLINE: Duration = Duration::from_secs(5);

/// The last picture.
#[derive(Debug, Default)]
pub struct Preview {
    last: Mutex<Option<(Time, Option<Bytes>)>>,
}

impl Preview {
    /// A picture of at most half a second's age; none when there is none to be had.
    pub async fn picture(&self, asks: &mpsc::Sender<Ask>) -> Option<Bytes> {
        // Who comes while one is being made waits here and gets the same.
        let mut last = self.last.lock().await;
        if let Some((at, picture)) = &*last
            && sys::now().since(*at) < PAUSE
        {
            return picture.clone();
        }
        let picture = api::ask(asks, DEADLINE, |reply| Ask::Preview { reply }).await.ok().flatten();
        *last = Some((sys::now(), picture.clone()));
        picture
    }
}
