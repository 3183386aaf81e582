SUMMARY = "Live encoder for ARM boxes"
SUMMARY:${PN}-desk = "The operator's command line for Fieldcast boxes"
DESCRIPTION = "A daemon that puts an HDMI input or a camera on air by RTMP, RTMPS or SRT and keeps it there, and its media worker."
# v4l2-sys-mit's build script reads V4L2's headers with libclang.
DEPENDS = "clang-native gstreamer1.0 gstreamer1.0-plugins-base srt"

require fieldcast-source.inc
require ${BPN}-crates.inc

# tests: Cargo.toml names an example and a test that lie there.
SRC_URI += "\
    file://Cargo.lock;subdir=${BP} \
    file://Cargo.toml;subdir=${BP} \
    file://boards;subdir=${BP} \
    file://build.rs;subdir=${BP} \
    file://src;subdir=${BP} \
    file://tests;subdir=${BP} \
"

inherit cargo cargo-update-recipe-crates pkgconfig systemd useradd

CARGO_BUILD_FLAGS:append = " --bins"
# The packages are stripped, and what is stripped is kept in -dbg.
export CARGO_PROFILE_RELEASE_STRIP = "none"
export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS = "--sysroot=${STAGING_DIR_TARGET} --target=${TARGET_SYS}"

do_install() {
    oe_runmake -C ${S} install PROGRAMS=${B}/target/${CARGO_TARGET_SUBDIR} DESTDIR=${D}
    # Without its completions, which the program prints itself: it does not run here.
    install -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/fieldcast ${D}${bindir}
    # A mount point, where the settings of a read-only system come from the data partition.
    install -d -m 0750 ${D}${sysconfdir}/fieldcast
    chgrp fieldcast ${D}${sysconfdir}/fieldcast
}

PACKAGE_BEFORE_PN = "${PN}-desk"
FILES:${PN}-desk += "${bindir}/fieldcast"
FILES:${PN} += "${nonarch_libdir}/sysusers.d ${nonarch_libdir}/tmpfiles.d ${systemd_system_unitdir}"

RDEPENDS:${PN} += "ca-certificates"

# As systemd/fieldcast.sysusers.conf has it, which comes too late where the root is read-only. The number is fixed: what is
# on the data partition belongs to it, whichever system runs.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system --gid 400 fieldcast"
USERADD_PARAM:${PN} = "--system --uid 400 --gid fieldcast --comment 'Fieldcast live encoder' \
    --home-dir ${localstatedir}/lib/fieldcast --no-create-home --shell /sbin/nologin fieldcast"

SYSTEMD_SERVICE:${PN} = "fieldcastd.service"
