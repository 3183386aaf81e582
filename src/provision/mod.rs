//! `fieldcast.toml`: what an operator brings to a box on a USB stick or on its boot partition, before anybody can reach it.
//!
//! One file has the settings of the box, its networks and the keys that may log in. `fieldcastd provision`, which systemd runs
//! as root before the network and the daemon, takes it over whole or not at all. The daemon has no part in it: it tells what was
//! refused (`report`), and never sets up a network.
//!
//! This file holds the words; `check` knows what is sensible, `keyfile` says it to NetworkManager (both pure), `store` keeps
//! what was accepted over a power cut, and `run` does it.

mod address;
pub mod boot;
mod check;
pub mod keyfile;
pub mod report;
pub mod run;
mod ssh_key;
mod store;
#[cfg(test)]
mod tests;

pub use address::Cidr;
pub use check::{explain, read};

use crate::settings::Secret;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The file's name, wherever it is.
pub const FILE: &str = "fieldcast.toml";

/// The whole file. All of it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Provision {
    /// The box's name in its network; none: `fieldcast-` and the digits of the box's id.
    pub host_name: Option<String>,
    /// What holds for all networks.
    pub network: Network,
    /// Wi-Fi networks, the best first.
    pub wifi: Vec<Wifi>,
    /// The mobile network.
    pub modem: Option<Modem>,
    /// Ethernet that is not to be set up by DHCP.
    pub ethernet: Vec<Ethernet>,
    /// Who may log in.
    pub ssh: Ssh,
    /// `[settings]`: what `settings.toml` is to hold; none: that stays as it is.
    #[serde(skip)]
    pub settings: Option<toml::Table>,
}

/// A kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A cable.
    Ethernet,
    /// A wireless network.
    Wifi,
    /// A mobile network.
    Modem,
}

/// `[network]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Network {
    /// Which kind is used when several are up, the best first; those not named follow as `ethernet`, `wifi`, `modem`.
    pub prefer: Vec<Kind>,
    /// Time servers; none: those of the network, else those of the image.
    pub time_servers: Vec<String>,
}

impl Network {
    /// The route metric of `kind`: the lower one is used. The values are those that NetworkManager gives by itself to
    /// Ethernet, Wi-Fi and mobile networks (nm-settings-nmcli(5), `ipv4.route-metric`).
    pub fn metric(&self, kind: Kind) -> u32 {
        let rest = [Kind::Ethernet, Kind::Wifi, Kind::Modem].into_iter().filter(|kind| !self.prefer.contains(kind));
        let order = self.prefer.iter().copied().chain(rest);
        let metrics = [100, 600, 700];
        order.zip(metrics).find(|(other, _)| *other == kind).map_or(700, |(_, metric)| metric)
    }
}

/// `[[wifi]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Wifi {
    /// The network's name, 1 to 32 bytes.
    pub ssid: String,
    /// WPA2 and WPA3: 8 to 63 characters of ASCII, or the key as 64 hexadecimal digits; none: an open network.
    pub password: Option<Secret>,
    /// The network does not tell its name.
    pub hidden: bool,
    /// The country whose radio rules hold, two letters (ISO 3166-1); the same in all.
    pub country: Option<String>,
}

/// `[modem]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Modem {
    /// The access point name that the operator of the network gives.
    pub apn: String,
    /// Where the access point wants one.
    pub username: Option<String>,
    /// Where the access point wants one.
    pub password: Option<Secret>,
    /// Of the SIM card: 4 to 8 digits.
    pub pin: Option<Secret>,
}

/// `[[ethernet]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ethernet {
    /// The interface, such as `"eth0"`; none: each that has no entry of its own.
    pub interface: Option<String>,
    /// The box's address with the length of the network's prefix, such as `"192.0.2.10/24"`; none: by DHCP.
    pub address: Option<Cidr>,
    /// The router; none: nothing is reached beyond the network.
    pub gateway: Option<IpAddr>,
    /// Name servers, up to 4; with DHCP they take the place of those that it gives.
    pub dns: Vec<IpAddr>,
}

/// `[ssh]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ssh {
    /// Public keys as in `~/.ssh/id_ed25519.pub`; none: nobody can log in, and nothing listens.
    pub keys: Vec<String>,
}
