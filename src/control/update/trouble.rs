//! Why there is no update, in words for people.

use super::version::compare;
use crate::command::{Answer, Reason};
use std::cmp::Ordering;

/// Why an update was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It is older than what runs.
    Older {
        /// What runs.
        here: String,
        /// What was offered.
        offered: String,
    },
    /// It is what runs.
    Installed(String),
    /// It is for other hardware.
    WrongBoard {
        /// What this box takes.
        here: String,
        /// What it is for.
        offered: String,
    },
    /// Nobody whom this box believes has signed it.
    WrongSignature,
    /// The certificate of who signed it has expired.
    Expired,
    /// The same is not valid yet, or the box's clock is behind.
    NotYetValid,
    /// The disk is too full, or the slot too small; more of it for people.
    NoSpace(String),
    /// It is not whole, or no bundle at all.
    Damaged,
    /// There is nothing to install; why, for people.
    NoBundle(String),
    /// It could not be got; why, for people.
    Lost(String),
    /// RAUC does not do it, in its own words.
    Rauc(String),
    /// The disk does not take what has to be known after the restart; why.
    NotRecorded(String),
}

impl Trouble {
    /// Whether `offered` may be installed on a box that runs `here`, of boards that take `compatible`.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(here: &str, compatible: &str, offered: &Bundle, downgrade: bool) -> Result<(), Self> {
        if offered.compatible != compatible {
            return Err(Self::WrongBoard { here: compatible.into(), offered: offered.compatible.clone() });
        }
        let order = match compare(&offered.version, here) {
            Some(order) => order,
            // A version of another kind: nobody knows which is older.
            None if offered.version == here => Ordering::Equal,
            None => Ordering::Less,
        };
        match order {
            _ if downgrade => Ok(()),
            Ordering::Greater => Ok(()),
            Ordering::Equal => Err(Self::Installed(here.into())),
            Ordering::Less => Err(Self::Older { here: here.into(), offered: offered.version.clone() }),
        }
    }

    /// By what RAUC says. It has no codes, so its texts are read: RAUC 1.8 and 1.15, src/bundle.c, src/signature.c, src/install.c
    /// and src/update_handler.c; those of certificates are OpenSSL's (crypto/x509/x509_txt.c), after RAUC's own words.
    pub fn of_rauc(text: &str) -> Self {
        let has = |part: &str| text.contains(part);
        // First those that are a part of what others say.
        if has("certificate has expired") {
            Self::Expired
        } else if has("certificate is not yet valid") {
            Self::NotYetValid
        } else if has("Compatible mismatch") {
            let quoted: Vec<&str> = text.split('\'').collect();
            let at = |index: usize| quoted.get(index).copied().unwrap_or("another board").to_owned();
            Self::WrongBoard { here: at(1), offered: at(3) }
        } else if has("No space left on device") || has("does not fit to slot size") || has("is larger than size-limit")
        {
            Self::NoSpace("The image is larger than the box's slot for it".into())
        } else if has("is too small for image") {
            Self::NoSpace("The box's slot is too small for the image".into())
        } else if has("Verify error:") || has("Failed to verify X509 cert") {
            Self::WrongSignature
        } else if has("signature verification failed")
            || has("Invalid bundle format")
            || has("bundle payload is corrupted")
            || has("Input/output error")
            || has("Failed to load manifest")
            || has("failed to parse signature")
            || has("Signature data is no valid CMS")
        {
            Self::Damaged
        } else {
            Self::Rauc(text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect())
        }
    }

    /// For programs.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Older { .. } => Reason::OlderVersion,
            Self::Installed(_) => Reason::AlreadyInstalled,
            Self::WrongBoard { .. } => Reason::WrongBoard,
            Self::WrongSignature => Reason::WrongSignature,
            Self::Expired | Self::NotYetValid => Reason::ExpiredCertificate,
            Self::NoSpace(_) => Reason::NoSpace,
            Self::Damaged => Reason::DamagedBundle,
            Self::NoBundle(_) => Reason::WrongState,
            Self::Lost(_) => Reason::NotReached,
            Self::Rauc(_) | Self::NotRecorded(_) => Reason::Internal,
        }
    }

    /// What is wrong and what to do, in one or two sentences.
    pub fn text(&self) -> String {
        match self {
            Self::Older { here, offered } => {
                format!("{offered} is older than what runs ({here}); send it with downgrade = true if that is meant")
            }
            Self::Installed(version) => {
                format!("{version} is already installed; send it with downgrade = true to install it anew")
            }
            Self::WrongBoard { here, offered } => {
                format!("The bundle is for another board ({offered}); this box takes bundles for {here}")
            }
            Self::WrongSignature => "The bundle is not signed by whom this box believes; take one of its maker".into(),
            Self::Expired => {
                "The certificate that signed the bundle has expired; take a newer bundle, and check the box's clock"
                    .into()
            }
            Self::NotYetValid => {
                "The certificate that signed the bundle is not valid yet: the box's clock is behind; connect it to a network \
                 that has the time, or take an older bundle"
                    .into()
            }
            Self::NoSpace(text) => text.clone(),
            Self::Damaged => "The bundle is damaged, or is none: get it again".into(),
            Self::NoBundle(text) | Self::Lost(text) => text.clone(),
            Self::Rauc(text) => format!("The bundle could not be installed: {text}"),
            Self::NotRecorded(why) => {
                format!("The disk does not take what has to be known after the restart, so the old system stays: {why}")
            }
        }
    }

    /// As the answer to the command.
    pub fn answer(&self) -> Answer {
        Answer::failed(self.reason(), self.text())
    }
}

/// What a bundle says of itself, once RAUC believes its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What boards it is for.
    pub compatible: String,
    /// Its version.
    pub version: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_rauc_says_is_understood() {
        // As RAUC 1.8 of Debian 12 said them of bundles that were made so; those marked 1.15 are from its source.
        for (text, reason) in [
            (
                "signature verification failed: Verify error: unable to get local issuer certificate",
                Reason::WrongSignature,
            ),
            ("signature verification failed: Verify error: self-signed certificate", Reason::WrongSignature),
            ("Failed to verify X509 cert: unsuitable certificate purpose", Reason::WrongSignature),
            ("signature verification failed: Verify error: certificate has expired", Reason::ExpiredCertificate),
            ("signature verification failed: Verify error: certificate is not yet valid", Reason::ExpiredCertificate),
            ("Invalid bundle format: Signature size (15425323253679369203) exceeds bundle size", Reason::DamagedBundle),
            ("signature verification failed: error:1700009E:CMS routines::verification failure", Reason::DamagedBundle),
            ("signature verification failed: error:0200008A:rsa routines::invalid padding", Reason::DamagedBundle),
            (
                "Invalid bundle format: Failed to seek to end of bundle: Error seeking in file: Invalid argument",
                Reason::DamagedBundle,
            ),
            ("Invalid bundle format: Signature size is 0", Reason::DamagedBundle),
            (
                "Installation error: Failed updating slot rootfs.1: Failed splicing data: Error writing to file descriptor: No space left on device",
                Reason::NoSpace,
            ),
            // 1.15, src/update_handler.c, check_image_size
            (
                "Installation error: Failed updating slot rootfs.1: Slot (8388608 bytes) is too small for image (9000000 bytes).",
                Reason::NoSpace,
            ),
            (
                "Installation error: Failed updating slot rootfs.1: Image size (9000000 bytes) is larger than size-limit (8388608 bytes).",
                Reason::NoSpace,
            ),
            ("Failed mounting bundle: Failed to open /dev/mapper/control: No such file or directory", Reason::Internal),
            ("", Reason::Internal),
        ] {
            assert_eq!(Trouble::of_rauc(text).reason(), reason, "{text}");
        }
        let mismatch = "Installation error: Compatible mismatch: Expected 'fieldcast-test' but bundle manifest has 'fieldcast-other'";
        let wrong = Trouble::WrongBoard { here: "fieldcast-test".into(), offered: "fieldcast-other".into() };
        assert_eq!(Trouble::of_rauc(mismatch), wrong);
    }

    #[test]
    fn only_a_newer_version_for_this_board_is_taken() {
        let bundle = |version: &str| Bundle { compatible: "fieldcast-a".into(), version: version.into() };
        let judge = |here, offered, downgrade| {
            Trouble::judge(here, "fieldcast-a", &bundle(offered), downgrade).map_err(|trouble| trouble.reason())
        };
        assert_eq!(judge("0.1.0", "0.2.0-rc1", false), Ok(()));
        assert_eq!(judge("0.2.0", "0.2.0-rc1", false), Err(Reason::OlderVersion));
        assert_eq!(judge("0.2.0", "0.2.0", false), Err(Reason::AlreadyInstalled));
        assert_eq!(judge("0.2.0", "nightly", false), Err(Reason::OlderVersion), "nobody knows which is older");
        assert_eq!(judge("nightly", "nightly", false), Err(Reason::AlreadyInstalled));
        for (here, offered) in [("0.2.0", "0.1.0"), ("0.2.0", "0.2.0"), ("0.2.0", "nightly")] {
            assert_eq!(judge(here, offered, true), Ok(()));
        }
        let other = Trouble::judge("0.1.0", "fieldcast-b", &bundle("0.2.0"), true);
        assert_eq!(other.map_err(|trouble| trouble.reason()), Err(Reason::WrongBoard), "whatever is asked for");
    }

    proptest! {
        #[test]
        fn whatever_rauc_says_is_one_line_for_people(text in ".{0,300}", quoted in "(Compatible mismatch)?[' a-z]{0,9}") {
            for text in [text, quoted] {
                let said = Trouble::of_rauc(&text).text();
                prop_assert!(!said.is_empty() && !said.chars().any(char::is_control), "{said:?}");
            }
        }
    }
}
