//! From a Source of the settings to a delivery, a preflight or a measured table of its ingests.

use super::{
    Cause, MediaInfo, Protocol, Report, SrtTerms, Target,
    choice::Choice,
    preflight::{Preflight, Progress, preflight},
    probe::{Measured, measure},
    services::{self, Region},
    source::{Ingest, ingest},
    task::{self, Order},
    trust::Trust,
};
use crate::{
    access_unit::AccessUnit,
    settings::{Output, Secret, Source},
    units::Span,
};
use serde_json::{Value, json};
use std::{env, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

/// A key file that cannot be read, or a service of which no ingest answers, is tried again after this.
const AGAIN: Duration = Duration::from_secs(3);

/// Delivers to the Source that `find` gives until told to stop: [`task::run`] after the key was read and the ingest chosen.
pub async fn deliver(
    find: impl AsyncFn() -> Result<Source, Cause>,
    media: MediaInfo,
    trust: Arc<Trust>,
    mut input: mpsc::Receiver<Arc<AccessUnit>>,
    mut orders: mpsc::Receiver<Order>,
    mut report: impl FnMut(Report),
) {
    let changed = Notify::new();
    let mut wait = Duration::ZERO;
    let (choice, target) = loop {
        // A network that changes ends the wait, and no measurement: one that changes all the time would end them all.
        let pause = wait;
        let attempt = async {
            let _ = timeout(pause, changed.notified()).await;
            target(&find().await?, &media, &trust).await
        };
        tokio::pin!(attempt);
        let found = loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::NetworkChanged) => changed.notify_one(),
                    Some(Order::Stop) | None => return report(Report::Closed),
                },
                // Media of a time without a connection is nobody's.
                () = discard(&mut input) => return report(Report::Closed),
                found = &mut attempt => break found,
            }
        };
        match found {
            Ok((choice, target)) => {
                if let Some(region) = choice.region() {
                    report(Report::Region(region.to_owned()));
                }
                break (choice, target);
            }
            Err(cause) => {
                report(Report::Failed { cause, retry_in: AGAIN });
                wait = AGAIN;
            }
        }
    };
    task::run(target, choice, trust, input, orders, report).await;
}

/// Reads and drops until the sender is gone.
async fn discard(input: &mut mpsc::Receiver<Arc<AccessUnit>>) {
    while input.recv().await.is_some() {}
}

/// Reads the key, and chooses the ingest where the Source leaves that open: with `region = "auto"` and a service whose keys
/// work everywhere, the nearest, and the next ones for when that fails.
///
/// # Errors
/// [`Cause::Source`], [`Cause::KeyFile`], or why none of the service's ingests was reached.
pub async fn target(source: &Source, media: &MediaInfo, trust: &Arc<Trust>) -> Result<(Choice, Target), Cause> {
    let choice = match ingest(source).map_err(|error| Cause::Source(error.to_string()))? {
        Ingest::Fixed(region, url) => Choice::only(region, url),
        Ingest::Nearest(regions) => Choice::nearest(&measure(regions, trust).await)?,
    };
    let url = choice.url().clone();
    let (key, srt) = match url.protocol {
        Protocol::Srt => (source.stream_id.clone().unwrap_or_else(|| Secret::new("")), srt_terms(source)?),
        Protocol::Rtmp | Protocol::Rtmps => {
            let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            let key = source.stream_key(credentials.as_deref()).map_err(Cause::KeyFile)?.key;
            (key, SrtTerms::default())
        }
    };
    Ok((choice, Target { url, key, srt, media: media.clone() }))
}

fn srt_terms(source: &Source) -> Result<SrtTerms, Cause> {
    let usual = SrtTerms::default();
    Ok(SrtTerms {
        passphrase: source.srt_passphrase().map_err(Cause::KeyFile)?.map(|read| read.key),
        encryption: source.encryption.unwrap_or(usual.encryption),
        latency: source.latency.map_or(usual.latency, Span::duration),
    })
}

/// What of `output` is beyond the documented limits of the Source's service, for people.
pub fn warnings(source: &Source, output: &Output) -> Vec<String> {
    let service = match ingest(source) {
        Ok(Ingest::Fixed(_, url)) => services::service_of(&url),
        Ok(Ingest::Nearest(_)) => source.service.as_deref().and_then(services::service),
        Err(_) => None,
    };
    service.map(|service| service.warnings(output)).unwrap_or_default()
}

/// Whether this Source would take the push now, step by step; `tell` hears of each.
///
/// # Errors
/// As [`target`].
pub async fn try_out(
    source: &Source,
    media: &MediaInfo,
    trust: &Arc<Trust>,
    mut tell: impl FnMut(Progress) + Send,
) -> Result<Preflight, Cause> {
    let (_, target) = target(source, media, trust).await?;
    Ok(preflight(&target, trust, &mut tell).await)
}

/// The ingests of the Source's service, nearest first.
///
/// # Errors
/// For people: the Source has one ingest only.
pub async fn table(source: &Source, trust: &Arc<Trust>) -> Result<Vec<Measured>, String> {
    let service = source.service.as_deref().and_then(services::service);
    let regions: &[Region] = service.map_or(&[], |service| &service.regions);
    match regions {
        [] => Err("This Source has a URL of its own, so its region is fixed".into()),
        regions => Ok(measure(regions, trust).await),
    }
}

/// A preflight as every surface gives it.
pub fn preflight_document(done: &Preflight) -> Value {
    let steps: Vec<Value> = done
        .checks
        .iter()
        .map(|check| {
            let cause = check.result.as_ref().err();
            json!({
                "step": check.step.text(),
                "passed": cause.is_none(),
                "took-ms": check.took.as_millis() as u64,
                "cause": cause.map(Cause::code),
                "text": cause.map(Cause::text),
                "advice": cause.map(Cause::advice),
            })
        })
        .collect();
    json!({
        "passed": done.passed(),
        "steps": steps,
        "upload": done.upload.map(|rate| rate.bits()),
        "needed": done.needed.bits(),
        "suggestion": done.suggestion(),
    })
}

/// A table of ingests as every surface gives it.
pub fn regions_document(table: &[Measured]) -> Value {
    let rows = table.iter().map(|row| {
        json!({
            "region": row.region.name,
            "place": row.region.place,
            "url": row.region.url.to_string(),
            "connect-ms": row.result.as_ref().ok().map(|time| time.as_secs_f64() * 1e3),
            "cause": row.result.as_ref().err().map(Cause::code),
            "text": row.result.as_ref().err().map(Cause::text),
        })
    });
    rows.collect()
}
