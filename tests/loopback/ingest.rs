//! What an ingest's operator could know of a push: nginx-rtmp's recordings, its HLS and its log.

// Not every test program needs all of it.
#![allow(dead_code)]

use crate::support::{Nginx, host::Host};
use std::path::PathBuf;

/// An nginx-rtmp that keeps a recording of each publish and serves HLS.
pub struct Ingest {
    pub nginx: Nginx,
    hls: tempfile::TempDir,
}

impl Ingest {
    /// Starts it on a free port.
    pub fn start() -> Self {
        Self::with(|application| Nginx::start_with(application, ""))
    }

    /// Starts it on another host, which has this address.
    pub fn start_on(host: &Host, address: &str) -> Self {
        Self::with(|application| Nginx::start_on(host, address, application))
    }

    fn with(start: impl FnOnce(&str) -> Nginx) -> Self {
        let hls = tempfile::tempdir().expect("a folder");
        let folder = hls.path().display();
        // Each fragment has a name of its own: the next publish overwrites none.
        let options = "hls_fragment 2s; hls_playlist_length 2h; hls_cleanup off; hls_continuous off; \
                       hls_fragment_naming system; drop_idle_publisher 5s;";
        let nginx = start(&format!("record_unique on; hls on; hls_path {folder}; {options}"));
        Self { nginx, hls }
    }

    /// `rtmp://…/live`
    pub fn url(&self) -> String {
        self.nginx.url()
    }

    fn log(&self) -> String {
        self.nginx.log()
    }

    /// How often `key` was published so far, each over a connection of its own.
    pub fn publishes(&self, key: &str) -> usize {
        self.log().matches(&format!("publish: name='{key}'")).count()
    }

    /// How each publish of `key` that is over ended: true when the encoder deleted its stream before it disconnected.
    pub fn endings(&self, key: &str) -> Vec<bool> {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let connection = |line: &str| line.split_whitespace().find(|word| word.starts_with('*')).map(str::to_owned);
        let publishes = lines.iter().filter(|line| line.contains(&format!("publish: name='{key}'")));
        let ending = |id: String| {
            let own = lines.iter().filter(|line| connection(line).as_ref() == Some(&id));
            // nginx deletes the stream of a lost connection too, after it has seen that it is lost.
            let end = own.filter(|line| line.contains("deleteStream") || line.contains("disconnect")).copied().next();
            end.map(|line| line.contains("deleteStream"))
        };
        publishes.filter_map(|line| connection(line).and_then(ending)).collect()
    }

    /// The recordings of `key`, one for each publish, oldest first.
    pub fn recordings(&self, key: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.nginx.folder()).expect("the recordings");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        let of_key = |file: &PathBuf| {
            let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            stem.rsplit_once('-').is_some_and(|(name, _)| name == key)
        };
        files.retain(of_key);
        files.sort();
        files
    }

    /// The HLS playlist of `key`, marked as complete: a player of a live one would wait for more.
    pub fn playlist(&self, key: &str) -> PathBuf {
        let text = std::fs::read_to_string(self.live_playlist(key)).expect("a playlist");
        self.complete(key, &text)
    }

    /// The HLS playlist of `key` as nginx writes it, anew with each publish.
    pub fn live_playlist(&self, key: &str) -> PathBuf {
        self.hls.path().join(format!("{key}.m3u8"))
    }

    /// Keeps `text` of a playlist as that of `name`, marked as complete.
    pub fn complete(&self, name: &str, text: &str) -> PathBuf {
        // nginx-rtmp takes the length of the last fragment without a sign: when the stream ends with sound that is older
        // than the picture with which the fragment began, that is 2^64 / 90000 s and ffmpeg refuses the list.
        let mended = text.lines().map(|line| match line.split_once(':') {
            Some((tag @ ("#EXTINF" | "#EXT-X-TARGETDURATION"), value)) if value.len() > 12 => match tag {
                "#EXTINF" => "#EXTINF:0.001,\n".to_owned(),
                _ => "#EXT-X-TARGETDURATION:10\n".to_owned(),
            },
            _ => format!("{line}\n"),
        });
        let playlist = self.live_playlist(name);
        std::fs::write(&playlist, mended.collect::<String>() + "#EXT-X-ENDLIST\n").expect("written");
        playlist
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the ingest's log:\n{}", self.log());
        }
    }
}
