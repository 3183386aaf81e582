//! Which of a service's regional ingests is nearest.

use super::{
    Cause, IngestUrl, Protocol,
    connect::{Stream, resolve, tcp},
    services::Region,
    trust::Trust,
};
use crate::sys;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

/// Times that each ingest is connected to; the median counts.
const TIMES: usize = 3;
/// All that one connection may take, name look-up included: what is slower is not near.
const PATIENCE: Duration = Duration::from_secs(3);
/// Ingests measured at the same moment: a small processor that encrypts for fifty at once measures itself.
const AT_ONCE: usize = 12;

/// What one ingest did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The ingest.
    pub region: Region,
    /// Median time to connect TCP, and TLS where the URL has it; or why that failed.
    pub result: Result<Duration, Cause>,
}

/// Measures the regions side by side. The nearest comes first, those that did not answer last.
///
/// With 48 regions of which none answers, this takes 12 s.
pub async fn measure(regions: &[Region], trust: &Arc<Trust>) -> Vec<Measured> {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut probes = JoinSet::new();
    for region in regions.iter().cloned() {
        let (gate, trust) = (gate.clone(), trust.clone());
        probes.spawn(async move {
            // The gate is never closed; without a permit it would only be less exact.
            let _permit = gate.acquire().await;
            let result = connect_times(&region.url, &trust).await;
            Measured { region, result }
        });
    }
    let mut table = Vec::new();
    while let Some(measured) = probes.join_next().await {
        table.extend(measured);
    }
    table.sort_by_key(|measured| (measured.result.clone().unwrap_or(Duration::MAX), measured.region.name.clone()));
    table
}

/// Whether `url` can be connected to, with TLS where it has that; nothing is asked of it. None: of an SRT ingest nobody can tell
/// without a stream.
pub async fn reachable(url: &IngestUrl, trust: &Trust) -> Option<bool> {
    if url.protocol == Protocol::Srt {
        return None;
    }
    let connected = timeout(PATIENCE, async { Stream::secure(tcp(resolve(url).await?).await?, url, trust).await });
    Some(connected.await.is_ok_and(|connected| connected.is_ok()))
}

async fn connect_times(url: &IngestUrl, trust: &Trust) -> Result<Duration, Cause> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let connected = timeout(PATIENCE, async {
            let addresses = resolve(url).await?;
            // The name server is not part of the way.
            let begun = sys::now();
            drop(Stream::secure(tcp(addresses).await?, url, trust).await?);
            Ok(sys::now().since(begun))
        });
        match connected.await.unwrap_or(Err(Cause::PortBlocked)) {
            Ok(time) => times.push(time),
            // An ingest that fails now and then is not to be chosen.
            Err(cause) => return Err(cause),
        }
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
