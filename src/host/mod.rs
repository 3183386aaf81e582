//! Figures of the box itself, read from /proc and /sys. The root is an argument, so that a tree of files can stand in.

mod heat;
mod id;

pub use id::{box_id, known_id};

use crate::{sys, units::Time};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// How the box is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Hottest thermal zone, degrees Celsius.
    pub temperature_c: Option<f64>,
    /// How much warmer a thermal zone may get before the board slows down, degrees Celsius; none where it does not tell.
    pub headroom_c: Option<f64>,
    /// Whether heat or a weak power supply slows the processor down; none where the hardware does not tell.
    pub throttled: Option<bool>,
    /// Whether that is because of heat.
    pub throttled_by_heat: bool,
    /// CPU use of the processes since the last sample, in cores; none at the first.
    pub cpu: Option<f64>,
    /// Memory of the processes: their proportional share (PSS), or resident where that may not be read.
    pub memory_bytes: Option<u64>,
    /// What an ordinary user may still write to the state folder's disk.
    pub disk_free_bytes: Option<u64>,
    /// `synchronised`, `battery` or `not-set`.
    pub clock: &'static str,
}

/// CPU time of each process, by its id and start time.
type Processes = BTreeMap<(u32, u64), Duration>;

/// Takes samples of the box.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    state: PathBuf,
    /// At the last sample.
    cpu: Option<(Time, Processes)>,
    memory: Option<(Time, Option<u64>)>,
    heat: heat::Sensors,
}

/// A tick of /proc/PID/stat: USER_HZ is 100 on every architecture that Linux still has but Alpha (proc_pid_stat(5),
/// asm-generic/param.h).
const TICK: Duration = Duration::from_millis(10);
/// The kernel walks all pages of a process to add up its share: some milliseconds on a small box.
const MEMORY_INTERVAL: Duration = Duration::from_secs(10);

impl Host {
    /// A box whose /proc and /sys are under `root` (`/`) and whose state folder is `state`.
    pub fn new(root: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), state: state.into(), cpu: None, memory: None, heat: heat::Sensors::default() }
    }

    /// Takes a sample at `now`; `pids` are the daemon and its workers. Reads a dozen small files, no disk.
    pub fn sample(&mut self, now: Time, pids: &[u32]) -> Figures {
        let due = |at: Time| now.since(at) >= MEMORY_INTERVAL;
        let memory_bytes = match self.memory {
            Some((at, bytes)) if !due(at) => bytes,
            _ => self.memory(pids),
        };
        if self.memory.is_none_or(|(at, _)| due(at)) {
            self.memory = Some((now, memory_bytes));
        }
        let heat = self.heat.read(&self.root, now);
        Figures {
            temperature_c: heat.hottest,
            headroom_c: heat.headroom,
            throttled: heat.throttled,
            throttled_by_heat: heat.by_heat,
            cpu: self.cpu(now, pids),
            memory_bytes,
            disk_free_bytes: rustix::fs::statvfs(&self.state).ok().map(|disk| disk.f_bavail * disk.f_frsize),
            clock: self.clock(),
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// Folders in `path` whose names start with `prefix`.
    fn folders(&self, path: &str, prefix: &'static str) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        entries.filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path())
    }

    fn cpu(&mut self, now: Time, pids: &[u32]) -> Option<f64> {
        let current: Processes = pids.iter().filter_map(|pid| self.cpu_time(*pid)).collect();
        let (then, before) = self.cpu.replace((now, current.clone()))?;
        let elapsed = now.since(then).as_secs_f64();
        let used = |(process, time): (&(u32, u64), &Duration)| {
            time.saturating_sub(before.get(process).copied().unwrap_or_default()).as_secs_f64()
        };
        (elapsed > 0.0).then(|| current.iter().map(used).sum::<f64>() / elapsed)
    }

    /// A process with its start time, and the CPU time it used (proc_pid_stat(5): fields 14, 15 and 22).
    fn cpu_time(&self, pid: u32) -> Option<((u32, u64), Duration)> {
        let text = self.text(&format!("proc/{pid}/stat"))?;
        // The name in parentheses may have spaces and parentheses.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = u32::try_from(field(14)?.checked_add(field(15)?)?).ok()?;
        Some(((pid, field(22)?), TICK * ticks))
    }

    fn memory(&self, pids: &[u32]) -> Option<u64> {
        let each: Vec<u64> = pids.iter().filter_map(|pid| self.memory_of(*pid)).collect();
        (!each.is_empty()).then(|| each.iter().sum())
    }

    fn memory_of(&self, pid: u32) -> Option<u64> {
        let kilobytes = |file: &str, key: &str| {
            let text = self.text(&format!("proc/{pid}/{file}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        kilobytes("smaps_rollup", "Pss:").or_else(|| kilobytes("status", "VmRSS:"))
    }

    fn clock(&self) -> &'static str {
        // systemd-timesyncd says so where the kernel may not be asked.
        let by_service = || self.root.join("run/systemd/timesync/synchronized").exists();
        if self.root == Path::new("/") && sys::clock_is_synchronised() == Some(true) || by_service() {
            return "synchronised";
        }
        // 1 where that clock set the system's at start (Documentation/ABI/testing/sysfs-class-rtc, hctosys).
        let battery = self.folders("sys/class/rtc", "rtc").any(|clock| number(&clock.join("hctosys")) == Some(1));
        if battery { "battery" } else { "not-set" }
    }
}

fn number(path: &Path) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tree of files that stands in for a box.
    pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("folder");
        files.iter().for_each(|(path, content)| put(root.path(), path, content));
        root
    }

    pub(super) fn put(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn sample(files: &[(&str, &str)]) -> Figures {
        let root = tree(files);
        Host::new(root.path(), root.path()).sample(Time::from_millis(5), &[7])
    }

    #[test]
    fn a_box_that_tells_nothing() {
        let figures = sample(&[]);
        assert!(figures.disk_free_bytes.is_some_and(|free| free > 0));
        assert_eq!(Figures { disk_free_bytes: None, ..figures }, Figures { clock: "not-set", ..Figures::default() });
    }

    #[test]
    fn cpu_is_counted_over_all_processes() {
        let stat = |name: &str, user: u64, system: u64, start: u64| {
            format!(
                "7 ({name}) S 1 7 7 0 -1 4194560 9 0 0 0 {user} {system} 0 0 20 0 3 0 {start} 1000 50 18446744073709551615"
            )
        };
        let root =
            tree(&[("proc/7/stat", &stat("field) (cast", 100, 50, 900)), ("proc/8/stat", &stat("media", 10, 0, 950))]);
        let mut host = Host::new(root.path(), root.path());
        assert_eq!(host.sample(Time::from_millis(1000), &[7, 8]).cpu, None);
        put(root.path(), "proc/7/stat", &stat("field) (cast", 110, 60, 900));
        // The worker was replaced by one with the same process id.
        put(root.path(), "proc/8/stat", &stat("media", 30, 0, 1050));
        assert_eq!(host.sample(Time::from_millis(2000), &[7, 8, 9]).cpu, Some(0.5));
        put(root.path(), "proc/8/stat", "garbage");
        assert_eq!(host.sample(Time::from_millis(3000), &[7, 8]).cpu, Some(0.0));
    }

    #[test]
    fn memory_is_the_share_or_what_is_resident() {
        let both = [
            ("proc/7/smaps_rollup", "x rollup\nRss: 90 kB\nPss:      60 kB\nPss_Anon: 5 kB\n"),
            ("proc/7/status", "VmRSS:\t 90 kB\n"),
        ];
        assert_eq!(sample(&both).memory_bytes, Some(60 * 1024));
        assert_eq!(sample(&both[1..]).memory_bytes, Some(90 * 1024));
    }

    #[test]
    fn the_clock_is_trusted_by_what_set_it() {
        assert_eq!(
            sample(&[("sys/class/rtc/rtc0/hctosys", "0\n"), ("sys/class/rtc/rtc1/hctosys", "1\n")]).clock,
            "battery"
        );
        assert_eq!(sample(&[("run/systemd/timesync/synchronized", "")]).clock, "synchronised");
    }

    #[test]
    fn this_machine_can_be_asked() {
        let mut host = Host::new("/", "/tmp");
        let first = host.sample(sys::now(), &[std::process::id()]);
        assert!(first.memory_bytes.is_some_and(|bytes| bytes > 100_000));
        let start = sys::now();
        while sys::now().since(start) < Duration::from_millis(60) {}
        let second = host.sample(sys::now(), &[std::process::id()]);
        assert!(second.cpu.is_some_and(|cores| cores > 0.1), "{second:?}");
    }
}
