//! The box and the Studio: the real daemon, a real nginx-rtmp as the Studio's ingest, and the stand-in of X's API, which knows
//! from that nginx who pushes.

#[path = "../studio_stand_in/mod.rs"]
mod stand_in;
#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use stand_in::{Fault, Route, Settings, StandIn, State};
use std::time::Duration;
use support::{Nginx, daemon::Daemon, has_tools, wait};

const SOON: Duration = Duration::from_secs(30);

/// The Studio with its ingest, and a box that is linked and has a Source there.
struct Rig {
    studio: StandIn,
    ingest: Nginx,
    daemon: Daemon,
    source_id: String,
}

impl Rig {
    fn start() -> Self {
        let studio = StandIn::start();
        let ingest = Nginx::start_with(&studio.nginx_application(), "");
        let url = ingest.url();
        studio.set(|settings: &mut Settings| {
            // A stand-in of an ingest with TLS would prove nothing more here.
            (settings.rtmp_url, settings.rtmps_url, settings.needs_video) = (url.clone(), url, true);
        });
        let daemon = Daemon::start(&settings(&studio, None));
        let tokens = studio.link("fieldcast");
        let linked = daemon.succeed(
            "studio-link",
            json!({
                "client-id": "fieldcast-client", "access-token": tokens.access, "refresh-token": tokens.refresh,
                "expires-in": 7200,
            }),
        );
        assert!(!linked.to_string().contains(&tokens.access) && !linked.to_string().contains(&tokens.refresh));
        let made = daemon.succeed("studio-source-create", json!({"name": "OB van 3", "region": "us-east-1"}));
        let source_id = made["result"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        daemon.write_settings(&settings(&studio, Some(&source_id)));
        daemon.signal("HUP");
        let known = || daemon.command("settings", json!({})).1.to_string().contains(&source_id).then_some(());
        wait("the Source is in the settings", SOON, known);
        Self { studio, ingest, daemon, source_id }
    }

    fn key(&self) -> String {
        let of = |source: &stand_in::Source| (source.id == self.source_id).then(|| source.stream_key.clone());
        self.studio.sources().iter().find_map(of).expect("the Source")
    }

    /// Pushes, which nobody sees.
    fn push(&self) {
        self.daemon.succeed("start", json!({}));
        self.daemon.wait_for("previewing", SOON);
    }

    fn publish(&self) -> Value {
        self.daemon.succeed("publish", json!({"title": "Town hall", "tags": ["News"], "chat": "off"}))
    }

    fn running(&self) -> usize {
        self.studio.broadcasts().iter().filter(|of| of.state == State::Running).count()
    }

    /// Waits for a fault, which says something.
    fn wait_for_fault(&self, code: &str) {
        wait(code, SOON, || self.daemon.faults().iter().any(|fault| fault == code).then_some(()));
    }
}

fn settings(studio: &StandIn, source_id: Option<&str>) -> String {
    let source = source_id
        .map_or_else(String::new, |id| format!("[[source]]\nname = \"Main\"\nstudio = {{ source-id = \"{id}\" }}\n"));
    format!(
        "name = \"OB van 3\"\n[output]\nmode = \"320x180p30\"\nbitrate-max = \"800 kbit/s\"\n\
         [studio]\nclient-id = \"fieldcast-client\"\nbase-url = \"{}\"\n{source}",
        studio.url()
    )
}

#[test]
fn a_push_is_previewed_published_watched_and_ended() {
    if !has_tools() {
        return;
    }
    let rig = Rig::start();
    rig.push();
    assert_eq!(rig.running(), 0);
    let answer = rig.publish();
    rig.daemon.wait_for("on-air", SOON);
    let made = rig.studio.broadcasts();
    assert_eq!((made.len(), made[0].state), (1, State::Running), "{answer}");
    assert_eq!(rig.studio.calls("POST", "/2/broadcasts"), 1);
    let status = rig.daemon.status();
    assert_eq!(status["broadcast"]["id"], json!(made[0].id), "{status}");
    assert_eq!(status["broadcast"]["state"], "running");
    rig.studio.set_watching(&made[0].id, 17);
    wait("viewers", SOON, || (rig.daemon.status()["broadcast"]["viewers"] == 17).then_some(()));
    // Asking again is no second Broadcast.
    rig.publish();
    assert_eq!(rig.studio.broadcasts().len(), 1);

    let (code, which) = rig.daemon.command("stop", json!({"confirm": true}));
    assert_eq!((code, &which["reason"]), (409, &json!("confirmation-needed")), "{which}");
    rig.daemon.wait_for("on-air", SOON);
    rig.daemon.succeed("end", json!({"confirm": true}));
    rig.daemon.wait_for("previewing", SOON);
    assert_eq!(rig.studio.broadcasts()[0].state, State::Ended);
    rig.daemon.succeed("stop", json!({"confirm": true}));
    rig.daemon.wait_for("off-air", SOON);

    // The key is where it has to be, and nowhere else.
    let key = rig.key();
    assert!(rig.ingest.log().contains(&format!("publish: name='{key}'")), "{}", rig.ingest.log());
    let shown = format!("{} {}", rig.daemon.log(), rig.daemon.command("diagnostics", json!({})).1);
    assert!(!shown.contains(&key), "the stream key is shown");
    rig.studio.assert_clean();
}

#[test]
fn a_stop_can_end_the_broadcast_or_leave_it() {
    if !has_tools() {
        return;
    }
    let rig = Rig::start();
    rig.push();
    rig.publish();
    rig.daemon.succeed("stop", json!({"confirm": true, "end": true}));
    rig.daemon.wait_for("off-air", SOON);
    wait("it is ended", SOON, || (rig.running() == 0).then_some(()));
    wait("the box knows", SOON, || (rig.daemon.status()["broadcast"]["state"] != "ending").then_some(()));
    rig.push();
    rig.publish();
    rig.daemon.succeed("stop", json!({"confirm": true, "end": false}));
    rig.daemon.wait_for("off-air", SOON);
    assert_eq!(rig.running(), 1, "X ends it by itself when no video comes");
    rig.studio.assert_clean();
}

#[test]
fn a_power_cut_while_it_is_made_public_makes_no_second_broadcast() {
    if !has_tools() {
        return;
    }
    let mut rig = Rig::start();
    rig.push();
    // It is carried out, and the box never hears of it.
    rig.studio.fail(Route::GoLive, Fault::HangAfter, 1);
    let (port, pid) = (rig.daemon.port, rig.daemon.pid());
    let asked = std::thread::spawn(move || {
        let body = r#"{"title": "Town hall"}"#;
        let head = format!(
            "POST /api/v1/commands/publish HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.write_all(head.as_bytes()).expect("sent");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    wait("it is asked for", SOON, || (rig.studio.broadcasts().len() == 1).then_some(()));
    support::daemon::signal(pid, "KILL");
    rig.daemon.ended(SOON);
    asked.join().expect("the request is over");
    rig.daemon.start_again();
    rig.daemon.wait_for("on-air", SOON);
    assert_eq!((rig.studio.broadcasts().len(), rig.running()), (1, 1));
    assert_eq!(rig.studio.calls("POST", "/2/broadcasts"), 1, "it was found, not made");
    let status = rig.daemon.status();
    assert_eq!(status["broadcast"]["id"], json!(rig.studio.broadcasts()[0].id), "{status}");
    rig.studio.assert_clean();
}

#[test]
fn without_the_studio_the_push_goes_on_and_the_status_says_what_is_not_known() {
    if !has_tools() {
        return;
    }
    let mut rig = Rig::start();
    rig.push();
    rig.publish();
    rig.daemon.wait_for("on-air", SOON);
    rig.studio.listen(false);
    wait("it is told", Duration::from_secs(120), || {
        let status = rig.daemon.status();
        let faults = status["faults"].as_array().expect("faults");
        faults.iter().any(|fault| fault["code"].as_str().is_some_and(|code| code.starts_with("studio"))).then_some(())
    });
    rig.daemon.wait_for("on-air", SOON);
    // The next start knows the ingest from before.
    rig.daemon.signal("KILL");
    rig.daemon.ended(SOON);
    rig.daemon.start_again();
    let pushed =
        || rig.daemon.status()["uplinks"][0]["state"].as_str().is_some_and(|state| state == "on-air").then_some(());
    wait("pushed again", SOON, pushed);
    rig.studio.listen(true);
    rig.daemon.wait_for("on-air", Duration::from_secs(120));
    assert_eq!(rig.studio.calls("POST", "/2/broadcasts"), 1);
    rig.studio.assert_clean();
}

#[test]
fn what_the_studio_refuses_is_told_for_what_it_is() {
    if !has_tools() {
        return;
    }
    let rig = Rig::start();
    rig.push();
    rig.studio.set_eligible("fieldcast", false);
    let (code, answer) = rig.daemon.command("publish", json!({}));
    assert_ne!(code, 200);
    assert!(answer["detail"].as_str().is_some_and(|text| text.contains("may not go live")), "{answer}");
    rig.daemon.wait_for("previewing", SOON);
    rig.studio.set_eligible("fieldcast", true);
    rig.publish();
    rig.daemon.wait_for("on-air", SOON);
    rig.studio.revoke("fieldcast");
    rig.wait_for_fault("studio-revoked");
    // The push does not need the Studio.
    rig.daemon.wait_for("on-air", SOON);
    rig.studio.assert_clean();
}

#[test]
fn the_studio_is_reached_by_resources_too() {
    if !has_tools() {
        return;
    }
    let rig = Rig::start();
    let get = |path: &str| {
        let (code, body) = rig.daemon.get(&format!("/api/v1/studio{path}")).expect("an answer");
        (code, serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    let (code, sources) = get("/sources");
    assert_eq!(code, 200, "{sources}");
    assert!(sources.to_string().contains(&rig.source_id) && !sources.to_string().contains(&rig.key()), "{sources}");
    let (code, source) = get(&format!("/sources/{}", rig.source_id));
    assert!(code == 200 && !source.to_string().contains(&rig.key()), "{source}");
    assert_eq!(get("/broadcasts?limit=x").0, 422);
    assert_eq!(get("/broadcasts?limit=5").0, 200);
    assert_eq!(get("/accounts").0, 200);
    rig.studio.assert_clean();
}
