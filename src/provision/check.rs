//! Reading a `fieldcast.toml`: strictly when it is brought, tolerantly when it was accepted by another version.

use super::{Cidr, Ethernet, Kind, Modem, Provision, Wifi, ssh_key};
use crate::{
    board::Board,
    settings::{
        Document, Flaw, Problem, Problems, Settings, add_checked, key_of, known_keys, nearest, read_settings, tolerant,
    },
};
use std::{collections::BTreeSet, net::IpAddr, path::Path, sync::LazyLock};
use toml::{Table, Value};

/// Every key but those of `[settings]`.
static KNOWN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    known_keys(&Provision {
        wifi: vec![Wifi::default()],
        modem: Some(Modem::default()),
        ethernet: vec![Ethernet::default()],
        ..Provision::default()
    })
});

/// Reads `text` of the file at `file`; with a `board`, the settings are held against it too.
///
/// # Errors
/// Everything wrong with it, in the order of lines. No secret is repeated.
pub fn read(text: &str, file: &Path, board: Option<&Board>) -> Result<Provision, Problems> {
    let problem = |line, key, text| Problem { file: file.into(), line, key, text };
    let document = Document::parse(text).map_err(|(line, text)| Problems(vec![problem(line, None, text)]))?;
    let (provision, mut flaws) = parts(&document.table);
    let settings = document.table.get("settings").and_then(Value::as_table);
    let mut problems = Vec::new();
    for flaw in settings.and_then(|settings| read_settings(settings, board).err()).unwrap_or_default() {
        let place = flaw.at.first().map_or("", String::as_str);
        let key = settings.map(|settings| format!("settings.{}", key_of(place, settings)));
        problems.push(problem(document.line(&format!("settings.{place}")), key, flaw.text));
    }
    if let Some(provision) = &provision {
        add_checked(&mut flaws, cross(provision));
    }
    for flaw in flaws {
        let place = flaw.at.first().map_or("", String::as_str);
        problems.push(problem(
            document.line(place),
            Some(place.into()).filter(|place: &String| !place.is_empty()),
            flaw.text,
        ));
    }
    match provision {
        Some(provision) if problems.is_empty() => Ok(Provision { settings: settings.cloned(), ..provision }),
        _ => {
            problems.sort_by_key(|problem| problem.line);
            Err(Problems(problems))
        }
    }
}

/// What this version understands of a file that was accepted, perhaps by a newer version before an update was rolled back.
pub(super) fn understood(text: &str) -> Provision {
    let table = Document::parse(text).map(|document| document.table).unwrap_or_default();
    let provision = parts(&table).0.unwrap_or_default();
    Provision { settings: table.get("settings").and_then(Value::as_table).cloned(), ..provision }
}

/// Everything but `[settings]`.
fn parts(table: &Table) -> (Option<Provision>, Vec<Flaw>) {
    let mut table = table.clone();
    let settings = table.remove("settings");
    let (provision, mut flaws) = tolerant::<Provision>(&table, &KNOWN);
    if settings.is_some_and(|settings| !settings.is_table()) {
        flaws.push(Flaw::new("settings", "expected a table with the keys of settings.toml: [settings]"));
    }
    // The known keys have no idea of the settings: a key of theirs that stands outside is likely meant for them.
    for flaw in &mut flaws {
        let word = flaw.at.first().map_or("", String::as_str);
        let near = nearest(word, ["settings"].into_iter(), 0.5);
        let of_settings = Settings::default();
        let keys = known_keys(&of_settings);
        let section = |key: &String| key.split('.').next() == Some(word);
        if flaw.text.starts_with("unknown key") && near.is_some() {
            flaw.text = "unknown key; did you mean \"settings\"?".into();
        } else if flaw.text.starts_with("unknown key") && (keys.iter().any(section) || word == "source") {
            flaw.text = format!("unknown key here; did you mean \"settings.{word}\"?");
        }
    }
    (provision, flaws)
}

/// Names every value that is out of bounds or does not fit the others.
fn cross(provision: &Provision) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if let Some(name) = &provision.host_name
        && !is_label(name)
    {
        let text = "expected 1 to 63 letters, digits or dashes, with no dash at either end, such as \"ob-van-3\"";
        flaws.push(Flaw::new("host-name", text));
    }
    network(provision, &mut flaws);
    for (index, entry) in provision.wifi.iter().enumerate() {
        wifi(provision, index, entry, &mut flaws);
    }
    provision.modem.iter().for_each(|entry| modem(entry, &mut flaws));
    for (index, entry) in provision.ethernet.iter().enumerate() {
        ethernet(provision, index, entry, &mut flaws);
    }
    for (index, line) in provision.ssh.keys.iter().enumerate() {
        flaws.extend(ssh_key::wrong(line).map(|wrong| Flaw::new(format!("ssh.keys[{index}]"), wrong)));
    }
    for (key, count) in
        [("wifi", provision.wifi.len()), ("ethernet", provision.ethernet.len()), ("ssh.keys", provision.ssh.keys.len())]
    {
        if count > 16 {
            flaws.push(Flaw::new(key, "at most 16"));
        }
    }
    flaws
}

/// A name in a network (RFC 1123 2.1).
fn is_label(name: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(word) && !name.starts_with('-') && !name.ends_with('-')
}

fn network(provision: &Provision, flaws: &mut Vec<Flaw>) {
    let prefer: &[Kind] = &provision.network.prefer;
    if prefer.iter().enumerate().any(|(index, kind)| prefer[..index].contains(kind)) {
        flaws.push(Flaw::new(
            "network.prefer",
            "names a kind twice; expected such as [\"ethernet\", \"wifi\", \"modem\"]",
        ));
    }
    let servers = &provision.network.time_servers;
    let named = |server: &String| server.len() <= 253 && server.split('.').all(is_label);
    if servers.len() > 8 || !servers.iter().all(|server| named(server) || server.parse::<IpAddr>().is_ok()) {
        let text = "expected up to 8 names or addresses, such as [\"ntp.example.org\"]";
        flaws.push(Flaw::new("network.time-servers", text));
    }
}

fn wifi(provision: &Provision, index: usize, wifi: &Wifi, flaws: &mut Vec<Flaw>) {
    let at = |field: &str| format!("wifi[{index}].{field}");
    if !(1..=32).contains(&wifi.ssid.len()) {
        flaws.push(Flaw::new(at("ssid"), "expected the network's name, 1 to 32 bytes"));
    } else if provision.wifi[..index].iter().any(|other| other.ssid == wifi.ssid) {
        flaws.push(Flaw::new(at("ssid"), "another [[wifi]] has this name already"));
    }
    if let Some(password) = wifi.password.as_ref().map(|password| password.reveal()) {
        // IEEE 802.11-2020 J.4.1: 8 to 63 printable characters of ASCII, or 256 bits in hexadecimal digits.
        let passphrase = (8..=63).contains(&password.len()) && password.bytes().all(|c| (32..=126).contains(&c));
        let key = password.len() == 64 && password.bytes().all(|c| c.is_ascii_hexdigit());
        if !passphrase && !key {
            let text =
                "expected 8 to 63 characters of ASCII, or 64 hexadecimal digits; leave it out for an open network";
            flaws.push(Flaw::new(at("password"), text));
        }
    }
    if let Some(country) = &wifi.country {
        let first = provision.wifi.iter().find_map(|wifi| wifi.country.as_ref());
        if country.len() != 2 || !country.bytes().all(|c| c.is_ascii_uppercase()) {
            flaws.push(Flaw::new(at("country"), "expected two capital letters, such as \"DE\""));
        } else if first != Some(country) {
            flaws.push(Flaw::new(at("country"), "another [[wifi]] names another country: the box is in one"));
        }
    }
}

fn modem(modem: &Modem, flaws: &mut Vec<Flaw>) {
    // 3GPP TS 23.003 9.1: labels of letters, digits and dashes, up to 100 bytes; NetworkManager takes 64.
    let word = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    if !(1..=64).contains(&modem.apn.len()) || !modem.apn.bytes().all(word) {
        let text = "expected the access point name of the network, 1 to 64 letters, digits, dots or dashes";
        flaws.push(Flaw::new("modem.apn", text));
    }
    let wrong = |text: &str| text.is_empty() || text.len() > 128 || text.chars().any(char::is_control);
    if modem.username.as_deref().is_some_and(wrong) {
        flaws.push(Flaw::new("modem.username", "expected 1 to 128 bytes on one line"));
    }
    if modem.password.as_ref().is_some_and(|password| wrong(password.reveal())) {
        flaws.push(Flaw::new("modem.password", "expected 1 to 128 bytes on one line"));
    }
    let digits = |pin: &str| (4..=8).contains(&pin.len()) && pin.bytes().all(|c| c.is_ascii_digit());
    if modem.pin.as_ref().is_some_and(|pin| !digits(pin.reveal())) {
        flaws.push(Flaw::new("modem.pin", "expected the PIN of the SIM card, 4 to 8 digits in quotes"));
    }
}

fn ethernet(provision: &Provision, index: usize, ethernet: &Ethernet, flaws: &mut Vec<Flaw>) {
    let at = |field: &str| format!("ethernet[{index}].{field}");
    if let Some(name) = &ethernet.interface {
        // The kernel's limits (dev_valid_name()), and what needs no escape anywhere.
        let word = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        if !(1..=15).contains(&name.len()) || !name.bytes().all(word) || name == "." || name == ".." {
            flaws.push(Flaw::new(at("interface"), "expected the name of an interface, such as \"eth0\""));
        }
    }
    if provision.ethernet[..index].iter().any(|other| other.interface == ethernet.interface) {
        let place = if ethernet.interface.is_some() { at("interface") } else { format!("ethernet[{index}]") };
        flaws.push(Flaw::new(place, "another [[ethernet]] is for the same: give each its own interface"));
    }
    match (&ethernet.address, ethernet.gateway) {
        (None, Some(_)) => flaws.push(Flaw::new(at("gateway"), "only with an address: DHCP gives the router too")),
        (Some(address), Some(gateway)) if !reaches(address, gateway) => {
            let text = format!("{gateway} is not another address in the network of {address}");
            flaws.push(Flaw { at: vec![at("gateway"), at("address")], text });
        }
        _ => {}
    }
    let usable = |dns: &IpAddr| !dns.is_unspecified() && !dns.is_multicast();
    if ethernet.dns.len() > 4 || !ethernet.dns.iter().all(usable) {
        flaws.push(Flaw::new(at("dns"), "expected up to 4 addresses of name servers, such as [\"192.0.2.1\"]"));
    }
}

/// Whether a host with this address reaches the router: routers of IPv6 are often called by their address on the link.
fn reaches(address: &Cidr, gateway: IpAddr) -> bool {
    let on_link =
        matches!((address.address, gateway), (IpAddr::V6(_), IpAddr::V6(gateway)) if gateway.is_unicast_link_local());
    (on_link || address.holds(gateway)) && gateway != address.address
}

/// What a box would do with the file, secrets masked, for `provision --check`.
pub fn explain(provision: &Provision) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |what: &str, text: String| rows.push((what.into(), text));
    row("host name", provision.host_name.clone().unwrap_or_else(|| "fieldcast-<id>, by the box's id".into()));
    row(
        "settings",
        match &provision.settings {
            Some(table) => format!("{} sections and keys take the place of settings.toml", table.len()),
            None => "stay as they are: the file has no [settings]".into(),
        },
    );
    let metric = |kind| format!("metric {}", provision.network.metric(kind));
    let generic = provision.ethernet.iter().all(|ethernet| ethernet.interface.is_some());
    for ethernet in &provision.ethernet {
        let which = ethernet.interface.as_deref().unwrap_or("any other interface");
        let how = ethernet.address.map_or("DHCP".into(), |address| match ethernet.gateway {
            Some(gateway) => format!("{address}, router {gateway}"),
            None => format!("{address}, no router"),
        });
        row("ethernet", format!("{which}: {how}, {}", metric(Kind::Ethernet)));
    }
    if generic {
        row("ethernet", format!("any other interface: DHCP, {}", metric(Kind::Ethernet)));
    }
    for wifi in &provision.wifi {
        let password = if wifi.password.is_some() { "password set" } else { "open" };
        let hidden = if wifi.hidden { ", hidden" } else { "" };
        row("wifi", format!("{:?}: {password}{hidden}, {}", wifi.ssid, metric(Kind::Wifi)));
    }
    if let Some(country) = provision.wifi.iter().find_map(|wifi| wifi.country.as_ref()) {
        row("country", country.clone());
    }
    if let Some(modem) = &provision.modem {
        let pin = if modem.pin.is_some() { ", PIN set" } else { "" };
        row("modem", format!("APN {}{pin}, {}", modem.apn, metric(Kind::Modem)));
    }
    if !provision.network.time_servers.is_empty() {
        row("time", provision.network.time_servers.join(", "));
    }
    row(
        "ssh",
        match provision.ssh.keys.len() {
            0 => "off".into(),
            keys => format!("on, for {keys} key{}", if keys == 1 { "" } else { "s" }),
        },
    );
    rows.iter().map(|(what, text)| format!("{what:10}{text}\n")).collect::<String>() + "Everything is right.\n"
}
