//! The file that is uploaded: read a piece at a time, and watched for changes while it is.

use super::super::{Trouble, kind};
use bytes::Bytes;
use rustix::{fs::FlockOperation, io::Errno};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// A file that is being read is looked at again so often, and so long apart.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// By what a file is known again: another inode, size or time of change is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Since 1970.
    seconds: i64,
    nanos: i64,
}

impl Identity {
    fn of(meta: &Metadata) -> Self {
        Self { inode: meta.ino(), size: meta.len(), seconds: meta.mtime(), nanos: meta.mtime_nsec() }
    }
}

/// A file as it was when it was opened.
#[derive(Clone)]
pub(super) struct Local {
    path: PathBuf,
    file: Arc<File>,
    pub(super) identity: Identity,
}

impl Local {
    /// Opens it; its first bytes, by which it is known what it is.
    pub(super) async fn open(path: &Path) -> Result<(Self, Bytes), Trouble> {
        let path = path.to_owned();
        let local = blocking(move || {
            let wrong = |error: io::Error| Trouble::File(format!("{} cannot be read: {error}", path.display()));
            // Opening what is no file, such as a pipe, could wait for ever.
            if !fs::metadata(&path).map_err(wrong)?.is_file() {
                return Err(Trouble::File(format!("{} is no file", path.display())));
            }
            let file = File::open(&path).map_err(wrong)?;
            // Two would send the same segments, and both begin anew. One that was broken off may still read a piece.
            let lock = || rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            let mut tries = 0;
            while lock() == Err(Errno::WOULDBLOCK) {
                if tries == TRIES {
                    return Err(Trouble::File(format!("{} is being uploaded already", path.display())));
                }
                tries += 1;
                thread::sleep(PAUSE);
            }
            let identity = Identity::of(&file.metadata().map_err(wrong)?);
            Ok(Self { path, file: Arc::new(file), identity })
        })
        .await?;
        let head = local.read(0, kind::HEAD as u64).await?;
        Ok((local, head))
    }

    /// The file's name, for people.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The bytes from `from` on, `length` of them or as many as there are. The file is whole and unchanged up to the
    /// moment at which they had been read.
    pub(super) async fn read(&self, from: u64, length: u64) -> Result<Bytes, Trouble> {
        let local = self.clone();
        blocking(move || local.read_now(from, length)).await
    }

    fn read_now(&self, from: u64, length: u64) -> Result<Bytes, Trouble> {
        let length = length.min(self.identity.size.saturating_sub(from));
        let mut bytes = vec![0; length as usize];
        let read = self.file.read_exact_at(&mut bytes, from);
        self.check()?;
        match read {
            Ok(()) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.changed()),
            Err(error) => Err(Trouble::File(format!("{} cannot be read: {error}", self.name()))),
        }
    }

    fn check(&self) -> Result<(), Trouble> {
        let now = |meta: io::Result<Metadata>| meta.map(|meta| Identity::of(&meta));
        // The path too: another file may have been put in its place.
        match (now(self.file.metadata()), now(fs::metadata(&self.path))) {
            (Ok(open), Ok(named)) if open == self.identity && named == self.identity => Ok(()),
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(Trouble::File(format!("{} vanished while it was uploaded", self.name())))
            }
            _ => Err(self.changed()),
        }
    }

    fn changed(&self) -> Trouble {
        Trouble::File(format!("{} changed while it was uploaded; nothing of it is published", self.name()))
    }
}

/// Work that may wait for a disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Trouble::File("This program is ending".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn text(trouble: Result<impl Sized, Trouble>) -> String {
        trouble.err().expect("refused").text()
    }

    #[tokio::test]
    async fn a_file_is_read_in_pieces() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        let content: Vec<u8> = (0..5000).map(|at| (at / 7) as u8).collect();
        file.write_all(&content).expect("written");
        let (local, head) = Local::open(file.path()).await.expect("opened");
        assert_eq!(head, content[..kind::HEAD]);
        assert_eq!(local.read(4000, 500).await.expect("read"), content[4000..4500]);
        assert_eq!(local.read(4000, 5000).await.expect("read"), content[4000..], "as many as there are");
        assert_eq!(local.read(6000, 1).await.expect("read"), "");
    }

    #[tokio::test]
    async fn a_file_that_changed_or_vanished_is_told() {
        let folder = tempfile::tempdir().expect("folder");
        let (path, other) = (folder.path().join("clip.mp4"), folder.path().join("other"));
        let put = |content: &[u8]| fs::write(&path, content).expect("written");
        put(b"0123456789");
        let (local, _) = Local::open(&path).await.expect("opened");
        put(b"01234567890");
        assert_eq!(text(local.read(0, 1).await), "clip.mp4 changed while it was uploaded; nothing of it is published");
        drop(local);

        let (local, _) = Local::open(&path).await.expect("opened");
        put(b"");
        assert!(text(local.read(0, 1).await).contains("changed"), "shorter");
        drop(local);

        put(b"0123456789");
        let (local, _) = Local::open(&path).await.expect("opened");
        fs::write(&other, b"0123456789").expect("written");
        fs::rename(&other, &path).expect("renamed");
        assert!(text(local.read(0, 1).await).contains("changed"), "another in its place");
        drop(local);

        let (local, _) = Local::open(&path).await.expect("opened");
        fs::remove_file(&path).expect("removed");
        assert_eq!(text(local.read(0, 1).await), "clip.mp4 vanished while it was uploaded");
    }

    #[tokio::test]
    async fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(text(Local::open(folder.path()).await).contains("is no file"));
        assert!(text(Local::open(&folder.path().join("none.png")).await).contains("cannot be read"));
        assert!(text(Local::open(Path::new("/dev/zero")).await).contains("is no file"));
    }
}
