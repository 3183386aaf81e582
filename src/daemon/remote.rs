//! Remote control, from the loop's side: what the task is told, and what it wants.

use super::{
    Daemon,
    files::{Once, Written},
};
use crate::{
    board::Audio,
    command::{Answer, Command, Reason},
    control::{Event, Now, RequestId},
    http::Ask,
    log,
    remote::{
        client::{self, Tell, Wish},
        document::{Capabilities, Info, SourceInfo, What},
        happened, journal,
        session::Place,
        spool,
    },
    settings::MqttMode,
    status::Status,
};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// The task ends well within this.
const LAST_WORD: Duration = Duration::from_millis(600);
/// Lines of the log in a bundle of diagnostics.
const LINES: usize = 500;
/// Set by the systemd unit, which restarts the box when the daemon ends with [`crate::cli::REBOOT`].
pub(super) const CAN_REBOOT: &str = "FIELDCAST_CAN_REBOOT";

/// The task that holds the connection to the broker.
pub(super) struct Remote {
    tells: mpsc::UnboundedSender<Tell>,
    task: JoinHandle<()>,
    info: Option<Info>,
}

impl Daemon {
    /// Begins remote control, if the settings name a broker.
    pub(super) fn begin_remote(
        &mut self,
        asks: mpsc::Sender<Ask>,
        status: watch::Receiver<Arc<Status>>,
    ) -> mpsc::UnboundedReceiver<Wish> {
        let (wishes, queue) = mpsc::unbounded_channel();
        let mqtt = self.layers.settings().mqtt.clone();
        let broker = mqtt.broker.as_deref().and_then(|broker| broker.parse().ok());
        let (Some(broker), Ok(prefix)) = (broker, mqtt.prefix.parse()) else { return queue };
        let broker: crate::settings::BrokerUrl = broker;
        let (journal, damaged) = self.state.load(journal::FILE);
        let (spool, damaged_too) = self.state.load(spool::FILE);
        self.found.insert("requests", damaged.into_iter().chain(damaged_too).collect());
        let place = Place {
            prefix,
            id: status.borrow().id.clone(),
            observe: mqtt.mode == MqttMode::Observe,
            home: mqtt.home_assistant,
            private: broker.way.is_encrypted() || broker.is_local(),
            boot: kernel("sys/kernel/random/boot_id"),
        };
        let (tells, told) = mpsc::unbounded_channel();
        let task = tokio::spawn(client::run(client::Start {
            place,
            mqtt,
            broker,
            clock: self.trust.clock(),
            journal: journal.unwrap_or_default(),
            spool: spool.unwrap_or_default(),
            status,
            asks,
            tells: told,
            wishes,
        }));
        self.remote = Some(Remote { tells, task, info: None });
        let version = env!("CARGO_PKG_VERSION");
        self.tell_remote(Tell::Happened(
            What::Booted { version: version.into() },
            format!("Fieldcast {version} has started"),
            self.now().wall,
        ));
        self.tell();
        queue
    }

    pub(super) fn tell_remote(&self, tell: Tell) {
        if let Some(remote) = &self.remote {
            let _ = remote.tells.send(tell);
        }
    }

    /// Tells what has happened since the snapshot before, and what the box is now.
    pub(super) fn tell_happened(&mut self, before: &Status, after: &Status, now: Now) {
        if self.remote.is_none() {
            return;
        }
        for (what, text) in happened::between(before, after) {
            self.tell_remote(Tell::Happened(what, text, now.wall));
        }
        let info = self.info(after);
        if let Some(remote) = self.remote.as_mut().filter(|remote| remote.info.as_ref() != Some(&info)) {
            remote.info = Some(info.clone());
            let _ = remote.tells.send(Tell::Info(Box::new(info)));
        }
    }

    fn info(&self, status: &Status) -> Info {
        let (board, settings) = (self.control.board(), self.layers.settings());
        let codecs: BTreeSet<String> = board.encoders.iter().map(|encoder| encoder.codec.to_string()).collect();
        let source = |source: &crate::settings::Source| SourceInfo {
            name: source.name.clone(),
            service: source.service.clone(),
        };
        Info {
            schema: 1,
            id: status.id.clone(),
            name: settings.name.clone(),
            board: board.name.clone(),
            version: status.version.clone(),
            tags: settings.tags.clone(),
            commands: Command::NAMES.map(Into::into).to_vec(),
            capabilities: Capabilities {
                codecs: codecs.into_iter().collect(),
                sources: settings.sources.iter().map(source).collect(),
                inputs: board.inputs.iter().map(|input| input.name.clone()).collect(),
                panel: board.display.is_some() || !board.buttons.is_empty(),
                audio: board.inputs.iter().any(|input| input.audio != Audio::None),
            },
            address: status.network.iter().filter_map(|network| network.address).collect(),
            observe: settings.mqtt.mode == MqttMode::Observe,
        }
    }

    /// Does what the task wants.
    pub(super) fn take_wish(&mut self, wish: Wish) {
        match wish {
            Wish::Faults(faults) => {
                self.found.insert("remote", faults);
                self.tell();
            }
            Wish::Keep { file, bytes, mark: None } => self.files.keep(file, Ok(bytes)),
            Wish::Keep { file, bytes, mark: Some(mark) } => self.files.keep_now(file, bytes, Once::Journal(mark)),
        }
    }

    /// The journal is written, or could not be: that is a fault, and the command is carried out all the same.
    pub(super) fn note_journal(&mut self, mark: u64, written: &Written) {
        if written.is_err() {
            self.files.probe();
        }
        self.tell_remote(Tell::Kept(mark));
    }

    /// Lets the task say good-bye to the broker.
    pub(super) async fn end_remote(&mut self, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        let Some(Remote { tells, task, .. }) = self.remote.take() else { return };
        drop(tells);
        if timeout(LAST_WORD, task).await.is_err() {
            tracing::warn!("remote control did not end in its time");
        }
        while let Ok(wish) = wishes.try_recv() {
            if let Wish::Keep { file, bytes, .. } = wish {
                self.files.keep(file, Ok(bytes));
            }
        }
    }

    /// `logs`.
    pub(super) fn logs(&self, lines: usize, since: Option<jiff::Timestamp>) -> Answer {
        Answer::Successful { result: json!({ "lines": log::last(lines, since) }) }
    }

    /// `diagnostics`: all that is known about the box, secrets masked.
    pub(super) fn bundle(&self) -> serde_json::Value {
        let status = Arc::clone(&self.status.borrow());
        json!({
            "schema": 1,
            "time": self.now().wall,
            "status": &*status,
            "info": self.info(&status),
            "settings": self.layers.describe(),
            "logs": log::last(LINES, None),
            "host": {
                "kernel": kernel("version"),
                "boot": kernel("sys/kernel/random/boot_id"),
                "load": kernel("loadavg"),
                "memory": kernel("meminfo").lines().take(3).collect::<Vec<_>>(),
            },
        })
    }

    /// `reboot`: the daemon ends, and its unit restarts the box.
    pub(super) fn reboot(&mut self, request: RequestId) {
        if std::env::var_os(CAN_REBOOT).is_none() {
            let text = "This daemon was not started by its systemd unit, which restarts the box: use restart";
            return self.answer(request, Answer::failed(Reason::WrongState, text));
        }
        self.reboot = true;
        self.answer(request, Answer::done());
        self.handle(Event::Shutdown);
    }
}

/// What the kernel says of itself in /proc.
fn kernel(file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{file}")).unwrap_or_default().trim().to_owned()
}
