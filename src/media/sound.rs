//! Captured sound in the worker: what comes in, whether it is sound at all, and when it was captured.

use super::{
    AudioSource, FailureKind,
    drift::{self, Drift},
    iec61937::Detector,
    link::Link,
    pace::Pace,
    testcard,
};
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_audio as gst_audio;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

/// Bytes of one 16-bit stereo sample.
const FRAME: usize = 4;

/// Puts the source's sound on the clock (a beep for the test source) before it reaches the valve at `air`.
pub fn attach(kind: &AudioSource, source: &gst::Pad, air: &gst::Pad, link: &Arc<Link>) {
    match kind {
        AudioSource::Test => {
            source.add_probe(gst::PadProbeType::BUFFER, |_, info| {
                if let Some(buffer) = info.buffer_mut() {
                    let time = buffer.pts().map_or(0, gst::ClockTime::nseconds);
                    let buffer = buffer.make_mut();
                    // The source says that it is silent, and others would believe it.
                    buffer.unset_flags(gst::BufferFlags::GAP);
                    if let Ok(mut map) = buffer.map_writable() {
                        testcard::beep(&mut map, time);
                    }
                }
                gst::PadProbeReturn::Ok
            });
        }
        AudioSource::Alsa(_) => {
            let stamp = Arc::new(AtomicU64::new(0));
            watch(source, stamp.clone(), link.clone());
            steady(air, stamp);
        }
    }
}

/// Keeps the stamp of what comes in, calls it by its true rate, and refuses compressed sound.
fn watch(source: &gst::Pad, stamp: Arc<AtomicU64>, link: Arc<Link>) {
    // A probe is called by one thread at a time, but its type does not say so.
    let state: Mutex<Option<Input>> = Mutex::new(None);
    source.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let (Some(buffer), Ok(mut state)) = (info.buffer(), state.lock()) else { return gst::PadProbeReturn::Ok };
        // alsasrc fixes its format before the first sample and keeps it.
        if state.is_none() {
            *state = info_of(pad).map(Input::new);
        }
        if let Some(pts) = buffer.pts() {
            stamp.store(pts.nseconds(), Ordering::Relaxed);
            let found = state.as_mut().and_then(|input| input.pace.take(pts.nseconds(), buffer.size() / input.frame));
            if let Some(rate) = found {
                rename(pad, rate);
            }
        }
        if let Some(input) = state.as_mut().filter(|input| input.width > 0)
            && let Ok(map) = buffer.map_readable()
            && input.detector.take(&map, input.width, input.upper)
        {
            link.fail(FailureKind::NotPcm, "bursts of IEC 61937 among the samples");
        }
        gst::PadProbeReturn::Ok
    });
}

/// What comes from the card.
struct Input {
    detector: Detector,
    pace: Pace,
    /// Bytes of all channels' samples at one time.
    frame: usize,
    /// As [`words`] gives them.
    width: usize,
    upper: usize,
}

impl Input {
    fn new(info: gst_audio::AudioInfo) -> Self {
        let (width, upper) = words(&info);
        let frame = (info.bpf() as usize).max(1);
        Self { detector: Detector::default(), pace: Pace::new(info.rate()), frame, width, upper }
    }
}

/// Calls what follows from `source` sound of `rate` samples a second. The card goes on as it is: opened with another rate it
/// would give the same samples, if it could be opened so at all.
fn rename(source: &gst::Pad, rate: u32) {
    let Some(mut caps) = source.current_caps() else { return };
    eprintln!("the sound has {rate} samples a second");
    caps.make_mut().set("rate", i32::try_from(rate).unwrap_or(i32::MAX));
    source.push_event(gst::event::Caps::new(&caps));
}

/// Gives each block of 48 kHz stereo the time that the drift correction says, and the length.
fn steady(air: &gst::Pad, stamp: Arc<AtomicU64>) {
    let drift = Mutex::new(Drift::default());
    air.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let (Some(buffer), Ok(mut drift)) = (info.buffer_mut(), drift.lock()) else { return gst::PadProbeReturn::Ok };
        let samples = buffer.size() / FRAME;
        // The stamp of this very block, as it came in: what is between gives one block for one, in the same thread.
        // (audioresample would count its stamps by the card's idea of time.)
        let step = drift.take(stamp.load(Ordering::Relaxed), samples);
        if step.samples != samples {
            let stretched = buffer.map_readable().map(|map| drift::stretch(&map, step.samples));
            if let Ok(stretched) = stretched {
                *buffer = gst::Buffer::from_mut_slice(stretched);
            }
        }
        let buffer = buffer.make_mut();
        buffer.set_pts(gst::ClockTime::from_nseconds(step.time));
        buffer.set_dts(None);
        buffer.set_duration(gst::ClockTime::from_nseconds(step.samples as u64 * 1_000_000_000 / 48_000));
        // The card's count of samples is not ours any more.
        buffer.set_offset(gst::format::Buffers::OFFSET_NONE);
        buffer.set_offset_end(gst::format::Buffers::OFFSET_NONE);
        if step.gap {
            buffer.set_flags(gst::BufferFlags::DISCONT);
        }
        gst::PadProbeReturn::Ok
    });
}

/// What is done to the sound that `source` gives, for people; none: nothing.
pub fn note(source: &gst::Pad) -> Option<String> {
    mix(info_of(source)?.channels())
}

fn mix(channels: u32) -> Option<String> {
    match channels {
        1 => Some("mono on both channels".into()),
        2 => None,
        6 => Some("5.1 mixed down to stereo".into()),
        8 => Some("7.1 mixed down to stereo".into()),
        channels => Some(format!("{channels} channels mixed down to stereo")),
    }
}

fn info_of(pad: &gst::Pad) -> Option<gst_audio::AudioInfo> {
    let caps = pad.current_caps()?;
    gst_audio::AudioInfo::from_caps(&caps).ok()
}

/// Bytes of a sample, and where in them its upper 16 bits are; zeros: not whole numbers, little endian.
fn words(info: &gst_audio::AudioInfo) -> (usize, usize) {
    let format = info.format_info();
    let (width, depth) = (format.width() as usize / 8, format.depth() as usize / 8);
    if format.is_integer() && format.is_little_endian() && depth >= 2 { (width, depth - 2) } else { (0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_of_a_mix() {
        assert_eq!(mix(2), None);
        assert_eq!(mix(6).as_deref(), Some("5.1 mixed down to stereo"));
        assert_eq!(mix(4).as_deref(), Some("4 channels mixed down to stereo"));
    }

    #[test]
    fn the_upper_16_bits_of_a_sample_are_found() {
        use gst_audio::AudioFormat::{F32le, S16be, S16le, S24le, S32le, S2432le, U8};
        let words = |format| words(&gst_audio::AudioInfo::builder(format, 48_000, 2).build().expect("a format"));
        assert_eq!([S16le, S24le, S2432le, S32le].map(words), [(2, 0), (3, 1), (4, 1), (4, 2)]);
        assert_eq!([S16be, U8, F32le].map(words), [(0, 0); 3]);
    }
}
