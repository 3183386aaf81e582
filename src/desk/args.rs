//! What can be typed.

use super::{
    studio::args::{Publish, Schedule, Studio},
    update::Update,
};
use crate::units::Span;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const LONG_ABOUT: &str = "\
Rules Fieldcast boxes from the operator's desk: any number of them through an MQTT broker, or one
straight over HTTPS, once this computer is paired with it.";

const EXAMPLES: &str = "\
Examples:
  fieldcast list                            which boxes are there?
  fieldcast watch                           all of them, live; keys act on the chosen ones
  fieldcast start \"OB van 3\"                on air
  fieldcast stop --tag stage-left           off air, all with this tag; asks before
  fieldcast set --all output.bitrate-max=\"3 Mbit/s\"
  fieldcast publish Pult --title Gala       what it pushes becomes public on X
  fieldcast update URL --all --at-most 3    a new system, three boxes at a time
  fieldcast pair https://192.0.2.17:8443    once, for one box without a broker
  fieldcast status --box https://192.0.2.17:8443

Boxes are named by id, by name or by a pattern such as \"OB van *\". --tag takes of them (or of all) only
those that have the tag; several tags: all of them.

Exit codes:
  0    every box did it
  1    none did, or the broker or box was not reached
  2    bad arguments or settings, no such box, or not confirmed: nothing was sent
  3    some did
  130  Ctrl-C

Files:
  ~/.config/fieldcast/config.toml           broker, box, username, password-file, ca-file, cert-file,
                                            key-file, prefix; below [studio] client-id, account, base-url
  ~/.config/fieldcast/paired.json           paired boxes, for this user only
  ~/.config/fieldcast/accounts/             accounts of X that are linked here, for this user only

Environment (before the file, after the command line):
  FIELDCAST_BROKER, FIELDCAST_BOX           as --broker and --box
  FIELDCAST_USERNAME, FIELDCAST_PASSWORD, FIELDCAST_PASSWORD_FILE
  FIELDCAST_CA_FILE, FIELDCAST_CERT_FILE, FIELDCAST_KEY_FILE, FIELDCAST_PREFIX
  FIELDCAST_CLIENT_ID                       your app at X, as --client-id of studio link
  FIELDCAST_CONFIG                          another configuration file; paired.json is beside it";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "fieldcast", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
#[command(about = "Rules Fieldcast boxes from the operator's desk", long_about = LONG_ABOUT)]
pub struct Cli {
    /// What goes with every verb.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What goes with every verb.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// The MQTT broker, such as mqtts://broker.example:8883
    #[arg(long, global = true, value_name = "URL", conflicts_with = "direct")]
    pub broker: Option<String>,
    /// Straight to this box: its URL, or the name or id of a paired one
    #[arg(long = "box", id = "direct", global = true, value_name = "URL")]
    pub direct: Option<String>,
    /// The configuration file [default: ~/.config/fieldcast/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only boxes with this tag
    #[arg(long = "tag", global = true, value_name = "TAG")]
    pub tags: Vec<String>,
    /// All boxes
    #[arg(long, global = true)]
    pub all: bool,
    /// Do not ask before a box is taken off air
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
    /// One JSON object a line, for each box
    #[arg(long, global = true)]
    pub json: bool,
    /// How long a box has for its answer, such as "90 s"
    #[arg(long, global = true, value_name = "TIME")]
    pub timeout: Option<Span>,
}

/// Which boxes.
#[derive(Debug, Clone, Default, Args)]
pub struct Boxes {
    /// Ids, names or patterns such as "OB van *"
    #[arg(value_name = "BOX")]
    pub boxes: Vec<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the boxes
    List(Boxes),
    /// Show what boxes do, and what is wrong with them
    Status(Boxes),
    /// Watch boxes live, and act on them with keys
    Watch(Boxes),
    /// Go on air
    Start {
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// Push to this Source instead of those of the box's settings; may be given several times
        #[arg(long = "source", value_name = "NAME")]
        sources: Vec<String>,
    },
    /// Go off air
    Stop {
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// Where a Broadcast is public, end it as well
        #[arg(long, conflicts_with = "keep_broadcast")]
        end: bool,
        /// Where a Broadcast is public, leave it: X ends it after 5 minutes without video
        #[arg(long)]
        keep_broadcast: bool,
    },
    /// Make public on X what boxes push to a Source of the Studio
    Publish(Publish),
    /// End the Broadcast that boxes made public; their push goes on
    End(Boxes),
    /// Schedule a Broadcast on X, or change one that is scheduled
    Schedule(Schedule),
    /// Ask X Media Studio: accounts, Sources, Broadcasts, media
    Studio(Studio),
    /// Choose the primary Source
    Source {
        /// The Source's name
        name: String,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// A region of its service
        #[arg(long)]
        region: Option<String>,
    },
    /// Choose the input
    Input {
        /// "auto" or an input of the board, such as hdmi
        device: String,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
    },
    /// Choose what viewers see
    Show {
        /// The input, the slate, or bars and tone
        what: Picture,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// Silence instead of sound
        #[arg(long)]
        mute: bool,
    },
    /// Change settings, all or nothing: KEY=VALUE; an empty VALUE takes a change back
    Set {
        /// Settings such as output.bitrate-max="3 Mbit/s", and boxes
        #[arg(value_name = "KEY=VALUE|BOX", required = true)]
        items: Vec<String>,
    },
    /// Show the settings and where each comes from
    Settings(Boxes),
    /// Tell whether boxes could go on air now
    Preflight {
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// Try this Source instead of the primary one
        #[arg(long)]
        source: Option<String>,
    },
    /// Take one picture of the input
    Preview {
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// The JPEG file; of several boxes each gets its id before the ending
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Let boxes show which they are, for 30 s
    Identify(Boxes),
    /// Switch a panel's buttons off or on
    LockPanel {
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// On again
        #[arg(long)]
        unlock: bool,
    },
    /// Show the last lines of the log
    Logs {
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// How many
        #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        lines: u16,
        /// Not those before this time, such as 2026-11-23T18:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Go on with new ones until Ctrl-C; through a broker only
        #[arg(long, short)]
        follow: bool,
    },
    /// Gather all that is known about boxes, secrets masked, for who looks for an error
    Diagnostics {
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// The JSON file; of several boxes each gets its id before the ending
        #[arg(long, short, value_name = "FILE", required_unless_present = "usb")]
        output: Option<PathBuf>,
        /// Onto the USB stick that is in the box instead
        #[arg(long, conflicts_with = "output")]
        usb: bool,
    },
    /// Measure the regional ingests of a Source's service
    Regions {
        /// The Source's name
        source: String,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
    },
    /// Restart Fieldcast on boxes
    Restart(Boxes),
    /// Reboot boxes
    Reboot(Boxes),
    /// Install another version of the whole system on boxes, and restart them with it
    ///
    /// Each box installs beside what runs, restarts, and goes back by itself if what worked before
    /// does not work any more; its answer comes when that is known.
    #[command(verbatim_doc_comment)]
    Update(Update),
    /// Print completions for a shell
    ///
    /// For example: fieldcast completions bash > /etc/bash_completion.d/fieldcast
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Pair this computer with a box, for --box
    ///
    /// Ask for a PIN at the box (its panel, or `fieldcastd pair` there). The box shows the
    /// fingerprint of its certificate as well: it has to be the one that is shown here.
    #[command(verbatim_doc_comment)]
    Pair {
        /// Where the box is, such as https://192.0.2.17:8443
        url: String,
        /// The fingerprint that the box shows; without it you are asked to compare
        #[arg(long, value_name = "SHA-256")]
        fingerprint: Option<String>,
        /// How the box shall call this computer [default: its host name]
        #[arg(long)]
        name: Option<String>,
    },
}

/// What viewers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Picture {
    /// The input
    Live,
    /// The slate
    Slate,
    /// Bars and tone
    Test,
}

/// The script that completes this command line in `shell`.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fieldcast", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let parsed =
            Cli::try_parse_from(["fieldcast", "stop", "OB van *", "--tag", "left", "--timeout", "9 s", "-y", "--json"])
                .expect("parsed");
        let Verb::Stop { boxes, .. } = parsed.verb else { panic!("{parsed:?}") };
        assert_eq!((boxes.boxes, parsed.options.tags), (vec!["OB van *".into()], vec!["left".into()]));
        assert!(parsed.options.yes && parsed.options.json && !parsed.options.all);
        for wrong in [
            vec!["fieldcast", "list", "--box", "https://h", "--broker", "mqtt://h"],
            vec!["fieldcast", "show", "cat"],
            vec!["fieldcast", "stop", "--timeout", "9"],
            vec!["fieldcast", "preview"],
            vec!["fieldcast", "set"],
            vec!["fieldcast", "stop", "a", "--end", "--keep-broadcast"],
            vec!["fieldcast", "publish", "a", "--chat", "maybe"],
            vec!["fieldcast", "studio"],
        ] {
            assert_eq!(Cli::try_parse_from(&wrong).expect_err("refused").exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn help_teaches_in_lines_that_fit() {
        let mut cli = Cli::command();
        let help = cli.render_long_help().to_string();
        for word in ["Exit codes", "config.toml", "FIELDCAST_BROKER", "preflight", "completions"] {
            assert!(help.contains(word), "{word}: {help}");
        }
        let mut all = vec![help];
        helps(&mut cli, &mut all);
        assert!(all.iter().any(|help| help.contains("--hashtag")) && all.iter().any(|help| help.contains("--oauth1")));
        for help in all {
            assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
        }
    }

    fn helps(command: &mut clap::Command, all: &mut Vec<String>) {
        for verb in command.get_subcommands_mut() {
            all.push(verb.render_long_help().to_string());
            helps(verb, all);
        }
    }

    #[test]
    fn completions_know_the_verbs() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Fish, clap_complete::Shell::Zsh] {
            let script = String::from_utf8(completions(shell)).expect("text");
            assert!(script.contains("preflight") && script.contains("broker"), "{shell}");
        }
    }
}
