//! Pairing attacked: the real daemon beyond loopback, over TLS as any other computer reaches it.

mod support;

use ring::digest;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};
use support::{daemon::Daemon, in_namespace, now};

/// A computer that looks at the fingerprint of the certificate and at nothing else, as one does who pairs.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = rustls::crypto::ring::default_provider();
        rustls::crypto::verify_tls12_signature(message, cert, dss, &provider.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = rustls::crypto::ring::default_provider();
        rustls::crypto::verify_tls13_signature(message, cert, dss, &provider.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn tcp(ip: &str, port: u16) -> TcpStream {
    let stream = TcpStream::connect((ip.parse::<IpAddr>().expect("an address"), port)).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream
}

fn tls(ip: &str, port: u16) -> Tls {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)).with_no_client_auth();
    let name = ServerName::from(ip.parse::<IpAddr>().expect("an address"));
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), tcp(ip, port));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    }
    stream
}

/// SHA-256 of the certificate, as a browser shows it.
fn fingerprint(stream: &Tls) -> String {
    let certificate = &stream.conn.peer_certificates().expect("a certificate")[0];
    let digest = digest::digest(&digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[derive(Debug)]
struct Reply {
    code: u16,
    head: String,
    body: String,
}

impl Reply {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { code, head: head.to_owned(), body: body.to_owned() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    fn refused(&self, code: u16, part: &str) {
        assert!(self.code == code && self.head.to_lowercase().contains("application/problem+json"), "{self:?}");
        assert!(self.json()["detail"].as_str().is_some_and(|text| text.contains(part)), "{self:?}");
        assert!(!self.body.contains("\"phase\"") && !self.head.to_lowercase().contains("set-cookie"), "{self:?}");
    }
}

fn read_all(mut stream: impl Read) -> Reply {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    Reply::of(&String::from_utf8_lossy(&bytes))
}

/// Reads until `part` was read; what came so far.
fn read_until(stream: &mut impl Read, part: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(part) {
        let length = stream.read(&mut buffer).expect("more");
        assert!(length > 0, "closed after {text}");
        text += &String::from_utf8_lossy(&buffer[..length]);
    }
    text
}

/// A box that listens on all its addresses.
struct Station(Daemon);

impl Station {
    /// A box without a display.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let board = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/desktop.toml")).expect("a board");
        let board = board.replace("[display]\nkind = \"png\"\n", "");
        fs::write(folder.path().join("board.toml"), board).expect("written");
        Self(Daemon::start_on("0.0.0.0", folder, "[input]\naudio = \"none\"", &[]))
    }

    fn https(&self, request: &str) -> Reply {
        let mut stream = tls("127.0.0.1", self.0.port);
        let _ = stream.write_all(request.as_bytes());
        read_all(stream)
    }

    /// `GET path` with more header lines.
    fn get(&self, path: &str, headers: &str) -> Reply {
        let port = self.0.port;
        self.https(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n"))
    }

    fn post(&self, path: &str, body: &str, headers: &str) -> Reply {
        let (port, length) = (self.0.port, body.len());
        self.https(&format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    fn claim(&self, pin: &str) -> Reply {
        self.post("/api/v1/pair", &json!({ "pin": pin, "name": "Anna's laptop" }).to_string(), "")
    }

    fn with_token(&self, token: &str) -> Reply {
        self.get("/api/v1/status", &format!("Authorization: Bearer {token}\r\n"))
    }

    /// Runs `fieldcastd VERB` beside the daemon; its exit code and what it says.
    fn cli(&self, arguments: &[&str]) -> (i32, String) {
        let folder = self.0.folder.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fieldcastd"));
        command.args(arguments).arg("--settings").arg(folder.join("settings.toml"));
        let output = command.arg("--state").arg(folder.join("state")).output().expect("run");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().expect("a code"), String::from_utf8_lossy(&text).into_owned())
    }

    /// Asks for a PIN as root does.
    fn pin(&self) -> String {
        let (code, text) = self.cli(&["pair"]);
        let pin = text.lines().find_map(|line| line.strip_prefix("PIN")).expect("a line").trim().to_owned();
        assert!(code == 0 && pin.len() == 6 && pin.bytes().all(|c| c.is_ascii_digit()), "{text}");
        pin
    }

    fn paired(&self) -> String {
        let answer = self.claim(&self.pin());
        assert_eq!(answer.code, 200, "{answer:?}");
        answer.json()["token"].as_str().expect("a token").to_owned()
    }
}

/// Whether a file below `folder` holds `text`.
fn kept(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("a folder").flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return kept(&path, text);
        }
        fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    })
}

/// Another PIN than this one.
fn other(pin: &str) -> String {
    format!("{:06}", (pin.parse::<u32>().expect("digits") + 1) % 1_000_000)
}

#[test]
fn a_computer_pairs_with_the_pin_once_and_until_it_is_revoked() {
    let mut station = Station::start();
    let port = station.0.port;
    station.get("/api/v1/status", "").refused(401, "not paired");
    assert!(station.get("/metrics", "").head.to_lowercase().contains("www-authenticate: bearer"));
    for path in ["/healthz", "/metrics", "/preview.jpg", "/api/v1/events", "/api/v1/settings", "/nothing"] {
        station.get(path, "").refused(401, "PIN");
    }
    station.post("/api/v1/commands/start", "{}", "").refused(401, "PIN");
    station.claim("123456").refused(409, "No PIN holds");

    // The answer on every surface is without the PIN.
    let answer = station.0.succeed("pair", json!({}))["result"].clone();
    let seen = fingerprint(&tls("127.0.0.1", port));
    assert_eq!((&answer["fingerprint"], &answer["valid-ms"]), (&json!(seen), &json!(120_000)));
    assert_eq!(answer["shown-on"], "console");
    let file = station.0.folder.path().join("state/pin");
    let pin = fs::read_to_string(&file).expect("the PIN");
    assert!(!answer.to_string().contains(&pin) && station.0.log().contains(&pin), "printed where there is no display");
    let newer = station.pin();
    if newer != pin {
        station.claim(&pin).refused(403, "4 tries are left");
    }
    let granted = station.claim(&newer);
    let token = granted.json()["token"].as_str().expect("a token").to_owned();
    let cookie = granted.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    for part in ["__Host-fieldcast=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(part) && !cookie.contains("Domain"), "{cookie}");
    }
    assert!(!file.exists(), "a PIN that was used is kept nowhere");
    station.claim(&newer).refused(409, "No PIN holds");

    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().expect("a pair"));
    assert_eq!(station.with_token(&token).json()["phase"], "off-air");
    assert_eq!(station.get("/api/v1/status", &cookie).code, 200);
    let own = format!("{cookie}Origin: https://127.0.0.1:{port}\r\n");
    assert_eq!(station.post("/api/v1/commands/settings", "{}", &own).code, 200);
    assert!(!kept(station.0.folder.path(), &token), "only its hash is kept, and nothing is logged");

    // The power went.
    station.0.signal("TERM");
    station.0.ended(Duration::from_secs(10));
    station.0.start_again();
    assert_eq!(fingerprint(&tls("127.0.0.1", port)), seen, "the certificate stays");
    assert_eq!(station.with_token(&token).code, 200);

    let second = station.paired();
    let listed = station.0.succeed("tokens", json!({}))["result"].clone();
    let id = |row: usize| listed[row]["id"].as_str().expect("an id").to_owned();
    let (_, table) = station.cli(&["tokens"]);
    assert!(table.contains("Anna's laptop") && table.contains(&id(1)) && !table.contains(&token), "{table}");
    assert_eq!(station.cli(&["revoke", &id(1)]), (0, "Revoked.\n".into()));
    station.with_token(&second).refused(401, "no more");

    let id = id(0);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{cookie}\r\n");
    let (mut events, mut kept_alive) = (tls("127.0.0.1", port), tls("127.0.0.1", port));
    events.write_all(request("/api/v1/events").as_bytes()).expect("sent");
    read_until(&mut events, "event: status");
    kept_alive.write_all(request("/api/v1/status").as_bytes()).expect("sent");
    read_until(&mut kept_alive, "}}");
    let begun = now();
    station.0.succeed("revoke", json!({ "id": id }));
    kept_alive.write_all(request("/api/v1/status").as_bytes()).expect("sent");
    read_until(&mut kept_alive, "401 Unauthorized");
    // The last chunk of a stream that is over.
    read_until(&mut events, "0\r\n\r\n");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    station.with_token(&token).refused(401, "no more");
    station.get("/api/v1/events", &cookie).refused(401, "no more");
    let (code, text) = station.cli(&["revoke", &id]);
    assert!(code == 2 && text.contains("No paired computer"), "{text}");
    assert_eq!(station.cli(&["tokens"]).1, "No computer is paired.\n");
}

#[test]
fn guessing_costs_the_pin_and_a_wait() {
    let station = Station::start();
    let pin = station.pin();
    for left in ["4 tries", "3 tries", "2 tries", "one try", "void now"] {
        station.claim(&other(&pin)).refused(403, left);
    }
    let refused = station.claim(&pin);
    refused.refused(429, "ask for a new one");
    let wait =
        refused.head.to_lowercase().split("retry-after: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    assert!(wait.is_some_and(|wait: u64| (1..=30).contains(&wait)), "{refused:?}");
    let (code, text) = station.cli(&["pair"]);
    assert!(code == 2 && text.contains("Too many PINs were wrong") && !text.contains(&pin), "{text}");
    assert!(!station.0.folder.path().join("state/pin").exists());
    assert_eq!(station.0.succeed("tokens", json!({}))["result"], json!([]));
}

#[test]
fn forged_and_foreign_requests_are_refused() {
    let station = Station::start();
    let (port, token) = (station.0.port, station.paired());
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let cookie = format!("Cookie: __Host-fieldcast={token}\r\n");
    let path = "/api/v1/status";

    // Tokens that are none.
    let mut forged = token.clone();
    forged.replace_range(0..1, if token.starts_with('0') { "1" } else { "0" });
    for wrong in [forged.as_str(), &token[..63], &format!("{token}0"), "", &"0".repeat(64), "../tokens"] {
        station.with_token(wrong).refused(401, "not paired");
        station.get(path, &format!("Cookie: __Host-fieldcast={wrong}\r\n")).refused(401, "not paired");
        // A wrong one is not mended by a right one.
        station.get(path, &format!("Authorization: Bearer {wrong}\r\n{cookie}")).refused(401, "not paired");
    }
    station.get(path, &format!("Cookie: fieldcast={token}\r\n")).refused(401, "not paired");
    station.get(&format!("{path}?token={token}"), "").refused(401, "not paired");

    // Pages of other sites, with the browser's own cookie.
    for origin in ["https://evil.example", "null", &format!("http://127.0.0.1:{port}"), "https://127.0.0.1:1"] {
        station.get(path, &format!("{cookie}Origin: {origin}\r\n")).refused(403, "other sites");
        station.post("/api/v1/pair", "{}", &format!("Origin: {origin}\r\n")).refused(403, "other sites");
    }
    station.get(path, &format!("{cookie}Sec-Fetch-Site: cross-site\r\n")).refused(403, "other sites");
    station.get(path, &format!("{cookie}Sec-Fetch-Site: same-site\r\n")).refused(403, "other sites");
    station.post("/api/v1/commands/stop", "{}", &cookie).refused(403, "Origin header is needed");
    // A name that an attacker lets point here.
    for host in ["evil.example", &format!("evil.example:{port}"), "192.0.2.7", "fc-00000000.local.evil.example"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{bearer}\r\n");
        station.https(&request).refused(421, "own address and names");
    }
    let absolute =
        format!("GET https://evil.example{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{bearer}\r\n");
    station.https(&absolute).refused(421, "own address and names");
    let id = station.0.status()["id"].as_str().expect("an id").to_owned();
    let named = format!("GET {path} HTTP/1.1\r\nHost: {id}.local:{port}\r\nConnection: close\r\n{bearer}\r\n");
    assert_eq!(station.https(&named).code, 200);

    // Claims that are none; none of them is a try.
    let pin = station.pin();
    for (body, part) in [
        ("{\"pin\": \"12345\", \"name\": \"x\"}", "six digits"),
        ("{\"pin\": 123456, \"name\": \"x\"}", "six digits"),
        ("{\"pin\": \"123456\"}", "1 to 64 characters"),
        ("{\"pin\": \"123456\", \"name\": \"a\\nb\"}", "1 to 64 characters"),
        ("{\"pin\": \"123456\", \"name\": \"x\", \"admin\": true}", "pin and name"),
        ("", "JSON object"),
        ("[]", "JSON object"),
    ] {
        station.post("/api/v1/pair", body, "").refused(422, part);
    }
    station.post("/api/v1/pair", "{", "").refused(400, "not JSON");
    let large = format!("{{\"pin\": \"{pin}\", \"name\": \"{}\"}}", "x".repeat(2000));
    station.post("/api/v1/pair", &large, "").refused(413, "1 KiB");
    // Refused before all of it was sent, which can cost the answer.
    assert!(matches!(station.post("/api/v1/pair", &"x".repeat(100_000), "").code, 413 | 0));
    let log = station.0.log();
    assert!(!log.contains(&token), "{log}");
    assert_eq!(station.claim(&pin).code, 200);

    // The page is for everybody, says nothing of the box and trusts nobody else.
    let page = station.get("/", "Sec-Fetch-Site: cross-site\r\n");
    assert!(
        page.code == 200 && page.head.contains("default-src 'none'") && page.head.contains("frame-ancestors 'none'")
    );
    assert!(!page.body.contains(&id) && !page.body.contains("://"), "{page:?}");
    assert_eq!((station.get("/page.js", "").code, station.get("/page.css", "").code), (200, 200));
}

#[test]
fn who_does_not_speak_tls_to_the_end_is_cut_off() {
    let station = Station::start();
    let begun = now();
    let mut half = tcp("127.0.0.1", station.0.port);
    half.write_all(&[22, 3, 1, 2, 0, 1]).expect("sent");
    let mut rest = Vec::new();
    let _ = half.read_to_end(&mut rest);
    assert!(begun.elapsed() < Duration::from_secs(9) && !String::from_utf8_lossy(&rest).contains("HTTP"));
    let mut nonsense = tcp("127.0.0.1", station.0.port);
    nonsense.write_all(&[22; 600]).expect("sent");
    let mut rest = Vec::new();
    let _ = nonsense.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP"));
    // On loopback the port speaks HTTP too, and asks nobody who they are.
    assert_eq!(station.0.get("/healthz").map(|(code, _)| code), Some(200));
    let pair = "POST /api/v1/pair HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let mut plain = tcp("127.0.0.1", station.0.port);
    plain.write_all(pair.as_bytes()).expect("sent");
    read_all(plain).refused(409, "over HTTPS");
}

#[test]
fn beyond_loopback_there_is_nothing_in_the_clear() {
    let script = "ip link set lo up; ip addr add 192.0.2.7/32 dev lo";
    if in_namespace("beyond_loopback_there_is_nothing_in_the_clear", script) {
        return;
    }
    let plain = |ip: &str, port: u16, host: &str| {
        let mut stream = tcp(ip, port);
        let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        read_all(stream)
    };
    // On all addresses, and on one: then on loopback too.
    for listen in ["0.0.0.0", "192.0.2.7"] {
        let station = Station(Daemon::start_on(listen, tempfile::tempdir().expect("a folder"), "", &[]));
        let port = station.0.port;
        for host in ["192.0.2.7", "localhost", "127.0.0.1"] {
            plain("192.0.2.7", port, host).refused(400, "HTTPS only");
        }
        assert_eq!(plain("127.0.0.1", port, "localhost").code, 200);
        let token = {
            let mut stream = tls("192.0.2.7", port);
            let body = json!({ "pin": station.pin(), "name": "Phone" }).to_string();
            let head = "POST /api/v1/pair HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\n";
            let request = format!("{head}Host: 192.0.2.7:{port}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(request.as_bytes()).expect("sent");
            read_all(stream).json()["token"].as_str().expect("a token").to_owned()
        };
        for (host, code) in [("192.0.2.7", 200), ("127.0.0.1", 421), ("localhost", 421)] {
            let mut stream = tls("192.0.2.7", port);
            let head = format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n");
            stream.write_all(format!("{head}Authorization: Bearer {token}\r\n\r\n").as_bytes()).expect("sent");
            assert_eq!(read_all(stream).code, code, "{host}");
        }
        // One computer that holds all it can get leaves room for the box's own programs.
        let held: Vec<_> = (0..40).map(|_| tcp("192.0.2.7", port)).collect();
        assert_eq!(plain("127.0.0.1", port, "localhost").code, 200);
        drop(held);
    }
    // On loopback nobody pairs.
    let station = Station(Daemon::start(""));
    let (code, text) = station.cli(&["pair"]);
    assert!(code == 2 && text.contains("http.listen"), "{text}");
}
