//! `fieldcastd ended`: what the systemd unit runs, as root, after the daemon has ended.

use super::{INTERNAL, REBOOT, Refusal};
use std::process::Command;

/// Restarts the box if the daemon ended with [`REBOOT`], by `$EXIT_CODE` and `$EXIT_STATUS` (systemd.exec(5)).
///
/// # Errors
/// [`INTERNAL`] when the service manager does not take it.
pub fn ended() -> Result<String, Refusal> {
    let (code, status) = (std::env::var("EXIT_CODE"), std::env::var("EXIT_STATUS"));
    if !wants_reboot(code.as_deref().unwrap_or_default(), status.as_deref().unwrap_or_default()) {
        return Ok(String::new());
    }
    // Not waited for: this is itself a part of the service that is to be stopped.
    match Command::new("systemctl").args(["--no-block", "reboot"]).status() {
        Ok(status) if status.success() => Ok("the box is being restarted\n".into()),
        Ok(status) => Err(Refusal { code: INTERNAL, text: format!("the box cannot be restarted: systemctl {status}") }),
        Err(error) => Err(Refusal { code: INTERNAL, text: format!("the box cannot be restarted: systemctl: {error}") }),
    }
}

fn wants_reboot(code: &str, status: &str) -> bool {
    code == "exited" && status.parse() == Ok(REBOOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_end_restarts_the_box() {
        assert!(wants_reboot("exited", "80"));
        for (code, status) in [("exited", "0"), ("exited", "70"), ("killed", "80"), ("killed", "KILL"), ("", "")] {
            assert!(!wants_reboot(code, status), "{code} {status}");
        }
        let unit = include_str!("../../systemd/fieldcastd.service");
        assert!(
            unit.contains(&format!("SuccessExitStatus={REBOOT}\n")) && unit.contains("/usr/bin/fieldcastd ended\n")
        );
    }
}
