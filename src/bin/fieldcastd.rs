//! The daemon: arguments -> subcommand -> exit code.

use clap::Parser as _;
use fieldcast::{
    cli::{self, Cli, Refusal, Verb, look},
    log,
};
use std::{io::Write as _, process::ExitCode};

fn main() -> ExitCode {
    let arguments = Cli::parse();
    log::start(arguments.log_json);
    let done = match arguments.verb {
        Verb::Run(place) => cli::run(&place),
        Verb::Rescue(place) => cli::rescue(&place),
        Verb::Check(place) => cli::check(&place).map(String::into_bytes),
        Verb::Plan { place, mode } => cli::plan(&place, mode).map(String::into_bytes),
        Verb::Probe { write_board: Some(file), .. } => look::write_board(file.as_deref()).map(String::into_bytes),
        Verb::Probe { json, write_board: None } => look::probe(json).map(String::into_bytes),
        Verb::Preflight { place, source } => look::preflight(&place, source.as_deref()).map(String::into_bytes),
        Verb::Regions { place, source } => look::regions(&place, source.as_deref()).map(String::into_bytes),
        Verb::Ended => cli::ended().map(String::into_bytes),
        Verb::Pair(place) => cli::pair(&place).map(String::into_bytes),
        Verb::Provision { check: Some(file), board } => {
            cli::check_provision(&file, board.as_deref()).map(String::into_bytes)
        }
        Verb::Provision { check: None, .. } => cli::provision().map(String::into_bytes),
        Verb::UsbCopy => cli::usb_copy().map(String::into_bytes),
        Verb::Tokens(place) => cli::tokens(&place).map(String::into_bytes),
        Verb::Revoke { place, id } => cli::revoke(&place, &id).map(String::into_bytes),
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
