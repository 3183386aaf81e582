//! Updates: the real daemon and a real RAUC on a bus of their own, with bundles that were really signed, and two files as slots.
//! What the kernel does for it is in the emulated box: dm-verity, and a boot loader that counts tries.

#[path = "../support/mod.rs"]
mod support;

mod bundles;
mod image;
mod refusals;
mod through;
