//! `systemd/image/usr/lib/fieldcast/slots` decides which of two systems starts, in the shells that run it: a POSIX shell
//! and busybox. Commands in random order do what a model says, and a power cut in the middle of any write, or a record
//! that is destroyed, leaves the box with a system to start.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and runs a script")]

use proptest::{collection::vec, prelude::*};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/image/usr/lib/fieldcast/slots");
/// Where the records are, bytes.
const PLACES: [usize; 2] = [0, 128 * 4096];
/// A record with its padding.
const BLOCK: usize = 4096;

/// The shells that this machine has: `sh` is dash on Debian.
fn shells() -> Vec<&'static [&'static str]> {
    let mut shells: Vec<&[&str]> = vec![&["sh"]];
    if Command::new("busybox").arg("true").status().is_ok_and(|status| status.success()) {
        shells.push(&["busybox", "sh"]);
    } else {
        assert!(std::env::var("CI").is_err(), "missing: busybox");
        eprintln!("SKIPPED: no busybox here");
    }
    shells
}

struct Slots {
    shell: &'static [&'static str],
    store: PathBuf,
}

impl Slots {
    fn new(shell: &'static [&'static str], folder: &Path) -> Self {
        let store = folder.join(shell[0]);
        fs::write(&store, vec![0; 1 << 20]).unwrap();
        Self { shell, store }
    }

    fn try_run(&self, command: &str) -> (bool, String) {
        let output = Command::new(self.shell[0])
            .args(&self.shell[1..])
            .arg(SCRIPT)
            .args(command.split(' '))
            .env("FIELDCAST_BOOTSTATE", &self.store)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }

    fn run(&self, command: &str) -> String {
        let (good, output) = self.try_run(command);
        assert!(good, "{command}");
        output
    }
}

/// What a system is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Bad,
    /// On trial, with this many starts left.
    Trial(u8),
}

impl State {
    fn spent(self) -> bool {
        matches!(self, Self::Bad | Self::Trial(0))
    }

    fn text(self) -> String {
        match self {
            Self::Good => "good".into(),
            Self::Bad => "bad".into(),
            Self::Trial(left) => left.to_string(),
        }
    }
}

/// What the script is to do, written a second time. A is 0, B is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Model {
    primary: usize,
    states: [State; 2],
}

impl Model {
    const UNKNOWN: Self = Self { primary: 0, states: [State::Trial(3); 2] };

    fn text(&self) -> String {
        format!("{} {} {}", name(self.primary), self.states[0].text(), self.states[1].text())
    }

    /// The answer that is due.
    fn run(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        let slot = usize::from(words.get(1) == Some(&"B"));
        match words[0] {
            "choose" => {
                if self.states[self.primary].spent() {
                    self.states[self.primary] = State::Bad;
                    self.primary = 1 - self.primary;
                    if self.states[self.primary].spent() {
                        self.states = [State::Trial(3); 2];
                    }
                }
                if let State::Trial(left) = &mut self.states[self.primary] {
                    *left -= 1;
                }
                name(self.primary).into()
            }
            "get-primary" => {
                let primary_bad = self.states[self.primary] == State::Bad;
                let other_bad = self.states[1 - self.primary] == State::Bad;
                name(if primary_bad && !other_bad { 1 - self.primary } else { self.primary }).into()
            }
            "set-primary" => {
                self.primary = slot;
                if self.states[slot] != State::Good {
                    self.states[slot] = State::Trial(3);
                }
                String::new()
            }
            "get-state" => if self.states[slot] == State::Bad { "bad" } else { "good" }.into(),
            "set-state" => {
                self.states[slot] = if words[2] == "good" { State::Good } else { State::Bad };
                String::new()
            }
            _ => self.text(),
        }
    }
}

fn name(slot: usize) -> &'static str {
    ["A", "B"][slot]
}

const COMMANDS: [&str; 12] = [
    "choose",
    "choose",
    "choose",
    "show",
    "get-primary",
    "set-primary A",
    "set-primary B",
    "get-state A",
    "set-state A good",
    "set-state A bad",
    "set-state B good",
    "set-state B bad",
];

fn commands() -> impl Strategy<Value = Vec<&'static str>> {
    vec(proptest::sample::select(COMMANDS.to_vec()), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_says(commands in commands()) {
        let folder = tempfile::tempdir().unwrap();
        for shell in shells() {
            let slots = Slots::new(shell, folder.path());
            let mut model = Model::UNKNOWN;
            for command in &commands {
                prop_assert_eq!(slots.run(command), model.run(command), "{}", command);
                prop_assert_eq!(slots.run("show"), model.text(), "after {}", command);
            }
        }
    }

    /// A write that is cut short leaves the block as it was, as it is to be, or part of each, or rubbish.
    #[test]
    fn a_power_cut_in_a_write_leaves_the_old_state_or_the_new_one(
        commands in commands(), kept in 0..BLOCK, rubbish in vec(any::<u8>(), 0..64),
    ) {
        let folder = tempfile::tempdir().unwrap();
        for shell in shells() {
            let slots = Slots::new(shell, folder.path());
            // Both records hold something from the start on.
            slots.run("set-state A good");
            slots.run("set-state B bad");
            for command in &commands {
                let (old, before) = (fs::read(&slots.store).unwrap(), slots.run("show"));
                slots.run(command);
                let (new, after) = (fs::read(&slots.store).unwrap(), slots.run("show"));
                prop_assert_eq!(new.len(), 1 << 20);
                let written: Vec<usize> =
                    PLACES.into_iter().filter(|at| old[*at..at + BLOCK] != new[*at..at + BLOCK]).collect();
                prop_assert!(written.len() <= 1, "both records were written by {}", command);
                let Some(&at) = written.first() else { continue };
                let mut cut = old.clone();
                cut[at..at + kept].copy_from_slice(&new[at..at + kept]);
                let end = (at + kept + rubbish.len()).min(at + BLOCK);
                cut[at + kept..end].copy_from_slice(&rubbish[..end - at - kept]);
                fs::write(&slots.store, cut).unwrap();
                let seen = slots.run("show");
                prop_assert!(seen == before || seen == after, "{}: {} became {}, not {}", command, before, seen, after);
                fs::write(&slots.store, new).unwrap();
            }
        }
    }

    /// Whatever is left of the partition, a system starts, and RAUC is answered.
    #[test]
    fn a_destroyed_store_still_starts_a_system(
        commands in commands(), at in 0..PLACES.len(), rubbish in vec(any::<u8>(), 0..200), length in 0usize..1 << 20,
    ) {
        let folder = tempfile::tempdir().unwrap();
        for shell in shells() {
            let slots = Slots::new(shell, folder.path());
            for command in &commands {
                slots.run(command);
            }
            let mut bytes = fs::read(&slots.store).unwrap();
            bytes[PLACES[at]..PLACES[at] + rubbish.len()].copy_from_slice(&rubbish);
            bytes.truncate(length);
            fs::write(&slots.store, bytes).unwrap();
            prop_assert!(["A", "B"].contains(&slots.run("choose").as_str()));
            prop_assert!(["A", "B"].contains(&slots.run("get-primary").as_str()));
            prop_assert!(["good", "bad"].contains(&slots.run("get-state B").as_str()));
        }
    }
}

#[test]
fn an_update_that_does_not_hold_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    for shell in shells() {
        let slots = Slots::new(shell, folder.path());
        // How an image is delivered.
        for command in ["set-state A good", "set-state B bad", "set-primary A"] {
            slots.run(command);
        }
        // A good system is started for ever, however often the power is cut.
        for _ in 0..5 {
            assert_eq!(slots.run("choose"), "A");
        }
        // RAUC 1.8 installs so: src/install.c, launch_and_wait_default_handler(). A power cut in it starts the old one.
        slots.run("set-state B bad");
        assert_eq!(slots.run("choose"), "A");
        slots.run("set-primary B");
        assert_eq!(slots.run("get-primary"), "B");
        for _ in 0..3 {
            assert_eq!(slots.run("choose"), "B");
        }
        assert_eq!(slots.run("choose"), "A");
        assert_eq!(slots.run("show"), "A good bad");
        // Once more, and it holds.
        slots.run("set-primary B");
        assert_eq!(slots.run("choose"), "B");
        slots.run("set-state B good");
        for _ in 0..5 {
            assert_eq!(slots.run("choose"), "B");
        }
    }
}

#[test]
fn what_it_does_not_know_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for shell in shells() {
        let slots = Slots::new(shell, folder.path());
        for command in ["", "boot", "choose now", "set-primary C", "set-state A", "set-state A maybe", "get-state a"] {
            assert!(!slots.try_run(command).0, "{command}");
        }
        fs::remove_file(&slots.store).unwrap();
        fs::create_dir(&slots.store).unwrap();
        // Nothing can be written there: told to RAUC, but not a reason for not starting.
        assert!(!slots.try_run("set-primary B").0);
        assert_eq!(slots.run("choose"), "A");
    }
}
