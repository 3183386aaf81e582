//! The command line: what can be typed, what needs no daemon, and what asks the running one.

mod check;
mod draft;
mod ended;
pub mod look;
mod pair;
mod plan;
mod prepare;
mod provision;
mod rescue;

pub use check::check;
pub use ended::ended;
pub use pair::{pair, revoke, tokens};
pub use plan::plan;
pub use prepare::run;
pub use provision::{check as check_provision, provision, usb_copy};
pub use rescue::rescue;

use crate::{settings, state, units::Mode};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use std::path::PathBuf;

/// A clean end.
pub const OK: u8 = 0;
/// Bad arguments, board or settings.
pub const WRONG: u8 = 2;
/// The board does not match this hardware.
pub const MISMATCH: u8 = 3;
/// Something inside failed; systemd starts the daemon again.
pub const INTERNAL: u8 = 70;
/// The daemon has ended so that the whole box is restarted, which its systemd unit does.
pub const REBOOT: u8 = 80;

/// Why a subcommand ended without doing what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The exit code.
    pub code: u8,
    /// For people, on standard error.
    pub text: String,
}

// clap breaks no lines of its own accord.
const LONG_ABOUT: &str = "\
Fieldcast turns a small ARM box into a live encoder: it takes HDMI or a camera, encodes it,
and pushes it to the Sources of its settings. `run` is the daemon; everything else looks and
explains, and can be used while the daemon runs.";

const EXAMPLES: &str = "\
Examples:
  fieldcastd check                          is everything set up right?
  fieldcastd probe                          what is plugged in, and which encoders are there?
  fieldcastd preflight Main                 could this box go on air to the Source \"Main\" now?
  fieldcastd run --board desktop --settings demo.toml --state /tmp/fieldcast
                                            on a desk, with a test picture
  curl localhost:8080/api/v1/status         what the running daemon does

Exit codes:
  0   it ended as asked
  2   bad arguments, board or settings: the text says which and what was expected
  3   no board matches this hardware: name one with --board
  70  something inside failed
  80  `reboot` was asked for: the systemd unit restarts the box

Files:
  /etc/fieldcast/settings.toml              the operator's; never written by the daemon
  /usr/share/fieldcast/boards/*.toml        one for each hardware variant
  /etc/fieldcast/boards/*.toml              your own, which come first
  /var/lib/fieldcast/                       state: changes made on a surface, whether to be on air

Environment:
  FIELDCAST_LOG                             what is logged, such as info or fieldcast::uplink=debug
  FIELDCAST_BOARDS                          folder of the board files
  CREDENTIALS_DIRECTORY                     stream keys handed over by systemd (LoadCredential=)";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "fieldcastd", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
#[command(about = "A live encoder: HDMI or a camera in, a picture on air that stays there")]
#[command(long_about = LONG_ABOUT)]
pub struct Cli {
    /// Log as JSON, one object a line
    #[arg(long, global = true)]
    pub log_json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the daemon
    ///
    /// Takes the picture, goes on air when GO is held or `start` is asked for, and stays there
    /// until it is stopped. SIGTERM ends the push properly and exits; SIGHUP reads the settings
    /// again.
    #[command(verbatim_doc_comment)]
    Run(Place),
    /// Stand in for a daemon that does not stay up
    ///
    /// Shows on display and status why it does not run, and takes commands; captures and pushes
    /// nothing. Its systemd unit starts it when the daemon has failed for good. It ends by itself
    /// after ten minutes, or on `restart`, and the daemon is tried again.
    #[command(verbatim_doc_comment)]
    Rescue(Place),
    /// Explain the settings and the board, and list everything that is wrong with them
    ///
    /// Every problem is one line with file, line, key and what was expected. With nothing wrong
    /// it lists each value and where it comes from.
    #[command(verbatim_doc_comment)]
    Check(Place),
    /// Print the GStreamer pipelines that would run, to paste into gst-launch-1.0
    ///
    /// They hold no stream key and write a file instead of pushing: for looking for a fault in a
    /// driver or an encoder without the daemon.
    #[command(verbatim_doc_comment)]
    Plan {
        /// Board, settings and state.
        #[command(flatten)]
        place: Place,
        /// Output mode instead of the settings' own, such as 1280x720p30
        #[arg(long, value_name = "MODE")]
        mode: Option<Mode>,
    },
    /// List the inputs, modes, sound cards and encoders that this machine has
    Probe {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
        /// Draft a board file for this machine instead, into FILE or on standard output
        ///
        /// Lines with "check:" are for a person to decide. FILE is never overwritten.
        #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "json")]
        write_board: Option<Option<PathBuf>>,
    },
    /// Tell whether this box could go on air now, without going on air
    ///
    /// Looks up the name, connects, checks the certificate, asks the ingest for the publish, and
    /// measures the upload.
    #[command(verbatim_doc_comment)]
    Preflight {
        /// Board, settings and state.
        #[command(flatten)]
        place: Place,
        /// A Source of the settings; without it the primary one
        source: Option<String>,
    },
    /// Measure the regional ingests of a Source's service, nearest first
    Regions {
        /// Board, settings and state.
        #[command(flatten)]
        place: Place,
        /// A Source of the settings; without it the primary one
        source: Option<String>,
    },
    /// Pair another computer or a phone with the running daemon
    ///
    /// A PIN of six digits holds for two minutes. It is on the box's display, or without one on
    /// its console and in the journal; as root, this command tells it too. http.listen has to be
    /// an address that others reach.
    #[command(verbatim_doc_comment)]
    Pair(Place),
    /// Restart the box if the daemon has ended for that: what its systemd unit runs after it
    #[command(hide = true)]
    Ended,
    /// Take over a fieldcast.toml from a USB stick or the boot partition, or explain one
    ///
    /// On a box its image runs this as root before the network is up; what is wrong leaves
    /// everything as it was, and the display says why. At a desk, --check FILE explains a file
    /// before it is carried to a box.
    #[command(verbatim_doc_comment)]
    Provision {
        /// Explain this file, change nothing
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
        /// With --check: a board's name or file; without it the board that matches this machine
        #[arg(long, value_name = "BOARD", requires = "check")]
        board: Option<String>,
    },
    /// Copy what the daemon left for a USB stick: what the image runs as root
    #[command(hide = true)]
    UsbCopy,
    /// List the paired computers
    Tokens(Place),
    /// Let a paired computer not use the box any more
    Revoke {
        /// Board, settings and state.
        #[command(flatten)]
        place: Place,
        /// Its id, as `tokens` lists it
        id: String,
    },
    /// Print completions for a shell
    ///
    /// For example: fieldcastd completions bash > /etc/bash_completion.d/fieldcastd
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where board, settings and state are.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// A board's name, or a board file; without it the board that matches this hardware
    #[arg(long, value_name = "BOARD")]
    pub board: Option<String>,
    /// The settings file
    #[arg(long, value_name = "FILE", help = format!("The settings file [default: {}]", settings::PATH))]
    pub settings: Option<PathBuf>,
    /// The state folder, made when it is missing
    #[arg(long, value_name = "FOLDER", default_value = state::PATH)]
    pub state: PathBuf,
}

/// The script that completes this command line in `shell`.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fieldcastd", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let parsed =
            Cli::try_parse_from(["fieldcastd", "plan", "--mode", "720p30", "--board", "desktop"]).expect("parsed");
        let Verb::Plan { place, mode: Some(mode) } = parsed.verb else { panic!("{parsed:?}") };
        assert_eq!((place.board.as_deref(), mode.to_string()), (Some("desktop"), "1280x720p30".into()));
        assert_eq!(place.state, PathBuf::from("/var/lib/fieldcast"));
        let wrong = Cli::try_parse_from(["fieldcastd", "plan", "--mode", "720"]).expect_err("refused");
        assert_eq!(wrong.exit_code(), i32::from(WRONG));
        assert!(wrong.to_string().contains("a mode such as"), "{wrong}");
    }

    #[test]
    fn help_teaches_in_lines_that_fit() {
        let mut cli = Cli::command();
        let help = cli.render_long_help().to_string();
        for word in ["Exit codes", "/etc/fieldcast/settings.toml", "FIELDCAST_LOG", "preflight", "completions"] {
            assert!(help.contains(word), "{word}: {help}");
        }
        let of_verbs = cli.get_subcommands_mut().map(|verb| verb.render_long_help().to_string());
        for help in of_verbs.chain([help]) {
            assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        }
    }

    #[test]
    fn completions_know_the_subcommands() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Fish, clap_complete::Shell::Zsh] {
            let script = String::from_utf8(completions(shell)).expect("text");
            assert!(script.contains("preflight") && script.contains("settings"), "{shell}");
        }
    }
}
