//! The linked accounts on the disk and in memory: one file each, of which a power cut leaves the old one or the new one.

use super::{
    Trouble,
    account::{Account, Link, is_name},
};
use crate::{state, status::Fault, sys, units::Time};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Who else has the accounts for longer than this has hung; in steps of.
const CLAIM: (Duration, Duration) = (Duration::from_secs(40), Duration::from_millis(100));

/// The linked accounts.
pub(super) struct Store {
    folder: PathBuf,
    linked: Mutex<BTreeMap<String, Arc<Linked>>>,
}

/// One of them. Who holds the lock is the only one who refreshes.
pub(super) struct Linked {
    /// Its username.
    pub name: String,
    /// All else.
    pub held: tokio::sync::Mutex<Held>,
}

/// An account and what is known of its tokens.
pub(super) struct Held {
    /// The account.
    pub account: Account,
    /// Until when the access token is good, by the monotonic clock; none: not known.
    pub until: Option<Time>,
    /// Why the last refresh failed, and when it may be tried again.
    pub failed: Option<(Time, Trouble)>,
    /// The disk did not take the newest tokens.
    pub unsaved: bool,
    /// It was unlinked; who waited for it must not bring it back.
    pub gone: bool,
}

impl Held {
    /// `now`: the calendar.
    pub fn new(account: Account, now: Timestamp) -> Self {
        let left = match &account.link {
            Link::OAuth2(tokens) => tokens.left(now),
            Link::OAuth1(_) => None,
        };
        Self { account, until: left.map(|left| sys::now() + left), failed: None, unsaved: false, gone: false }
    }
}

impl Store {
    /// The accounts in `folder`; what is damaged is set aside and told. `now`: the calendar.
    pub fn open(folder: PathBuf, now: Timestamp) -> (Self, Vec<Fault>) {
        if let Err(error) = private_folder(&folder) {
            // A box whose disk fails can go on air all the same.
            tracing::error!(%error, "the folder of the linked accounts cannot be made");
        }
        let (mut linked, mut faults) = (BTreeMap::new(), Vec::new());
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = file.strip_suffix(".json").filter(|name| is_name(name)) else { continue };
            let (account, fault) = state::load::<Account>(&folder, &file);
            faults.extend(fault);
            if let Some(account) = account {
                let held = tokio::sync::Mutex::new(Held::new(account, now));
                linked.insert(name.to_owned(), Arc::new(Linked { name: name.to_owned(), held }));
            }
        }
        (Self { folder, linked: Mutex::new(linked) }, faults)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Linked>>> {
        self.linked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Linked>> {
        self.lock().values().cloned().collect()
    }

    /// The account called `name`, with or without `@`; else `chosen`; else the only one.
    pub fn find(&self, name: Option<&str>, chosen: Option<&str>) -> Result<Arc<Linked>, Trouble> {
        let all = self.lock();
        let Some(name) = name.or(chosen) else {
            let mut each = all.values();
            return match (each.next(), each.next()) {
                (Some(only), None) => Ok(only.clone()),
                (None, _) => Err(Trouble::NotLinked(String::new())),
                _ => Err(Trouble::SeveralLinked),
            };
        };
        let name = name.strip_prefix('@').unwrap_or(name);
        let found = all.values().find(|linked| linked.name.eq_ignore_ascii_case(name));
        found.cloned().ok_or_else(|| Trouble::NotLinked(name.into()))
    }

    /// Keeps an account, in the place of the one of this name; `now`: the calendar.
    pub async fn insert(&self, account: Account, now: Timestamp) -> Result<(), Trouble> {
        self.save(&account).await?;
        let name = account.name.clone();
        let held = tokio::sync::Mutex::new(Held::new(account, now));
        self.lock().insert(name.clone(), Arc::new(Linked { name, held }));
        Ok(())
    }

    /// Forgets an account, even if its file cannot be deleted, which is told.
    pub async fn remove(&self, name: &str) -> Result<(), Trouble> {
        self.lock().remove(name);
        let (folder, path) = (self.folder.clone(), self.folder.join(file(name)));
        on_the_disk(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => File::open(folder)?.sync_all(),
        })
        .await
    }

    /// Writes an account's file, and waits until the disk has it.
    pub async fn save(&self, account: &Account) -> Result<(), Trouble> {
        write(&self.folder, file(&account.name), account).await
    }

    /// What the file of this account says now: another program of this user may have written it. A damaged one says nothing.
    pub async fn reload(&self, name: &str) -> Option<Account> {
        let (folder, file) = (self.folder.clone(), file(name));
        tokio::task::spawn_blocking(move || state::load::<Account>(&folder, &file).0).await.ok().flatten()
    }

    /// Waits until no other program of this user refreshes; given back when dropped. None: the disk has no place for that.
    pub async fn claim(&self) -> Option<File> {
        let options = || OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).to_owned();
        let file = options().open(self.folder.join(".lock")).ok()?;
        let mut waited = Duration::ZERO;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() && waited < CLAIM.0 {
            tokio::time::sleep(CLAIM.1).await;
            waited += CLAIM.1;
        }
        Some(file)
    }
}

fn file(name: &str) -> String {
    format!("{name}.json")
}

/// A folder that only this user can enter.
fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a versioned JSON file of `folder`, mode 0600, and waits until the disk has it.
pub(super) async fn write(folder: &Path, name: String, content: &impl Serialize) -> Result<(), Trouble> {
    let bytes = state::versioned(content).map_err(|error| not_kept(&error))?;
    let folder = folder.to_owned();
    on_the_disk(move || {
        private_folder(&folder)?;
        state::write_whole(&folder, &name, &bytes)?;
        File::open(&folder)?.sync_all()
    })
    .await
}

/// A slow card takes seconds, in which others go on.
async fn on_the_disk(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), Trouble> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
    done.map_err(|error| not_kept(&error))
}

fn not_kept(error: &io::Error) -> Trouble {
    Trouble::File(state::not_saved(error).text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::Secret, studio::oauth1::Keys};
    use std::os::unix::fs::PermissionsExt as _;

    fn account(name: &str) -> Account {
        let [consumer_key, consumer_secret, token, token_secret] = ["a", "b", "c", "d"].map(Secret::new);
        let link = Link::OAuth1(Keys { consumer_key, consumer_secret, token, token_secret });
        Account { name: name.into(), id: "1".into(), linked: Timestamp::UNIX_EPOCH, link }
    }

    fn open(folder: &Path) -> (Store, Vec<Fault>) {
        Store::open(folder.join("accounts"), Timestamp::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn accounts_are_kept_privately_until_they_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, faults) = open(folder.path());
        assert!(faults.is_empty() && store.all().is_empty());
        assert_eq!(store.find(None, None).err(), Some(Trouble::NotLinked(String::new())));
        store.insert(account("one"), Timestamp::UNIX_EPOCH).await.expect("kept");
        assert_eq!(store.find(None, None).map(|linked| linked.name.clone()), Ok("one".into()));
        store.insert(account("Two"), Timestamp::UNIX_EPOCH).await.expect("kept");
        let mode = |path: &str| fs::metadata(folder.path().join(path)).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode("accounts"), mode("accounts/one.json"), mode("accounts/Two.json")), (0o700, 0o600, 0o600));

        let (store, faults) = open(folder.path());
        assert!(faults.is_empty());
        let found = |name, chosen| store.find(name, chosen).map(|linked| linked.name.clone());
        assert_eq!(found(None, None), Err(Trouble::SeveralLinked));
        assert_eq!(found(Some("@two"), Some("one")), Ok("Two".into()));
        assert_eq!(found(None, Some("one")), Ok("one".into()));
        assert_eq!(found(Some("three"), None), Err(Trouble::NotLinked("three".into())));
        assert_eq!(store.find(Some("one"), None).expect("it").held.lock().await.account, account("one"));
        store.remove("one").await.expect("removed");
        store.remove("one").await.expect("nothing to do");
        assert_eq!(open(folder.path()).0.all().len(), 1);
    }

    #[tokio::test]
    async fn a_damaged_file_is_set_aside_and_the_others_work() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path()).0.insert(account("one"), Timestamp::UNIX_EPOCH).await.expect("kept");
        fs::write(folder.path().join("accounts/two.json"), r#"{"version":1,"name":"secret-token"#).expect("written");
        fs::write(folder.path().join("accounts/one.json.new"), "x").expect("written");
        let (store, faults) = open(folder.path());
        assert_eq!((store.all().len(), faults.len()), (1, 1));
        assert!(faults[0].text.contains("two.json") && !format!("{faults:?}").contains("secret-token"));
        assert!(open(folder.path()).1.is_empty(), "it does not come back");
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_told() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let (store, _) = open(file.path());
        assert!(matches!(store.insert(account("one"), Timestamp::UNIX_EPOCH).await, Err(Trouble::File(_))));
        assert!(store.all().is_empty() && store.claim().await.is_none());
    }

    #[tokio::test]
    async fn one_program_at_a_time_refreshes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (open(folder.path()).0, open(folder.path()).0);
        let claim = one.claim().await.expect("a claim");
        let mut waits = std::pin::pin!(two.claim());
        tokio::select! {
            biased;
            _ = &mut waits => panic!("both have it"),
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        drop(claim);
        waits.await.expect("a claim");
    }
}
