//! The operator's command line: arguments -> verb -> exit code.

use clap::Parser as _;
use fieldcast::desk::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(desk::run(Cli::parse()))
}
