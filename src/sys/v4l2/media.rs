//! Media controller: entities, links, and the formats of subdevices' pads.

use super::{MOST, Node, READ, Request, WRITE, text};
use std::io;

// include/uapi/linux/v4l2-subdev.h
const SUBDEV_G_FMT: Request<PadFormat> = Request::numbered(READ | WRITE, b'V', 4);
const SUBDEV_S_FMT: Request<PadFormat> = Request::numbered(READ | WRITE, b'V', 5);
// include/uapi/linux/media.h
const ENUM_ENTITIES: Request<EntityDescription> = Request::numbered(READ | WRITE, b'|', 1);
const SETUP_LINK: Request<LinkDescription> = Request::numbered(READ | WRITE, b'|', 3);

/// `struct v4l2_subdev_format`, with the frame format as the opaque words that are passed on from pad to pad.
#[repr(C)]
#[derive(Clone, Copy)]
struct PadFormat {
    which: u32,
    pad: u32,
    format: [u32; 12],
    reserved: [u32; 8],
}

/// V4L2_SUBDEV_FORMAT_ACTIVE: the format that the hardware uses.
const ACTIVE: u32 = 1;

/// `struct media_entity_desc`
#[repr(C)]
#[derive(Clone, Copy)]
struct EntityDescription {
    id: u32,
    name: [u8; 32],
    kind: u32,
    revision: u32,
    flags: u32,
    group: u32,
    pads: u16,
    links: u16,
    reserved: [u32; 4],
    device: (u32, u32),
    more: [u32; 44],
}

/// MEDIA_ENT_ID_FLAG_NEXT: the entity after the one of this id.
const NEXT_ENTITY: u32 = 1 << 31;

/// `struct media_pad_desc`
#[repr(C)]
#[derive(Clone, Copy)]
struct PadDescription {
    entity: u32,
    index: u16,
    flags: u32,
    reserved: [u32; 2],
}

/// `struct media_link_desc`
#[repr(C)]
#[derive(Clone, Copy)]
struct LinkDescription {
    source: PadDescription,
    sink: PadDescription,
    flags: u32,
    reserved: [u32; 2],
}

/// MEDIA_LNK_FL_ENABLED
const LINK_ENABLED: u32 = 1;
/// MEDIA_LNK_FL_IMMUTABLE
const LINK_IMMUTABLE: u32 = 2;

/// An entity of a media device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    id: u32,
    /// Its name.
    pub name: String,
    /// Major and minor number of its device node; zero when it has none.
    pub device: (u32, u32),
}

impl Node {
    /// The entities of a media device.
    ///
    /// # Errors
    /// ENOTTY when this is no media node.
    pub fn entities(&self) -> io::Result<Vec<Entity>> {
        let mut entities: Vec<Entity> = Vec::new();
        loop {
            let last = entities.last().map_or(0, |entity| entity.id);
            match self.call(&ENUM_ENTITIES, |entity| entity.id = last | NEXT_ENTITY) {
                Ok(raw) if entities.len() < MOST as usize => {
                    entities.push(Entity { id: raw.id, name: text(&raw.name), device: raw.device });
                }
                // EINVAL: that was the last one.
                Err(error) if error.raw_os_error() != Some(libc::EINVAL) => return Err(error),
                _ => return Ok(entities),
            }
        }
    }

    /// Enables the link from a source pad to a sink pad of a media device.
    ///
    /// # Errors
    /// EINVAL when there is no such link, EBUSY while pictures flow through another one.
    pub fn enable_link(&self, source: (&Entity, u16), sink: (&Entity, u16)) -> io::Result<()> {
        let pad =
            |(entity, index): (&Entity, u16)| PadDescription { entity: entity.id, index, flags: 0, reserved: [0; 2] };
        let set = |flags| {
            self.call(&SETUP_LINK, |link| (link.source, link.sink, link.flags) = (pad(source), pad(sink), flags))
                .map(drop)
        };
        match set(LINK_ENABLED) {
            // What cannot be changed has to be named as it is (__media_entity_setup_link).
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set(LINK_ENABLED | LINK_IMMUTABLE),
            result => result,
        }
    }

    /// Gives the format at `pad` of this subdevice to `sink_pad` of the next one.
    ///
    /// # Errors
    /// What the drivers say.
    pub fn pass_pad_format(&self, pad: u16, sink: &Self, sink_pad: u16) -> io::Result<()> {
        let source = self.call(&SUBDEV_G_FMT, |format| (format.which, format.pad) = (ACTIVE, pad.into()))?;
        sink.call(&SUBDEV_S_FMT, |format| {
            (format.which, format.pad, format.format) = (ACTIVE, sink_pad.into(), source.format);
        })
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_numbers() {
        // As a C program prints them on a 64-bit machine.
        let numbers = [ENUM_ENTITIES.number, SETUP_LINK.number, SUBDEV_G_FMT.number, SUBDEV_S_FMT.number];
        assert_eq!(numbers, [0xc100_7c01, 0xc034_7c03, 0xc058_5604, 0xc058_5605]);
    }
}
