//! Leaves out pictures ahead of the encoder while it runs, in the same size: fewer pictures cost less heat.

use super::encoder::VideoEncoder;
use gst::prelude::*;
use gstreamer as gst;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

/// Which pictures go to the encoder.
#[derive(Debug)]
pub struct Thinner {
    /// Each so many-th.
    every: AtomicU32,
}

impl Thinner {
    /// Lets all pictures of `pipeline` through to `encoder`, which makes an IDR of each `interval`-th.
    pub fn attach(
        pipeline: &gst::Pipeline,
        air: &gst::Element,
        encoder: Arc<VideoEncoder>,
        interval: u32,
    ) -> Arc<Self> {
        let thinner = Arc::new(Self { every: AtomicU32::new(1) });
        let Some(pad) = place(pipeline, air).static_pad("src") else { return thinner };
        let (told, count) = (thinner.clone(), Mutex::new(Count::default()));
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let every = told.every.load(Ordering::Relaxed);
            let fate = count.lock().map_or(Fate::Kept, |mut count| count.next(every, interval));
            match fate {
                Fate::Left => return gst::PadProbeReturn::Drop,
                Fate::Key => encoder.keyframe(),
                Fate::Kept => {}
            }
            gst::PadProbeReturn::Ok
        });
        thinner
    }

    /// Lets each `every`-th picture through.
    pub fn set(&self, every: u32) {
        self.every.store(every, Ordering::Relaxed);
    }
}

/// Where pictures have their final rate, which is before they cost a conversion wherever it can be: after what retimes them,
/// as that would repeat a picture for each that is missing; else after what makes pictures of fields; else after the valve.
fn place(pipeline: &gst::Pipeline, air: &gst::Element) -> gst::Element {
    let made_by = |name: &str| {
        let mut elements = pipeline.iterate_elements().into_iter().flatten();
        elements.find(|element| element.factory().is_some_and(|factory| factory.name() == name))
    };
    made_by("videorate").or_else(|| made_by("deinterlace")).unwrap_or_else(|| air.clone())
}

/// What becomes of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Left,
    Kept,
    /// Kept, and an IDR: encoders count the interval in the pictures that they get, viewers who join count it in time.
    Key,
}

#[derive(Debug, Default)]
struct Count {
    /// Whether pictures are being left out.
    thins: bool,
    /// Pictures since the last one that was kept.
    since_kept: u32,
    /// Pictures since the last IDR.
    since_key: u32,
}

impl Count {
    fn next(&mut self, every: u32, interval: u32) -> Fate {
        if (every > 1) != self.thins {
            // What the encoder has counted so far is of no use any more.
            *self = Self { thins: every > 1, since_kept: 0, since_key: interval };
            if every <= 1 {
                return Fate::Key;
            }
        } else if every <= 1 {
            return Fate::Kept;
        }
        (self.since_kept, self.since_key) = (self.since_kept + 1, self.since_key + 1);
        if self.since_kept < every {
            return Fate::Left;
        }
        self.since_kept = 0;
        if self.since_key < interval {
            return Fate::Kept;
        }
        self.since_key = 0;
        Fate::Key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_second_picture_is_left_out_and_keys_stay_apart() {
        let mut count = Count::default();
        let (left, kept, key) = (Fate::Left, Fate::Kept, Fate::Key);
        assert!((0..100).all(|_| count.next(1, 6) == kept), "the encoder counts by itself");
        let fates: Vec<Fate> = (0..14).map(|_| count.next(2, 6)).collect();
        assert_eq!(fates, [left, key, left, kept, left, kept, left, key, left, kept, left, kept, left, key]);
        // It began to count at the last IDR; from here on it counts twice as many.
        assert_eq!((count.next(1, 6), count.next(1, 6)), (key, kept));
    }

    proptest! {
        #[test]
        fn at_most_every_minus_one_pictures_are_missing_in_a_row(orders in prop::collection::vec((0u32..5, 1usize..50), 1..20)) {
            let (mut count, mut missing) = (Count::default(), 0);
            for (every, pictures) in orders {
                for _ in 0..pictures {
                    missing = if count.next(every, 30) == Fate::Left { missing + 1 } else { 0 };
                    prop_assert!(missing < 4 && (every > 1 || missing == 0));
                }
            }
        }
    }
}
