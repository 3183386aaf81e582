//! What the front panel's display shows.

use super::Daemon;
use crate::{
    control::{Now, menu::View},
    media::Order,
    panel::screen::Scene,
    status::Status,
    units::Time,
};
use std::sync::Arc;

impl Daemon {
    /// Shows `status` on the display, and what its buttons have chosen.
    pub(super) fn show(&mut self, status: &Arc<Status>, now: Now) {
        let Some(front) = &self.front else { return };
        let view = View { address: self.address(), fingerprint: self.fingerprint(), ..self.control.view(now.time) };
        if *self.view != view {
            self.view = Arc::new(view);
        }
        front.show(Scene::Running { status: status.clone(), view: self.view.clone(), thumbnail: None });
    }

    /// Lights the display as the settings say.
    pub(super) fn light(&self) {
        if let Some(front) = &self.front {
            front.brightness(self.layers.settings().panel.brightness);
        }
    }

    /// Asks for a picture of the input, once a second, while somebody looks at a page that has one.
    pub(super) fn look_at_input(&mut self, now: Time) {
        let Some(front) = self.front.as_ref().filter(|front| front.takes_pictures()) else { return };
        match self.control.looked_at(now) {
            Some(worker) => self.order(worker, Order::Preview),
            // An old picture must not be taken for what comes in.
            None => front.picture(None),
        }
    }
}
