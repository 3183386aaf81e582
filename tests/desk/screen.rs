//! `fieldcast watch` in a real terminal.

use crate::{
    broker::{has_programs, kept_requests},
    fleet::Field,
    terminal::Terminal,
};

#[test]
fn watch_is_read_and_used() {
    if !has_programs() {
        return;
    }
    let field = Field::start();
    let terminal = Terminal::run(field.folder(), "watch");
    let screen = terminal.shows("3 boxes: 1 on air, 1 offline");
    assert!(screen.lines().count() <= 24 && screen.contains("q quit"), "{screen}");
    // Bars of what was carried, and figures.
    let screen = terminal.shows("█");
    let pult = screen.lines().find(|line| line.contains("Pult ")).expect("a row").to_owned();
    assert!(pult.contains("on air") && pult.contains("31") && pult.contains("51"), "{screen}");

    // Rows are by name: two vans, then this one.
    terminal.press(&["End"]);
    terminal.shows("Main: on air");
    terminal.press(&["x"]);
    terminal.shows("Take off air Pult (on air)? y/N");
    terminal.press(&["n"]);
    terminal.shows("nothing was sent");
    assert_eq!(field.on_air.phase(), "on-air");
    terminal.press(&["x", "y"]);
    terminal.shows("stop Pult: done");
    terminal.shows("3 boxes: 1 offline");
    assert_eq!(field.on_air.phase(), "off-air");
    terminal.press(&["a", "s", "y"]);
    terminal.shows("start: 2 of 3 done; offline: OB van 3");
    terminal.shows("3 boxes: 2 on air, 1 offline");
    terminal.press(&["q"]);
    let screen = terminal.shows("ended with 0");
    assert!(!screen.contains("q quit"), "the terminal is given back: {screen}");
    assert_eq!(kept_requests(&field.broker), Vec::<String>::new());
}

#[test]
fn what_is_not_known_is_not_shown_as_known() {
    if !has_programs() {
        return;
    }
    let mut field = Field::start();
    let terminal = Terminal::run(field.folder(), "watch");
    terminal.shows("3 boxes: 1 on air, 1 offline");
    field.broker.kill();
    terminal.shows("no connection:");
    terminal.shows("3 boxes: 3 not known");
    field.broker.start_again();
    // The third box told its state to the old broker only.
    terminal.shows("3 boxes: 1 on air, 1 not known");
    terminal.press(&["q"]);
    terminal.shows("ended with 0");
}

#[test]
fn ctrl_c_ends_watch_and_gives_the_terminal_back() {
    if !has_programs() {
        return;
    }
    let field = Field::start();
    let terminal = Terminal::run(field.folder(), "watch --tag stage-right");
    terminal.shows("1 box: 1 on air");
    terminal.press(&["C-c"]);
    terminal.shows("ended with 0");
}
