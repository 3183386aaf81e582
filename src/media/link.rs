//! The worker's end of its socket: what it reports, from whichever thread.

use super::{Failure, FailureKind, Report, wire};
use crate::{
    access_unit::{CodecConfig, Track},
    sys,
    units::Time,
};
use std::{
    io::{IoSlice, Write},
    os::unix::net::UnixStream,
    sync::Mutex,
};

/// Sends reports; each goes out whole, whichever thread it comes from.
#[derive(Debug)]
pub struct Link {
    socket: Mutex<UnixStream>,
}

impl Link {
    /// Reports over `socket`.
    pub fn new(socket: UnixStream) -> Self {
        // A whole IDR picture fits, so that the encoder need not wait for the daemon; the kernel caps it as it likes.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, 1 << 20);
        Self { socket: Mutex::new(socket) }
    }

    /// Sends a report. Ends the process when the daemon is gone: there is nobody left to work for.
    pub fn send(&self, report: &Report) {
        self.write(&wire::report(report), &[]);
    }

    /// Sends the configuration of the access units that follow.
    pub fn config(&self, config: &CodecConfig) {
        self.write(&wire::config(config), &[]);
    }

    /// Sends an access unit without copying its data.
    pub fn unit(&self, track: Track, time: Time, key: bool, data: &[u8]) {
        self.write(&wire::unit_header(track, time, key, data.len()), data);
    }

    /// Reports why the worker cannot go on, and ends it.
    pub fn fail(&self, kind: FailureKind, text: impl Into<String>) -> ! {
        self.send(&Report::Failed(Failure { kind, text: text.into() }));
        sys::exit_now(1)
    }

    fn write(&self, head: &[u8], data: &[u8]) {
        // A thread that panicked has ended the process, or left no half of a frame.
        let mut socket = self.socket.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if write_both(&mut *socket, head, data).is_err() {
            sys::exit_now(0);
        }
    }
}

/// Writes `head`, then `data`: in one call when the writer takes it.
fn write_both(out: &mut impl Write, head: &[u8], data: &[u8]) -> std::io::Result<()> {
    let mut slices = [IoSlice::new(head), IoSlice::new(data)];
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match out.write_vectored(rest) {
            Ok(0) if rest.iter().all(|slice| slice.is_empty()) => return Ok(()),
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes `at most` bytes a call.
    struct Narrow(Vec<u8>, usize);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn all_is_written_in_order(head in prop::collection::vec(any::<u8>(), 1..40), data in prop::collection::vec(any::<u8>(), 0..99), width in 1usize..50) {
            let mut out = Narrow(Vec::new(), width);
            write_both(&mut out, &head, &data).expect("written");
            prop_assert_eq!(out.0, [head, data].concat());
        }
    }
}
