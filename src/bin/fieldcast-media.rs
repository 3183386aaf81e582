//! The media worker: runs one pipeline for the daemon, which talks to it over its standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        None => fieldcast::media::worker::run(),
        Some((command, elements)) if command == "probe" => probe(elements),
        Some(_) => {
            eprintln!("fieldcast-media is started by fieldcastd; by hand: fieldcast-media probe [ELEMENT]...");
            ExitCode::from(2)
        }
    }
}

/// Says as JSON which GStreamer there is, and which of `elements` exist in it.
fn probe(elements: &[String]) -> ExitCode {
    match fieldcast::media::worker::probe(elements) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(70)
        }
    }
}
