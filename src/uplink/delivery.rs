//! From a Source of the settings to a running delivery: its key is read and its ingest chosen when the push starts.

use super::{
    Cause, MediaInfo, Report, Target,     task::{self, Order},
    trust::Trust,
};
use crate::{access_unit::AccessUnit, settings::Source};
use std::{env, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// A key file that cannot be read, or a service of which no ingest answers, is tried again after this.
const AGAIN: Duration = Duration::from_secs(3);

/// Delivers to `source` until told to stop: [`task::run`] with everything that the Source has to be turned into before.
pub async fn deliver(
    source: Source,
    media: MediaInfo,
    trust: Arc<Trust>,
    mut input: mpsc::Receiver<Arc<AccessUnit>>,
    mut orders: mpsc::Receiver<Order>,
    mut report: impl FnMut(Report),
) {
    let target = loop {
        let found = tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::NetworkChanged) => continue,
                Some(Order::Stop) | None => return report(Report::Closed),
            },
            found = target(&source, &media, &trust) => found,
            // Media of a time without connection is nobody's.
            () = discard(&mut input) => continue,
        };
        match found {
            Ok(target) => break target,
            Err(cause) => report(Report::Failed { cause, retry_in: AGAIN }),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = discard(&mut input) => {}
            order = orders.recv() => {
                if order != Some(Order::NetworkChanged) {
                    return report(Report::Closed);
                }
            }
        }
    };
    task::run(target, trust, input, orders, report).await;
}

/// Reads and drops until the sender is gone.
async fn discard(input: &mut mpsc::Receiver<Arc<AccessUnit>>) {
    while input.recv().await.is_some() {}
}

/// What a Source is delivered to.
///
/// # Errors
/// [`Cause::KeyFile`], or why none of the service's ingests was reached.
pub async fn target(source: &Source, media: &MediaInfo, trust: &Arc<Trust>) -> Result<Target, Cause> {
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let key = source.stream_key(credentials.as_deref()).map_err(Cause::KeyFile)?.key;
    Ok(Target { url: source.url.as_deref().unwrap_or("").parse().map_err(|_| Cause::NameNotFound)?, key, media: media.clone() })
}
