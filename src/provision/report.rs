//! What came of provisioning, as the daemon reads it: `/run/fieldcast/provision.json`, which holds no secret.

use crate::{
    settings::Problem,
    status::{Fault, Severity},
};
use serde::{Deserialize, Serialize};
use std::{fs::File, io::Read as _, path::Path};

/// The report's file.
pub const PATH: &str = "/run/fieldcast/provision.json";
/// Problems that are told; a person mends one after the other.
const MOST: usize = 8;

/// What came of the last run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The box's name in its network.
    pub host_name: String,
    /// What is wrong with files that were refused; nothing: none was.
    pub refused: Vec<Refused>,
    /// The data partition cannot be used: what is changed on the box is gone with the power.
    #[serde(default)]
    pub nothing_lasts: bool,
}

/// One thing wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refused {
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: Option<usize>,
    /// The dotted key.
    pub field: Option<String>,
    /// What is wrong.
    pub text: String,
}

impl From<&Problem> for Refused {
    fn from(problem: &Problem) -> Self {
        let Problem { file, line, key, text } = problem;
        Self { file: file.display().to_string(), line: *line, field: key.clone(), text: text.clone() }
    }
}

impl Report {
    /// Of a box with this name, the files that it refused, and whether nothing lasts on it.
    pub fn new(host_name: String, problems: &[Problem], nothing_lasts: bool) -> Self {
        let refused = problems.iter().take(MOST).map(Refused::from).collect();
        Self { host_name, refused, nothing_lasts }
    }

    /// Reads the report at `path`; none: it is not there, or is no report.
    pub fn load(path: &Path) -> Option<Self> {
        let mut text = String::new();
        File::open(path).ok()?.take(64 * 1024).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Says what is not as it should be.
    pub fn faults(&self) -> Vec<Fault> {
        let lost = self.nothing_lasts.then(|| Fault {
            code: "nothing-lasts",
            severity: Severity::Warning,
            text: "The data partition cannot be used: what this box kept is out of reach, and changes are gone with the power"
                .into(),
            advice: "Restart the box. If this stays, its card or disk is worn out: replace it, and bring a fieldcast.toml"
                .into(),
            since: None,
        });
        lost.into_iter().chain(self.refusal()).collect()
    }

    fn refusal(&self) -> Option<Fault> {
        let first = self.refused.first()?;
        let line = first.line.map_or(String::new(), |line| format!("line {line}: "));
        let field = first.field.as_ref().map_or(String::new(), |field| format!("{field}: "));
        let others = match self.refused.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        Some(Fault {
            code: "provisioning-refused",
            severity: Severity::Warning,
            text: format!("{} is refused, all stays as it was: {line}{field}{}{others}", first.file, first.text),
            advice: "Mend the file on a computer, and plug the stick in again or restart the box".into(),
            since: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_names_file_line_and_field() {
        let problem = |line, key: Option<&str>| Problem {
            file: "/run/media/fieldcast/sda1/fieldcast.toml".into(),
            line,
            key: key.map(Into::into),
            text: "expected X".into(),
        };
        let report = Report::new(
            "fieldcast-1".into(),
            &[problem(Some(3), Some("wifi[0].password")), problem(None, None)],
            false,
        );
        let faults = report.faults();
        assert_eq!(
            faults[0].text,
            "/run/media/fieldcast/sda1/fieldcast.toml is refused, all stays as it was: line 3: wifi[0].password: \
             expected X (and 1 more)"
        );
        assert_eq!(Report::default().faults(), []);
        let lost = Report { nothing_lasts: true, ..report.clone() };
        let codes: Vec<_> = lost.faults().iter().map(|fault| fault.code).collect();
        assert_eq!(codes, ["nothing-lasts", "provisioning-refused"]);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("provision.json");
        assert_eq!(Report::load(&path), None);
        std::fs::write(&path, serde_json::to_vec(&report).expect("JSON")).expect("written");
        assert_eq!(Report::load(&path), Some(report));
    }
}
