//! Requests as they are written on the wire, and a client that knows nothing of the API but a token.

use crate::stand_in::StandIn;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

#[derive(Debug)]
pub struct Reply {
    /// 0 without an answer.
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// One request on a connection of its own.
pub fn raw(base: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
    let host = base.strip_prefix("http://").expect("a base");
    let Ok(mut stream) = TcpStream::connect(host) else {
        return Reply { status: 0, head: String::new(), body: Vec::new() };
    };
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&bytes[..end]).to_string();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Reply { status, head, body: bytes[end..].to_vec() }
}

/// A client with a token.
pub struct Client<'a> {
    pub studio: &'a StandIn,
    pub token: String,
}

impl<'a> Client<'a> {
    pub fn of(studio: &'a StandIn) -> Self {
        Self { studio, token: studio.link("fieldcast").access }
    }

    pub fn bare(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        raw(&self.studio.url(), method, path, &format!("Authorization: Bearer {}\r\n{headers}", self.token), body)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.bare("GET", path, "", b"")
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.bare(method, path, "Content-Type: application/json\r\n", body.to_string().as_bytes())
    }

    /// The id of a new source.
    pub fn source(&self) -> String {
        let reply = self.send("POST", "/2/sources", &json!({"name": "Main", "region": "eu-central-1"}));
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["data"]["id"].as_str().expect("an id").to_owned()
    }

    pub fn segment(&self, id: &str, index: u64, bytes: &[u8]) -> Reply {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"segment_index\"\r\n\r\n{index}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a\"\r\n\r\n"
        );
        let body = [head.as_bytes(), bytes, b"\r\n--b--\r\n"].concat();
        let kind = "Content-Type: multipart/form-data; boundary=b\r\n";
        self.bare("POST", &format!("/2/media/upload/{id}/append"), kind, &body)
    }
}
