//! Which board this machine is: its device-tree `compatible`, its DMI names or its architecture against what each file
//! of the board folders says it matches.

use super::{
    Board, parse,
    problem::{LIKE, Problem},
};
use crate::settings::nearest;
use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

/// No board file is larger than this.
const LARGEST: u64 = 256 * 1024;

/// Why there is no board.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The file cannot be read.
    #[error("{file}: {problem}", file = file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why, for people.
        problem: String,
    },
    /// The file is not a board.
    #[error("{}{}: {}{}", file.display(), Line(problem.line), Field(&problem.field), problem.text)]
    Invalid {
        /// Which.
        file: PathBuf,
        /// Where in it, and why.
        problem: Problem,
    },
    /// None of the folders has a board of this name.
    #[error("there is no board {wanted:?}{}; known are {}", Meant(nearest), List(known))]
    Unknown {
        /// The name asked for.
        wanted: String,
        /// The known name that it may have been meant to be.
        nearest: Option<String>,
        /// Names of all boards.
        known: Vec<String>,
    },
    /// None of the folders has any board.
    #[error("no board files in {}: install them, or name one with --board FILE", List(folders))]
    NoBoards {
        /// The folders.
        folders: Vec<String>,
    },
    /// No board describes this machine.
    #[error(
        "no board describes this machine ({machine}); known are {}. Name one with --board, or add a file for it",
        List(known)
    )]
    NoMatch {
        /// What the machine says of itself.
        machine: Machine,
        /// Names of all boards.
        known: Vec<String>,
    },
    /// Two boards describe this machine equally well.
    #[error("both board {first:?} and board {second:?} describe this machine: name one with --board")]
    Ambiguous {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
}

impl BoardError {
    /// Whether the hardware is the problem (exit code 3) rather than a file or an argument (exit code 2).
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::NoMatch { .. } | Self::Ambiguous { .. })
    }
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

struct Field<'a>(&'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

struct Meant<'a>(&'a Option<String>);

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, ", did you mean {name:?}?"))
    }
}

struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if self.0.is_empty() { "none".into() } else { self.0.join(", ") })
    }
}

/// What a machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Device-tree `compatible`, most specific first; empty without a device tree.
    pub compatible: Vec<String>,
    /// DMI `sys_vendor`.
    pub vendor: Option<String>,
    /// DMI `product_name`.
    pub product: Option<String>,
    /// As Rust calls it: `"x86_64"`, `"aarch64"`.
    pub architecture: String,
}

impl Machine {
    /// Reads it from the /proc and /sys under `root`; what is not there is left out.
    pub fn read(root: &Path) -> Self {
        let text =
            |path: &str| std::fs::read(root.join(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let name = |path| text(path).ok().map(|text| text.trim().to_string()).filter(|name| !name.is_empty());
        let compatible = text("proc/device-tree/compatible").unwrap_or_default();
        Self {
            compatible: compatible.split('\0').filter(|name| !name.is_empty()).map(String::from).collect(),
            vendor: name("sys/class/dmi/id/sys_vendor"),
            product: name("sys/class/dmi/id/product_name"),
            architecture: std::env::consts::ARCH.into(),
        }
    }

    /// How well `board` describes this machine, lower is better; none: not at all.
    fn rank(&self, board: &Board) -> Option<usize> {
        let matches = &board.matches;
        let (dmi, architecture) = (self.compatible.len(), self.compatible.len() + 2);
        // The machine lists its names from the most specific to the most general.
        let named = self.compatible.iter().position(|name| matches.compatible.contains(name));
        let by_dmi = matches.dmi.iter().filter(|dmi| Some(&dmi.vendor) == self.vendor.as_ref());
        let by_dmi = by_dmi.filter_map(|entry| match &entry.product {
            Some(product) if Some(product) == self.product.as_ref() => Some(dmi),
            Some(_) => None,
            None => Some(dmi + 1),
        });
        // A board with a device tree has hardware that a description of any machine knows nothing of.
        let any = self.compatible.is_empty() && matches.architecture.as_ref() == Some(&self.architecture);
        named.or(by_dmi.min()).or(any.then_some(architecture))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.compatible.as_slice(), &self.vendor) {
            ([], None) => write!(f, "{}, no device tree, no DMI", self.architecture),
            ([], Some(vendor)) => write!(f, "DMI {vendor:?} {:?}", self.product.as_deref().unwrap_or_default()),
            (compatible, _) => write!(f, "device tree {}", compatible.join(", ")),
        }
    }
}

/// The folders that hold boards: `FIELDCAST_BOARDS` if set; else the operator's own, that of the installation and, in a source
/// checkout, its own. What an earlier folder has comes before the same of a later one: a name, and a description of this
/// machine.
pub fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("FIELDCAST_BOARDS") {
        return vec![folder.into()];
    }
    let checkout = Path::new("boards/README.md").exists().then(|| PathBuf::from("boards"));
    let installed = ["/etc/fieldcast/boards", "/usr/share/fieldcast/boards"].map(PathBuf::from);
    installed.into_iter().chain(checkout).collect()
}

impl Board {
    /// Reads one board file.
    ///
    /// # Errors
    /// [`BoardError::Unreadable`] and [`BoardError::Invalid`].
    pub fn load(file: &Path) -> Result<Self, BoardError> {
        let unreadable = |problem: String| BoardError::Unreadable { file: file.into(), problem };
        let text = read(file).map_err(unreadable)?;
        parse::board(&parse::name_of(file), &text).map_err(|problem| BoardError::Invalid { file: file.into(), problem })
    }

    /// Finds the board `wanted` (a name, or a file when it has a slash or ends in `.toml`), or without one the board
    /// that describes the machine whose /proc and /sys are under `root`.
    ///
    /// # Errors
    /// [`BoardError`]; [`BoardError::is_mismatch`] tells whose fault it is.
    pub fn find(root: &Path, folders: &[PathBuf], wanted: Option<&str>) -> Result<Self, BoardError> {
        if let Some(file) = wanted.filter(|wanted| wanted.contains('/') || wanted.ends_with(".toml")) {
            return Self::load(Path::new(file));
        }
        let files = files(folders);
        let known: Vec<String> = files.iter().map(|file| parse::name_of(file)).collect();
        if files.is_empty() {
            let folders = folders.iter().map(|folder| folder.display().to_string()).collect();
            return Err(BoardError::NoBoards { folders });
        }
        if let Some(wanted) = wanted {
            return match files.iter().find(|file| parse::name_of(file) == wanted) {
                Some(file) => Self::load(file),
                None => {
                    let nearest = nearest(wanted, known.iter().map(String::as_str), LIKE).map(String::from);
                    Err(BoardError::Unknown { wanted: wanted.into(), nearest, known })
                }
            };
        }
        let machine = Machine::read(root);
        let mut broken = None;
        let mut ranked = Vec::new();
        for file in &files {
            match Self::load(file) {
                Ok(board) => {
                    let folder = folders.iter().position(|folder| file.parent() == Some(folder.as_path()));
                    ranked.extend(machine.rank(&board).map(|rank| ((rank, folder), board)));
                }
                Err(error) => broken = broken.or(Some(error)),
            }
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut ranked = ranked.into_iter();
        match (ranked.next(), ranked.next(), broken) {
            (Some((rank, first)), Some((other, second)), _) if rank == other => {
                Err(BoardError::Ambiguous { first: first.name, second: second.name })
            }
            (Some((_, board)), _, broken) => {
                if let Some(error) = broken {
                    tracing::warn!(%error, board = board.name, "a board file of another machine is broken");
                }
                Ok(board)
            }
            // It may be the one that was meant for this machine.
            (None, _, Some(error)) => Err(error),
            (None, _, None) => Err(BoardError::NoMatch { machine, known }),
        }
    }
}

/// The board files of all folders, by name; the earlier folder wins.
pub fn files(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for file in entries.filter(|file| file.extension().is_some_and(|extension| extension == "toml")) {
            if !files.iter().any(|other| other.file_name() == file.file_name()) {
                files.push(file);
            }
        }
    }
    files.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    files
}

/// The file's text; what is wrong is said in one line.
fn read(file: &Path) -> Result<String, String> {
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_string(),
        _ => format!("cannot be read: {error}"),
    };
    // A device or a pipe might never end.
    let kind = std::fs::metadata(file).map_err(io)?;
    if !kind.is_file() {
        return Err(if kind.is_dir() { "is a folder, expected a file" } else { "expected a plain file" }.into());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(file).map_err(io)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("expected a board file of at most {} KiB", LARGEST / 1024));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        format!("line {}: expected UTF-8 text", line + 1)
    })
}
