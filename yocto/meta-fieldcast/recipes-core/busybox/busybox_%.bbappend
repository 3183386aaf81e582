FILESEXTRAPATHS:prepend:fieldcast-os := "${THISDIR}/files:"

SRC_URI:append:fieldcast-os = " file://fieldcast.cfg"
