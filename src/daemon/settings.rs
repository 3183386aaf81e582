//! Settings that change while the box runs, and what is found wrong with them.

use super::{Daemon, files::Once};
use crate::{
    command::{Answer, Reason},
    control::{Event, RequestId},
    notify,
    settings::{Changes, Layers, OVERRIDES, effects},
    status::{Fault, Severity},
    sys,
    uplink::delivery,
};
use std::io;

impl Daemon {
    /// SIGHUP: reads the settings file again; a wrong one changes nothing.
    pub(super) fn reload(&mut self) {
        if self.control.in_rescue() {
            return tracing::info!("settings are read by the daemon, which `restart` tries again");
        }
        notify::reloading(sys::now());
        let (overrides, fault) = self.state.overrides();
        self.found.insert("overrides", fault.into_iter().collect());
        match Layers::load(self.settings.as_deref(), overrides, Some(self.control.board())) {
            Ok(layers) => {
                self.layers = layers;
                self.found.remove("reload");
                self.take_layers(true);
                tracing::info!("settings read again");
            }
            Err(problems) => {
                tracing::error!("the settings stay as they were:\n{problems}");
                let fault = Fault {
                    code: "settings-wrong",
                    severity: Severity::Warning,
                    text: "The settings file has an error, the old settings stay".into(),
                    advice: "Run `fieldcastd check`, mend the file, and reload again".into(),
                    since: None,
                };
                self.found.insert("reload", vec![fault]);
                self.tell();
            }
        }
        notify::ready(&self.sentence);
    }

    pub(super) fn take_layers(&mut self, at_once: bool) {
        self.find_faults();
        self.light();
        self.tell();
        if at_once || !self.control.pushing() {
            self.follow_mode();
        }
        let settings = Box::new(self.layers.settings().clone());
        self.handle(Event::Settings { settings, at_once });
    }

    /// What is wrong with the settings, and what the services would not take of them.
    pub(super) fn find_faults(&mut self) {
        let settings = self.layers.settings();
        let mut faults: Vec<Fault> = self.layers.fault().into_iter().collect();
        for source in &settings.sources {
            faults.extend(delivery::warnings(source, &settings.output).into_iter().map(|text| Fault {
                code: "service-limit",
                severity: Severity::Notice,
                text: format!("{}: {text}", source.name),
                advice: "Change the output settings to what the service takes".into(),
                since: None,
            }));
        }
        self.found.insert("settings", faults);
    }

    /// Cameras and the test picture have the output mode: they are followed anew when it changes.
    pub(super) fn follow_mode(&mut self) {
        if let Err(error) = self.watch_inputs() {
            tracing::error!("the inputs cannot be followed: {error:#}");
        }
    }

    /// Tells control what edges found wrong.
    pub(super) fn tell(&mut self) {
        let faults = self.found.values().flatten().cloned().collect();
        self.handle(Event::Told(faults));
    }

    /// Changes settings, all or nothing, one `set` after the other: they are on the disk before they take effect.
    pub(super) fn set(&mut self, request: RequestId, changes: Changes) {
        self.sets.push_back((request, changes));
        if self.sets.len() == 1 {
            self.save_next();
        }
    }

    fn save_next(&mut self) {
        while let Some((request, changes)) = self.sets.front() {
            match self.layers.change(changes) {
                Ok((layers, _)) => {
                    return self.files.keep_now(OVERRIDES, layers.overrides_text().into_bytes(), Once::Set);
                }
                Err(answer) => {
                    let request = *request;
                    self.sets.pop_front();
                    self.answer(request, answer);
                }
            }
        }
    }

    /// The first of the changes is on the disk, or could not be written.
    pub(super) fn take_set(&mut self, saved: io::Result<()>) {
        let Some((request, changes)) = self.sets.pop_front() else { return };
        // The file may have been read anew meanwhile.
        let answer = match (saved, self.layers.change(&changes)) {
            (Ok(()), Ok((layers, keys))) => {
                let result = effects(&keys, self.control.pushing());
                self.layers = layers;
                self.take_layers(false);
                if changes.0.contains_key("push.sources") {
                    self.handle(Event::SourcesChosen);
                }
                Answer::Successful { result }
            }
            (Ok(()), Err(answer)) => answer,
            (Err(error), _) => {
                self.files.probe();
                let text = format!("The change cannot be saved, nothing was changed: {error}");
                Answer::failed(Reason::Internal, text)
            }
        };
        self.answer(request, answer);
        self.save_next();
    }

    /// Keeps a fault while the state folder cannot be written.
    pub(super) fn note_saved(&mut self, fault: Option<Fault>) {
        self.found.insert("saved", fault.into_iter().collect());
        self.tell();
    }
}
