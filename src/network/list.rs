//! The networks that the box can be in, as the kernel lists them.

use crate::{
    provision::keyfile::MODEM_DRIVERS,
    status::{NetworkKind, NetworkLink},
};
use std::{collections::BTreeMap, fs, net::IpAddr, path::Path};

/// Drivers of modems that are nothing else, where the kernel does not say so itself (drivers/net/usb).
const MODEMS: [&str; 5] = ["qmi_wwan", "cdc_mbim", "huawei_cdc_ncm", "sierra_net", "hso"];

/// Lists the networks below `root` (`/`), the one in use first, then by their metrics; `addresses` has those of each interface
/// (`sys::addresses`). Interfaces that are neither a card nor up are left out.
pub fn list(root: &Path, addresses: &BTreeMap<String, Vec<IpAddr>>) -> Vec<NetworkLink> {
    let metrics = metrics(root);
    let used = used(root);
    let entries = fs::read_dir(root.join("sys/class/net")).into_iter().flatten().flatten();
    let mut links: Vec<NetworkLink> = entries
        .filter_map(|entry| {
            let (path, interface) = (entry.path(), entry.file_name().into_string().ok()?);
            let kind = kind(&path)?;
            let up = up(&path);
            let metric = metrics.get(&interface).copied();
            let of_card = kind != NetworkKind::Other;
            let address = addresses.get(&interface).and_then(|addresses| best(addresses));
            let used = used.as_ref() == Some(&interface);
            (of_card || up).then_some(NetworkLink { interface, kind, up, address, metric, used })
        })
        .collect();
    links.sort_by(|a, b| {
        let order = |link: &NetworkLink| (!link.used, link.metric.unwrap_or(u32::MAX), !link.up, link.kind);
        order(a).cmp(&order(b)).then_with(|| a.interface.cmp(&b.interface))
    });
    links
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// What an interface is; none: the box's own loopback.
fn kind(path: &Path) -> Option<NetworkKind> {
    // `type` is an ARPHRD_ number (linux/if_arp.h): 1 Ethernet, 512 PPP, 519 raw IP, 530 a modem's multiplexed IP, 772 loopback.
    let number = text(&path.join("type"));
    let uevent = text(&path.join("uevent"));
    let devtype = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE="));
    let driver = fs::read_link(path.join("device/driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    Some(match (number.as_str(), devtype) {
        ("772", _) => return None,
        (_, Some("wlan")) => NetworkKind::Wifi,
        _ if path.join("wireless").exists() || path.join("phy80211").exists() => NetworkKind::Wifi,
        (_, Some("wwan")) | ("512" | "519" | "530", _) => NetworkKind::Modem,
        _ if MODEMS.contains(&driver) || MODEM_DRIVERS.contains(&driver) => NetworkKind::Modem,
        ("1", None) if path.join("device").exists() => NetworkKind::Ethernet,
        _ => NetworkKind::Other,
    })
}

/// Whether there is a link (RFC 2863); drivers of modems often do not know (Documentation/networking/operstates.rst).
fn up(path: &Path) -> bool {
    match text(&path.join("operstate")).as_str() {
        "up" => true,
        "unknown" => text(&path.join("carrier")) == "1",
        _ => false,
    }
}

/// The address by which others reach the box: of IPv4, else one that holds beyond the link.
fn best(addresses: &[IpAddr]) -> Option<IpAddr> {
    let global = |address: &&IpAddr| matches!(address, IpAddr::V6(v6) if !v6.is_unicast_link_local());
    addresses.iter().find(|address| address.is_ipv4()).or_else(|| addresses.iter().find(global)).copied()
}

/// Default routes of IPv4: interface and metric (proc(5), `/proc/net/route`).
fn routes(root: &Path) -> Vec<(u32, String)> {
    let table = text(&root.join("proc/net/route"));
    let route = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [interface, "00000000", _, _, _, _, metric, "00000000", ..] => {
            Some((metric.parse::<u32>().ok()?, interface.to_owned()))
        }
        _ => None,
    };
    table.lines().filter_map(route).collect()
}

/// The same of IPv6, but for those that refuse (`/proc/net/ipv6_route`, metrics in hexadecimal; RTF_REJECT is 0x200).
fn routes_6(root: &Path) -> Vec<(u32, String)> {
    let table = text(&root.join("proc/net/ipv6_route"));
    let route = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [to, "00", _, "00", _, metric, _, _, flags, interface] if to.bytes().all(|digit| digit == b'0') => {
            let refused = u32::from_str_radix(flags, 16).ok()? & 0x200 != 0;
            (!refused && interface != "lo").then_some((u32::from_str_radix(metric, 16).ok()?, interface.to_owned()))
        }
        _ => None,
    };
    table.lines().filter_map(route).collect()
}

/// The best metric of each interface.
fn metrics(root: &Path) -> BTreeMap<String, u32> {
    let mut metrics = BTreeMap::new();
    for (metric, interface) in routes(root).into_iter().chain(routes_6(root)) {
        let best = metrics.entry(interface).or_insert(metric);
        *best = metric.min(*best);
    }
    metrics
}

/// The interface of the default route that is preferred: of IPv4, where there is one.
fn used(root: &Path) -> Option<String> {
    let best = |routes: Vec<(u32, String)>| routes.into_iter().min().map(|(_, interface)| interface);
    best(routes(root)).or_else(|| best(routes_6(root)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::tree;

    /// A card with these files; a driver is a link, as in sysfs.
    fn card(root: &Path, name: &str, driver: &str, files: &[(&str, &str)]) {
        let path = root.join("sys/class/net").join(name);
        fs::create_dir_all(path.join("device")).expect("made");
        for (file, text) in files {
            fs::create_dir_all(path.join(file).parent().expect("a parent")).expect("made");
            fs::write(path.join(file), text).expect("written");
        }
        let target = format!("../../../../bus/usb/drivers/{driver}");
        std::os::unix::fs::symlink(target, path.join("device/driver")).expect("linked");
    }

    #[test]
    fn each_kind_is_told_and_the_one_in_use_is_first() {
        let route = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            wwan0\t00000000\t0A00000A\t0003\t0\t0\t700\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth0\t0001A8C0\t00000000\t0001\t0\t0\t1\t00FFFFFF\t0\t0\t0\n";
        let zeros = "00000000000000000000000000000000";
        let route_6 = format!(
            "{zeros} 00 {zeros} 00 {zeros} 00000258 1 0 00000003 wlan0\n{zeros} 00 {zeros} 00 {zeros} ffffffff 1 0 00200200 lo\n"
        );
        let root = tree(&[
            ("proc/net/route", route),
            ("proc/net/ipv6_route", &route_6),
            ("sys/class/net/lo/type", "772\n"),
            ("sys/class/net/docker0/type", "1\n"),
            ("sys/class/net/docker0/uevent", "DEVTYPE=bridge\nINTERFACE=docker0\n"),
            ("sys/class/net/docker0/operstate", "down\n"),
            ("sys/class/net/tun0/type", "65534\n"),
            ("sys/class/net/tun0/operstate", "unknown\n"),
            ("sys/class/net/tun0/carrier", "1\n"),
        ]);
        let root = root.path();
        let ether = [("type", "1\n"), ("operstate", "up\n")];
        card(root, "eth0", "bcmgenet", &ether);
        card(root, "wlan0", "brcmfmac", &[ether[0], ether[1], ("wireless/x", ""), ("uevent", "DEVTYPE=wlan\n")]);
        card(root, "wwan0", "qmi_wwan", &[("type", "519\n"), ("operstate", "unknown\n"), ("carrier", "1\n")]);
        card(root, "usb0", "rndis_host", &[ether[0], ("operstate", "down\n")]);
        let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let addresses = BTreeMap::from([
            ("eth0".to_owned(), vec![address("fe80::1"), address("192.168.1.7")]),
            ("wlan0".to_owned(), vec![address("fe80::2"), address("2001:db8::2")]),
            ("usb0".to_owned(), vec![address("fe80::3")]),
        ]);
        let told: Vec<_> = list(root, &addresses)
            .into_iter()
            .map(|link| {
                (link.interface, link.kind, link.up, link.address.map(|a| a.to_string()), link.metric, link.used)
            })
            .collect();
        use NetworkKind::{Ethernet, Modem, Other, Wifi};
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("eth0".to_owned(), Ethernet, true, some("192.168.1.7"), Some(100), true),
                ("wlan0".to_owned(), Wifi, true, some("2001:db8::2"), Some(600), false),
                ("wwan0".to_owned(), Modem, true, None, Some(700), false),
                ("tun0".to_owned(), Other, true, None, None, false),
                ("usb0".to_owned(), Modem, false, None, None, false),
            ]
        );
    }

    #[test]
    fn a_box_without_anything_has_no_networks() {
        assert_eq!(list(tree(&[]).path(), &BTreeMap::new()), []);
    }
}
