//! A real nginx-rtmp on loopback that records and serves HLS, and its log: what an ingest's operator could know.

use crate::daemon::{free_port, signal, wait};
use std::{
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// Whether the programs of this tier are here. If not, the test is skipped so that nobody can miss it, and fails in CI.
pub fn has_tools() -> bool {
    let found = |name: &str| {
        let folders = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        folders.split(':').any(|folder| PathBuf::from(folder).join(name).exists())
    };
    let mut missing: Vec<&str> = ["nginx", "ffmpeg", "ffprobe"].into_iter().filter(|name| !found(name)).collect();
    if !PathBuf::from(MODULE).exists() {
        missing.push(MODULE);
    }
    missing.is_empty() || skip(&format!("{} missing (tests/setup.sh demo installs it)", missing.join(", ")))
}

/// Says past the test runner's capture that a test is skipped; false.
pub fn skip(why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {why}");
    false
}

/// The ingest.
pub struct Ingest {
    folder: tempfile::TempDir,
    nginx: Child,
    /// RTMP on loopback.
    pub port: u16,
}

impl Ingest {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let root = folder.path().display();
        for name in ["records", "hls"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log info; load_module {MODULE};\n\
             events {{ worker_connections 64; }}\n\
             rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on;\n\
             record all; record_path {root}/records; record_unique on;\n\
             hls on; hls_path {root}/hls; hls_fragment 2s; hls_playlist_length 10m; hls_cleanup off; }} }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), configuration).expect("written");
        let nginx = Self::run(&folder, port);
        Self { folder, nginx, port }
    }

    fn run(folder: &tempfile::TempDir, port: u16) -> Child {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let mut command = Command::new("nginx");
        command.env("PATH", path).arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        command.arg("-e").arg(folder.path().join("error.log")).stdin(Stdio::null()).stderr(Stdio::null());
        let nginx = command.spawn().expect("nginx");
        wait("nginx listens", Duration::from_secs(5), || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        nginx
    }

    /// Ends it at once, as a power cut would; open connections are reset by the kernel.
    pub fn kill(&mut self) {
        self.nginx.kill().expect("killed");
        self.nginx.wait().expect("ended");
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.nginx = Self::run(&self.folder, self.port);
    }

    /// Lets it hang: its kernel goes on accepting and acknowledging until its buffers are full.
    pub fn freeze(&self) {
        signal(self.nginx.id(), "STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.nginx.id(), "CONT");
    }

    /// `rtmp://…/live`
    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
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
        let entries = std::fs::read_dir(self.folder.path().join("records")).expect("the records");
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
        let playlist = self.folder.path().join("hls").join(format!("{key}.m3u8"));
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
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}
