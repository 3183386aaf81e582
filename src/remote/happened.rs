//! What happened between two snapshots of the status.

use super::document::What;
use crate::status::{Fault, Intent, Phase, Severity, Status};

/// What happened from `before` to `after`, each with a sentence for people.
pub fn between(before: &Status, after: &Status) -> Vec<(What, String)> {
    let mut happened = Vec::new();
    if before.intent != after.intent && after.intent == Intent::OnAir {
        happened.push((What::Started, "A push was started".into()));
    }
    for fault in missing(&after.faults, &before.faults) {
        happened.push((What::FaultBegun { code: fault.code.into() }, format!("{}. {}", fault.text, fault.advice)));
    }
    for fault in missing(&before.faults, &after.faults) {
        happened.push((What::FaultEnded { code: fault.code.into() }, format!("Over: {}", fault.text)));
    }
    let (from, to) = (before.input.signal, after.input.signal);
    if from != to {
        let text = match after.input.mode {
            Some(mode) => format!("{} is locked to {mode}", after.input.device),
            None => format!("{} has no picture", after.input.device),
        };
        happened.push((What::Signal { from, to }, text));
    }
    let (from, to) = (before.phase, after.phase);
    if from != to {
        let cause = worst(&after.faults).map(|fault| fault.code.to_owned());
        let what = match to {
            Phase::OnAir => What::OnAir,
            Phase::OffAir => What::OffAir,
            Phase::Starting | Phase::Previewing | Phase::Reconnecting | Phase::Stopping => {
                What::Phase { from, to, cause }
            }
        };
        happened.push((what, after.sentence()));
    }
    happened
}

/// Those of `faults` whose code none of `others` has; of one code only the first.
fn missing<'f>(faults: &'f [Fault], others: &[Fault]) -> Vec<&'f Fault> {
    let there = |faults: &[Fault], code| faults.iter().any(|fault| fault.code == code);
    let first = |(index, fault): &(usize, &Fault)| !there(&faults[..*index], fault.code);
    let new = faults.iter().enumerate().filter(first).map(|(_, fault)| fault);
    new.filter(|fault| !there(others, fault.code)).collect()
}

fn worst(faults: &[Fault]) -> Option<&Fault> {
    faults.iter().max_by_key(|fault| fault.severity).filter(|fault| fault.severity > Severity::Notice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{SignalState, tests::on_air};

    fn fault(code: &'static str) -> Fault {
        Fault { code, severity: Severity::Warning, text: "T".into(), advice: "A".into(), since: None }
    }

    #[test]
    fn nothing_happens_while_figures_change() {
        let mut after = on_air();
        after.stats.uptime_ms += 1000;
        assert_eq!(between(&on_air(), &after), []);
    }

    #[test]
    fn what_happens_is_told_with_its_cause() {
        let off = Status { phase: Phase::OffAir, intent: Intent::OffAir, ..on_air() };
        let kinds = |before: &Status, after: &Status| -> Vec<What> {
            between(before, after).into_iter().map(|(what, _)| what).collect()
        };
        assert_eq!(kinds(&off, &on_air()), [What::Started, What::OnAir]);
        assert_eq!(kinds(&on_air(), &off), [What::OffAir]);
        let mut lost = Status { phase: Phase::Reconnecting, faults: vec![fault("a"), fault("a")], ..on_air() };
        lost.input.signal = SignalState::NoCable;
        assert_eq!(
            kinds(&on_air(), &lost),
            [
                What::FaultBegun { code: "a".into() },
                What::Signal { from: SignalState::Locked, to: SignalState::NoCable },
                What::Phase { from: Phase::OnAir, to: Phase::Reconnecting, cause: Some("a".into()) },
            ]
        );
        assert_eq!(kinds(&lost, &Status { faults: vec![], ..lost.clone() }), [What::FaultEnded { code: "a".into() }]);
    }
}
