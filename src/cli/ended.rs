//! `fieldcastd ended`: what the systemd unit runs, as root, after the daemon has ended.

use super::{INTERNAL, REBOOT, Refusal};
use std::process::Command;

/// Restarts the box if the daemon ended with [`REBOOT`], by `$EXIT_CODE` and `$EXIT_STATUS` (systemd.exec(5)). After an end
/// without a failure (`$SERVICE_RESULT`) the starts before it count no more: the unit's limit is for crashes, not for a person
/// who restarts it.
///
/// # Errors
/// [`INTERNAL`] when the service manager does not take it.
pub fn ended() -> Result<String, Refusal> {
    let told = |name| std::env::var(name).unwrap_or_default();
    if wants_reboot(&told("EXIT_CODE"), &told("EXIT_STATUS")) {
        // Not waited for: this is itself a part of the service that is to be stopped.
        ask("the box cannot be restarted", &["--no-block", "reboot"])?;
        return Ok("the box is being restarted\n".into());
    }
    if told("SERVICE_RESULT") == "success" {
        ask("its starts cannot be forgotten", &["reset-failed", "fieldcastd.service"])?;
    }
    Ok(String::new())
}

fn ask(failed: &str, words: &[&str]) -> Result<(), Refusal> {
    let refused = |why: String| Refusal { code: INTERNAL, text: format!("{failed}: systemctl {why}") };
    match Command::new("systemctl").args(words).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(refused(status.to_string())),
        Err(error) => Err(refused(error.to_string())),
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
