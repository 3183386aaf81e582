//! Updates, from the loop's side: getting a bundle, asking RAUC, and what is kept over the restart.

use super::{Daemon, remote::CAN_REBOOT, studio};
use crate::{
    control::{
        Event,
        update::{Act, Kept, Resumed, Told, Trouble},
    },
    remote::{client::Tell, message::Progress},
    settings::Source,
    state::{StateFolder, versioned},
    status::FirmwareState,
    update::{self, Folder, Rauc, Step},
    uplink::{delivery, probe},
};
use std::{fs, io, path::PathBuf, sync::Arc};
use tokio::task::spawn_blocking;

impl Daemon {
    /// Goes on where the last run of the daemon ended.
    pub(super) fn begin_update(&mut self) {
        self.folder().clear();
        let own = update::look("/".as_ref());
        self.image = own.is_some();
        let (resumed, last) = match &own {
            Some(own) => {
                let (resumed, last, fault) = update::resume(&self.state, own);
                self.found.entry("start").or_default().extend(fault);
                (resumed, last)
            }
            None => (Resumed::Nothing, None),
        };
        if let Resumed::OnTrial(record) = &resumed {
            // Known by its slot only: the power went before this file was written, and the image's script needs it.
            let trial = self.state.path().join(update::TRIAL);
            if !trial.exists() {
                self.files.keep(update::TRIAL, Ok(format!("{}\n", record.to).into_bytes()));
            }
        }
        self.handle(Event::Update(Told::Here { own, resumed, last }));
    }

    fn folder(&self) -> Folder {
        Folder::of(self.state.path())
    }

    /// Looks whether a stick with a bundle came or went.
    pub(super) fn look_for_sticks(&mut self) {
        let stick = self.image && update::on_stick().is_some();
        if stick != self.stick {
            self.stick = stick;
            self.handle(Event::Update(Told::Stick(stick)));
        }
    }

    /// Does what control wants done.
    pub(super) fn update(&mut self, act: Act) {
        let (folder, state) = (self.folder(), self.state.clone());
        match act {
            Act::Fetch { request, from } => {
                let trust = self.trust.clone();
                self.told = self.requests.get(&request).and_then(|waiting| waiting.progress.clone());
                let tell = self.teller();
                self.tell_later(async move {
                    let mut compatible = String::new();
                    let result = match can_restart() {
                        Ok(()) => folder.fetch(&from, &trust, &tell).await,
                        Err(trouble) => Err(trouble),
                    };
                    let result = match result {
                        Ok(path) => {
                            tell(Step { state: FirmwareState::Checking, done: 0, of: None });
                            inspect(path, &mut compatible).await
                        }
                        Err(trouble) => Err(trouble),
                    };
                    Told::Fetched { result, compatible }
                });
            }
            Act::Install(kept) => {
                let tell = self.teller();
                self.tell_later(async move {
                    let result = async {
                        keep(state, vec![(update::FILE, versioned(&*kept))]).await.map_err(not_recorded)?;
                        let installing = |percent: u8| {
                            let done = u64::from(percent);
                            tell(Step { state: FirmwareState::Installing, done, of: Some(100) });
                        };
                        installing(0);
                        let rauc = Rauc::connect().await.map_err(Trouble::Rauc)?;
                        rauc.install(&folder.bundle(), installing).await.map_err(|text| Trouble::of_rauc(&text))
                    };
                    let result = result.await;
                    folder.clear();
                    Told::Installed(result)
                });
            }
            Act::Discard => folder.clear(),
            Act::Record(kept) => self.tell_later(async move { Told::Recorded(record(state, &kept).await) }),
            Act::Restart => self.reboot = true,
            Act::Reach(source) => self.reach(*source),
            Act::Confirm => self.tell_later(async move {
                let marked = async { Rauc::connect().await?.mark("good", "booted").await };
                Told::Confirmed(marked.await)
            }),
            Act::GiveUp(why) => self.tell_later(async move {
                tracing::error!(%why, "the new system is given up");
                let _ = keep(state, vec![(update::WHY, Ok(format!("{why}\n").into_bytes()))]).await;
                let marked = async { Rauc::connect().await?.mark("bad", "booted").await };
                // The boot loader has its own count of tries.
                let _ = marked.await.inspect_err(|error| tracing::error!(%error, "it cannot be marked as bad"));
                Told::GivenUp
            }),
            Act::Keep(kept) => {
                self.files.keep(update::FILE, versioned(&*kept));
                for name in [update::TRIAL, update::WHY] {
                    let _ = fs::remove_file(self.state.path().join(name));
                }
            }
            Act::Answer(answer) => self.tell_remote(Tell::Updated(answer)),
        }
    }

    /// Who tells how far it is.
    fn teller(&self) -> impl Fn(Step) + Send + Sync + 'static {
        let (events, told) = (self.events.clone(), self.told.clone());
        let last = std::sync::Mutex::new(None);
        move |step: Step| {
            let percent = step.percent();
            let shown = Some((step.state, percent));
            let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if std::mem::replace(&mut *last, shown) == shown {
                return;
            }
            let _ = events.send(Event::Update(Told::Progress { state: step.state, percent }));
            let text = match step.state {
                FirmwareState::Downloading => "getting the bundle",
                FirmwareState::Checking => "checking the bundle",
                _ => "installing",
            };
            if let Some(told) = &told {
                let done = step.of.map(|_| step.done);
                let _ = told.send(Progress { step: text.into(), done, of: step.of });
            }
        }
    }

    /// Lets `work` find out what to tell, beside the loop.
    fn tell_later(&self, work: impl Future<Output = Told> + Send + 'static) {
        let events = self.events.clone();
        tokio::spawn(async move { drop(events.send(Event::Update(work.await))) });
    }

    fn reach(&self, source: Source) {
        let (studio, trust, media) = (self.studio.clone(), self.trust.clone(), self.control.media_info());
        self.tell_later(async move {
            let url = async {
                let source = studio::told(&source, studio.as_ref()).await?;
                delivery::target(&source, &media, &trust).await
            };
            let reached = match url.await {
                Ok((choice, _)) => probe::reachable(choice.url(), &trust).await,
                Err(_) => Some(false),
            };
            Told::Reached(reached == Some(true))
        });
    }
}

/// Whether a restart of the box follows when the daemon ends.
fn can_restart() -> Result<(), Trouble> {
    match std::env::var_os(CAN_REBOOT) {
        Some(_) => Ok(()),
        None => Err(Trouble::NoBundle(
            "This daemon was not started by its systemd unit, which restarts the box: nothing was installed".into(),
        )),
    }
}

async fn inspect(path: PathBuf, compatible: &mut String) -> Result<crate::control::update::Bundle, Trouble> {
    let rauc = Rauc::connect().await.map_err(Trouble::Rauc)?;
    *compatible = rauc.compatible().await.map_err(Trouble::Rauc)?;
    rauc.inspect(&path).await.map_err(|text| Trouble::of_rauc(&text))
}

/// The record first: with it alone the new system is known by its slot.
async fn record(state: Arc<StateFolder>, kept: &Kept) -> Result<(), Trouble> {
    let to = kept.record.as_ref().map(|record| record.to.clone()).unwrap_or_default();
    let files = vec![(update::FILE, versioned(kept)), (update::TRIAL, Ok(format!("{to}\n").into_bytes()))];
    let kept = keep(state, files).await;
    if let Err(error) = kept {
        // What nobody could give up must not come up.
        let back = async { Rauc::connect().await?.mark("active", "booted").await };
        let _ = back.await.inspect_err(|error| tracing::error!(%error, "the old system cannot be chosen again"));
        return Err(not_recorded(error));
    }
    Ok(())
}

fn not_recorded(error: io::Error) -> Trouble {
    Trouble::NotRecorded(error.to_string())
}

async fn keep(state: Arc<StateFolder>, files: Vec<(&'static str, io::Result<Vec<u8>>)>) -> io::Result<()> {
    let written = spawn_blocking(move || {
        let mut files = files.into_iter();
        files.try_for_each(|(name, bytes)| state.replace(name, &bytes?))
    });
    written.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
}
