//! The real program as the rescue: whatever stopped the daemon does not stop it, it says why, takes what it can carry out, and
//! leaves for the daemon what is the daemon's.

mod support;

use serde_json::{Value, json};
use std::{fs, time::Duration};
use support::daemon::Daemon;

const CRASHED: [(&str, &str); 2] = [("MONITOR_SERVICE_RESULT", "core-dump"), ("MONITOR_EXIT_STATUS", "SEGV")];
const MAIN: &str = "name = \"OB van 3\"\n[[source]]\nname = \"Main\"\nurl = \"rtmp://127.0.0.1:1/live\"\nkey = \"k\"\n";

fn fault(status: &Value) -> &Value {
    let faults = status["faults"].as_array().expect("faults");
    faults.iter().find(|fault| fault["code"] == "rescue").unwrap_or_else(|| panic!("{status:#}"))
}

#[test]
fn it_shows_why_takes_commands_and_gives_way_to_the_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("made");
    // What may have stopped the daemon: a push that was wanted, and changes made on the box, damaged.
    let intent = r#"{"version":1,"intent":"on-air","sources":null}"#;
    fs::write(state.join("intent.json"), intent).expect("written");
    fs::write(state.join("overrides.toml"), "\0not a document").expect("written");
    let mut rescue = Daemon::rescue_in(folder, MAIN, &CRASHED);
    let status = rescue.status();
    let told = fault(&status);
    assert_eq!((&told["severity"], &status["phase"]), (&json!("error"), &json!("off-air")));
    assert!(told["text"].as_str().expect("a text").contains("SIGSEGV"), "{told}");
    assert!(told["advice"].as_str().expect("advice").contains("10 min"), "{told}");
    assert_eq!(status["name"], "OB van 3");
    let panel = state.join("panel.png");
    support::wait("the display shows it", Duration::from_secs(5), || fs::read(&panel).ok());

    let (code, answer) = rescue.command("start", json!({}));
    assert_eq!((code, &answer["reason"]), (409, &json!("wrong-state")), "{answer}");
    assert!(answer.to_string().contains("rescue mode"), "{answer}");
    for (name, arguments) in [("settings", json!({})), ("identify", json!({})), ("diagnostics", json!({}))] {
        rescue.succeed(name, arguments);
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(rescue.workers(), [0; 0], "no media worker");
    rescue.succeed("restart", json!({}));
    assert_eq!(rescue.ended(Duration::from_secs(8)).code(), Some(0), "the service manager starts the daemon then");
    assert_eq!(fs::read_to_string(state.join("intent.json")).expect("kept"), intent, "the daemon goes on air with it");
    assert!(state.join("overrides.toml").exists(), "and finds its changes, whatever is in them");
}

#[test]
fn neither_wrong_settings_nor_a_state_that_is_none_stop_it() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("state"), "a file in place of the folder").expect("written");
    let spare = folder.path().join("run").display().to_string();
    // What makes the box reachable is right; something else is not.
    let wrong = format!("{MAIN}[output]\nmode = \"4k\"\n");
    let rescue = Daemon::rescue_in(folder, &wrong, &[("RUNTIME_DIRECTORY", &spare)]);
    let status = rescue.status();
    let text = fault(&status)["text"].as_str().expect("a text");
    assert!(text.contains("output.mode") && text.contains("state folder"), "{text}");
    let (_, answer) = rescue.command("factory-reset", json!({ "confirm": true }));
    assert!(answer.to_string().contains("cannot be used"), "nothing was deleted: {answer}");
}

#[test]
fn a_board_that_is_unknown_does_not_stop_it() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("board.toml"), "colour = \"blue\"\n").expect("written");
    let mut rescue = Daemon::rescue_in(folder, "", &[]);
    let status = rescue.status();
    assert!(fault(&status)["text"].as_str().expect("a text").contains("board.toml"), "{status:#}");
    assert_eq!(status["board"], "unknown");
    rescue.succeed("restart", json!({}));
    assert_eq!(rescue.ended(Duration::from_secs(8)).code(), Some(0));
}
