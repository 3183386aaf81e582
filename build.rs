//! Tells the program when it was built (certificates are not judged at an earlier time than that), and finds libsrt.
#![allow(clippy::disallowed_methods)] // the one place where the calendar of the build machine is meant

use std::{env, time::SystemTime};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let set = env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=FIELDCAST_BUILD_TIME={}", set.unwrap_or_else(now));

    // Its name differs: libsrt with OpenSSL, libsrt-gnutls in Debian beside that.
    if let Err(error) = pkg_config::Config::new().atleast_version("1.4.2").probe("srt") {
        panic!("libsrt is missing (tests/setup.sh build installs it): {error}");
    }
}
