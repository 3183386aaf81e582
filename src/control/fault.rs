//! What is wrong, in words for people, and what to do about it.

use crate::{
    media::FailureKind,
    status::{Fault, Severity, SignalState},
    uplink::Cause,
};

/// A fault without its time: [`super::Control`] keeps since when each stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Stable word for programs.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub advice: String,
}

impl Notice {
    /// A fault in words.
    pub fn new(code: &'static str, severity: Severity, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { code, severity, text: text.into(), advice: advice.into() }
    }
}

impl From<Fault> for Notice {
    fn from(Fault { code, severity, text, advice, .. }: Fault) -> Self {
        Self { code, severity, text, advice }
    }
}

/// Why there is no picture on `input`; none while it is locked.
pub fn signal(input: &str, state: SignalState, pushing: bool) -> Option<Notice> {
    let name = input.to_uppercase();
    let (code, text, advice) = match state {
        SignalState::Locked => return None,
        SignalState::NoDevice => (
            "no-device",
            format!("{name} is not there"),
            "Plug the camera or capture device in; restart the box if it is built in",
        ),
        SignalState::NoCable => ("no-cable", format!("Nothing is plugged into {name}"), "Plug the HDMI cable in"),
        SignalState::NoSignal => {
            ("no-signal", format!("No picture on {name}"), "Check the cable, and that the camera's HDMI output is on")
        }
        SignalState::NoLock => (
            "no-lock",
            format!("The picture on {name} is unstable"),
            "Try another or a shorter cable, or a lower format on the camera",
        ),
        SignalState::OutOfRange => (
            "out-of-range",
            format!("{name} gets a format that this box cannot take"),
            "Choose 1080p or 720p on the camera",
        ),
    };
    Some(Notice::new(code, if pushing { Severity::Error } else { Severity::Warning }, text, advice))
}

/// The source protects its picture.
pub fn protected(input: &str) -> Notice {
    let name = input.to_uppercase();
    let text = format!("The picture on {name} is copy-protected");
    Notice::new("protected", Severity::Warning, text, "Switch HDCP off on the player, or use a camera's clean output")
}

/// Why there are no pictures from a locked input.
pub fn video(failure: Option<FailureKind>, given_up: bool) -> Option<Notice> {
    let (code, text, advice) = match failure {
        Some(FailureKind::NoEncoder) => (
            "no-encoder",
            "No encoder for this codec is installed",
            "Choose output.codec = \"h264\", or install the encoder's plugin",
        ),
        Some(FailureKind::MissingElement) => (
            "missing-plugin",
            "A part of the media software is missing",
            "Install the GStreamer plugins that `fieldcastd probe` lists as missing",
        ),
        Some(FailureKind::Busy) => {
            ("input-busy", "Another program uses the input", "Close the other program; `fuser -v /dev/video*` names it")
        }
        Some(FailureKind::Device) => {
            ("input-failed", "The input cannot be opened", "Plug it in again; it is tried each second")
        }
        Some(FailureKind::Format) => (
            "input-format",
            "The input's format cannot be used",
            "Choose another format on the camera, such as 1080p or 720p",
        ),
        Some(FailureKind::Encoder) if given_up => {
            ("encoder-failed", "The encoder fails again and again", "Choose a smaller output.mode, or restart the box")
        }
        _ if given_up => (
            "worker-crashed",
            "The video worker crashes again and again",
            "Restart the box; send the log if it stays so",
        ),
        Some(FailureKind::Encoder | FailureKind::NotPcm | FailureKind::Other) | None => return None,
    };
    Some(Notice::new(code, Severity::Error, text, advice))
}

/// Why the sound is silence although an input for it was chosen.
pub fn sound(failure: Option<FailureKind>, given_up: bool) -> Option<Notice> {
    let (code, text, advice) = match failure {
        Some(FailureKind::NotPcm) => {
            ("sound-not-pcm", "The sound is a bitstream, silence is sent", "Set the player's HDMI sound to PCM stereo")
        }
        Some(FailureKind::Device) => (
            "no-sound",
            "No sound from the input, silence is sent",
            "Check input.audio; HDMI sound can come some seconds after the picture",
        ),
        Some(FailureKind::Busy) => ("sound-busy", "Another program uses the sound card", "Close the other program"),
        Some(FailureKind::NoEncoder | FailureKind::MissingElement) => (
            "no-sound-encoder",
            "No AAC encoder is installed, silence is sent",
            "Install the GStreamer plugins that `fieldcastd probe` lists as missing",
        ),
        Some(FailureKind::Format) => {
            ("sound-format", "The sound's format cannot be used", "Set the input to 48 kHz stereo")
        }
        _ if given_up => (
            "sound-crashed",
            "The sound worker crashes again and again",
            "Choose another input.audio, or restart the box",
        ),
        Some(FailureKind::Encoder | FailureKind::Other) | None => return None,
    };
    Some(Notice::new(code, Severity::Warning, text, advice))
}

/// The board's encoder is not used.
pub fn software(missing: &[String], used: &str) -> Notice {
    let text = format!("{} is missing, {used} encodes instead", missing.join(" and "));
    Notice::new(
        "encoder-missing",
        Severity::Warning,
        text,
        "Install the encoder's driver and plugin; until then choose a small output.mode",
    )
}

/// The board's encoder crashed so often that another one is used.
pub fn fell_back(used: &str) -> Notice {
    let text = format!("The hardware encoder crashes, {used} encodes instead");
    Notice::new("encoder-skipped", Severity::Warning, text, "Restart the box; until then choose a small output.mode")
}

/// The encoder keeps its bitrate until it starts anew.
pub fn bitrate_fixed(encoder: &str) -> Notice {
    let text = format!("{encoder} cannot change its bitrate on air");
    Notice::new("bitrate-fixed", Severity::Notice, text, "The new bitrate is used at the next start")
}

/// Why `source` does not get the program.
pub fn uplink(source: &str, cause: &Cause) -> Notice {
    Notice::new(cause.code(), Severity::Error, format!("{source}: {}", cause.text()), cause.advice())
}

/// GO was given and there is no Source.
pub fn no_source() -> Notice {
    let advice = "Add a [[source]] with url and key to settings.toml";
    Notice::new("no-source", Severity::Error, "No Source to push to", advice)
}

/// What the sound worker had to do to the sound.
pub fn sound_note(note: &str) -> Notice {
    Notice::new(
        "sound-converted",
        Severity::Notice,
        note,
        "Set the player's sound to PCM stereo to choose the mix yourself",
    )
}
