//! What was seen while the series ran: each recorded packet with the moment at which it was in the ingest's file, and what
//! the status said twenty times a second.

use crate::{ingest::Ingest, support::now};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

/// One FLV tag with media as the ingest recorded it.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When it was found in the file.
    pub at: Instant,
    /// Picture or sound.
    pub picture: bool,
    /// An IDR picture.
    pub key: bool,
    /// Its stamp, ms.
    pub stamp: u32,
}

/// What the daemon said; none while nothing answered.
#[derive(Debug, Clone)]
pub struct Said {
    /// When it was asked: the answer is not older.
    pub asked: Instant,
    /// When the answer was there.
    pub answered: Instant,
    /// The status.
    pub status: Option<Value>,
}

impl Said {
    /// The value at this JSON pointer, as text.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.status.as_ref()?.pointer(pointer)?.as_str()
    }

    /// The value at this JSON pointer, as a number.
    pub fn number(&self, pointer: &str) -> Option<u64> {
        self.status.as_ref()?.pointer(pointer)?.as_u64()
    }

    /// Whether it said "on air".
    pub fn on_air(&self) -> bool {
        self.text("/phase") == Some("on-air")
    }
}

/// By recording, in the order of publishing; each in the order of its file.
pub type Recordings = BTreeMap<PathBuf, Vec<Arrival>>;

/// All that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// What was recorded.
    pub recordings: Recordings,
    /// The last HLS playlist of each publish that had one, in order.
    pub playlists: Vec<String>,
    /// In order.
    pub said: Vec<Said>,
}

impl Seen {
    /// All pictures in the order of their arrival.
    pub fn pictures(&self) -> Vec<Arrival> {
        let mut pictures: Vec<Arrival> =
            self.recordings.values().flatten().filter(|one| one.picture).copied().collect();
        pictures.sort_by_key(|picture| picture.at);
        pictures
    }
}

/// Two threads that watch until they are asked for what they saw.
pub struct Witness {
    ended: Arc<AtomicBool>,
    recordings: JoinHandle<(Recordings, Vec<String>)>,
    said: JoinHandle<Vec<Said>>,
}

impl Witness {
    /// Watches the recordings and the playlist of `key` at this ingest, and what `status` gives.
    pub fn start(ingest: &Ingest, key: &str, status: impl Fn() -> Option<Value> + Send + 'static) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (folder, playlist) = (ingest.nginx.folder().to_owned(), ingest.live_playlist(key));
        let (stop, stop_too) = (ended.clone(), ended.clone());
        let recordings = std::thread::spawn(move || {
            let (mut files, mut playlists) = (BTreeMap::new(), Vec::new());
            let mut last_look = false;
            while !last_look {
                last_look = stop.load(Ordering::Relaxed);
                look(&folder, &mut files);
                keep(&playlist, &mut playlists);
                sleep(Duration::from_millis(10));
            }
            (files.into_iter().map(|(path, file)| (path, file.arrivals)).collect(), playlists)
        });
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            while !stop_too.load(Ordering::Relaxed) {
                let asked = now();
                let status = status();
                said.push(Said { asked, answered: now(), status });
                sleep(Duration::from_millis(50));
            }
            said
        });
        Self { ended, recordings, said }
    }

    /// What they saw.
    pub fn end(self) -> Seen {
        self.ended.store(true, Ordering::Relaxed);
        let (recordings, playlists) = self.recordings.join().expect("the recordings");
        Seen { recordings, playlists, said: self.said.join().expect("the status") }
    }
}

/// A recording that is still written.
#[derive(Default)]
struct Growing {
    read: u64,
    rest: Vec<u8>,
    arrivals: Vec<Arrival>,
}

fn look(folder: &Path, files: &mut BTreeMap<PathBuf, Growing>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "flv")) {
        let growing = files.entry(path.clone()).or_default();
        let Ok(mut file) = File::open(&path) else { continue };
        let at = now();
        let read = file.seek(SeekFrom::Start(growing.read)).and_then(|_| file.read_to_end(&mut growing.rest));
        growing.read += read.unwrap_or(0) as u64;
        growing.take(at);
    }
}

/// Takes a playlist in place of the one before it of the same publish: fragments have names of their own.
fn keep(playlist: &Path, playlists: &mut Vec<String>) {
    let Ok(text) = std::fs::read_to_string(playlist) else { return };
    let first = |text: &str| text.lines().find(|line| !line.starts_with('#')).map(str::to_owned);
    if first(&text).is_none() {
        return;
    }
    match playlists.last_mut().filter(|last| first(last) == first(&text)) {
        Some(last) => *last = text,
        None => playlists.push(text),
    }
}

impl Growing {
    /// Takes the whole tags out of what was read (Adobe "Video File Format" 10.1, annex E.4).
    fn take(&mut self, at: Instant) {
        let mut used = 0;
        if self.rest.starts_with(b"FLV") {
            if self.rest.len() < 13 {
                return;
            }
            used = 13;
        }
        while let Some(tag) = self.rest.get(used..used + 13) {
            let size = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]) as usize;
            if self.rest.len() < used + 15 + size {
                break;
            }
            let (kind, first, second) = (tag[0], tag[11], tag[12]);
            let stamp = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
            // Not the sequence headers, whose second byte is 0.
            if (kind == 8 || kind == 9) && second == 1 {
                self.arrivals.push(Arrival { at, picture: kind == 9, key: first >> 4 == 1, stamp });
            }
            used += 15 + size;
        }
        self.rest.drain(..used);
    }
}
