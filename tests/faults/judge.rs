//! Whether the box did what it promises, by what arrived at the ingest and by what it said of itself.

use crate::{
    rig::{Done, Run},
    series::Fault,
    support::picture::{self, Recording},
    witness::{Arrival, Said},
};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// On air may be said for so long after the last proof; the rest is the daemon's way to it and ours to the status.
const HONEST: Duration = Duration::from_millis(3000 + 400);
/// A look at the recording and one picture.
const GRAIN: Duration = Duration::from_millis(60);

/// One row of the table.
#[derive(Debug)]
struct Row {
    fault: Fault,
    lasted: Duration,
    /// From the cause to the status that no longer said on air.
    noticed: Option<Duration>,
    /// Longest time without a picture at the ingest.
    gap: Duration,
    /// From the end of the cause to the first picture that can be decoded.
    back: Option<Duration>,
    /// From the cause, or its end where it has one, to live in the status again.
    live: Option<Duration>,
    /// What was promised and not kept.
    wrong: Vec<String>,
}

/// All rows, and what was wrong.
#[derive(Debug)]
pub struct Verdict {
    rows: Vec<Row>,
    notes: Vec<String>,
    /// In words; empty when every promise was kept.
    pub failures: Vec<String>,
}

/// Judges a run.
pub fn judge(run: &Run) -> Verdict {
    let pictures = run.seen.pictures();
    let rows: Vec<Row> = run.done.iter().map(|done| row(done, &pictures, run)).collect();
    let mut failures: Vec<String> = rows
        .iter()
        .enumerate()
        .flat_map(|(index, row)| row.wrong.iter().map(move |why| format!("{}. {}: {why}", index + 1, row.fault)))
        .collect();
    failures.extend(honesty(run));
    let mut notes = Vec::new();
    recordings(run, &mut failures, &mut notes);
    // The emulated box has no time server, and nobody plays anything into its sound card.
    let standing: Vec<&String> =
        run.faults_at_end.iter().filter(|code| !["clock-not-set", "sound-silent"].contains(&code.as_str())).collect();
    if !standing.is_empty() {
        failures.push(format!("faults that stand although their cause is gone: {standing:?}"));
    }
    if !failures.is_empty() {
        eprintln!("--- the daemon's log:\n{}", run.log);
    }
    Verdict { rows, notes, failures }
}

fn row(done: &Done, pictures: &[Arrival], run: &Run) -> Row {
    let during: Vec<&Said> =
        run.seen.said.iter().filter(|said| (done.began..done.over).contains(&said.asked)).collect();
    let after_cause = |said: &&&Said| said.asked >= done.gone;
    let first = |at: Option<Instant>, from: Instant| at.map(|at| at.saturating_duration_since(from));
    let mut row = Row {
        fault: done.fault,
        lasted: done.gone - done.began,
        noticed: first(during.iter().find(|said| !said.on_air()).map(|said| said.asked), done.began),
        gap: longest_gap(pictures, done.began, done.over),
        back: first(back(pictures, done), done.gone),
        live: None,
        wrong: Vec::new(),
    };
    let not_live = during.iter().position(|said| said.text("/program/showing") != Some("live"));
    let live_again = not_live.and_then(|at| {
        during[at..].iter().filter(after_cause).find(|said| said.text("/program/showing") == Some("live"))
    });
    row.live = first(live_again.map(|said| said.asked), done.gone);
    if run.timed {
        row.wrong = times(&row, &during, not_live.is_some());
    }
    row.wrong.extend(state(&row, done, &during));
    row
}

/// The first picture after the cause was gone; after a break of the connection, of the new recording, which begins at
/// an IDR.
fn back(pictures: &[Arrival], done: &Done) -> Option<Instant> {
    pictures.iter().find(|picture| picture.at >= done.gone).map(|picture| picture.at)
}

fn longest_gap(pictures: &[Arrival], from: Instant, to: Instant) -> Duration {
    let last_before = pictures.iter().rev().find(|picture| picture.at < from).map(|picture| picture.at);
    let within = pictures.iter().map(|picture| picture.at).filter(|at| (from..to).contains(at));
    let moments: Vec<Instant> = last_before.into_iter().chain(within).chain([to]).collect();
    moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// The times that the box promises for this cause and did not keep.
fn times(row: &Row, during: &[&Said], left_live: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut at_most = |what: &str, took: Option<Duration>, limit: Duration| match took {
        Some(took) if took <= limit => {}
        Some(took) => wrong.push(format!("{what} {} ms, the limit is {}", took.as_millis(), limit.as_millis())),
        None => wrong.push(format!("{what} never")),
    };
    // The longest wait that the status announced while the cause lasted: one retry interval.
    let retry = during.iter().filter_map(|said| said.number("/uplinks/0/retry-in-ms")).max().unwrap_or(0);
    let one_retry = Duration::from_millis(1000 + retry) + GRAIN;
    let ms = Duration::from_millis;
    match row.fault {
        Fault::VideoKilled | Fault::VideoWedged => {
            at_most("no picture for", Some(row.gap), ms(500) + GRAIN);
            if left_live {
                at_most("live again after", row.live, ms(4000));
            }
        }
        Fault::SoundKilled => at_most("no picture for", Some(row.gap), ms(350) + GRAIN),
        Fault::OperatorSlate => {
            at_most("no picture for", Some(row.gap), ms(500) + GRAIN);
            at_most("live again after", row.live, ms(1000));
        }
        Fault::DiskFull => at_most("no picture for", Some(row.gap), ms(350) + GRAIN),
        Fault::DaemonKilled => at_most("pictures again after", row.back, ms(3000)),
        Fault::IngestKilled | Fault::NameGone => {
            at_most("noticed after", row.noticed, ms(5000));
            at_most("pictures again after", row.back, one_retry);
        }
        Fault::IngestFrozen => {
            if row.lasted > ms(8000) {
                at_most("noticed after", row.noticed, ms(8000));
            }
            at_most("pictures again after", row.back, one_retry);
        }
        Fault::Outage | Fault::LinkDown => {
            if row.lasted > ms(5000) {
                at_most("noticed after", row.noticed, ms(5000));
            }
            at_most("pictures again after", row.back, one_retry);
        }
        // A new format takes the receiver its time to lock; until then it is the slate.
        Fault::NoCable | Fault::NoLock | Fault::OutOfRange | Fault::ModeChange => {
            at_most("no picture for", Some(row.gap), ms(500) + GRAIN);
            at_most("live again after", row.live, ms(1000));
        }
        Fault::Narrow | Fault::Netem | Fault::ClockStep => {}
    }
    wrong
}

/// What was wrong with the status and the session, whatever the times.
fn state(row: &Row, done: &Done, during: &[&Said]) -> Vec<String> {
    let mut wrong = Vec::new();
    let slate = || during.iter().any(|said| said.text("/program/showing") == Some("slate"));
    let lost = matches!(row.fault, Fault::OperatorSlate | Fault::NoCable | Fault::NoLock | Fault::OutOfRange);
    if lost && !slate() {
        wrong.push("the status never said slate".into());
    }
    let keeps = !matches!(
        row.fault,
        Fault::DaemonKilled
            | Fault::IngestKilled
            | Fault::NameGone
            | Fault::IngestFrozen
            | Fault::Outage
            | Fault::LinkDown
    );
    let reconnects = |said: &Said| said.number("/stats/uplinks/0/reconnects");
    let (first, last) =
        (during.first().and_then(|said| reconnects(said)), during.last().and_then(|said| reconnects(said)));
    if keeps && first != last {
        wrong.push("the session was made anew".into());
    }
    if keeps && during.iter().any(|said| said.status.is_some() && !said.on_air()) {
        wrong.push("it was not on air all the time".into());
    }
    let fresh = |said: &&Said| said.on_air() && said.asked + Duration::from_secs(2) >= done.over;
    if !done.on_air.unwrap_or_else(|| during.last().is_some_and(fresh)) {
        wrong.push("it was not on air at the end of the quiet".into());
    }
    wrong
}

/// Moments at which the status said "on air" although nothing had come to the ingest for longer than it may say so.
fn honesty(run: &Run) -> Vec<String> {
    let mut arrivals: Vec<Instant> = run.seen.recordings.values().flatten().map(|arrival| arrival.at).collect();
    arrivals.sort();
    let begun = run.seen.said.first().map(|said| said.asked);
    let lies = run.seen.said.iter().filter(|said| said.on_air()).filter_map(|said| {
        let before = arrivals.partition_point(|at| *at <= said.answered);
        let last = arrivals[..before].last().copied().or(begun)?;
        let silent = said.asked.saturating_duration_since(last);
        (silent > HONEST).then_some((said.asked, silent))
    });
    let worst = lies.max_by_key(|(_, silent)| *silent);
    let lie = |(at, silent): (Instant, Duration)| {
        let when = at - begun.unwrap_or(at);
        format!("{} s into the run it said on air, {} ms after the last arrival", when.as_secs(), silent.as_millis())
    };
    worst.map(lie).into_iter().collect()
}

/// Every recording decodes, as it is and as MP4, and the last one as HLS; stamps and counters only grow.
fn recordings(run: &Run, failures: &mut Vec<String>, notes: &mut Vec<String>) {
    let (mut shown, mut live) = (0, 0);
    let mut counters: BTreeMap<PathBuf, Vec<u32>> = BTreeMap::new();
    for (file, arrivals) in &run.seen.recordings {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for track in [true, false] {
            let stamps: Vec<u32> = arrivals.iter().filter(|one| one.picture == track).map(|one| one.stamp).collect();
            if let Some(pair) = stamps.windows(2).find(|pair| pair[1] <= pair[0]) {
                failures.push(format!("{name}: stamp {} after {}", pair[1], pair[0]));
            }
        }
        let mut newest = 0;
        for arrival in arrivals {
            if arrival.stamp + 101 < newest {
                failures.push(format!(
                    "{name}: {} comes {} ms late beside the other track",
                    arrival.stamp,
                    newest - arrival.stamp
                ));
                break;
            }
            newest = newest.max(arrival.stamp);
        }
        if arrivals.iter().filter(|one| one.picture).count() < 2 {
            continue;
        }
        if !arrivals.iter().find(|one| one.picture).is_some_and(|one| one.key) {
            failures.push(format!("{name}: begins with a picture that cannot be decoded"));
        }
        trim(file);
        let decoded = picture::decodes(file).and_then(|()| picture::decodes(&picture::remux_to_mp4(file)?));
        // vivid's picture has another counter, which the tier of the emulated box reads.
        if !run.timed {
            failures.extend(decoded.err().map(|error| format!("{name}: {error}")));
            shown += arrivals.iter().filter(|one| one.picture).count();
            continue;
        }
        let read = decoded.and_then(|()| Recording::read(file, run.rate));
        match read {
            Ok(recording) => {
                shown += recording.pictures.len();
                live += recording.pictures.iter().filter(|picture| picture.counter.is_some()).count();
                if !recording.in_order() {
                    failures.push(format!("{name}: pictures came twice or out of order"));
                }
                let read = recording.pictures.iter().filter_map(|picture| picture.counter).collect();
                counters.insert(file.clone(), read);
            }
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    // No picture is sent again over a new connection.
    let ends: Vec<(u32, u32)> = counters.values().filter_map(|read| Some((*read.first()?, *read.last()?))).collect();
    if let Some(pair) = ends.windows(2).find(|pair| pair[1].0 <= pair[0].1 && pair[0].1 - pair[1].0 < 1 << 19) {
        failures.push(format!("picture {} was sent after picture {}", pair[1].0, pair[0].1));
    }
    if let Err(error) = picture::decodes(&run.ingest.playlist(run.key)) {
        failures.push(format!("HLS: {error}"));
    }
    let sessions = run.seen.recordings.len();
    notes.push(format!("{shown} pictures in {sessions} recordings, {live} of them live, all decoded as FLV and MP4"));
    notes.push(format!("{} answers of the status judged", run.seen.said.len()));
}

/// Cuts off a last tag that the ingest had no time to finish: it was killed, and that is not of our doing.
fn trim(file: &Path) {
    let Ok(bytes) = fs::read(file) else { return };
    let mut whole = 13;
    while let Some(head) = bytes.get(whole..whole + 4) {
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        if bytes.len() < whole + 15 + size {
            break;
        }
        whole += 15 + size;
    }
    if whole < bytes.len() {
        fs::write(file, &bytes[..whole]).expect("written");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |took: Option<Duration>| took.map_or("-".into(), |took| took.as_millis().to_string());
        writeln!(f, "  #  {:<22} {:>7} {:>8} {:>7} {:>7} {:>7}", "cause", "lasted", "noticed", "gap", "back", "live")?;
        for (index, row) in self.rows.iter().enumerate() {
            let (lasted, gap) = (row.lasted.as_millis(), row.gap.as_millis());
            let (noticed, back, live) = (ms(row.noticed), ms(row.back), ms(row.live));
            let mark = if row.wrong.is_empty() { "" } else { "  <-" };
            let fault = row.fault;
            writeln!(f, "{:>3}  {fault:<22} {lasted:>7} {noticed:>8} {gap:>7} {back:>7} {live:>7}{mark}", index + 1)?;
        }
        writeln!(
            f,
            "Times are ms. noticed: the status left on air; gap: longest time without a picture at the ingest;"
        )?;
        writeln!(f, "back: from the end of the cause to the first picture; live: to live in the status.")?;
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        Ok(())
    }
}
