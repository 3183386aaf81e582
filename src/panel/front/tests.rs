use super::*;
use crate::control::menu::{Hold, Page};
use std::fs;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

struct Desk {
    folder: TempDir,
    painter: Painter,
    events: UnboundedReceiver<Event>,
}

impl Desk {
    /// A picture file as the display; `file` is below a folder that can be taken away.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kind = DisplayKind::Png { file: Some(folder.path().join("glass/panel.png")) };
        let (sender, events) = unbounded_channel();
        let painter = Painter::new(board::Display { kind, rotate: 0 }, folder.path().into(), None, sender);
        Self { folder, painter, events }
    }

    fn paint(&mut self, scene: Scene, ms: u64) {
        let order = Order { scene, wall: None, brightness: 80, picture: None, last: false };
        self.painter.paint(order, Time::from_millis(ms));
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("glass/panel.png")
    }

    fn told(&mut self) -> Vec<(bool, u64)> {
        let mut told = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            let Event::Display { present, errors } = event else { panic!("{event:?}") };
            told.push((present, errors));
        }
        told
    }
}

fn view(page: Page, hold: bool) -> Arc<View> {
    let bar = Hold { text: "Go on air".into(), since: Time::ZERO, until: Time::from_millis(1000) };
    Arc::new(View { page, hold: hold.then_some(bar), ..View::default() })
}

fn running(view: Arc<View>) -> Scene {
    Scene::Running { status: Arc::new(crate::status::tests::on_air()), view, thumbnail: None }
}

fn wanted(scene: Scene, fresh: bool) -> Wanted {
    Wanted { scene, fresh, dated: None, brightness: 80, picture: None, ending: false, ended: false }
}

fn due(desk: &Desk, wanted: &Wanted, ms: u64) -> Option<u64> {
    desk.painter.due(wanted, Time::from_millis(ms)).map(Time::millis)
}

#[test]
fn what_is_pressed_is_shown_at_once_and_figures_in_their_own_time() {
    let mut desk = Desk::new();
    desk.painter.display.kind = DisplayKind::Terminal { device: desk.folder.path().join("tty") };
    fs::write(desk.folder.path().join("tty"), "").expect("a file");
    desk.paint(running(view(Page::Live, false)), 1000);
    assert_eq!(desk.told(), [(true, 0)]);
    (desk.painter.next, desk.painter.cost) = (None, Duration::from_millis(5));
    assert_eq!(due(&desk, &wanted(running(view(Page::Live, false)), true), 1005), Some(1100));
    assert_eq!(due(&desk, &wanted(running(view(Page::Live, false)), true), 1300), Some(1300));
    assert_eq!(due(&desk, &wanted(running(view(Page::Input, false)), true), 1005), Some(1010));
    assert_eq!(due(&desk, &wanted(running(view(Page::Live, false)), false), 1005), None, "nothing has changed");
    for (cost, at) in [(40, 1400), (300, 2000)] {
        desk.painter.cost = Duration::from_millis(cost);
        assert_eq!(due(&desk, &wanted(running(view(Page::Live, false)), true), 1005), Some(at), "a slow box");
        assert_eq!(due(&desk, &wanted(running(view(Page::Input, false)), true), 1005), Some(1010));
    }
    desk.paint(running(view(Page::Live, true)), 2000);
    desk.painter.next = Some(Time::from_millis(2010));
    assert_eq!(due(&desk, &wanted(running(view(Page::Live, true)), false), 2000), Some(2050), "the bar fills");
    let mut last = wanted(Scene::Stopped, true);
    last.ending = true;
    assert_eq!(due(&desk, &last, 2001), Some(2001));
}

#[test]
fn a_picture_file_is_written_on_change_only() {
    let mut desk = Desk::new();
    desk.paint(running(view(Page::Live, false)), 1000);
    assert!(desk.file().exists());
    assert_eq!(due(&desk, &wanted(running(view(Page::Live, false)), true), 1005), Some(1500));
    fs::remove_file(desk.file()).expect("removed");
    desk.paint(running(view(Page::Live, false)), 1000);
    assert!(!desk.file().exists(), "the same again");
    desk.paint(running(view(Page::Input, false)), 3000);
    assert!(desk.file().exists());
}

#[test]
fn a_display_that_goes_is_told_and_found_again() {
    let mut desk = Desk::new();
    let pages = |number: usize| running(view(Page::ALL[number], false));
    desk.paint(pages(0), 1000);
    fs::remove_dir_all(desk.folder.path().join("glass")).expect("pulled");
    fs::write(desk.folder.path().join("glass"), "").expect("nothing can be made there");
    desk.paint(pages(1), 2000);
    assert_eq!(desk.told(), [(true, 0)], "one failure is no reason to worry");
    assert_eq!(due(&desk, &wanted(pages(2), true), 2001), Some(2200), "tried again soon, whatever is wanted");
    desk.paint(pages(1), 2200);
    assert_eq!(desk.told(), [(false, 2)]);
    assert_eq!(due(&desk, &wanted(pages(2), true), 2201), Some(4200));
    desk.paint(pages(1), 4200);
    assert_eq!(desk.told(), [], "it is still away");
    fs::remove_file(desk.folder.path().join("glass")).expect("removed");
    desk.paint(pages(1), 6200);
    assert_eq!(desk.told(), [(true, 2)]);
    assert!(desk.file().exists());
    desk.painter.next = None;
    assert_eq!(due(&desk, &wanted(pages(1), false), 6201), None);
}

#[test]
fn one_that_was_never_there_is_told_after_the_second_try() {
    let mut desk = Desk::new();
    fs::write(desk.folder.path().join("glass"), "").expect("nothing can be made there");
    desk.paint(Scene::Splash { version: "1".into() }, 0);
    assert_eq!(desk.told(), []);
    desk.paint(Scene::Splash { version: "1".into() }, 200);
    assert_eq!(desk.told(), [(false, 0)], "what is not open has not failed");
}

#[test]
fn an_idle_picture_is_dimmed_and_moves_by_a_pixel_each_minute() {
    let mut desk = Desk::new();
    let idle = Arc::new(View { idle: true, ..View::default() });
    let mut places = Vec::new();
    for minute in 0..9 {
        desk.paint(running(idle.clone()), minute * 60_000);
        let (_, care) = desk.painter.shown.as_ref().expect("shown");
        assert!(care.dim);
        places.push(care.shift);
    }
    assert_eq!(places[..8], CIRCLE);
    assert_eq!(places[8], CIRCLE[0]);
    let step = |pair: &[(i32, i32)]| (pair[0].0 - pair[1].0).abs() + (pair[0].1 - pair[1].1).abs();
    assert!(places.windows(2).all(|pair| step(pair) == 1), "{places:?}");
    desk.painter.next = None;
    assert_eq!(due(&desk, &wanted(running(idle), false), 480_001), Some(540_000));
    desk.paint(running(view(Page::Live, false)), 490_000);
    let (_, care) = desk.painter.shown.as_ref().expect("shown");
    assert_eq!((care.dim, care.shift), (false, (0, 0)));
}

#[test]
fn the_last_picture_stays_and_nothing_comes_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("panel.png");
    let display = board::Display { kind: DisplayKind::Png { file: None }, rotate: 180 };
    let (sender, _events) = unbounded_channel();
    let front = Front::start(&display, &[], folder.path(), sender).expect("a thread");
    assert!(front.takes_pictures() && front.keypad().is_none());
    front.end(Scene::Failed("settings.toml:3: name: is empty".into()));
    let last = fs::read(&file).expect("shown before it returned");
    front.show(Scene::Stopped);
    front.end(Scene::Stopped);
    assert_eq!(fs::read(&file).expect("the file"), last);
}
