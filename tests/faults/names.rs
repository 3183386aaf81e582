//! Names in this namespace: a file of hosts, and a name server that can be silent.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Whether the ingest at `address` has a name in the file of hosts.
pub fn named(named: bool, address: &str) {
    let plain = std::fs::read_to_string("/mnt/plain").expect("names");
    let text = if named { plain + &format!("{address} ingest.test\n") } else { plain };
    // In place: the file is mounted.
    std::fs::write("/etc/hosts", text).expect("names");
}

/// A name server on port 53 that takes questions and says nothing until it is told to; then every name has one address.
pub struct NameServer {
    answers: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one that is silent.
    pub fn silent(address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:53").expect("port 53 of the namespace");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let (answers, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (speaks, stop) = (answers.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            let mut query = [0; 512];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut query) else { continue };
                if speaks.load(Ordering::Relaxed) {
                    let _ = socket.send_to(&answer(&query[..length], address), from);
                }
            }
        });
        Self { answers, ended, thread: Some(thread) }
    }

    /// From now on it answers.
    pub fn speak(&self) {
        self.answers.store(true, Ordering::Relaxed);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The answer to a question for an IPv4 address; to others there is no record. The question ends with its type and class
/// (RFC 1035, 4.1.2); anything after it is left out.
fn answer(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let name = query[12..].iter().position(|byte| *byte == 0).expect("a name");
    let mut reply = query[..12 + name + 5].to_vec();
    let is_a = reply[reply.len() - 3] == 1;
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[6..12].copy_from_slice(&[0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        reply.extend(address.octets());
    }
    reply
}
