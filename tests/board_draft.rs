//! `fieldcastd probe --write-board`: what it drafts for this machine is a board that `check` passes and that can be planned
//! with, and it overwrites nothing. On hardware as if it were new: `emulated_bringup.rs`.

use std::process::{Command, Output};

fn fieldcastd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fieldcastd")).args(arguments).output().expect("fieldcastd")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_draft_of_this_machine_checks_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("this-machine.toml");
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, "").expect("settings");
    let (board, settings) = (file.to_str().expect("a path"), settings.to_str().expect("a path"));
    let written = fieldcastd(&["probe", "--write-board", board]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    assert!(text(&written.stdout).contains("check:"), "it says what is to be done with it");

    let shown = fieldcastd(&["probe", "--write-board"]);
    let draft = std::fs::read_to_string(&file).expect("a draft");
    assert_eq!((shown.status.code(), text(&shown.stdout)), (Some(0), draft.clone()), "the same on standard output");
    assert!(draft.contains("# check:") && draft.contains("element = \"x264enc\""), "{draft}");

    let again = fieldcastd(&["probe", "--write-board", board]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    assert!(text(&again.stderr).contains("cannot be written"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read_to_string(&file).expect("a draft"), draft);

    let state = folder.path().join("state");
    for verb in ["check", "plan"] {
        let place = [verb, "--board", board, "--settings", settings, "--state", state.to_str().expect("a path")];
        let done = fieldcastd(&place);
        assert!(done.status.success(), "{verb}: {}{}\n{draft}", text(&done.stdout), text(&done.stderr));
    }
}
