//! X Media Studio from the desk, against the stand-in of X's API. The browser is a few lines that follow the redirect.

use crate::{
    Said,
    broker::{has_programs, kept_requests},
    fieldcast,
    fleet::Field,
    studio_stand_in::{Fault, Route, StandIn as Studio},
    support::{daemon::signal, free_port, wait},
    terminal::Terminal,
};
use serde_json::json;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

/// `fieldcast studio link` that waits for the browser.
struct Linking {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
    /// What it said before the page, with the page.
    said: String,
    page: String,
    port: u16,
}

impl Linking {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let port = free_port();
        let mut command = fieldcast(folder);
        command.args(["studio", "link", "--no-browser", "--json", "--port", &port.to_string()]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
        let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
        let (mut said, mut page) = (String::new(), String::new());
        while !page.starts_with("http") {
            page.clear();
            assert!(err.read_line(&mut page).expect("read") > 0, "it ended without a page: {said}");
            said += &page;
        }
        Self { child, err, said, page: page.trim().to_owned(), port }
    }

    fn callback(&self, query: &str) -> (u16, String) {
        get(&format!("http://127.0.0.1:{}/callback?{query}", self.port))
    }

    fn end(mut self) -> Said {
        self.err.read_to_string(&mut self.said).expect("read");
        Said { err: self.said, ..Said::of(&self.child.wait_with_output().expect("its end")) }
    }
}

/// What comes for bytes that are sent to a port of this computer.
fn raw(authority: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(authority).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer, and all of it.
fn get(url: &str) -> (u16, String) {
    let (authority, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    let answer = raw(authority, request.as_bytes());
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("an answer: {answer:?}")), answer)
}

/// Where the page sends the browser.
fn redirect(page: &str) -> String {
    let (status, answer) = get(page);
    assert_eq!(status, 302, "{answer}");
    let location = answer.lines().find_map(|line| line.to_lowercase().starts_with("location: ").then(|| &line[10..]));
    location.expect("a location").trim().to_owned()
}

/// A configuration folder whose Studio is the stand-in.
fn desk(studio: &Studio) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("[studio]\nbase-url = \"{}\"\nclient-id = \"fieldcast-client\"\n", studio.url());
    fs::write(folder.path().join("config.toml"), file).expect("written");
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Said {
    Said::of(&fieldcast(folder).args(arguments).output().expect("run"))
}

#[test]
fn this_computer_is_linked_in_a_browser_and_asks_x_itself() {
    let studio = Studio::start();
    let folder = desk(&studio);
    let ask = |arguments: &[&str]| run(folder.path(), &[&["studio", "--here"], arguments].concat());
    ask(&["sources"]).is(1, "fieldcast studio link");

    let linking = Linking::start(folder.path(), &["--here"]);
    // A browser opens connections that it does not use, and others may try anything.
    let _idle = TcpStream::connect(("127.0.0.1", linking.port)).expect("connected");
    let authority = format!("127.0.0.1:{}", linking.port);
    assert!(raw(&authority, b"\x16\x03\x01\x02\x00\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert!(raw(&authority, b"POST /callback HTTP/1.1\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.1 400"));
    for query in ["", "code=x", "state=x&code=y", "state=x&error=access_denied"] {
        assert_eq!(linking.callback(query).0, 400, "{query}");
    }
    assert_eq!(get(&format!("http://{authority}/favicon.ico")).0, 400);
    let (status, page) = get(&redirect(&linking.page));
    assert!(status == 200 && page.contains("You can close this page") && page.contains("no-referrer"), "{page}");
    let linked = linking.end();
    assert_eq!(linked.code, Some(0), "{linked:?}");
    let told = &linked.json()[0];
    assert_eq!((&told["id"], &told["result"]["name"]), (&json!("here"), &json!("fieldcast")), "{told}");

    // The tokens are in one file, for this user only, and nowhere else.
    let accounts = folder.path().join("accounts");
    let file = fs::read_dir(&accounts).expect("a folder").flatten().find(|file| file.path().extension().is_some());
    let file = file.expect("a file").path();
    assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
    let kept = fs::read_to_string(&file).expect("text");
    let tokens: Vec<_> = kept.split('"').filter(|part| part.len() >= 80).collect();
    assert!(tokens.len() >= 2, "an access and a refresh token");
    assert!(tokens.iter().all(|token| !linked.out.contains(token) && !linked.err.contains(token)));

    ask(&["accounts"]).is(0, "fieldcast  oauth2");
    ask(&["sources"]).is(0, "there are no sources");
    ask(&["source", "create", "Main"]).is(0, "Main");
    let sources = ask(&["sources", "--json"]).json().remove(0);
    assert_eq!(sources["result"]["sources"][0]["name"], "Main", "{sources}");
    let id = sources["result"]["sources"][0]["id"].as_str().expect("an id").to_owned();
    ask(&["source", "rename", &id, "Spare"]).is(0, "Spare");
    ask(&["source", "delete", &id]).is(2, "deletes for ever Source");
    assert_eq!(studio.calls("DELETE", "/2/sources/{id}"), 0);
    ask(&["source", "delete", &id, "--yes"]).is(0, "done");
    assert_eq!(studio.calls("DELETE", "/2/sources/{id}"), 1);
    ask(&["source", "get", "a/b"]).is(2, "expected an id of the Studio");
    ask(&["broadcasts"]).is(0, "there are no broadcasts");
    ask(&["unlink"]).is(0, "fieldcast");
    ask(&["sources"]).is(1, "fieldcast studio link");
}

#[test]
fn what_comes_to_nothing_at_x_says_so() {
    let studio = Studio::start();
    let folder = desk(&studio);
    studio.sign_in("fieldcast", false);
    let linking = Linking::start(folder.path(), &["--here"]);
    let (status, page) = get(&redirect(&linking.page));
    assert!(status == 200 && page.contains("No account was linked"), "{page}");
    linking.end().is(1, "access was denied at X");

    // A code that came too late.
    studio.sign_in("fieldcast", true);
    let linking = Linking::start(folder.path(), &["--here"]);
    let back = redirect(&linking.page);
    studio.advance(Duration::from_secs(31));
    assert_eq!(get(&back).0, 200);
    let late = linking.end();
    late.is(1, "fieldcast studio link");

    let linking = Linking::start(folder.path(), &["--here"]);
    let taken = run(folder.path(), &["studio", "link", "--here", "--no-browser", "--port", &linking.port.to_string()]);
    taken.is(1, "give another with --port");
    signal(linking.child.id(), "INT");
    linking.end().is(130, "interrupted");
    assert_eq!(studio.calls("POST", "/2/oauth2/token"), 1);
    run(folder.path(), &["studio", "accounts", "--here"]).is(0, "there are no accounts");

    fs::write(folder.path().join("config.toml"), "").expect("written");
    run(folder.path(), &["studio", "link", "--here"]).is(2, "--client-id");
    run(folder.path(), &["studio", "sources"]).is(2, "where are the boxes?");
    run(folder.path(), &["studio", "sources", "--here", "--all"]).is(2, "give one of them");
    run(folder.path(), &["studio", "download", "13_1"]).is(2, "--output");
}

#[test]
fn tokens_of_oauth_1_come_from_a_file() {
    let studio = Studio::start();
    let folder = desk(&studio);
    let signer = studio.signer("fieldcast");
    let file = folder.path().join("tokens.toml");
    let text = format!(
        "consumer-key = \"{}\"\nconsumer-secret = \"{}\"\ntoken = \"{}\"\ntoken-secret = \"{}\"\n",
        signer.consumer_key, signer.consumer_secret, signer.token, signer.token_secret
    );
    let link = |text: &str| {
        fs::write(&file, text).expect("written");
        run(folder.path(), &["studio", "link", "--here", "--oauth1", file.to_str().expect("a path")])
    };
    let wrong = link(&text.replace("token-secret", "token_secret"));
    wrong.is(2, "token-secret");
    assert!(!wrong.err.contains(&signer.token_secret));
    link(&text).is(0, "oauth1");
    run(folder.path(), &["studio", "sources", "--here"]).is(0, "there are no sources");
}

#[test]
fn a_box_gets_the_tokens_once_and_no_broker_keeps_them() {
    if !has_programs() {
        return;
    }
    let (studio, field) = (Studio::start(), Field::start());
    let of_box = json!({"studio.base-url": {"value": studio.url()}, "studio.client-id": {"value": "fieldcast-client"}});
    field.on_air.give("settings", json!({ "settings": of_box }));
    field.on_air.give("studio-link", json!({"name": "fieldcast"}));
    field.run(&["studio", "link", "--all"]).is(2, "one box at a time");
    field.run(&["studio", "link"]).is(2, "which boxes?");
    field.run(&["studio", "link", "OB van 3"]).is(1, "offline");
    // Neither the box nor this computer knows an app.
    field.run(&["studio", "link", "OB van 1"]).is(2, "--client-id");
    assert!(field.off_air.requests().iter().all(|(_, known)| known["args"].to_string().len() < 5));

    let linking = Linking::start(field.folder(), &["Pult"]);
    assert_eq!(get(&redirect(&linking.page)).0, 200);
    let linked = linking.end();
    assert_eq!(linked.code, Some(0), "{linked:?}");
    assert_eq!(linked.json()[0]["result"]["name"], "fieldcast");
    let requests = field.on_air.requests();
    let names: Vec<_> = requests.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["studio-link", "settings", "studio-link"], "asked without tokens first");
    assert_eq!(requests[0].1["args"], json!({}));
    let handed = &requests[2].1;
    assert_eq!((&handed["args"]["client-id"], &handed["kept"]), (&json!("fieldcast-client"), &json!(false)));
    for name in ["access-token", "refresh-token"] {
        let token = handed["args"][name].as_str().expect("a token");
        assert!(!linked.out.contains(token) && !linked.err.contains(token));
    }
    assert_eq!(kept_requests(&field.broker), Vec::<String>::new());
    let kept = fs::read_dir(field.folder().join("accounts")).map_or(0, Iterator::count);
    assert_eq!(kept, 0, "this computer keeps none");

    // Where everyone could read them, nothing is even begun.
    let open = "broker = \"mqtt://192.0.2.1\"\nallow-plaintext = true\n";
    fs::write(field.folder().join("config.toml"), open).expect("written");
    field.run(&["studio", "link", "Pult", "--client-id", "x"]).is(2, "could read the account's tokens");
}

#[test]
fn boxes_publish_and_a_stop_says_what_becomes_of_the_broadcast() {
    if !has_programs() {
        return;
    }
    let field = Field::start();
    field.run(&["publish", "Pult", "--title", "Gala", "--hashtag", "news", "--chat", "off", "--no-post"]).is(0, "done");
    let args = json!({"title": "Gala", "tags": ["news"], "chat": "off", "post": false});
    assert_eq!(field.on_air.requests()[0].1["args"], args);
    field.run(&["publish", "Pult", "--hashtag", "a", "--hashtag", "b", "--hashtag", "c"]).is(2, "at most two");
    field.run(&["end", "Pult"]).is(2, "end ends for its viewers the Broadcast of Pult (on air). Go on?");
    field.run(&["end", "Pult", "--yes"]).is(0, "done");
    assert_eq!(field.on_air.requests().last().expect("asked").1["args"], json!({"confirm": true}));
    field.on_air.give("studio-sources", json!({"sources": [{"id": "12", "name": "Main", "active": true}]}));
    field.run(&["studio", "sources", "Pult"]).is(0, "12  Main");

    field.on_air.publish();
    let refused = field.run(&["stop", "Pult", "--yes"]);
    refused.is(2, "--end ends the Broadcast as well, --keep-broadcast leaves it");
    assert_eq!(field.on_air.phase(), "on-air");
    let terminal = Terminal::run(field.folder(), "stop Pult --yes");
    terminal.shows("End it as well, or keep it? [end/keep/N]");
    terminal.press(&["Enter"]);
    terminal.shows("ended with 2");
    assert_eq!(field.on_air.phase(), "on-air");
    let terminal = Terminal::run(field.folder(), "stop Pult --yes");
    terminal.shows("[end/keep/N]");
    terminal.press(&["e", "Enter"]);
    terminal.shows("ended with 0");
    let args = json!({"confirm": true, "end": true});
    assert_eq!((field.on_air.phase(), &field.on_air.requests().last().expect("asked").1["args"]), ("off-air", &args));
    field.run(&["start", "Pult"]).is(0, "done");
    field.run(&["stop", "Pult", "--keep-broadcast", "--yes"]).is(0, "done");
    assert_eq!(field.on_air.requests().last().expect("asked").1["args"], json!({"confirm": true, "end": false}));
    wait("it is off air", Duration::from_secs(5), || (field.on_air.phase() == "off-air").then_some(()));
}

#[test]
fn files_of_this_computer_go_to_x_and_come_back() {
    let studio = Studio::start();
    let folder = desk(&studio);
    let linking = Linking::start(folder.path(), &["--here"]);
    assert_eq!(get(&redirect(&linking.page)).0, 200);
    linking.end().is(0, "fieldcast");

    // ISO BMFF by its first box: three segments and a piece.
    let clip = folder.path().join("clip.mp4");
    let mut bytes = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
    bytes.resize(11_000_000, 7);
    fs::write(&clip, &bytes).expect("written");
    let clip = clip.to_str().expect("a path");
    let uploaded = run(folder.path(), &["studio", "upload", clip, "--json"]);
    assert_eq!(uploaded.code, Some(0), "{uploaded:?}");
    let told = uploaded.json().remove(0);
    assert_eq!((&told["id"], &told["command"]), (&json!("here"), &json!("studio-upload")));
    let media = studio.media().remove(0);
    assert!(media.finalized && media.length == 11_000_000, "{media:?}");
    let id = told["result"]["id"].as_str().expect("an id");
    run(folder.path(), &["studio", "post", "Hello", "--media", id, "--here"]).is(0, "Hello");
    assert_eq!(studio.posts().len(), 1);
    run(folder.path(), &["studio", "upload", "nowhere.mp4"]).is(1, "nowhere.mp4");

    let key = told["result"]["media-key"].as_str().expect("a key");
    run(folder.path(), &["studio", "media", key, "--here"]).is(0, key);
    let back = folder.path().join("back.mp4");
    run(folder.path(), &["studio", "download", key, "-o", back.to_str().expect("a path")]).is(0, "done");
    assert_eq!(fs::metadata(&back).expect("a file").len(), 11_000_000);

    if !has_programs() {
        return;
    }
    // On a terminal it is shown how far it is, and Ctrl-C says how it goes on.
    studio.fail(Route::Append, Fault::Drip(Duration::from_millis(30)), 1);
    studio.fail(Route::Append, Fault::Hang, 1);
    let terminal = Terminal::run(folder.path(), &format!("studio upload {clip} --category amplify_video"));
    terminal.shows("1.0 of 11.0 MB: Uploading, ");
    terminal.press(&["C-c"]);
    terminal.shows("type the same again to go on from there");
    terminal.shows("ended with 130");
    studio.stop_failing();
    run(folder.path(), &["studio", "upload", clip, "--category", "amplify_video"]).is(0, "media key");
    assert_eq!(studio.calls("POST", "/2/media/upload/initialize"), 2, "it went on with the one that was begun");
}
