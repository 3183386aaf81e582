//! The emulated box and the Studio: from the panel, through link, push, Publish and End. The Studio is the stand-in of X's API
//! on this machine, its ingest a real nginx-rtmp; the box itself is the real one under its shipped unit.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that fails, and waits for a machine")]

#[path = "studio_stand_in/mod.rs"]
mod stand_in;
mod support;

use serde_json::{Value, json};
use stand_in::{Settings, StandIn, State};
use std::{
    process::Command,
    time::{Duration, Instant},
};
use support::{
    Nginx,
    guest::{Guest, SOON, report, the_machine},
    wait,
};

/// Where the box finds the API: a stand-in has no certificate for another host, so a forwarder of the box's own leads there.
const API: u16 = 8090;
/// More than `panel.hold-to-start`, by as much as a busy machine may be late.
const HOLD: Duration = Duration::from_millis(2500);
/// The same for `panel.hold-to-stop`.
const LONG_HOLD: Duration = Duration::from_secs(5);

/// Makes a Source, as the Studio's own page would; its id.
fn source(studio: &StandIn, token: &str) -> String {
    let made = Command::new("curl")
        .args(["-fsS", "-H", &format!("Authorization: Bearer {token}"), "--json"])
        .args([r#"{"name": "OB van 3", "region": "us-east-1"}"#, &format!("{}/2/sources", studio.url())])
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    made["data"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn from_the_panel_a_push_is_previewed_published_and_ended() {
    let Some(_machine) = the_machine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let studio = StandIn::start();
    let ingest = Nginx::start_with(&studio.nginx_application(), "");
    let url = format!("rtmp://10.0.2.2:{}/live", ingest.port);
    studio.set(|settings: &mut Settings| {
        (settings.rtmp_url, settings.rtmps_url, settings.needs_video) = (url.clone(), url, true);
    });
    let tokens = studio.link("fieldcast");
    let source_id = source(&studio, &tokens.access);
    let settings = format!(
        "name = \"Test box\"\n[output]\nmode = \"320x180p25\"\nbitrate-max = \"1 Mbit/s\"\n\
         [[source]]\nname = \"Studio\"\nstudio = {{ source-id = \"{source_id}\" }}\n\
         [studio]\nclient-id = \"fieldcast-client\"\nbase-url = \"http://127.0.0.1:{API}\"\n\
         [push]\nat-power-on = \"resume\"\n"
    );
    let mut guest = Guest::boot_settings(folder.path(), &settings, &[]);
    guest.wait_until_ready();
    let port = studio.url().rsplit(':').next().unwrap().to_owned();
    guest.run(&format!(
        "systemd-run --quiet --unit=studio --socket-property=ListenStream=127.0.0.1:{API} \
         /lib/systemd/systemd-socket-proxyd 10.0.2.2:{port}"
    ));
    let grant = json!({
        "client-id": "fieldcast-client", "access-token": tokens.access, "refresh-token": tokens.refresh,
    })
    .to_string();
    let linked = guest.run(&format!(
        "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'POST /api/v1/studio/accounts HTTP/1.0\\r\\nHost: localhost\\r\\n\
         Content-Type: application/json\\r\\nContent-Length: {}\\r\\n\\r\\n{grant}' >&3 && cat <&3",
        grant.len()
    ));
    assert!(linked.contains("successful") && !linked.contains(&tokens.access), "{linked}");
    guest.wait_for_status("the picture locks", |status| status["input"]["signal"] == "locked");

    let pressed = Instant::now();
    guest.hold_go(HOLD);
    guest.wait_for_status("previewing", |status| status["phase"] == "previewing");
    report("GO to previewing", pressed.elapsed());
    assert!(studio.broadcasts().is_empty(), "nothing is public before GO is held again");
    guest.wait_for_status("the Studio sees it", |status| status["broadcast"]["source-active"] == true);

    let pressed = Instant::now();
    guest.hold_go(HOLD);
    guest.wait_for_status("on air", |status| status["phase"] == "on-air");
    report("GO to on air, by the Studio's word", pressed.elapsed());
    assert_eq!((studio.broadcasts().len(), studio.broadcasts()[0].state), (1, State::Running));

    // Which: the first entry ends the Broadcast too, and is held as all that ends something.
    guest.hold_go(LONG_HOLD);
    guest.hold("f3", LONG_HOLD);
    wait("the Broadcast has ended", SOON, || (studio.broadcasts()[0].state == State::Ended).then_some(()));
    guest.wait_for_status("off air", |status| status["phase"] == "off-air");
    assert_eq!(studio.calls("POST", "/2/broadcasts"), 1);

    // Nothing that the box keeps for all to read has a secret in it.
    let key = studio.sources()[0].stream_key.clone();
    guest.run("journalctl --no-pager -u fieldcastd | grep -q -F 'Previewing at Studio'");
    for secret in [&tokens.access, &tokens.refresh, &key] {
        let found = guest.run(&format!("journalctl --no-pager -u fieldcastd | grep -c -F -e '{secret}' || true"));
        assert_eq!(found.trim(), "0");
    }
    let kept = guest.run("shopt -s globstar dotglob; stat -c '%a %n' /var/lib/fieldcast/**");
    let account = kept.lines().find(|line| line.contains("/accounts/") && line.ends_with(".json"));
    assert!(account.is_some_and(|line| line.starts_with("600 ")), "{kept}");
    studio.assert_clean();
}
