//! An address with the length of its network's prefix.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

/// An address of a host and the length of its network's prefix (RFC 4632 3.1, RFC 4291 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The host's.
    pub address: IpAddr,
    /// Bits, 1 to 32 or 128.
    pub prefix: u8,
}

/// All bits of an address, and how many there are.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl Cidr {
    /// Whether `other` is in the same network.
    pub fn holds(&self, other: IpAddr) -> bool {
        let ((ours, width), (theirs, other_width)) = (bits(self.address), bits(other));
        let host = width.saturating_sub(self.prefix);
        width == other_width && (ours ^ theirs).checked_shr(host.into()).unwrap_or(0) == 0
    }

    /// Whether a host can have it: it is neither the network's own address nor the one that reaches all in it.
    fn is_of_a_host(&self) -> bool {
        let (address, width) = bits(self.address);
        let plain = !self.address.is_unspecified()
            && !self.address.is_loopback()
            && !self.address.is_multicast()
            && self.address != IpAddr::V4(Ipv4Addr::BROADCAST);
        // Networks of two hosts have neither of the two (RFC 3021).
        if width == 128 || self.prefix >= 31 {
            return plain;
        }
        let host = (1u128 << (width - self.prefix)) - 1;
        plain && address & host != 0 && address & host != host
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected an address and the length of the network's prefix, such as \"192.0.2.10/24\"";
        let (address, prefix) = text.split_once('/').ok_or_else(expected)?;
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let prefix =
            prefix.parse().ok().filter(|prefix| (1..=bits(address).1).contains(prefix)).ok_or_else(expected)?;
        let cidr = Self { address, prefix };
        if !cidr.is_of_a_host() {
            return Err(format!("{cidr} is no address that a box can have"));
        }
        Ok(cidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_hosts_are_taken() {
        for text in ["192.0.2.10/24", "10.0.0.0/31", "198.51.100.7/32", "2001:db8::7/64", "10.1.255.255/8"] {
            assert_eq!(text.parse::<Cidr>().map(|cidr| cidr.to_string()), Ok(text.into()));
        }
        for text in
            ["192.0.2.10", "192.0.2.10/33", "192.0.2.10/0", "192.0.2.0/24", "192.0.2.255/24", "0.0.0.0/8", "::/64"]
        {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in ["127.0.0.1/8", "224.0.0.1/24", "box/24", "", "192.0.2.10/", "192.0.2.10/+24x"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_holds_its_hosts() {
        let holds = |cidr: &str, other: &str| {
            cidr.parse::<Cidr>().expect("an address").holds(other.parse().expect("an address"))
        };
        assert!(holds("192.0.2.10/24", "192.0.2.1") && !holds("192.0.2.10/24", "192.0.3.1"));
        assert!(holds("2001:db8::7/64", "2001:db8::1") && !holds("2001:db8::7/64", "2001:db8:0:1::1"));
        assert!(!holds("192.0.2.10/24", "2001:db8::1") && !holds("192.0.2.10/32", "192.0.2.11"));
    }
}
