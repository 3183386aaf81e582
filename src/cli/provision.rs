//! `fieldcastd provision`: on a box the oneshot that its image runs as root; at a desk an explanation.

use super::{INTERNAL, Refusal, WRONG};
use crate::{
    board::{Board, find},
    host,
    provision::{boot, explain, read, run},
    settings, sys, usb,
};
use std::{path::Path, process::Command, thread, time::Duration};

/// A box whose id is made of a network card may have to wait for its driver, once: then the id is kept.
const CARD: Duration = Duration::from_secs(2);

/// Explains the `fieldcast.toml` at `file`, held against this machine's board if it is one.
///
/// # Errors
/// [`WRONG`] with everything that is wrong with it.
pub fn check(file: &Path, board: Option<&str>) -> Result<String, Refusal> {
    let wrong = |text: String| Refusal { code: WRONG, text };
    let text = settings::read(file).map_err(|text| wrong(format!("{}: {text}", file.display())))?;
    let found = Board::find(Path::new("/"), &find::folders(), board);
    let board = match (found, board) {
        (Err(error), Some(_)) => return Err(wrong(error.to_string())),
        (found, _) => found.ok(),
    };
    let provision = read(&text, file, board.as_ref()).map_err(|problems| wrong(problems.to_string()))?;
    let against = board.map_or("no board".into(), |board| format!("board {}", board.name));
    Ok(format!("{:10}{}\n{:10}{against}\n{}", "file", file.display(), "held to", explain(&provision)))
}

/// Provisions this box.
///
/// # Errors
/// [`INTERNAL`] when its disk or the kernel does not take it.
pub fn provision() -> Result<String, Refusal> {
    let failed = |what: &str, error: String| Refusal { code: INTERNAL, text: format!("{what}: {error}") };
    let root = Path::new("/");
    if let Err(error) = boot::mount_boot() {
        tracing::warn!(%error, "the boot partition cannot be looked at");
    }
    let begun = sys::now();
    let id = loop {
        let id = host::known_id(root, &root.join("data/fieldcast"));
        if id.is_some() || sys::now().since(begun) > CARD {
            break id;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let done = run::run(root, id.as_deref()).map_err(|error| failed("provisioning", error.to_string()))?;
    rustix::system::sethostname(done.report.host_name.as_bytes())
        .map_err(|error| failed("the host name cannot be set", error.to_string()))?;
    if done.accepted {
        follow(done.settings);
    }
    Ok(String::new())
}

/// Copies what the daemon left for a USB stick.
///
/// # Errors
/// [`INTERNAL`] when the daemon's folder cannot be used.
pub fn usb_copy() -> Result<String, Refusal> {
    let failed = |error: std::io::Error| Refusal { code: INTERNAL, text: format!("copying to the USB stick: {error}") };
    usb::copy(Path::new("/")).map_err(failed)?;
    Ok(String::new())
}

/// Has the services that run already take over what was brought. At power-on none does, and nothing comes of it.
fn follow(settings: bool) {
    let mut asks: Vec<&[&str]> = vec![
        &["try-reload-or-restart", "NetworkManager.service"],
        &["try-restart", "avahi-daemon.service", "systemd-timesyncd.service"],
        &["restart", "fieldcast-ssh.service", "fieldcast-wifi-country.service"],
    ];
    if settings {
        // Also one that gave up because of wrong settings.
        asks.push(&["reload-or-restart", "fieldcastd.service"]);
    }
    for ask in asks {
        // Not waited for: the services wait for this one at power-on.
        match Command::new("systemctl").arg("--no-block").args(ask).status() {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::warn!("systemctl {}: {status}", ask.join(" ")),
            Err(error) => tracing::warn!("systemctl {}: {error}", ask.join(" ")),
        }
    }
}
