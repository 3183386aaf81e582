//! `fieldcast pair`: a token for the PIN that a box shows.

use super::{
    Refusal,
    address::{Address, Fingerprint},
    direct::Direct,
    paired::{Paired, Store},
    round::{NONE, WRONG},
    say,
};
use std::path::Path;

/// What the box calls this computer where it has no name.
const NAMELESS: &str = "fieldcast";

/// Pairs this computer with the box at `url`, and keeps the token beside the configuration file `config`.
///
/// # Errors
/// [`WRONG`] for what was typed, [`NONE`] for what the box says.
pub async fn pair(url: &str, fingerprint: Option<&str>, name: Option<&str>, config: &Path) -> Result<u8, Refusal> {
    let wrong = |text| Refusal { code: WRONG, text };
    let failed = |text| Refusal { code: NONE, text };
    let address: Address = url.parse().map_err(wrong)?;
    if address.clear {
        return Err(wrong(format!("on loopback no token is needed: fieldcast status --box {address}")));
    }
    let expected = fingerprint.map(str::parse::<Fingerprint>).transpose().map_err(wrong)?;
    // Before the PIN is asked for, which holds for two minutes.
    let mut store = Store::load(config).map_err(wrong)?;
    let shown = Direct::certificate(&address).await.map_err(failed)?;
    match expected {
        Some(expected) if expected != shown => {
            let text = format!(
                "{address} shows another certificate than the one that was given, so it may not be the box:\n  {shown}"
            );
            return Err(failed(text));
        }
        Some(_) => {}
        None => {
            say::note(&format!("The certificate at {address} has this fingerprint (SHA-256):\n  {shown}"));
            let same = say::confirm("Does the box show the same one?").map_err(|_| {
                wrong(
                    "nobody can be asked here whether the box shows this fingerprint: give it with --fingerprint"
                        .into(),
                )
            })?;
            if !same {
                return Err(wrong("not paired".into()));
            }
        }
    }
    let pin = say::line("PIN that the box shows: ").map_err(wrong)?;
    let own = hostname();
    let token = Direct::claim(&address, shown, &pin, name.unwrap_or(&own)).await.map_err(failed)?;
    let direct = Direct { address: address.clone(), paired: Some((shown, token.clone())) };
    let status = direct.status().await.map_err(failed)?;
    let said = |key: &str| super::seen::clean(status[key].as_str().unwrap_or_default());
    let (id, name) = (said("id"), said("name"));
    say::out(&format!("Paired with {name} ({id}). To use it: fieldcast status --box {address}\n"));
    let kept = Paired { url: address, fingerprint: shown, token, id, name };
    store.add(kept, config).map_err(failed)?;
    Ok(super::round::ALL)
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().take(60).collect();
    if name.is_empty() { NAMELESS.into() } else { name }
}
