//! Where the calendar comes from while no time server is reached: a real web server's date, over TLS.

mod support;

use fieldcast::{
    clock::{Dated, Dates},
    settings::WebServer,
    sys,
    uplink::{Cause, trust::Trust},
};
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};
use support::{Authority, Nginx, TlsFront, free_port, has_tools};
use tokio::net::TcpStream;

fn server(front: &TlsFront) -> WebServer {
    format!("localhost:{}", front.port).parse().expect("a server")
}

/// What is known after at most some seconds.
async fn asked(servers: &[WebServer], floor: Timestamp, trust: &Arc<Trust>) -> Option<Dated> {
    let dates = Dates::default();
    dates.ask(servers, floor, trust, sys::now());
    for _ in 0..60 {
        if dates.known().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    dates.known()
}

fn here() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::try_from(sys::wall()).expect("a time")
}

#[tokio::test]
async fn a_web_server_tells_the_time_to_a_second() {
    if !has_tools() {
        return;
    }
    let port = free_port();
    let http = format!("http {{ access_log off; server {{ listen 127.0.0.1:{port}; }} }}");
    let (_nginx, authority) = (Nginx::start_with("", &http), Authority::new("Test"));
    let front = TlsFront::start(port, authority.issue("localhost", |_| ()));
    let trust = Arc::new(Trust::in_authorities([authority.certificate()], Duration::ZERO));
    let silent: WebServer = format!("localhost:{}", free_port()).parse().expect("a server");

    let dated = asked(&[silent.clone(), server(&front)], Timestamp::UNIX_EPOCH, &trust).await.expect("a date");
    let off = dated.wall(sys::now()).expect("a time").duration_since(here()).abs();
    assert!(off < SignedDuration::from_millis(1500), "{off:?} off");

    // Nobody answers; one who is not known; one who says that it is before the box was built.
    assert_eq!(asked(&[silent], Timestamp::UNIX_EPOCH, &trust).await, None);
    let strange = Arc::new(Trust::in_authorities([Authority::new("Stranger").certificate()], Duration::ZERO));
    assert_eq!(asked(&[server(&front)], Timestamp::UNIX_EPOCH, &strange).await, None);
    let later = here() + SignedDuration::from_hours(1);
    assert_eq!(asked(&[server(&front)], later, &trust).await, None);
}

/// A box without a battery that was on the shelf for months: the certificate is younger than all that it knows.
#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_still_tells_the_date() {
    if !has_tools() {
        return;
    }
    let port = free_port();
    let http = format!("http {{ access_log off; server {{ listen 127.0.0.1:{port}; }} }}");
    let (_nginx, authority) = (Nginx::start_with("", &http), Authority::new("Test"));
    let young = authority.issue("localhost", |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1));
    let front = TlsFront::start(port, young);
    let trust = Arc::new(Trust::in_authorities([authority.certificate()], Duration::ZERO));
    let dated = asked(&[server(&front)], Timestamp::UNIX_EPOCH, &trust).await.expect("a date");
    assert!(dated.wall(sys::now()).expect("a time").duration_since(here()).abs() < SignedDuration::from_millis(1500));
    let other_name = TlsFront::start(port, authority.issue("elsewhere", |_| ()));
    assert_eq!(asked(&[server(&other_name)], Timestamp::UNIX_EPOCH, &trust).await, None);
}

#[tokio::test]
async fn certificates_are_judged_by_what_was_learnt() {
    if !has_tools() {
        return;
    }
    let (nginx, authority) = (Nginx::start(), Authority::new("Test"));
    let next_year = authority.issue("localhost", |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1));
    let front = TlsFront::start(nginx.port, next_year);
    let trust = Trust::in_authorities([authority.certificate()], Duration::ZERO);
    let judged = async || {
        let tcp = TcpStream::connect(("127.0.0.1", front.port)).await.expect("connected");
        trust.handshake("localhost", tcp).await.map(drop)
    };
    let too_early = Err(Cause::Certificate("is not valid yet".into()));
    assert_eq!(judged().await, too_early);
    let dated = |year: i16| {
        let wall =
            jiff::civil::date(year, 6, 1).at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).expect("a time").timestamp();
        Some(Dated { at: sys::now(), wall })
    };
    trust.learn(dated(2091));
    assert_eq!(judged().await, Ok(()));
    // Never before the time that is known to have been, whatever was learnt.
    trust.learn(dated(1975));
    assert_eq!(judged().await, too_early);
    trust.learn(None);
    assert_eq!(judged().await, too_early);
}
