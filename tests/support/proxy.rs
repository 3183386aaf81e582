//! A way to a broker that can be cut, that can lose what is said to it, and that knows no MQTT 5.

use super::free_port;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::spawn,
};

#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    swallows: Arc<AtomicBool>,
}

impl Proxy {
    /// Leads to `to`; `old`: as a broker of MQTT 3.1.1 only, which refuses what is newer with return code 1 (MQTT 3.1.1,
    /// 3.2.2.3).
    pub fn start(to: u16, old: bool) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        let proxy = Self { port, open: Arc::default(), swallows: Arc::default() };
        let own = proxy.clone();
        spawn(move || {
            for box_side in listener.incoming().map_while(Result::ok) {
                let (own, swallows) = (own.clone(), own.swallows.clone());
                spawn(move || own.serve(box_side, to, old, &swallows));
            }
        });
        proxy
    }

    fn serve(&self, mut box_side: TcpStream, to: u16, old: bool, swallows: &Arc<AtomicBool>) {
        let mut first = [0_u8; 4096];
        let Ok(length) = box_side.read(&mut first) else { return };
        // Fixed header, "MQTT" with its length, then the version.
        let version = first[..length].windows(4).position(|four| four == b"MQTT").map(|at| first[at + 4]);
        if old && version == Some(5) {
            let _ = box_side.write_all(&[0x20, 2, 0, 1]);
            return;
        }
        let Ok(mut broker_side) = TcpStream::connect(("127.0.0.1", to)) else { return };
        if broker_side.write_all(&first[..length]).is_err() {
            return;
        }
        let mut open = self.open.lock().expect("a lock");
        open.extend([box_side.try_clone().expect("a socket"), broker_side.try_clone().expect("a socket")]);
        drop(open);
        let (mut from_broker, mut to_box) =
            (broker_side.try_clone().expect("a socket"), box_side.try_clone().expect("a socket"));
        spawn(move || {
            let _ = std::io::copy(&mut from_broker, &mut to_box);
            let _ = to_box.shutdown(Shutdown::Both);
        });
        let mut buffer = [0_u8; 65536];
        while let Ok(length) = box_side.read(&mut buffer) {
            if length == 0 || !swallows.load(Ordering::SeqCst) && broker_side.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = broker_side.shutdown(Shutdown::Both);
    }

    /// From now on what the box says gets lost, or arrives again.
    pub fn swallow(&self, yes: bool) {
        self.swallows.store(yes, Ordering::SeqCst);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for socket in self.open.lock().expect("a lock").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
