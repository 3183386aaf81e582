//! From what the hardware has, what the operator wants and what comes in, to what a worker is to do (pure).

use super::{AudioPlan, AudioSource, Card, StillPlan, VideoPlan, VideoSource};
use crate::{
    board::{Audio, Board, Encoder, Input, InputKind, Limits},
    control::Signal,
    settings::{self, Output, OutputMode},
    units::{BitRate, Mode, Rate},
};

/// The picture format that goes out for `signal`: even, progressive, and what encoder and board can do.
pub fn output_mode(output: &Output, limits: Limits, encoder: Option<&Encoder>, signal: Option<Mode>) -> Mode {
    let mode = match (output.mode, signal) {
        (OutputMode::Fixed(mode), _) => mode,
        (OutputMode::Follow, None) => limits.mode,
        (OutputMode::Follow, Some(signal)) => follow(signal, limits.mode),
    };
    encoder.map_or(mode, |encoder| encoder.fit(mode))
}

/// The input's size and picture rate; larger than the board's limit is scaled down by a whole picture's aspect, faster is
/// halved.
fn follow(signal: Mode, limit: Mode) -> Mode {
    let (mut width, mut height, mut rate) = (signal.width, signal.height, signal.picture_rate());
    if width > limit.width || height > limit.height {
        let scale = (f64::from(limit.width) / f64::from(width)).min(f64::from(limit.height) / f64::from(height));
        width = (f64::from(width) * scale).round() as u32;
        height = (f64::from(height) * scale).round() as u32;
    }
    while rate.hz() > limit.rate.hz() * 1.001 {
        rate = if rate.num.is_multiple_of(2) {
            Rate::new(rate.num / 2, rate.den)
        } else {
            Rate::new(rate.num, rate.den * 2)
        };
    }
    Mode::progressive((width & !1).max(2), (height & !1).max(2), rate)
}

/// The video pipeline for a locked `signal`; none while there is nothing to capture. The encoders called `skipped` are left out.
pub fn video(board: &Board, input: &Input, output: &Output, signal: &Signal, skipped: &[String]) -> Option<VideoPlan> {
    let encoders = encoders(board, output, skipped);
    let source = match &input.kind {
        InputKind::Test => VideoSource::Test,
        InputKind::Hdmi(_) | InputKind::Camera(_) => VideoSource::V4l2 {
            device: signal.node.clone()?,
            format: signal.format.clone(),
            mode: signal.mode?,
            hdmi: matches!(input.kind, InputKind::Hdmi(_)),
        },
    };
    let mode = output_mode(output, board.limits, encoders.first(), signal.mode);
    Some(VideoPlan {
        source,
        mode,
        codec: output.codec,
        converter: board.converter.clone(),
        bitrate: bitrate(output.bitrate_max, &encoders),
        keyframe_interval: keyframe_interval(output, mode),
        latency: output.latency,
        encoders,
    })
}

/// What makes `card` a GOP that fits between the pictures of [`video`] with that mode. It is sent for ever as it was encoded,
/// whatever the link carries by then, so it gets what the rate control never goes below.
pub fn still(board: &Board, output: &Output, mode: Mode, card: Card) -> StillPlan {
    let encoders = encoders(board, output, &[]);
    StillPlan {
        card,
        mode,
        codec: output.codec,
        bitrate: bitrate(output.bitrate_min, &encoders),
        keyframe_interval: keyframe_interval(output, mode),
        latency: output.latency,
        encoders,
    }
}

fn encoders(board: &Board, output: &Output, skipped: &[String]) -> Vec<Encoder> {
    let fits = |encoder: &&Encoder| encoder.codec == output.codec && !skipped.contains(&encoder.element);
    board.encoders.iter().filter(fits).cloned().collect()
}

/// `wanted`, but not below what the encoder survives.
fn bitrate(wanted: BitRate, encoders: &[Encoder]) -> BitRate {
    let lowest = encoders.first().and_then(|encoder| encoder.min_bitrate);
    lowest.map_or(wanted, |lowest| wanted.max(lowest))
}

/// Pictures between two IDR pictures.
fn keyframe_interval(output: &Output, mode: Mode) -> u32 {
    let interval = output.keyframe_interval.duration().as_secs_f64() * mode.rate.hz();
    (interval.round() as u32).max(1)
}

/// The sound pipeline; none means silence.
pub fn audio(input: &Input, wanted: &settings::Input, output: &Output) -> Option<AudioPlan> {
    let source = match (wanted.audio.as_str(), &input.audio) {
        ("none", _) | ("auto", Audio::None) => return None,
        ("auto", Audio::Test) => AudioSource::Test,
        ("auto", Audio::Alsa(card)) => AudioSource::Alsa(format!("hw:CARD={card}")),
        (device, _) if device.contains(':') => AudioSource::Alsa(device.to_owned()),
        (card, _) => AudioSource::Alsa(format!("hw:CARD={card}")),
    };
    Some(AudioPlan { source, bitrate: output.audio_bitrate, gain: wanted.gain.factor(), delay: wanted.delay.nanos() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> Mode {
        text.parse().expect("a mode")
    }

    #[test]
    fn a_still_picture_is_encoded_as_the_live_ones() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/desktop.toml");
        let board = Board::load(&file).expect("a board");
        let output = Output::default();
        let state = crate::status::SignalState::Locked;
        let signal = Signal { state, node: None, mode: None, format: None, protected: false };
        let live = video(&board, &board.inputs[0], &output, &signal, &[]).expect("a plan");
        let card = still(&board, &output, live.mode, Card::Bars);
        assert_eq!(
            (card.keyframe_interval, card.latency, card.codec),
            (live.keyframe_interval, live.latency, live.codec)
        );
        assert_eq!((card.encoders, card.bitrate), (live.encoders, output.bitrate_min));
    }

    #[test]
    fn follow_keeps_the_aspect_within_the_limits() {
        let limit = mode("1920x1080p30");
        assert_eq!(follow(mode("3840x2160p60"), limit), mode("1920x1080p30"));
        assert_eq!(follow(mode("1920x1080i50"), limit), mode("1920x1080p25"));
        assert_eq!(follow(mode("1280x720p59.94"), limit), mode("1280x720p29.97"));
        assert_eq!(follow(mode("1600x1200p30"), limit), mode("1440x1080p30"));
    }
}
