//! What a command asks of the Studio, and its answer.

use super::{Studio, Trouble, broadcasts, download, media, post, sources, upload};
use crate::{
    command::{
        Answer, Reason,
        studio::{Request, What},
    },
    remote::message::Progress,
};
use serde_json::{Value, json};

impl Studio {
    /// Does what is asked; `tell` hears how far long work is.
    pub async fn perform(&self, request: Request, tell: &(dyn Fn(Progress) + Send + Sync)) -> Answer {
        let Request { account, what } = request;
        match self.done(account.as_deref(), what, tell).await {
            Ok(result) => Answer::Successful { result },
            Err(trouble) => failed(&trouble),
        }
    }

    async fn done(
        &self,
        account: Option<&str>,
        what: What,
        tell: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Value, Trouble> {
        Ok(match what {
            What::Accounts => json!({"accounts": self.told_accounts().await}),
            What::Link(grant) => self.link(grant).await?,
            What::Unlink => self.unlink(&*self.linked(account)?).await?,
            What::Sources => {
                let all = self.sources(account).await?;
                json!({"sources": all.iter().map(sources::document).collect::<Vec<_>>()})
            }
            What::Source(id) => {
                let (source, notes) = self.source(account, &id).await?;
                let mut told = sources::document(&source);
                told["notes"] = json!(notes);
                told
            }
            What::CreateSource { name, region } => self.create_source(account, &name, region.as_deref()).await?,
            What::RenameSource(id, name) => self.rename_source(account, &id, &name).await?,
            What::DeleteSource(id) => self.delete_source(account, &id).await?,
            What::Broadcasts { limit } => {
                let all = self.broadcasts(account, limit.into()).await?;
                json!({"broadcasts": all.iter().map(broadcasts::document).collect::<Vec<_>>()})
            }
            What::Broadcast(id) => broadcasts::document(&self.broadcast(account, &id).await?),
            What::EndBroadcast(id) => {
                self.end_broadcast(account, &id).await?;
                json!({"id": id, "state": "ended"})
            }
            What::DeleteBroadcast(id) => self.delete(account, format!("/2/broadcasts/{id}")).await?,
            What::Schedules => json!({"schedules": self.schedules(account).await?}),
            What::Schedule(schedule) => self.schedule(account, &schedule).await?,
            What::CancelSchedule(id) => self.cancel_schedule(account, &id).await?,
            What::StartSchedule(id) => self.start_schedule(account, &id).await?,
            What::Upload { file, category, alt_text } => {
                upload::upload(self, account, &file, category.as_deref(), alt_text.as_deref(), tell).await?
            }
            What::Post { text, media } => post::post(self, account, &text, &media).await?,
            What::Media(key) => media::media(self, account, &key).await?,
            What::Download { key, file } => download::download(self, account, &key, file.as_deref(), tell).await?,
        })
    }

    async fn told_accounts(&self) -> Vec<Value> {
        let mut told = Vec::new();
        for linked in self.0.store.all() {
            let held = linked.held.lock().await;
            let revoked = held.failed.as_ref().is_some_and(|(_, why)| *why == Trouble::Revoked);
            told.push(held.account.document(self.is_chosen(&linked.name), revoked));
        }
        told
    }
}

/// The answer to a command that the Studio did not do.
pub(super) fn failed(trouble: &Trouble) -> Answer {
    let reason = match trouble {
        Trouble::Refused(_) | Trouble::NotSent(_) => Reason::WrongArguments,
        Trouble::AnswerLost | Trouble::Unreachable => Reason::TimedOut,
        _ => Reason::WrongState,
    };
    let advice = match trouble {
        // Nobody looks after a command but who gave it.
        Trouble::AnswerLost => "Whether it was done is not known: look before you try it again",
        trouble => trouble.advice(),
    };
    Answer::failed(reason, format!("{}. {advice}", trouble.text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_trouble_is_an_answer_with_advice() {
        for (trouble, reason) in [
            (Trouble::NotLinked(String::new()), Reason::WrongState),
            (Trouble::Unreachable, Reason::TimedOut),
            (Trouble::AnswerLost, Reason::TimedOut),
            (Trouble::Refused("name: is missing".into()), Reason::WrongArguments),
            (Trouble::TooMany(Duration::from_secs(7)), Reason::WrongState),
        ] {
            let Answer::Failed { reason: given, text, field } = failed(&trouble) else { panic!("a failure") };
            assert_eq!((given, field), (reason, None));
            assert!(text.starts_with(&trouble.text()) && text.len() > trouble.text().len() + 3, "{text}");
        }
    }
}
