//! The networks as NetworkManager's connection profiles (nm-settings-keyfile(5)). Pure: what comes out is text.
//!
//! Metrics say which network is used when several are up, priorities which profile a device takes.

use super::{Ethernet, Kind, Modem, Provision, Wifi};
use ring::digest;
use std::{fmt::Write as _, net::IpAddr};

/// Drivers of modems that show the box an Ethernet card (USB CDC and RNDIS of mobile routers and phones); plain adapters of
/// that kind have drivers of their makers.
pub const MODEM_DRIVERS: [&str; 2] = ["cdc_ether", "rndis_host"];

/// A profile's file.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyfile {
    /// Its name; NetworkManager reads those that end in `.nmconnection` and only root can read.
    pub name: String,
    /// What is in it, with passwords.
    pub text: String,
}

impl std::fmt::Debug for Keyfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyfile({})", self.name)
    }
}

/// The profiles of all networks. Ethernet without an entry of its own is set up by DHCP.
pub fn keyfiles(provision: &Provision) -> Vec<Keyfile> {
    let metric = |kind| provision.network.metric(kind);
    let mut files = Vec::new();
    if provision.ethernet.iter().all(|ethernet| ethernet.interface.is_some()) {
        files.push(of_ethernet(&Ethernet::default(), metric(Kind::Ethernet)));
    }
    files.extend(provision.ethernet.iter().map(|ethernet| of_ethernet(ethernet, metric(Kind::Ethernet))));
    let alone = provision.wifi.len() == 1;
    let wifi = provision.wifi.iter().enumerate();
    files.extend(wifi.map(|(index, wifi)| of_wifi(wifi, index, alone, metric(Kind::Wifi))));
    files.extend(provision.modem.as_ref().map(|modem| of_modem(modem, metric(Kind::Modem))));
    files.push(of_modem_as_card(metric(Kind::Modem)));
    files
}

fn of_ethernet(ethernet: &Ethernet, metric: u32) -> Keyfile {
    let name = match &ethernet.interface {
        Some(interface) => format!("ethernet-{interface}"),
        None => "ethernet".into(),
    };
    let mut profile = Profile::new(&name, "ethernet");
    match &ethernet.interface {
        Some(interface) => profile.set("interface-name", interface).set("autoconnect-priority", "20"),
        // One profile for any number of cards (NMConnectionMultiConnect: 3 is multiple).
        None => profile.set("multi-connect", "3"),
    };
    // For ever: a cable may lead to a network that has no DHCP server yet.
    profile.set("autoconnect-retries", "0");
    let of_family = |v4: bool| {
        let fits = |address: &IpAddr| address.is_ipv4() == v4;
        let address = ethernet.address.filter(|cidr| fits(&cidr.address));
        let dns: Vec<String> = ethernet.dns.iter().filter(|dns| fits(dns)).map(ToString::to_string).collect();
        (address, dns)
    };
    for (section, v4) in [("ipv4", true), ("ipv6", false)] {
        let (address, dns) = of_family(v4);
        profile.section(section);
        match address {
            Some(address) => {
                let gateway = ethernet.gateway.map_or(String::new(), |gateway| format!(",{gateway}"));
                profile.set("method", "manual").set("address1", &format!("{address}{gateway}"));
            }
            None => drop(profile.set("method", "auto")),
        }
        profile.set("route-metric", &metric.to_string());
        if !dns.is_empty() {
            profile.list("dns", dns.iter());
        }
        if !ethernet.dns.is_empty() {
            profile.set("ignore-auto-dns", "true");
        }
    }
    profile.finish()
}

fn of_wifi(wifi: &Wifi, index: usize, alone: bool, metric: u32) -> Keyfile {
    let mut profile = Profile::new(&format!("wifi-{}", index + 1), "wifi");
    profile.set("autoconnect-priority", &(50_i32 - i32::try_from(index).unwrap_or(50)).to_string());
    if alone {
        // With several, the next is tried after four failures; one alone is tried for ever.
        profile.set("autoconnect-retries", "0");
    }
    profile.section("wifi").set("mode", "infrastructure");
    // As numbers: a name that looks like a list of numbers would be taken for one.
    profile.list("ssid", wifi.ssid.bytes());
    if wifi.hidden {
        profile.set("hidden", "true");
    }
    if let Some(password) = &wifi.password {
        // WPA2 and WPA3 with a password (nm-settings-nmcli(5), `wifi-sec.key-mgmt`).
        profile.section("wifi-security").set("key-mgmt", "wpa-psk").set("psk", password.reveal());
    }
    profile.automatic(metric).finish()
}

fn of_modem(modem: &Modem, metric: u32) -> Keyfile {
    let mut profile = Profile::new("modem", "gsm");
    profile.set("autoconnect-retries", "0");
    profile.section("gsm").set("apn", &modem.apn);
    if let Some(username) = &modem.username {
        profile.set("username", username);
    }
    if let Some(password) = &modem.password {
        profile.set("password", password.reveal());
    }
    if let Some(pin) = &modem.pin {
        profile.set("pin", pin.reveal());
    }
    profile.automatic(metric).finish()
}

/// A modem that shows the box an Ethernet card dials by itself: it needs no entry, but its own metric.
fn of_modem_as_card(metric: u32) -> Keyfile {
    let mut profile = Profile::new("modem-card", "ethernet");
    profile.set("multi-connect", "3").set("autoconnect-priority", "10").set("autoconnect-retries", "0");
    profile.section("match").list("driver", MODEM_DRIVERS.iter());
    profile.automatic(metric).finish()
}

/// A profile that is being written.
struct Profile {
    name: String,
    head: String,
    rest: String,
}

impl Profile {
    fn new(name: &str, kind: &str) -> Self {
        let mut profile =
            Self { name: format!("fieldcast-{name}.nmconnection"), head: String::new(), rest: String::new() };
        profile.head = format!("[connection]\nid={}\n", escaped(&format!("fieldcast-{name}")));
        profile.set("type", kind);
        profile
    }

    fn section(&mut self, name: &str) -> &mut Self {
        let _ = write!(self.rest, "\n[{name}]\n");
        self
    }

    fn set(&mut self, key: &str, value: &str) -> &mut Self {
        let _ = writeln!(self.rest, "{key}={}", escaped(value));
        self
    }

    /// Values without anything to escape.
    fn list<T: std::fmt::Display>(&mut self, key: &str, values: impl Iterator<Item = T>) -> &mut Self {
        let values: String = values.map(|value| format!("{value};")).collect();
        let _ = writeln!(self.rest, "{key}={values}");
        self
    }

    /// Addresses and routes as the network gives them.
    fn automatic(&mut self, metric: u32) -> &mut Self {
        for section in ["ipv4", "ipv6"] {
            self.section(section).set("method", "auto").set("route-metric", &metric.to_string());
        }
        self
    }

    /// The UUID is made of all that is in it (RFC 9562 5.8): a profile that changed is another one, which NetworkManager takes
    /// up in the place of the old one, and one that did not change is left alone.
    fn finish(&self) -> Keyfile {
        let hash = digest::digest(&digest::SHA256, format!("{}{}", self.head, self.rest).as_bytes());
        let mut bytes = [0_u8; 16];
        bytes.iter_mut().zip(hash.as_ref()).for_each(|(byte, from)| *byte = *from);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        Keyfile { name: self.name.clone(), text: format!("{}uuid={uuid}\n{}", self.head, self.rest) }
    }
}

/// `value` as a string of a key file (GLib, `g_key_file_get_string()`): spaces at its ends and control characters are
/// written as `\s`, `\n`, `\t`, `\r`, the backslash twice.
fn escaped(value: &str) -> String {
    let inner = value.trim_start_matches(' ');
    let before = value.len() - inner.len();
    let kept = inner.trim_end_matches(' ');
    let after = inner.len() - kept.len();
    let mut text = "\\s".repeat(before);
    for letter in kept.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            letter => text.push(letter),
        }
    }
    text + &"\\s".repeat(after)
}
