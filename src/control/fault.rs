//! What is wrong, in words for people, and what to do about it.

use crate::{
    media::FailureKind,
    settings::BackupReturn,
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

/// The operator's slate cannot be used; the built-in card is.
pub fn slate_picture() -> Notice {
    let advice = "Give slate.picture a PNG or JPEG of at most 20 MB and 8192 x 8192 pixels that the box may read";
    Notice::new("slate-picture", Severity::Warning, "The slate's picture cannot be used", advice)
}

/// There is nothing to show while there is no picture.
pub fn without_slate() -> Notice {
    let advice =
        "Without a picture viewers see the last one; install the plugins that `fieldcastd probe` lists as missing";
    Notice::new("no-slate", Severity::Warning, "The slate could not be made", advice)
}

/// The push ended as `on-signal-loss` says.
pub fn ended_without_picture() -> Notice {
    let advice = "Check the camera and the cable, and start again";
    Notice::new("ended-without-picture", Severity::Warning, "The push has ended: there was no picture", advice)
}

/// The source protects its picture.
pub fn protected(input: &str) -> Notice {
    let name = input.to_uppercase();
    let text = format!("The picture on {name} is copy-protected");
    Notice::new("protected", Severity::Warning, text, "Switch HDCP off on the player, or use a camera's clean output")
}

/// It may be protected, although the driver does not say so.
pub fn perhaps_protected(input: &str) -> Notice {
    let name = input.to_uppercase();
    let text = format!("{name} is locked but black: it may be copy-protected");
    let advice = "Switch HDCP off on the player, use a camera's clean output, or check the lens cap";
    Notice::new("perhaps-protected", Severity::Warning, text, advice)
}

/// Viewers see black.
pub fn black(input: &str) -> Notice {
    let text = format!("The picture on {} is black", input.to_uppercase());
    Notice::new("picture-black", Severity::Warning, text, "Check the lens cap, the light, and what the camera sends")
}

/// Viewers see one picture only.
pub fn still(input: &str) -> Notice {
    let text = format!("The picture on {} stands still", input.to_uppercase());
    let advice = "Check that the camera or player does not hang; slides may well stand still";
    Notice::new("picture-frozen", Severity::Warning, text, advice)
}

/// Viewers hear nothing.
pub fn silent() -> Notice {
    let advice = "Check microphone, mixer and input.audio";
    Notice::new("sound-silent", Severity::Warning, "The sound is silent", advice)
}

/// Viewers hear distortion.
pub fn clipping() -> Notice {
    let advice = "Turn the microphone or mixer down; a lower input.gain does not help when it is cut off before";
    Notice::new("sound-clipping", Severity::Warning, "The sound is too loud and distorted", advice)
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
        Some(FailureKind::Stalled) => (
            "no-pictures",
            "The input is locked but gives no pictures",
            "It is started again; if that does not help, plug it in again or switch the camera off and on",
        ),
        Some(FailureKind::Encoder | FailureKind::EncoderStalled) if given_up => {
            ("encoder-failed", "The encoder fails again and again", "Choose a smaller output.mode, or restart the box")
        }
        Some(FailureKind::EncoderStalled) => (
            "encoder-stalled",
            "The encoder gave nothing and is started again",
            "If it happens again, choose a smaller output.mode or restart the box",
        ),
        _ if given_up => (
            "worker-crashed",
            "The video worker crashes again and again",
            "Restart the box; send the log if it stays so",
        ),
        Some(FailureKind::Wedged) => (
            "worker-wedged",
            "The video worker hung and is started again",
            "If it happens again, restart the box; send the log if it stays so",
        ),
        Some(FailureKind::Encoder | FailureKind::NotPcm | FailureKind::Picture | FailureKind::Other) | None => {
            return None;
        }
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
        Some(FailureKind::Stalled) => (
            "sound-stalled",
            "The sound input gives nothing, silence is sent",
            "Check that the player sends sound; the input is started again until it does",
        ),
        _ if given_up => (
            "sound-crashed",
            "The sound worker crashes again and again",
            "Choose another input.audio, or restart the box",
        ),
        Some(FailureKind::EncoderStalled) => (
            "sound-encoder-stalled",
            "The sound encoder gave nothing and is started again",
            "If it happens again, restart the box",
        ),
        Some(FailureKind::Wedged) => (
            "sound-worker-wedged",
            "The sound worker hung and is started again",
            "If it happens again, restart the box; send the log if it stays so",
        ),
        Some(FailureKind::Encoder | FailureKind::Picture | FailureKind::Other) | None => return None,
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

/// What is locked does not get to viewers, and nothing tells why.
pub fn no_live_picture(input: &str) -> Notice {
    let text = format!("{} is locked, but its picture does not get through", input.to_uppercase());
    let advice = "Plug it in again or choose another format on the camera; if that does not help, restart the box";
    Notice::new("no-live-picture", Severity::Error, text, advice)
}

/// A worker hangs in a driver, and cannot be ended.
pub fn worker_stuck() -> Notice {
    let advice = "Restart the box when the programme allows it; another input may work until then";
    Notice::new("worker-stuck", Severity::Error, "A driver hangs and cannot be started again", advice)
}

/// The board's encoders that crashed so often that another one is used.
pub fn fell_back(crashed: &[String], used: &str) -> Notice {
    let text = format!("{} crashes, {used} encodes instead", crashed.join(" and "));
    Notice::new("encoder-skipped", Severity::Warning, text, "Restart the box; until then choose a small output.mode")
}

/// The encoder keeps its bitrate until it starts anew.
pub fn bitrate_fixed(encoder: &str) -> Notice {
    let text = format!("{encoder} cannot change its bitrate on air");
    Notice::new(
        "bitrate-fixed",
        Severity::Notice,
        text,
        "For large changes it is started anew, which viewers see as a short hold",
    )
}

/// The network to `source` carries less than is sent, so pictures were dropped; `least`: at the lowest bitrate already.
pub fn network_slow(source: &str, least: bool) -> Notice {
    let text = format!("{source}: the network is too slow, pictures are dropped");
    let (severity, advice) = match least {
        true => (
            Severity::Error,
            "Find a better place or another network; a lower output.bitrate-min with a smaller output.mode gets through",
        ),
        false => {
            (Severity::Warning, "The bitrate is being lowered; if this stays, find a better place or another network")
        }
    };
    Notice::new("network-slow", severity, text, advice)
}

/// Why `source` does not get the program.
pub fn uplink(source: &str, cause: &Cause) -> Notice {
    Notice::new(cause.code(), Severity::Error, format!("{source}: {}", cause.text()), cause.advice())
}

/// The backup carries the program in place of the primary.
pub fn on_backup(backup: &str, primary: &str, back: BackupReturn) -> Notice {
    let advice = match back {
        BackupReturn::After(health) => {
            format!("{primary} is tried on, and gets the program back after {health} on air")
        }
        BackupReturn::Never => format!("{primary} is tried on; {backup} stays in use until the push is ended"),
    };
    Notice::new("on-backup", Severity::Warning, format!("{backup} is used in place of {primary}"), advice)
}

/// Heat takes something from the program, or will: `halved` says that pictures are left out.
pub fn hot(pushing: bool, halved: bool) -> Notice {
    let (severity, text) = match (pushing, halved) {
        (false, _) => (Severity::Notice, "The box is hot"),
        (true, false) => (Severity::Warning, "The box is hot: the bitrate is lowered"),
        (true, true) => (Severity::Warning, "The box is very hot: every second picture is left out"),
    };
    let advice =
        "Give it shade and air, and look at fan and vents; all comes back some minutes after it has cooled down";
    Notice::new("hot", severity, text, advice)
}

/// The board's display does not show anything.
pub fn display_missing(kind: &str) -> Notice {
    let text = format!("The display ({kind}) does not answer");
    let advice = "Check its cable and the [display] of the board file; it is tried every 2 s and stops nothing";
    Notice::new("display-missing", Severity::Notice, text, advice)
}

/// The daemon does not stay up, which `why` explains; it is tried again in so many minutes.
pub fn rescue(why: &str, minutes: u64) -> Notice {
    let advice = format!(
        "It is tried again in {minutes} min, and by Restart. If that does not help: undo what was changed last, reset the box, or \
         install another version; the log says more"
    );
    Notice::new("rescue", Severity::Error, format!("Rescue mode, no capture and no push: {why}"), advice)
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
