//! From a name to a connected socket, and TLS where the URL wants it.

use super::{Cause, IngestUrl, Protocol, Stage, trust::Trust};
use crate::sys::{self, ResolveError, TcpFigures};
use socket2::{SockRef, TcpKeepalive};
use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
    task::JoinSet,
    time,
};
use tokio_rustls::client::TlsStream;

/// Time that each stage gets; with it no attempt takes longer than 33 s in all.
pub const fn deadline(stage: Stage) -> Duration {
    Duration::from_secs(match stage {
        Stage::Name | Stage::Tcp | Stage::Tls | Stage::Handshake | Stage::Connect => 5,
        // An ingest may ask another service about the key.
        Stage::Publish => 8,
    })
}

/// Does the work of a stage within its deadline.
///
/// # Errors
/// Those of the work, or what it means that the stage took too long.
pub async fn within<T>(stage: Stage, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
    time::timeout(deadline(stage), work).await.unwrap_or_else(|_| {
        Err(match stage {
            Stage::Name => {
                if has_route() {
                    Cause::NameServer
                } else {
                    Cause::NoNetwork
                }
            }
            Stage::Tcp => Cause::PortBlocked,
            stage => Cause::Silent(stage),
        })
    })
}

/// The next address is tried when the one before has not answered for this long (RFC 8305, 5).
const STAGGER: Duration = Duration::from_millis(250);
/// How often an address that does not answer is dialled anew.
const REDIAL: Duration = Duration::from_secs(1);
/// Addresses tried; names with more are read up to here.
pub(super) const MOST_ADDRESSES: usize = 8;

/// Looks the ingest's name up.
///
/// # Errors
/// [`Cause::NameNotFound`], [`Cause::NameServer`] or [`Cause::NoNetwork`].
pub async fn resolve(url: &IngestUrl) -> Result<Vec<SocketAddr>, Cause> {
    if let Ok(address) = url.host.parse::<IpAddr>() {
        return Ok(vec![(address, url.port).into()]);
    }
    answered(ask(url, Arc::default()).await)
}

/// What a name server says.
pub(super) type Lookup = oneshot::Receiver<Result<Vec<SocketAddr>, ResolveError>>;

/// Begins to look the ingest's name up; `under_way` is kept until there is an answer, though nobody waits for it any more.
pub(super) fn ask(url: &IngestUrl, under_way: Arc<()>) -> Lookup {
    let (host, port) = (url.host.clone(), url.port);
    // A thread of its own: it cannot be interrupted, and nothing may wait for it, not even the end of the program.
    let (answer, lookup) = oneshot::channel();
    let thread = std::thread::Builder::new().name("resolve".into()).stack_size(256 * 1024);
    let look_up = move || {
        let found = sys::resolve(&host, port);
        drop(under_way);
        drop(answer.send(found));
    };
    if let Err(error) = thread.spawn(look_up) {
        tracing::error!("no thread for a name look-up: {error}");
    }
    lookup
}

/// The addresses that an answer means, in the order in which to try them.
pub(super) fn answered(
    answer: Result<Result<Vec<SocketAddr>, ResolveError>, oneshot::error::RecvError>,
) -> Result<Vec<SocketAddr>, Cause> {
    answer.unwrap_or(Err(ResolveError::NoAnswer)).map(|addresses| side_by_side(&addresses)).map_err(|error| match error
    {
        ResolveError::NotFound => Cause::NameNotFound,
        ResolveError::NoAnswer if has_route() => Cause::NameServer,
        ResolveError::NoAnswer => Cause::NoNetwork,
    })
}

/// Whether the box has a way to the outside: connecting a UDP socket looks the route up and sends nothing. The addresses
/// are of the ranges for documentation (RFC 5737, RFC 3849).
pub(super) fn has_route() -> bool {
    let outside = [([203, 0, 113, 1], 9).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9).into()];
    outside.into_iter().any(has_route_to)
}

/// The same for one address, which may be in the box's own network.
pub(super) fn has_route_to(address: SocketAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address)).is_ok()
}

/// Whether the box does not have this address any more.
pub(super) fn is_gone(mut local: SocketAddr) -> bool {
    local.set_port(0);
    UdpSocket::bind(local).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// The resolver's order, with the address families taking turns (RFC 8305, 4).
fn side_by_side(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let turns = std::iter::from_fn(|| match (first.next(), second.next()) {
        (None, None) => None,
        (a, b) => Some([a, b].into_iter().flatten()),
    });
    turns.flatten().copied().take(MOST_ADDRESSES).collect()
}

/// Connects to the first address that answers; each gets a start of 250 ms on the next, or none once it has failed.
///
/// # Errors
/// [`Cause::Refused`], [`Cause::PortBlocked`] or [`Cause::NoNetwork`]: what the address that got furthest said.
pub async fn tcp(addresses: Vec<SocketAddr>) -> Result<TcpStream, Cause> {
    let mut attempts = JoinSet::new();
    let mut addresses = addresses.into_iter();
    let mut worst = Cause::NoNetwork;
    loop {
        let more = match addresses.next() {
            Some(address) => {
                attempts.spawn(dial(address));
                true
            }
            None => false,
        };
        let finished = match more {
            true => time::timeout(STAGGER, attempts.join_next()).await.ok().flatten(),
            false => match attempts.join_next().await {
                None => return Err(worst),
                finished => finished,
            },
        };
        match finished {
            Some(Ok(Ok(stream))) => {
                tune(&stream);
                return Ok(stream);
            }
            Some(Ok(Err(error))) => {
                let cause = cause(&error);
                // Refused says most, no route says least.
                if worst == Cause::NoNetwork || cause == Cause::Refused {
                    worst = cause;
                }
            }
            _ => {}
        }
    }
}

/// Connects, with a fresh socket each second beside those that wait: the kernel repeats an unanswered SYN after 1, 3 and
/// 7 s, and a path that is back shall be found sooner. Waits for ever.
async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let mut sockets = JoinSet::new();
    loop {
        sockets.spawn(TcpStream::connect(address));
        if let Ok(Some(Ok(connected))) = time::timeout(REDIAL, sockets.join_next()).await {
            return connected;
        }
    }
}

fn cause(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Cause::Refused,
        io::ErrorKind::TimedOut => Cause::PortBlocked,
        _ => Cause::NoNetwork,
    }
}

/// Settings that keep the kernel's part of the queue small and a dead connection short. None of them is needed for a
/// connection to work, so that an old kernel does not keep the box off air.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5));
    for (what, result) in [
        ("TCP_NODELAY", socket.set_tcp_nodelay(true)),
        ("TCP_NOTSENT_LOWAT", socket.set_tcp_notsent_lowat(16 * 1024)),
        ("TCP_USER_TIMEOUT", socket.set_tcp_user_timeout(Some(Duration::from_secs(12)))),
        ("SO_KEEPALIVE", socket.set_tcp_keepalive(&keepalive)),
        // Only where the module is loaded and allowed (net.ipv4.tcp_allowed_congestion_control).
        ("TCP_CONGESTION", socket.set_tcp_congestion(b"bbr")),
    ] {
        if let Err(error) = result {
            tracing::debug!(what, %error, "socket option");
        }
    }
}

/// A connected socket, in TLS or not.
pub enum Stream {
    /// `rtmp://`
    Plain(TcpStream),
    /// `rtmps://`
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Adds TLS if the URL wants it.
    ///
    /// # Errors
    /// Those of [`Trust::handshake`].
    pub async fn secure(tcp: TcpStream, url: &IngestUrl, trust: &Trust) -> Result<Self, Cause> {
        Ok(match url.protocol {
            Protocol::Rtmps => Self::Tls(Box::new(trust.handshake(&url.host, tcp).await?)),
            _ => Self::Plain(tcp),
        })
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// The address that was reached.
    pub fn peer(&self) -> Option<IpAddr> {
        self.tcp().peer_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// Whether the box has lost the address that the connection was made from: it can never go on.
    pub fn is_orphaned(&self) -> bool {
        self.tcp().local_addr().map_or(true, is_gone)
    }

    /// Keeps a connection that has died, without a word sent, for [`reset`](Self::reset).
    pub fn put_aside(&self) {
        let socket = SockRef::from(self.tcp());
        // The kernel would forget it after a while, and then it cannot be reset any more.
        let kept = socket.set_tcp_user_timeout(None).and_then(|()| socket.set_keepalive(false));
        if let Err(error) = kept {
            tracing::debug!(%error, "a dead connection");
        }
    }

    /// Ends the connection by a reset: the ingest lets go of the stream key at once.
    pub fn reset(self) {
        if let Err(error) = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a dead connection");
        }
    }

    /// What the kernel knows of the connection.
    pub fn figures(&self) -> Option<TcpFigures> {
        sys::tcp_figures(self.tcp().as_fd()).ok()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addresses: Vec<SocketAddr> =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(|a| a.parse().unwrap()).to_vec();
        let order: Vec<_> = side_by_side(&addresses).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert!(side_by_side(&[]).is_empty());
    }

    #[tokio::test]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        // A listener with a full backlog never answers.
        let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        silent.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        silent.listen(0).unwrap();
        let full = silent.local_addr().unwrap().as_socket().unwrap();
        let _fill: Vec<_> = (0..2)
            .map(|_| {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let _ = socket.connect(&full.into());
                socket
            })
            .collect();
        let began = sys::now();
        let stream = within(Stage::Tcp, tcp(vec![full, good])).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let took = sys::now().since(began);
        assert!(took >= STAGGER && took < Duration::from_millis(900), "{took:?}");
        assert_eq!(SockRef::from(&stream).tcp_notsent_lowat().unwrap(), 16 * 1024);
        time::pause();
        assert_eq!(within(Stage::Tcp, tcp(vec![full])).await.map(|_| ()), Err(Cause::PortBlocked));
    }

    #[tokio::test]
    async fn a_closed_port_says_so_at_once() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(tcp(vec![closed]).await.map(|_| ()), Err(Cause::Refused));
        let url: IngestUrl = "rtmp://[::1]:5/app".parse().unwrap();
        assert_eq!(resolve(&url).await, Ok(vec!["[::1]:5".parse().unwrap()]));
    }
}
