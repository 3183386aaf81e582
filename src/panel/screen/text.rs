//! Screens of 20x4 characters. Displays of characters agree on ASCII only, so accents become plain letters.

use super::{
    Scene,
    live::Running,
    overlay, pages,
    pen::Tone,
    sheet::{Line, Mark, window, wrap},
    words,
};
use crate::{
    control::{
        Now,
        menu::{List, Page},
    },
    panel::canvas::TEXT,
};

/// Characters of a display.
pub type Grid = [[char; TEXT.0]; TEXT.1];

const COLUMNS: usize = TEXT.0;

/// The nearest of ASCII, or a question mark.
pub fn plain(letter: char) -> &'static str {
    match letter {
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ª' => "a",
        'Æ' => "AE",
        'æ' => "ae",
        'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' => "C",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'Ð' | 'Ď' | 'Đ' => "D",
        'ð' | 'ď' | 'đ' => "d",
        'È'..='Ë' | 'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' => "E",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'Ĥ' | 'Ħ' => "H",
        'ĥ' | 'ħ' => "h",
        'Ì'..='Ï' | 'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' => "I",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'Ĵ' => "J",
        'ĵ' => "j",
        'Ķ' => "K",
        'ķ' => "k",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ł' => "L",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'Ñ' | 'Ń' | 'Ņ' | 'Ň' => "N",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ŏ' | 'Ő' => "O",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'º' => "o",
        'Œ' => "OE",
        'œ' => "oe",
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'Ś' | 'Ŝ' | 'Ş' | 'Š' | 'Ș' => "S",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'Ţ' | 'Ť' | 'Ț' => "T",
        'ţ' | 'ť' | 'ț' => "t",
        'Þ' => "Th",
        'þ' => "th",
        'Ù'..='Ü' | 'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' => "U",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'Ŵ' => "W",
        'ŵ' => "w",
        'Ý' | 'Ÿ' | 'Ŷ' => "Y",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'ź' | 'ż' | 'ž' => "z",
        '…' => "...",
        '–' | '—' => "-",
        '‘' | '’' | '´' => "'",
        '“' | '”' | '«' | '»' => "\"",
        '×' => "x",
        '°' => "",
        '€' => "EUR",
        _ => "?",
    }
}

/// `text` in printable ASCII; at most 500 letters of it.
fn ascii(text: &str) -> String {
    let mut plain_text = String::new();
    for letter in text.chars().take(500) {
        match letter {
            ' '..='~' => plain_text.push(letter),
            '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{ad}' => {}
            letter if letter.is_whitespace() || letter.is_control() => plain_text.push(' '),
            letter => plain_text.push_str(plain(letter)),
        }
    }
    plain_text
}

fn measure(text: &str) -> i32 {
    text.chars().count() as i32
}

/// `text` in `width` characters; one that is longer ends in dots.
fn fit(text: &str, width: usize) -> String {
    let mut text = ascii(text);
    if text.len() > width {
        text.truncate(width.saturating_sub(2));
        text = text.trim_end().to_string() + &".."[..width.min(2)];
    }
    text
}

/// Rows that are filled one by one.
struct Rows {
    grid: Grid,
}

impl Rows {
    fn new() -> Self {
        Self { grid: [[' '; COLUMNS]; TEXT.1] }
    }

    fn put(&mut self, row: usize, column: usize, text: &str) {
        let Some(cells) = self.grid.get_mut(row) else { return };
        for (cell, letter) in cells.iter_mut().skip(column).zip(text.chars()) {
            *cell = letter;
        }
    }

    /// `left` at the left and `right` at the right, which is never cut.
    fn pair(&mut self, row: usize, left: &str, right: &str) {
        let right = fit(right, COLUMNS);
        let gap = usize::from(!right.is_empty());
        self.put(row, 0, &fit(left, (COLUMNS - right.len()).saturating_sub(gap)));
        self.put(row, COLUMNS - right.len(), &right);
    }

    fn middle(&mut self, row: usize, text: &str) {
        let text = fit(text, COLUMNS);
        self.put(row, (COLUMNS - text.len()) / 2, &text);
    }

    fn clear(&mut self, rows: std::ops::Range<usize>) {
        self.grid[rows].fill([' '; COLUMNS]);
    }
}

/// Draws `scene`.
pub fn draw(scene: &Scene, now: Now) -> Grid {
    let mut rows = Rows::new();
    match scene {
        Scene::Splash { version } => {
            rows.middle(1, "FIELDCAST");
            rows.middle(2, &format!("{version} starts"));
        }
        Scene::Failed(text) => {
            let (lines, seen) = failed_lines(text);
            let parts = lines.len().div_ceil(seen);
            let shown = overlay::part(parts, now.time);
            rows.pair(0, "CANNOT START", &if parts > 1 { format!("{}/{parts}", shown + 1) } else { String::new() });
            for (row, line) in lines.iter().skip(shown * seen).take(seen).enumerate() {
                rows.put(row + 1, 0, line);
            }
        }
        Scene::Running { status, view, .. } => {
            running(&mut rows, Running { status, view, thumbnail: None, now });
        }
        Scene::Stopped => rows.middle(1, "STOPPED"),
    }
    rows.grid
}

/// The lines of a start-up error and how many of them are seen at once.
pub fn failed_lines(text: &str) -> (Vec<String>, usize) {
    let lines = text.lines().take(40).flat_map(|line| wrap(&ascii(line), COLUMNS as i32, &measure)).collect();
    (lines, TEXT.1 - 1)
}

fn running(rows: &mut Rows, running: Running<'_>) {
    let Running { status, view, now, .. } = running;
    if let Some(reset) = &view.reset {
        words::reset(reset, now).iter().enumerate().for_each(|(row, text)| rows.middle(row, text));
        return;
    }
    if view.identify {
        if (now.time.millis() / overlay::FLASH).is_multiple_of(2) {
            rows.grid = [['*'; COLUMNS]; TEXT.1];
        }
        rows.clear(1..3);
        rows.middle(1, &status.name);
        rows.middle(2, &status.id);
        return;
    }
    if let Some(pin) = &view.pin {
        let (digits, left) = words::pin(pin, now);
        rows.middle(0, "Pair with");
        rows.middle(1, &digits);
        rows.middle(3, &left);
        return;
    }
    if let Some((text, percent)) =
        words::update(status).filter(|_| super::shows_update(status, view) && view.notice.is_none())
    {
        rows.middle(0, &text);
        let inside = COLUMNS - 2;
        let filled = inside * usize::from(percent.unwrap_or(0).min(100)) / 100;
        rows.put(1, 0, &format!("[{:<inside$}]", "#".repeat(filled)));
        rows.middle(3, &percent.map_or_else(|| "restarts by itself".into(), |percent| format!("{percent} %")));
        return;
    }
    let head = words::headline(status, now);
    let state = head.tag.unwrap_or(head.word);
    if let Some(choices) = &view.list {
        list(rows, choices);
    } else if view.page == Page::Live {
        live(rows, running, &head);
    } else {
        rows.pair(0, pages::title(view.page), if view.locked { "LOCKED" } else { state });
        let sheet = pages::sheet(status, view, now);
        let lines = sheet.lines(COLUMNS as i32, &measure, &|text| ascii(text));
        let seen = window(lines.len(), TEXT.1 - 1, sheet.scrolled(view.scroll));
        for (row, at) in seen.enumerate() {
            line(rows, row + 1, &lines[at]);
        }
    }
    if let Some(hold) = &view.hold {
        rows.clear(1..4);
        rows.middle(1, &hold.text);
        let inside = COLUMNS - 2;
        let filled = (inside as f64 * words::held(hold, now)).round() as usize;
        rows.put(2, 0, &format!("[{:<inside$}]", "#".repeat(filled.min(inside))));
        rows.middle(3, "release to cancel");
    } else if let Some(notice) = &view.notice {
        rows.clear(2..4);
        let text = ascii(&if notice.failed { format!("! {}", notice.text) } else { notice.text.clone() });
        let lines = wrap(&text, COLUMNS as i32, &measure);
        rows.put(2, 0, &lines[0]);
        rows.put(3, 0, &fit(&lines[1..].join(" "), COLUMNS));
    }
}

fn list(rows: &mut Rows, list: &List) {
    rows.put(0, 0, &fit(&list.title, COLUMNS));
    let cursor = list.cursor.min(list.entries.len().saturating_sub(1));
    let seen = window(list.entries.len(), TEXT.1 - 1, cursor.saturating_sub(1));
    for (row, index) in seen.enumerate() {
        let entry = &list.entries[index];
        let pointer = if index == cursor { '>' } else { ' ' };
        let chosen = if entry.chosen { '*' } else { ' ' };
        let remark = entry.remark.as_deref().unwrap_or(if entry.hold { "hold" } else { "" });
        rows.pair(row + 1, &format!("{pointer}{chosen}{}", entry.text), &fit(remark, COLUMNS / 2));
    }
}

fn live(rows: &mut Rows, Running { status, view, now, .. }: Running<'_>, head: &words::Headline) {
    let dark = head.blinks && now.time.millis() / super::live::BLINK % 2 == 1;
    let time = head.time.as_deref().unwrap_or_default();
    let word = match (head.tag, head.tone) {
        (Some(tag), _) => format!("{} {tag}", head.word),
        // Nothing else has stars.
        (None, Tone::Air) => format!("*** {} ***", head.word),
        (None, _) if dark => format!("  {}", head.word),
        (None, _) => format!("> {}", head.word),
    };
    let word = if word.len() + 1 + time.len() > COLUMNS { word.replace("***", "*") } else { word };
    // The state is worth more than how long it has been so.
    rows.pair(0, &word, if word.len() + 1 + time.len() > COLUMNS { "" } else { time });
    match words::flow(status) {
        Some(flow) => {
            let (rate, unit) = words::rate(flow.acknowledged);
            let trend = match flow.trend {
                words::Trend::Rising => '^',
                words::Trend::Steady => '=',
                words::Trend::Falling => 'v',
            };
            rows.pair(
                1,
                &format!("{rate} {unit} {trend}"),
                &format!("q{}", words::queue(flow.queue).0.replace(' ', "")),
            );
        }
        None => match status.input.mode {
            Some(mode) => rows.put(1, 0, &fit(&mode.to_string(), COLUMNS)),
            None => rows.put(1, 0, &fit(&status.input.device, COLUMNS)),
        },
    }
    let levels = words::levels(status);
    if status.program.muted || levels.is_empty() {
        rows.put(2, 0, if status.program.muted { "Sound: MUTED" } else { "No sound" });
    } else {
        let each = COLUMNS / levels.len();
        for (channel, level) in levels.iter().enumerate() {
            let long = each - 3;
            let filled = (long as f64 * level.filled).round() as usize;
            let meter = format!("|{:<long$}{}", "=".repeat(filled.min(long)), if level.clipped { '!' } else { '|' });
            rows.put(2, channel * each, &meter);
        }
    }
    let (text, tone) = words::footer(status, view);
    let mark = if tone == Tone::Faint { "" } else { "! " };
    let locked = if view.locked { "LOCKED" } else { "" };
    rows.pair(3, &format!("{mark}{text}"), locked);
}

fn line(rows: &mut Rows, row: usize, line: &Line) {
    match line {
        Line::Pair(label, value, _) => rows.pair(row, label, value),
        Line::Words(words, _, inward) => rows.put(row, usize::from(*inward) * 2, words),
        Line::Entry(mark, text, remark) => {
            let mark = match mark {
                Mark::Tick => '+',
                Mark::Cross => 'x',
                Mark::Open => '.',
                Mark::Full => '*',
                Mark::None => ' ',
            };
            rows.pair(row, &format!("{mark} {text}"), &fit(remark, COLUMNS / 2));
        }
        Line::Gap => {}
    }
}
