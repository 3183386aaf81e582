//! The daemon: arguments -> subcommand -> exit code.

use clap::Parser as _;
use fieldcast::{
    cli::{self, Cli, Refusal, Verb},
    log,
};
use std::{io::Write as _, process::ExitCode};

fn main() -> ExitCode {
    let arguments = Cli::parse();
    log::start(arguments.log_json);
    let done = match arguments.verb {
        Verb::Run(place) => cli::run(&place),
        Verb::Check(place) => cli::check(&place).map(String::into_bytes),
        Verb::Plan { place, mode } => cli::plan(&place, mode).map(String::into_bytes),
        Verb::Probe { json } => not_linked(&format!("probe --json={json}")),
        Verb::Preflight { place, source } => not_linked(&format!("preflight {source:?} {place:?}")),
        Verb::Regions { place, source } => not_linked(&format!("regions {source:?} {place:?}")),
        Verb::Completions { shell } => Ok(cli::completions(shell)),
    };
    match done {
        Ok(output) => {
            // A reader that has seen enough, such as head(1), is no error.
            let _ = std::io::stdout().write_all(&output);
            ExitCode::from(cli::OK)
        }
        Err(Refusal { code, text }) => {
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(code)
        }
    }
}

/// The edges that these subcommands stand on are linked when they are merged.
fn not_linked(verb: &str) -> Result<Vec<u8>, Refusal> {
    Err(Refusal { code: cli::INTERNAL, text: format!("not linked into this build: {verb}") })
}
