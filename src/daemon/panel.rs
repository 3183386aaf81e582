//! What the front panel's display shows.

use super::Daemon;
use crate::{
    control::menu::{Page, View},
    media::Order,
    panel::screen::Scene,
    status::Status,
};
use std::sync::Arc;

impl Daemon {
    /// Shows `status` on the display.
    pub(super) fn show(&mut self, status: Arc<Status>) {
        if let Some(front) = &self.front {
            front.show(Scene::Running { status, view: self.view(), thumbnail: None });
        }
    }

    /// Lights the display as the settings say.
    pub(super) fn light(&self) {
        if let Some(front) = &self.front {
            front.brightness(self.layers.settings().panel.brightness);
        }
    }

    /// Asks for a picture of the input, once a second, while somebody looks at a page that has one.
    pub(super) fn look_at_input(&mut self) {
        let Some(front) = self.front.as_ref().filter(|front| front.takes_pictures()) else { return };
        let view = self.view();
        let looked_at = !view.idle && matches!(view.page, Page::Live | Page::Input);
        match self.control.camera().filter(|_| looked_at) {
            Some(worker) => self.order(worker, Order::Preview),
            // An old picture must not be taken for what comes in.
            None => front.picture(None),
        }
    }

    fn view(&self) -> Arc<View> {
        Arc::new(View::default())
    }
}
