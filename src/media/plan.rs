//! From what the hardware has, what the operator wants and what comes in, to what a worker is to do (pure).

use super::{AudioPlan, AudioSource, VideoPlan, VideoSource};
use crate::{
    board::{Audio, Board, Encoder, Input, InputKind, Limits},
    control::Signal,
    settings::{self, Output, OutputMode},
    units::{Mode, Rate},
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

/// The video pipeline for a locked `signal`; none while there is nothing to capture. The first `skip` encoders are left out.
pub fn video(board: &Board, input: &Input, output: &Output, signal: &Signal, skip: usize) -> Option<VideoPlan> {
    let encoders: Vec<_> =
        board.encoders.iter().filter(|encoder| encoder.codec == output.codec).skip(skip).cloned().collect();
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
    let interval = output.keyframe_interval.duration().as_secs_f64() * mode.rate.hz();
    let lowest = encoders.first().and_then(|encoder| encoder.min_bitrate);
    Some(VideoPlan {
        source,
        mode,
        codec: output.codec,
        converter: board.converter.clone(),
        bitrate: lowest.map_or(output.bitrate_max, |lowest| output.bitrate_max.max(lowest)),
        keyframe_interval: (interval.round() as u32).max(1),
        latency: output.latency,
        encoders,
    })
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
    fn follow_keeps_the_aspect_within_the_limits() {
        let limit = mode("1920x1080p30");
        assert_eq!(follow(mode("3840x2160p60"), limit), mode("1920x1080p30"));
        assert_eq!(follow(mode("1920x1080i50"), limit), mode("1920x1080p25"));
        assert_eq!(follow(mode("1280x720p59.94"), limit), mode("1280x720p29.97"));
        assert_eq!(follow(mode("1600x1200p30"), limit), mode("1440x1080p30"));
    }
}
