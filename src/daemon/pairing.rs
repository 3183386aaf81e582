//! Pairing: the PIN that is shown at the box, and the tokens that it is worth.

use super::{Daemon, Start};
use crate::{
    command::{Answer, Reason},
    control::{Event, menu},
    http::{
        Https,
        pairing::{Pairing, Pin, Refusal, VALID},
        tls::{self, Identity},
        tokens::{self, Token, TokenId, Tokens},
    },
    state::{PIN, StateFolder},
    sys,
    units::Time,
};
use rustix::fs::OFlags;
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    sync::Arc,
};
use tokio::sync::watch;

/// The tokens' file in their folder.
const TOKENS: &str = "tokens.json";

/// Who may use the box from beyond loopback.
pub(super) struct Access {
    /// None: it cannot be written to.
    folder: Option<StateFolder>,
    tokens: watch::Sender<Arc<Tokens>>,
    pairing: Pairing,
    /// Whether a PIN was shown and not taken away again.
    shown: bool,
    /// Where HTTPS is listened on, and the certificate's fingerprint; none: nowhere.
    https: Option<(SocketAddr, String)>,
}

impl Access {
    /// Reads the tokens and, where the settings want HTTPS, the certificate, which is made the first time. What is wrong with
    /// them is a fault of `start`, and the box is on loopback only.
    pub(super) fn open(start: &mut Start) -> (Self, Option<Https>) {
        let state = start.state.path();
        // Of an earlier run: worth nothing.
        let _ = fs::remove_file(state.join(PIN));
        let (folder, mut kept) = match StateFolder::open(&state.join("tokens")) {
            Ok(folder) => {
                let (kept, damaged) = folder.load::<Tokens>(TOKENS);
                start.faults.extend(damaged);
                (Some(folder), kept.unwrap_or_default())
            }
            Err(why) => {
                start.faults.push(tls::unavailable(&why));
                (None, Tokens::default())
            }
        };
        kept.limit();
        let (tokens, _) = watch::channel(Arc::new(kept));
        let mut access = Self { folder, tokens, pairing: Pairing::default(), shown: false, https: None };
        let listen = start.layers.settings().http.listen;
        if listen.ip().is_loopback() {
            return (access, None);
        }
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let names = tls::names(&start.id, &host);
        let folder = StateFolder::open(&state.join("tls")).map_err(|why| tls::unavailable(&why));
        match folder.and_then(|folder| Identity::load(&folder, &names)) {
            Ok((identity, fault)) => {
                start.faults.extend(fault);
                access.https = Some((listen, identity.fingerprint));
                (access, Some(Https { config: identity.config, names: names.into() }))
            }
            Err(fault) => {
                start.faults.push(fault);
                (access, None)
            }
        }
    }

    /// The paired computers, as they change.
    pub(super) fn tokens(&self) -> watch::Receiver<Arc<Tokens>> {
        self.tokens.subscribe()
    }

    /// Keeps `tokens` on the disk, then lets them hold. It waits for the disk, as who pairs or revokes wants to know; on air only
    /// they make it wait.
    fn keep(&self, tokens: Tokens) -> io::Result<()> {
        let folder = self.folder.as_ref().ok_or_else(|| io::Error::other("the folder of the tokens is missing"))?;
        folder.save(TOKENS, &tokens)?;
        self.tokens.send_replace(Arc::new(tokens));
        Ok(())
    }
}

impl Daemon {
    /// Host and port at which browsers reach the box now.
    pub(super) fn address(&self) -> Option<String> {
        let (listen, _) = self.access.https.as_ref()?;
        let ip = match listen.ip() {
            ip if ip.is_unspecified() => self.network.as_ref()?.address?,
            ip => ip,
        };
        Some(SocketAddr::new(ip, listen.port()).to_string())
    }

    /// The fingerprint of the certificate that they see there.
    pub(super) fn fingerprint(&self) -> Option<String> {
        self.access.https.as_ref().map(|(_, fingerprint)| fingerprint.clone())
    }

    /// `pair`: a new PIN holds, and is shown at the box; the answer does not have it.
    pub(super) fn pair(&mut self) -> Answer {
        let wrong_state = |text: &str| Answer::failed(Reason::WrongState, text);
        if self.access.https.is_none() {
            return wrong_state(
                "The box is on loopback only: set http.listen to an address that others reach, such as \"0.0.0.0:8443\", \
                 and restart",
            );
        }
        if self.access.tokens.borrow().full() {
            return wrong_state(&Refusal::Full.text());
        }
        let pin = loop {
            match tokens::random::<4>().map(|bytes| Pin::of_random(u32::from_ne_bytes(bytes))) {
                Ok(Some(pin)) => break pin,
                Ok(None) => {}
                Err(error) => return Answer::failed(Reason::Internal, error.to_string()),
            }
        };
        let until = match self.access.pairing.open(pin.clone(), sys::now()) {
            Ok(until) => until,
            Err(refusal) => return wrong_state(&refusal.text()),
        };
        let display = self.control.display_present();
        self.show_pin(&pin, until, display);
        Answer::Successful {
            result: json!({
                "address": self.address().map(|address| format!("https://{address}")),
                "fingerprint": self.fingerprint(),
                "valid-ms": VALID.as_millis() as u64,
                "shown-on": if display { "display" } else { "console" },
            }),
        }
    }

    /// Shows the PIN to who stands at the box, and to root: in a file that only root and the daemon's user can read (for
    /// `fieldcastd pair`), and on the display, or without one on the console and in the journal.
    fn show_pin(&mut self, pin: &Pin, until: Time, display: bool) {
        let digits = pin.reveal();
        self.access.shown = true;
        if let Err(error) = self.state.replace(PIN, digits.as_bytes()) {
            tracing::warn!(%error, "the PIN cannot be kept for `fieldcastd pair`");
        }
        // Not at once: this is in the midst of what control wants done.
        let _ = self.events.send(Event::Pin(Some(menu::Pin { digits: digits.clone(), until })));
        if !display {
            let text = format!("PIN to pair a computer with this box, for two minutes: {digits}");
            tracing::info!(target: "fieldcast::pin", "{text}");
            tokio::task::spawn_blocking(move || {
                if let Err(error) = print_on_console(&text) {
                    tracing::debug!(%error, "the PIN is not on the console");
                }
            });
        }
    }

    /// Takes a PIN away that holds no more at `now`.
    pub(super) fn hide_pin(&mut self, now: Time) {
        if self.access.shown && !self.access.pairing.holds(now) {
            self.access.shown = false;
            let _ = fs::remove_file(self.state.path().join(PIN));
            self.handle(Event::Pin(None));
        }
    }

    /// A token for the right PIN.
    pub(super) fn take_pin(&mut self, pin: &Pin, name: String) -> Result<Token, Refusal> {
        let judged = self.access.pairing.attempt(pin, sys::now());
        self.hide_pin(sys::now());
        if let Err(refusal) = judged {
            match refusal {
                // It costs who asks nothing, and must not cost the journal anything.
                Refusal::NoPin | Refusal::Wait(_) => tracing::debug!("pairing was refused: {}", refusal.text()),
                _ => tracing::warn!("pairing was refused: {}", refusal.text()),
            }
            return Err(refusal);
        }
        let mut tokens = Tokens::clone(&self.access.tokens.borrow());
        if tokens.full() {
            return Err(Refusal::Full);
        }
        let made = self.now().wall;
        let kept = Token::new().and_then(|token| {
            tokens.add(&token, name.clone(), made)?;
            self.access.keep(tokens).map(|()| token)
        });
        match kept {
            Ok(token) => {
                tracing::info!("a computer is paired: {name:?}");
                self.tell_paired();
                Ok(token)
            }
            Err(error) => {
                tracing::error!(%error, "the token cannot be kept");
                self.files.probe();
                Err(Refusal::NotKept)
            }
        }
    }

    /// `tokens`.
    pub(super) fn list_tokens(&self) -> Answer {
        Answer::Successful { result: self.access.tokens.borrow().describe() }
    }

    /// `revoke`: the token is worth nothing from now on, whatever the disk does.
    pub(super) fn revoke(&mut self, id: &str) -> Answer {
        let mut tokens = Tokens::clone(&self.access.tokens.borrow());
        if !tokens.revoke(id) {
            return Answer::wrong("id", "No paired computer has this id; `tokens` lists them");
        }
        self.access.tokens.send_replace(Arc::new(tokens.clone()));
        tracing::info!("the token of computer {id} is revoked");
        self.tell_paired();
        match self.access.keep(tokens) {
            Ok(()) => Answer::done(),
            Err(error) => {
                let text = format!("Revoked until the box restarts: that cannot be kept over a restart ({error})");
                self.files.probe();
                Answer::failed(Reason::Internal, text)
            }
        }
    }

    /// Notes that a paired computer was here.
    pub(super) fn note_use(&mut self, id: &TokenId) {
        let Some(wall) = self.now().wall else { return };
        let mut tokens = Tokens::clone(&self.access.tokens.borrow());
        tokens.note_use(id, wall);
        if self.control.pushing() {
            // Media does not wait for the disk; the next write has it.
            self.access.tokens.send_replace(Arc::new(tokens));
            return;
        }
        if let Err(error) = self.access.keep(tokens) {
            tracing::warn!(%error, "when a paired computer was here cannot be kept");
        }
    }

    /// Tells the panel which computers are paired.
    pub(super) fn tell_paired(&self) {
        let _ = self.events.send(Event::Paired(self.access.tokens.borrow().names()));
    }
}

/// The system's console: what is written there is seen by who stands before it or holds its cable. Never waits for it.
fn print_on_console(text: &str) -> io::Result<()> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut console: File = OpenOptions::new().write(true).custom_flags(flags).open("/dev/console")?;
    console.write_all(format!("\r\n{text}\r\n").as_bytes())
}
