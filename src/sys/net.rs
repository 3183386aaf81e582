//! TCP's figures and typed name look-up.

use socket2::SockAddr;
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
    time::Duration,
};

/// What the kernel knows of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFigures {
    /// Smoothed round trip (tcp(7), `TCP_INFO`, `tcpi_rtt`).
    pub rtt: Duration,
    /// Bytes given to the kernel that the peer's kernel has not acknowledged: on the way or still to be sent
    /// (tcp(7), `SIOCOUTQ`).
    pub unacknowledged: u64,
    /// Segments sent again since the connection began (`tcpi_total_retrans`).
    pub repeated: u64,
    /// Largest segment, bytes (`tcpi_snd_mss`).
    pub segment: u64,
}

/// Reads the figures of a TCP socket.
///
/// # Errors
/// When the descriptor is no TCP socket.
pub fn tcp_figures(socket: BorrowedFd<'_>) -> io::Result<TcpFigures> {
    let fd = socket.as_raw_fd();
    // SAFETY: `tcp_info` is a C struct of integers, for which all zero bits is a value.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` is valid for writes of `length` bytes; an older kernel writes fewer and leaves zeros.
    let result = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, ptr::from_mut(&mut info).cast(), &raw mut length)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut queued: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int to the address that it is given.
    if unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut queued) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(TcpFigures {
        rtt: Duration::from_micros(u64::from(info.tcpi_rtt)),
        unacknowledged: u64::try_from(queued).unwrap_or(0),
        repeated: u64::from(info.tcpi_total_retrans),
        segment: u64::from(info.tcpi_snd_mss),
    })
}

/// The addresses of each interface (getifaddrs(3)); none when the kernel gives no list.
pub fn addresses() -> BTreeMap<String, Vec<IpAddr>> {
    let mut found: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `list` is valid for writes; it is freed below.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return found;
    }
    let mut next = list;
    while !next.is_null() {
        // SAFETY: `next` is an entry of the list, which lives until it is freed below; its name is a C string.
        let (entry, name) = unsafe { (&*next, CStr::from_ptr((*next).ifa_name)) };
        if !entry.ifa_addr.is_null() {
            // SAFETY: an address that is there has its family, and of these two families the structure that is read.
            let address: Option<IpAddr> = unsafe {
                match i32::from((*entry.ifa_addr).sa_family) {
                    libc::AF_INET => {
                        let address = ptr::read_unaligned(entry.ifa_addr.cast::<libc::sockaddr_in>());
                        Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
                    }
                    libc::AF_INET6 => {
                        let address = ptr::read_unaligned(entry.ifa_addr.cast::<libc::sockaddr_in6>());
                        Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
                    }
                    _ => None,
                }
            };
            if let Some(address) = address {
                found.entry(name.to_string_lossy().into_owned()).or_default().push(address);
            }
        }
        next = entry.ifa_next;
    }
    // SAFETY: the list came from getifaddrs(3), and nothing of it is kept.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveError {
    /// The name does not exist or has no address (`EAI_NONAME`, `EAI_NODATA`, `EAI_FAIL`).
    NotFound,
    /// No name server answered (`EAI_AGAIN`), or the look-up failed otherwise.
    NoAnswer,
}

/// Looks up a name through the C library, which asks for both address families at once; blocks for as long as the
/// resolver's configuration says (resolv.conf(5): 10 s by default).
///
/// # Errors
/// Typed, where the standard library and tokio only give a text (getaddrinfo(3)).
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    let host = CString::new(host).map_err(|_| ResolveError::NotFound)?;
    // SAFETY: `addrinfo` is a C struct for which all zero bits is a value and, as hints, means no preference.
    let mut hints: libc::addrinfo = unsafe { mem::zeroed() };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list: *mut libc::addrinfo = ptr::null_mut();
    // SAFETY: `host` ends in NUL, the service is allowed to be null, `hints` and `list` outlive the call.
    let result = unsafe { libc::getaddrinfo(host.as_ptr(), ptr::null(), &raw const hints, &raw mut list) };
    match result {
        0 => {}
        libc::EAI_NONAME | libc::EAI_NODATA | libc::EAI_FAIL => return Err(ResolveError::NotFound),
        _ => return Err(ResolveError::NoAnswer),
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: after a success each entry of the list is valid until freeaddrinfo.
        let entry = unsafe { &*next };
        if !entry.ai_addr.is_null() && (entry.ai_addrlen as usize) <= mem::size_of::<libc::sockaddr_storage>() {
            // SAFETY: the entry's address is valid for `ai_addrlen` bytes, which fit into the storage.
            let address = unsafe {
                SockAddr::try_init(|storage, length| {
                    ptr::copy_nonoverlapping(entry.ai_addr.cast(), storage.cast::<u8>(), entry.ai_addrlen as usize);
                    *length = entry.ai_addrlen;
                    Ok(())
                })
            };
            if let Some(mut address) = address.ok().and_then(|((), address)| address.as_socket()) {
                address.set_port(port);
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        next = entry.ai_next;
    }
    // SAFETY: `list` came from getaddrinfo and is freed once.
    unsafe { libc::freeaddrinfo(list) };
    if addresses.is_empty() { Err(ResolveError::NotFound) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
    };

    #[test]
    fn unread_bytes_leave_the_queue_once_the_peers_kernel_has_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = listener.accept().unwrap().0;
        stream.write_all(&[0; 1000]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let figures = tcp_figures(stream.as_fd()).unwrap();
        assert_eq!(figures.unacknowledged, 0);
        assert!(figures.repeated == 0 && figures.segment > 500, "{figures:?}");
        assert!(figures.rtt > Duration::ZERO && figures.rtt < Duration::from_secs(1), "{figures:?}");
        // More than the peer's kernel takes while its program does not read.
        stream.set_nonblocking(true).unwrap();
        while stream.write(&[0; 65536]).is_ok() {}
        std::thread::sleep(Duration::from_millis(50));
        assert!(tcp_figures(stream.as_fd()).unwrap().unacknowledged > 0);
        drop(peer);
        assert!(tcp_figures(std::fs::File::open("/dev/null").unwrap().as_fd()).is_err());
    }

    #[test]
    fn literals_resolve_to_themselves() {
        assert_eq!(resolve("127.0.0.1", 5), Ok(vec![([127, 0, 0, 1], 5).into()]));
        assert_eq!(resolve("::1", 5), Ok(vec!["[::1]:5".parse().unwrap()]));
        assert_eq!(resolve("bad\0name", 5), Err(ResolveError::NotFound));
    }
}
