//! What an ingest's operator could know of a push: nginx-rtmp's recordings, its HLS and its log.

use crate::support::Nginx;
use std::{io::Write, path::PathBuf};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// Whether the programs of this tier are here. If not, the test is skipped so that nobody can miss it, and fails in CI.
pub fn has_tools() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| std::env::split_paths(&paths).any(|folder| folder.join(name).exists());
    let mut missing: Vec<&str> = ["ffmpeg", "ffprobe", "stunnel"].into_iter().filter(|name| !found(name)).collect();
    missing.extend(["/usr/sbin/nginx", MODULE].into_iter().filter(|path| !PathBuf::from(path).exists()));
    missing.is_empty() || skip(&format!("{} missing (tests/setup.sh test installs it)", missing.join(", ")))
}

/// Says past the test runner's capture that a test is skipped; false.
pub fn skip(why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {why}");
    false
}

/// An nginx-rtmp that keeps a recording of each publish and serves HLS.
pub struct Ingest {
    pub nginx: Nginx,
    hls: tempfile::TempDir,
}

impl Ingest {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let hls = tempfile::tempdir().expect("a folder");
        let folder = hls.path().display();
        let options = "hls_fragment 2s; hls_playlist_length 10m; hls_cleanup off;";
        let nginx = Nginx::start_with(&format!("record_unique on; hls on; hls_path {folder}; {options}"), "");
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
        let playlist = self.hls.path().join(format!("{key}.m3u8"));
        let text = std::fs::read_to_string(&playlist).expect("a playlist");
        std::fs::write(&playlist, text + "#EXT-X-ENDLIST\n").expect("written");
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
