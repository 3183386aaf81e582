//! The box's id: made from the hardware, so that a cloned card does not make a second box of the same id.

use crate::{
    state::{StateFolder, not_saved, peek},
    status::Fault,
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// The id and what it was made of, as kept in `id.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    id: String,
    made_of: String,
}

const FILE: &str = "id.json";
const RANDOM: &str = "random";

/// Gives the box's id, `fc-` and 8 hex digits: of the SoC's serial number, else of the first Ethernet address, which is
/// kept in `state` as network cards come late or are exchanged; else a random one that is kept. The fault tells that it
/// could not be kept.
pub fn box_id(root: &Path, state: &StateFolder) -> (String, Option<Fault>) {
    let (kept, damaged) = state.load::<Identity>(FILE);
    let identity = chosen(serial(root), &addresses(root), kept.as_ref());
    if kept.as_ref() == Some(&identity) {
        return (identity.id, damaged);
    }
    let saved = state.save(FILE, &identity);
    (identity.id, saved.err().map(|error| not_saved(&error)).or(damaged))
}

/// The same without keeping it, of a box whose state is in the folder `state`; none: it would be a random one that nobody has
/// kept yet.
pub fn known_id(root: &Path, state: &Path) -> Option<String> {
    let kept = peek::<Identity>(state, FILE);
    let identity = chosen(serial(root), &addresses(root), kept.as_ref());
    (identity.made_of != RANDOM || kept.is_some()).then_some(identity.id)
}

fn chosen(serial: Option<String>, addresses: &[String], kept: Option<&Identity>) -> Identity {
    if let Some(serial) = serial {
        return Identity { id: format!("fc-{}", digits(&serial)), made_of: format!("serial {serial}") };
    }
    // A kept id made of an address that is gone, while another is there: the card was put into another box.
    let still = |kept: &&Identity| {
        let made_of = kept.made_of.strip_prefix("address ");
        kept.made_of == RANDOM
            || addresses.is_empty()
            || made_of.is_some_and(|made_of| addresses.iter().any(|a| a == made_of))
    };
    match (kept.filter(still), addresses.first()) {
        (Some(kept), _) => kept.clone(),
        (None, Some(address)) => {
            Identity { id: format!("fc-{}", digits(address)), made_of: format!("address {address}") }
        }
        (None, None) => Identity { id: format!("fc-{:08x}", fastrand::u32(..)), made_of: RANDOM.into() },
    }
}

/// The last 8 hex digits, which differ most between boxes of one make; of a serial that is no number, a hash.
fn digits(text: &str) -> String {
    let hex: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    if hex.len() >= 8 && hex.bytes().all(|c| c.is_ascii_hexdigit()) {
        return hex[hex.len() - 8..].into();
    }
    // FNV-1a, 32 bit: it has to stay the same in every version.
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

/// The SoC's serial number (Devicetree Specification 2.3, "serial-number"); some makers leave zeroes.
fn serial(root: &Path) -> Option<String> {
    let bytes = fs::read(root.join("proc/device-tree/serial-number")).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let text = text.trim_end_matches('\0').trim();
    let useful = !text.is_empty() && text.len() <= 64 && text.chars().any(|c| c.is_ascii_alphanumeric() && c != '0');
    useful.then(|| text.into())
}

/// Permanent addresses of real Ethernet cards, wired ones first, then by name (Documentation/ABI/testing/sysfs-class-net).
fn addresses(root: &Path) -> Vec<String> {
    let mut cards: Vec<(bool, std::ffi::OsString, String)> = Vec::new();
    for card in fs::read_dir(root.join("sys/class/net")).into_iter().flatten().flatten() {
        let path = card.path();
        let text =
            |file: &str| fs::read_to_string(path.join(file)).map(|text| text.trim().to_string()).unwrap_or_default();
        // Bridges and tunnels have no device; ARPHRD_ETHER is 1; other than 0 is an address made up or set by somebody.
        let real = path.join("device").exists()
            && text("type") == "1"
            && matches!(text("addr_assign_type").as_str(), "0" | "");
        let address = text("address");
        if real && address.len() == 17 && address != "00:00:00:00:00:00" {
            cards.push((path.join("phy80211").exists(), card.file_name(), address));
        }
    }
    cards.sort();
    cards.into_iter().map(|(.., address)| address).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::tree, *};

    fn card(name: &str, address: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut files = vec![("address", address), ("type", "1\n"), ("addr_assign_type", "0\n"), ("device/vendor", "")];
        files.extend(more);
        files.iter().map(|(file, text)| (format!("sys/class/net/{name}/{file}"), text.to_string())).collect()
    }

    fn id(state: &StateFolder, files: Vec<(String, String)>) -> String {
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let (id, fault) = box_id(tree(&files).path(), state);
        assert_eq!(fault, None);
        id
    }

    fn state() -> (tempfile::TempDir, StateFolder) {
        let folder = tempfile::tempdir().expect("folder");
        let state = StateFolder::open(folder.path()).expect("state");
        (folder, state)
    }

    #[test]
    fn it_is_made_of_the_serial_number() {
        let (_folder, state) = state();
        let serial = |text: &str| vec![("proc/device-tree/serial-number".to_string(), text.to_string())];
        assert_eq!(id(&state, serial("10000000ABcd1c36\0")), "fc-abcd1c36");
        // The same card in another box is another box.
        assert_eq!(id(&state, serial("10000000abcd1c37\0")), "fc-abcd1c37");
        assert_eq!(id(&state, serial("SN/7 A\0")), format!("fc-{}", digits("SN/7 A")));
        assert_eq!(digits("a"), "e40c292c", "FNV-1a's published vector");
    }

    #[test]
    fn it_is_made_of_the_first_real_wired_address_and_kept() {
        let (_folder, state) = state();
        let wired = card("eth1", "dc:a6:32:01:02:03\n", &[]);
        let mut cards = card("aaa", "dc:a6:32:aa:aa:aa\n", &[("phy80211/name", "")]);
        cards.extend(card("docker0", "02:42:00:00:00:01\n", &[("addr_assign_type", "3\n")]));
        cards.extend([("proc/device-tree/serial-number".into(), "0000000000000000\0".into())]);
        cards.extend(wired.clone());
        assert_eq!(id(&state, cards), "fc-32010203");
        // No card there yet; or one more, before it by name.
        assert_eq!(id(&state, Vec::new()), "fc-32010203");
        let mut more = card("eth0", "00:11:22:33:44:55\n", &[]);
        more.extend(wired);
        assert_eq!(id(&state, more), "fc-32010203");
        // The state folder was cloned into another box.
        assert_eq!(id(&state, card("eth0", "00:11:22:33:44:55\n", &[])), "fc-22334455");
    }

    #[test]
    fn without_any_hardware_number_it_is_random_and_kept() {
        let (_folder, state) = state();
        let first = id(&state, Vec::new());
        assert!(first.len() == 11 && first.starts_with("fc-"), "{first}");
        assert_eq!(id(&state, Vec::new()), first);
        assert_eq!(id(&state, card("eth0", "00:11:22:33:44:55\n", &[])), first);
    }

    #[test]
    fn it_can_be_known_without_being_kept() {
        let (folder, state) = state();
        let none = tree(&[]);
        assert_eq!(known_id(none.path(), folder.path()), None);
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 0, "nothing was written");
        let first = id(&state, Vec::new());
        assert_eq!(known_id(none.path(), folder.path()), Some(first));
        let serial = tree(&[("proc/device-tree/serial-number", "10000000abcd1c36\0")]);
        assert_eq!(known_id(serial.path(), folder.path()).as_deref(), Some("fc-abcd1c36"));
    }
}
