//! What the root oneshot of the image says of a `fieldcast.toml`, and USB sticks. Without an image there is neither.

use super::Daemon;
use crate::{
    command::{Answer, Reason},
    control::{Event, RequestId},
    provision::report::{self, Report},
    sys, usb,
};
use serde_json::json;
use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

/// A stick that is slow takes some seconds.
const COPY: Duration = Duration::from_secs(30);
/// How often it is looked whether the copy is done.
const LOOK: Duration = Duration::from_millis(200);

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// The report: its inode, which another report does not have, and when it was written.
    report: Option<(u64, i64, i64)>,
    stick: bool,
}

/// Whether the box runs an image that provisions it: the oneshot has run.
pub(super) fn is_appliance() -> bool {
    Path::new(report::PATH).exists()
}

impl Daemon {
    /// Each second: another report, a stick that came or went.
    pub(super) fn look_at_brought(&mut self) {
        if self.look_at_report() {
            self.tell();
        }
        let stick = !usb::sticks(Path::new("/")).is_empty();
        if std::mem::replace(&mut self.brought.stick, stick) != stick {
            self.handle(Event::Stick(stick));
        }
    }

    /// Notes what a new report says; whether there is one.
    pub(super) fn look_at_report(&mut self) -> bool {
        let meta = fs::metadata(report::PATH).ok();
        let written = meta.map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec()));
        if self.brought.report == written {
            return false;
        }
        self.brought.report = written;
        let faults = Report::load(Path::new(report::PATH)).map(|report| report.faults());
        self.found.insert("provision", faults.unwrap_or_default());
        true
    }

    /// `diagnostics` with `to = "usb"`: the file is written into the state folder, and root copies it.
    pub(super) fn diagnostics_to_usb(&mut self, request: RequestId) {
        if usb::sticks(Path::new("/")).is_empty() {
            let text = "No USB stick is in the box, or none that it knows: FAT, exFAT and ext4 are taken";
            return self.answer(request, Answer::failed(Reason::WrongState, text));
        }
        let id = self.status.borrow().id.clone();
        let name = format!("fieldcast-diagnostics-{id}-{}.json", sys::now().millis());
        let bundle = serde_json::to_vec_pretty(&self.bundle()).unwrap_or_default();
        let state = self.state.path().to_owned();
        self.answer_later(request, async move {
            let asked = {
                let name = name.clone();
                tokio::task::spawn_blocking(move || usb::ask(&state, &name, &bundle)).await
            };
            match asked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    return Answer::failed(Reason::Internal, format!("The disk does not take it: {error}"));
                }
                Err(error) => return Answer::failed(Reason::Internal, error.to_string()),
            }
            for _ in 0..COPY.as_millis() / LOOK.as_millis() {
                tokio::time::sleep(LOOK).await;
                let Some(copied) = usb::Copied::load(Path::new(usb::REPORT)).filter(|copied| copied.name == name)
                else {
                    continue;
                };
                return match copied.result {
                    Ok(stick) => Answer::Successful { result: json!({ "file": name, "stick": stick }) },
                    Err(why) => Answer::failed(Reason::Internal, why),
                };
            }
            Answer::failed(Reason::TimedOut, "The stick did not take the file within 30 s")
        });
    }
}
