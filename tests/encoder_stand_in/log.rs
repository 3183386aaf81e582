//! What the stand-ins are told, for the test to read: one line each, words apart by spaces.
//!
//! `property ELEMENT NAME VALUE idle|running`, `control ELEMENT NAME VALUE idle|running`, `signal ELEMENT NAME`,
//! `start ELEMENT bits=N interval=N`, `refused ELEMENT ...`.

use std::{fs::OpenOptions, io::Write};

pub fn line(text: &str) {
    let Some(path) = std::env::var_os("STAND_IN_LOG") else { return };
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
        // One write, so that lines of several threads stay whole.
        let _ = file.write_all(format!("{text}\n").as_bytes());
    }
}

pub fn phase(running: bool) -> &'static str {
    if running { "running" } else { "idle" }
}
