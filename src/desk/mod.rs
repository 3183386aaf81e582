//! `fieldcast`, the operator's command line: any number of boxes through an MQTT broker, or one over HTTPS.
//!
//! | where | what |
//! |---|---|
//! | `args` `config` | what can be typed, and where the boxes are |
//! | `pick` `order` `round` `fleet` `seen` | pure: which boxes are meant, what is asked of them, who has answered what, what is known of them |
//! | `words` `say` | what is printed |
//! | `watch` | the live table: `rows` (its keys) is pure, `view` draws |
//! | `address` `paired` `pair` `direct` | one box over HTTPS, known by its certificate |
//! | `wire` `broker` | MQTT 5 and 3.1.1 as one; hearing of boxes through it, and asking them |
//! | `link` `session` | both ways as one, and a use of the command line |
//! | `update` | a new system for boxes: what is sent, one part of a fleet after the other |
//! | `studio` | X Media Studio, asked by boxes or by this computer; linking an account |
//!
//! Nothing here is decided for a box: it refuses by itself what is not confirmed.

mod address;
mod args;
mod broker;
mod config;
mod direct;
mod fleet;
mod link;
mod order;
mod pair;
mod paired;
mod pick;
mod round;
mod say;
mod seen;
mod session;
mod studio;
mod update;
mod watch;
mod wire;
mod words;

pub use args::Cli;

use address::Address;
use args::{Boxes, Options, Verb};
use broker::Broker;
use config::Way;
use direct::Direct;
use link::DirectLink;
use order::Order;
use paired::Store;
use pick::Choice;
use round::{INTERRUPTED, NONE, Outcome, Round, SOME, Stage, Tally, WRONG};
use say::Progress;
use seen::Seen;
use session::{Link, Running, Session};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use studio::args::StudioVerb;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why nothing was done.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    code: u8,
    text: String,
}

impl Refusal {
    fn wrong(text: impl Into<String>) -> Self {
        Self { code: WRONG, text: text.into() }
    }

    fn interrupted() -> Self {
        Self { code: INTERRUPTED, text: "interrupted".into() }
    }

    fn failed(text: impl Into<String>) -> Self {
        Self { code: NONE, text: text.into() }
    }
}

/// Does what was typed; the exit code.
pub fn run(cli: Cli) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say::note(&format!("no event queue: {error}"));
            return NONE;
        }
    };
    let done = runtime.block_on(act(cli));
    // A name server that hangs must not keep the operator.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done.unwrap_or_else(|refusal| {
        say::note(&refusal.text);
        refusal.code
    })
}

async fn act(Cli { options, verb }: Cli) -> Result<u8, Refusal> {
    if let Verb::Completions { shell } = verb {
        say::out(&String::from_utf8_lossy(&args::completions(shell)));
        return Ok(round::ALL);
    }
    let environment = |name: &str| std::env::var(name).ok();
    let file = config::path(&options, environment).map_err(Refusal::wrong)?;
    if let Verb::Pair { url, fingerprint, name } = &verb {
        return pair::pair(url, fingerprint.as_deref(), name.as_deref(), &file).await;
    }
    let order = order::order(&verb).map_err(Refusal::wrong)?;
    let text = config::read(&file).map_err(Refusal::wrong)?;
    if text.is_none() && options.config.is_some() {
        return Err(Refusal::wrong(format!("{} is not there", file.display())));
    }
    let settle = || config::settle(&options, text.as_deref(), &file, environment).map_err(Refusal::wrong);
    if let Verb::Studio(asked) = &verb {
        let settings = config::studio(text.as_deref(), &file, environment).map_err(Refusal::wrong)?;
        let here = studio::order::is_here(asked, &options).map_err(Refusal::wrong)?;
        match (&asked.verb, &order) {
            (StudioVerb::Link(link), _) if here => return studio::link(link, None, &settings, &file, &options).await,
            (StudioVerb::Link(link), _) => {
                let way = settle()?;
                studio::is_private(&way).map_err(Refusal::wrong)?;
                let mut session = open(&way, &file, &verb).await?;
                let linked = studio::link(link, Some((&mut session, &way)), &settings, &file, &options).await;
                session.close().await;
                return linked;
            }
            (_, Some((order, _))) if here => return studio::ask(order, &settings, &file, &options).await,
            _ => {}
        }
    }
    let way = settle()?;
    let choose = |boxes: Vec<String>, acts: bool| {
        let acts = acts && matches!(way, Way::Broker(_));
        order::choice(boxes, &options.tags, options.all, acts).map_err(Refusal::wrong)
    };
    let (Verb::List(Boxes { boxes }) | Verb::Status(Boxes { boxes }) | Verb::Watch(Boxes { boxes })) = &verb else {
        let Some((order, boxes)) = order else { return Err(Refusal::wrong("there is nothing to do")) };
        let choice = choose(boxes, true)?;
        if let (Verb::Logs { follow: true, .. }, Way::Direct(_)) = (&verb, &way) {
            return Err(Refusal::wrong("--follow is for brokers; straight to a box ask again, with --since"));
        }
        if let (Some(file), Way::Broker(_)) = (&order.file, &way) {
            return Err(Refusal::wrong(update::not_through_a_broker(file)));
        }
        let mut session = open(&way, &file, &verb).await?;
        let order = order.within(options.timeout);
        let code = match &verb {
            Verb::Update(update) => roll(&mut session, &order, &choice, &options, update).await,
            _ => command(&mut session, &order, &choice, &options, output(&verb)).await,
        };
        let code = match (code, &verb) {
            (Ok(code), Verb::Logs { follow: true, .. }) if code != INTERRUPTED && code != NONE => {
                follow(&mut session, options.json).await.map(|()| code)
            }
            (code, _) => code,
        };
        session.close().await;
        return code;
    };
    let choice = choose(boxes.clone(), false)?;
    let mut session = open(&way, &file, &verb).await?;
    let code = look(&mut session, &choice, &options, &verb).await;
    session.close().await;
    code
}

async fn open(way: &Way, config: &Path, verb: &Verb) -> Result<Session, Refusal> {
    match way {
        Way::Direct(word) => {
            let direct = direct_way(word, &Store::load(config).map_err(Refusal::wrong)?)?;
            let (link, heard) = DirectLink::open(direct).await.map_err(Refusal::failed)?;
            Ok(Session::new(Link::Direct(link), heard))
        }
        Way::Broker(broker) => {
            let (broker, heard) = Broker::open(broker, &wanted(verb)).map_err(Refusal::wrong)?;
            Ok(Session::new(Link::Broker(broker), heard))
        }
    }
}

/// What boxes tell that `verb` needs, beside what they are and whether they are there.
fn wanted(verb: &Verb) -> Vec<&'static str> {
    let more: &[_] = match verb {
        Verb::Status(_) | Verb::Watch(_) => &["info", "stats"],
        Verb::List(_) => &["info"],
        Verb::Preview { .. } => &["preview"],
        Verb::Diagnostics { .. } => &["diagnostics"],
        Verb::Logs { follow: true, .. } => &["log"],
        _ => &[],
    };
    [&["availability", "status"], more].concat()
}

/// The box that is called `word`.
fn direct_way(word: &str, store: &Store) -> Result<Direct, Refusal> {
    if let Some(paired) = store.find(word) {
        let known = (paired.fingerprint, paired.token.clone());
        return Ok(Direct { address: paired.url.clone(), paired: Some(known) });
    }
    let address: Address = word.parse().map_err(Refusal::wrong)?;
    match address.clear {
        true => Ok(Direct { address, paired: None }),
        false => Err(Refusal::wrong(format!("this computer is not paired with {address}: fieldcast pair {address}"))),
    }
}

/// Ctrl-C, or being told to end: what was asked is taken back first.
struct End {
    typed: Signal,
    told: Signal,
}

impl End {
    fn new() -> Result<Self, Refusal> {
        let listen = |kind| signal(kind).map_err(|error| Refusal::failed(error.to_string()));
        Ok(Self { typed: listen(SignalKind::interrupt())?, told: listen(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.typed.recv() => {}
            _ = self.told.recv() => {}
        }
    }
}

async fn gather(session: &mut Session, choice: &Choice, end: &mut End) -> Result<(), Refusal> {
    tokio::select! {
        gathered = session.gather(choice, say::note) => gathered.map_err(Refusal::failed),
        () = end.asked() => Err(Refusal::interrupted()),
    }
}

/// `list`, `status` and `watch`.
async fn look(session: &mut Session, choice: &Choice, options: &Options, verb: &Verb) -> Result<u8, Refusal> {
    gather(session, choice, &mut End::new()?).await?;
    if let Verb::Watch(_) = verb {
        watch::watch(session, choice, options.json, options.timeout).await.map_err(Refusal::wrong)?;
        return Ok(round::ALL);
    }
    let candidates = session.fleet.candidates();
    if candidates.is_empty() && choice.all {
        say::note("there are no boxes");
        return Ok(round::ALL);
    }
    let ids = choice.pick(&candidates).map_err(Refusal::wrong)?;
    if let Verb::Status(_) = verb {
        session.figures(&ids).await;
    }
    let boxes: Vec<&Seen> = ids.iter().filter_map(|id| session.fleet.get(id)).collect();
    let now = crate::sys::now();
    let each = |show: &dyn Fn(&Seen) -> String| boxes.iter().map(|seen| show(seen)).collect::<String>();
    say::out(&match verb {
        _ if options.json => each(&|seen| format!("{}\n", seen.document(now))),
        Verb::List(_) => words::list(&boxes, now),
        _ => each(&|seen| words::status(seen, now)),
    });
    // To look at is asked of each as well: who is offline has told nothing of now.
    let there = boxes.iter().filter(|seen| seen.online(now)).count();
    let looked = Tally { done: there, of: boxes.len() };
    Ok(if let Verb::Status(_) = verb { looked.code() } else { round::ALL })
}

/// The file that the verb writes.
fn output(verb: &Verb) -> Option<PathBuf> {
    match verb {
        Verb::Preview { output, .. } => Some(output.clone()),
        Verb::Diagnostics { output, .. } => output.clone(),
        _ => None,
    }
}

/// Prints what boxes say in their logs, until Ctrl-C or until they stop by themselves.
async fn follow(session: &mut Session, json: bool) -> Result<(), Refusal> {
    let mut end = End::new()?;
    let begun = crate::sys::now();
    while crate::sys::now().since(begun) < order::FOLLOW {
        tokio::select! {
            _ = session.step(&mut []) => {}
            () = end.asked() => return Ok(()),
        }
        for (id, line) in std::mem::take(&mut session.lines) {
            let name = session.fleet.get(&id).map_or_else(|| id.clone(), Seen::name);
            say::out(&match json {
                true => format!("{}\n", serde_json::json!({ "id": id, "name": name, "line": line })),
                false => format!("{name}  {}\n", words::log_line(&line)),
            });
        }
    }
    say::note("the boxes send no more; ask again");
    Ok(())
}

/// Sends `order` to the boxes that are meant, and waits for their answers.
async fn command(
    session: &mut Session,
    order: &Order,
    choice: &Choice,
    options: &Options,
    output: Option<PathBuf>,
) -> Result<u8, Refusal> {
    let mut end = End::new()?;
    gather(session, choice, &mut end).await?;
    let ids = choice.pick(&session.fleet.candidates()).map_err(Refusal::wrong)?;
    let confirmed = confirmed(session, order, &ids, options.yes, &mut end).await?;
    let (running, interrupted) = told(session, order, &ids, &confirmed, options.json, &mut end).await?;
    if interrupted {
        return Ok(INTERRUPTED);
    }
    let tally = running.round.tally();
    let mut asking = running.round.asking();
    asking.retain(|(id, _)| order.command == "stop" && confirmed.contains(id));
    if !asking.is_empty() {
        return stop_public(session, order, asking, tally, options.json, &mut end).await;
    }
    let code = tally.code();
    Ok(match output {
        Some(path) if code != NONE => code.max(save(&running, &path)),
        _ => code,
    })
}

/// `update`: one part of the boxes after the other.
async fn roll(
    session: &mut Session,
    order: &Order,
    choice: &Choice,
    options: &Options,
    update: &update::Update,
) -> Result<u8, Refusal> {
    let mut end = End::new()?;
    gather(session, choice, &mut end).await?;
    let ids = choice.pick(&session.fleet.candidates()).map_err(Refusal::wrong)?;
    let confirmed = confirmed(session, order, &ids, options.yes || update.force, &mut end).await?;
    let (mut done, mut asked) = (0, 0);
    for part in update::parts(&ids, update.at_most) {
        let (running, interrupted) = told(session, order, part, &confirmed, options.json, &mut end).await?;
        done += running.round.tally().done;
        asked += part.len();
        if interrupted {
            return Ok(INTERRUPTED);
        }
        if update::went_wrong(&running.round) && !update.keep_going && asked < ids.len() {
            say::note(&format!("stopped after a failure: {} boxes were not asked", ids.len() - asked));
            break;
        }
    }
    Ok(Tally { done, of: ids.len() }.code())
}

/// The rest of a stop of boxes that are public, once the operator has said whether their Broadcasts end as well; `before`: what
/// came of the first try.
async fn stop_public(
    session: &mut Session,
    order: &Order,
    asking: Vec<(String, String)>,
    before: Tally,
    json: bool,
    end: &mut End,
) -> Result<u8, Refusal> {
    let (ids, names): (Vec<_>, Vec<_>) = asking.into_iter().unzip();
    let names = names.join(", ");
    let with_end = match meanwhile(session, end, move || say::which(&names)).await? {
        Ok(with_end) => with_end,
        Err(text) => return Err(Refusal { code: if before.done == 0 { WRONG } else { SOME }, text }),
    };
    let order = Order { arguments: serde_json::json!({ "end": with_end }), ..order.clone() };
    let confirmed = ids.iter().cloned().collect();
    let (running, interrupted) = told(session, &order, &ids, &confirmed, json, end).await?;
    let done = before.done + running.round.tally().done;
    Ok(if interrupted { INTERRUPTED } else { Tally { done, ..before }.code() })
}

/// Has `order` carried out and tells of it; true: Ctrl-C came before the end.
async fn told(
    session: &mut Session,
    order: &Order,
    ids: &[String],
    confirmed: &BTreeSet<String>,
    json: bool,
    end: &mut End,
) -> Result<(Running, bool), Refusal> {
    let mut progress = Progress::new(json);
    let done = carry_out(session, order, ids, confirmed, end, |round| progress.show(round)).await?;
    progress.end(&done.0.round);
    Ok(done)
}

/// Has `order` carried out and shows how far it is; true: Ctrl-C came before the end.
async fn carry_out(
    session: &mut Session,
    order: &Order,
    ids: &[String],
    confirmed: &BTreeSet<String>,
    end: &mut End,
    mut show: impl FnMut(&Round),
) -> Result<(Running, bool), Refusal> {
    let mut running = [session.begin(order, ids, confirmed).map_err(Refusal::failed)?];
    show(&running[0].round);
    let mut interrupted = false;
    while !interrupted && !running[0].is_over(crate::sys::now()) {
        let changed = tokio::select! {
            changed = session.step(&mut running) => changed,
            () = end.asked() => {
                interrupted = true;
                running[0].round.leave();
                true
            }
        };
        if changed {
            show(&running[0].round);
        }
    }
    session.finish(&running[0]);
    let [running] = running;
    Ok((running, interrupted))
}

/// What comes of `order` at the box `id`, without a word.
async fn ask_one(session: &mut Session, order: &Order, id: &String, end: &mut End) -> Result<Outcome, Refusal> {
    let ids = std::slice::from_ref(id);
    let (running, interrupted) = carry_out(session, order, ids, &BTreeSet::new(), end, |_| ()).await?;
    match running.round.rows().get(id).map(|row| &row.stage) {
        Some(Stage::Over(outcome)) if !interrupted => Ok(outcome.clone()),
        _ => Err(Refusal::interrupted()),
    }
}

/// Asks the operator something. People take their time, and the boxes go on telling.
async fn meanwhile<T: Send + 'static>(
    session: &mut Session,
    end: &mut End,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let mut asked = tokio::task::spawn_blocking(ask);
    loop {
        tokio::select! {
            asked = &mut asked => return asked.map_err(|error| Refusal::failed(error.to_string())),
            _ = session.step(&mut []) => {}
            () = end.asked() => return Err(Refusal::interrupted()),
        }
    }
}

/// The boxes for which the operator takes it that they go off air, or whatever else is taken away.
async fn confirmed(
    session: &mut Session,
    order: &Order,
    ids: &[String],
    yes: bool,
    end: &mut End,
) -> Result<BTreeSet<String>, Refusal> {
    let Some(ends) = &order.ends else { return Ok(BTreeSet::new()) };
    if yes {
        return Ok(ids.iter().cloned().collect());
    }
    let now = crate::sys::now();
    let meant = match order.of_all {
        true => ids.iter().filter_map(|id| session.fleet.get(id)).collect(),
        false => session.fleet.pushing(ids, now),
    };
    if meant.is_empty() {
        return Ok(BTreeSet::new());
    }
    let named: Vec<_> = meant.iter().map(|seen| format!("{} ({})", seen.name(), words::state(seen, now))).collect();
    let question = format!("{} {ends} {}. Go on?", order.command, named.join(", "));
    let ids: BTreeSet<_> = meant.iter().map(|seen| seen.id().to_owned()).collect();
    match meanwhile(session, end, move || say::confirm(&question)).await?.map_err(Refusal::wrong)? {
        true => Ok(ids),
        false => Err(Refusal::wrong("nothing was sent")),
    }
}

/// Writes the files that came; [`SOME`] when one is missing.
fn save(running: &Running, path: &Path) -> u8 {
    let alone = running.round.rows().len() == 1;
    let mut code = round::ALL;
    for (id, row) in running.round.rows().iter().filter(|(_, row)| row.stage.result().is_some()) {
        let path = if alone { path.to_owned() } else { with_id(path, id) };
        let written = match running.files.get(id) {
            Some(bytes) => std::fs::write(&path, bytes).map_err(|error| error.to_string()),
            None => Err("it did not come".into()),
        };
        if let Err(error) = written {
            say::note(&format!("{}: nothing is in {}: {error}", row.name, path.display()));
            code = SOME;
        }
    }
    code
}

/// `x.jpg` of a box: `x-fc-1a2b3c4d.jpg`.
fn with_id(path: &Path, id: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{id}{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_several_boxes_have_names_of_their_own() {
        assert_eq!(with_id(Path::new("/tmp/x.jpg"), "fc-1"), Path::new("/tmp/x-fc-1.jpg"));
        assert_eq!(with_id(Path::new("x"), "fc-1"), Path::new("x-fc-1"));
    }

    #[test]
    fn an_unpaired_box_is_not_asked() {
        let refused = direct_way("192.0.2.17", &Store::default()).expect_err("refused");
        assert!(
            refused.code == WRONG && refused.text.contains("fieldcast pair https://192.0.2.17:8443"),
            "{refused:?}"
        );
        assert!(direct_way("http://localhost:8080", &Store::default()).is_ok());
    }
}
