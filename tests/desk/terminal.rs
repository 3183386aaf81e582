//! A real terminal: a program in tmux, its keys and what stands on its screen.

use crate::support::wait;
use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A terminal of 80x24.
pub struct Terminal {
    socket: String,
}

impl Terminal {
    /// Runs `fieldcast` with `line` in it; when that ends, its exit code is on the screen.
    pub fn run(folder: &Path, line: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let socket = format!("fieldcast-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { socket };
        let program = env!("CARGO_BIN_EXE_fieldcast");
        let config = folder.join("config.toml");
        // Ctrl-C goes to the shell as well, which has to stay.
        let run = format!(
            "trap : INT; FIELDCAST_CONFIG={} {program} {line}; echo \"ended with $?\"; sleep 60",
            config.display()
        );
        let started =
            terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", &run]);
        assert!(started.0, "{}", started.1);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket]).args(arguments).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let output = command.output().expect("tmux");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// What stands there now.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).1
    }

    /// Presses keys by their names in tmux.
    pub fn press(&self, keys: &[&str]) {
        assert!(self.tmux(&[&["send-keys"], keys].concat()).0, "{keys:?}");
    }

    /// Waits until `part` stands there; the screen.
    #[track_caller]
    pub fn shows(&self, part: &str) -> String {
        let mut last = String::new();
        let begun = crate::support::now();
        wait(part, Duration::from_secs(15), || {
            last = self.screen();
            if begun.elapsed() > Duration::from_secs(14) && !last.contains(part) {
                eprintln!("--- the screen:\n{last}");
            }
            last.contains(part).then_some(())
        });
        last
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}
