//! Displays of every kind, behind one enum. Each keeps what its glass shows and sends only what changed.

pub mod framebuffer;
pub mod lcd;
pub mod oled;
pub mod picture;
pub mod terminal;
mod turn;

use super::{canvas::Frame, cfa635, screen::Shape};
use crate::board::{self, DisplayKind};
use linux_embedded_hal::I2cdev;
use std::{io, path::Path};

/// An open display.
pub struct Display {
    kind: Kind,
    /// Degrees clockwise by which pictures are turned here, as the device cannot.
    rotate: u16,
}

enum Kind {
    Oled(Box<oled::Oled<I2cdev>>),
    Lcd(Box<lcd::Wired>),
    Framebuffer(framebuffer::Framebuffer),
    Cfa635(cfa635::Handle),
    Picture(picture::Picture),
    Terminal(terminal::Terminal),
}

/// How a picture is changed on its way to the glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Care {
    /// Light of the glass, 1 to 100 percent.
    pub brightness: u8,
    /// Nobody looks: an eighth of the light.
    pub dim: bool,
    /// Pixels by which an OLED's picture is moved, against burn-in.
    pub shift: (i32, i32),
}

/// A dimmed display has this part of its light.
const DIM: u8 = 8;
/// One whose light cannot be set gets darker colours, and this part of them: an eighth could not be read in daylight.
const DIM_COLOURS: u8 = 3;

impl Display {
    /// Opens `display`; `state` is the state folder, `keypad` the CFA635 if it is one.
    ///
    /// # Errors
    /// It is not there, or may not be used.
    pub fn open(display: &board::Display, state: &Path, keypad: Option<&cfa635::Handle>) -> io::Result<Self> {
        let rotate = display.rotate;
        let (kind, rotate) = match &display.kind {
            DisplayKind::Oled(oled) => {
                let bus = I2cdev::new(&oled.bus).map_err(io::Error::other)?;
                let turned = rotate == 180;
                (Kind::Oled(Box::new(oled::Oled::new(bus, oled.address, oled.controller, turned))), 0)
            }
            DisplayKind::Lcd(lcd) => (Kind::Lcd(Box::new(lcd::open(lcd, rotate)?)), 0),
            DisplayKind::Framebuffer { device } => (Kind::Framebuffer(framebuffer::Framebuffer::open(device)?), rotate),
            DisplayKind::Cfa635 { .. } => {
                let keypad = keypad.filter(|keypad| keypad.present()).ok_or(io::ErrorKind::NotFound)?;
                (Kind::Cfa635(keypad.clone()), 0)
            }
            DisplayKind::Png { file } => {
                let file = file.clone().unwrap_or_else(|| state.join("panel.png"));
                (Kind::Picture(picture::Picture::open(&file)?), rotate)
            }
            DisplayKind::Terminal { device } => (Kind::Terminal(terminal::Terminal::open(device)?), 0),
        };
        Ok(Self { kind, rotate })
    }

    /// What has to be drawn for it.
    pub fn shape(&self) -> Shape {
        let (width, height) = match &self.kind {
            Kind::Oled(_) => return Shape::Mono,
            Kind::Cfa635(_) | Kind::Terminal(_) => return Shape::Text,
            Kind::Lcd(wired) => wired.lcd.size(),
            Kind::Framebuffer(framebuffer) => framebuffer.size(),
            Kind::Picture(_) => picture::SIZE,
        };
        if self.rotate % 180 == 90 {
            return Shape::Colour { width: height, height: width };
        }
        Shape::Colour { width, height }
    }

    /// Whether it is still plugged in, as far as that can be known without sending it anything.
    pub fn is_there(&self) -> bool {
        match &self.kind {
            Kind::Cfa635(keypad) => keypad.present(),
            _ => true,
        }
    }

    /// Sends everything anew with the next picture where the device may have forgotten it without a word.
    pub fn refresh(&mut self) {
        if let Kind::Oled(oled) = &mut self.kind {
            oled.refresh();
        }
    }

    /// Shows `frame`, which was drawn for its shape.
    ///
    /// # Errors
    /// What was sent did not arrive. With the next frame everything is sent anew.
    pub fn show(&mut self, frame: &Frame, care: Care) -> io::Result<()> {
        let light = if care.dim { (care.brightness / DIM).max(1) } else { care.brightness };
        match (&mut self.kind, frame) {
            (Kind::Oled(oled), Frame::Mono(picture)) => {
                oled.brightness(light)?;
                oled.show(&turn::shifted(picture, care.shift))
            }
            (Kind::Cfa635(keypad), Frame::Text(cells)) => {
                keypad.brightness(light);
                keypad.show(*cells);
                if keypad.present() { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
            }
            (Kind::Terminal(terminal), Frame::Text(cells)) => terminal.show(cells),
            (kind, Frame::Colour(picture)) => {
                let picture = turn::turned(picture, self.rotate);
                let picture = if care.dim { turn::darkened(&picture, DIM_COLOURS) } else { picture };
                match kind {
                    Kind::Lcd(wired) => wired.lcd.show(&picture),
                    Kind::Framebuffer(framebuffer) => framebuffer.show(&picture),
                    Kind::Picture(file) => file.show(&picture),
                    Kind::Oled(_) | Kind::Cfa635(_) | Kind::Terminal(_) => Err(io::ErrorKind::InvalidInput.into()),
                }
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
