//! This computer asks X itself.

use crate::{
    command::{Answer, Command},
    desk::{
        End, Refusal,
        args::Options,
        order::Order,
        round::{INTERRUPTED, Reply, Round},
        say, words,
    },
    remote::message::Progress,
    settings,
    studio::Studio,
    sys,
    uplink::trust::Trust,
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::watch;

/// What this computer is called where boxes have their ids, and where they have their names.
const ID: &str = "here";
const NAME: &str = "this computer";

/// The Studio of the account that is linked beside the configuration file `config`.
///
/// # Errors
/// For people: its folder cannot be used.
pub fn open(settings: &settings::Studio, config: &Path) -> Result<Studio, Refusal> {
    let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let studio = Studio::open(settings, folder, Arc::new(Trust::load(Duration::ZERO))).map_err(Refusal::wrong)?;
    studio.faults().iter().for_each(|fault| say::note(&format!("{}. {}", fault.text, fault.advice)));
    Ok(studio)
}

/// Asks X for what `order` says, and tells what came of it; the exit code.
///
/// # Errors
/// What is wrong with the arguments, or was not confirmed: nothing was asked.
pub async fn ask(order: &Order, settings: &settings::Studio, config: &Path, options: &Options) -> Result<u8, Refusal> {
    let request = match Command::parse(order.command, &order.arguments(true)) {
        Ok(Command::Studio(request)) => *request,
        Ok(_) => return Err(Refusal::wrong("only a box does this")),
        Err(Answer::Failed { text, field, .. }) => {
            let at = field.map(|field| format!("{field}: ")).unwrap_or_default();
            return Err(Refusal::wrong(format!("{at}{text}")));
        }
        Err(Answer::Successful { .. }) => return Err(Refusal::wrong("there is nothing to do")),
    };
    if let (Some(ends), false) = (&order.ends, options.yes) {
        let question = format!("{} {ends} {NAME}. Go on?", order.command);
        if !say::confirm(&question).map_err(Refusal::wrong)? {
            return Err(Refusal::wrong("nothing was sent"));
        }
    }
    let studio = open(settings, config)?;
    let mut end = End::new()?;
    let mut round = Round::new(order.command, [(ID.into(), NAME.into(), true)], sys::now(), order.patience);
    let mut progress = say::Progress::new(options.json);
    let (tell, mut told) = watch::channel(None::<Progress>);
    let tell = |far| drop(tell.send_replace(Some(far)));
    let mut work = Box::pin(studio.perform(request, &tell));
    progress.show(&round);
    let answer = loop {
        tokio::select! {
            answer = &mut work => break Some(answer),
            Ok(()) = told.changed() => {
                let far = told.borrow_and_update().as_ref().map(words::progress);
                round.hear(ID, Reply::Executing { progress: far });
                progress.show(&round);
            }
            () = end.asked() => break None,
        }
    };
    drop(work);
    let interrupted = answer.is_none();
    match answer {
        Some(Answer::Successful { result }) => round.hear(ID, Reply::Successful(result)),
        Some(Answer::Failed { reason, text, field }) => {
            round.hear(ID, Reply::Failed { reason: reason.code().into(), text, field })
        }
        None => {
            round.leave();
            true
        }
    };
    progress.end(&round);
    if interrupted && matches!(order.command, "studio-upload" | "studio-download") {
        say::note("type the same again to go on from there");
    }
    Ok(if interrupted { INTERRUPTED } else { round.tally().code() })
}
