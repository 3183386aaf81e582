//! What the ingest recorded: all of it decodes, and nothing is missing but what the cause of a moment explains.

use crate::{
    judge::Row,
    rig::{Done, Run},
    series::Fault,
    support::picture::{self, Flaw, Recording},
    witness::Arrival,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A beep comes each second, and is in the recording soon after.
const BEEP: Duration = Duration::from_millis(1700);
/// From the box to the file of the ingest.
const ARRIVES: Duration = Duration::from_millis(500);
/// Mean difference in luma from one picture to the next: noise has more, a slate that is shown again and again less.
const MOVES: f64 = 1.0;

/// Spans of time in which something may be missing, and when the first answer of the status was asked for: before, nobody looked.
struct Excused {
    spans: Vec<(Instant, Instant)>,
    begun: Option<Instant>,
}

impl Excused {
    /// From the beginning of each of these causes until its consequences have to be over and at the ingest.
    fn of(run: &Run, rows: &[Row], causes: impl Fn(Fault) -> bool) -> Self {
        let done = run.done.iter().zip(rows).filter(|(done, _)| causes(done.fault));
        let spans = done.map(|(done, row)| (done.began, done.gone + row.limit + ARRIVES)).collect();
        Self { spans, begun: run.seen.said.first().map(|said| said.asked + ARRIVES) }
    }

    fn has(&self, at: Instant) -> bool {
        self.begun.is_none_or(|begun| at <= begun) || self.spans.iter().any(|(from, to)| (*from..=*to).contains(&at))
    }
}

/// Causes that cost pictures.
fn costs_pictures(fault: Fault) -> bool {
    !matches!(fault, Fault::SoundKilled | Fault::DiskFull | Fault::ClockStep)
}

/// Causes that cost sound: it is a grid that nothing but the network to the ingest can tear.
fn costs_sound(fault: Fault) -> bool {
    use Fault::{IngestFrozen, LinkDown, Narrow, Netem, Outage, Thin};
    matches!(fault, Narrow | Outage | LinkDown | IngestFrozen | Netem | Thin)
}

/// Every recording decodes, as it is and as MP4, and as HLS each session that had one; stamps and counters only grow, and
/// none is missing without a cause.
pub fn judge(run: &Run, rows: &[Row], failures: &mut Vec<String>, notes: &mut Vec<String>) {
    let (mut shown, mut live, mut beeps) = (0, 0, Vec::new());
    let mut counters: BTreeMap<PathBuf, (u32, u32)> = BTreeMap::new();
    let mut moved: Vec<(Instant, f64)> = Vec::new();
    let quiet = Quiet { pictures: Excused::of(run, rows, costs_pictures), sound: Excused::of(run, rows, costs_sound) };
    for (file, arrivals) in &run.seen.recordings {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut fail = |why: String| failures.push(format!("{name}: {why}"));
        let of =
            |track: bool| arrivals.iter().filter(move |one| one.picture == track).copied().collect::<Vec<Arrival>>();
        let (pictures, sound) = (of(true), of(false));
        stamps(arrivals, &pictures, &sound).into_iter().for_each(&mut fail);
        quiet.grid(&sound, run).into_iter().for_each(&mut fail);
        if pictures.len() < 2 {
            continue;
        }
        if !pictures[0].key {
            fail("begins with a picture that cannot be decoded".into());
        }
        trim(file);
        if let Err(error) = picture::decodes(file).and_then(|()| picture::decodes(&picture::remux_to_mp4(file)?)) {
            fail(error);
            continue;
        }
        shown += pictures.len();
        // vivid's picture has another counter.
        if run.emulated {
            match picture::motion(file) {
                Ok(motion) => moved.extend(pictures.iter().map(|one| one.at).zip(motion)),
                Err(error) => fail(error),
            }
            continue;
        }
        match Recording::read(file, run.rate) {
            Ok(recording) => {
                let read: Vec<u32> = recording.pictures.iter().filter_map(|picture| picture.counter).collect();
                live += read.len();
                if !recording.in_order() {
                    fail("pictures came twice or out of order".into());
                }
                quiet.losses(&recording, &pictures, run).into_iter().for_each(&mut fail);
                beeps.extend(recording.beeps.iter().filter_map(|beep| {
                    sound.iter().rfind(|packet| f64::from(packet.stamp) <= beep.begins).map(|packet| packet.at)
                }));
                counters.extend(read.first().zip(read.last()).map(|(first, last)| (file.clone(), (*first, *last))));
            }
            Err(error) => fail(error),
        }
    }
    // No picture is sent again over a new connection.
    let ends: Vec<(u32, u32)> = counters.into_values().collect();
    if let Some(pair) = ends.windows(2).find(|pair| pair[1].0 <= pair[0].1 && pair[0].1 - pair[1].0 < 1 << 19) {
        failures.push(format!("picture {} was sent after picture {}", pair[1].0, pair[0].1));
    }
    for (index, done) in run.done.iter().enumerate() {
        let what = if run.emulated { still(done, &moved) } else { silent(done, &beeps) };
        failures.extend(what.map(|what| format!("{}. {}: {what}", index + 1, done.fault)));
    }
    hls(run, failures, notes);
    let sessions = run.seen.recordings.len();
    let live = if run.emulated { String::new() } else { format!(", {live} of them live") };
    notes.push(format!("{shown} pictures in {sessions} recordings{live}, all decoded as FLV and MP4"));
    notes.push(format!("{} answers of the status judged", run.seen.said.len()));
}

/// Stamps that do not grow, and tracks that are far from each other.
fn stamps(arrivals: &[Arrival], pictures: &[Arrival], sound: &[Arrival]) -> Vec<String> {
    let mut wrong = Vec::new();
    for track in [pictures, sound] {
        if let Some(pair) = track.windows(2).find(|pair| pair[1].stamp <= pair[0].stamp) {
            wrong.push(format!("stamp {} after {}", pair[1].stamp, pair[0].stamp));
        }
    }
    let mut newest = 0;
    for arrival in arrivals {
        if arrival.stamp + 101 < newest {
            wrong.push(format!("{} comes {} ms late beside the other track", arrival.stamp, newest - arrival.stamp));
            break;
        }
        newest = newest.max(arrival.stamp);
    }
    wrong
}

/// When nothing may be missing.
struct Quiet {
    pictures: Excused,
    sound: Excused,
}

impl Quiet {
    /// Sound that does not follow the sound before it: a frame of AAC has 1024 samples of 48 kHz, 21.3 ms.
    fn grid(&self, sound: &[Arrival], run: &Run) -> Vec<String> {
        let torn = |pair: &&[Arrival]| !(21..=22).contains(&pair[1].stamp.wrapping_sub(pair[0].stamp));
        let wrong: Vec<&[Arrival]> = sound.windows(2).filter(torn).filter(|pair| !self.sound.has(pair[1].at)).collect();
        let first = wrong.first().map(|pair| {
            let when = into(run, pair[1].at);
            format!("{} tears in the sound, the first {when}: {} after {}", wrong.len(), pair[1].stamp, pair[0].stamp)
        });
        first.into_iter().collect()
    }

    /// Pictures that are missing, or not the input's.
    fn losses(&self, recording: &Recording, arrivals: &[Arrival], run: &Run) -> Vec<String> {
        if recording.pictures.len() != arrivals.len() {
            return vec![format!("{} pictures arrived, {} are in it", arrivals.len(), recording.pictures.len())];
        }
        let losses = recording.losses();
        let at = |flaw: &Flaw| match flaw {
            Flaw::Unreadable(index) => Some(arrivals[*index].at),
            Flaw::Counter { index, .. } => Some(arrivals[index + 1].at),
            // Of the whole milliseconds that the ingest got, `grid` judges the sound more sharply.
            Flaw::Pace { .. } | Flaw::SoundGap { .. } => None,
        };
        let wrong: Vec<(&Flaw, Instant)> = losses
            .iter()
            .filter_map(|flaw| Some((flaw, at(flaw)?)))
            .filter(|(_, at)| !self.pictures.has(*at))
            .collect();
        let first = wrong.first().map(|(flaw, at)| {
            format!("{} pictures lost without a cause, the first {}: {flaw:?}", wrong.len(), into(run, *at))
        });
        first.into_iter().collect()
    }
}

/// A moment in words.
fn into(run: &Run, at: Instant) -> String {
    let begun = run.seen.said.first().map_or(at, |said| said.asked);
    let last = run.done.iter().enumerate().rfind(|(_, done)| done.began <= at);
    let seconds = at.saturating_duration_since(begun).as_secs_f64();
    match last {
        Some((index, done)) => {
            let after = at.saturating_duration_since(done.gone).as_millis();
            format!("{seconds:.1} s into the run, {after} ms after {}. {}", index + 1, done.fault)
        }
        None => format!("{seconds:.1} s into the run"),
    }
}

/// The ingest heard nothing of the input at the end of the quiet.
fn silent(done: &Done, beeps: &[Instant]) -> Option<String> {
    let heard = beeps.iter().any(|at| (done.over - BEEP..=done.over).contains(at));
    (!heard).then(|| "no beep arrived at the end of the quiet".into())
}

/// The last pictures before the end of the quiet do not move.
fn still(done: &Done, moved: &[(Instant, f64)]) -> Option<String> {
    let last: Vec<f64> =
        moved.iter().filter(|(at, _)| (done.gone..=done.over).contains(at)).map(|(_, motion)| *motion).collect();
    let last = &last[last.len().saturating_sub(25)..];
    let moving = last.iter().filter(|motion| **motion > MOVES).count();
    (moving < 5).then(|| format!("only {moving} of the last {} pictures of the quiet move", last.len()))
}

/// Each session's HLS decodes.
fn hls(run: &Run, failures: &mut Vec<String>, notes: &mut Vec<String>) {
    let lists = &run.seen.playlists;
    for (index, text) in lists.iter().enumerate() {
        let name = format!("session-{}", index + 1);
        if let Err(error) = picture::decodes(&run.ingest.complete(&name, text)) {
            failures.push(format!("HLS of {name}: {error}"));
        }
    }
    // A list is there when its first fragment is over, at an IDR picture after 2 s.
    let long = |arrivals: &&Vec<Arrival>| {
        let ends = arrivals.iter().find(|one| one.picture).zip(arrivals.last());
        ends.is_some_and(|(first, last)| last.stamp.saturating_sub(first.stamp) > 6000)
    };
    let due = run.seen.recordings.values().filter(long).count();
    if lists.len() < due.max(1) {
        failures.push(format!("HLS: {} sessions for {due} recordings of more than 6 s", lists.len()));
    }
    notes.push(format!("{} sessions decoded as HLS", lists.len()));
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
