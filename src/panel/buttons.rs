//! Buttons: keys of input devices (evdev), on GPIO pins as well as on a keyboard, and GPIO lines that no driver takes.
//! The keys of a serial panel come with the panel ([`super::cfa635`]).
//!
//! A device may come and go at any time. One that goes while its button is held counts as a release; a key that is
//! held when its device appears (a stuck one, or a cable plugged in) counts for nothing until it is pressed anew, but is told
//! as such in the first seconds after the start.

use super::lines::Lines;
use crate::{
    board::{Button, ButtonPlace, ButtonRole},
    control::Event,
    sys,
    watch::{self, Watch, Watcher},
};
use evdev::{Device, EventSummary, KeyCode};
use rustix::event::PollFlags;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

const DEVICES: &str = "/dev/input";

/// How often new devices are looked for.
const RESCAN: Duration = Duration::from_secs(2);
/// What is held on a device that is there so soon was held before.
const START: Duration = Duration::from_secs(5);

/// Follows `buttons` and tells `events` when one goes down or up.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub fn watch(buttons: &[Button], events: UnboundedSender<Event>) -> io::Result<Watch> {
    let buttons = buttons.to_vec();
    watch::start("buttons".into(), events, move |watcher| follow(&buttons, &watcher))
}

/// A device node; the inode tells it from another device that gets the same number later.
pub(super) type Id = (PathBuf, u64);

/// The name under which the lines' buttons are held.
fn lines_id() -> Id {
    ("GPIO lines".into(), 0)
}

fn follow(buttons: &[Button], watcher: &Watcher) {
    let mut held = Held::default();
    // None: it has none of the keys.
    let mut devices: BTreeMap<Id, Option<Device>> = BTreeMap::new();
    let mut lines = Lines::new(buttons);
    let begun = sys::now();
    let tell = |change: Option<(ButtonRole, bool)>| {
        if let Some((role, pressed)) = change {
            watcher.tell(Event::Button { role, pressed });
        }
    };
    let tell_held = |held: &mut Held, id: &Id, before: BTreeSet<usize>| {
        for index in before.into_iter().filter(|_| sys::now().since(begun) < START) {
            if let Some((role, _)) = held.change(id, index, buttons[index].role, 1) {
                watcher.tell(Event::HeldAtStart { role });
            }
        }
    };
    while !watcher.ended() {
        let listed = list(Path::new(DEVICES));
        devices.retain(|id, _| listed.contains(id));
        let known: BTreeSet<Id> = devices.keys().cloned().collect();
        for id in listed.into_iter().filter(|id| !known.contains(id)) {
            // An error may mean "not allowed yet", as udev comes after the kernel: tried again with the next look.
            if let Ok(device) = open(&id.0, buttons) {
                let before = device.as_ref().map_or_else(BTreeSet::new, |device| held_now(device, buttons));
                tell_held(&mut held, &id, before);
                devices.insert(id, device);
            }
        }
        let before = lines.open(sys::now());
        tell_held(&mut held, &lines_id(), before);
        let fds = devices.values().flatten().map(Device::as_fd).chain(lines.fds()).collect::<Vec<_>>();
        let wait = lines.due().map_or(RESCAN, |due| RESCAN.min(due.since(sys::now())));
        watcher.wait(wait, &fds, PollFlags::IN);
        for (index, pressed) in lines.poll(sys::now()) {
            tell(held.change(&lines_id(), index, buttons[index].role, i32::from(pressed)));
        }
        for (id, device) in &mut devices {
            let Some(opened) = device else { continue };
            let name = opened.name().unwrap_or_default().to_string();
            let lost = match opened.fetch_events() {
                Ok(events) => {
                    for event in events {
                        let EventSummary::Key(_, key, value) = event.destructure() else { continue };
                        for (index, button) in buttons.iter().enumerate().filter(|(_, button)| is(button, &name, key)) {
                            tell(held.change(id, index, button.role, value));
                        }
                    }
                    false
                }
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            };
            if lost {
                *device = None;
            }
        }
        let here = |index: usize, id: &Id| match *id == lines_id() {
            true => lines.is_open(index),
            false => devices.get(id).is_some_and(Option::is_some),
        };
        held.forget(here).into_iter().for_each(|role| tell(Some((role, false))));
    }
}

fn is(button: &Button, device: &str, key: KeyCode) -> bool {
    match &button.place {
        ButtonPlace::Key { key: wanted, device: part } => {
            wanted.parse() == Ok(key) && part.as_ref().is_none_or(|part| device.contains(part))
        }
        ButtonPlace::Line { .. } | ButtonPlace::Keypad(_) => false,
    }
}

/// The event devices in `folder`.
fn list(folder: &Path) -> Vec<Id> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let events = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("event"));
    events.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.ino()))).collect()
}

/// The device if it has one of the keys.
fn open(path: &Path, buttons: &[Button]) -> io::Result<Option<Device>> {
    let device = Device::open(path)?;
    let name = device.name().unwrap_or_default();
    let has = device
        .supported_keys()
        .is_some_and(|keys| buttons.iter().any(|button| keys.iter().any(|key| is(button, name, key))));
    if !has {
        return Ok(None);
    }
    device.set_nonblocking(true)?;
    tracing::info!(device = %path.display(), name, "buttons");
    Ok(Some(device))
}

/// The buttons, by their index, that are held on a device; nothing where it does not say.
fn held_now(device: &Device, buttons: &[Button]) -> BTreeSet<usize> {
    let name = device.name().unwrap_or_default();
    let Ok(down) = device.get_key_state() else { return BTreeSet::new() };
    let held = |button: &Button| down.iter().any(|key| is(button, name, key));
    buttons.iter().enumerate().filter(|(_, button)| held(button)).map(|(index, _)| index).collect()
}

/// Which keys are down, and with them which roles.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeSet<(ButtonRole, usize, Id)>);

impl Held {
    /// A key event of button `index` on a device: 0 up, 1 down, 2 repeated (linux/input.h). The role's change, if that is
    /// one: a second button of the same role changes nothing.
    pub(super) fn change(
        &mut self,
        device: &Id,
        index: usize,
        role: ButtonRole,
        value: i32,
    ) -> Option<(ButtonRole, bool)> {
        let before = self.down(role);
        let key = (role, index, device.clone());
        match value {
            0 => self.0.remove(&key),
            1 => self.0.insert(key),
            _ => false,
        };
        let now = self.down(role);
        (before != now).then_some((role, now))
    }

    /// Releases the buttons, each by its index and its device, that are not `here`; the roles that this ends.
    pub(super) fn forget(&mut self, here: impl Fn(usize, &Id) -> bool) -> BTreeSet<ButtonRole> {
        let before: BTreeSet<ButtonRole> = self.0.iter().map(|(role, ..)| *role).collect();
        self.0.retain(|(_, index, device)| here(*index, device));
        before.into_iter().filter(|role| !self.down(*role)).collect()
    }

    fn down(&self, role: ButtonRole) -> bool {
        self.0.iter().any(|(held, ..)| *held == role)
    }
}

/// An input device with keys, for `fieldcastd probe` and for whoever writes a board file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Keys {
    /// The node now.
    pub node: PathBuf,
    /// Its name, for a board file's `device`.
    pub name: String,
    /// Names of its keys, for a board file's `key`.
    pub keys: Vec<String>,
}

/// All input devices that have keys.
pub fn devices() -> Vec<Keys> {
    let mut nodes: Vec<PathBuf> = list(Path::new(DEVICES)).into_iter().map(|(node, _)| node).collect();
    nodes.sort();
    let keys = |node: PathBuf| {
        let device = Device::open(&node).ok()?;
        let keys = device.supported_keys()?.iter().map(|key| format!("{key:?}")).collect();
        Some(Keys { node, name: device.name().unwrap_or_default().into(), keys })
    };
    nodes.into_iter().filter_map(keys).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ButtonRole::Go;

    fn device(number: u64) -> Id {
        (format!("/dev/input/event{number}").into(), number)
    }

    #[test]
    fn a_press_and_a_release_are_told_and_repeats_are_not() {
        let mut held = Held::default();
        assert_eq!(held.change(&device(0), 0, Go, 1), Some((Go, true)));
        assert_eq!(held.change(&device(0), 0, Go, 2), None);
        assert_eq!(held.change(&device(0), 0, Go, 1), None);
        assert_eq!(held.change(&device(0), 0, Go, 0), Some((Go, false)));
        assert_eq!(held.change(&device(0), 0, Go, 0), None, "it was down before we came");
    }

    #[test]
    fn two_buttons_of_one_role_are_one() {
        let mut held = Held::default();
        assert_eq!(held.change(&device(0), 0, Go, 1), Some((Go, true)));
        assert_eq!(held.change(&device(1), 1, Go, 1), None);
        assert_eq!(held.change(&device(0), 0, Go, 0), None);
        assert_eq!(held.change(&device(1), 1, Go, 0), Some((Go, false)));
    }

    #[test]
    fn a_lost_device_releases_what_was_held_on_it() {
        let mut held = Held::default();
        held.change(&device(0), 0, Go, 1);
        assert!(held.forget(|_, _| true).is_empty());
        assert_eq!(held.forget(|_, _| false), BTreeSet::from([Go]));
        assert!(held.forget(|_, _| false).is_empty(), "told once");
        held.change(&device(0), 0, Go, 1);
        held.change(&device(1), 0, Go, 1);
        assert!(held.forget(|_, id| id.1 == 1).is_empty(), "the other one is still held");
    }

    #[test]
    fn a_button_is_a_key_of_a_device() {
        let button = |device: Option<&str>| Button {
            role: Go,
            place: ButtonPlace::Key { key: "KEY_G".into(), device: device.map(String::from) },
        };
        assert!(is(&button(None), "QEMU Virtio Keyboard", KeyCode::KEY_G));
        assert!(is(&button(Some("Virtio")), "QEMU Virtio Keyboard", KeyCode::KEY_G));
        assert!(!is(&button(Some("gpio")), "QEMU Virtio Keyboard", KeyCode::KEY_G));
        assert!(!is(&button(None), "QEMU Virtio Keyboard", KeyCode::KEY_H));
    }

    #[test]
    fn only_event_devices_are_listed() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["event0", "mice", "js0"] {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        let listed = list(folder.path());
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].0, folder.path().join("event0"));
        assert!(list(Path::new("/nowhere")).is_empty());
        // What is no input device is tried, and left alone.
        assert!(open(&listed[0].0, &[]).is_err());
    }
}
