//! The table, its JSON and the pictures.

use crate::{
    link::Trace,
    run::{Outcome, Rule},
};
use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

/// One trace with what came of each rule.
pub struct Row {
    pub trace: Trace,
    pub outcomes: BTreeMap<Rule, Outcome>,
}

/// The table in Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| trace | rule | used | p50 ms | p95 ms | max ms | later than 1 s | dropped | switches a minute |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for Row { trace, outcomes } in rows {
        for (rule, outcome) in outcomes {
            let Outcome { utilisation, p50, p95, max, dropped, late, switches_per_minute, .. } = outcome;
            let _ = writeln!(
                text,
                "| {} | {} | {utilisation:.2} | {p50} | {p95} | {max} | {:.1} % | {dropped} | {switches_per_minute:.0} |",
                trace.name,
                rule.name(),
                late * 100.0
            );
        }
    }
    text
}

/// How near ours comes to the oracle, in one line for each trace.
pub fn distances(rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { trace, outcomes } in rows {
        let (ours, oracle) = (&outcomes[&Rule::Ours], &outcomes[&Rule::Oracle]);
        let (used, delay) = (ours.utilisation / oracle.utilisation, ours.p95 as f64 / oracle.p95 as f64);
        let _ = writeln!(text, "{}: {used:.2} of the oracle's utilisation at {delay:.2} times its p95", trace.name);
    }
    text
}

/// Writes `linklab.json` and a picture of each recorded or stepped trace into `folder`.
pub fn write(rows: &[Row], folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut list = Vec::new();
    for Row { trace, outcomes } in rows {
        for (rule, outcome) in outcomes {
            list.push(serde_json::json!({
                "trace": trace.name,
                "rule": rule.name(),
                "utilisation": outcome.utilisation,
                "p50-ms": outcome.p50,
                "p95-ms": outcome.p95,
                "max-ms": outcome.max,
                "late": outcome.late,
                "dropped": outcome.dropped,
                "switches-per-minute": outcome.switches_per_minute,
            }));
        }
    }
    fs::write(folder.join("linklab.json"), format!("{:#}\n", serde_json::Value::Array(list)))?;
    for row in rows {
        let name: String =
            row.trace.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        fs::write(folder.join(format!("linklab-{name}.svg")), picture(row))?;
    }
    Ok(())
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 50.0;

/// Bitrate over capacity above, the worst delay of each second below, for the trace's first round.
fn picture(Row { trace, outcomes }: &Row) -> String {
    let seconds = (trace.slots.len() / 1000).min(140);
    let x = |second: f64| LEFT + second * (WIDTH - LEFT - 10.0) / seconds as f64;
    let rate_y = |kbit: f64| 250.0 - kbit.min(8000.0) * 200.0 / 8000.0;
    let delay_y = |ms: f64| 420.0 - ms.min(3000.0) * 140.0 / 3000.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 450\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"450\" fill=\"#fff\"/>\n"
    );
    let mut area = format!("M{:.1} 250", x(0.0));
    for half in 0..seconds as u64 * 2 {
        let kbit = trace.mean(half * 500, 500) / 1e3;
        let _ =
            write!(area, "L{:.1} {1:.1}L{2:.1} {1:.1}", x(half as f64 / 2.0), rate_y(kbit), x(half as f64 / 2.0 + 0.5));
    }
    let _ = writeln!(svg, "<path d=\"{area}L{:.1} 250Z\" fill=\"#e4e7eb\"/>", x(seconds as f64));
    for (value, label) in [(0.0, "0"), (2000.0, "2"), (4000.0, "4"), (6000.0, "6"), (8000.0, "8 Mbit/s")] {
        let _ = writeln!(svg, "<text x=\"4\" y=\"{:.0}\">{label}</text>", rate_y(value) + 4.0);
    }
    for (value, label) in [(0.0, "0"), (1000.0, "1"), (2000.0, "2"), (3000.0, "3 s")] {
        let _ = writeln!(svg, "<text x=\"4\" y=\"{:.0}\">{label}</text>", delay_y(value) + 4.0);
    }
    for second in (0..=seconds).step_by(20) {
        let _ = writeln!(svg, "<text x=\"{:.0}\" y=\"442\">{second} s</text>", x(second as f64));
    }
    let colours =
        [(Rule::Obs, "#c2410c"), (Rule::Belacoder, "#7c3aed"), (Rule::Oracle, "#9aa5b1"), (Rule::Ours, "#0f766e")];
    for (index, (rule, colour)) in colours.into_iter().enumerate() {
        let Some(outcome) = outcomes.get(&rule) else { continue };
        let rates = outcome.asked.iter().take(seconds * 10).enumerate();
        let rates: String = rates
            .map(|(tenth, kbit)| format!("{:.1},{:.1} ", x(tenth as f64 / 10.0), rate_y(f64::from(*kbit))))
            .collect();
        let delays = outcome.delays.iter().take(seconds).enumerate();
        let delays: String = delays
            .map(|(second, ms)| format!("{:.1},{:.1} ", x(second as f64 + 0.5), delay_y(f64::from(*ms))))
            .collect();
        let width = if rule == Rule::Ours { 1.8 } else { 1.0 };
        for line in [rates, delays] {
            let _ = writeln!(
                svg,
                "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
            );
        }
        let _ = writeln!(svg, "<text x=\"{}\" y=\"34\" fill=\"{colour}\">{}</text>", 60 + index * 110, rule.name());
    }
    let _ = writeln!(
        svg,
        "<text x=\"50\" y=\"16\">{}: bitrate asked for over capacity (grey), and the worst delay of each second</text>\n</svg>",
        trace.name
    );
    svg
}
