//! Connections: who listens, in which protocol, and how many of whom.

use super::{Interface, READ_TIMEOUT, api, guard::Reached};
use axum::Extension;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Connections at a time on loopback, where more wait, and beyond it, where more are closed: neither must keep the other
/// waiting.
const CONNECTIONS: usize = 64;
/// Connections of all kinds, served and waiting, beyond which those of loopback are closed as well.
const WAITING: usize = 512;
/// Connections of them of one address beyond loopback (of IPv6: of one network of 64 bits, as every host may have).
const OF_ONE: usize = 16;
/// Most bytes of a request's line and headers together, and most headers.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;
/// Time for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Time after which a client that does not take its answer is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The type of a TLS record with which every TLS connection begins: handshake (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 22;
const REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"detail\":\"This port takes HTTPS only\"}";

/// What makes the surface reachable beyond loopback.
#[derive(Debug, Clone)]
pub struct Https {
    /// With the box's certificate.
    pub config: Arc<ServerConfig>,
    /// Names by which the box may be called, beside the address that was reached.
    pub names: Arc<[String]>,
}

/// Listens on `address`; where that is one of a network, on the same port of 127.0.0.1 too. An address that the box does not
/// have yet may be listened on: it will when a network gives it.
///
/// # Errors
/// The port is in use, or the system has no such addresses.
pub fn listen(address: SocketAddr) -> io::Result<Vec<TcpListener>> {
    let mut listeners = vec![listener(address)?];
    if !address.ip().is_loopback() && !address.ip().is_unspecified() {
        listeners.push(listener(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())))?);
    }
    Ok(listeners)
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // [::] is every address, of IPv4 as well.
        socket.set_only_v6(!address.ip().is_unspecified())?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// What is answered on all listeners, with the limits of the whole box.
pub fn router(interface: Interface, https: Option<&Https>) -> axum::Router {
    api::router(interface, https.map_or_else(|| Arc::from([]), |https| Arc::clone(&https.names)))
}

/// Serves `router` on `listener` for ever; without `https` on loopback only. Dropping the future ends all connections.
pub async fn serve(listener: TcpListener, router: axum::Router, https: Option<Https>) {
    let acceptor = https.map(|https| TlsAcceptor::from(https.config));
    let own = Arc::new(Semaphore::new(CONNECTIONS));
    let others = Others { all: Arc::new(Semaphore::new(CONNECTIONS)), each: Arc::default() };
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors: trying again at once would burn a core.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(local) = stream.local_addr() else { continue };
        let [peer, local] = [peer, local].map(|address| address.ip().to_canonical());
        while connections.try_join_next().is_some() {}
        // The kernel lets nothing with a loopback address in from a network (ip-sysctl, `route_localnet`).
        let own_program = peer.is_loopback() && local.is_loopback();
        let slot = if own_program { None } else { others.slot(peer).filter(|_| acceptor.is_some()) };
        let full = if own_program { connections.len() >= WAITING } else { slot.is_none() };
        if full {
            tracing::debug!(%peer, "a connection too many");
            continue;
        }
        let (router, acceptor, own) = (router.clone(), acceptor.clone(), Arc::clone(&own));
        connections.spawn(async move {
            // Here and not before it is accepted: those of other computers come through the same door.
            let permit = if own_program { own.acquire_owned().await.ok() } else { None };
            if let Err(error) = connection(stream, local, own_program, router, acceptor).await {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
            drop((permit, slot));
        });
    }
}

/// Connections of other computers.
struct Others {
    all: Arc<Semaphore>,
    each: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A place among them, given back when it is dropped.
struct OtherSlot {
    _permit: OwnedSemaphorePermit,
    each: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    network: IpAddr,
}

impl Others {
    fn slot(&self, peer: IpAddr) -> Option<OtherSlot> {
        let network = match peer {
            IpAddr::V4(_) => peer,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        };
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let count = each.entry(network).or_default();
        if *count >= OF_ONE {
            return None;
        }
        *count += 1;
        Some(OtherSlot { _permit: permit, each: Arc::clone(&self.each), network })
    }
}

impl Drop for OtherSlot {
    fn drop(&mut self) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = each.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                each.remove(&self.network);
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    local: IpAddr,
    own_program: bool,
    router: axum::Router,
    acceptor: Option<TlsAcceptor>,
) -> io::Result<()> {
    // Also ends a connection whose client has stopped reading (tcp(7): with a window of zero the time runs as well).
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(WRITE_TIMEOUT));
    // A client that waits for long work and vanishes is noticed too.
    let keep = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep);
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else { return http(stream, router, Reached::Loopback).await };
    let mut first = [0];
    let tls = timeout(READ_TIMEOUT, stream.peek(&mut first)).await?? == 1 && first[0] == TLS_HANDSHAKE;
    if tls {
        let stream = timeout(HANDSHAKE, acceptor.accept(stream)).await??;
        http(stream, router, Reached::Tls(local)).await
    } else if own_program {
        http(stream, router, Reached::Loopback).await
    } else {
        timeout(READ_TIMEOUT, refuse(stream)).await?
    }
}

/// Says that this is not the protocol, and nothing else.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(REFUSAL.as_bytes()).await?;
    stream.shutdown().await?;
    // What is not read would make the kernel reset the connection, and the answer go with it.
    let mut rest = stream.take(HEAD_BYTES as u64);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map(drop)
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: axum::Router,
    reached: Reached,
) -> io::Result<()> {
    let router = router.layer(Extension(reached));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    served.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_have_all_connections() {
        let others = Others { all: Arc::new(Semaphore::new(CONNECTIONS)), each: Arc::default() };
        let slots = |peer: &str| {
            let peer: IpAddr = peer.parse().expect("an address");
            std::iter::from_fn(|| others.slot(peer)).collect::<Vec<_>>()
        };
        let first = slots("192.0.2.1");
        assert_eq!(first.len(), OF_ONE);
        // Hosts of one IPv6 network count as one.
        let (second, third) = (slots("2001:db8::1"), slots("2001:db8::2"));
        assert_eq!((second.len(), third.len()), (OF_ONE, 0));
        let more: Vec<_> = (2..9).flat_map(|host| slots(&format!("192.0.2.{host}"))).collect();
        assert_eq!(more.len(), CONNECTIONS - 2 * OF_ONE);
        drop((first, second, more));
        assert!(others.each.lock().expect("a lock").is_empty());
        assert_eq!(slots("192.0.2.1").len(), OF_ONE);
    }
}
