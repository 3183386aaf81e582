//! The certificate that the box shows beyond loopback. It signs itself: who pairs compares its fingerprint with the one that
//! the box shows.

use crate::{
    state::{StateFolder, not_saved},
    status::{Fault, Severity},
};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use ring::digest;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Key and certificate, in one file: a power cut never leaves one without the other.
const FILE: &str = "identity.json";

/// What is kept of it, in PEM.
#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    certificate: String,
    key: String,
}

/// The box's certificate with its key.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Identity {
    /// For the TLS handshake.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, as browsers show it: pairs of capital hexadecimal digits between colons.
    pub fingerprint: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint)
    }
}

impl TryFrom<Saved> for Identity {
    type Error = String;

    // Errors of parsers are not repeated: they may hold a part of the key.
    fn try_from(saved: Saved) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(saved.certificate.as_bytes());
        let certificate = certificate.map_err(|_| "the certificate is not PEM")?;
        let key = PrivateKeyDer::from_pem_slice(saved.key.as_bytes()).map_err(|_| "the key is not PEM")?;
        let digest = digest::digest(&digest::SHA256, &certificate);
        let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| "TLS is not there")?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(|_| "key and certificate do not fit")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), fingerprint: pairs.join(":") })
    }
}

impl Identity {
    /// Reads the certificate from its folder of the state, or makes one for `names`, which takes a millisecond. A damaged one
    /// is set aside and made anew. One that is there stays, whatever the box is called now: computers know it. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// The fault: it could not be made or kept.
    pub fn load(folder: &StateFolder, names: &[String]) -> Result<(Self, Option<Fault>), Fault> {
        let (kept, damaged) = folder.load::<Self>(FILE);
        if let Some(identity) = kept {
            return Ok((identity, None));
        }
        let damaged = damaged.map(|fault| Fault {
            text: "The box's certificate was damaged and is made anew: computers will not know it".into(),
            advice: "Compare the fingerprint on the System page when a browser warns, then accept the new one".into(),
            ..fault
        });
        let saved = make(names).map_err(|error| unavailable(&error.to_string()))?;
        // One that changed with each start could not be told from another's.
        folder.save(FILE, &saved).map_err(|error| not_saved(&error))?;
        Ok((Self::try_from(saved).map_err(|error| unavailable(&error))?, damaged))
    }
}

/// Why HTTP is on loopback only, though the settings say otherwise.
pub fn unavailable(why: &str) -> Fault {
    Fault {
        code: "https-unavailable",
        severity: Severity::Warning,
        text: format!("The box cannot be reached over HTTPS: {why}"),
        advice: "Check or replace the card, and restart the box; on the box itself HTTP answers".into(),
        since: None,
    }
}

fn make(names: &[String]) -> Result<Saved, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("fieldcast", String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // The box may not know the date, and nobody renews this: what counts is the fingerprint.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 12, 31);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok(Saved { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// The names by which the box is called in its network: its id and its host name, each also as mDNS gives it (RFC 6762).
pub fn names(id: &str, host: &str) -> Vec<String> {
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    let label = |name: &&str| {
        let word = |label: &str| {
            !label.is_empty() && label.len() <= 63 && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        };
        // "localhost" is every machine's name.
        name.len() <= 240 && name.split('.').all(word) && *name != "localhost"
    };
    let mut names = Vec::new();
    for name in [id, host.as_str()].into_iter().filter(label) {
        let whole = name.contains('.');
        for name in [Some(name.to_owned()), (!whole).then(|| format!("{name}.local"))].into_iter().flatten() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    fn state() -> (tempfile::TempDir, StateFolder) {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateFolder::open(&folder.path().join("tls")).expect("state");
        (folder, state)
    }

    #[test]
    fn it_is_made_once_and_private() {
        let (folder, state) = state();
        let (first, fault) = Identity::load(&state, &names("fc-00000001", "box")).expect("made");
        assert_eq!((fault, first.fingerprint.len()), (None, 32 * 3 - 1));
        let (again, _) = Identity::load(&state, &names("fc-00000002", "other")).expect("kept");
        assert_eq!(again.fingerprint, first.fingerprint);
        let file = folder.path().join("tls").join(FILE);
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(format!("{first:?}"), format!("Identity({})", first.fingerprint), "no key");
    }

    #[test]
    fn a_damaged_one_is_made_anew_and_told() {
        let (folder, state) = state();
        let (first, _) = Identity::load(&state, &names("fc-00000001", "")).expect("made");
        let (_other, elsewhere) = self::state();
        Identity::load(&elsewhere, &[]).expect("made");
        let path = |folder: &StateFolder| folder.path().join(FILE);
        let part = |folder: &StateFolder, name: &str| {
            let saved: serde_json::Value =
                serde_json::from_slice(&fs::read(path(folder)).expect("read")).expect("JSON");
            saved[name].clone()
        };
        // Another's key; nonsense; and a certificate that is none.
        let foreign = serde_json::json!({"version": 1, "certificate": part(&state, "certificate"), "key": part(&elsewhere, "key")});
        let none = serde_json::json!({"version": 1, "certificate": part(&state, "key"), "key": part(&state, "key")});
        let mut last = first.fingerprint;
        for damaged in [foreign.to_string(), "{".into(), none.to_string()] {
            fs::write(folder.path().join("tls").join(FILE), damaged).expect("written");
            let (anew, fault) = Identity::load(&state, &names("fc-00000001", "")).expect("made");
            assert_eq!(fault.expect("a fault").code, "state-damaged");
            assert_ne!(anew.fingerprint, last);
            last = anew.fingerprint;
        }
    }

    #[test]
    fn the_box_has_the_names_that_can_be_looked_up() {
        assert_eq!(names("fc-1a2b3c4d", "van\n"), ["fc-1a2b3c4d", "fc-1a2b3c4d.local", "van", "van.local"]);
        let of_image = names("fc-1a2b3c4d", "fieldcast-1a2b3c4d");
        assert_eq!(of_image[2..], ["fieldcast-1a2b3c4d", "fieldcast-1a2b3c4d.local"]);
        assert_eq!(names("fc-1", "Van.example.org"), ["fc-1", "fc-1.local", "van.example.org"]);
        for host in ["", "localhost", "fc-1", "a b", "ümlaut", "a..b", &"x".repeat(64)] {
            assert_eq!(names("fc-1", host), ["fc-1", "fc-1.local"], "{host}");
        }
    }
}
