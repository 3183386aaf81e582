//! Updates of the whole system: a bundle is got, and RAUC checks and installs it. What is decided about that is in
//! [`crate::control::update`].

mod fetch;
mod rauc;

pub use fetch::{Folder, Step, room};
pub use rauc::Rauc;

use crate::{
    control::update::{Kept, Own, Resumed},
    state::StateFolder,
    status::{Fault, FirmwareLast},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The state file with what has to be known of an update.
pub const FILE: &str = "update.json";
/// The state file with the version that is on trial; the image's own script reads it, and gives a system up that hangs.
pub const TRIAL: &str = "trial";
/// The state file in which that script, or the daemon, says why.
pub const WHY: &str = "trial-why";
/// Where the image mounts USB sticks.
const STICKS: &str = "/run/media/fieldcast";
/// Where RAUC is configured (docs/reference.rst, "System Configuration File").
const CONFIGS: [&str; 3] = ["etc/rauc/system.conf", "run/rauc/system.conf", "usr/lib/rauc/system.conf"];

/// What runs below `root`, which is `/` but for tests; none: it is no image, or RAUC is not set up.
pub fn look(root: &Path) -> Option<Own> {
    let text = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    if !CONFIGS.iter().any(|config| root.join(config).exists()) {
        return None;
    }
    let release = fs::read_to_string(root.join("etc/os-release")).unwrap_or_else(|_| text("usr/lib/os-release"));
    let boot = text("proc/sys/kernel/random/boot_id").trim().to_owned();
    Some(Own { version: image_version(&release)?, slot: slot(&text("proc/cmdline")), boot })
}

/// `IMAGE_VERSION` of os-release(5), in which values may be quoted.
fn image_version(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.trim().strip_prefix("IMAGE_VERSION="))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

/// The boot name of the slot that runs, as RAUC itself finds it (docs/reference.rst, `rauc.slot=`).
fn slot(command_line: &str) -> Option<String> {
    let slot = command_line.split_whitespace().find_map(|word| word.strip_prefix("rauc.slot="));
    slot.filter(|slot| !slot.is_empty()).map(str::to_owned)
}

/// What the state folder says of an update, and what came of the one before; a fault where it cannot be read.
pub fn resume(state: &StateFolder, own: &Own) -> (Resumed, Option<FirmwareLast>, Option<Fault>) {
    let (kept, fault) = state.load::<Kept>(FILE);
    let Kept { record, last } = kept.unwrap_or_default();
    let line = |name: &str| {
        let text = fs::read_to_string(state.path().join(name)).ok()?;
        let line: String = text.lines().next()?.chars().filter(|c| !c.is_control()).take(300).collect();
        (!line.trim().is_empty()).then(|| line.trim().to_owned())
    };
    (Resumed::find(record, line(TRIAL).as_deref(), line(WHY), own), last, fault)
}

/// The newest bundle on a USB stick.
pub fn on_stick() -> Option<PathBuf> {
    newest(Path::new(STICKS))
}

fn newest(sticks: &Path) -> Option<PathBuf> {
    let inside = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let bundles = inside(sticks).flat_map(|stick| inside(&stick.path()).collect::<Vec<_>>()).filter_map(|entry| {
        let path = entry.path();
        // Files of the name "._x.raucb" are what a Mac writes beside each file.
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let bundle = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("raucb")) && !hidden;
        bundle.then(|| (meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), path))
    });
    bundles.max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("folder");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        root
    }

    #[test]
    fn an_image_is_known_by_its_version_and_rauc() {
        let release = ("etc/os-release", "NAME=Fieldcast\nIMAGE_ID=fieldcast\nIMAGE_VERSION=\"0.2.0-rc1\"\n");
        let rauc = ("etc/rauc/system.conf", "[system]\n");
        let line = ("proc/cmdline", "console=ttyAMA0 rauc.slot=B quiet\n");
        let boot = ("proc/sys/kernel/random/boot_id", "one\n");
        let own = look(root(&[release, rauc, line, boot]).path()).expect("an image");
        assert_eq!(own, Own { version: "0.2.0-rc1".into(), slot: Some("B".into()), boot: "one".into() });
        assert_eq!(look(root(&[release, line]).path()), None, "the plain package");
        assert_eq!(look(root(&[("etc/os-release", "NAME=Debian\n"), rauc]).path()), None, "another system");
        let elsewhere = ("usr/lib/os-release", "IMAGE_VERSION=1.0\n");
        let without_slot = look(root(&[elsewhere, rauc]).path()).expect("an image");
        assert_eq!((without_slot.version.as_str(), without_slot.slot), ("1.0", None));
    }

    #[test]
    fn the_newest_bundle_of_all_sticks_is_taken() {
        let sticks = root(&[("a/old.raucb", "1"), ("b/New.RAUCB", "2"), ("b/._new.raucb", "3"), ("b/notes.txt", "4")]);
        let age = |name: &str, hours: u64| {
            let file = fs::File::options().write(true).open(sticks.path().join(name)).expect("a file");
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).expect("set");
        };
        age("a/old.raucb", 9);
        age("b/New.RAUCB", 2);
        assert_eq!(newest(sticks.path()), Some(sticks.path().join("b/New.RAUCB")));
        assert_eq!((newest(&sticks.path().join("b/notes.txt")), newest(Path::new("/nowhere"))), (None, None));
    }

    #[test]
    fn what_was_begun_is_found_again() {
        let folder = tempfile::tempdir().expect("folder");
        let state = StateFolder::open(folder.path()).expect("state");
        let own = Own { version: "0.1.0".into(), slot: Some("A".into()), boot: "two".into() };
        assert_eq!(resume(&state, &own), (Resumed::Nothing, None, None));
        state.replace(TRIAL, b"0.2.0\n").expect("written");
        state.replace(WHY, b"It did not start\x1b\nmore\n").expect("written");
        let back = Resumed::RolledBack { to: "0.2.0".into(), why: "It did not start".into() };
        assert_eq!(resume(&state, &own).0, back);
        state.replace(FILE, b"{\"version\":9}").expect("written");
        let (resumed, last, fault) = resume(&state, &own);
        assert_eq!((resumed, last, fault.map(|fault| fault.code)), (back, None, Some("state-damaged")));
    }
}
