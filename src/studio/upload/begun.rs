//! An upload that was begun, on disk: a program that was killed goes on where it was.

use super::{MIB, local::Identity};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// An upload in segments. X's media id is no secret, but belongs to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Whose it is.
    pub(super) account: String,
    pub(super) category: String,
    pub(super) file: Identity,
    /// The API's.
    pub(super) media_id: String,
    /// Bytes of a segment but the last.
    pub(super) segment: u64,
    /// Segments that X has: all before this one.
    pub(super) done: u64,
    /// Until when X keeps them, seconds since 1970.
    pub(super) expires: u64,
}

impl Begun {
    /// The size of a segment: small enough to tell progress and to lose little by a cut, large enough for a fast line.
    pub(super) fn segment_of(size: u64) -> u64 {
        (size / 64).next_multiple_of(MIB / 4).clamp(MIB, 4 * MIB)
    }

    /// How many segments the file has.
    pub(super) fn count(&self) -> u64 {
        self.file.size.div_ceil(self.segment)
    }

    /// The first byte of segment `index`.
    pub(super) fn start_of(&self, index: u64) -> u64 {
        (index * self.segment).min(self.file.size)
    }

    fn path(folder: &Path, file: &Identity) -> PathBuf {
        folder.join(format!("{}-{}.json", file.inode, file.size))
    }

    /// What was begun of this very file, for this account and category, and what X still keeps. `now`: since 1970.
    pub(super) fn load(folder: &Path, file: &Identity, account: &str, category: &str, now: Duration) -> Option<Self> {
        let begun = Self::read(&Self::path(folder, file))?;
        let same = begun.file == *file && begun.account == account && begun.category == category;
        let sound = begun.segment >= MIB && begun.done <= begun.count();
        (same && sound && now.as_secs() < begun.expires).then_some(begun)
    }

    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Notes how far it is, mode 0600. Not waited for the disk: after a power cut what is noted may be old or nothing,
    /// and a segment is then sent twice, which X takes.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(super) fn save(&self, folder: &Path) -> io::Result<()> {
        let path = Self::path(folder, &self.file);
        let new = path.with_extension("new");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&serde_json::to_vec(self)?))
            .and_then(|()| fs::rename(&new, &path))
            .inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// It is over.
    pub(super) fn forget(&self, folder: &Path) {
        let _ = fs::remove_file(Self::path(folder, &self.file));
    }

    /// Makes the folder, and forgets what X keeps no more, what is damaged and what was written half.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(super) fn tidy(folder: &Path, now: Duration) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for entry in fs::read_dir(folder)?.flatten() {
            let path = entry.path();
            if Self::read(&path).is_none_or(|begun| now.as_secs() >= begun.expires) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn begun(size: u64) -> Begun {
        let file = serde_json::json!({"inode": 7, "size": size, "seconds": 1_800_000_000, "nanos": 5});
        Begun {
            account: "fieldcast".into(),
            category: "tweet_video".into(),
            file: serde_json::from_value(file).expect("an identity"),
            media_id: "123".into(),
            segment: Begun::segment_of(size),
            done: 2,
            expires: 1000,
        }
    }

    #[test]
    fn segments_fit_what_x_takes() {
        for (size, segment) in [(1, MIB), (15 * MIB, MIB), (100 * MIB, 7 * MIB / 4), (512 * MIB, 4 * MIB)] {
            assert_eq!(Begun::segment_of(size), segment, "{size}");
        }
        for size in [1, MIB, MIB + 1, 64 * MIB + 1, 300 * MIB, 512 * MIB] {
            let begun = begun(size);
            assert!(begun.count() <= 1000 && begun.segment <= 4 * MIB);
            let last = begun.count() - 1;
            assert!((1..=begun.segment).contains(&(size - begun.start_of(last))), "{size}");
            assert_eq!(begun.start_of(begun.count()), size);
        }
    }

    #[test]
    fn what_was_begun_is_found_again_for_the_same_only() {
        let folder = tempfile::tempdir().expect("folder");
        let (folder, at) = (&folder.path().join("uploads"), Duration::from_secs);
        let begun = begun(20 * MIB);
        Begun::tidy(folder, at(1)).expect("made");
        begun.save(folder).expect("saved");
        let load = |file, account, category, now| Begun::load(folder, file, account, category, at(now));
        assert_eq!(load(&begun.file, "fieldcast", "tweet_video", 999), Some(begun.clone()));
        assert_eq!(load(&begun.file, "another", "tweet_video", 999), None);
        assert_eq!(load(&begun.file, "fieldcast", "amplify_video", 999), None);
        assert_eq!(load(&begun.file, "fieldcast", "tweet_video", 1000), None, "X keeps it no more");
        let mut touched = serde_json::to_value(begun.file).expect("JSON");
        touched["nanos"] = 6.into();
        let touched = serde_json::from_value(touched).expect("an identity");
        assert_eq!(load(&touched, "fieldcast", "tweet_video", 999), None);
        let path = Begun::path(folder, &begun.file);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(folder), mode(&path)), (0o700, 0o600));

        let unsound = Begun { done: 100, ..begun.clone() };
        unsound.save(folder).expect("saved");
        assert_eq!(load(&begun.file, "fieldcast", "tweet_video", 1), None);
        fs::write(folder.join("1-1.json"), "{").expect("written");
        begun.save(folder).expect("saved");
        Begun::tidy(folder, at(999)).expect("tidied");
        assert_eq!(fs::read_dir(folder).expect("list").count(), 1);
        begun.forget(folder);
        assert_eq!(load(&begun.file, "fieldcast", "tweet_video", 1), None);
    }
}
