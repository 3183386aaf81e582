//! What the panel shows, made of the menu and of what is known.

use super::{Page, Preflight, SourceLine, Step, Verdict, View};
use crate::{
    control::{Control, RequestId, WorkerId},
    units::Time,
    uplink::{
        Cause,
        preflight::{self, Check, Progress},
        probe::Measured,
    },
};

impl Control {
    /// What the panel shows at `now`.
    pub fn view(&self, now: Time) -> View {
        let menu = &self.menu;
        View {
            page: menu.page,
            scroll: menu.scroll,
            list: menu.open.as_ref().map(|open| self.list(&open.listing, &open.choices, open.cursor, now)),
            hold: menu.bar(self.held_until()),
            notice: menu.notice(now).cloned(),
            locked: menu.locked,
            idle: menu.idle(now),
            identify: menu.identifies(now),
            reset: self.reset_shown(),
            pin: self.pin(now).cloned(),
            address: None,
            fingerprint: None,
            sources: self.settings.sources.iter().map(|source| self.source_line(&source.name)).collect(),
            preflight: menu.preflight.clone(),
        }
    }

    /// The worker of which the panel wants a picture of the input; none: nobody looks at a page that has one.
    pub fn looked_at(&self, now: Time) -> Option<WorkerId> {
        let looked_at = !self.menu.idle(now) && matches!(self.menu.page, Page::Live | Page::Input);
        self.camera().filter(|_| looked_at)
    }

    fn source_line(&self, name: &str) -> SourceLine {
        let region = self.region_of(name);
        let nearest = self.measured(name).and_then(<[Measured]>::first);
        SourceLine {
            name: name.into(),
            nearest: nearest.is_some_and(|row| row.result.is_ok() && Some(&row.region.name) == region.as_ref()),
            region,
            primary: self.primary_name().as_deref() == Some(name),
            backup: self.settings.push.backup.as_deref() == Some(name),
        }
    }

    /// A preflight begins; one that ran before is shown no more.
    pub(in crate::control) fn begin_preflight(&mut self, request: RequestId, source: &str, now: Time) {
        self.menu.preflight = Preflight { source: Some(source.into()), ..Preflight::default() };
        self.menu.tried = Some((request, now));
    }

    /// A preflight goes on.
    pub(in crate::control) fn note_progress(&mut self, request: RequestId, progress: &Progress, now: Time) {
        if self.menu.tried.is_none_or(|(shown, _)| shown != request) {
            return;
        }
        let steps = &mut self.menu.preflight.steps;
        match progress {
            Progress::Begun(tried) => steps.push(Step { text: tried.text().into(), passed: None, remark: None }),
            Progress::Ended(check) => {
                // What began last ends.
                steps.pop_if(|step| step.passed.is_none());
                steps.push(step(check));
            }
        }
        self.menu.tried = Some((request, now));
    }

    /// A preflight is done.
    pub(in crate::control) fn note_preflight(
        &mut self,
        request: RequestId,
        result: &Result<Box<preflight::Preflight>, Cause>,
        now: Time,
    ) {
        if self.menu.tried.is_none_or(|(shown, _)| shown != request) {
            return;
        }
        let verdict = match result {
            Ok(done) => {
                self.menu.preflight.steps = done.checks.iter().map(step).collect();
                if let (Some(upload), Some(last)) = (done.upload, self.menu.preflight.steps.last_mut()) {
                    last.remark = Some(upload.to_string());
                }
                let fine = || "This box can go on air".to_owned();
                let cause = done.checks.iter().find_map(|check| check.result.as_ref().err());
                let why = cause.map(|cause| format!("{}. {}", cause.text(), cause.advice()));
                let text = if done.passed() { done.suggestion() } else { why.or(done.suggestion()) };
                Verdict { passed: done.passed(), text: text.unwrap_or_else(fine) }
            }
            Err(cause) => Verdict { passed: false, text: format!("{}. {}", cause.text(), cause.advice()) },
        };
        self.menu.preflight.verdict = Some(verdict);
        self.menu.tried = Some((request, now));
    }

    /// A service's ingests were measured.
    pub(in crate::control) fn note_regions(&mut self, service: String, table: Vec<Measured>) {
        self.menu.regions.insert(service, table);
    }
}

/// A step as it is shown.
fn step(check: &Check) -> Step {
    let remark = match &check.result {
        Ok(()) => format!("{} ms", check.took.as_millis()),
        Err(cause) => cause.text(),
    };
    Step { text: check.step.text().into(), passed: Some(check.result.is_ok()), remark: Some(remark) }
}
