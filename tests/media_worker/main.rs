//! The real worker process under the real supervisor, with the test picture and sound; what it makes is decoded by
//! ffmpeg. Proves: pictures complete, in order and on the clock; what each encoder says of itself; orders; ends.

mod confined;
mod conversion;
mod ends;
#[path = "../picture/mod.rs"]
mod picture;
mod pictures;
mod rig;
mod sound;
mod stills;
mod tone;
