//! `fieldcastd rescue`: what the service manager runs when the daemon does not stay up.

use super::{
    Place, Refusal, WRONG,
    prepare::{find_board, finish, show, work},
};
use crate::{
    board::Board,
    daemon::{Rescue, Start},
    host,
    settings::Layers,
    state::StateFolder,
};
use std::{
    env,
    path::{Path, PathBuf},
};
use tokio::sync::mpsc;

/// The display that a box without a board file may have.
const FRAMEBUFFER: &str = "/dev/fb0";

/// Shows why the daemon does not run and takes commands, until it is to be tried again. Nothing that may have stopped the daemon
/// stops this: what cannot be read is done without.
///
/// # Errors
/// [`WRONG`] when there is no folder at all to work in, and what fails inside later.
pub fn rescue(place: &Place) -> Result<Vec<u8>, Refusal> {
    let events = mpsc::unbounded_channel();
    let mut wrong = Vec::new();
    let board = find_board(place).unwrap_or_else(|error| {
        wrong.push(error.to_string());
        Board::unknown(Some(PathBuf::from(FRAMEBUFFER)).filter(|node| node.exists()))
    });
    let front = show(&board, place, &events.0);
    let known = (board.name != "unknown").then_some(&board);
    let (layers, problems) = Layers::load_for_rescue(place.settings.as_deref(), known);
    wrong.extend(problems.map(|problems| problems.to_string()));
    let (state, substitute) = match StateFolder::open(&place.state) {
        Ok(state) => (state, false),
        Err(text) => {
            wrong.push(text);
            (StateFolder::open(&spare()).map_err(|text| Refusal { code: WRONG, text })?, true)
        }
    };
    let (id, _) = host::box_id(Path::new("/"), &state);
    let id = layers.settings().id.clone().unwrap_or(id);
    let told = |name| env::var(name).unwrap_or_default();
    let why = match wrong.first() {
        // On the display it is read a line at a time: the first says which file.
        Some(_) => format!("Fieldcast cannot start. {}", wrong.join("; ").replace('\n', "; ")),
        None => why(&told("MONITOR_SERVICE_RESULT"), &told("MONITOR_EXIT_STATUS")),
    };
    tracing::error!("rescue: {why}");
    let rescue = Some(Rescue { why, substitute });
    let settings = place.settings.clone();
    let start = Start { board, layers, settings, state, id, faults: Vec::new(), front: front.clone(), rescue, events };
    finish(front, work(start))
}

/// A folder in place of the state folder: systemd's RuntimeDirectory=, else one of temporary files.
fn spare() -> PathBuf {
    let given = env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
    given.unwrap_or_else(|| env::temp_dir().join("fieldcast-rescue"))
}

/// Why the daemon does not run, by what systemd hands to the unit that it starts for a failure: `$MONITOR_SERVICE_RESULT` and
/// `$MONITOR_EXIT_STATUS` (systemd.exec(5), since 251; empty: nothing is known).
fn why(result: &str, status: &str) -> String {
    match (result, status) {
        ("watchdog", _) => "Fieldcast hung again and again".into(),
        ("signal" | "core-dump", signal) => format!("Fieldcast crashed again and again (SIG{signal})"),
        ("oom-kill", _) => "Fieldcast had too little memory again and again".into(),
        ("exit-code", code) => format!("Fieldcast failed again and again (exit code {code})"),
        ("timeout", _) => "Fieldcast did not start or did not end in time, again and again".into(),
        ("start-limit-hit", _) => "Fieldcast was started too often in too short a time".into(),
        ("", _) => "it was started by hand, or nothing is known of why Fieldcast ended".into(),
        (other, _) => format!("Fieldcast could not be started ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_in_words() {
        for (result, status, wanted) in [
            ("watchdog", "ABRT", "hung"),
            ("signal", "SEGV", "SIGSEGV"),
            ("core-dump", "ABRT", "SIGABRT"),
            ("exit-code", "70", "exit code 70"),
            ("oom-kill", "KILL", "memory"),
            ("start-limit-hit", "", "too often"),
            ("resources", "", "(resources)"),
            ("", "", "nothing is known"),
        ] {
            let text = why(result, status);
            assert!(text.contains(wanted), "{result} {status}: {text}");
        }
    }
}
