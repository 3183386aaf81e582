//! The traces: made ones, mobile-like ones from seeds, and recorded ones from a folder.

use crate::link::{Trace, fraction};
use std::{env, fs, io, io::Write as _, path::PathBuf};

/// The made traces.
pub fn made() -> Vec<Trace> {
    let between = |time: f64, from: f64, to: f64| (from..to).contains(&time);
    let steady = |outage: f64| move |time: f64| if between(time, 30.0, 30.0 + outage) { 0.0 } else { 4e6 };
    vec![
        Trace::of_rates("constant", 60.0, |_| 4e6),
        Trace::of_rates("steps 6-2-6", 120.0, |time| if between(time, 40.0, 80.0) { 2e6 } else { 6e6 }),
        Trace::of_rates("steps 6-0.5-6", 120.0, |time| if between(time, 40.0, 80.0) { 5e5 } else { 6e6 }),
        Trace::of_rates("saw", 40.0, |time| 1e6 + 6e6 * (1.0 - (time / 20.0 - 1.0).abs())),
        Trace::of_rates("outage 3 s", 90.0, steady(3.0)),
        Trace::of_rates("outage 30 s", 140.0, steady(30.0)),
        Trace { burst: 64 * 1024, ..Trace::of_rates("shaper 2, 64 KiB", 60.0, |_| 2e6) },
        Trace {
            burst: 8 * 1024,
            ..Trace::of_rates("shaper 6-2-6, 8 KiB", 45.0, |time| if between(time, 15.0, 30.0) { 2e6 } else { 6e6 })
        },
        Trace { loss: 0.02, ..Trace::of_rates("loss 2 %", 60.0, |_| 4e6) },
        Trace {
            delay: vec![(0, 20), (20_000, 60), (40_000, 20)],
            ..Trace::of_rates("round trip 40-120-40 ms", 60.0, |_| 1e8)
        },
        Trace { jitter: 20, ..Trace::of_rates("jitter 20 ms", 60.0, |_| 1e8) },
        Trace { delay: vec![(0, 1)], ..Trace::of_rates("round trip 2 ms", 60.0, |_| 4e6) },
        Trace { buffer: Some(15_000), ..Trace::of_rates("buffer 30 ms", 60.0, |_| 4e6) },
        Trace { buffer: Some(1_000_000), ..Trace::of_rates("buffer 2 s", 60.0, |_| 4e6) },
        Trace {
            buffer: Some(1_000_000),
            ..Trace::of_rates(
                "steps 6-2-6, buffer 1 MB",
                90.0,
                |time| if between(time, 30.0, 60.0) { 2e6 } else { 6e6 },
            )
        },
    ]
}

/// A network as a moving receiver sees it: the rate walks, states of the radio change it at once, and it goes away at
/// times; packets pass in the bursts of a scheduler. Each seed has its own speed, depth and liveliness.
pub fn mobile(seed: u64) -> Trace {
    let mut random = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
    let mut next = move || fraction(&mut random);
    let mut bell = {
        let mut random = seed.wrapping_mul(0x9e6c_63d0_876a_68ee).wrapping_add(3);
        move || (0..12).map(|_| fraction(&mut random)).sum::<f64>() - 6.0
    };
    let middle: f64 = 1.5e6 * 6f64.powf(next());
    let liveliness = 0.06 + 0.20 * next();
    let spread = 0.5 + 0.5 * next();
    let (outages, jumps) = (if next() < 0.5 { 0.0 } else { 0.04 * next() }, 0.25 * next());
    let grant = 1 + (next() * 7.0) as u64;
    let (mut walk, mut state, mut gone_until) = (0.0f64, 0.0f64, 0u64);
    let (mut slots, mut due, mut wait) = (Vec::new(), 0.0, 0u64);
    for ms in 0..140_000u64 {
        if ms % 100 == 0 {
            let pull = 0.5 * (liveliness / spread).powi(2);
            walk += liveliness * bell() - pull * walk;
            if next() < jumps / 10.0 {
                state = (next() - 0.6) * 2.0 * spread;
            }
            if next() < outages / 10.0 {
                gone_until = ms + 300 + (5000.0 * next().powi(2)) as u64;
            }
        }
        let rate = if ms < gone_until { 0.0 } else { (middle * (walk + state).exp()).min(4e7) };
        due += rate / 8e3 / 1500.0;
        if wait == 0 {
            let packets = due.floor();
            due -= packets;
            slots.push(packets as u32 * 1500);
            wait = (next() * 2.0 * grant as f64) as u64;
        } else {
            wait -= 1;
            slots.push(0);
        }
    }
    Trace::mobile(format!("mobile {seed}"), slots)
}

/// Traces of the folder `LINK_TRACES`, else of where they are beside this checkout; none, said aloud, when neither is there.
pub fn recorded() -> Vec<Trace> {
    let chosen = env::var_os("LINK_TRACES").map(PathBuf::from);
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/link-traces"));
    let folder = chosen.clone().unwrap_or_else(beside);
    let mut files: Vec<PathBuf> = match fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect(),
        Err(error) if chosen.is_some() => panic!("LINK_TRACES={}: {error}", folder.display()),
        Err(_) => Vec::new(),
    };
    files.sort();
    if files.is_empty() {
        assert!(chosen.is_none(), "LINK_TRACES={}: no trace in it", folder.display());
        let _ = writeln!(io::stderr(), "\n*** SKIPPED recorded traces: {} is not there", folder.display());
    }
    files.iter().map(|path| Trace::read(path).unwrap_or_else(|error| panic!("{error}"))).collect()
}
