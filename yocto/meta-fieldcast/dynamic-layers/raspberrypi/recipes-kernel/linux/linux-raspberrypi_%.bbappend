FILESEXTRAPATHS:prepend:fieldcast-os := "${THISDIR}/../../../../recipes-kernel/linux/files:"

SRC_URI:append:fieldcast-os = " file://fieldcast.cfg"
