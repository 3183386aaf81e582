//! A camera: whether it is there, and the format, size and rate to ask it for.
//!
//! Its node is opened only to read its list: held open, a USB camera would stay powered and its number taken.

use super::{
    Complaint, RESCAN, Teller, locked,
    nodes::{self, Listed},
    not_locked,
};
use crate::{
    board::Camera,
    control::Signal,
    status::SignalState,
    sys::v4l2::{IntervalRange, Node, Planes, SizeRange},
    units::{Mode, Rate},
};
use std::{cmp::Ordering, io, path::Path};

/// Follows the camera until the watch ends.
pub(super) fn follow(teller: &mut Teller, camera: &Camera, output: Mode) {
    let wanted = camera.mode.unwrap_or(output);
    let gone = not_locked(SignalState::NoDevice, None);
    let mut complaint = Complaint::default();
    let mut chosen: Option<Listed> = None;
    while !teller.ended() {
        let listed = nodes::candidates(Path::new("/"), &camera.device);
        if chosen.as_ref().is_none_or(|chosen| !listed.contains(chosen)) {
            if chosen.take().is_some() {
                // Even if another one is in its place already: whoever captured from the old one has to start anew.
                teller.tell(gone.clone());
            }
            match look(&listed, camera, wanted) {
                Ok(Some((device, signal))) => {
                    (chosen, complaint) = (Some(device), Complaint::default());
                    teller.tell(signal);
                }
                Ok(None) => teller.tell(gone.clone()),
                // udev may not have given us the node yet; asked again in a moment.
                Err(error) => {
                    complaint.say(&teller.input, &error);
                    teller.tell(gone.clone());
                }
            }
        }
        teller.wait(2 * RESCAN, &[]);
    }
}

/// The first of `listed` that captures, and what it gives; none: none does. One that cannot be opened hides no other.
fn look(listed: &[Listed], camera: &Camera, wanted: Mode) -> io::Result<Option<(Listed, Signal)>> {
    let mut failed = None;
    for device in listed {
        let opened = Node::open(&device.node).and_then(|node| Ok((node.capability()?.capture, node)));
        // A USB camera has a second node, for metadata.
        let (planes, node) = match opened {
            Ok((Some(planes), node)) => (planes, node),
            Ok((None, _)) => continue,
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        let path = Some(device.node.clone());
        let signal = match choose(&offers(&node, planes, &camera.formats, wanted), wanted) {
            Some((mode, format)) => locked(path, mode, Some(format)),
            None => {
                let offered = node.pixel_formats(planes);
                tracing::warn!(node = %device.node.display(), ?offered, "the camera offers none of the board's formats");
                not_locked(SignalState::OutOfRange, path)
            }
        };
        return Ok(Some((device.clone(), signal)));
    }
    failed.map_or(Ok(None), Err)
}

/// A size and rate that a camera offers in a format.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    format: String,
    /// Place of the format in the board's order of preference.
    rank: usize,
    width: u32,
    height: u32,
    rate: Rate,
}

/// All that `node` offers in `formats`; of a range what is nearest to `wanted`.
fn offers(node: &Node, planes: Planes, formats: &[String], wanted: Mode) -> Vec<Offer> {
    let offered = node.pixel_formats(planes);
    let mut offers = Vec::new();
    for (rank, format) in formats.iter().enumerate().filter(|(_, format)| offered.contains(format)) {
        for size in node.sizes(format) {
            let (width, height) = nearest_size(size, wanted);
            let rates = rates(&node.intervals(format, width, height), wanted.picture_rate());
            offers.extend(rates.into_iter().map(|rate| Offer { format: format.clone(), rank, width, height, rate }));
        }
    }
    offers
}

fn nearest_size(size: SizeRange, wanted: Mode) -> (u32, u32) {
    let near = |(smallest, largest, step): (u32, u32, u32), wanted: u32| {
        let inside = wanted.clamp(smallest, largest.max(smallest));
        // Upwards: cutting a picture down costs less quality than blowing it up.
        let steps = (inside - smallest).div_ceil(step.max(1));
        smallest.saturating_add(steps.saturating_mul(step)).min(largest.max(smallest))
    };
    (near(size.width, wanted.width), near(size.height, wanted.height))
}

/// Picture rates of `intervals`; a camera that lists none is taken to do what is wanted.
fn rates(intervals: &[IntervalRange], wanted: Rate) -> Vec<Rate> {
    if intervals.is_empty() {
        return vec![wanted];
    }
    let rate = |(seconds, per): (u32, u32)| (seconds > 0 && per > 0).then(|| reduced(per, seconds));
    let of = |interval: &IntervalRange| {
        let (fastest, slowest) = (rate(interval.shortest)?, rate(interval.longest)?);
        Some(match wanted {
            wanted if wanted.hz() > fastest.hz() => fastest,
            wanted if wanted.hz() < slowest.hz() => slowest,
            // The camera's own fraction, so that it is asked for what it lists.
            _ if interval.shortest == interval.longest => fastest,
            wanted => wanted,
        })
    };
    intervals.iter().filter_map(of).collect()
}

fn reduced(num: u32, den: u32) -> Rate {
    let (mut divisor, mut rest) = (num, den);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    Rate::new(num / divisor, den / divisor)
}

/// The offer nearest to `wanted`: first one that need not repeat pictures, then one that need not be blown up, then the
/// nearest size, then the format that the board prefers, then the nearest rate.
fn choose(offers: &[Offer], wanted: Mode) -> Option<(Mode, String)> {
    let rate = wanted.picture_rate().hz();
    let cost = |offer: &Offer| {
        // 29.97 is not too slow for 30.
        let slow = offer.rate.hz() < rate * 0.998;
        let small = offer.width < wanted.width || offer.height < wanted.height;
        let pixels = |width: u32, height: u32| i64::from(width) * i64::from(height);
        let size = (pixels(offer.width, offer.height) - pixels(wanted.width, wanted.height)).abs();
        let off = (offer.rate.hz() - rate).abs();
        let slowness = if slow { off } else { 0.0 };
        (slowness, (small, size, offer.rank), off)
    };
    let best = offers.iter().min_by(|one, other| {
        let ((slow, look, off), (other_slow, other_look, other_off)) = (cost(one), cost(other));
        let order: Ordering = slow.total_cmp(&other_slow);
        order.then(look.cmp(&other_look)).then(off.total_cmp(&other_off))
    })?;
    Some((Mode::progressive(best.width, best.height, best.rate), best.format.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A common USB 2 webcam: raw is slow at larger sizes, MJPG is not.
    fn webcam() -> Vec<Offer> {
        let offer = |format: &str, rank, width, height, rates: &[u32]| {
            let offer = |rate: &u32| Offer { format: format.into(), rank, width, height, rate: Rate::new(*rate, 1) };
            rates.iter().map(offer).collect::<Vec<_>>()
        };
        [
            offer("YUYV", 0, 640, 480, &[30, 15]),
            offer("YUYV", 0, 1280, 720, &[10, 5]),
            offer("YUYV", 0, 1920, 1080, &[5]),
            offer("MJPG", 1, 640, 480, &[30]),
            offer("MJPG", 1, 1280, 720, &[60, 30]),
            offer("MJPG", 1, 1920, 1080, &[30]),
        ]
        .concat()
    }

    fn chosen(wanted: &str) -> String {
        let (mode, format) = choose(&webcam(), wanted.parse().expect("a mode")).expect("an offer");
        format!("{mode} {format}")
    }

    #[test]
    fn the_nearest_mode_raw_at_full_rate_else_jpeg() {
        assert_eq!(chosen("640x480p30"), "640x480p30 YUYV");
        assert_eq!(chosen("1280x720p30"), "1280x720p30 MJPG");
        assert_eq!(chosen("1280x720p29.97"), "1280x720p30 MJPG");
        assert_eq!(chosen("1280x720p10"), "1280x720p10 YUYV");
        assert_eq!(chosen("1280x720p60"), "1280x720p60 MJPG");
        assert_eq!(chosen("1920x1080p60"), "1280x720p60 MJPG", "not jerky");
        assert_eq!(chosen("960x540p25"), "1280x720p30 MJPG", "cut down rather than blown up");
        assert_eq!(chosen("3840x2160p30"), "1920x1080p30 MJPG");
        assert_eq!(choose(&[], "720p30".parse().expect("a mode")), None);
    }

    #[test]
    fn ranges_are_asked_for_what_is_wanted() {
        let wanted: Mode = "1280x720p30".parse().expect("a mode");
        let size = |width, height| nearest_size(SizeRange { width, height }, wanted);
        assert_eq!(size((160, 1920, 16), (120, 1080, 8)), (1280, 720));
        assert_eq!(size((160, 1920, 1000), (120, 1080, 1000)), (1920, 1080));
        assert_eq!(size((160, 640, 2), (120, 480, 2)), (640, 480));
        assert_eq!(size((1920, 1920, 1), (1080, 1080, 1)), (1920, 1080));
        let range = |shortest, longest| rates(&[IntervalRange { shortest, longest }], Rate::new(30, 1));
        assert_eq!(range((1, 60), (1, 1)), [Rate::new(30, 1)]);
        assert_eq!(range((1, 25), (1, 1)), [Rate::new(25, 1)]);
        assert_eq!(range((2, 15), (2, 15)), [Rate::new(15, 2)]);
        assert_eq!(range((333_333, 10_000_000), (333_333, 10_000_000)), [Rate::new(10_000_000, 333_333)]);
        assert_eq!(range((0, 0), (0, 0)), []);
        assert_eq!(rates(&[], Rate::new(25, 1)), [Rate::new(25, 1)]);
    }

    proptest! {
        #[test]
        fn any_list_of_a_driver_is_read(
            width: (u32, u32, u32), height: (u32, u32, u32), shortest: (u32, u32), longest: (u32, u32)
        ) {
            let wanted = "1280x720p30".parse().expect("a mode");
            nearest_size(SizeRange { width, height }, wanted);
            for rate in rates(&[IntervalRange { shortest, longest }], wanted.rate) {
                prop_assert!(rate.num > 0 && rate.den > 0);
            }
        }
    }
}
