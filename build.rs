//! Tells the program when it was built: certificates are not judged at an earlier time than that.
#![allow(clippy::disallowed_methods)] // the one place where the calendar of the build machine is meant

use std::{env, time::SystemTime};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let set = env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=FIELDCAST_BUILD_TIME={}", set.unwrap_or_else(now));
}
