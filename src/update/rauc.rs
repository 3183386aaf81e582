//! RAUC by D-Bus: what it is asked and what it says. The names are those of src/de.pengutronix.rauc.Installer.xml of RAUC 1.8 and
//! are the same in 1.15; what only one of the two has is said beside it.

use crate::control::update::Bundle;
use serde::Serialize;
use std::{collections::HashMap, path::Path, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::StreamExt as _;
use zbus::{Connection, DynamicType, MatchRule, Message, MessageStream, OwnedVariant, Variant};

/// Its name on the system bus, its only object, and the interface of that.
const NAME: &str = "de.pengutronix.rauc";
const PATH: &str = "/";
const INSTALLER: &str = "de.pengutronix.rauc.Installer";
/// Time for an answer: a bundle's signature is checked in it, from a slow card.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at how far an installation is.
const LOOK: Duration = Duration::from_millis(300);
/// The last signal of an installation comes well within this after RAUC is idle again.
const LAST_WORD: Duration = Duration::from_secs(5);
/// An installation that says nothing new for so long hangs: the largest images are written within minutes.
const STUCK: Duration = Duration::from_secs(900);
/// All that RAUC 1.8 answers to `Info` when it refuses a bundle (src/service.c, `r_on_handle_info`); the reason stands in its log.
const UNEXPLAINED: &str = "rauc info error";

/// RAUC, while it can be asked.
#[derive(Debug, Clone)]
pub struct Rauc(Connection);

impl Rauc {
    /// Connects to the system bus, which `DBUS_SYSTEM_BUS_ADDRESS` can name.
    ///
    /// # Errors
    /// In RAUC's or the bus's words: there is no bus.
    pub async fn connect() -> Result<Self, String> {
        match timeout(PATIENCE, Connection::system()).await {
            Ok(connected) => connected.map(Self).map_err(|error| words(&error)),
            Err(_) => Err("the system bus does not answer".into()),
        }
    }

    /// What bundles this box takes; the bus starts RAUC if it has to.
    ///
    /// # Errors
    /// In words: there is no RAUC, or this user may not ask it.
    pub async fn compatible(&self) -> Result<String, String> {
        String::try_from(self.property("Compatible").await?).map_err(|error| error.to_string())
    }

    /// What the bundle `file` is, if its signature is one to believe.
    ///
    /// # Errors
    /// Why not, in RAUC's words.
    pub async fn inspect(&self, file: &Path) -> Result<Bundle, String> {
        let file = file.to_str().ok_or("the bundle's path is not text")?;
        match self.call("Info", &(file,)).await {
            Ok(answer) => {
                let (compatible, version) = answer.body().deserialize().map_err(|error| error.to_string())?;
                Ok(Bundle { compatible, version })
            }
            Err(text) if text == UNEXPLAINED => Err(self.why(file).await?),
            Err(text) => Err(text),
        }
    }

    /// Why RAUC 1.8 refuses `file`: it says so when it is to install it, before it touches a slot (src/install.c,
    /// `do_install_bundle`: `check_bundle` comes first).
    async fn why(&self, file: &str) -> Result<String, String> {
        match self.install(Path::new(file), |_| ()).await {
            Err(text) => Ok(text),
            Ok(()) => {
                // It was refused for another reason than itself, and nobody has looked at its version: the old system stays.
                self.mark("active", "booted").await?;
                Ok("the bundle could not be looked at, as RAUC was busy: try again".into())
            }
        }
    }

    /// Installs the bundle `file` into the slot that does not run, and makes that the next one; `tell` hears percents.
    ///
    /// # Errors
    /// Why it failed, in RAUC's words. The running system is as it was.
    pub async fn install(&self, file: &Path, mut tell: impl FnMut(u8)) -> Result<(), String> {
        let file = file.to_str().ok_or("the bundle's path is not text")?;
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .interface(INSTALLER)
            .member("Completed")
            .build()
            .map_err(|error| words(&error))?;
        let mut completed = MessageStream::for_match_rule(rule, &self.0, None).await.map_err(|error| words(&error))?;
        let none: HashMap<&str, Variant<'_>> = HashMap::new();
        self.call("InstallBundle", &(file, none)).await?;
        let (mut told, mut moved, mut idle) = (None, Instant::now(), None);
        loop {
            tokio::select! {
                signal = completed.next() => {
                    let signal = signal.ok_or("the connection to RAUC was lost")?.map_err(|error| words(&error))?;
                    return match signal.body().deserialize::<(i32,)>() {
                        Ok((0,)) => Ok(()),
                        _ => Err(self.last_error().await),
                    };
                }
                () = sleep(LOOK) => {}
            }
            let progress = self.property("Progress").await.ok().and_then(percent);
            if progress.is_some() && progress != told {
                (told, moved) = (progress, Instant::now());
                progress.into_iter().for_each(&mut tell);
            }
            // A RAUC that has crashed is started anew by the bus, and knows nothing of an installation.
            let works = self.property("Operation").await.ok().and_then(|text| String::try_from(text).ok());
            match works.as_deref() {
                Some("installing") => idle = None,
                _ => {
                    let since = *idle.get_or_insert_with(Instant::now);
                    if since.elapsed() >= LAST_WORD {
                        return Err("RAUC ended while it installed".into());
                    }
                }
            }
            if moved.elapsed() >= STUCK {
                return Err("RAUC does not get on".into());
            }
        }
    }

    /// Marks `slot` (`booted`, `other` or a name) `good`, `bad` or `active`.
    ///
    /// # Errors
    /// In RAUC's words.
    pub async fn mark(&self, state: &str, slot: &str) -> Result<(), String> {
        self.call("Mark", &(state, slot)).await.map(drop)
    }

    async fn last_error(&self) -> String {
        let text = self.property("LastError").await.and_then(|text| String::try_from(text).map_err(|e| e.to_string()));
        text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "RAUC does not say why".into())
    }

    async fn property(&self, name: &str) -> Result<OwnedVariant, String> {
        let wanted = (INSTALLER, name);
        let properties = Some("org.freedesktop.DBus.Properties");
        let answer = within(self.0.call_method(Some(NAME), PATH, properties, "Get", &wanted)).await?;
        answer.body().deserialize().map_err(|error| error.to_string())
    }

    async fn call<B: Serialize + DynamicType>(&self, method: &str, body: &B) -> Result<Message, String> {
        within(self.0.call_method(Some(NAME), PATH, Some(INSTALLER), method, body)).await
    }
}

async fn within(asked: impl Future<Output = zbus::Result<Message>>) -> Result<Message, String> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| words(&error)),
        Err(_) => Err("RAUC does not answer".into()),
    }
}

/// What an error says, without its D-Bus name.
fn words(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(_, Some(text), _) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// The percents of `Progress`, `(isi)`: percents, what is done, depth.
fn percent(progress: OwnedVariant) -> Option<u8> {
    let (percent, _, _): (i32, String, i32) = progress.try_into().ok()?;
    u8::try_from(percent.clamp(0, 100)).ok()
}
