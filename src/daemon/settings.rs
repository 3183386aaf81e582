//! Settings that change while the box runs, and what is found wrong with them.

use super::Daemon;
use crate::{
    command::{Answer, Reason},
    control::Event,
    notify,
    settings::{Changes, Layers, effects},
    state::not_saved,
    status::{Fault, Severity},
    sys,
    uplink::delivery,
};

impl Daemon {
    /// SIGHUP: reads the settings file again; a wrong one changes nothing.
    pub(super) fn reload(&mut self) {
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

    /// Changes settings, all or nothing: they are on the disk before they take effect.
    pub(super) fn set(&mut self, changes: &Changes) -> Answer {
        let (layers, keys) = match self.layers.change(changes) {
            Ok(changed) => changed,
            Err(answer) => return answer,
        };
        let saved = self.state.save_overrides(&layers);
        if let Err(error) = &saved {
            let text = format!("The change cannot be saved, nothing was changed: {error}");
            self.note_saved(saved);
            return Answer::failed(Reason::Internal, text);
        }
        self.note_saved(saved);
        let result = effects(&keys, self.control.pushing());
        self.layers = layers;
        self.take_layers(false);
        Answer::Successful { result }
    }

    /// Keeps a fault while the state folder cannot be written.
    pub(super) fn note_saved(&mut self, saved: std::io::Result<()>) {
        let faults: Vec<_> = saved.err().map(|error| not_saved(&error)).into_iter().collect();
        if self.found.get("saved").map_or(0, Vec::len) != faults.len() {
            self.found.insert("saved", faults);
            self.tell();
        }
    }
}
