//! Settings broken in every way that people and disks have: the real program says so in one message and exits with 2.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const MAIN: &str = "[[source]]\nname = \"Main\"\nurl = \"rtmp://127.0.0.1/live\"\nkey = \"live_123_secret\"\n";

struct Desk {
    folder: tempfile::TempDir,
    program: PathBuf,
}

fn desk() -> Desk {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    Desk { folder, program: env!("CARGO_BIN_EXE_fieldcastd").into() }
}

impl Desk {
    fn settings(&self) -> PathBuf {
        self.folder.path().join("settings.toml")
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args([verb, "--board", concat!(env!("CARGO_MANIFEST_DIR"), "/boards/desktop.toml"), "--settings"]);
        command.arg(self.settings()).arg("--state").arg(self.folder.path().join("state"));
        command.env_remove("FIELDCAST_LOG").env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        command
    }

    /// Runs `check` and `run` and expects both to refuse in the same words; gives these.
    fn refused(&self) -> String {
        let check = said(self.command("check").output().expect("run"));
        // A daemon that took these settings would stay: it is given a time, and then ended and found out by its code.
        let run = said(ended(self.command("run")));
        assert_eq!(check, run, "check and run differ");
        // The desk's display is a picture in there.
        let kept = std::fs::read_dir(self.folder.path().join("state")).into_iter().flatten().flatten();
        let kept: Vec<_> = kept.map(|entry| entry.file_name()).filter(|name| name != "panel.png").collect();
        assert!(kept.is_empty(), "a refused start leaves a trace: {kept:?}");
        check
    }
}

fn ended(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
    for _ in 0..200 {
        if child.try_wait().expect("waited").is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let _ = child.kill();
    child.wait_with_output().expect("output")
}

/// Checks what every refusal has in common.
fn said(output: Output) -> String {
    let text = String::from_utf8(output.stderr).expect("readable");
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty() && !text.is_empty());
    assert!(!text.contains("panicked") && !text.contains("live_123_secret"), "{text}");
    assert!(text.lines().all(|line| line.len() < 600), "{text}");
    text
}

#[test]
fn one_clear_message_and_exit_code_2() {
    let desk = desk();
    let huge = format!("name = \"{}\"", "x".repeat(300_000));
    let deep = format!("tags = {}{}", "[".repeat(5000), "]".repeat(5000));
    let bom = "\u{feff}\u{feff}name = 'x'";
    let cases: &[(&str, &[u8], &str)] = &[
        ("unknown key", b"nmae = 'Van'", ":1: nmae: unknown key; did you mean \"name\"?"),
        ("unknown section", b"[outputs]\nmode = '720p30'", ":1: outputs: unknown key; did you mean \"output\"?"),
        (
            "wrong section",
            b"[input]\nbitrate-max = '4 Mbit/s'",
            ":2: input.bitrate-max: unknown key here; did you mean \"output.bitrate-max\"?",
        ),
        (
            "wrong unit",
            b"[output]\nbitrate-max = '4 MB/s'",
            ":2: output.bitrate-max: expected a bit rate such as \"4 Mbit/s\"",
        ),
        ("no unit", b"[output]\nbitrate-max = 4000000", "got integer `4000000`"),
        (
            "negative",
            b"[output]\nkeyframe-interval = '-2 s'",
            ":2: output.keyframe-interval: expected a length of time",
        ),
        ("enormous", b"[output]\nbitrate-max = '900 Mbit/s'", "expected 100 kbit/s to 100 Mbit/s, got 900 Mbit/s"),
        (
            "beyond numbers",
            b"[output]\nbitrate-max = 99999999999999999999999999999999999999999",
            "a number is too large",
        ),
        ("beyond the board", b"[output]\nmode = '7680x4320p120'", ":2: output.mode: 7680x4320p120 is more than board"),
        ("wrong type", b"name = ['a']", ":1: name: expected a text in quotes"),
        ("section as value", b"output = 'fast'", ":1: output: expected a table"),
        ("not TOML", b"{\"name\": \"Van\"}", ":1:"),
        ("cut off", b"name = 'Van", ":1:"),
        ("twice", b"name = 'a'\nname = 'b'", "duplicate key"),
        ("not UTF-8", b"# ok\nname = 'V\xe4n'", "is not UTF-8 text (line 2)"),
        ("UTF-16", b"\xff\xfen\0a\0m\0e\0", "is not UTF-8 text (line 1)"),
        ("zeroes after a power cut", &[0; 4096], ":1:"),
        ("byte order marks", bom.as_bytes(), ":1:"),
        ("huge", huge.as_bytes(), "is larger than 256 KiB"),
        ("deep", deep.as_bytes(), ":1:"),
        ("no such input", b"[input]\ndevice = 'sdi'", ":2: input.device: board \"desktop\" has no such input"),
        (
            "no address of a box",
            b"[http]\nlisten = '255.255.255.255:8443'",
            ":2: http.listen: expected an address that the box has",
        ),
        (
            "unknown source",
            b"[push]\nsources = ['Main']",
            ":2: push.sources: no [[source]] is called \"Main\"; there are none",
        ),
        ("srt", b"[[source]]\nname = 'A'\nurl = 'srt://h:9000'\nkey = 'k'", ":4: source.A.key:"),
        (
            "key and key-file",
            b"[[source]]\nname = 'A'\nurl = 'rtmp://h/a'\nkey = 'live_123_secret'\nkey-file = '/k'",
            "given more than once",
        ),
        ("key without quotes", b"[[source]]\nname = 'A'\nurl = 'rtmp://h/a'\nkey = live_123_secret", ":4:"),
    ];
    for (name, content, part) in cases {
        fs::write(desk.settings(), content).expect("written");
        let text = desk.refused();
        assert!(text.contains(part), "{name}: {text}");
        assert!(text.contains("settings.toml"), "{name} does not name the file: {text}");
        assert_eq!(text.lines().count(), 1, "{name}: {text}");
    }
    fs::write(desk.settings(), [MAIN, MAIN].concat()).expect("written");
    assert!(desk.refused().contains(":6: source.Main.name: another Source is called \"Main\" already"));
}

#[test]
fn what_is_no_readable_file() {
    let desk = desk();
    assert!(desk.refused().contains("settings.toml: cannot be read: No such file"));
    fs::create_dir(desk.settings()).expect("made");
    assert!(desk.refused().contains("is a folder, not a file"));
    fs::remove_dir(desk.settings()).expect("removed");
    std::os::unix::fs::symlink("settings.toml", desk.settings()).expect("linked");
    assert!(desk.refused().contains("cannot be read: Too many levels"));
    fs::remove_file(desk.settings()).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", desk.settings()).expect("linked");
    assert!(desk.refused().contains("is not a regular file"));
    fs::remove_file(desk.settings()).expect("removed");
    // Nobody writes into it: opening it would wait for ever.
    let made = Command::new("mkfifo").arg(desk.settings()).status().expect("mkfifo");
    assert!(made.success());
    assert!(desk.refused().contains("is not a regular file"));
}

#[test]
fn a_file_of_somebody_else() {
    let mut desk = desk();
    fs::write(desk.settings(), MAIN).expect("written");
    fs::set_permissions(desk.settings(), fs::Permissions::from_mode(0o000)).expect("closed");
    // Root reads everything; as nobody, who cannot reach the build folder either.
    let copy = desk.folder.path().join("fieldcastd");
    fs::copy(&desk.program, &copy).expect("copied");
    desk.program = copy;
    let board = desk.folder.path().join("desktop.toml");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/desktop.toml"), &board).expect("copied");
    let mut command = Command::new(&desk.program);
    command.args(["check", "--board"]).arg(&board).arg("--settings").arg(desk.settings());
    let id = Command::new("id").arg("-u").output().expect("id");
    if id.stdout == b"0\n" {
        command.uid(65534).gid(65534).current_dir("/");
    }
    let text = said(command.output().expect("run"));
    assert!(text.contains("settings.toml: cannot be read: Permission denied"), "{text}");
}

#[test]
fn every_problem_is_in_one_list_with_the_board_s() {
    let desk = desk();
    fs::write(desk.settings(), "nmae = 'a'\n[output]\ncodec = 'av1'\nlatency = 3\n").expect("written");
    let text = desk.refused();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains(":1: nmae") && lines[2].contains(":4: output.latency"), "{text}");

    let mut both = Command::new(&desk.program);
    both.args(["check", "--board", "/nowhere/board.toml", "--settings"]).arg(desk.settings());
    let text = said(both.output().expect("run"));
    assert!(text.lines().count() == 4 && text.contains("/nowhere/board.toml"), "{text}");
}

#[test]
fn a_state_folder_that_cannot_be_used() {
    let desk = desk();
    fs::write(desk.settings(), MAIN).expect("written");
    fs::write(desk.folder.path().join("state"), "a file").expect("written");
    let text = said(ended(desk.command("run")));
    assert!(text.contains("state folder") && text.contains("--state"), "{text}");
}

#[test]
fn check_explains_and_shows_no_key() {
    let desk = desk();
    let state = desk.folder.path().join("state");
    fs::create_dir(&state).expect("made");
    fs::write(state.join("overrides.toml"), "output.bitrate-max = \"3 Mbit/s\"\nslate.music = \"a.ogg\"\n")
        .expect("written");
    let spare = "[[source]]\nname = \"Spare\"\nurl = \"rtmp://127.0.0.1/b\"\nkey-file = \"/nowhere/key\"\n";
    fs::write(desk.settings(), format!("name = \"OB van 3\"\n{MAIN}{spare}")).expect("written");
    let output = desk.command("check").output().expect("run");
    let text = String::from_utf8(output.stdout).expect("readable");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let row = |key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default()
            .split("  ")
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
    };
    assert_eq!(row("name"), ["name", "\"OB van 3\"", "settings.toml"]);
    assert_eq!(row("output.bitrate-max"), ["output.bitrate-max", "\"3 Mbit/s\"", "overrides.toml"]);
    assert_eq!(row("output.codec"), ["output.codec", "\"h264\"", "default"]);
    assert_eq!(row("source.Main.key"), ["source.Main.key", "\"set\"", "settings.toml"]);
    assert!(!text.contains("live_123_secret"));
    let warnings: Vec<&str> = text.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert!(
        warnings.len() == 2 && warnings[0].contains("slate.music") && warnings[1].contains("/nowhere/key"),
        "{text}"
    );
    assert_eq!(fs::read_dir(&state).expect("listed").count(), 1, "check changes nothing");
}

#[test]
fn wrong_arguments() {
    let program = Path::new(env!("CARGO_BIN_EXE_fieldcastd"));
    for (arguments, part) in [
        (vec![], "Usage"),
        (vec!["chek"], "'check'"),
        (vec!["run", "--bord", "desktop"], "--board"),
        (vec!["plan", "--mode", "1280x720"], "a mode such as"),
        (vec!["completions", "cobol"], "bash"),
        (vec!["check", "--board", "desktpo"], "did you mean \"desktop\"?"),
    ] {
        let output =
            Command::new(program).args(&arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("run");
        let text = said(output);
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let version = Command::new(program).arg("--version").output().expect("run");
    assert_eq!(
        (version.status.code(), String::from_utf8_lossy(&version.stdout).starts_with("fieldcastd ")),
        (Some(0), true)
    );
}
