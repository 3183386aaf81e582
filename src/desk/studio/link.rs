//! `fieldcast studio link`: an account's tokens, for one box or for this computer.

use super::{args, here, order, redirect};
use crate::{
    command::{Reason, studio::Grant},
    desk::{
        End, Refusal,
        args::Options,
        ask_one, command,
        config::Way,
        gather,
        order::{Order, choice},
        pick::Choice,
        round::{Outcome, Stage},
        say,
        session::Session,
    },
    settings::{self, BrokerUrl},
    state::write_whole,
    studio::link::{Attempt, Brought, oauth1},
};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::timeout;

/// For signing in at X and agreeing.
const PATIENCE: Duration = Duration::from_secs(300);

/// Gets tokens and hands them to the one box that is named, or to this computer where there is no way `to` boxes.
///
/// # Errors
/// For people: nothing was linked.
pub async fn link(
    asked: &args::Link,
    to: Option<(&mut Session, &Way)>,
    settings: &settings::Studio,
    config: &Path,
    options: &Options,
) -> Result<u8, Refusal> {
    let mut end = End::new()?;
    let Some((session, way)) = to else {
        let grant = grant(asked, settings, config, None, &mut end).await?;
        return here::ask(&order::link(grant), settings, config, options).await;
    };
    let acts = matches!(way, Way::Broker(_));
    let choice = choice(asked.boxes.boxes.clone(), &options.tags, options.all, acts).map_err(Refusal::wrong)?;
    gather(session, &choice, &mut end).await?;
    let ids = choice.pick(&session.fleet.candidates()).map_err(Refusal::wrong)?;
    let [id] = ids.as_slice() else {
        return Err(Refusal::wrong("one box at a time: each needs tokens of its own, as they change with use"));
    };
    // Without tokens: whether it would take them is known before anybody signs in.
    match ask_one(session, &Order::new("studio-link", json!({})), id, &mut end).await? {
        Outcome::Failed { reason, .. } if reason == Reason::WrongArguments.code() => {}
        Outcome::Failed { text, .. } => return Err(Refusal::failed(text)),
        other => return Err(Refusal::failed(format!("no account was linked: {}", Stage::Over(other).text()))),
    }
    let settings = match ask_one(session, &Order::new("settings", json!({})), id, &mut end).await? {
        Outcome::Successful(told) => of_box(&told, settings, asked),
        _ => settings.clone(),
    };
    let grant = grant(asked, &settings, config, Some(session), &mut end).await?;
    let choice = Choice { boxes: vec![id.clone()], ..Choice::default() };
    command(session, &order::link(grant).within(options.timeout), &choice, options, None).await
}

/// Whether nobody on the way can read what is sent.
///
/// # Errors
/// For people: somebody can.
pub fn is_private(way: &Way) -> Result<(), String> {
    let Way::Broker(way) = way else { return Ok(()) };
    match way.url.parse::<BrokerUrl>() {
        Ok(broker) if broker.way.is_encrypted() || broker.is_local() => Ok(()),
        _ => Err(format!(
            "everyone on the way to {} could read the account's tokens: link over mqtts:// or wss://, or with --box",
            way.url
        )),
    }
}

/// What of the box's own settings counts: where it looks for X, and its app where none was chosen here.
fn of_box(told: &Value, own: &settings::Studio, asked: &args::Link) -> settings::Studio {
    let value = |key: &str| told["settings"][key]["value"].as_str().map(ToOwned::to_owned);
    let chosen = asked.client_id.is_none().then(|| value("studio.client-id")).flatten();
    let sound = |url: &String| crate::studio::types::check_base_url(url).is_ok();
    settings::Studio {
        client_id: chosen.or_else(|| own.client_id.clone()),
        base_url: value("studio.base-url").filter(sound),
        account: None,
    }
}

/// The tokens: of the file, or for the code that the browser brings.
async fn grant(
    asked: &args::Link,
    settings: &settings::Studio,
    config: &Path,
    session: Option<&mut Session>,
    end: &mut End,
) -> Result<Grant, Refusal> {
    if let Some(file) = &asked.oauth1 {
        let shown = file.display();
        let text = crate::desk::config::read(file).map_err(Refusal::wrong)?;
        let text = text.ok_or_else(|| Refusal::wrong(format!("{shown} is not there")))?;
        return oauth1(&text).map_err(|wrong| Refusal::wrong(format!("{shown}: {wrong}")));
    }
    let Some(client_id) = asked.client_id.as_ref().or(settings.client_id.as_ref()) else {
        return Err(Refusal::wrong("which app of yours at X? Give --client-id, or [studio] client-id in the settings"));
    };
    let listener = redirect::listen(asked.port).await.map_err(Refusal::failed)?;
    let studio = here::open(settings, config)?;
    let attempt = Attempt::new(client_id, asked.port).map_err(|error| Refusal::failed(error.to_string()))?;
    let page = attempt.page(settings.base_url.as_deref());
    say::note(&format!("Open this in a browser on this computer, and agree (Ctrl-C ends):\n{page}"));
    if !asked.no_browser {
        browse(&page);
    }
    let brought = tokio::select! {
        brought = timeout(PATIENCE, redirect::wait(listener, &attempt)) => brought,
        never = listening(session) => match never {},
        () = end.asked() => return Err(Refusal::interrupted()),
    };
    let code = match brought {
        Ok(Brought::Code(code)) => code,
        Ok(Brought::Denied) => return Err(Refusal::failed("access was denied at X: nothing was linked")),
        Ok(Brought::Refused(why)) => return Err(Refusal::failed(format!("X refused it ({why}): nothing was linked"))),
        Err(_) => return Err(Refusal::failed("nobody agreed at X within 5 min: nothing was linked")),
    };
    let exchanged = tokio::select! {
        exchanged = studio.exchange(client_id, &code, &attempt.verifier, &attempt.redirect) => exchanged,
        () = end.asked() => return Err(Refusal::interrupted()),
    };
    exchanged.map_err(|trouble| Refusal::failed(format!("{}. {}", trouble.text(), trouble.advice())))
}

/// Goes on hearing of the boxes, which tell while people take their time.
async fn listening(session: Option<&mut Session>) -> Infallible {
    match session {
        Some(session) => loop {
            session.step(&mut []).await;
        },
        None => std::future::pending().await,
    }
}

/// Opens `page` in the browser of this desktop, if there is one. By a file of this user only: arguments are seen by all users of
/// a computer, and who has the page's address could finish the link with another account.
fn browse(page: &str) {
    let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) else { return };
    if write_whole(&folder, LEADS, leads_to(page).as_bytes()).is_err() {
        return;
    }
    let mut command = Command::new("xdg-open");
    let _ = command.arg(folder.join(LEADS)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

/// The file by which the browser is opened.
const LEADS: &str = "fieldcast-link.html";

/// A document that leads to `page`.
fn leads_to(page: &str) -> String {
    let address = page.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    format!("<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=\"0;url={address}\">\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_is_led_to_the_page_as_it_is() {
        let led = leads_to("https://x.com/i/oauth2/authorize?a=1&b=\"<");
        assert!(led.contains("content=\"0;url=https://x.com/i/oauth2/authorize?a=1&amp;b=&quot;&lt;\""), "{led}");
    }

    use crate::desk::config::BrokerWay;

    fn broker(url: &str) -> Way {
        Way::Broker(BrokerWay {
            url: url.into(),
            username: None,
            password: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            prefix: "fieldcast".into(),
            allow_plaintext: true,
        })
    }

    #[test]
    fn tokens_go_where_nobody_reads_them() {
        for private in ["mqtts://b", "wss://b/mqtt", "mqtt://127.0.0.1", "mqtt://localhost"] {
            assert_eq!(is_private(&broker(private)), Ok(()), "{private}");
        }
        for open in ["mqtt://192.0.2.1", "ws://b.example", "http://b"] {
            assert!(is_private(&broker(open)).expect_err("refused").contains("tokens"), "{open}");
        }
        assert_eq!(is_private(&Way::Direct("van".into())), Ok(()));
    }

    #[test]
    fn a_box_says_where_x_is_and_its_app_where_none_was_typed() {
        let own =
            settings::Studio { client_id: Some("desk".into()), account: None, base_url: Some("https://d".into()) };
        let mut asked = args::Link {
            boxes: crate::desk::args::Boxes::default(),
            client_id: None,
            port: 8722,
            no_browser: true,
            oauth1: None,
        };
        let told =
            json!({"settings": {"studio.client-id": {"value": "box"}, "studio.base-url": {"value": "https://b"}}});
        let of = of_box(&told, &own, &asked);
        assert_eq!((of.client_id.as_deref(), of.base_url.as_deref()), (Some("box"), Some("https://b")));
        let of = of_box(&json!({"settings": {"studio.base-url": {"value": "http://evil.example"}}}), &own, &asked);
        assert_eq!((of.client_id.as_deref(), of.base_url), (Some("desk"), None));
        asked.client_id = Some("typed".into());
        assert_eq!(of_box(&told, &own, &asked).client_id.as_deref(), Some("desk"), "what is typed counts before");
    }
}
