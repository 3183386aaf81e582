//! What has to be known of an update after the box was restarted, and what follows from it then.

use crate::status::FirmwareLast;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An update that was begun; kept in `update.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// The version that ran.
    pub from: String,
    /// The version of the bundle.
    pub to: String,
    /// The boot name of the slot that ran.
    pub slot: Option<String>,
    /// The kernel's id of the run in which it was installed (/proc/sys/kernel/random/boot_id).
    pub boot: String,
    /// Whether the new system is whole, and the next to be started.
    pub installed: bool,
    /// Inputs whose device was there.
    #[serde(default)]
    pub inputs: BTreeSet<String>,
    /// The Source whose ingest was reachable; none: none was.
    #[serde(default)]
    pub ingest: Option<String>,
}

/// The content of `update.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// The update that is not over.
    #[serde(default)]
    pub record: Option<Record>,
    /// What came of the one before.
    #[serde(default)]
    pub last: Option<FirmwareLast>,
}

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// The image's version, `IMAGE_VERSION` of os-release(5).
    pub version: String,
    /// The boot name of the slot, as far as RAUC knows.
    pub slot: Option<String>,
    /// The kernel's id of this run.
    pub boot: String,
}

/// What the state folder says of an update when the daemon starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// There was none.
    Nothing,
    /// It was broken off while it was installed: the old system runs as if nothing had been.
    BrokenOff(Record),
    /// It is installed, and the box was not restarted yet.
    Restart(Record),
    /// This is the new system, and nobody has said that it is good.
    OnTrial(Record),
    /// This is the old system, and the new one was not good.
    RolledBack {
        /// The new one's version.
        to: String,
        /// Why.
        why: String,
    },
}

/// What nobody has said more of.
const SILENT: &str = "The new system did not start";

impl Resumed {
    /// From `update.json`, the file `trial` (the version on trial) and the file `trial-why` (why it was given up), by which system
    /// runs now. The slot tells that; a version only where RAUC does not know its slot: it can be the same in both.
    pub fn find(record: Option<Record>, trial: Option<&str>, why: Option<String>, own: &Own) -> Self {
        let why = || why.clone().unwrap_or_else(|| SILENT.into());
        match (record, trial) {
            (Some(record), _) => {
                let moved = match (&own.slot, &record.slot) {
                    (Some(own), Some(then)) => own != then,
                    _ => own.version == record.to && record.to != record.from,
                };
                match (record.installed, moved) {
                    // The power went between RAUC's last word and ours.
                    (_, true) => Self::OnTrial(record),
                    (true, false) if own.boot == record.boot => Self::Restart(record),
                    (true, false) => Self::RolledBack { to: record.to, why: why() },
                    (false, false) => Self::BrokenOff(record),
                }
            }
            (None, Some(trial)) if trial == own.version => Self::OnTrial(Record {
                from: String::new(),
                to: trial.into(),
                slot: None,
                boot: String::new(),
                installed: true,
                inputs: BTreeSet::new(),
                ingest: None,
            }),
            (None, Some(trial)) => Self::RolledBack { to: trial.into(), why: why() },
            (None, None) => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(installed: bool) -> Record {
        Record {
            from: "0.1.0".into(),
            to: "0.2.0".into(),
            slot: Some("A".into()),
            boot: "one".into(),
            installed,
            inputs: BTreeSet::from(["hdmi".into()]),
            ingest: Some("Main".into()),
        }
    }

    fn own(version: &str, slot: &str, boot: &str) -> Own {
        Own { version: version.into(), slot: (!slot.is_empty()).then(|| slot.into()), boot: boot.into() }
    }

    fn find(record: Option<Record>, trial: Option<&str>, own: &Own) -> Resumed {
        Resumed::find(record, trial, Some("It hung".into()), own)
    }

    #[test]
    fn what_happened_is_told_by_the_slot_that_runs() {
        let (new, old) = (own("0.2.0", "B", "two"), own("0.1.0", "A", "two"));
        let rolled = |why: &str| Resumed::RolledBack { to: "0.2.0".into(), why: why.into() };
        assert_eq!(find(Some(record(true)), Some("0.2.0"), &new), Resumed::OnTrial(record(true)));
        assert_eq!(find(Some(record(true)), Some("0.2.0"), &old), rolled("It hung"));
        assert_eq!(Resumed::find(Some(record(true)), Some("0.2.0"), None, &old), rolled(SILENT));
        // Before the restart, and cut off before its last word.
        let same = own("0.1.0", "A", "one");
        assert_eq!(find(Some(record(true)), Some("0.2.0"), &same), Resumed::Restart(record(true)));
        assert_eq!(find(Some(record(false)), None, &same), Resumed::BrokenOff(record(false)));
        assert_eq!(find(Some(record(false)), None, &old), Resumed::BrokenOff(record(false)));
        assert_eq!(find(Some(record(false)), None, &new), Resumed::OnTrial(record(false)));
        assert_eq!(find(None, None, &old), Resumed::Nothing);
    }

    #[test]
    fn the_same_version_anew_is_told_apart_by_its_slot() {
        let again = Record { to: "0.1.0".into(), ..record(true) };
        assert_eq!(
            find(Some(again.clone()), Some("0.1.0"), &own("0.1.0", "B", "two")),
            Resumed::OnTrial(again.clone())
        );
        let old = own("0.1.0", "A", "two");
        assert!(matches!(find(Some(again.clone()), Some("0.1.0"), &old), Resumed::RolledBack { .. }));
        // Without a slot nobody can tell: the old system stays what it is.
        assert!(matches!(find(Some(again), Some("0.1.0"), &own("0.1.0", "", "two")), Resumed::RolledBack { .. }));
    }

    #[test]
    fn a_record_that_is_lost_is_no_way_out() {
        assert!(matches!(find(None, Some("0.2.0"), &own("0.2.0", "B", "two")), Resumed::OnTrial(_)));
        assert!(matches!(find(None, Some("0.2.0"), &own("0.1.0", "A", "two")), Resumed::RolledBack { .. }));
        let by_version = find(Some(record(true)), Some("0.2.0"), &own("0.2.0", "", "two"));
        assert_eq!(by_version, Resumed::OnTrial(record(true)));
    }

    #[test]
    fn a_later_versions_record_is_read() {
        let text = r#"{"record":{"from":"1","to":"2","slot":null,"boot":"x","installed":true,"moon":"full"},"more":1}"#;
        let kept: Kept = serde_json::from_str(text).expect("a record");
        assert_eq!(kept.record.map(|record| (record.to, record.ingest)), Some(("2".into(), None)));
    }
}
