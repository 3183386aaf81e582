//! OLEDs on a stand-in I2C bus, which interprets what is sent as the controller's datasheet says and shows it as a picture.

use embedded_graphics::pixelcolor::BinaryColor;
use embedded_hal::i2c::{self, ErrorKind, I2c, NoAcknowledgeSource, Operation};
use fieldcast::{
    board::{Board, front::OledController},
    control::{Control, Now, menu::View},
    panel::{
        canvas::{Canvas, Frame},
        display::oled::Oled,
        screen::{Scene, Shape, draw},
    },
    settings::Settings,
    status::Stats,
    units::Time,
};
use proptest::prelude::*;
use std::{cell::RefCell, path::Path, rc::Rc, sync::Arc};

const ADDRESS: u8 = 0x3c;

/// A controller and its glass.
struct Chip {
    kind: OledController,
    ram: [[u8; 132]; 8],
    page: usize,
    column: usize,
    paged: bool,
    contrast: u8,
    on: bool,
    /// As modules are wired, the picture is upright when both are reversed.
    segments_reversed: bool,
    rows_reversed: bool,
    pump: bool,
    /// On the wire, the addresses too.
    bytes: usize,
    transactions: usize,
    /// Transactions that are not acknowledged, by their number.
    deaf: Vec<usize>,
}

impl Chip {
    fn new(kind: OledController) -> Rc<RefCell<Self>> {
        // Memory is noise after power-on; an SSD1306's addressing is paged after reset (10.1.3).
        Rc::new(RefCell::new(Self {
            kind,
            ram: [[0xa5; 132]; 8],
            page: 0,
            column: 0,
            paged: true,
            contrast: 0x7f,
            on: false,
            segments_reversed: false,
            rows_reversed: false,
            pump: false,
            bytes: 0,
            transactions: 0,
            deaf: Vec::new(),
        }))
    }

    fn columns(&self) -> usize {
        if self.kind == OledController::Sh1106 { 132 } else { 128 }
    }

    fn commands(&mut self, mut bytes: &[u8]) {
        use OledController::{Sh1106, Ssd1306, Ssd1309};
        while let [command, rest @ ..] = bytes {
            let sh1106 = self.kind == Sh1106;
            // With how many bytes it goes on; of what a controller does not know it takes no further byte.
            let more = match command {
                0x81 | 0xa8 | 0xd3 | 0xd5 | 0xd9 | 0xda | 0xdb => 1,
                0x20 if !sh1106 => 1,
                0x21 | 0x22 if !sh1106 => 2,
                0x8d if self.kind == Ssd1306 => 1,
                _ => 0,
            };
            assert!(rest.len() >= more, "command {command:#x} is cut off");
            let (arguments, next) = rest.split_at(more);
            match *command {
                low @ 0x00..=0x0f => self.column = self.column & 0xf0 | usize::from(low),
                high @ 0x10..=0x1f => self.column = self.column & 0x0f | usize::from(high & 0x0f) << 4,
                0x20 if !sh1106 => self.paged = arguments[0] == 2,
                line @ 0x40..=0x7f => assert_eq!(line, 0x40, "the first row is row 0"),
                0x81 => self.contrast = arguments[0],
                0x8d if self.kind == Ssd1306 => self.pump = arguments[0] == 0x14,
                segments @ 0xa0..=0xa1 => self.segments_reversed = segments == 0xa1,
                0xa4 | 0xa6 | 0xd5 | 0xd9 | 0xdb | 0x2e => {}
                0xa8 => assert_eq!(arguments[0], 63, "64 rows"),
                switch @ 0xae..=0xaf => self.on = switch == 0xaf,
                page @ 0xb0..=0xb7 => self.page = usize::from(page & 7),
                rows @ 0xc0..=0xcf => self.rows_reversed = rows & 8 != 0,
                0xd3 => assert_eq!(arguments[0], 0, "no row is moved"),
                0xda => assert_eq!(arguments[0], 0x12, "rows are wired in turn"),
                0x8d if self.kind == Ssd1309 || sh1106 => {}
                0x20..=0x22 if sh1106 => {}
                other => panic!("command {other:#x}"),
            }
            bytes = next;
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        assert!(self.paged);
        for byte in bytes {
            assert!(self.column < self.columns(), "written beyond the last column");
            self.ram[self.page][self.column] = *byte;
            self.column += 1;
        }
    }

    /// What can be seen.
    fn picture(&self) -> Canvas<BinaryColor> {
        let mut picture = Canvas::new(128, 64, BinaryColor::Off);
        if !self.on || self.kind == OledController::Ssd1306 && !self.pump {
            return picture;
        }
        let first = (self.columns() - 128) / 2;
        for (at, pixel) in picture.pixels.iter_mut().enumerate() {
            let (x, y) = (at % 128, at / 128);
            let x = if self.segments_reversed { x } else { 127 - x };
            let y = if self.rows_reversed { y } else { 63 - y };
            *pixel = BinaryColor::from(self.ram[y / 8][first + x] >> (y % 8) & 1 == 1);
        }
        picture
    }
}

struct Bus(Rc<RefCell<Chip>>);

#[derive(Debug)]
struct Deaf;

impl i2c::Error for Deaf {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
    }
}

impl i2c::ErrorType for Bus {
    type Error = Deaf;
}

impl I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Deaf> {
        let mut chip = self.0.borrow_mut();
        for operation in operations {
            let Operation::Write(bytes) = operation else { panic!("nothing can be read") };
            chip.transactions += 1;
            chip.bytes += 1;
            if address != ADDRESS || chip.deaf.contains(&chip.transactions) {
                return Err(Deaf);
            }
            chip.bytes += bytes.len();
            match bytes {
                [0x00, commands @ ..] => chip.commands(commands),
                [0x40, data @ ..] => chip.data(data),
                other => panic!("control byte of {other:?}"),
            }
        }
        Ok(())
    }
}

const ALL: [OledController; 3] = [OledController::Ssd1306, OledController::Ssd1309, OledController::Sh1106];

fn oled(kind: OledController, turned: bool) -> (Rc<RefCell<Chip>>, Oled<Bus>) {
    let chip = Chip::new(kind);
    let oled = Oled::new(Bus(chip.clone()), ADDRESS, kind, turned);
    (chip, oled)
}

/// A picture that no turning, moving or mirroring leaves as it is.
fn noise(seed: u64) -> Canvas<BinaryColor> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut picture = Canvas::new(128, 64, BinaryColor::Off);
    picture.pixels.iter_mut().for_each(|pixel| *pixel = BinaryColor::from(random.bool()));
    picture
}

#[test]
fn what_is_drawn_is_what_is_seen_on_every_controller() {
    for kind in ALL {
        let (chip, mut oled) = oled(kind, false);
        assert!(oled.show(&noise(1)).is_ok());
        assert_eq!(chip.borrow().picture(), noise(1), "{kind:?}");
        assert!(oled.show(&noise(2)).is_ok());
        assert_eq!(chip.borrow().picture(), noise(2), "{kind:?}");
    }
}

#[test]
fn a_box_that_hangs_upside_down_is_turned() {
    for kind in ALL {
        let (chip, mut oled) = oled(kind, true);
        assert!(oled.show(&noise(1)).is_ok());
        let mut turned = noise(1);
        turned.pixels.reverse();
        assert_eq!(chip.borrow().picture(), turned, "{kind:?}");
    }
}

#[test]
fn noise_is_not_left_on_the_glass() {
    let (chip, mut oled) = oled(OledController::Ssd1306, false);
    // The controller is started, and falls silent before all is painted.
    chip.borrow_mut().deaf = vec![60];
    assert!(oled.show(&noise(1)).is_err());
    assert!(!chip.borrow().on);
}

#[test]
fn light_is_contrast_and_is_sent_when_it_changes() {
    let (chip, mut oled) = oled(OledController::Ssd1306, false);
    oled.brightness(80).expect("kept");
    oled.show(&noise(1)).expect("shown");
    assert_eq!(chip.borrow().contrast, 204);
    oled.brightness(10).expect("sent");
    assert_eq!(chip.borrow().contrast, 25);
    let before = chip.borrow().bytes;
    oled.brightness(10).expect("nothing to send");
    oled.show(&noise(1)).expect("nothing to send");
    assert_eq!(chip.borrow().bytes, before);
}

#[test]
fn after_any_failure_the_controller_is_started_anew_and_painted_whole() {
    for kind in ALL {
        let whole = {
            let (chip, mut oled) = oled(kind, false);
            oled.show(&noise(1)).expect("shown");
            chip.borrow().transactions
        };
        for deaf in 1..=whole {
            let (chip, mut oled) = oled(kind, false);
            chip.borrow_mut().deaf = vec![deaf];
            assert!(oled.show(&noise(1)).is_err(), "{kind:?}: transaction {deaf}");
            oled.show(&noise(1)).expect("shown");
            assert_eq!(chip.borrow().picture(), noise(1), "{kind:?}: transaction {deaf}");
            // It lost its power, and is asked for one pixel.
            *chip.borrow_mut() = Chip { deaf: vec![1], ..Rc::into_inner(Chip::new(kind)).expect("ours").into_inner() };
            let mut other = noise(1);
            other.pixels[0] = if other.pixels[0].is_on() { BinaryColor::Off } else { BinaryColor::On };
            assert!(oled.show(&other).is_err());
            oled.show(&other).expect("shown");
            assert_eq!(chip.borrow().picture(), other);
        }
    }
}

/// It lost its power for a moment, between two pictures: nothing on the bus tells.
#[test]
fn a_controller_that_forgot_everything_is_painted_whole_again() {
    for kind in ALL {
        let (chip, mut oled) = oled(kind, false);
        oled.show(&noise(1)).expect("shown");
        *chip.borrow_mut() = Rc::into_inner(Chip::new(kind)).expect("ours").into_inner();
        oled.show(&noise(1)).expect("nothing is known of it");
        assert_ne!(chip.borrow().picture(), noise(1));
        oled.refresh();
        oled.show(&noise(1)).expect("shown");
        assert_eq!(chip.borrow().picture(), noise(1), "{kind:?}");
        let before = chip.borrow().bytes;
        oled.show(&noise(1)).expect("shown");
        assert_eq!(chip.borrow().bytes, before, "once");
    }
}

#[test]
fn a_second_of_meters_costs_at_most_a_quarter_of_full_flushes() {
    let board = Board::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/desktop.toml"))).expect("a board");
    let mut control = Control::new(board, Settings::default(), "fc-00000000".into(), None, None, Time::ZERO);
    let now = |ms| Now { time: Time::from_millis(ms), wall: None };
    control.handle(fieldcast::control::Event::Tick, now(0));
    let mut random = fastrand::Rng::with_seed(4);
    let mut speech = |ms: u64| {
        let mut status = control.status(now(ms), None, Stats::default());
        let loud = -30.0 + 24.0 * random.f64();
        status.stats.audio_peak_db = vec![loud, loud - 3.0 * random.f64()];
        let scene = Scene::Running { status: Arc::new(status), view: Arc::new(View::default()), thumbnail: None };
        match draw(&scene, Shape::Mono, now(ms)) {
            Frame::Mono(picture) => picture,
            other => panic!("{other:?}"),
        }
    };
    for kind in ALL {
        let (chip, mut oled) = oled(kind, false);
        oled.show(&speech(0)).expect("shown");
        let next = chip.borrow().transactions + 1;
        chip.borrow_mut().deaf = vec![next];
        assert!(oled.show(&speech(50)).is_err());
        let before = chip.borrow().bytes;
        oled.show(&speech(50)).expect("shown");
        let whole = chip.borrow().bytes - before;
        let before = chip.borrow().bytes;
        for frame in 1..=10 {
            let picture = speech(100 * frame);
            oled.show(&picture).expect("shown");
            assert_eq!(chip.borrow().picture(), picture);
        }
        let second = chip.borrow().bytes - before;
        let part = second as f64 / (10 * whole) as f64;
        println!("{kind:?}: {second} bytes for a second of meters, {part:.3} of ten full flushes of {whole} bytes");
        assert!(second > 100, "the meters moved");
        assert!(part <= 0.25, "{part}");
    }
}

proptest! {
    #[test]
    fn any_change_ends_in_the_same_picture(changes in prop::collection::vec((0usize..8192, any::<bool>()), 0..200)) {
        for kind in ALL {
            let (chip, mut oled) = oled(kind, false);
            let mut picture = noise(3);
            for part in changes.chunks(20) {
                for (at, lit) in part {
                    picture.pixels[*at] = BinaryColor::from(*lit);
                }
                oled.show(&picture).expect("shown");
                prop_assert_eq!(&chip.borrow().picture(), &picture);
            }
        }
    }
}
