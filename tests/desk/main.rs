//! `fieldcast` as operators use it: the real program against the real daemon over HTTP and HTTPS, and against a real broker
//! with stand-ins of boxes that answer by the protocol's own types, and with a real one; and against the stand-in of X's API.

#[path = "../support/mod.rs"]
mod support;

mod broker;
mod direct;
mod fleet;
mod real;
mod screen;
mod stand_in;
mod studio;
#[path = "../studio_stand_in/mod.rs"]
mod studio_stand_in;
mod terminal;

use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// `fieldcast` with a configuration folder of its own, and nothing of this machine's.
pub fn fieldcast(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldcast"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FIELDCAST_")) {
        command.env_remove(name);
    }
    command.env("FIELDCAST_CONFIG", folder.join("config.toml")).stdin(Stdio::null());
    command
}

/// How it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// What came of a process.
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Each line as JSON.
    pub fn json(&self) -> Vec<Value> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.out.lines().map(line).collect()
    }

    /// Checks the exit code, and that `part` was said.
    #[track_caller]
    pub fn is(&self, code: i32, part: &str) {
        let right = self.code == Some(code) && (self.out.contains(part) || self.err.contains(part));
        assert!(right, "expected {code} and {part:?}: {self:?}");
    }
}
