//! Commands, asked of the loop that does the work.

use crate::{
    command::{Answer, Command, Origin, Reason},
    http::Ask,
    remote::{message::Progress, session::Asked, topic::Leaf},
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Time for the one answer to a command: `start` takes up to 30 s, a preflight longer.
const COMMAND_DEADLINE: Duration = Duration::from_secs(90);
/// The same where a bundle comes over a field's network.
const UPDATE_DEADLINE: Duration = Duration::from_secs(6 * 3600);
/// A worker that has a picture sends it well within this.
const PICTURE: Duration = Duration::from_secs(3);

/// The loop's answer to `command`; `tell` hears how far it is.
pub(super) async fn answer(asks: &mpsc::Sender<Ask>, command: Command, tell: impl Fn(Progress)) -> Answer {
    let deadline = if let Command::Update { .. } = command { UPDATE_DEADLINE } else { COMMAND_DEADLINE };
    let (reply, mut answer) = oneshot::channel();
    let (progress, mut steps) = mpsc::unbounded_channel();
    let asked = async {
        let question = Ask::Command { command, origin: Origin::Mqtt, reply, progress: Some(progress) };
        asks.send(question).await.ok()?;
        loop {
            tokio::select! {
                biased;
                Some(step) = steps.recv() => tell(step),
                answer = &mut answer => return answer.ok(),
            }
        }
    };
    match timeout(deadline, asked).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Answer::failed(Reason::Internal, "The answer was lost"),
        Err(_) => Answer::failed(Reason::TimedOut, format!("The box did not answer within {} s", deadline.as_secs())),
    }
}

/// `preview`: the picture is a message of its own.
pub(super) async fn picture(asks: &mpsc::Sender<Ask>) -> (Answer, Option<(Leaf, Bytes)>) {
    let (reply, picture) = oneshot::channel();
    let asked = async {
        asks.send(Ask::Preview { reply }).await.ok()?;
        picture.await.ok().flatten()
    };
    match timeout(PICTURE, asked).await.ok().flatten() {
        Some(picture) => {
            let result = json!({ "topic": Leaf::Preview.to_string(), "bytes": picture.len() });
            (Answer::Successful { result }, Some((Leaf::Preview, picture)))
        }
        None => (Answer::failed(Reason::WrongState, "There is no picture"), None),
    }
}

/// `diagnostics`: the bundle is a message of its own, with the id of who asked for it.
pub(super) fn bundle(answer: Answer, asked: &Asked) -> (Answer, Option<(Leaf, Bytes)>) {
    let Answer::Successful { result: mut bundle } = answer else { return (answer, None) };
    if let (Asked::Request(key), Value::Object(fields)) = (asked, &mut bundle) {
        fields.insert("request".into(), key.id.as_str().into());
    }
    let payload = Bytes::from(bundle.to_string());
    let result = json!({ "topic": Leaf::Diagnostics.to_string(), "bytes": payload.len() });
    (Answer::Successful { result }, Some((Leaf::Diagnostics, payload)))
}
