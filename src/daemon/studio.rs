//! The Studio, from the loop's side: who asks it, and what a Source of it leads to.

use super::Daemon;
use crate::{
    command::{
        Answer, Reason,
        studio::{Request, What},
    },
    control::{Event, RequestId},
    settings::Source,
    studio::{Ask, AskId, Studio, Told, Trouble},
    uplink::Cause,
};
use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};
use tokio::time::timeout;

/// Where the box keeps what it downloads and finds what it uploads, in the state folder.
const RECORDINGS: &str = "recordings";

/// A question to the Studio has an answer by then: the client's own time with its repeats and pages is well within.
const PATIENCE: Duration = Duration::from_secs(180);

impl Daemon {
    /// Asks the Studio about the Broadcast of `source`.
    pub(super) fn ask_studio(&self, id: AskId, source: Source, ask: Ask) {
        let (studio, events) = (self.studio.clone(), self.events.clone());
        tokio::spawn(async move {
            let told = match (studio, source.studio) {
                (Some(studio), Some(place)) => {
                    // A disk that hangs must not keep the next question, which may be the end, from being asked; what was begun,
                    // such as a refresh of tokens, goes on.
                    let asked =
                        tokio::spawn(async move { studio.ask(place.account.as_deref(), &place.source_id, ask).await });
                    let told = timeout(PATIENCE, asked).await.ok().and_then(Result::ok);
                    told.unwrap_or(Told::Failed(Trouble::AnswerLost))
                }
                _ => Told::Failed(Trouble::NotLinked(String::new())),
            };
            let _ = events.send(Event::Studio { id, told });
        });
    }

    /// Does what the Studio is asked, and answers.
    pub(super) fn perform_studio(&mut self, request: RequestId, asked: Request) {
        let Some(studio) = self.studio.clone() else {
            let text = "The accounts of X cannot be kept here: see the log";
            return self.answer(request, Answer::failed(Reason::Internal, text));
        };
        let asked = match self.localized(asked) {
            Ok(asked) => asked,
            Err(answer) => return self.answer(request, answer),
        };
        let told = self.requests.get(&request).and_then(|waiting| waiting.progress.clone());
        self.answer_later(request, async move {
            let tell = move |progress| {
                if let Some(told) = &told {
                    let _ = told.send(progress);
                }
            };
            studio.perform(asked, &tell).await
        });
    }

    /// With files where this box has them, and Sources of the settings by the Studio's id.
    fn localized(&self, mut asked: Request) -> Result<Request, Answer> {
        let folder = self.state.path().join(RECORDINGS);
        let Request { account, what } = &mut asked;
        match what {
            What::Upload { file, .. } if file.is_relative() => *file = inside(&folder, file)?,
            What::Download { file, .. } => {
                *file = Some(match file.take() {
                    None => folder.clone(),
                    Some(name) if name.is_absolute() => {
                        return Err(Answer::wrong("file", "expected a name: downloads go to the box's recordings"));
                    }
                    Some(name) => inside(&folder, &name)?,
                });
                if let Err(error) = std::fs::create_dir_all(&folder) {
                    return Err(Answer::failed(Reason::Internal, format!("{RECORDINGS}: {error}")));
                }
            }
            What::Schedule(schedule) if schedule.id.is_none() || schedule.source.is_some() => {
                let named = schedule.source.take();
                let sources = &self.layers.settings().sources;
                let of_studio = || sources.iter().filter_map(|source| Some((&source.name, source.studio.as_ref()?)));
                let found = match &named {
                    Some(name) => of_studio().find(|(known, _)| *known == name),
                    None => of_studio().next(),
                };
                schedule.source = match (found, named) {
                    (Some((_, studio)), _) => {
                        if account.is_none() {
                            account.clone_from(&studio.account);
                        }
                        Some(studio.source_id.clone())
                    }
                    (None, Some(id)) if id.chars().all(|c| c.is_ascii_digit()) => Some(id),
                    (None, _) => {
                        let text = "expected a Source of the settings with studio = {...}, or the Studio's id of one";
                        return Err(Answer::wrong("source", text));
                    }
                };
            }
            _ => {}
        }
        Ok(asked)
    }
}

/// `file` below `folder`.
fn inside(folder: &Path, file: &Path) -> Result<PathBuf, Answer> {
    match file.components().all(|part| matches!(part, Component::Normal(_))) {
        true => Ok(folder.join(file)),
        false => Err(Answer::wrong("file", "expected a name below the box's recordings, without \"..\"")),
    }
}

/// `source` with URL and key as the Studio tells them; others as they are.
///
/// # Errors
/// Why the Studio does not tell.
pub(super) async fn told(source: &Source, studio: Option<&Studio>) -> Result<Source, Cause> {
    let Some(place) = &source.studio else { return Ok(source.clone()) };
    let found = match studio {
        Some(studio) => studio.ingest(place.account.as_deref(), &place.source_id).await,
        None => Err(Trouble::NotLinked(String::new())),
    };
    let ingest = found.map_err(|trouble| Cause::Studio(format!("{}. {}", trouble.text(), trouble.advice())))?;
    Ok(Source { url: Some(ingest.url), key: Some(ingest.key), region: ingest.region, studio: None, ..source.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_in_their_folder() {
        let at = |file: &str| inside(Path::new("/r"), Path::new(file)).ok();
        assert_eq!(at("a/b.mp4"), Some("/r/a/b.mp4".into()));
        for outside in ["../a", "a/../../b", "/etc/passwd"] {
            assert_eq!(at(outside), None, "{outside}");
        }
    }
}
