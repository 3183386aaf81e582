//! What a newcomer sees first: `tests/demo.sh` puts a picture on air, says where to look, and leaves nothing behind.

mod support;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

#[test]
fn the_demo_goes_on_air_and_ends_cleanly() {
    if !support::has_tools() {
        return;
    }
    let makefile = include_str!("../Makefile");
    assert!(makefile.contains("\ttests/demo.sh $(TARGET)/release\n"), "`make demo` gives the folder of the programs");
    let programs = Path::new(env!("CARGO_BIN_EXE_fieldcastd")).parent().expect("a folder");
    let scratch = tempfile::tempdir().expect("a folder");
    let mut demo = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo.sh"))
        .arg(programs)
        .env("XDG_RUNTIME_DIR", scratch.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the demo");
    let said: Vec<String> = BufReader::new(demo.stdout.take().expect("its output"))
        .lines()
        .map_while(Result::ok)
        .inspect(|line| {
            if line.starts_with("Ctrl-C ends") {
                let ended = Command::new("kill").args(["-INT", &demo.id().to_string()]).status();
                assert!(ended.expect("kill").success());
            }
        })
        .collect();
    let status = demo.wait().expect("its end");
    assert!(said.iter().any(|line| line.starts_with("on air")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("rtmp://127.0.0.1")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("mosquitto_sub")), "{said:#?}");
    let preview = said.iter().position(|line| line.starts_with("previewing"));
    let on_air = said.iter().position(|line| line.starts_with("on air"));
    assert!(preview.is_some() && preview < on_air, "nothing is public before it is published: {said:#?}");
    assert_eq!(status.code(), Some(130), "as after Ctrl-C: {said:#?}");
    let left: Vec<_> = std::fs::read_dir(scratch.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}
