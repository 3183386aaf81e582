//! What an error of the connection means for a call: not sent, or lost.

use super::Trouble;
use crate::uplink::trust;
use std::{error::Error, io};

/// What an error without an answer means: once there was a connection, the call may have been carried out.
pub(super) fn trouble(error: &reqwest::Error) -> Trouble {
    if error.is_builder() || error.is_request() && !error.is_connect() && is_unsent(error) {
        return Trouble::Unreachable;
    }
    if !error.is_connect() {
        return Trouble::AnswerLost;
    }
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            let what = trust::certificate(tls).unwrap_or("cannot be had: this is no TLS");
            return Trouble::Tls(what.into());
        }
        // The source of an `io::Error` that wraps another is that one's source.
        next = match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|error| error as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    Trouble::Unreachable
}

/// Whether the request was taken back before any of it was written, as when a kept connection had been closed.
fn is_unsent(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        next = error.source();
    }
    false
}
