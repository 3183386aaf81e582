//! `fieldcast watch`: the boxes in a live table, and keys that act on them.

mod rows;
mod view;

use super::{
    pick::Choice,
    say,
    session::{Running, Session},
};
use crate::{sys, units::Span};
use ratatui::crossterm::event::{Event, read};
use rows::{Rows, Wish};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IsTerminal as _},
    thread,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// Between two pictures: no eye follows more, and a thousand boxes tell something each second.
const PICTURE: Duration = Duration::from_millis(100);

/// Shows the boxes that are meant by `choice` until the operator has seen enough; with `json` a line for each that changed.
///
/// # Errors
/// For people: there is no terminal.
pub async fn watch(session: &mut Session, choice: &Choice, json: bool, timeout: Option<Span>) -> Result<(), String> {
    session.follow();
    let failed = |error: io::Error| format!("the terminal cannot be used: {error}");
    let mut ended = signal(SignalKind::terminate()).map_err(failed)?;
    if json {
        tokio::select! {
            _ = ended.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
            () = lines(session, choice) => {}
        }
        return Ok(());
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err("watch needs a terminal; --json prints a line for each change".into());
    }
    let mut hung_up = signal(SignalKind::hangup()).map_err(failed)?;
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let mut keys = keys();
    let mut rows = Rows::default();
    let mut running: Vec<Running> = Vec::new();
    let mut drawn = None;
    let end = loop {
        let now = sys::now();
        if drawn.is_none_or(|drawn| now.since(drawn) >= PICTURE) {
            rows.refresh(&session.fleet, choice);
            let lost = session.lost.as_deref();
            if let Err(error) = terminal.draw(|frame| view::draw(frame, &session.fleet, &rows, lost, now)) {
                break Err(failed(error));
            }
            drawn = Some(now);
        }
        let wish = tokio::select! {
            _ = session.step(&mut running) => None,
            event = keys.recv() => match event {
                Some(Event::Key(key)) => {
                    drawn = None;
                    rows.press(key, &session.fleet, sys::now())
                }
                Some(_) => {
                    drawn = None;
                    None
                }
                None => Some(Wish::Quit),
            },
            _ = ended.recv() => Some(Wish::Quit),
            _ = hung_up.recv() => Some(Wish::Quit),
        };
        match wish {
            Some(Wish::Quit) => break Ok(()),
            Some(Wish::Send(order, ids)) => {
                let confirmed: BTreeSet<String> = ids.iter().cloned().collect();
                match session.begin(&order.within(timeout), &ids, &confirmed) {
                    Ok(begun) => running.push(begun),
                    Err(text) => rows.message = text,
                }
            }
            None => {}
        }
        if let Some(latest) = running.last() {
            rows.message = said(latest);
        }
        let over = |running: &mut Running| running.is_over(sys::now());
        for done in running.extract_if(.., over) {
            session.finish(&done);
        }
    };
    ratatui::restore();
    for left in &running {
        session.finish(left);
    }
    end
}

/// How far a command is.
fn said(running: &Running) -> String {
    match running.round.rows().values().next() {
        Some(row) if running.round.rows().len() == 1 => {
            format!("{} {}: {}", running.round.command(), row.name, row.stage.text())
        }
        _ => running.round.summary(),
    }
}

/// What is typed. The thread ends with the program: nothing wakes who waits for a key.
fn keys() -> mpsc::UnboundedReceiver<Event> {
    let (typed, keys) = mpsc::unbounded_channel();
    thread::spawn(move || {
        while let Ok(event) = read() {
            if typed.send(event).is_err() {
                return;
            }
        }
    });
    keys
}

async fn lines(session: &mut Session, choice: &Choice) {
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let now = sys::now();
        for id in choice.pick(&session.fleet.candidates()).unwrap_or_default() {
            let Some(seen) = session.fleet.get(&id) else { continue };
            let line = format!("{}\n", seen.document(now));
            if told.get(&id) != Some(&line) {
                say::out(&line);
                told.insert(id, line);
            }
        }
        let step = async {
            while sys::now().since(now) < PICTURE {
                session.step(&mut []).await;
            }
        };
        step.await;
    }
}
