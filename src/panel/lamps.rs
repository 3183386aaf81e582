//! Tally lamps: LEDs of the kernel, GPIO lines and the lamps of a serial panel, lit as the board says.

use super::cfa635;
use crate::{
    board::{KeypadColour, Lamp, LampPlace, Line, Pattern, Tally},
    sys,
};
use gpiocdev::{Request, line::Value};
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// Where the kernel lists its LEDs (Documentation/leds/leds-class.rst).
pub const LEDS: &str = "/sys/class/leds";

/// How often every lamp is set anew: one may have been missing, or somebody else may have changed it.
const AGAIN: Duration = Duration::from_secs(2);

/// How long the end waits for a bus to make the lamps dark.
const FAREWELL: Duration = Duration::from_millis(700);

/// Lamps that are looked after; dropping it makes them dark.
#[derive(Debug)]
pub struct Lamps {
    end: Option<oneshot::Sender<()>>,
    dark: mpsc::Receiver<()>,
}

/// Lights `lamps` by what `tally` says; none: all are dark. LEDs are folders of `leds`, which is [`LEDS`]; `panel` is the
/// board's serial panel. What is missing is logged once and looked for each 2 s.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub fn follow(
    lamps: &[Lamp],
    leds: PathBuf,
    panel: Option<cfa635::Handle>,
    tally: watch::Receiver<Option<Tally>>,
) -> io::Result<Lamps> {
    let lights = lamps.iter().map(|lamp| Light { lamp: lamp.clone(), request: None, lit: None, told: false }).collect();
    let mut board = Lights { lights, leds, panel };
    let (end, ended) = oneshot::channel();
    let (darkened, dark) = mpsc::channel();
    // A thread of its own: an LED on a wedged bus must not hold up anything else.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    thread::Builder::new().name("lamps".into()).spawn(move || {
        runtime.block_on(board.run(tally, ended));
        board.set(None, Duration::ZERO);
        // The panel's handle goes before the end is told.
        drop(board);
        let _ = darkened.send(());
    })?;
    Ok(Lamps { end: Some(end), dark })
}

impl Drop for Lamps {
    fn drop(&mut self) {
        self.end = None;
        let _ = self.dark.recv_timeout(FAREWELL);
    }
}

struct Lights {
    lights: Vec<Light>,
    leds: PathBuf,
    panel: Option<cfa635::Handle>,
}

/// A lamp and what is known of it.
struct Light {
    lamp: Lamp,
    /// A GPIO line while it is open.
    request: Option<Request>,
    /// What it was set to; none: it has to be set.
    lit: Option<bool>,
    /// Whether the log has it that it is missing.
    told: bool,
}

impl Lights {
    async fn run(&mut self, mut tally: watch::Receiver<Option<Tally>>, mut ended: oneshot::Receiver<()>) {
        let mut shown = None;
        let (mut since, mut renewed) = (sys::now(), sys::now());
        loop {
            let state = *tally.borrow_and_update();
            let now = sys::now();
            if state != shown {
                (shown, since) = (state, now);
            }
            if now.since(renewed) >= AGAIN {
                renewed = now;
                self.lights.iter_mut().for_each(|light| light.lit = None);
            }
            let next = self.set(state, now.since(since)).unwrap_or(AGAIN);
            let renew = AGAIN.saturating_sub(now.since(renewed));
            tokio::select! {
                changed = tally.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(next.min(renew)) => {}
                _ = &mut ended => return,
            }
        }
    }

    /// Sets all lamps to what they show in `state` after `elapsed`; when that changes, if it does.
    fn set(&mut self, state: Option<Tally>, elapsed: Duration) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        let mut keypad = BTreeSet::<(u8, KeypadColour)>::new();
        for light in &mut self.lights {
            let pattern = state.and_then(|state| light.lamp.patterns.get(&state));
            let (lit, change) = pattern.map_or((false, None), |pattern| at(*pattern, elapsed));
            next = next.into_iter().chain(change).min();
            if let (LampPlace::Keypad { number, colour }, true) = (&light.lamp.place, lit) {
                keypad.insert((*number, *colour));
            }
            light.set(lit, &self.leds);
        }
        if let Some(panel) = &self.panel {
            panel.lamps(keypad);
        }
        next
    }
}

/// Whether a pattern is lit `elapsed` after it began, and how long that lasts.
fn at(pattern: Pattern, elapsed: Duration) -> (bool, Option<Duration>) {
    match pattern {
        Pattern::On => (true, None),
        Pattern::Blink { half } => {
            let half = half.duration().as_nanos().max(1);
            let left = half - elapsed.as_nanos() % half;
            ((elapsed.as_nanos() / half).is_multiple_of(2), Some(Duration::from_nanos(left as u64)))
        }
    }
}

impl Light {
    fn set(&mut self, lit: bool, leds: &Path) {
        if self.lit == Some(lit) {
            return;
        }
        let (name, result) = match &self.lamp.place {
            LampPlace::Led(name) => {
                let folder = leds.join(name);
                (folder.display().to_string(), set_led(&folder, lit))
            }
            LampPlace::Line(line) => {
                let name = format!("{} {}", line.chip.display(), line.line);
                (name, set_line(&mut self.request, line, lit).map_err(io::Error::other))
            }
            // All lamps of a panel are told to it together.
            LampPlace::Keypad { .. } => return,
        };
        match result {
            Ok(()) => {
                if self.told {
                    tracing::info!(lamp = name, "lamp is there again");
                }
                (self.lit, self.told) = (Some(lit), false);
            }
            Err(error) => {
                if !self.told {
                    tracing::warn!(lamp = name, %error, "lamp cannot be set; tried again");
                }
                (self.lit, self.told) = (None, true);
            }
        }
    }
}

fn set_led(folder: &Path, lit: bool) -> io::Result<()> {
    // A trigger, such as that of a memory card, would light it, too.
    if fs::read_to_string(folder.join("trigger")).is_ok_and(|triggers| !triggers.contains("[none]")) {
        write(&folder.join("trigger"), "none")?;
    }
    let full = || fs::read_to_string(folder.join("max_brightness")).map(|most| most.trim().to_owned());
    let brightness = if lit { full()? } else { "0".into() };
    write(&folder.join("brightness"), &brightness)
}

/// Into a file that is there: sysfs makes none.
fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(file)?.write_all(text.as_bytes())
}

fn set_line(open: &mut Option<Request>, line: &Line, lit: bool) -> gpiocdev::Result<()> {
    let value = if lit { Value::Active } else { Value::Inactive };
    match open {
        Some(request) => {
            let set = request.set_value(line.line, value);
            // A chip that is back has to be opened anew.
            if set.is_err() {
                *open = None;
            }
            set
        }
        None => {
            let mut builder = Request::builder();
            builder.with_consumer("fieldcast").on_chip(&line.chip).with_line(line.line);
            if line.active_low {
                builder.as_active_low();
            }
            *open = Some(builder.as_output(value).request()?);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;
    use std::{collections::BTreeMap, time::Instant};

    /// A folder as sysfs gives one for each LED; its files.
    fn led(leds: &Path, name: &str, most: &str) -> PathBuf {
        let folder = leds.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        for (file, text) in [("brightness", "0\n"), ("max_brightness", most), ("trigger", "none mmc0 [heartbeat]\n")] {
            fs::write(folder.join(file), text).expect("a file");
        }
        folder
    }

    fn lamp(name: &str, patterns: &[(Tally, Pattern)]) -> Lamp {
        Lamp { place: LampPlace::Led(name.into()), patterns: BTreeMap::from_iter(patterns.iter().copied()) }
    }

    fn read(folder: &Path, file: &str) -> String {
        fs::read_to_string(folder.join(file)).expect("a file")
    }

    /// Waits, up to a generous limit, for what another thread does.
    #[allow(clippy::disallowed_methods, reason = "a real thread is waited for")]
    fn soon(what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_blink_begins_lit_and_tells_when_it_changes() {
        let blink = Pattern::Blink { half: Span::from_millis(250) };
        let ms = Duration::from_millis;
        assert_eq!(at(Pattern::On, ms(7)), (true, None));
        assert_eq!(at(blink, ms(0)), (true, Some(ms(250))));
        assert_eq!(at(blink, ms(249)), (true, Some(ms(1))));
        assert_eq!(at(blink, ms(250)), (false, Some(ms(250))));
        assert_eq!(at(blink, ms(501)), (true, Some(ms(249))));
    }

    #[test]
    fn lamps_follow_the_tally_and_go_dark_at_the_end() {
        let leds = tempfile::tempdir().expect("a folder");
        let (red, green) = (led(leds.path(), "red:tally", "255\n"), led(leds.path(), "green:tally", "1\n"));
        let blink = Pattern::Blink { half: Span::from_millis(50) };
        let lamps = [
            lamp("red:tally", &[(Tally::OnAir, Pattern::On), (Tally::Trouble, blink)]),
            lamp("green:tally", &[(Tally::Ready, Pattern::On)]),
        ];
        let (tally, followed) = watch::channel(None);
        let followed = follow(&lamps, leds.path().into(), None, followed).expect("lamps");
        let lit = || (read(&red, "brightness"), read(&green, "brightness"));
        tally.send_replace(Some(Tally::Ready));
        soon("ready", || lit() == ("0".into(), "1".into()));
        assert_eq!(read(&red, "trigger"), "none", "the kernel's heartbeat is off");
        tally.send_replace(Some(Tally::OnAir));
        soon("on air", || lit() == ("255".into(), "0".into()));
        tally.send_replace(Some(Tally::Trouble));
        for _ in 0..2 {
            soon("dark", || lit().0 == "0");
            soon("lit", || lit().0 == "255");
        }
        tally.send_replace(Some(Tally::OnAir));
        soon("on air again", || lit().0 == "255");
        drop(followed);
        assert_eq!(lit(), ("0".into(), "0".into()));
    }

    #[test]
    fn a_lamp_that_comes_later_is_lit_then() {
        let leds = tempfile::tempdir().expect("a folder");
        let (_tally, followed) = watch::channel(Some(Tally::OnAir));
        let lamps = [lamp("red:tally", &[(Tally::OnAir, Pattern::On)])];
        let _followed = follow(&lamps, leds.path().into(), None, followed).expect("lamps");
        let red = led(leds.path(), "red:tally", "7\n");
        soon("lit", || read(&red, "brightness") == "7");
    }

    #[test]
    fn what_is_missing_is_tried_again_and_never_made() {
        let leds = tempfile::tempdir().expect("a folder");
        let chip = Line { chip: "/nowhere/gpiochip0".into(), line: 3, active_low: false };
        for place in [LampPlace::Led("red:tally".into()), LampPlace::Line(chip)] {
            let patterns = BTreeMap::from([(Tally::OnAir, Pattern::On)]);
            let mut light = Light { lamp: Lamp { place, patterns }, request: None, lit: None, told: false };
            light.set(true, leds.path());
            assert_eq!((light.lit, light.told), (None, true));
        }
        assert!(!leds.path().join("red:tally").exists());
    }
}
