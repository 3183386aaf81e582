//! `fieldcastd pair`, `tokens` and `revoke`: asking the running daemon, over HTTP on loopback.

use super::{INTERNAL, Place, Refusal, WRONG};
use crate::{
    settings::{Layers, PATH},
    state::{PIN, peek_overrides},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

/// Most bytes of an answer.
const ANSWER_BYTES: u64 = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// Has a PIN shown, and tells it to who may read the state folder: root.
///
/// # Errors
/// The daemon's own words, or why it cannot be asked.
pub fn pair(place: &Place) -> Result<String, Refusal> {
    let result = ask(place, "pair", json!({}))?;
    let text = |name: &str| result[name].as_str().unwrap_or("not known: there is no network").to_owned();
    let pin = match fs::read_to_string(place.state.join(PIN)) {
        Ok(pin) => pin,
        Err(_) if result["shown-on"] == "display" => "on the box's display".into(),
        Err(_) => "on the box's console and in its journal; as root, this command tells it too".into(),
    };
    Ok(format!(
        "PIN          {pin}\naddress      {}\nfingerprint  {}\n\n\
         Within two minutes open the address on the other computer, see that its browser shows this fingerprint\n\
         (SHA-256) for the certificate, and type the PIN.\n",
        text("address"),
        text("fingerprint"),
    ))
}

/// The table of paired computers.
///
/// # Errors
/// As [`pair`].
pub fn tokens(place: &Place) -> Result<String, Refusal> {
    let result = ask(place, "tokens", json!({}))?;
    let rows = result.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return Ok("No computer is paired.\n".into());
    }
    let mut table = format!("{:8}  {:20}  {:20}  {}\n", "id", "paired", "last here", "name");
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or("-").split('.').next().unwrap_or_default().to_owned();
        table += &format!(
            "{:8}  {:20}  {:20}  {}\n",
            text("id"),
            text("made"),
            text("used"),
            row["name"].as_str().unwrap_or("-")
        );
    }
    Ok(table)
}

/// Lets a computer's token be worth nothing.
///
/// # Errors
/// As [`pair`].
pub fn revoke(place: &Place, id: &str) -> Result<String, Refusal> {
    ask(place, "revoke", json!({ "id": id }))?;
    Ok("Revoked.\n".into())
}

/// Sends a command to the daemon whose settings and state are at `place`; its result.
fn ask(place: &Place, command: &str, arguments: Value) -> Result<Value, Refusal> {
    let address = address(place)?;
    let refusal = |code, text| Refusal { code, text };
    let reply = exchange(address, command, &arguments.to_string()).map_err(|error| {
        let text = format!("the daemon does not answer on {address}: {error}; is it running with these settings?");
        refusal(INTERNAL, text)
    })?;
    let answer = read_answer(&reply).ok_or_else(|| {
        refusal(INTERNAL, format!("what answers on {address} is not fieldcastd: see http.listen in the settings"))
    })?;
    match answer["status"].as_str() {
        Some("successful") => Ok(answer["result"].clone()),
        _ => Err(refusal(WRONG, answer["detail"].as_str().unwrap_or("the daemon refused").to_owned())),
    }
}

/// Where the daemon is on loopback.
fn address(place: &Place) -> Result<SocketAddr, Refusal> {
    // Who may not read the changes made on the box has to do without: they rarely move the address.
    let overrides = peek_overrides(&place.state).unwrap_or_default();
    let file = place.settings.as_deref();
    let layers = Layers::load(file, overrides, None).map_err(|problems| {
        let text = format!("{problems}\nAs root, {} can be read", file.unwrap_or(Path::new(PATH)).display());
        Refusal { code: WRONG, text }
    })?;
    let listen = layers.settings().http.listen;
    let ip = if listen.ip().is_loopback() { listen.ip() } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    Ok(SocketAddr::new(ip, listen.port()))
}

fn exchange(address: SocketAddr, command: &str, body: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    // HTTP/1.0: the answer ends with the connection.
    let request = format!(
        "POST /api/v1/commands/{command} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut reply)?;
    Ok(reply)
}

/// The document in an HTTP answer.
fn read_answer(reply: &[u8]) -> Option<Value> {
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    let document: Value = reply.starts_with(b"HTTP/1.").then(|| serde_json::from_slice(&reply[end + 4..]).ok())??;
    document["status"].is_string().then_some(()).or_else(|| document["detail"].is_string().then_some(()))?;
    Some(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_read() {
        let answer =
            read_answer(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\n{\"status\":\"successful\",\"result\":[]}").expect("read");
        assert_eq!(answer["result"], json!([]));
        assert!(read_answer(b"HTTP/1.0 422 No\r\n\r\n{\"status\":422,\"detail\":\"x\"}").is_some());
        for other in [
            "SSH-2.0-x\r\n\r\n{\"status\":\"successful\"}",
            "HTTP/1.0 200 OK\r\n\r\n<html>",
            "HTTP/1.0 200 OK\r\n\r\n{}",
        ] {
            assert_eq!(read_answer(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(head in "(HTTP/1.0 200\r\n\r\n)?", rest in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_answer(&[head.as_bytes(), &rest].concat());
        }
    }
}
