//! Colour panels on a stand-in SPI bus, which interprets the commands of MIPI DCS and shows what the glass would.

use embedded_graphics::{pixelcolor::Rgb565, prelude::*};
use embedded_hal::{
    delay::DelayNs,
    digital::{self, OutputPin},
    spi::{self, Operation, SpiDevice},
};
use fieldcast::{
    board::front::{self, LcdController, Line},
    panel::{canvas::Canvas, display::lcd::Lcd},
};
use std::{cell::RefCell, convert::Infallible, io, rc::Rc};

/// Columns and rows of both controllers' memories.
const MEMORY: (usize, usize) = (240, 320);

struct Chip {
    ram: Vec<u16>,
    data: bool,
    command: u8,
    arguments: Vec<u8>,
    columns: (usize, usize),
    rows: (usize, usize),
    at: (usize, usize),
    half: Option<u8>,
    /// MADCTL.
    mapping: u8,
    inverted: bool,
    awake: bool,
    on: bool,
    bytes: usize,
    fails: bool,
}

impl Chip {
    fn new() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            ram: vec![0x5555; MEMORY.0 * MEMORY.1],
            data: false,
            command: 0,
            arguments: Vec::new(),
            columns: (0, 0),
            rows: (0, 0),
            at: (0, 0),
            half: None,
            mapping: 0,
            inverted: false,
            awake: false,
            on: false,
            bytes: 0,
            fails: false,
        }))
    }

    fn take(&mut self, byte: u8) {
        self.bytes += 1;
        if !self.data {
            (self.command, self.arguments, self.half) = (byte, Vec::new(), None);
            match byte {
                0x11 => self.awake = true,
                0x29 => self.on = true,
                0x20 | 0x21 => self.inverted = byte == 0x21,
                0x2c => self.at = (self.columns.0, self.rows.0),
                _ => {}
            }
            return;
        }
        if self.command == 0x2c {
            match self.half.take() {
                None => self.half = Some(byte),
                Some(high) => self.pixel(u16::from_be_bytes([high, byte])),
            }
            return;
        }
        self.arguments.push(byte);
        let range = |bytes: &[u8]| {
            let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
            (number(0), number(2))
        };
        match (self.command, self.arguments.as_slice()) {
            (0x2a, bytes @ [_, _, _, _]) => self.columns = range(bytes),
            (0x2b, bytes @ [_, _, _, _]) => self.rows = range(bytes),
            (0x36, [mapping]) => self.mapping = *mapping,
            (0x3a, [format]) => assert_eq!(format & 7, 5, "16 bits a pixel"),
            _ => {}
        }
    }

    fn pixel(&mut self, value: u16) {
        let (column, row) = self.at;
        let [bottom_up, right_left, swapped] = [7, 6, 5].map(|bit| self.mapping >> bit & 1 == 1);
        let (x, y) = if swapped { (row, column) } else { (column, row) };
        assert!(x < MEMORY.0 && y < MEMORY.1, "outside of the memory");
        let x = if right_left { MEMORY.0 - 1 - x } else { x };
        let y = if bottom_up { MEMORY.1 - 1 - y } else { y };
        self.ram[y * MEMORY.0 + x] = value;
        self.at.0 += 1;
        if self.at.0 > self.columns.1 {
            self.at = (self.columns.0, row + 1);
            if row + 1 > self.rows.1 {
                self.at.1 = self.rows.0;
            }
        }
    }

    /// What can be seen through the glass of `lcd`; that of ILI9341 modules is mounted mirrored.
    fn picture(&self, lcd: &front::Lcd) -> Canvas<Rgb565> {
        assert!(self.on && self.awake && self.inverted == lcd.inverted);
        let (width, height) = (usize::from(lcd.size.0), usize::from(lcd.size.1));
        let (left, top) = (usize::from(lcd.offset.0), usize::from(lcd.offset.1));
        let mirrored = lcd.controller == LcdController::Ili9341;
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = pixels.map(|(x, y)| {
            let x = if mirrored { MEMORY.0 - 1 - (left + x) } else { left + x };
            let raw = self.ram[(top + y) * MEMORY.0 + x];
            Rgb565::new((raw >> 11) as u8, (raw >> 5 & 0x3f) as u8, (raw & 0x1f) as u8)
        });
        Canvas { width: width as u32, height: height as u32, pixels: pixels.collect() }
    }
}

struct Bus(Rc<RefCell<Chip>>);
struct DataCommand(Rc<RefCell<Chip>>);
struct NoDelay;

impl spi::ErrorType for Bus {
    type Error = spi::ErrorKind;
}

impl SpiDevice for Bus {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        let mut chip = self.0.borrow_mut();
        if chip.fails {
            return Err(spi::ErrorKind::Other);
        }
        for operation in operations {
            let Operation::Write(bytes) = operation else { panic!("nothing can be read") };
            assert!(bytes.len() <= 4096, "more than spidev takes");
            bytes.iter().for_each(|byte| chip.take(*byte));
        }
        Ok(())
    }
}

impl digital::ErrorType for DataCommand {
    type Error = Infallible;
}

impl OutputPin for DataCommand {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().data = false;
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.borrow_mut().data = true;
        Ok(())
    }
}

impl DelayNs for NoDelay {
    fn delay_ns(&mut self, _: u32) {}
}

fn lcd(controller: LcdController, size: (u16, u16), offset: (u16, u16)) -> front::Lcd {
    front::Lcd {
        controller,
        bus: "/dev/spidev0.0".into(),
        clock: 32_000_000,
        data_command: Line { chip: "/dev/gpiochip0".into(), line: 25, active_low: false },
        reset: None,
        backlight: None,
        size,
        offset,
        inverted: controller == LcdController::St7789,
    }
}

type Panel = (Rc<RefCell<Chip>>, Lcd<Bus, DataCommand>);

fn open(lcd: &front::Lcd, rotate: u16) -> io::Result<Panel> {
    let chip = Chip::new();
    let panel = Lcd::new(Bus(chip.clone()), DataCommand(chip.clone()), lcd, rotate, &mut NoDelay)?;
    Ok((chip, panel))
}

fn noise((width, height): (u32, u32), seed: u64) -> Canvas<Rgb565> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut picture = Canvas::new(width, height, Rgb565::BLACK);
    picture.pixels.iter_mut().for_each(|pixel| *pixel = Rgb565::new(random.u8(..32), random.u8(..64), random.u8(..32)));
    picture
}

/// Where the pixel (x, y) of a picture is seen on the glass.
fn seen(picture: &Canvas<Rgb565>, rotate: u16, glass: &Canvas<Rgb565>) -> bool {
    let (width, height) = (picture.width, picture.height);
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).all(|(x, y)| {
        let (seen_x, seen_y) = match rotate {
            90 => (height - 1 - y, x),
            180 => (width - 1 - x, height - 1 - y),
            270 => (y, width - 1 - x),
            _ => (x, y),
        };
        picture.pixels[(y * width + x) as usize] == glass.pixels[(seen_y * glass.width + seen_x) as usize]
    })
}

#[test]
fn what_is_drawn_is_what_is_seen_however_the_glass_is_mounted() {
    let panels = [
        lcd(LcdController::St7789, (240, 320), (0, 0)),
        lcd(LcdController::St7789, (240, 240), (0, 0)),
        lcd(LcdController::St7789, (135, 240), (52, 40)),
        lcd(LcdController::Ili9341, (240, 320), (0, 0)),
    ];
    for lcd in panels {
        for rotate in [0, 90, 180, 270] {
            let (chip, mut panel) = open(&lcd, rotate).expect("started");
            for seed in 0..2 {
                let picture = noise(panel.size(), seed);
                panel.show(&picture).expect("shown");
                let glass = chip.borrow().picture(&lcd);
                assert!(seen(&picture, rotate, &glass), "{:?} {:?} {rotate}", lcd.controller, lcd.size);
            }
        }
    }
}

#[test]
fn only_rectangles_around_changes_are_sent() {
    let lcd = lcd(LcdController::St7789, (240, 320), (0, 0));
    let (chip, mut panel) = open(&lcd, 0).expect("started");
    let mut picture = noise(panel.size(), 1);
    panel.show(&picture).expect("shown");
    let before = chip.borrow().bytes;
    panel.show(&picture).expect("nothing to send");
    assert_eq!(chip.borrow().bytes, before);
    for (x, y) in [(10, 100), (29, 103)] {
        picture.pixels[y * 240 + x] = Rgb565::new(1, 2, 3);
    }
    panel.show(&picture).expect("shown");
    assert_eq!(chip.borrow().bytes - before, 11 + 20 * 4 * 2);
    assert!(seen(&picture, 0, &chip.borrow().picture(&lcd)));
}

#[test]
fn after_a_failure_all_is_sent_anew() {
    let lcd = lcd(LcdController::Ili9341, (240, 320), (0, 0));
    let (chip, mut panel) = open(&lcd, 0).expect("started");
    panel.show(&noise(panel.size(), 1)).expect("shown");
    chip.borrow_mut().fails = true;
    assert!(panel.show(&noise(panel.size(), 2)).is_err());
    chip.borrow_mut().fails = false;
    chip.borrow_mut().ram.fill(0);
    panel.show(&noise(panel.size(), 1)).expect("shown");
    assert!(seen(&noise(panel.size(), 1), 0, &chip.borrow().picture(&lcd)));
}

#[test]
fn a_glass_that_is_larger_than_the_memory_is_refused() {
    assert!(open(&lcd(LcdController::St7789, (240, 320), (0, 80)), 0).is_err());
    assert!(open(&lcd(LcdController::St7789, (0, 320), (0, 0)), 0).is_err());
}
