//! Which Source carries the programme: the primary, or the backup in its place.

use crate::{settings::BackupReturn, units::Time};
use std::time::Duration;

/// The primary is lost when none of its media was acknowledged for this long.
pub const LOST: Duration = Duration::from_secs(10);

/// What is known of the primary's delivery.
#[derive(Debug, Clone, Copy)]
pub struct Primary<'a> {
    /// The Source's name.
    pub name: &'a str,
    /// When media was last acknowledged, over all connections; before the first time, when the delivery began.
    pub heard: Time,
    /// Whether media was acknowledged in the last 3 s.
    pub on_air: bool,
}

/// Whether the backup is in use. The primary goes on being tried meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backup {
    /// The primary that it stands in for: another one is judged anew.
    of: String,
    heard: Time,
    /// Since when the primary has been on air without a break.
    healthy: Option<Time>,
    carries: bool,
    back: Option<Duration>,
}

impl Backup {
    /// Judges by what is known at `now`; none: no primary is wanted.
    pub fn judge(&mut self, primary: Option<Primary<'_>>, back: BackupReturn, now: Time) {
        let Some(primary) = primary else {
            *self = Self::default();
            return;
        };
        if self.of != primary.name {
            *self = Self { of: primary.name.to_owned(), ..Self::default() };
        }
        self.heard = primary.heard;
        self.healthy = primary.on_air.then(|| self.healthy.unwrap_or(now));
        self.back = match back {
            BackupReturn::After(span) => Some(span.duration()),
            BackupReturn::Never => None,
        };
        if self.wake().is_some_and(|at| at <= now) {
            self.carries = !self.carries;
        }
    }

    /// Whether the backup is wanted on air.
    pub fn carries(&self) -> bool {
        self.carries
    }

    /// When the judgement changes if the primary stays as it is.
    pub fn wake(&self) -> Option<Time> {
        match self.carries {
            false => Some(self.heard + LOST).filter(|_| !self.of.is_empty()),
            true => self.healthy.zip(self.back).map(|(since, back)| since + back),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;
    use proptest::prelude::*;

    const BACK: BackupReturn = BackupReturn::After(Span::from_millis(30_000));

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn primary(heard: u64, on_air: bool) -> Option<Primary<'static>> {
        Some(Primary { name: "Main", heard: at(heard), on_air })
    }

    #[test]
    fn comes_after_ten_seconds_and_goes_after_thirty_without_a_break() {
        let mut backup = Backup::default();
        backup.judge(primary(100, false), BACK, at(100));
        assert_eq!(backup.wake(), Some(at(110)));
        backup.judge(primary(100, false), BACK, at(109));
        assert!(!backup.carries());
        backup.judge(primary(100, false), BACK, at(110));
        assert!(backup.carries() && backup.wake().is_none());
        // Back for 20 s, lost for a moment, back again.
        for second in 120..140 {
            backup.judge(primary(second, true), BACK, at(second));
        }
        backup.judge(primary(139, false), BACK, at(143));
        for second in 150..180 {
            backup.judge(primary(second, true), BACK, at(second));
            assert!(backup.carries());
        }
        assert_eq!(backup.wake(), Some(at(180)));
        backup.judge(primary(180, true), BACK, at(180));
        assert!(!backup.carries());
        assert_eq!(backup.wake(), Some(at(190)));
    }

    #[test]
    fn is_kept_where_the_operator_says_so_and_judged_anew_for_another_primary() {
        let mut backup = Backup::default();
        backup.judge(primary(0, false), BackupReturn::Never, at(10));
        for second in 20..200 {
            backup.judge(primary(second, true), BackupReturn::Never, at(second));
            assert!(backup.carries() && backup.wake().is_none());
        }
        // The operator gives it back.
        backup.judge(primary(200, true), BACK, at(200));
        assert!(!backup.carries());
        backup.judge(primary(200, false), BACK, at(215));
        assert!(backup.carries());
        backup.judge(Some(Primary { name: "Other", heard: at(215), on_air: false }), BACK, at(216));
        assert!(!backup.carries());
        backup.judge(None, BACK, at(217));
        assert_eq!(backup, Backup::default());
    }

    proptest! {
        /// However the primary comes and goes, the backup is used only after 10 s of loss and left only after the time set.
        #[test]
        fn neither_too_soon_nor_too_late(states in prop::collection::vec((any::<bool>(), 1u64..20), 1..60)) {
            let (mut backup, mut now, mut heard) = (Backup::default(), 0, 0);
            let mut healthy_for = 0;
            for (on_air, seconds) in states {
                for _ in 0..seconds {
                    now += 1;
                    if on_air { heard = now; healthy_for += 1 } else { healthy_for = 0 }
                    let before = backup.carries();
                    backup.judge(primary(heard, on_air), BACK, at(now));
                    match (before, backup.carries()) {
                        (false, false) => prop_assert!(now - heard < 10),
                        (false, true) => prop_assert_eq!(now - heard, 10),
                        (true, true) => prop_assert!(healthy_for <= 30),
                        (true, false) => prop_assert_eq!(healthy_for, 31),
                    }
                }
            }
        }
    }
}
