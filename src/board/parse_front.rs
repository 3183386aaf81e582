//! The front panel of a board file: `[display]`, `[[button]]` and `[[lamp]]`, as strict as the rest.

use super::{
    Button, ButtonPlace, ButtonRole, Display, DisplayKind, KeypadColour, KeypadKey, Lamp, LampPlace, Lcd,
    LcdController, Line, Oled, OledController, Pattern, Tally,
    parse::{Refusal, refuse, text},
};
use crate::units::Span;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// One table for all kinds, so that a field of another kind is refused with its line.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawDisplay {
    kind: RawKind,
    device: Option<PathBuf>,
    address: Option<u32>,
    rotate: Option<u32>,
    clock: Option<String>,
    data_command: Option<Line>,
    reset: Option<Line>,
    backlight: Option<Line>,
    size: Option<String>,
    offset: Option<[u32; 2]>,
    inverted: Option<bool>,
    file: Option<PathBuf>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum RawKind {
    Ssd1306,
    Ssd1309,
    Sh1106,
    St7789,
    Ili9341,
    Framebuffer,
    Cfa635,
    Png,
    Terminal,
}

impl RawKind {
    /// As the file says it, and the fields beside `kind` that it has.
    fn fields(self) -> (&'static str, &'static [&'static str]) {
        const OLED: &[&str] = &["device", "address", "rotate"];
        const LCD: &[&str] =
            &["device", "rotate", "clock", "data-command", "reset", "backlight", "size", "offset", "inverted"];
        match self {
            Self::Ssd1306 => ("ssd1306", OLED),
            Self::Ssd1309 => ("ssd1309", OLED),
            Self::Sh1106 => ("sh1106", OLED),
            Self::St7789 => ("st7789", LCD),
            Self::Ili9341 => ("ili9341", LCD),
            Self::Framebuffer => ("framebuffer", &["device", "rotate"]),
            Self::Cfa635 => ("cfa635", &["device"]),
            Self::Png => ("png", &["file"]),
            Self::Terminal => ("terminal", &["device"]),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawButton {
    role: ButtonRole,
    key: Option<String>,
    device: Option<String>,
    line: Option<Line>,
    debounce: Option<Span>,
    keypad: Option<KeypadKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawLamp {
    led: Option<String>,
    line: Option<Line>,
    keypad: Option<RawKeypadLamp>,
    on_air: Option<RawPattern>,
    trouble: Option<RawPattern>,
    ready: Option<RawPattern>,
    attention: Option<RawPattern>,
    identify: Option<RawPattern>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawKeypadLamp {
    number: u32,
    colour: KeypadColour,
}

/// `"on"` or `{ blink = "250 ms" }`.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum RawPattern {
    On,
    Blink(Span),
}

/// The checked front panel.
#[derive(Debug)]
pub(super) struct Front {
    pub display: Option<Display>,
    pub buttons: Vec<Button>,
    pub lamps: Vec<Lamp>,
}

/// Checks the three parts, and that no line, key or lamp is used twice.
pub(super) fn check(
    display: Option<RawDisplay>,
    buttons: Vec<RawButton>,
    lamps: Vec<RawLamp>,
) -> Result<Front, Refusal> {
    let display = display.map(self::display).transpose()?;
    let keypad = matches!(display, Some(Display { kind: DisplayKind::Cfa635 { .. }, .. }));
    let mut lines: Vec<(&Path, u32)> = Vec::new();
    if let Some(Display { kind: DisplayKind::Lcd(lcd), .. }) = &display {
        let given = [("data-command", Some(&lcd.data_command)), ("reset", lcd.reset.as_ref())];
        for (field, line) in given.into_iter().chain([("backlight", lcd.backlight.as_ref())]) {
            if let Some(line) = line {
                take(&format!("display.{field}"), line, &mut lines)?;
            }
        }
    }
    let buttons: Vec<Button> = (buttons.into_iter().enumerate())
        .map(|(index, raw)| button(&format!("button[{index}]"), raw, keypad))
        .collect::<Result<_, _>>()?;
    for (index, button) in buttons.iter().enumerate() {
        let field = match &button.place {
            ButtonPlace::Key { .. } => "key",
            ButtonPlace::Line { line, .. } => {
                take(&format!("button[{index}].line"), line, &mut lines)?;
                continue;
            }
            ButtonPlace::Keypad(_) => "keypad",
        };
        if buttons[..index].iter().any(|other| other.place == button.place) {
            return refuse(format!("button[{index}].{field}"), "another button has this key already");
        }
    }
    if !buttons.is_empty() && !buttons.iter().any(|button| button.role == ButtonRole::Go) {
        return refuse("button", "expected one with role = \"go\": without it nothing goes on air");
    }
    let lamps: Vec<Lamp> = (lamps.into_iter().enumerate())
        .map(|(index, raw)| lamp(&format!("lamp[{index}]"), raw, keypad))
        .collect::<Result<_, _>>()?;
    for (index, lamp) in lamps.iter().enumerate() {
        let field = match &lamp.place {
            LampPlace::Led(_) => "led",
            LampPlace::Line(line) => {
                take(&format!("lamp[{index}].line"), line, &mut lines)?;
                continue;
            }
            LampPlace::Keypad { .. } => "keypad",
        };
        if lamps[..index].iter().any(|other| other.place == lamp.place) {
            return refuse(format!("lamp[{index}].{field}"), "another [[lamp]] is this one already");
        }
    }
    Ok(Front { display, buttons, lamps })
}

/// A GPIO line that nothing else of the board uses, as the kernel gives it to one request only.
fn take<'a>(at: &str, line: &'a Line, taken: &mut Vec<(&'a Path, u32)>) -> Result<(), Refusal> {
    if !is_node(&line.chip) {
        let text = format!("expected the chip's node, such as \"/dev/gpiochip0\", got {:?}", line.chip);
        return refuse(format!("{at}.chip"), text);
    }
    if taken.contains(&(&line.chip, line.line)) {
        return refuse(at, "this line of the chip is used already");
    }
    taken.push((&line.chip, line.line));
    Ok(())
}

fn is_node(path: &Path) -> bool {
    path.strip_prefix("/dev").is_ok_and(|rest| {
        rest.file_name().is_some() && rest.components().all(|part| matches!(part, std::path::Component::Normal(_)))
    })
}

fn display(raw: RawDisplay) -> Result<Display, Refusal> {
    let (kind, fields) = raw.kind.fields();
    let given = [
        ("device", raw.device.is_some()),
        ("address", raw.address.is_some()),
        ("rotate", raw.rotate.is_some()),
        ("clock", raw.clock.is_some()),
        ("data-command", raw.data_command.is_some()),
        ("reset", raw.reset.is_some()),
        ("backlight", raw.backlight.is_some()),
        ("size", raw.size.is_some()),
        ("offset", raw.offset.is_some()),
        ("inverted", raw.inverted.is_some()),
        ("file", raw.file.is_some()),
    ];
    if let Some((field, _)) = given.iter().find(|(field, given)| *given && !fields.contains(field)) {
        return refuse(format!("display.{field}"), format!("a display of kind = \"{kind}\" has no `{field}`"));
    }
    // A monochrome OLED turns its picture by half a turn at most: its memory has pages of eight rows.
    let oled = matches!(raw.kind, RawKind::Ssd1306 | RawKind::Ssd1309 | RawKind::Sh1106);
    let (turns, expected): (&[u32], _) =
        if oled { (&[0, 180], "0 or 180") } else { (&[0, 90, 180, 270], "0, 90, 180 or 270") };
    let rotate = raw.rotate.unwrap_or(0);
    if !turns.contains(&rotate) {
        return refuse("display.rotate", format!("expected {expected} degrees, got {rotate}"));
    }
    let node = |device: Option<PathBuf>, example: &str| match device {
        Some(device) if is_node(&device) => Ok(device),
        Some(device) => refuse("display.device", format!("expected a path under /dev, got {device:?}")),
        None => refuse("display", format!("expected device = \"{example}\"")),
    };
    let kind = match raw.kind {
        RawKind::Ssd1306 | RawKind::Ssd1309 | RawKind::Sh1106 => DisplayKind::Oled(Oled {
            controller: match raw.kind {
                RawKind::Ssd1309 => OledController::Ssd1309,
                RawKind::Sh1106 => OledController::Sh1106,
                _ => OledController::Ssd1306,
            },
            bus: node(raw.device, "/dev/i2c-1")?,
            address: match raw.address.unwrap_or(0x3c) {
                address @ (0x3c | 0x3d) => address as u8,
                other => return refuse("display.address", format!("expected 0x3c or 0x3d, got {other:#x}")),
            },
        }),
        RawKind::St7789 | RawKind::Ili9341 => lcd(raw, node)?,
        RawKind::Framebuffer => DisplayKind::Framebuffer { device: node(raw.device, "/dev/fb0")? },
        RawKind::Cfa635 => DisplayKind::Cfa635 { port: node(raw.device, "/dev/serial/by-id/usb-Crystalfontz_...")? },
        RawKind::Png => match raw.file {
            Some(file) if !file.is_absolute() || file.extension().is_none_or(|extension| extension != "png") => {
                return refuse("display.file", format!("expected a path such as \"/tmp/panel.png\", got {file:?}"));
            }
            file => DisplayKind::Png { file },
        },
        RawKind::Terminal => DisplayKind::Terminal { device: node(raw.device, "/dev/tty1")? },
    };
    Ok(Display { kind, rotate: rotate as u16 })
}

fn lcd(
    raw: RawDisplay,
    node: impl Fn(Option<PathBuf>, &str) -> Result<PathBuf, Refusal>,
) -> Result<DisplayKind, Refusal> {
    let Some(data_command) = raw.data_command else {
        let line = "{ chip = \"/dev/gpiochip0\", line = 25 }";
        return refuse("display", format!("expected data-command = {line}, which tells commands from data"));
    };
    // Shortest write cycles: 66 ns (ILI9341 datasheet 18.3.4 says 100 ns; what is sold takes more), 16 ns (ST7789V
    // datasheet 7.4.3). Wires of some centimetres carry 32 MHz.
    let (controller, clock) = match raw.kind {
        RawKind::Ili9341 => (LcdController::Ili9341, 10_000_000),
        _ => (LcdController::St7789, 32_000_000),
    };
    // The memory of both: 240 columns, 320 rows.
    let size = match raw.size.as_deref() {
        None => (240, 320),
        Some(text) => match text.split_once('x').map(|(width, height)| (width.parse(), height.parse())) {
            Some((Ok(width @ 1..=240), Ok(height @ 1..=320))) => (width, height),
            _ => return refuse("display.size", format!("expected a size of \"1x1\" to \"240x320\", got {text:?}")),
        },
    };
    let [left, top] = raw.offset.unwrap_or_default();
    if left > 240 - u32::from(size.0) || top > 320 - u32::from(size.1) {
        let text = format!("expected the glass within 240 columns and 320 rows, got [{left}, {top}]");
        return refuse("display.offset", text);
    }
    Ok(DisplayKind::Lcd(Lcd {
        controller,
        bus: node(raw.device, "/dev/spidev0.0")?,
        clock: raw.clock.map_or(Ok(clock), |text| hertz(&text))?,
        data_command,
        reset: raw.reset,
        backlight: raw.backlight,
        size,
        offset: (left as u16, top as u16),
        inverted: raw.inverted.unwrap_or(false),
    }))
}

/// `"32 MHz"` or `"500 kHz"`, 100 kHz to 100 MHz.
fn hertz(text: &str) -> Result<u32, Refusal> {
    let of = |(number, unit): (&str, &str)| {
        let factor = [("kHz", 1e3), ("MHz", 1e6)].into_iter().find(|(name, _)| *name == unit)?.1;
        Some(number.parse::<f64>().ok()? * factor)
    };
    match text.split_once(' ').and_then(of) {
        Some(hertz) if (1e5..=1e8).contains(&hertz) => Ok(hertz as u32),
        _ => refuse("display.clock", format!("expected \"100 kHz\" to \"100 MHz\", got {text:?}")),
    }
}

fn button(at: &str, raw: RawButton, keypad: bool) -> Result<Button, Refusal> {
    let given = [("key", raw.key.is_some()), ("line", raw.line.is_some()), ("keypad", raw.keypad.is_some())];
    one_of(at, &given, "key = \"KEY_...\", line = { ... } and keypad = \"...\"")?;
    let stray = [
        ("device", raw.device.is_some() && raw.key.is_none(), "key"),
        ("debounce", raw.debounce.is_some() && raw.line.is_none(), "line"),
    ];
    if let Some((field, _, of)) = stray.iter().find(|(_, given, _)| *given) {
        return refuse(format!("{at}.{field}"), format!("only a button with `{of}` has `{field}`"));
    }
    let place = if let Some(key) = raw.key {
        if key.parse::<evdev::KeyCode>().is_err() {
            let expected = "expected a name of linux/input-event-codes.h such as \"KEY_ENTER\"";
            return refuse(format!("{at}.key"), format!("{expected}, got {key:?}"));
        }
        ButtonPlace::Key { key, device: raw.device.map(|name| text(&format!("{at}.device"), name)).transpose()? }
    } else if let Some(line) = raw.line {
        let debounce = raw.debounce.unwrap_or(Span::from_millis(10));
        if !(1..=100).contains(&debounce.duration().as_millis()) {
            let text = format!("expected a time from \"1 ms\" to \"100 ms\", got \"{debounce}\"");
            return refuse(format!("{at}.debounce"), text);
        }
        ButtonPlace::Line { line, debounce }
    } else {
        on_keypad(at, keypad)?;
        ButtonPlace::Keypad(raw.keypad.unwrap_or(KeypadKey::Enter))
    };
    Ok(Button { role: raw.role, place })
}

fn lamp(at: &str, raw: RawLamp, keypad: bool) -> Result<Lamp, Refusal> {
    let given = [("led", raw.led.is_some()), ("line", raw.line.is_some()), ("keypad", raw.keypad.is_some())];
    one_of(at, &given, "led = \"...\", line = { ... } and keypad = { ... }")?;
    let place = match (raw.led, raw.line, raw.keypad) {
        // A folder's name, and nothing that leads out of /sys/class/leds.
        (Some(led), ..)
            if led.is_empty() || led.starts_with('.') || led.contains(|c: char| c == '/' || c.is_control()) =>
        {
            return refuse(format!("{at}.led"), format!("expected a name of /sys/class/leds, got {led:?}"));
        }
        (Some(led), ..) => LampPlace::Led(led),
        (_, Some(line), _) => LampPlace::Line(line),
        (.., lamp) => {
            on_keypad(at, keypad)?;
            let Some(RawKeypadLamp { number: number @ 1..=4, colour }) = lamp else {
                let got = lamp.map(|lamp| lamp.number).unwrap_or_default();
                return refuse(format!("{at}.keypad.number"), format!("expected 1 to 4, from the top, got {got}"));
            };
            LampPlace::Keypad { number: number as u8, colour }
        }
    };
    let named = [
        ("on-air", Tally::OnAir, raw.on_air),
        ("trouble", Tally::Trouble, raw.trouble),
        ("ready", Tally::Ready, raw.ready),
        ("attention", Tally::Attention, raw.attention),
        ("identify", Tally::Identify, raw.identify),
    ];
    let mut patterns = BTreeMap::new();
    for (field, tally, pattern) in named {
        match pattern {
            None => continue,
            Some(RawPattern::On) => patterns.insert(tally, Pattern::On),
            Some(RawPattern::Blink(half)) if (50..=5000).contains(&half.duration().as_millis()) => {
                patterns.insert(tally, Pattern::Blink { half })
            }
            Some(RawPattern::Blink(half)) => {
                let text = format!("expected a time from \"50 ms\" to \"5 s\", got \"{half}\"");
                return refuse(format!("{at}.{field}.blink"), text);
            }
        };
    }
    if patterns.is_empty() {
        let names = named.map(|(name, ..)| format!("`{name}`")).join(", ");
        return refuse(at, format!("expected one or more of {names} = \"on\" or {{ blink = \"250 ms\" }}"));
    }
    Ok(Lamp { place, patterns })
}

fn one_of(at: &str, given: &[(&str, bool)], all: &str) -> Result<(), Refusal> {
    let given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(field, _)| *field).collect();
    match given.as_slice() {
        [_] => Ok(()),
        [] => refuse(at, format!("expected one of {all}")),
        [.., second] => refuse(format!("{at}.{second}"), format!("expected only one of {all}")),
    }
}

fn on_keypad(at: &str, keypad: bool) -> Result<(), Refusal> {
    if keypad {
        return Ok(());
    }
    refuse(format!("{at}.keypad"), "only a board whose [display] is of kind = \"cfa635\" has a keypad")
}
