//! What a command asks of the Studio, and its answer.

use super::{Studio, Trouble};
use crate::{
    command::{Answer, Reason, studio::Request},
    remote::message::Progress,
};

impl Studio {
    /// Does what is asked; `tell` hears how far long work is.
    pub async fn perform(&self, request: Request, tell: &(dyn Fn(Progress) + Send + Sync)) -> Answer {
        let _ = (request, tell);
        failed(&Trouble::NotLinked(String::new()))
    }
}

/// The answer to a command that the Studio did not do.
pub(super) fn failed(trouble: &Trouble) -> Answer {
    let reason = match trouble {
        Trouble::Refused(_) => Reason::WrongArguments,
        Trouble::AnswerLost | Trouble::Unreachable => Reason::TimedOut,
        _ => Reason::WrongState,
    };
    Answer::failed(reason, format!("{}. {}", trouble.text(), trouble.advice()))
}
