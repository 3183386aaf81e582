//! A bundle that is sent to the box: `POST /api/v1/update`. It is only put down; the command `update` with `url = "upload"`
//! installs it.

use super::{api::Api, problem::Problem};
use crate::{
    command::{Answer, Reason},
    control::update::Trouble,
    status::FirmwareState,
    update::{Folder, room},
};
use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt as _;
use serde_json::json;
use std::{fs, io, time::Duration};
use tokio::{fs::File, io::AsyncWriteExt as _, time::timeout};

/// Who sends nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Takes a bundle.
pub(super) async fn upload(State(api): State<Api>, request: Request) -> Response {
    let firmware = api.interface.status.borrow().firmware.clone();
    let refused = match firmware.map(|firmware| firmware.state) {
        None => Some((Reason::NoUpdater, "This system is no image that can be updated as a whole")),
        Some(FirmwareState::Idle) => None,
        Some(_) => Some((Reason::WrongState, "An update is running already: the status says how far it is")),
    };
    if let Some((reason, text)) = refused {
        return Answer::failed(reason, text).into_response();
    }
    let Ok(_turn) = api.uploads.try_acquire() else {
        return Answer::failed(Reason::WrongState, "Another bundle is being uploaded").into_response();
    };
    let folder = Folder::of(&api.interface.state);
    match take(&folder, request.into_body()).await {
        Ok(bytes) => Answer::Successful { result: json!({ "bytes": bytes }) }.into_response(),
        Err(broken) => {
            // Nothing is left of it, and nothing of what came before: what is installed is what was sent last.
            folder.clear();
            broken
        }
    }
}

/// Writes what comes; the answer to give where it breaks off.
async fn take(folder: &Folder, mut body: Body) -> Result<u64, Response> {
    let full = |trouble: Trouble| trouble.answer().into_response();
    let disk = |error: io::Error| {
        let text = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "The disk is full: delete recordings or logs".into()
            }
            _ => format!("The disk does not take the bundle: {error}"),
        };
        full(Trouble::NoSpace(text))
    };
    folder.clear();
    folder.make().map_err(disk)?;
    let part = folder.part();
    let announced = body.size_hint().exact();
    // Before any of it is waited for.
    room(folder.path(), announced.unwrap_or(0)).map_err(full)?;
    let mut file = File::create(&part).await.map_err(disk)?;
    let mut has = 0_u64;
    loop {
        let frame = match timeout(SILENCE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(problem(StatusCode::BAD_REQUEST, "The bundle broke off")),
            Err(_) => return Err(problem(StatusCode::REQUEST_TIMEOUT, "Nothing came for 30 s")),
        };
        let Some(bytes) = frame.data_ref() else { continue };
        if announced.is_none() {
            room(&part, bytes.len() as u64).map_err(full)?;
        }
        file.write_all(bytes).await.map_err(disk)?;
        has += bytes.len() as u64;
    }
    if has == 0 {
        return Err(problem(StatusCode::BAD_REQUEST, "Send the bundle as the body"));
    }
    file.flush().await.map_err(disk)?;
    file.sync_all().await.map_err(disk)?;
    drop(file.into_std().await);
    fs::rename(&part, folder.upload()).map_err(disk)?;
    Ok(has)
}

fn problem(status: StatusCode, text: &str) -> Response {
    Problem::new(status, text).into_response()
}
