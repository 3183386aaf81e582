//! State files, written beside the loop: a slow card takes seconds, and media does not wait for it. What cannot be written
//! is tried until it can, and is a fault until then.

use super::Done;
use crate::{
    state::{StateFolder, not_saved},
    status::Fault,
};
use std::{
    collections::BTreeMap,
    fs, io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// What could not be written is tried again so often.
const RETRY: Duration = Duration::from_secs(2);
/// How long the end of the process waits for the disk.
const LAST: Duration = Duration::from_secs(2);
/// A file that is written to see whether the disk takes anything.
const PROBE: &str = ".probe";

/// What came of writing something once.
pub(super) type Written = io::Result<()>;

/// What waits for a file to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Once {
    /// The first of the changes of settings.
    Set,
    /// What the operator wants.
    Intent,
    /// Requests up to this mark.
    Journal(u64),
    /// The Broadcast's record of this mark.
    Broadcast(u64),
}

/// What is to be written.
struct Wish {
    name: &'static str,
    bytes: Vec<u8>,
    /// What came of it is told to who waits; a set that failed is not tried again.
    once: Option<Once>,
}

/// The thread that writes.
#[derive(Debug)]
pub(super) struct Files {
    wanted: Option<Sender<Wish>>,
    ended: Receiver<()>,
}

impl Files {
    /// Writes into `state`; `done` hears when that begins to fail, and when all of it is written again.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(state: Arc<StateFolder>, done: UnboundedSender<Done>) -> io::Result<Self> {
        let (wanted, queue) = channel();
        let (end, ended) = channel::<()>();
        thread::Builder::new().name("state".into()).spawn(move || {
            let replace = |name: &str, bytes: &[u8]| {
                state.replace(name, bytes)?;
                if name == PROBE { fs::remove_file(state.path().join(PROBE)) } else { Ok(()) }
            };
            write(&queue, replace, |told| {
                drop(done.send(match told {
                    Told::Fault(fault) => Done::Saved(fault),
                    Told::Once(once, result) => Done::Written(once, result),
                }));
            });
            drop(end);
        })?;
        let files = Self { wanted: Some(wanted), ended };
        // Permissions do not tell of a full or read-only disk; trying does.
        files.probe();
        Ok(files)
    }

    /// Puts `bytes` in the place of the state file `name`, soon.
    pub(super) fn keep(&self, name: &'static str, bytes: io::Result<Vec<u8>>) {
        match bytes {
            Ok(bytes) => self.wish(Wish { name, bytes, once: None }),
            Err(error) => tracing::error!(name, %error, "a state file cannot be put into words"),
        }
    }

    /// Puts `bytes` in the place of the state file `name` if the disk takes them now: [`Done::Written`] tells.
    pub(super) fn keep_now(&self, name: &'static str, bytes: Vec<u8>, once: Once) {
        self.wish(Wish { name, bytes, once: Some(once) });
    }

    fn wish(&self, wish: Wish) {
        if let Some(wanted) = &self.wanted {
            let _ = wanted.send(wish);
        }
    }

    /// Finds out whether the disk takes anything, and tells.
    pub(super) fn probe(&self) {
        self.keep(PROBE, Ok(Vec::new()));
    }

    /// Waits a moment for what is still to be written; nothing is written after that.
    pub(super) fn end(&mut self) {
        self.wanted = None;
        let _ = self.ended.recv_timeout(LAST);
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the thread says.
enum Told {
    /// State files cannot be written, or can again.
    Fault(Option<Fault>),
    /// What was to be written once is, or is not.
    Once(Once, Written),
}

/// Writes what comes through `queue` until nobody can send any more, and tells when that fails or works again.
fn write(queue: &Receiver<Wish>, mut replace: impl FnMut(&str, &[u8]) -> io::Result<()>, mut tell: impl FnMut(Told)) {
    let mut unsaved: BTreeMap<&'static str, Vec<u8>> = BTreeMap::new();
    let mut told: Option<Fault> = None;
    loop {
        let next = match unsaved.is_empty() {
            true => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => queue.recv_timeout(RETRY),
        };
        let last = matches!(next, Err(RecvTimeoutError::Disconnected));
        // Only the newest of each file counts.
        for Wish { name, bytes, once } in next.into_iter().chain(queue.try_iter()) {
            match once {
                Some(once) => {
                    // What waits is older.
                    let older = unsaved.remove(name);
                    let result = replace(name, &bytes);
                    if result.is_err() {
                        let wanted = match once {
                            Once::Set => older,
                            // It is carried out all the same: after a power cut it has to be known.
                            Once::Intent | Once::Journal(_) | Once::Broadcast(_) => Some(bytes),
                        };
                        unsaved.extend(wanted.map(|bytes| (name, bytes)));
                    }
                    tell(Told::Once(once, result));
                }
                None => drop(unsaved.insert(name, bytes)),
            }
        }
        let mut failed = None;
        unsaved.retain(|name, bytes| match replace(name, bytes) {
            Ok(()) => false,
            Err(error) => {
                failed = Some(not_saved(&error));
                true
            }
        });
        if failed != told {
            told.clone_from(&failed);
            tell(Told::Fault(failed));
        }
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard};

    #[derive(Debug, Default)]
    struct Disk {
        full: bool,
        written: Vec<(String, Vec<u8>)>,
        told: Vec<Option<String>>,
    }

    fn wait(disk: &Mutex<Disk>, until: impl Fn(&Disk) -> bool) -> MutexGuard<'_, Disk> {
        for _ in 0..1000 {
            let disk = disk.lock().expect("a disk");
            if until(&disk) {
                return disk;
            }
            drop(disk);
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{disk:?}");
    }

    fn keep(name: &'static str, bytes: &[u8]) -> Wish {
        Wish { name, bytes: bytes.to_vec(), once: None }
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_written_when_it_does() {
        let disk = Arc::new(Mutex::new(Disk { full: true, ..Disk::default() }));
        let (sender, queue) = channel();
        let (one, other) = (disk.clone(), disk.clone());
        let replace = move |name: &str, bytes: &[u8]| {
            let mut disk = one.lock().expect("a disk");
            if disk.full {
                return Err(rustix::io::Errno::NOSPC.into());
            }
            disk.written.push((name.into(), bytes.into()));
            Ok(())
        };
        let tell = move |told| {
            other.lock().expect("a disk").told.push(match told {
                Told::Fault(fault) => fault.map(|fault| fault.code.to_owned()),
                Told::Once(_, result) => result.err().map(|_| "once".to_owned()),
            });
        };
        let writer = thread::spawn(move || write(&queue, replace, tell));
        sender.send(keep("intent.json", b"old")).expect("sent");
        drop(wait(&disk, |disk| disk.told.len() == 1));
        sender.send(Wish { once: Some(Once::Set), ..keep("overrides.toml", b"x") }).expect("sent");
        assert_eq!(wait(&disk, |disk| disk.told.len() == 2).told[1].as_deref(), Some("once"));
        sender.send(Wish { once: Some(Once::Journal(7)), ..keep("requests.journal", b"asked") }).expect("sent");
        drop(wait(&disk, |disk| disk.told.len() == 3));
        sender.send(keep("intent.json", b"new")).expect("sent");
        disk.lock().expect("a disk").full = false;
        sender.send(keep("time.json", b"now")).expect("sent");
        let held = wait(&disk, |disk| disk.told.len() == 4);
        assert_eq!(held.told[3], None);
        let written = [("intent.json", "new"), ("requests.journal", "asked"), ("time.json", "now")];
        assert_eq!(held.written, written.map(|(name, bytes)| (name.into(), bytes.as_bytes().to_vec())));
        drop(held);
        sender.send(keep("time.json", b"later")).expect("sent");
        drop(sender);
        writer.join().expect("ended");
        assert_eq!(disk.lock().expect("a disk").written.len(), 4, "what was asked for last is written before the end");
    }
}
