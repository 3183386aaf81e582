//! The part of a file that is there, on disk: `NAME.part`, and beside it, in `NAME.part.json`, of what it is a part.

use super::super::Trouble;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, statvfs};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};
use tokio::{
    fs::File,
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
};

/// Room that a download leaves on the disk, bytes: the box has to note what the operator wants.
const RESERVE: u64 = 16 * 1024 * 1024;

/// Of what it is a part.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Whole {
    key: String,
    /// ETag or Last-Modified.
    validator: Option<String>,
    /// Bytes.
    length: Option<u64>,
}

/// A file that is being downloaded, by one program at a time.
pub(super) struct Partial {
    target: PathBuf,
    part: PathBuf,
    file: File,
    has: u64,
    whole: Whole,
}

impl Partial {
    /// Goes on with the part of `target` that is there, if it is of `key`.
    pub(super) async fn open(target: PathBuf, key: String) -> Result<Self, Trouble> {
        let part = with_suffix(&target, ".part");
        if fs::symlink_metadata(&target).is_ok() {
            return Err(is_there(&target));
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&part);
        let file = file.map_err(|error| Trouble::File(format!("{} cannot be written: {error}", part.display())))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Trouble::File(format!("{} is being downloaded already", target.display())))?;
        let known = fs::read(note_of(&part)).ok().and_then(|text| serde_json::from_slice::<Whole>(&text).ok());
        let has = file.metadata().map_or(0, |meta| meta.len());
        let mut partial = Self { target, part, file: File::from_std(file), has, whole: Whole::default() };
        match known.filter(|known| known.key == key && known.validator.is_some()) {
            Some(known) if known.length.is_none_or(|length| has <= length) => {
                partial.whole = known;
                partial.file.seek(io::SeekFrom::Start(has)).await.map_err(|error| partial.broken(&error))?;
            }
            _ => {
                partial.whole.key = key;
                partial.begin(None, None).await?;
            }
        }
        Ok(partial)
    }

    /// Bytes that are there.
    pub(super) fn has(&self) -> u64 {
        self.has
    }

    /// Bytes of the whole, once that is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.whole.length
    }

    /// By what the rest is asked for.
    pub(super) fn validator(&self) -> Option<&str> {
        self.whole.validator.as_deref()
    }

    /// Begins anew.
    pub(super) async fn begin(&mut self, validator: Option<String>, length: Option<u64>) -> Result<(), Trouble> {
        let emptied = async {
            self.file.flush().await?;
            self.file.set_len(0).await?;
            self.file.rewind().await
        };
        emptied.await.map_err(|error| self.broken(&error))?;
        (self.has, self.whole.validator, self.whole.length) = (0, validator, None);
        if let Some(length) = length {
            self.expect(length).await?;
        }
        let note = serde_json::to_vec(&self.whole).map_err(|error| Trouble::Garbled(error.to_string()))?;
        fs::write(note_of(&self.part), note).map_err(|error| self.broken(&error))
    }

    /// The whole has `length` bytes: is there room for the rest?
    pub(super) async fn expect(&mut self, length: u64) -> Result<(), Trouble> {
        self.whole.length = Some(length);
        let rest = length.saturating_sub(self.has);
        let Ok(disk) = statvfs(&self.part) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if rest.saturating_add(RESERVE) > free {
            let megabytes = |bytes: u64| bytes as f64 / 1e6;
            let (rest, free) = (megabytes(rest), megabytes(free));
            return Err(Trouble::File(format!("The disk has {free:.0} MB free; {rest:.0} MB are to be downloaded")));
        }
        Ok(())
    }

    pub(super) async fn append(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        // More than was promised is not the file.
        if self.whole.length.is_some_and(|length| self.has + bytes.len() as u64 > length) {
            self.begin(None, None).await?;
            return Err(Trouble::Garbled("more bytes than were announced".into()));
        }
        self.file.write_all(bytes).await.map_err(|error| self.broken(&error))?;
        self.has += bytes.len() as u64;
        Ok(())
    }

    /// Stops; what is there is kept, if anything.
    pub(super) async fn close(mut self) {
        let _ = self.file.flush().await;
        if self.has == 0 {
            self.remove();
        }
    }

    /// Gives the file its name.
    pub(super) async fn finish(mut self) -> Result<PathBuf, Trouble> {
        let written = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        written.await.map_err(|error| self.broken(&error))?;
        let renamed = match renameat_with(CWD, &self.part, CWD, &self.target, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if fs::symlink_metadata(&self.target).is_err() => {
                fs::rename(&self.part, &self.target)
            }
            Err(rustix::io::Errno::EXIST | rustix::io::Errno::INVAL) => return Err(is_there(&self.target)),
            renamed => renamed.map_err(Into::into),
        };
        renamed.map_err(|error| self.broken(&error))?;
        let _ = fs::remove_file(note_of(&self.part));
        Ok(self.target)
    }

    /// Why it cannot be written. A full disk stops more than this download, so its space is given back.
    fn broken(&self, error: &io::Error) -> Trouble {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let name = self.target.display();
        if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
            self.remove();
            return Trouble::File(format!("The disk is full; the part of {name} that was there is removed"));
        }
        Trouble::File(format!("{name} cannot be written: {error}; what was downloaded is kept"))
    }

    fn remove(&self) {
        let _ = fs::remove_file(note_of(&self.part));
        let _ = fs::remove_file(&self.part);
    }
}

fn is_there(target: &Path) -> Trouble {
    Trouble::File(format!("{} is there already", target.display()))
}

fn note_of(part: &Path) -> PathBuf {
    with_suffix(part, ".json")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.into();
    name.push(suffix);
    name.into()
}
