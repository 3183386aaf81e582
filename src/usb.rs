//! USB sticks. The image mounts them read-only; what the daemon wants on one it leaves in its state folder, and root copies it.
//!
//! The daemon's user has no right to mount or to write there, and root takes nothing from it but bytes: the name has to be one of
//! a few, and what is not a plain file of a sensible size is thrown away.

use crate::state;
use rustix::{
    fs::OFlags,
    mount::{MountFlags, mount_remount},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// What root says came of the last copy.
pub const REPORT: &str = "/run/fieldcast/usb-copy.json";
/// The folder of what is to be copied, in the state folder.
const OUT: &str = "to-usb";
/// Most bytes that are copied: a bundle of diagnostics has some 100 KB.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What came of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The file.
    pub name: String,
    /// The stick that has it, or why none has, for people.
    pub result: Result<String, String>,
}

impl Copied {
    /// Reads the report at `path`; none: it is not there, or is no report.
    pub fn load(path: &Path) -> Option<Self> {
        let mut text = String::new();
        File::open(path).ok()?.take(64 * 1024).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Where sticks are mounted below `root` (`/`), by name.
pub fn sticks(root: &Path) -> Vec<PathBuf> {
    let parent = root.join("run/media/fieldcast");
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    let outside = device(&parent);
    let entries = fs::read_dir(&parent).into_iter().flatten().flatten().map(|entry| entry.path());
    // What is no mount is left from a stick that went.
    let mut sticks: Vec<PathBuf> =
        entries.filter(|path| device(path).is_some_and(|own| Some(own) != outside)).collect();
    sticks.sort();
    sticks
}

/// Leaves a file in the state folder, for root to copy.
///
/// # Errors
/// The disk is full or failed.
pub fn ask(state: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let out = state.join(OUT);
    DirBuilder::new().recursive(true).mode(0o700).create(&out)?;
    // Whole before it is there to be seen.
    state::write_whole(state, OUT_FILE, bytes)?;
    fs::rename(state.join(OUT_FILE), out.join(name))
}

const OUT_FILE: &str = "to-usb.json";

/// Copies what the daemon below `root` left to the first stick, as root, and reports. Blocks on the disks.
///
/// # Errors
/// The daemon's folder or `/run` cannot be used.
pub fn copy(root: &Path) -> io::Result<()> {
    let out = root.join("var/lib/fieldcast").join(OUT);
    for entry in fs::read_dir(&out)?.flatten() {
        let Some(name) = entry.file_name().to_str().filter(|name| is_ours(name)).map(str::to_owned) else { continue };
        let bytes = read(&entry.path());
        fs::remove_file(entry.path())?;
        let result =
            bytes.map_err(|error| format!("The file of the daemon cannot be read: {error}")).and_then(|bytes| {
                match sticks(root).first() {
                    Some(stick) => put(stick, &name, &bytes).map_err(|error| why(&error)).map(|()| label(stick)),
                    None => Err("The USB stick is gone".into()),
                }
            });
        let text = serde_json::to_vec(&Copied { name, result })?;
        let run = root.join("run/fieldcast");
        state::write_whole(&run, "usb-copy.new.json", &text)?;
        fs::set_permissions(run.join("usb-copy.new.json"), fs::Permissions::from_mode(0o644))?;
        fs::rename(run.join("usb-copy.new.json"), run.join("usb-copy.json"))?;
    }
    // What is left has no name of ours: it would start this for ever.
    state::empty(&out, &[])
}

fn is_ours(name: &str) -> bool {
    let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let inner = name.strip_prefix("fieldcast-").and_then(|rest| rest.strip_suffix(".json"));
    inner.is_some_and(|inner| (1..=100).contains(&inner.len()) && inner.bytes().all(word))
}

fn label(stick: &Path) -> String {
    stick.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "The USB stick is full".into(),
        io::ErrorKind::ReadOnlyFilesystem => "The USB stick is write-protected".into(),
        _ => format!("The USB stick does not take it: {error}"),
    }
}

/// Reads a plain file, and no link to one.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(io::Error::other("it is no file of at most 16 MiB"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file onto the stick, which can be written to for as long as that takes.
fn put(stick: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_remount(stick, plain, c"")?;
    let written = write(stick, name, bytes);
    let again = mount_remount(stick, plain | MountFlags::RDONLY, c"");
    written.and(again.map_err(Into::into))
}

fn write(stick: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = stick.join(format!("{name}.new"));
    let written = OpenOptions::new().write(true).create_new(true).open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let written = written.and_then(|()| fs::rename(&temporary, stick.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    let folder = File::open(stick)?;
    written.and_then(|()| rustix::fs::syncfs(&folder).map_err(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::tree;

    #[test]
    fn what_is_no_mount_is_no_stick() {
        let root = tree(&[("run/media/fieldcast/sda1/x", "")]);
        assert_eq!(sticks(root.path()), Vec::<PathBuf>::new());
        assert_eq!(sticks(Path::new("/nowhere")), Vec::<PathBuf>::new());
    }

    #[test]
    fn only_plain_files_of_ours_are_taken_and_nothing_stays() {
        let root = tree(&[("run/fieldcast/x", ""), ("etc/shadow", "secret")]);
        let root = root.path();
        let state = root.join("var/lib/fieldcast");
        ask(
            &{
                fs::create_dir_all(&state).expect("made");
                state.clone()
            },
            "fieldcast-diagnostics-1.json",
            b"{}",
        )
        .expect("asked");
        for name in ["fieldcast.toml", "fieldcast-A.json", "fieldcast-../x.json"] {
            assert!(!is_ours(name), "{name}");
        }
        fs::write(state.join(OUT).join("fieldcast.toml"), "").expect("written");
        fs::create_dir_all(state.join(OUT).join("folder/x")).expect("made");
        copy(root).expect("copied");
        let told = Copied::load(&root.join("run/fieldcast/usb-copy.json")).expect("a report");
        assert_eq!(told.result, Err("The USB stick is gone".into()));
        assert_eq!(fs::read_dir(state.join(OUT)).expect("list").count(), 0);
        std::os::unix::fs::symlink(root.join("etc/shadow"), state.join(OUT).join("fieldcast-x.json")).expect("linked");
        copy(root).expect("copied");
        let told = Copied::load(&root.join("run/fieldcast/usb-copy.json")).expect("a report");
        assert!(told.result.expect_err("refused").contains("cannot be read"));
    }
}
