//! The state folder: what has to survive a power cut. Each file is written whole (temporary file, fsync, rename), so that
//! a cut leaves the old one or the new one; a damaged file is set aside with a fault and never stops the box.

use crate::{
    settings::{OVERRIDES, Overrides, parse_overrides},
    status::{Fault, Severity},
};
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Where the state is unless `--state` says otherwise.
pub const PATH: &str = "/var/lib/fieldcast";
/// The file with the PIN by which a computer is paired, while it holds.
pub const PIN: &str = "pin";
/// Left for the image's root oneshot: all that was brought to the box is to be forgotten.
pub const RESET: &str = "factory-reset";
/// Most bytes that a state file may have.
const SIZE_LIMIT: u64 = 1024 * 1024;
/// Version of the JSON files written here.
const VERSION: u32 = 1;
/// Most copies of one damaged file that are kept.
const DAMAGED_KEPT: u32 = 3;

/// What outlives a factory reset: who the box is, and the time that it certainly is, by which certificates are judged.
/// And that a reset was begun.
pub(crate) const KEPT: [&str; 3] = ["id.json", ClockFloor::FILE, RESET];

/// The state folder, held by one daemon at a time.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// Its advisory lock is the claim on the folder, given back by the kernel when the process ends.
    folder: File,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    content: T,
}

impl StateFolder {
    /// Opens the folder, making it (mode 0700) when it is missing, and claims it for this process.
    ///
    /// # Errors
    /// A sentence for people: it cannot be made, is not for this user, or another daemon has it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let failed = |what: &str, error: io::Error| {
            format!("the state folder {shown} {what}: {error}; give a folder that this user can write to with --state")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| failed("cannot be made", error))?;
        let folder = File::open(path).map_err(|error| failed("cannot be opened", error))?;
        flock(&folder, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| format!("the state folder {shown} is in use: another fieldcastd runs with it"))?;
        let state = Self { path: path.into(), folder };
        match state.replace(".probe", b"") {
            Ok(()) => drop(fs::remove_file(path.join(".probe"))),
            // A box whose disk is full or failing can go on air all the same.
            Err(error) if is_of_the_disk(&error) => {
                tracing::error!(%error, "the state folder cannot be written to");
            }
            Err(error) => return Err(failed("cannot be written to", error)),
        }
        Ok(state)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts `bytes` in the place of file `name`, mode 0600, and waits until the disk has them: up to seconds on a slow
    /// card.
    ///
    /// # Errors
    /// The disk is full or failed; the old file is as it was.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write_whole(&self.path, name, bytes)?;
        // The rename itself is on the disk only once the folder is.
        self.folder.sync_all()
    }

    /// Deletes everything but `KEPT`; goes on after an error.
    ///
    /// # Errors
    /// The last one: something is left.
    pub fn reset(&self) -> io::Result<()> {
        empty(&self.path, &KEPT)
    }

    /// Writes a versioned JSON file; as [`Self::replace`].
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn save<T: Serialize>(&self, name: &str, content: &T) -> io::Result<()> {
        self.replace(name, &versioned(content)?)
    }

    /// Reads a versioned JSON file. None without a fault: it was never written.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> (Option<T>, Option<Fault>) {
        load(&self.path, name)
    }

    /// Reads `overrides.toml`.
    pub fn overrides(&self) -> (Overrides, Option<Fault>) {
        let (overrides, fault) = read(&self.path, OVERRIDES, |text| parse_overrides(text).ok());
        (overrides.unwrap_or_default(), fault)
    }
}

/// Deletes everything in `folder` but what is `kept`; goes on after an error.
///
/// # Errors
/// The last one: something is left.
pub fn empty(folder: &Path, kept: &[&str]) -> io::Result<()> {
    let mut result = Ok(());
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let deleted = match entry.file_type() {
            _ if kept.iter().any(|kept| entry.file_name() == **kept) => continue,
            // A link is no folder: what it leads to is not ours.
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(path),
            _ => fs::remove_file(path),
        };
        result = deleted.and(result);
    }
    File::open(folder)?.sync_all().and(result)
}

/// Reads the versioned JSON file `name` of `folder` without setting a damaged one aside.
pub fn peek<T: DeserializeOwned>(folder: &Path, name: &str) -> Option<T> {
    let file: Versioned<T> = serde_json::from_str(&read_text(&folder.join(name)).ok().flatten()?).ok()?;
    (file.version == VERSION).then_some(file.content)
}

/// Reads the versioned JSON file `name` of `folder`; a damaged one is set aside. None without a fault: it was never written.
pub fn load<T: DeserializeOwned>(folder: &Path, name: &str) -> (Option<T>, Option<Fault>) {
    read(folder, name, |text| {
        let file: Versioned<T> = serde_json::from_str(text).ok()?;
        (file.version == VERSION).then_some(file.content)
    })
}

fn read<T>(folder: &Path, name: &str, parse: impl Fn(&str) -> Option<T>) -> (Option<T>, Option<Fault>) {
    let content = match read_text(&folder.join(name)) {
        Ok(None) => return (None, None),
        Ok(Some(text)) => parse(&text),
        Err(_) => None,
    };
    let fault = content.is_none().then(|| set_aside(folder, name));
    (content, fault)
}

/// Renames a damaged file, so that it can be looked at and does not come back. What a parser says of it is not told: it
/// can repeat what is in the file, which may be a key.
fn set_aside(folder: &Path, name: &str) -> Fault {
    let aside = |number| format!("{name}.damaged-{number}");
    let free = (1..DAMAGED_KEPT).find(|number| !folder.join(aside(*number)).exists()).unwrap_or(DAMAGED_KEPT);
    let aside = aside(free);
    if let Err(error) = fs::rename(folder.join(name), folder.join(&aside)) {
        tracing::warn!(name, %error, "a damaged state file cannot be set aside");
    }
    Fault {
        code: "state-damaged",
        severity: Severity::Warning,
        text: format!("The state file {name} is damaged or of a newer version; what it held is lost"),
        advice: format!("Check the settings and Sources. The file is kept as {aside}"),
        since: None,
    }
}

/// The text of a versioned JSON file.
///
/// # Errors
/// When `content` cannot be JSON.
pub fn versioned<T: Serialize>(content: &T) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&Versioned { version: VERSION, content })?)
}

/// Puts `bytes` in the place of the file `name` of `folder`, mode 0600, by a temporary file: a power cut leaves the old one or
/// the new one.
///
/// # Errors
/// The disk is full or failed; the old file is as it was.
pub fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Reads the overrides in `state` without claiming the folder or setting anything aside, for `check`.
///
/// # Errors
/// What is wrong with the file.
pub fn peek_overrides(state: &Path) -> Result<Overrides, String> {
    match read_text(&state.join(OVERRIDES)) {
        Ok(None) => Ok(Overrides::new()),
        Ok(Some(text)) => parse_overrides(&text),
        Err(error) => Err(error.to_string()),
    }
}

fn read_text(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    let meta = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        meta => meta?,
    };
    if !meta.is_file() || meta.len() > SIZE_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file of at most 1 MiB"));
    }
    File::open(path)?.take(SIZE_LIMIT).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Whether it is the disk that does not take anything now, and not the place that is wrong.
fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Tells that a state file could not be written.
pub fn not_saved(error: &io::Error) -> Fault {
    let (text, advice) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ("The disk is full: changes are not kept over a power cut", "Delete recordings or logs")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            ("The disk is read-only: changes are not kept over a power cut", "The card may be worn out: replace it")
        }
        _ => ("The disk failed: changes are not kept over a power cut", "Check or replace the card"),
    };
    Fault {
        code: "state-not-saved",
        severity: Severity::Warning,
        text: text.into(),
        advice: advice.into(),
        since: None,
    }
}

/// The last time that is known to have been: a box without a clock battery starts in the past, and certificates are judged
/// by this instead (`time.json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFloor {
    saved: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct SavedTime {
    time: Timestamp,
}

impl ClockFloor {
    /// Its state file.
    pub const FILE: &str = "time.json";
    /// A card bears some 100,000 writes of a place: at six an hour that is two years of wear at worst.
    const INTERVAL: SignedDuration = SignedDuration::from_mins(10);

    /// Reads the last time saved.
    pub fn load(state: &StateFolder) -> (Self, Option<Fault>) {
        let (saved, fault) = state.load::<SavedTime>(Self::FILE);
        (Self { saved: saved.map(|saved| saved.time) }, fault)
    }

    /// The last time saved in the folder `state`, without claiming it.
    pub fn peek(state: &Path) -> Option<Timestamp> {
        let text = read_text(&state.join(Self::FILE)).ok().flatten()?;
        serde_json::from_str::<SavedTime>(&text).ok().map(|saved| saved.time)
    }

    /// The time that it certainly is or was.
    pub fn time(&self) -> Option<Timestamp> {
        self.saved
    }

    /// Whether `wall`, of a synchronised clock, should be saved: ten minutes lie between, either way. A time saved in the
    /// future, by a clock that was wrong, is so corrected.
    pub fn is_due(&self, wall: Timestamp) -> bool {
        self.saved.is_none_or(|saved| wall.duration_since(saved).abs() >= Self::INTERVAL)
    }

    /// Takes `wall` as the last time; what is to be saved.
    ///
    /// # Errors
    /// As [`versioned`].
    pub fn note(&mut self, wall: Timestamp) -> io::Result<Vec<u8>> {
        self.saved = Some(wall);
        versioned(&SavedTime { time: wall })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command::Cut, settings::Layers};
    use crate::{control::SavedIntent, status::Intent};
    use std::{os::unix::fs::PermissionsExt as _, process::Command};

    fn intent(intent: Intent) -> SavedIntent {
        SavedIntent { intent, sources: Some(vec!["Main".into()]), show: Cut::Live, mute: false, input: None }
    }

    #[test]
    fn what_is_saved_is_loaded_and_private() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a/b");
        let state = StateFolder::open(&path).expect("state");
        assert_eq!(state.load::<SavedIntent>("intent.json"), (None, None));
        state.save("intent.json", &intent(Intent::OnAir)).expect("saved");
        assert_eq!(
            fs::read_to_string(path.join("intent.json")).expect("text"),
            r#"{"version":1,"intent":"on-air","sources":["Main"],"show":"live","mute":false,"input":null}"#
        );
        assert_eq!(state.load("intent.json"), (Some(intent(Intent::OnAir)), None));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("intent.json"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&path).expect("list").count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_reset_leaves_who_the_box_is() {
        let (folder, elsewhere) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        let state = StateFolder::open(folder.path()).expect("state");
        state.save("intent.json", &intent(Intent::OnAir)).expect("saved");
        for name in ["id.json", "time.json", "overrides.toml", "x.damaged-1"] {
            state.replace(name, b"x").expect("written");
        }
        fs::create_dir_all(folder.path().join("tokens/a")).expect("made");
        fs::write(folder.path().join("tokens/a/b"), b"x").expect("written");
        fs::write(elsewhere.path().join("recording"), b"x").expect("written");
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("recordings")).expect("linked");
        state.reset().expect("emptied");
        let mut left: Vec<_> = fs::read_dir(folder.path()).expect("list").flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["id.json", "time.json"]);
        assert!(elsewhere.path().join("recording").exists(), "what a link leads to is not ours");
        state.reset().expect("nothing to do");
        state.save("intent.json", &intent(Intent::OffAir)).expect("it can be used on");
    }

    #[test]
    fn one_daemon_at_a_time() {
        let folder = tempfile::tempdir().expect("folder");
        let first = StateFolder::open(folder.path()).expect("state");
        assert!(StateFolder::open(folder.path()).expect_err("refused").contains("another fieldcastd"));
        drop(first);
        StateFolder::open(folder.path()).expect("state");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told() {
        let file = tempfile::NamedTempFile::new().expect("file");
        assert!(StateFolder::open(&file.path().join("x")).expect_err("refused").contains("--state"));
        assert!(StateFolder::open(Path::new("/proc/fieldcast")).expect_err("refused").contains("cannot be made"));
        assert!(StateFolder::open(Path::new("/proc/self")).expect_err("refused").contains("cannot be written"));
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_never_fatal() {
        let folder = tempfile::tempdir().expect("folder");
        let state = StateFolder::open(folder.path()).expect("state");
        let damaged: [&[u8]; 6] =
            [b"", b"{", b"\xff\xfe", b"[]", br#"{"version":2,"intent":"on-air"}"#, br#"{"version":1,"intent":"x"}"#];
        for content in damaged {
            fs::write(folder.path().join("intent.json"), content).expect("written");
            let (loaded, fault) = state.load::<SavedIntent>("intent.json");
            assert_eq!((loaded, fault.map(|fault| fault.code)), (None, Some("state-damaged")), "{content:?}");
            assert_eq!(state.load::<SavedIntent>("intent.json"), (None, None), "it does not come back");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), DAMAGED_KEPT as usize, "copies are bounded");

        fs::create_dir(folder.path().join(OVERRIDES)).expect("made");
        assert_eq!(state.overrides().1.map(|fault| fault.code), Some("state-damaged"));
        fs::write(folder.path().join(OVERRIDES), "name = secret-key").expect("written");
        let (overrides, fault) = state.overrides();
        let fault = fault.expect("a fault");
        assert!(overrides.is_empty() && !format!("{fault:?}").contains("secret-key"));
        state.save("intent.json", &intent(Intent::OffAir)).expect("saved");
    }

    #[test]
    fn overrides_come_back_as_they_were_set() {
        let folder = tempfile::tempdir().expect("folder");
        let state = StateFolder::open(folder.path()).expect("state");
        let settings = tempfile::NamedTempFile::new().expect("file");
        let layers = Layers::load(Some(settings.path()), Overrides::new(), None).expect("settings");
        let changes = serde_json::from_str(r#"{"output.bitrate-max": "3 Mbit/s"}"#).expect("json");
        let (layers, _) = layers.change(&crate::settings::Changes(changes)).expect("changed");
        state.replace(OVERRIDES, layers.overrides_text().as_bytes()).expect("saved");
        let (overrides, fault) = state.overrides();
        let again = Layers::load(Some(settings.path()), overrides, None).expect("settings");
        assert_eq!((again.settings(), fault), (layers.settings(), None));
        assert_eq!(peek_overrides(folder.path()).map(|overrides| overrides.len()), Ok(1));
    }

    #[test]
    fn a_full_disk_leaves_the_old_file() {
        let folder = tempfile::tempdir().expect("folder");
        StateFolder::open(folder.path()).expect("state").save("intent.json", &intent(Intent::OnAir)).expect("saved");
        // The limit on file sizes holds for a whole process and comes with a signal: it is set in a child that runs the
        // test below.
        let test = std::env::current_exe().expect("this test");
        let child = Command::new("sh")
            .args(["-c", "ulimit -f 0; trap '' XFSZ; exec \"$0\" --ignored --exact state::tests::on_a_full_disk"])
            .arg(test)
            .env("STATE_FOLDER", folder.path())
            .output()
            .expect("run");
        // Without room for output either, only the exit code tells; the child leaves a mark by renaming.
        assert!(folder.path().join("refused").exists(), "{}", String::from_utf8_lossy(&child.stdout));
        let state = StateFolder::open(folder.path()).expect("state");
        assert_eq!(state.load("intent.json"), (Some(intent(Intent::OnAir)), None));
        assert!(!folder.path().join("intent.json.new").exists());
    }

    #[test]
    #[ignore = "run by a_full_disk_leaves_the_old_file under a limit on file sizes"]
    fn on_a_full_disk() {
        let path = PathBuf::from(std::env::var_os("STATE_FOLDER").expect("a folder"));
        let state = StateFolder::open(&path).expect("an empty file can be made");
        let error = state.save("intent.json", &intent(Intent::OffAir)).expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        fs::create_dir(path.join("refused")).expect("marked");
    }

    #[test]
    fn a_failed_write_is_told_by_its_cause() {
        let text = |errno: rustix::io::Errno| not_saved(&errno.into()).text;
        assert!(text(rustix::io::Errno::NOSPC).contains("full"));
        assert!(text(rustix::io::Errno::ROFS).contains("read-only"));
        assert!(text(rustix::io::Errno::IO).contains("failed"));
    }

    #[test]
    fn the_saved_time_can_be_peeked_at() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(ClockFloor::peek(folder.path()), None);
        let state = StateFolder::open(folder.path()).expect("opened");
        let time: Timestamp = "2026-11-23T18:00:00Z".parse().expect("a time");
        let bytes = ClockFloor::load(&state).0.note(time).expect("JSON");
        state.replace(ClockFloor::FILE, &bytes).expect("saved");
        assert_eq!(ClockFloor::peek(folder.path()), Some(time));
    }

    #[test]
    fn the_clock_floor_is_written_each_ten_minutes_at_most() {
        let folder = tempfile::tempdir().expect("folder");
        let state = StateFolder::open(folder.path()).expect("state");
        let at = |minute: i64| Timestamp::from_second(1_800_000_000 + minute * 60).expect("a time");
        let (mut floor, _) = ClockFloor::load(&state);
        assert!(floor.time().is_none() && floor.is_due(at(0)));
        state.replace(ClockFloor::FILE, &floor.note(at(0)).expect("JSON")).expect("saved");
        let (floor, fault) = ClockFloor::load(&state);
        assert_eq!((floor.time(), fault), (Some(at(0)), None));
        assert!(!floor.is_due(at(9)) && !floor.is_due(at(-9)) && floor.is_due(at(10)) && floor.is_due(at(-60)));
    }
}
