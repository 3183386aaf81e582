//! The front panel of a board: its display, its buttons and its lamps.

use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The display and how it is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Display {
    /// What it is.
    pub kind: DisplayKind,
    /// How the picture is turned against the glass, clockwise: 0, 90, 180 or 270 degrees.
    pub rotate: u16,
}

/// What a display is.
#[derive(Debug, Clone, PartialEq)]
pub enum DisplayKind {
    /// A monochrome OLED of 128x64 on an I2C bus.
    Oled(Oled),
    /// A colour panel on an SPI bus.
    Lcd(Lcd),
    /// A framebuffer of the kernel, or the one that a DRM driver offers (`/dev/fb0`).
    Framebuffer {
        /// Its node.
        device: PathBuf,
    },
    /// A Crystalfontz CFA635 on a serial port: 20x4 characters, six keys, four lamps.
    Cfa635 {
        /// A path that stays, such as `/dev/serial/by-id/...`.
        port: PathBuf,
    },
    /// A picture file, written anew on each change: for a desk.
    Png {
        /// The file; none: `panel.png` in the state folder.
        file: Option<PathBuf>,
    },
    /// A text terminal, such as the console on `/dev/tty1`.
    Terminal {
        /// Its node.
        device: PathBuf,
    },
}

impl DisplayKind {
    /// Its word on every surface.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Oled(_) => "oled",
            Self::Lcd(_) => "lcd",
            Self::Framebuffer { .. } => "framebuffer",
            Self::Cfa635 { .. } => "cfa635",
            Self::Png { .. } => "png",
            Self::Terminal { .. } => "terminal",
        }
    }

    /// Whether it shows colours, and so pictures of the input.
    pub fn is_colour(&self) -> bool {
        matches!(self, Self::Lcd(_) | Self::Framebuffer { .. } | Self::Png { .. })
    }
}

/// A monochrome OLED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oled {
    /// What drives it.
    pub controller: OledController,
    /// The I2C bus, such as `/dev/i2c-1`.
    pub bus: PathBuf,
    /// 7-bit address: 0x3c or 0x3d.
    pub address: u8,
}

/// Controllers of monochrome OLEDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OledController {
    /// Solomon Systech SSD1306.
    Ssd1306,
    /// Solomon Systech SSD1309: no charge pump.
    Ssd1309,
    /// Sino Wealth SH1106: 132 columns of which 128 are seen, pages only.
    Sh1106,
}

/// A colour panel with a MIPI DCS controller.
#[derive(Debug, Clone, PartialEq)]
pub struct Lcd {
    /// What drives it.
    pub controller: LcdController,
    /// The SPI device, such as `/dev/spidev0.0`.
    pub bus: PathBuf,
    /// SPI clock, Hz.
    pub clock: u32,
    /// Tells commands from data.
    pub data_command: Line,
    /// Resets the controller while it is on: low means on with all that are known.
    pub reset: Option<Line>,
    /// Switches the light on.
    pub backlight: Option<Line>,
    /// Width and height of the glass before it is turned, pixels.
    pub size: (u16, u16),
    /// Where the glass begins in the controller's memory, columns and rows.
    pub offset: (u16, u16),
    /// Whether the controller has to invert colours, as IPS glass wants.
    pub inverted: bool,
}

/// Controllers of colour panels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LcdController {
    /// Sitronix ST7789.
    St7789,
    /// Ilitek ILI9341.
    Ili9341,
}

/// A GPIO line of the kernel's character device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Line {
    /// `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// Offset of the line on the chip.
    pub line: u32,
    /// Whether low means on: pressed, or lit.
    #[serde(default)]
    pub active_low: bool,
}

/// What a button does. A board has one to five of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ButtonRole {
    /// Held: go on air; held longer: stop. The only button of a board also turns pages and chooses.
    Go,
    /// The page or the entry before.
    Up,
    /// The next page or entry.
    Down,
    /// Opens a page's choices, and chooses.
    Enter,
    /// Leaves them.
    Back,
}

/// A button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// What it does.
    pub role: ButtonRole,
    /// Where it is.
    pub place: ButtonPlace,
}

/// Where a button is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ButtonPlace {
    /// A key of an input device (evdev).
    Key {
        /// The key's name in linux/input-event-codes.h, such as `"KEY_ENTER"`.
        key: String,
        /// A part of the input device's name; none: any device that has the key.
        device: Option<String>,
    },
    /// A GPIO line that no driver of the kernel takes.
    Line {
        /// Which.
        line: Line,
        /// Changes that last less are noise.
        debounce: Span,
    },
    /// A key of the serial panel that is the board's display.
    Keypad(KeypadKey),
}

/// A key of a CFA635.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeypadKey {
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// The tick.
    Enter,
    /// The cross.
    Exit,
}

/// One lamp. An amber one is a red and a green one that are lit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lamp {
    /// Where it is.
    pub place: LampPlace,
    /// What it shows in each state; in one that is not named it is dark.
    pub patterns: BTreeMap<Tally, Pattern>,
}

/// Where a lamp is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LampPlace {
    /// A folder of `/sys/class/leds`.
    Led(String),
    /// A GPIO line.
    Line(Line),
    /// A lamp of the CFA635 that is the board's display.
    Keypad {
        /// 1 to 4, from the top.
        number: u8,
        /// Which of its two colours.
        colour: KeypadColour,
    },
}

/// The colours of a CFA635's lamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeypadColour {
    /// Red.
    Red,
    /// Green.
    Green,
}

/// What lamps tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tally {
    /// Acknowledged and public.
    OnAir,
    /// It should be on air and is not, or viewers do not see the input.
    Trouble,
    /// It could go on air.
    Ready,
    /// It could not, as there is no picture; or it is previewing.
    Attention,
    /// Somebody looks for this box.
    Identify,
}

/// How a lamp is lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// All the time.
    On,
    /// On and off in turn.
    Blink {
        /// Time of each.
        half: Span,
    },
}
