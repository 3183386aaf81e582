//! Media-controller links: enabled once when a receiver is opened, and the picture format passed on along them.

use super::nodes;
use crate::{
    board::{Link, Pad},
    sys::v4l2::{Entity, Node},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The nodes and pads of enabled links, from the receiver to the capture node.
#[derive(Debug)]
pub(super) struct Route(Vec<((PathBuf, u16), (PathBuf, u16))>);

/// Enables `links` on the media device that has all of their entities.
///
/// # Errors
/// What the driver says; ENODEV when no media device has them.
pub(super) fn enable(root: &Path, links: &[Link]) -> io::Result<Route> {
    let entries = fs::read_dir(root.join("dev")).into_iter().flatten().flatten();
    let mut media: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    media.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("media")));
    media.sort();
    for path in media {
        let node = Node::open(&path)?;
        let entities = node.entities()?;
        let entity = |pad: &Pad| entities.iter().find(|entity| pad.is_of(&entity.name));
        let ends =
            |link: &Link| Some(((entity(&link.source)?, link.source.index), (entity(&link.sink)?, link.sink.index)));
        let Some(ends) = links.iter().map(ends).collect::<Option<Vec<_>>>() else { continue };
        let mut path = Vec::new();
        for (source, sink) in ends {
            node.enable_link(source, sink)?;
            let end = |(entity, pad): (&Entity, u16)| Some((nodes::node_of(root, entity.device)?, pad));
            path.extend(end(source).zip(end(sink)));
        }
        return Ok(Route(path));
    }
    Err(io::Error::from_raw_os_error(libc::ENODEV))
}

impl Route {
    /// Gives the format of each link's source pad to its sink pad; the capture node at the end has none of its own.
    ///
    /// # Errors
    /// What the drivers say.
    pub(super) fn pass_format(&self) -> io::Result<()> {
        for ((source, source_pad), (sink, sink_pad)) in &self.0 {
            if sink.file_name().is_some_and(|name| name.to_string_lossy().starts_with("v4l-subdev")) {
                Node::open(source)?.pass_pad_format(*source_pad, &Node::open(sink)?, *sink_pad)?;
            }
        }
        Ok(())
    }
}
