//! How `watch` looks. It fits 80 columns and 24 lines; wider terminals give names and faults more room.

use super::rows::{KEYS, Rows, headline};
use crate::{
    desk::{
        fleet::Fleet,
        seen::Seen,
        words::{delivery, public, said, state},
    },
    status::Severity,
    units::Time,
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Table, TableState},
};

/// Columns of the sparkline: a second each.
const SPARK: usize = 10;
/// Lines that tell of the box under the cursor.
const DETAIL: u16 = 6;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws it all; `lost`: why there is no connection.
pub fn draw(frame: &mut Frame<'_>, fleet: &Fleet, rows: &Rows, lost: Option<&str>, now: Time) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(DETAIL),
        Constraint::Length(1),
        Constraint::Length(KEYS.len() as u16),
    ])
    .areas::<5>(frame.area());
    let [head, body, detail, message, keys] = areas;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::styled(format!("Fieldcast  {}", headline(fleet, rows.ids(), now)), bold), head);
    table(frame, body, fleet, rows, now);
    if let Some(seen) = rows.ids().get(rows.cursor()).and_then(|id| fleet.get(id)) {
        frame.render_widget(Paragraph::new(details(seen, now)), detail);
    }
    let said = match (rows.question(), lost) {
        (Some(question), _) => Line::styled(question, Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD)),
        (None, Some(lost)) => Line::styled(format!("no connection: {lost}"), Style::new().fg(Color::Red)),
        (None, None) => Line::raw(rows.message.as_str()),
    };
    frame.render_widget(said, message);
    let dim = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(Paragraph::new(KEYS.map(|line| Line::styled(line, dim)).to_vec()), keys);
}

fn table(frame: &mut Frame<'_>, area: Rect, fleet: &Fleet, rows: &Rows, now: Time) {
    let head = ["", "box", "state", "signal", "Mbit/s", "last 10 s", "RTT", "queue", "°C", "faults"];
    let widths = [
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(12),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(SPARK as u16),
        Constraint::Length(4),
        Constraint::Length(5),
        Constraint::Length(3),
        Constraint::Length(6),
    ];
    let lines = rows.ids().iter().filter_map(|id| fleet.get(id)).map(|seen| row(seen, rows.is_marked(seen.id()), now));
    let table = Table::new(lines, widths)
        .header(Row::new(head).style(Style::new().add_modifier(Modifier::UNDERLINED)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected((!rows.ids().is_empty()).then(|| rows.cursor()));
    frame.render_stateful_widget(table, area, &mut state);
}

fn row(seen: &Seen, marked: bool, now: Time) -> Row<'static> {
    let online = seen.online(now);
    let phase = seen.phase().filter(|_| online);
    let colour = match phase.as_deref() {
        Some("on-air") => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Some("reconnecting" | "starting" | "previewing" | "stopping") => Style::new().fg(Color::Yellow),
        _ if online => Style::new(),
        _ => Style::new().add_modifier(Modifier::DIM),
    };
    let uplinks = if online { seen.uplinks() } else { Vec::new() };
    let number = |figure: Option<u64>| figure.map_or_else(String::new, |figure| figure.to_string());
    let rate = uplinks.first().and_then(|uplink| uplink.bitrate);
    let cells = [
        Cell::from(if marked { "*" } else { "" }),
        Cell::from(seen.name()),
        Cell::from(Span::styled(state(seen, now), colour)),
        Cell::from(seen.signal().filter(|_| online).map(|signal| signal_text(&signal)).unwrap_or_default()),
        Cell::from(
            Line::raw(rate.map_or_else(String::new, |bits| format!("{:.2}", bits as f64 / 1e6))).right_aligned(),
        ),
        Cell::from(if online { spark(seen) } else { String::new() }),
        Cell::from(Line::raw(number(uplinks.iter().filter_map(|uplink| uplink.rtt_ms).max())).right_aligned()),
        Cell::from(Line::raw(number(uplinks.iter().filter_map(|uplink| uplink.queue_ms).max())).right_aligned()),
        Cell::from(
            Line::raw(seen.temperature().filter(|_| online).map_or_else(String::new, |t| format!("{t:.0}")))
                .right_aligned(),
        ),
        faults(seen, online),
    ];
    Row::new(cells)
}

/// A signal's word in nine columns.
fn signal_text(signal: &str) -> String {
    if signal == "out-of-range" { "range".into() } else { said(signal) }
}

fn faults(seen: &Seen, online: bool) -> Cell<'static> {
    let troubles = if online { seen.troubles() } else { Vec::new() };
    let Some(worst) = troubles.first() else { return Cell::from("") };
    let (word, colour) = match worst.severity {
        Severity::Notice => ("note", Color::Reset),
        Severity::Warning => ("warn", Color::Yellow),
        Severity::Error => ("err", Color::Red),
    };
    Cell::from(Span::styled(format!("{} {word}", troubles.len()), Style::new().fg(colour)))
}

/// The last seconds' rates as bars, the newest on the right, the highest of what is kept being full.
fn spark(seen: &Seen) -> String {
    let rates = seen.rates();
    let most = rates.iter().copied().max().unwrap_or(0).max(1);
    let last = rates.iter().skip(rates.len().saturating_sub(SPARK));
    let bars: String = last.map(|rate| if *rate == 0 { ' ' } else { BARS[(*rate * 7 / most) as usize] }).collect();
    format!("{bars:>SPARK$}")
}

/// More of one box: who it is, its deliveries, and what is wrong with it.
fn details(seen: &Seen, now: Time) -> Vec<Line<'static>> {
    let about = [Some(seen.id().to_owned()), seen.board(), seen.version(), seen.address()];
    let about: Vec<_> = about.into_iter().flatten().collect();
    let mut lines = vec![Line::styled(
        format!("{}  {}", seen.name(), about.join("  ")),
        Style::new().add_modifier(Modifier::UNDERLINED),
    )];
    if !seen.online(now) {
        lines.push(Line::raw(state(seen, now)));
        return lines;
    }
    for uplink in seen.uplinks() {
        lines.push(Line::raw(format!("{}: {}", uplink.source, delivery(&uplink).join(", "))));
    }
    if let Some(broadcast) = seen.broadcast() {
        lines.push(Line::raw(format!("Broadcast: {}", public(&broadcast).join(", "))));
    }
    for trouble in seen.troubles() {
        lines.push(Line::raw(format!("{}. {}", trouble.text, trouble.advice)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::{
        pick::Choice,
        seen::{
            Told,
            tests::{any_json, at, seen},
        },
    };
    use proptest::prelude::*;
    use ratatui::{
        Terminal,
        backend::TestBackend,
        crossterm::event::{KeyCode, KeyEvent},
    };
    use serde_json::json;

    fn picture(fleet: &Fleet, rows: &Rows, lost: Option<&str>, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, fleet, rows, lost, at(20))).expect("drawn");
        terminal.backend().to_string()
    }

    fn all() -> Choice {
        Choice { all: true, ..Choice::default() }
    }

    /// Three boxes: one on air with a fault, one that is off air and one that is offline.
    fn fleet() -> Fleet {
        let mut fleet = Fleet::default();
        let mut on_air = seen().document(at(0));
        on_air["faults"] = json!([{
            "severity": "warning",
            "text": "The network is slow",
            "advice": "Move the modem, or lower output.bitrate-max",
        }]);
        fleet.hear("fc-1a2b3c4d", Told::Status { document: on_air, live: true }, at(0));
        for second in 0..14 {
            let uplink = json!({"source": "Main", "bitrate": (second % 8) * 500_000, "rtt-ms": 31, "queue-ms": 1200});
            let stats = json!({"uplinks": [uplink], "temperature-c": 51.4});
            fleet.hear("fc-1a2b3c4d", Told::Stats(stats), at(second));
        }
        let off_air = json!({"name": "Pult", "phase": "off-air", "input": {"signal": "no-cable"}, "faults": [{
            "severity": "error", "text": "Nothing is plugged into HDMI", "advice": "Plug the HDMI cable in",
        }]});
        fleet.hear("fc-2", Told::Status { document: off_air, live: true }, at(1));
        let gone = json!({"name": "A box with a name that is far too long", "phase": "on-air"});
        fleet.hear("fc-3", Told::Status { document: gone, live: false }, at(2));
        for (id, online) in [("fc-1a2b3c4d", true), ("fc-2", true), ("fc-3", false)] {
            fleet.hear(id, Told::Availability(online), at(3));
        }
        fleet
    }

    #[test]
    fn a_small_terminal_shows_what_counts() {
        let fleet = fleet();
        let mut rows = Rows::default();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/watch"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let _bound = settings.bind_to_scope();
        rows.refresh(&fleet, &all());
        rows.press(KeyCode::Down.into(), &fleet, at(20));
        rows.message = "start: 1 of 1 done".into();
        insta::assert_snapshot!("small", picture(&fleet, &rows, None, (80, 24)));
        rows.press(KeyEvent::from(KeyCode::Char('a')), &fleet, at(20));
        rows.press(KeyEvent::from(KeyCode::Char('x')), &fleet, at(20));
        insta::assert_snapshot!("question", picture(&fleet, &rows, None, (80, 24)));
        let lost = Some("the broker does not answer");
        insta::assert_snapshot!("wide-and-lost", picture(&fleet, &Rows::default(), lost, (120, 12)));
    }

    #[test]
    fn a_fleet_is_scrolled_to_the_cursor() {
        let mut fleet = Fleet::default();
        for number in 0..50 {
            fleet.hear(&format!("fc-{number:02}"), Told::Availability(true), at(0));
        }
        let mut rows = Rows::default();
        rows.refresh(&fleet, &all());
        rows.press(KeyCode::End.into(), &fleet, at(20));
        let text = picture(&fleet, &rows, None, (80, 24));
        assert!(text.contains("fc-49") && !text.contains("fc-00") && text.contains("50 boxes"), "{text}");
    }

    proptest! {
        #[test]
        fn any_box_is_drawn_on_any_terminal(document in any_json(), width in 1_u16..200, height in 1_u16..60) {
            let mut fleet = Fleet::default();
            fleet.hear("fc-1", Told::Stats(document.clone()), at(0));
            fleet.hear("fc-1", Told::Status { document, live: true }, at(0));
            let mut rows = Rows::default();
            rows.refresh(&fleet, &all());
            prop_assert!(!picture(&fleet, &rows, None, (width, height)).is_empty());
        }
    }
}
