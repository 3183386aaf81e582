//! Notices that the network changed: a link, an address or a route came or went.

mod list;

pub use list::list;

use crate::{control::Event, status::NetworkStatus};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, netlink};
use std::{
    fs, io,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    time::Duration,
};
use tokio::sync::mpsc;

/// How often the kernel's tables are compared where it does not say that they change,
const INTERVAL: Duration = Duration::from_secs(1);
/// and where it does.
const RARELY: Duration = Duration::from_secs(30);
/// Changes come many at a time.
const SETTLED: Duration = Duration::from_millis(50);
/// Links, addresses and routes of both families (linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE,
/// RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Sends [`Event::NetworkChanged`] on each change of links, addresses or routes below `root` (`/`), until the daemon ends.
pub async fn watch(root: &Path, events: mpsc::UnboundedSender<Event>) {
    let news = (root == Path::new("/")).then(News::listen).and_then(|news| {
        news.inspect_err(|error| tracing::warn!(%error, "the kernel does not tell when the network changes")).ok()
    });
    let mut last = tables(root);
    loop {
        match &news {
            Some(news) => news.wait().await,
            None => tokio::time::sleep(INTERVAL).await,
        }
        let present = tables(root);
        if present != last {
            last = present;
            tracing::info!("the network changed");
            if events.send(Event::NetworkChanged).is_err() {
                return;
            }
        }
    }
}

/// What the kernel says of its links, addresses and routes (rtnetlink(7)); that it says something is enough.
struct News(tokio::net::UdpSocket);

impl News {
    fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Protocol 0 is NETLINK_ROUTE.
        let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        net::bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUPS))?;
        // Of a type that can be waited for; to read from it takes no address.
        Ok(Self(tokio::net::UdpSocket::from_std(UdpSocket::from(socket))?))
    }

    /// Returns when there is reason to look, and not sooner than after a moment.
    async fn wait(&self) {
        if tokio::time::timeout(RARELY, self.0.readable()).await.is_ok() {
            tokio::time::sleep(SETTLED).await;
            let mut bytes = [0; 8192];
            // What it fails with (ENOBUFS: more than its buffer held) is cleared by being read.
            while self.0.try_recv(&mut bytes).is_ok() {}
        }
    }
}

/// The network that the box is in below `root`, as far as that can be told from its own tables: interface and gateway of
/// the IPv4 default route that is preferred (proc(5), `/proc/net/route`).
pub fn default_route(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("proc/net/route")).ok()?;
    let routes = text.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields[..] {
            [interface, "00000000", gateway, _, _, _, metric, "00000000", ..] => {
                Some((metric.parse::<u32>().ok()?, format!("{interface} {gateway}")))
            }
            _ => None,
        }
    });
    routes.min().map(|(_, name)| name)
}

/// The interface of the preferred default route, and the address that the box has there, by which others reach it.
pub fn in_use(root: &Path) -> Option<NetworkStatus> {
    let route = default_route(root)?;
    let (interface, gateway) = route.split_once(' ')?;
    // The kernel writes it in the order of its own memory.
    let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
    // Connecting a datagram socket sends nothing; it has the kernel choose the address.
    let local = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect((gateway, 9)).and_then(|()| socket.local_addr()));
    Some(NetworkStatus { interface: interface.into(), address: local.ok().map(|local| local.ip()) })
}

/// Addresses and routes of both families (proc(5), `/proc/net`), without the counters that change all the time, and
/// whether each link is up: a cable that is pulled leaves a fixed address and its route where they are.
fn tables(root: &Path) -> Vec<String> {
    let columns = |file: &str, keep: &[usize]| {
        let text = fs::read_to_string(root.join("proc/net").join(file)).unwrap_or_default();
        let mut rows: Vec<String> = text
            .lines()
            .map(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                keep.iter().filter_map(|column| fields.get(*column).copied()).collect::<Vec<_>>().join(" ")
            })
            .collect();
        rows.sort();
        rows.join("\n")
    };
    vec![
        // Interface, destination, gateway, metric, mask: the default route moves when another one gets the lower metric.
        columns("route", &[0, 1, 2, 6, 7]),
        columns("ipv6_route", &[0, 1, 4, 5, 9]),
        columns("if_inet6", &[0, 5]),
        columns("fib_trie", &[0, 1, 2, 3]),
        links(root),
    ]
}

/// Each interface with its operational state (RFC 2863; sysfs `operstate`).
fn links(root: &Path) -> String {
    let folders = fs::read_dir(root.join("sys/class/net")).into_iter().flatten().flatten();
    let mut rows: Vec<String> = folders
        .map(|folder| {
            let state = fs::read_to_string(folder.path().join("operstate")).unwrap_or_default();
            format!("{} {}", folder.file_name().to_string_lossy(), state.trim())
        })
        .collect();
    rows.sort();
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_default_route_names_the_network() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(default_route(root.path()), None);
        let net = root.path().join("proc/net");
        fs::create_dir_all(&net).expect("a folder");
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            wwan0\t00000000\t0A00000A\t0003\t0\t0\t700\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth0\t0001A8C0\t00000000\t0001\t0\t0\t1\t00FFFFFF\t0\t0\t0\nshort\n";
        fs::write(net.join("route"), table).expect("a file");
        assert_eq!(default_route(root.path()).as_deref(), Some("eth0 0101A8C0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_route_is_told_once_and_counters_are_not() {
        let root = tempfile::tempdir().expect("a folder");
        let net = root.path().join("proc/net");
        fs::create_dir_all(&net).expect("a folder");
        let route = |use_count: u32| format!("eth0\t00000000\t0101A8C0\t0003\t{use_count}\t0\t100\t00000000\n");
        fs::write(net.join("route"), route(0)).expect("a file");
        let (sender, mut events) = mpsc::unbounded_channel();
        let path = root.path().to_owned();
        tokio::spawn(async move { watch(&path, sender).await });
        tokio::time::sleep(INTERVAL * 2).await;
        fs::write(net.join("route"), route(9)).expect("a file");
        tokio::time::sleep(INTERVAL * 2).await;
        assert!(events.try_recv().is_err());
        let mut told = async |what: &str| {
            tokio::time::sleep(INTERVAL * 2).await;
            assert_eq!(events.try_recv(), Ok(Event::NetworkChanged), "{what}");
            assert!(events.try_recv().is_err(), "{what}: once");
        };
        fs::write(net.join("route"), route(9) + &route(0).replace("eth0", "wwan0")).expect("a file");
        told("another route").await;
        fs::write(net.join("route"), (route(9) + &route(0).replace("eth0", "wwan0")).replace("100", "20"))
            .expect("a file");
        told("another metric").await;
        let link = root.path().join("sys/class/net/eth0");
        fs::create_dir_all(&link).expect("a folder");
        fs::write(link.join("operstate"), "up\n").expect("a file");
        told("a new link").await;
        fs::write(link.join("operstate"), "lowerlayerdown\n").expect("a file");
        told("a pulled cable").await;
    }
}
