//! Whether the box did what it promises, by what arrived at the ingest and by what it said of itself.

use crate::{
    recordings,
    rig::{Done, Run},
    series::Fault,
    witness::{Arrival, Said},
};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// On air may be said for so long after the last proof; the rest is the daemon's way to it and ours to the status.
const HONEST: Duration = Duration::from_millis(3000 + 400);
/// A look at the recording and one picture.
const GRAIN: Duration = Duration::from_millis(60);
/// Emulated, everything takes a multiple of its time; a mistake that costs ten times as much is found there too.
const EMULATED: u32 = 5;
/// The resolver of glibc asks a name server that was silent again after this time.
const RESOLVER: Duration = Duration::from_secs(5);

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// What was done.
    pub fault: Fault,
    lasted: Duration,
    /// From the cause to the status that no longer said on air.
    noticed: Option<Duration>,
    /// Longest time without a picture at the ingest.
    gap: Duration,
    /// From the end of the cause to the first picture that can be decoded.
    back: Option<Duration>,
    /// From the cause, its end or the lock of the receiver, whichever comes last, to live in the status again.
    live: Option<Duration>,
    /// The same to sound from the input.
    sound: Option<Duration>,
    /// The same to four fifths of the bitrate before.
    bitrate: Option<Duration>,
    /// So long after the end of the cause all has to be as before.
    pub limit: Duration,
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
    if !run.emulated {
        notes.push("Not judged here but on the emulated box: the loss of a signal, as there is no receiver.".into());
    }
    recordings::judge(run, &rows, &mut failures, &mut notes);
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
    let since = |at: Option<Instant>, from: Instant| at.map(|at| at.saturating_duration_since(from));
    // The first answer from `from` on that holds, when one since the cause did not: whether it ever did not, and when.
    let again = |from: Instant, holds: &dyn Fn(&Said) -> bool| {
        let lost = during.iter().position(|said| said.status.is_some() && !holds(said));
        let back = lost.and_then(|at| during[at..].iter().find(|said| said.asked >= from && holds(said)));
        (lost.is_some(), since(back.map(|said| said.asked), from))
    };
    let is_live = |said: &Said| said.text("/program/showing") == Some("live");
    let is_locked = |said: &Said| said.text("/input/signal") == Some("locked");
    let locked = during.iter().find(|said| said.asked >= done.gone && is_locked(said)).map(|said| said.asked);
    let signal = matches!(done.fault, Fault::NoCable | Fault::NoLock | Fault::OutOfRange | Fault::ModeChange);
    let (left_live, live) = again(if signal { locked.unwrap_or(done.gone) } else { done.gone }, &is_live);
    let (lost_sound, sound) = again(done.gone, &|said| said.text("/input/audio").is_some());
    let before = done.before["stats"]["bitrate"].as_u64().unwrap_or(0);
    let (_, bitrate) = again(done.gone, &|said| said.number("/stats/bitrate").unwrap_or(0) * 5 >= before * 4);
    // The longest wait that the status announced while the cause lasted: one retry interval.
    let retry = during.iter().filter_map(|said| said.number("/uplinks/0/retry-in-ms")).max().unwrap_or(0);
    let mut row = Row {
        fault: done.fault,
        lasted: done.gone - done.began,
        noticed: since(during.iter().find(|said| !said.on_air()).map(|said| said.asked), done.began),
        gap: longest_gap(pictures, done.began, done.over),
        back: since(back(pictures, done), done.gone),
        live,
        sound,
        bitrate,
        limit: limit(done.fault, Duration::from_millis(retry)) * if run.emulated { EMULATED } else { 1 },
        wrong: done.wrong.clone(),
    };
    let times = times(&row, left_live, lost_sound, run.emulated);
    row.wrong.extend(times);
    row.wrong.extend(state(&row, done, &during, run.emulated));
    row
}

/// How long after the end of the cause it may take until all is as before; `retry`: one retry interval.
fn limit(fault: Fault, retry: Duration) -> Duration {
    let ms = Duration::from_millis;
    match fault {
        Fault::DiskFull | Fault::ClockStep => Duration::ZERO,
        Fault::NoCable | Fault::NoLock | Fault::OutOfRange | Fault::ModeChange | Fault::OperatorSlate => ms(1000),
        Fault::VideoKilled | Fault::SoundKilled => ms(2000),
        Fault::DaemonKilled => ms(3000),
        // It is noticed within 1.5 s, then killed and replaced.
        Fault::VideoWedged => ms(4000),
        Fault::IngestKilled | Fault::IngestFrozen | Fault::NameGone | Fault::Outage | Fault::LinkDown => {
            ms(1000) + retry + GRAIN
        }
        Fault::NameSilent => ms(1000) + retry + GRAIN + RESOLVER,
        Fault::Narrow | Fault::Netem | Fault::Thin => ms(5000),
    }
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

/// The times that the box promises for this cause and did not keep. Of an emulated box only those are judged that nothing else
/// here can show.
fn times(row: &Row, left_live: bool, lost_sound: bool, emulated: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut at_most = |what: &str, took: Option<Duration>, limit: Duration| match took {
        Some(took) if took <= limit => {}
        Some(took) => wrong.push(format!("{what} {} ms, the limit is {}", took.as_millis(), limit.as_millis())),
        None => wrong.push(format!("{what} never")),
    };
    let ms = |ms: u64| Duration::from_millis(ms) * if emulated { EMULATED } else { 1 };
    let mut gap = |limit: u64| at_most("no picture for", Some(row.gap), ms(limit) + GRAIN);
    match row.fault {
        // A new format takes the receiver its time to lock; until then it is the slate.
        Fault::NoCable | Fault::NoLock | Fault::OutOfRange | Fault::ModeChange => {
            gap(500);
            at_most("live again after", row.live, row.limit);
        }
        Fault::Thin => at_most("the bitrate back after", row.bitrate, row.limit),
        Fault::ClockStep => gap(350),
        _ if emulated => {}
        Fault::VideoKilled | Fault::VideoWedged => {
            gap(500);
            if left_live {
                at_most("live again after", row.live, row.limit);
            }
        }
        Fault::SoundKilled => {
            gap(350);
            if lost_sound {
                at_most("sound again after", row.sound, row.limit);
            }
        }
        Fault::OperatorSlate => {
            gap(500);
            at_most("live again after", row.live, row.limit);
        }
        Fault::DiskFull => gap(350),
        // Pictures that do not fit are dropped by whole GOPs of two seconds.
        Fault::Narrow => {
            gap(2500);
            at_most("the bitrate back after", row.bitrate, row.limit);
        }
        Fault::DaemonKilled | Fault::NameSilent => at_most("pictures again after", row.back, row.limit),
        Fault::IngestKilled | Fault::NameGone => {
            at_most("noticed after", row.noticed, ms(5000));
            at_most("pictures again after", row.back, row.limit);
        }
        Fault::IngestFrozen | Fault::Outage | Fault::LinkDown => {
            let noticed = ms(if row.fault == Fault::IngestFrozen { 8000 } else { 5000 });
            if row.lasted > noticed {
                at_most("noticed after", row.noticed, noticed);
            }
            at_most("pictures again after", row.back, row.limit);
        }
        Fault::Netem => {}
    }
    wrong
}

/// What was wrong with the status and the session, whatever the times.
fn state(row: &Row, done: &Done, during: &[&Said], emulated: bool) -> Vec<String> {
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
            | Fault::NameSilent
            | Fault::IngestFrozen
            | Fault::Outage
            | Fault::LinkDown
    );
    let ends = |pointer: &str| {
        let number = |said: Option<&&Said>| said.and_then(|said| said.number(pointer));
        (
            number(during.iter().find(|said| said.status.is_some())),
            number(during.iter().rfind(|said| said.status.is_some())),
        )
    };
    let (first, last) = ends("/stats/uplinks/0/reconnects");
    if keeps && first != last {
        wrong.push("the session was made anew".into());
    }
    if keeps && during.iter().any(|said| said.status.is_some() && !said.on_air()) {
        wrong.push("it was not on air all the time".into());
    }
    // Of an emulated receiver the counters are not read.
    if emulated && row.fault == Fault::ClockStep {
        let (first, last) = ends("/stats/dropped-pictures");
        if first != last || slate() {
            wrong
                .push(format!("pictures were lost: {first:?} were dropped before, {last:?} after, slate: {}", slate()));
        }
    }
    let carries = match row.fault {
        Fault::Narrow => Some(250_000),
        Fault::Thin => Some(500_000),
        _ => None,
    };
    let least = during.iter().filter_map(|said| said.number("/stats/bitrate")).min();
    if let Some(carries) = carries.filter(|carries| least.is_none_or(|least| least > *carries)) {
        wrong.push(format!("the bitrate did not go below {carries} bit/s: {least:?}"));
    }
    let after = &done.after;
    if after["phase"] != "on-air" {
        wrong.push("it was not on air at the end of the quiet".into());
    }
    if after["program"]["showing"] != "live" {
        wrong.push(format!("it was not live at the end of the quiet but {}", after["program"]["showing"]));
    }
    if !after["input"]["audio"].is_string() {
        wrong.push("it had no sound at the end of the quiet".into());
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

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |took: Option<Duration>| took.map_or("-".into(), |took| took.as_millis().to_string());
        let head = ["cause", "lasted", "noticed", "gap", "back", "live", "sound", "bitrate"];
        let [cause, lasted, noticed, gap, back, live, sound, bitrate] = head;
        write!(f, "  #  {cause:<22} {lasted:>7} {noticed:>8} {gap:>7} {back:>7} {live:>7}")?;
        writeln!(f, " {sound:>7} {bitrate:>7}")?;
        for (index, row) in self.rows.iter().enumerate() {
            let (lasted, gap) = (row.lasted.as_millis(), row.gap.as_millis());
            let (noticed, back, live) = (ms(row.noticed), ms(row.back), ms(row.live));
            let (sound, bitrate) = (ms(row.sound), ms(row.bitrate));
            let mark = if row.wrong.is_empty() { "" } else { "  <-" };
            let fault = row.fault;
            write!(f, "{:>3}  {fault:<22} {lasted:>7} {noticed:>8} {gap:>7} {back:>7} {live:>7}", index + 1)?;
            writeln!(f, " {sound:>7} {bitrate:>7}{mark}")?;
        }
        writeln!(
            f,
            "Times are ms. noticed: the status left on air; gap: longest time without a picture at the ingest;"
        )?;
        writeln!(
            f,
            "back: from the end of the cause to the first picture; live, sound, bitrate: to these in the status."
        )?;
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        Ok(())
    }
}
