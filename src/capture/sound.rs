//! ALSA's cards as /proc/asound lists them. A card that is listed is not always recordable: an HDMI input's has no
//! capture device while no sound comes in.

use crate::{
    control::Event,
    watch::{self, Watch},
};
use rustix::event::PollFlags;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// How often the cards are looked at: some small files of the kernel's memory.
const INTERVAL: Duration = Duration::from_secs(2);

/// Tells `events` which cards of /proc/asound under `root` can be recorded from, at once and when that changes.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub fn watch(root: PathBuf, events: UnboundedSender<Event>) -> io::Result<Watch> {
    watch::start("sound-cards".into(), events, move |watcher| {
        let mut last = None;
        while !watcher.ended() {
            let present = Some(recordable(&root));
            if present != last {
                tracing::info!(cards = ?present, "sound cards that can be recorded");
                watcher.tell(Event::Cards(present.clone().unwrap_or_default()));
                last = present;
            }
            watcher.wait(INTERVAL, &[], PollFlags::IN);
        }
    })
}

/// The cards that can be recorded from now, each by its id and by its number, as settings may name it by both.
fn recordable(root: &Path) -> BTreeSet<String> {
    let cards = cards(root).into_iter().filter(|card| !card.capture.is_empty());
    cards.flat_map(|card| [card.id, card.number.to_string()]).collect()
}

/// A sound card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Card {
    /// Its number, which may be another one after the next start.
    pub number: u32,
    /// Its id, which stays: what board files and settings name.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Numbers of the devices that can be recorded from now; empty: none.
    pub capture: Vec<u32>,
}

/// All cards in /proc/asound under `root`, by number.
pub fn cards(root: &Path) -> Vec<Card> {
    let list = fs::read(root.join("proc/asound/cards")).unwrap_or_default();
    let list = String::from_utf8_lossy(&list);
    // " 1 [Loopback       ]: Loopback - Loopback", then a line with the long name.
    let card = |line: &str| {
        let (number, rest) = line.split_once('[')?;
        let (id, name) = rest.split_once(']')?;
        let number = number.trim().parse().ok()?;
        let name = name.split_once(" - ").map_or(name, |(_, name)| name);
        Some(Card {
            number,
            id: id.trim().into(),
            name: name.trim_start_matches(':').trim().into(),
            capture: capture(root, number),
        })
    };
    list.lines().filter_map(card).collect()
}

/// `pcm0c` and the like in the card's folder.
fn capture(root: &Path, card: u32) -> Vec<u32> {
    let entries = fs::read_dir(root.join(format!("proc/asound/card{card}"))).into_iter().flatten().flatten();
    let device = |name: &str| name.strip_prefix("pcm")?.strip_suffix('c')?.parse().ok();
    let mut devices: Vec<u32> = entries.filter_map(|entry| device(entry.file_name().to_str()?)).collect();
    devices.sort_unstable();
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_listed_with_what_can_be_recorded_now() {
        let root = tempfile::tempdir().expect("a folder");
        let asound = root.path().join("proc/asound");
        for device in ["card0/pcm0c", "card0/pcm0p", "card0/pcm1c", "card1/pcm0p"] {
            fs::create_dir_all(asound.join(device)).expect("a folder");
        }
        let list = " 0 [Loopback       ]: Loopback - Loopback\n                      Loopback 1\n \
                    1 [rockchiphdmiin ]: simple-card - rockchip,hdmiin\n                      rockchip,hdmiin\n";
        fs::write(asound.join("cards"), list).expect("a file");
        let card = |number, id: &str, name: &str, capture: &[u32]| Card {
            number,
            id: id.into(),
            name: name.into(),
            capture: capture.to_vec(),
        };
        let expected = [card(0, "Loopback", "Loopback", &[0, 1]), card(1, "rockchiphdmiin", "rockchip,hdmiin", &[])];
        assert_eq!(cards(root.path()), expected);
    }

    #[tokio::test]
    async fn a_card_is_told_once_it_can_be_recorded_and_once_it_cannot() {
        let root = tempfile::tempdir().expect("a folder");
        let asound = root.path().join("proc/asound");
        fs::create_dir_all(asound.join("card1")).expect("a folder");
        fs::write(asound.join("cards"), " 1 [rockchiphdmiin ]: simple-card - rockchip,hdmiin\n").expect("a file");
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let watch = watch(root.path().into(), sender).expect("a watch");
        let mut next = async || match tokio::time::timeout(Duration::from_secs(5), events.recv()).await {
            Ok(Some(Event::Cards(cards))) => cards.into_iter().collect::<Vec<_>>(),
            other => panic!("cards, not {other:?}"),
        };
        assert_eq!(next().await, [""; 0], "listed, and nothing to record from");
        fs::create_dir(asound.join("card1/pcm0c")).expect("a folder");
        assert_eq!(next().await, ["1", "rockchiphdmiin"]);
        fs::remove_dir(asound.join("card1/pcm0c")).expect("removed");
        assert_eq!(next().await, [""; 0]);
        drop(watch);
        assert_eq!(events.recv().await, None);
    }

    #[test]
    fn a_machine_without_sound_has_no_cards() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(cards(root.path()), []);
        fs::create_dir_all(root.path().join("proc/asound")).expect("a folder");
        fs::write(root.path().join("proc/asound/cards"), b"--- no soundcards ---\n\xff [\n").expect("a file");
        assert_eq!(cards(root.path()), []);
    }
}
