//! Colour panels over SPI, through the `mipidsi` crate: rectangles around what changed are sent.

use super::super::canvas::Canvas;
use crate::board::front::{self, LcdController, Line};
use embedded_graphics::{pixelcolor::Rgb565, prelude::*};
use embedded_hal::{
    delay::DelayNs,
    digital::{self, OutputPin},
    spi::SpiDevice,
};
use gpiocdev::{Request, line::Value};
use linux_embedded_hal::{
    Delay, SpidevDevice,
    spidev::{SpiModeFlags, SpidevOptions},
};
use mipidsi::{
    Builder, NoResetPin,
    interface::{Interface, InterfaceKind},
    models::{ILI9341Rgb565, Model, ST7789},
    options::{ColorInversion, ColorOrder, Orientation, Rotation},
};
use std::{fmt::Debug, io};

/// What spidev takes in one transfer unless its module is told otherwise (drivers/spi/spidev.c, `bufsiz`).
const TRANSFER: usize = 4096;
/// Rows that are compared and sent together: a rectangle costs 11 bytes of commands, a row of 320 pixels 640.
const BAND: u32 = 8;
/// Time that a controller wants its reset line held, and to come up after it (ST7789V datasheet, 7.4.5; the ILI9341 wants
/// less).
const RESET_US: u32 = 20;
const COMES_UP_MS: u32 = 120;

/// Four-wire SPI: the bus and the line that tells data from commands.
pub struct Spi<S, D> {
    bus: S,
    data_command: D,
    buffer: Vec<u8>,
}

impl<S: SpiDevice, D: OutputPin> Spi<S, D> {
    fn write(&mut self, data: bool, bytes: &[u8]) -> io::Result<()> {
        self.data_command.set_state(data.into()).map_err(failed)?;
        self.bus.write(bytes).map_err(failed)
    }

    fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let sent = self.write(true, &buffer);
        self.buffer = buffer;
        self.buffer.clear();
        sent
    }
}

impl<S: SpiDevice, D: OutputPin> Interface for Spi<S, D> {
    type Word = u8;
    type Error = io::Error;
    const KIND: InterfaceKind = InterfaceKind::Serial4Line;

    fn send_command(&mut self, command: u8, args: &[u8]) -> io::Result<()> {
        self.write(false, &[command])?;
        if args.is_empty() { Ok(()) } else { self.write(true, args) }
    }

    fn send_pixels<const N: usize>(&mut self, pixels: impl IntoIterator<Item = [u8; N]>) -> io::Result<()> {
        for pixel in pixels {
            self.buffer.extend_from_slice(&pixel);
            if self.buffer.len() + N > TRANSFER {
                self.flush()?;
            }
        }
        if self.buffer.is_empty() { Ok(()) } else { self.flush() }
    }

    fn send_repeated_pixel<const N: usize>(&mut self, pixel: [u8; N], count: u32) -> io::Result<()> {
        self.send_pixels((0..count).map(|_| pixel))
    }
}

type Driver<S, D, M> = mipidsi::Display<Spi<S, D>, M, NoResetPin>;

enum Controller<S: SpiDevice, D: OutputPin> {
    St7789(Driver<S, D, ST7789>),
    Ili9341(Driver<S, D, ILI9341Rgb565>),
}

/// A colour panel on the bus `S`, with `D` telling data from commands.
pub struct Lcd<S: SpiDevice, D: OutputPin> {
    controller: Controller<S, D>,
    size: (u32, u32),
    /// What the glass shows; none: that is not known.
    glass: Option<Canvas<Rgb565>>,
}

impl<S: SpiDevice, D: OutputPin> Lcd<S, D> {
    /// Starts the controller; that takes 0.3 s. `rotate`: degrees clockwise.
    ///
    /// # Errors
    /// The bus or the line failed, or size and offset are more than the controller has.
    pub fn new(bus: S, data_command: D, lcd: &front::Lcd, rotate: u16, delay: &mut impl DelayNs) -> io::Result<Self> {
        let spi = Spi { bus, data_command, buffer: Vec::with_capacity(TRANSFER) };
        let controller = match lcd.controller {
            LcdController::St7789 => Controller::St7789(start(ST7789, spi, lcd, rotate, delay)?),
            LcdController::Ili9341 => Controller::Ili9341(start(ILI9341Rgb565, spi, lcd, rotate, delay)?),
        };
        let (width, height) = (u32::from(lcd.size.0), u32::from(lcd.size.1));
        let size = if rotate % 180 == 90 { (height, width) } else { (width, height) };
        Ok(Self { controller, size, glass: None })
    }

    /// Width and height of its pictures.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Shows `picture`: sends what is not on the glass yet.
    ///
    /// # Errors
    /// The bus or a line is gone. The next picture is sent whole.
    pub fn show(&mut self, picture: &Canvas<Rgb565>) -> io::Result<()> {
        let shown = self.glass.take();
        for (left, top, right, bottom) in changes(picture, shown.as_ref()) {
            let row =
                |y: u32| &picture.pixels[(y * picture.width + left) as usize..=(y * picture.width + right) as usize];
            let pixels = (top..=bottom).flat_map(row).copied();
            // A controller's memory has at most 320 columns and rows.
            let [x1, y1, x2, y2] = [left, top, right, bottom].map(|edge| edge as u16);
            match &mut self.controller {
                Controller::St7789(driver) => driver.set_pixels(x1, y1, x2, y2, pixels),
                Controller::Ili9341(driver) => driver.set_pixels(x1, y1, x2, y2, pixels),
            }?;
        }
        self.glass = Some(picture.clone());
        Ok(())
    }
}

fn start<S: SpiDevice, D: OutputPin, M>(
    model: M,
    spi: Spi<S, D>,
    lcd: &front::Lcd,
    rotate: u16,
    delay: &mut impl DelayNs,
) -> io::Result<Driver<S, D, M>>
where
    M: Model<ColorFormat = Rgb565>,
{
    let rotation = Rotation::try_from_degree(rotate.into()).unwrap_or(Rotation::Deg0);
    // As the modules that are sold with each are wired.
    let (order, upright) = match lcd.controller {
        LcdController::St7789 => (ColorOrder::Rgb, Orientation::new()),
        LcdController::Ili9341 => (ColorOrder::Bgr, Orientation::new().flip_horizontal()),
    };
    let inversion = if lcd.inverted { ColorInversion::Inverted } else { ColorInversion::Normal };
    Builder::new(model, spi)
        .display_size(lcd.size.0, lcd.size.1)
        .display_offset(lcd.offset.0, lcd.offset.1)
        .orientation(upright.rotate(rotation))
        .color_order(order)
        .invert_colors(inversion)
        .init(delay)
        .map_err(failed)
}

/// Rectangles (left, top, right, bottom, all of them in it) around what has to be sent to make `new` of `old`.
fn changes(new: &Canvas<Rgb565>, old: Option<&Canvas<Rgb565>>) -> Vec<(u32, u32, u32, u32)> {
    let Some(old) = old.filter(|old| old.size() == new.size()) else {
        return vec![(0, 0, new.width.saturating_sub(1), new.height.saturating_sub(1))];
    };
    let mut found = Vec::new();
    for top in (0..new.height).step_by(BAND as usize) {
        let rows = top..(top + BAND).min(new.height);
        let mut around: Option<(u32, u32, u32, u32)> = None;
        for y in rows {
            let at = (y * new.width) as usize..((y + 1) * new.width) as usize;
            let (new, old) = (&new.pixels[at.clone()], &old.pixels[at]);
            let differs = |(new, old): (&Rgb565, &Rgb565)| new != old;
            let Some(left) = new.iter().zip(old).position(differs) else { continue };
            let right = new.iter().zip(old).rposition(differs).unwrap_or(left);
            let (left, right) = (left as u32, right as u32);
            let (l, t, r, _) = around.unwrap_or((left, y, right, y));
            around = Some((l.min(left), t, r.max(right), y));
        }
        found.extend(around);
    }
    found
}

fn failed(error: impl Debug) -> io::Error {
    io::Error::other(format!("the display cannot be driven: {error:?}"))
}

/// A GPIO line that is driven. The kernel promises nothing of its state once this is dropped.
pub struct Pin(Request);

impl Pin {
    fn open(line: &Line, on: bool) -> io::Result<Self> {
        let mut wanted = Request::builder();
        wanted.on_chip(&line.chip).with_consumer("fieldcast").with_line(line.line);
        if line.active_low {
            wanted.as_active_low();
        }
        wanted.as_output(Value::from(on)).request().map(Self).map_err(|error| {
            io::Error::other(format!("line {} of {} cannot be used: {error}", line.line, line.chip.display()))
        })
    }
}

/// Why a line could not be set.
#[derive(Debug)]
pub struct PinError(#[allow(dead_code, reason = "read by what prints it")] gpiocdev::Error);

impl digital::Error for PinError {
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

impl digital::ErrorType for Pin {
    type Error = PinError;
}

/// High is "on" as the board file says it.
impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), PinError> {
        self.0.set_lone_value(Value::Inactive).map(drop).map_err(PinError)
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        self.0.set_lone_value(Value::Active).map(drop).map_err(PinError)
    }
}

/// A panel on the box's own bus and lines, lit.
pub struct Wired {
    /// The panel.
    pub lcd: Lcd<SpidevDevice, Pin>,
    /// Held, as a line that is given back may change.
    _lines: Vec<Pin>,
}

/// Opens the panel `lcd`: lights it once it is black.
///
/// # Errors
/// Bus or lines are not there, are taken, or may not be used.
pub fn open(lcd: &front::Lcd, rotate: u16) -> io::Result<Wired> {
    let mut bus =
        SpidevDevice::open(&lcd.bus).map_err(|error| io::Error::new(error.inner().kind(), error.to_string()))?;
    bus.configure(&SpidevOptions {
        max_speed_hz: Some(lcd.clock),
        spi_mode: Some(SpiModeFlags::SPI_MODE_0),
        ..SpidevOptions::new()
    })?;
    let mut lines = Vec::new();
    let mut delay = Delay;
    if let Some(reset) = &lcd.reset {
        let mut reset = Pin::open(reset, true)?;
        delay.delay_us(RESET_US);
        reset.set_low().map_err(failed)?;
        delay.delay_ms(COMES_UP_MS);
        lines.push(reset);
    }
    let data_command = Pin::open(&lcd.data_command, false)?;
    let mut panel = Lcd::new(bus, data_command, lcd, rotate, &mut delay)?;
    let (width, height) = panel.size();
    panel.show(&Canvas::new(width, height, Rgb565::BLACK))?;
    if let Some(backlight) = &lcd.backlight {
        lines.push(Pin::open(backlight, true)?);
    }
    Ok(Wired { lcd: panel, _lines: lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_are_around_what_changed_in_each_band() {
        let old = Canvas::new(40, 30, Rgb565::BLACK);
        let mut new = old.clone();
        assert_eq!(changes(&new, Some(&old)), []);
        for (x, y) in [(5, 1), (9, 3), (39, 29)] {
            new.pixels[y * 40 + x] = Rgb565::RED;
        }
        assert_eq!(changes(&new, Some(&old)), [(5, 1, 9, 3), (39, 29, 39, 29)]);
        assert_eq!(changes(&new, None), [(0, 0, 39, 29)]);
    }

    #[test]
    fn a_line_that_is_not_there_is_named() {
        let line = Line { chip: "/dev/gpiochip-none".into(), line: 25, active_low: true };
        let error = Pin::open(&line, false).err().expect("there is none");
        assert!(error.to_string().starts_with("line 25 of /dev/gpiochip-none cannot be used"), "{error}");
    }
}
